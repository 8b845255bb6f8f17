"""Problems from files and hub data sets: the mapping, and every malformed row with its place."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import hydra
import pyarrow
import pyarrow.parquet
import pytest
from omegaconf import OmegaConf

from rlvr.problems.files import as_row, from_file, from_hub
from rlvr.problems.prompts import MESSAGES
from rlvr.types import ConfigError, DataError, Problem

ROWS = [
    {"id": "a", "problem": "1+1?", "answer": 2, "solution": "1+1=2", "level": 1},
    {"id": "b", "problem": "½·4 ?", "answer": "2", "solution": None, "level": 3},
]
PROBLEMS = [
    Problem("a", "1+1?", "2", "1+1=2", {"level": 1}),
    Problem("b", "½·4 ?", "2", None, {"level": 3}),
]


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(name: str, *lines: str) -> str:
    Path(name).write_bytes("".join(f"{line}\n" for line in lines).encode())
    return name


def as_json(*rows: object) -> list[str]:
    return [json.dumps(row) for row in rows]


def test_json_lines():
    assert from_file(write("p.jsonl", *as_json(*ROWS))) == PROBLEMS


def test_blank_lines_and_a_byte_order_mark_are_no_rows():
    first, second = as_json(*ROWS)
    assert from_file(write("p.jsonl", f"\ufeff{first}", "", second, "  ")) == PROBLEMS


def test_gzip():
    Path("p.jsonl.gz").write_bytes(gzip.compress("\n".join(as_json(*ROWS)).encode()))
    assert from_file("p.jsonl.gz") == PROBLEMS


def test_csv_with_quotes_and_line_breaks():
    write("p.csv", "id,problem,answer,solution,level", "a,1+1?,2,1+1=2,1", 'b,"½·4 ?","2",,3')
    assert from_file("p.csv") == [
        Problem("a", "1+1?", "2", "1+1=2", {"level": "1"}),
        Problem("b", "½·4 ?", "2", None, {"level": "3"}),
    ]
    assert from_file(write("q.csv", "text,answer", '"a\nb, ""c""",1'))[0].text == 'a\nb, "c"'


def test_parquet():
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist([{**row, "answer": str(row["answer"])} for row in ROWS]), "p.parquet"
    )
    assert from_file("p.parquet") == PROBLEMS


def test_the_format_can_be_said_where_the_extension_does_not():
    assert from_file(write("problems.txt", *as_json(*ROWS)), format="jsonl") == PROBLEMS


def test_columns_map_our_names_to_the_files():
    row = {"key": 7, "prompt": "1+1?", "question": "a hint", "target": "2", "how": "1+1=2"}
    columns = {"id": "key", "text": "prompt", "answer": "target", "solution": "how"}
    assert from_file(write("p.jsonl", *as_json(row)), columns=columns) == [
        Problem("7", "1+1?", "2", "1+1=2", {"question": "a hint"})
    ]


@pytest.mark.parametrize("column", ["problem", "question", "text", "prompt"])
def test_the_text_column_is_found_by_name_and_rows_without_ids_are_numbered(column):
    rows = [{column: "1+1?", "answer": "2"}, {column: "1+2?", "answer": "3"}]
    for name in ("my.set.jsonl", "my.set.jsonl.gz"):
        data = "\n".join(as_json(*rows)).encode()
        Path(name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
        assert from_file(name) == [Problem("my.set-1", "1+1?", "2"), Problem("my.set-2", "1+2?", "3")]


def test_an_answer_pattern_cuts_out_the_last_match():
    row = {"question": "?", "answer": "#### no\nso 3+4=7\n####  7 "}
    path = write("p.jsonl", *as_json(row))
    (problem,) = from_file(path, columns={"solution": "answer"}, answer_pattern="#### (.+)")
    assert problem.answer == "7"
    assert problem.solution == row["answer"].strip()
    assert problem.columns == {}


def test_limit_takes_the_first_rows_only():
    path = write("p.jsonl", *as_json(*ROWS), "broken")
    assert from_file(path, limit=1) == PROBLEMS[:1]
    assert from_file(path, limit=2) == PROBLEMS
    with pytest.raises(DataError, match=r"^p\.jsonl:3: broken JSON line"):
        from_file(path, limit=3)


CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " 1+1? "}]
LONG = [*CHAT, {"role": "assistant", "content": "2"}, {"role": "user", "content": "And 2+2?"}]


