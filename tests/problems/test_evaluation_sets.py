"""Benchmarks and files that an evaluation names: what is read, and what is said of what cannot be."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir

from rlvr.commands.evaluate import written_out
from rlvr.configuration import compose
from rlvr.configuration.arguments import readable
from rlvr.configuration.keys import config_folder
from rlvr.pipeline.evaluate_config import EvaluateConfig
from rlvr.problems.benchmarks import ProblemSet, benchmark_files, load_sets, read_benchmark
from rlvr.problems.config import PromptConfig
from rlvr.problems.prompts import fill_template
from rlvr.types import ConfigError, DataError

CONF = [config_folder()]
BENCHMARKS = benchmark_files(CONF)
SHARED = Path(__file__).parents[3] / "shared" / "data"


def one(entry: str, seed: int = 0, folders: Sequence[Path] = CONF) -> ProblemSet:
    (found,) = load_sets([entry], seed, folders)
    return found


def written(path: Path, *rows: Mapping[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# --- the sets that there are -------------------------------------------------------------------------


def test_the_public_sets_and_the_generated_families_are_there() -> None:
    public = {"math500", "aime24", "aime25", "amc23", "gsm8k", "gpqa_diamond", "svamp"}
    assert public | {"arithmetic", "linear_equations"} == set(BENCHMARKS)


# a row as the hub has it → text, answer, id and further columns of the problem
HUB_ROWS: dict[str, tuple[dict[str, Any], str, str]] = {
    "math500": (
        {
            "problem": "1+1?",
            "solution": "…",
            "answer": "2",
            "subject": "Algebra",
            "level": 2,
            "unique_id": "a/1",
        },
        "1+1?",
        "2",
    ),
    "aime24": (
        {"id": 60, "problem": "1+1?", "solution": "…", "answer": "002", "url": "-", "year": "2024"},
        "1+1?",
        "002",
    ),
    "aime25": ({"problem": "1+1?", "answer": "2", "id": "0"}, "1+1?", "2"),
    "amc23": ({"id": 0, "question": "1+1?", "answer": 2.0, "url": "-"}, "1+1?", "2.0"),
    "gsm8k": ({"question": "1+1?", "answer": "1+1=2\n#### 2"}, "1+1?", "2"),
    "svamp": (
        {"ID": "chal-1", "Body": "One and one.", "Question": "Sum?", "Answer": "2.0", "Type": "Addition"},
        "One and one. Sum?",
        "2.0",
    ),
}


@pytest.mark.parametrize("name", HUB_ROWS)
def test_a_file_with_the_columns_of_the_hub(name: str, tmp_path: Path) -> None:
    row, text, answer = HUB_ROWS[name]
    found = one(f"{name}={written(tmp_path / 'f.jsonl', row)}")
    (problem,) = found.problems
    assert (found.name, problem.text, problem.answer) == (name, text, answer)
    assert text in fill_template(problem, PromptConfig(found.template))


@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_a_file_with_our_columns(name: str, tmp_path: Path) -> None:
    row = {"id": "p", "problem": "1+1?\nA. 3\nB. 2", "answer": "B", "level": 5}
    (problem,) = one(f"{name}={written(tmp_path / 'f.jsonl', row)}").problems
    assert problem.id == "p"
    assert problem.text.startswith("1+1?")
    # where options are shuffled, the answer goes with its option
    assert f"{problem.answer}. 2" in problem.text


GPQA = {
    "Record ID": "rec1",
    "Question": "Which is even?",
    "Correct Answer": "A",  # the text of an option, not a letter
    "Incorrect Answer 1": "9",
    "Incorrect Answer 2": "7",
    "Incorrect Answer 3": "7",
    "Subdomain": "Numbers",
}


def test_options_are_in_an_order_of_the_seed_and_the_answer_goes_with_its_option(tmp_path: Path) -> None:
    rows = [GPQA | {"Record ID": f"rec{i}"} for i in range(40)]
    path = written(tmp_path / "gpqa.jsonl", *rows)
    first = one(f"gpqa_diamond={path}").problems
    assert one(f"gpqa_diamond={path}").problems == first
    assert one(f"gpqa_diamond={path}", seed=1).problems != first
    assert {problem.answer for problem in first} == set("ABCD")
    for problem in first:
        assert f"\n{problem.answer}. A" in problem.text
        assert sorted(problem.columns["options"]) == ["7", "7", "9", "A"]
    del rows[3]["Incorrect Answer 2"]
    with pytest.raises(DataError, match=r"'rec3' lacks one of its options"):
        one(f"gpqa_diamond={written(path, *rows)}")


def test_what_cannot_be_had_from_the_hub_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def fails(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(datasets, "load_dataset", fails)
    with pytest.raises(DataError, match=r"no network(.|\n)*gated on the hub(.|\n)*gpqa_diamond=FILE\.jsonl"):
        one("gpqa_diamond")
    with pytest.raises(DataError, match=r"or give its file: problems=\[math500=FILE\.jsonl\]"):
        one("math500")


def test_generated_problems_need_neither() -> None:
    assert len(one("arithmetic").problems) == 256
    assert {problem.columns["level"] for problem in one("linear_equations").problems} == {2}


SHARED_FILES = {
    "math500": ("math500.jsonl", 500),
    "aime24": ("aime24.jsonl", 30),
    "amc23": ("amc23.jsonl", 40),
    "gsm8k": ("gsm8k_test.jsonl", 1319),
    "svamp": ("svamp.jsonl", 1000),
    "gpqa_diamond": ("gpqa_diamond.jsonl.gz", 198),
}


@pytest.mark.parametrize("name", SHARED_FILES)
def test_the_sets_themselves(name: str) -> None:
    file, size = SHARED_FILES[name]
    if not (SHARED / file).exists():
        pytest.skip(f"{SHARED / file} is not here")
    problems = one(f"{name}={SHARED / file}").problems
    assert len(problems) == size
    if name == "gpqa_diamond":
        letters = [problem.answer for problem in problems]
        assert min(letters.count(letter) for letter in "ABCD") > size / 8


# --- names and files ---------------------------------------------------------------------------------


def test_files_of_ones_own_and_their_names(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.v2.jsonl", {"problem": "1+1?", "answer": "2", "topic": "sums"})
    with (tmp_path / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["question", "answer"], ["1+2?", "3"]])
    first, second, third = load_sets([str(path), f"other={path}", str(tmp_path / "table.csv")], 0, CONF)
    assert (first.name, second.name, third.name) == ("mine", "other", "table")
    assert first.problems[0].columns == {"topic": "sums"}
    assert third.problems[0].answer == "3"


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        (["math50"], "did you mean 'math500'"),
        (["nowhere.jsonl"], "no such file"),
        (["a/b"], "unknown extension"),
        (["arithmetic", "arithmetic"], "names arithmetic twice; rename one of them"),
        (["math500="], "names no file"),
        (["a b=x.jsonl"], "not a valid name for a set"),
    ],
)
def test_what_is_said_of_a_wrong_name(entries: list[str], said: str) -> None:
    with pytest.raises((ConfigError, DataError), match=said):
        load_sets(entries, 0, CONF)


def test_a_problem_without_an_answer_is_named_by_its_line(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.jsonl", {"problem": "1+1?", "answer": "2"}, {"problem": "2+2?"})
    with pytest.raises(DataError, match=r"mine\.jsonl:2: a row without answer"):
        one(str(path))


def test_a_benchmark_of_ones_own_comes_before_ours_of_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "benchmark"
    folder.mkdir()
    path = written(tmp_path / "mine.jsonl", {"problem": "1+1?", "answer": "2"})
    (folder / "gsm8k.yaml").write_text(
        f"source: {{_target_: rlvr.problems.files.from_file, path: {path}}}\ntemplate: 'Q: {{problem}}'\n"
        "stop: ['\\n\\nQ:']\n"
    )
    found = one("gsm8k", folders=[tmp_path, *CONF])
    assert (len(found.problems), found.template, found.stop) == (1, "Q: {problem}", ["\\n\\nQ:"])
    (folder / "broken.yaml").write_text("sourse: {}\n")
    with pytest.raises(ConfigError, match=r"broken\.yaml: .*sourse"):
        read_benchmark(folder / "broken.yaml")
    (folder / "empty.yaml").write_text("by: [level]\n")
    with pytest.raises(ConfigError, match="source must have _target_"):
        read_benchmark(folder / "empty.yaml")


# --- the command line --------------------------------------------------------------------------------


@pytest.fixture
def hydra_folder() -> Iterator[None]:
    compose.register_schema()
    with initialize_config_dir(config_dir=str(CONF[0]), version_base="1.3"):
        yield


@pytest.mark.usefixtures("hydra_folder")
@pytest.mark.parametrize(
    ("argument", "sets"),
    [
        ("problems=[math500,aime24,mine.jsonl]", ["math500", "aime24", "mine.jsonl"]),
        ("problems=math500", ["math500"]),
        ("problems=[math500=/data/a-b.jsonl,x=y.csv]", ["math500=/data/a-b.jsonl", "x=y.csv"]),
        ("problems=mine=/data/x.jsonl", ["mine=/data/x.jsonl"]),
        ("problems=['a=b c.jsonl',aime24]", ["a=b c.jsonl", "aime24"]),
    ],
)
def test_problems_on_the_command_line(argument: str, sets: list[str]) -> None:
    tree = hydra_compose(
        "evaluate", overrides=readable([written_out(argument), written_out("model=some/model")])
    )
    config = compose.to_config(tree, EvaluateConfig)
    assert (config.problems.sets, config.model.path) == (sets, "some/model")
    assert written_out("samples=4") == "samples=4"


@pytest.mark.usefixtures("hydra_folder")
def test_the_protocol_of_the_paper() -> None:
    overrides = ["protocol=phi4_mini_reasoning", "model.path=x"]
    config = compose.to_config(hydra_compose("evaluate", overrides=overrides), EvaluateConfig)
    assert set(config.problems.sets) <= set(BENCHMARKS)
    assert (config.samples, config.temperature, config.problems.chat) == (16, 0.6, True)