@pytest.mark.parametrize(
    ("messages", "text"), [(CHAT, "1+1?"), (LONG, "user: 1+1?\n\nassistant: 2\n\nuser: And 2+2?")]
)
@pytest.mark.parametrize("column", ["problem", "prompt"])
def test_a_list_of_messages_is_a_chat(messages, text, column):
    row = {"id": "a", column: messages, "answer": "2", "level": 1}
    (problem,) = from_file(write("p.jsonl", *as_json(row)))
    assert problem == Problem("a", text, "2", None, {"level": 1, MESSAGES: messages})
    assert from_file(write("q.jsonl", *as_json(as_row(problem)))) == [problem]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), "p.parquet")
    assert from_file("p.parquet") == [problem]


def test_a_hub_data_set_of_chats(monkeypatch):
    Path("set").mkdir()
    write("set/train.jsonl", *as_json({"prompt": CHAT, "answer": "2"}))
    (problem,) = from_hub("set", "train")
    assert (problem.text, problem.columns[MESSAGES]) == ("1+1?", CHAT)


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "must be a list of messages"),
        (["1+1?"], "message 1 must have a role and a content"),
        ([{"content": "1+1?"}], "message 1 must have a role and a content"),
        ([{"role": "usr", "content": "1+1?"}], "message 1 has the role 'usr'; .* did you mean 'user'"),
        ([{"role": "tool", "content": "1+1?"}], "message 1 has the role 'tool'"),
        ([{"role": "user", "content": None}], "message 1 has no text as its content"),
        ([{"role": "user", "content": [{"type": "text"}]}], "message 1 has no text as its content"),
        ([{"role": "user", "content": "a", "name": "b"}], "message 1 has 'name' beside role and content"),
        ([*CHAT, CHAT[0], CHAT[1]], "message 3 is of the system, which may only come first"),
        (LONG[:3], "the last message is of the assistant, but must be the user's question: map the answer"),
        (CHAT[:1], "the last message is of the system"),
        ([{"role": "user", "content": "\ud800"}], "column 'content' is not valid Unicode text"),
    ],
)
def test_messages_that_are_none(messages, message):
    with pytest.raises(DataError, match=rf"^p\.jsonl:2.*{message}"):
        from_file(write("p.jsonl", OK, *as_json({"id": "b", "text": messages, "answer": "1"})))


OK = '{"id": "a", "text": "t", "answer": "1"}'


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([OK, '{"id": "b", '], "p.jsonl:2: broken JSON line"),
        ([OK, "", '{"id": "b" "text"}'], "p.jsonl:3: broken JSON line"),
        ([OK, "[1]"], "p.jsonl:2: the line holds a list"),
        (
            [OK, '{"id": "b", "text": "t", "answer": "1", "answer": "2"}'],
            "p.jsonl:2: broken JSON line: the key 'answer' is repeated",
        ),
        ([OK, '{"id": "b", "text": "t"}'], "p.jsonl:2: a row without answer: column 'answer' is missing"),
        (
            [OK, '{"id": "b", "text": "t", "answer": null}'],
            "p.jsonl:2: a row without answer: column 'answer' is empty",
        ),
        (
            [OK, '{"id": "b", "text": "t", "answer": " "}'],
            "p.jsonl:2: a row without answer: column 'answer' is empty",
        ),
        (
            [OK, '{"id": "b", "text": "t", "answer": NaN}'],
            "p.jsonl:2: a row without answer: column 'answer' is empty",
        ),
        (
            [OK, '{"id": "b", "text": "t", "answer": ["1"]}'],
            "p.jsonl:2: column 'answer' is a list, but must be text",
        ),
        (
            [OK, '{"id": "b", "text": "t", "answer": true}'],
            "p.jsonl:2: column 'answer' is a bool, but must be text",
        ),
        (
            [OK, '{"id": "b", "text": "", "answer": "1"}'],
            "p.jsonl:2: a row without text: column 'text' is empty",
        ),
        (
            [OK, '{"id": "b", "text": "\\ud800", "answer": "1"}'],
            "p.jsonl:2: column 'text' is not valid Unicode text",
        ),
        ([OK, '{"text": "t", "answer": "1"}'], "p.jsonl:2: a row without id: column 'id' is missing"),
        (
            [OK, '{"id": "b", "text": "t", "answer": "1"}', OK],
            "p.jsonl:3: id 'a' is already used at p.jsonl:1",
        ),
        (
            ['{"id": "a", "answer": "1"}'],
            "p.jsonl: no column for the problem's text (problem, question, text, prompt)",
        ),
        (
            ['{"text": "a", "prompt": "b", "answer": "1"}'],
            "p.jsonl: text and prompt could each be the problem's text",
        ),
        (
            ['{"text": "a", "anwser": "1"}'],
            "p.jsonl: no column 'answer'; there are: text, anwser; did you mean 'anwser'?",
        ),
        ([], "p.jsonl: it has no rows"),
        (["", ""], "p.jsonl: it has no rows"),
    ],
)
def test_malformed_json_lines(lines, message):
    with pytest.raises(DataError) as error:
        from_file(write("p.jsonl", *lines))
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["text,answer", "a,1", "b"], "p.csv:3: 1 cells, but the header names 2 columns"),
        (["text,answer", "a,1,2"], "p.csv:2: 3 cells, but the header names 2 columns"),
        (["text,answer", '"a\nb",1', "c,"], "p.csv:4: a row without answer: column 'answer' is empty"),
        (["text,answer", '"a,1'], "p.csv:2: broken CSV row"),
        (["text,answer,text", "a,1,b"], "p.csv:1: the column 'text' is repeated"),
        (["text,answer"], "p.csv: it has no rows"),
        (["id,text,answer", "1,a,1", "1,b,2"], "p.csv:3: id '1' is already used at p.csv:2"),
    ],
)
def test_malformed_csv(lines, message):
    with pytest.raises(DataError) as error:
        from_file(write("p.csv", *lines))
    assert str(error.value).startswith(message)


def test_text_that_is_not_utf8_is_told_with_its_line():
    Path("p.jsonl").write_bytes(OK.encode() + b"\n" + '{"text": "é"}'.encode("latin-1"))
    with pytest.raises(DataError, match=r"^p\.jsonl:2: not UTF-8 \(byte 11 of the line\)"):
        from_file("p.jsonl")


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(OK.encode() * 100, mtime=0)[:-20]])
def test_a_broken_gzip_file(data):
    Path("p.jsonl.gz").write_bytes(data)
    with pytest.raises(DataError, match=r"^p\.jsonl\.gz: cannot be read"):
        from_file("p.jsonl.gz")


def test_malformed_parquet():
    Path("p.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"^p\.parquet: cannot be read as a Parquet file"):
        from_file("p.parquet")
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a", "b"], "answer": ["1", None]}), "p.parquet")
    with pytest.raises(DataError, match=r"^p\.parquet:row 2: a row without answer"):
        from_file("p.parquet")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="no such file") as error:
        from_file("p.jsonl")
    assert str(tmp_path) in str(error.value)


def test_an_unknown_extension_or_format():
    with pytest.raises(DataError, match=r"p\.jsnol: unknown extension '\.jsnol'; .*did you mean '\.jsonl'"):
        from_file(write("p.jsnol", OK))
    with pytest.raises(DataError, match="unknown extension '\\(none\\)'"):
        from_file(write("p", OK))
    with pytest.raises(ConfigError, match=r"no format 'json'; .*did you mean 'jsonl'"):
        from_file(write("p.jsonl", OK), format="json")


def test_wrong_columns_and_patterns():
    path = write("p.jsonl", OK)
    with pytest.raises(DataError, match=r"columns maps answer to 'anwser', .*did you mean 'answer'"):
        from_file(path, columns={"answer": "anwser"})
    with pytest.raises(ConfigError, match=r"columns has no key 'txet'; .*did you mean 'text'"):
        from_file(path, columns={"txet": "text"})
    with pytest.raises(
        DataError, match=r"^p\.jsonl:1: answer_pattern '#### \(\.\+\)' finds no answer in '1'"
    ):
        from_file(path, answer_pattern="#### (.+)")
    with pytest.raises(ConfigError, match="has 0 groups, but must have one"):
        from_file(path, answer_pattern="#### .+")
    with pytest.raises(ConfigError, match="is not a regular expression"):
        from_file(path, answer_pattern="(")
    with pytest.raises(ConfigError, match="limit is 0"):
        from_file(path, limit=0)


# --- Hugging Face data sets


@pytest.fixture
def hub(tmp_path, monkeypatch):
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("hub")
def test_a_data_set_takes_the_same_mapping_as_a_file():
    Path("grade/data").mkdir(parents=True)
    table = pyarrow.table({"question": ["a", "b"], "answer": ["x #### 1", "y #### 2"], "level": [1, 2]})
    pyarrow.parquet.write_table(table, "grade/data/train-00000-of-00001.parquet")
    arguments = {"columns": {"solution": "answer"}, "answer_pattern": "#### (.+)"}
    problems = from_hub("./grade", "train", **arguments)
    assert problems == [
        Problem("grade-train-1", "a", "1", "x #### 1", {"level": 1}),
        Problem("grade-train-2", "b", "2", "y #### 2", {"level": 2}),
    ]
    assert from_hub("./grade", "train", limit=1, **arguments) == problems[:1]
    with pytest.raises(DataError, match=r"^\./grade\[test\]: .*Unknown split"):
        from_hub("./grade", "test")
    with pytest.raises(DataError, match=r"^\./grade\[train\]:row 1: answer_pattern"):
        from_hub("./grade", "train", answer_pattern="=(.)")


@pytest.mark.usefixtures("hub")
def test_a_hub_that_cannot_be_reached_is_an_error_that_says_so():
    with pytest.raises(DataError, match=r"^openai/gsm8k\[train\]: the data set cannot be loaded .*from_file"):
        from_hub("openai/gsm8k", "train", config_name="main")


# --- the configuration groups


CONF = Path(__file__).parents[2] / "conf" / "problems"


@pytest.mark.parametrize("name", ["arithmetic", "linear_equations"])
def test_generated_groups_make_problems(name):
    config = OmegaConf.load(CONF / f"{name}.yaml")
    train, heldout = (hydra.utils.instantiate(config[side], n=20) for side in ("train", "heldout"))
    assert len(train) == len(heldout) == 20
    assert not {p.text for p in train} & {p.text for p in heldout}
    assert len(hydra.utils.instantiate(config.train, n=4, level=[1, 2])) == 4


def test_the_file_group_needs_only_a_path():
    config = OmegaConf.load(CONF / "file.yaml")
    assert hydra.utils.instantiate(config.train, path=write("p.jsonl", *as_json(*ROWS))) == PROBLEMS


@pytest.mark.usefixtures("hub")
def test_the_gsm8k_group_fits_the_hubs_columns():
    Path("gsm8k/main").mkdir(parents=True)
    solution = "48/2 = <<48/2=24>>24\n48+24 = <<48+24=72>>72\n#### 72"
    for split in ("train", "test"):
        table = pyarrow.table({"question": [f"{split}: how many?"], "answer": [solution]})
        pyarrow.parquet.write_table(table, f"gsm8k/main/{split}-00000-of-00001.parquet")
    config = OmegaConf.load(CONF / "gsm8k.yaml")
    for side, split in (("train", "train"), ("heldout", "test")):
        assert config[side].name == "openai/gsm8k"
        assert config[side].config_name == "main"
        (problem,) = hydra.utils.instantiate(config[side], name="./gsm8k", config_name=None)
        assert problem == Problem(f"gsm8k-{split}-1", f"{split}: how many?", "72", solution)


SHARED = Path(__file__).parents[3] / "shared" / "data" / "gsm8k_train.jsonl"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared GSM8K file is not on this machine")
def test_real_grade_school_problems():
    problems = from_file(str(SHARED))
    assert len(problems) == 7473
    assert (problems[0].id, problems[0].answer, problems[0].columns) == (
        "gsm8k-train-0",
        "72",
        {"source": "gsm8k/train"},
    )
