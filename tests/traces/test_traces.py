"""Traces: their labels, duplicates, overlaps with evaluation sets, and the file that keeps them."""

from __future__ import annotations

import json
import random
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from groups import group
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trace_examples import LENGTH, MANY_TRACES, RIGHT, STOP, TIMEOUT, WRONG, trace

from rlvr.record.journal import journal_path, read_journal, write_journal
from rlvr.traces.choose import choose
from rlvr.traces.config import TraceConfig
from rlvr.traces.duplicates import duplicate_problems, mark_duplicates, normalized
from rlvr.traces.files import SCHEMA, read_traces, write_traces
from rlvr.traces.labels import domain_of, length_and_repetition, pass_rate
from rlvr.traces.overlap import find_overlap, mark_overlaps, ngram_index
from rlvr.traces.traces import Trace, trace_of_solution, traces_from_groups
from rlvr.types import DataError, FinishReason, Problem, Status

FLOATS = st.floats(allow_nan=False)
TEXT = st.text(max_size=10)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


# from groups


def test_every_rollout_becomes_a_trace_with_its_verdict() -> None:
    found = traces_from_groups([group([1.0, -1.0, None, 1.0])], "qwen")
    assert [each.status for each in found] == [RIGHT, WRONG, TIMEOUT, RIGHT]
    assert [each.reward for each in found] == [1.0, -1.0, None, 1.0]
    assert [each.sample for each in found] == [0, 1, 2, 3]
    assert {each.pass_rate for each in found} == {2 / 3}  # of the three that have a verdict
    assert {each.source for each in found} == {"qwen"}
    assert {each.dropped for each in found} == {None}
    # prompts are of 2, 3, … tokens, answers of 3, 4, …, numbered from 100·sample
    assert found[1].tokens == [103, 104, 105, 106]
    assert [each.length for each in found] == [3, 4, 5, 6]


def test_a_pass_rate_is_over_all_groups_of_a_problem() -> None:
    found = traces_from_groups([group([1.0, 1.0]), group([-1.0, None]), group([None], "q")], "")
    assert [each.pass_rate for each in found] == [2 / 3] * 4 + [None]


def test_a_text_without_tokens_is_measured_in_words() -> None:
    one = group([1.0])
    rollout = one.rollouts[0]
    rollout.text = "So x = 12."
    for name in ("tokens", "sampled", "logprobs", "versions"):
        setattr(rollout, name, getattr(rollout, name)[:0])
    (found,) = traces_from_groups([one], "teacher")
    assert (found.tokens, found.length) == (None, 6)  # so x = 1 2 .


def test_what_makes_no_trace_is_refused() -> None:
    unverified = group([1.0, 1.0])
    unverified.verdicts = []
    with pytest.raises(DataError, match="'p' has 2 rollouts, but 0 verdicts"):
        traces_from_groups([unverified], "")
    other = group([1.0])
    other.problem = Problem("p", "another text", "")
    with pytest.raises(DataError, match="two different problems have the id 'p'"):
        traces_from_groups([group([1.0]), other], "")
    turns = group([1.0])
    turns.rollouts[0].sampled[:] = [False, True, False, True, True]
    with pytest.raises(DataError, match="several turns"):
        traces_from_groups([turns], "")


def test_the_domain_is_the_column_that_is_named_or_one_that_says_so() -> None:
    groups = [group([1.0], "a"), group([1.0], "b"), group([1.0], "c")]
    columns: list[dict[str, Any]] = [{"topic": "sets", "level": 3}, {"level": 4}, {}]
    for each, own in zip(groups, columns, strict=True):
        each.problem = replace(each.problem, columns=own)
    assert [each.domain for each in traces_from_groups(groups, "", "topic")] == ["sets", "4", ""]
    assert [each.domain for each in traces_from_groups(groups, "")] == ["3", "4", ""]
    assert domain_of(Problem("p", "", "", columns={"domain": None, "subject": "algebra"})) == "algebra"
    with pytest.raises(DataError, match=r"column 'topik'.*did you mean 'topic'"):
        traces_from_groups(groups, "", "topik")


def test_a_journal_becomes_traces(tmp_path: Path) -> None:
    groups = [group([1.0, None], "a"), group([-1.0], "b")]
    write_journal(journal_path(tmp_path, "train", 1), groups)
    assert traces_from_groups(read_journal(tmp_path), "m") == traces_from_groups(groups, "m")


def test_a_solution_is_a_correct_trace_that_can_be_kept(tmp_path: Path) -> None:
    problem = Problem("p", "1 + 1?", "2", "It is 2.", {"level": 3})
    found = trace_of_solution(problem)
    assert (found.text, found.status, found.domain, found.length) == ("It is 2.", RIGHT, "3", 4)
    assert choose([found], TraceConfig())[0] == [found]
    write_traces(tmp_path / "t.parquet", [found])
    assert read_traces(tmp_path / "t.parquet") == [found]
    with pytest.raises(DataError, match="'p' has no solution"):
        trace_of_solution(replace(problem, solution=None))


def test_labels() -> None:
    assert pass_rate([RIGHT, WRONG, TIMEOUT, Status.UNPARSEABLE, Status.CRASHED]) == 1 / 3
    assert pass_rate([TIMEOUT]) is None
    assert length_and_repetition("a b c d e f g h " * 2, None) == (16, 0.5)
    assert length_and_repetition("a b c d e f g", [1, 2]) == (2, 0.0)
    assert length_and_repetition("", None) == (0, 0.0)


# duplicates


@given(st.text(st.sampled_from("aBx2é½²+ \t\n"), max_size=12))
def test_normalized_forgets_case_space_and_composition(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)
    for other in (text.upper().lower(), f"  {text}\n", unicodedata.normalize("NFD", text)):
        assert normalized(other) == normalized(text)


def test_normalized_keeps_what_makes_another_problem() -> None:
    assert normalized("ＦＩＮＤ\u00a0x") == normalized("find x")
    different = ["2²", "22", "2 2", "2", "-2", "x+2", "x-2"]
    assert len({normalized(text) for text in different}) == len(different)


def test_the_first_id_of_a_problem_text_stays() -> None:
    texts = {"a": "What is 1 + 1?", "b": "what is  1 + 1?\n", "c": "What is 1 + 2?", "d": "WHAT IS 1 + 1?"}
    problems = [Problem(name, text, "2") for name, text in texts.items()]
    assert duplicate_problems([*problems, problems[0]]) == {"b": "a", "d": "a"}
    traces = [trace(each, sample) for each in problems for sample in range(2)]
    assert [each.dropped for each in mark_duplicates(traces)] == [
        *[None, None], *["duplicate problem"] * 2, *[None, None], *["duplicate problem"] * 2
    ]  # fmt: skip


def test_the_first_of_equal_answers_stays_unless_a_later_one_says_more() -> None:
    traces = [
        trace("p", 0, text="7"),
        trace("p", 1, text="7"),
        trace("p", 2, text="8", status=TIMEOUT),
        trace("p", 3, text="8", finish_reason=LENGTH),
        trace("p", 4, text="8", source="another"),
        trace("q", 0, text="7"),
        trace("q", 1, text="7 "),
        trace("q", 2, text="9", dropped="overlaps aime"),
        trace("q", 3, text="9"),
    ]
    marked = mark_duplicates(traces)
    double = "duplicate answer"
    assert [each.dropped for each in marked] == [
        *[None, double, double, double, None], *[None, None, "overlaps aime", None]
    ]  # fmt: skip
    assert [replace(each, dropped=None) for each in marked] == [
        replace(each, dropped=None) for each in traces
    ]


def test_a_dropped_problem_stands_for_no_other() -> None:
    first, second = Problem("a", "What is 1 + 1?", "2"), Problem("b", "What is 1 + 1?", "2")
    marked = mark_duplicates([trace(first, dropped="by hand"), trace(second)])
    assert [each.dropped for each in marked] == ["by hand", None]


@given(MANY_TRACES)
def test_marking_duplicates_again_changes_nothing(traces: list[Trace]) -> None:
    again = [replace(each, text=each.text[:8]) for each in traces]
    marked = mark_duplicates(again)
    assert mark_duplicates(marked) == marked
    live = [(each.problem.id, each.text) for each in marked if each.dropped is None]
    assert len(set(live)) == len(live)
    assert set(live) == {(each.problem.id, each.text) for each in again if each.dropped is None}


# overlaps

WORDS = ["find", "all", "x", "such", "that", "2", "+", "prime"]


def shares(one: Sequence[str], other: Sequence[str], n: int) -> bool:
    """By definition: n words in a row in common, or fewer than n words and the same."""
    if len(one) < n:
        return list(one) == list(other)
    grams = [one[i : i + n] for i in range(len(one) - n + 1)]
    return any(other[i : i + n] in grams for i in range(len(other) - n + 1))


@given(
    st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), max_size=4),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=8),
    st.integers(1, 5),
)
def test_an_overlap_is_found_exactly_where_there_is_one(
    evaluation: list[list[str]], words: list[str], n: int
) -> None:
    problems = [Problem(str(i), " ".join(each), "") for i, each in enumerate(evaluation)]
    found = find_overlap(" ".join(words).upper(), ngram_index({"set": problems}, n))
    assert (found is not None) == any(shares(words, each, n) for each in evaluation)
    if found is not None:
        assert shares(words, evaluation[int(found.id)], n)
        assert found.words in " ".join(words)
        assert found.words in " ".join(evaluation[int(found.id)])


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 13), st.booleans())
def test_planted_overlaps_are_found_and_nothing_else(seed: int, n: int, in_answers: bool) -> None:
    """Every text has words of its own, but for the n words that are copied into some."""
    random_ = random.Random(seed)

    def text(name: str, count: int) -> list[str]:
        return [f"{name}{''.join(random_.choices('abcdefghij', k=8))}" for _ in range(count)]

    sets = {
        name: [
            Problem(f"{name}-{i}", " ".join(text(f"{name}x", random_.randint(n, 40))), "") for i in range(5)
        ]
        for name in ("aime", "math")
    }
    traces, expected = [], {}
    for i in range(12):
        name = random_.choice(["aime", "math", "none", "short"])
        words = text("train", random_.randint(0, 30))
        if name in sets:
            source = random_.choice(sets[name])
            place = random_.randint(0, len(source.text.split()) - n)
            copied = source.text.split()[place : place + n - (name == "short")]
            at = random_.randint(0, len(words))
            words[at:at] = [word.upper() for word in copied]
            expected[f"p{i}"] = (name, source.id, " ".join(copied))
        elif name == "short":  # one word less than n
            at = random_.randint(0, len(words))
            words[at:at] = sets["math"][0].text.split()[: n - 1]
            words.append("ownword")
        written = "\n ".join(words)
        problem = Problem(f"p{i}", f"question {i}" if in_answers else written, "")
        traces.append(trace(problem, 0, text=written if in_answers else f"answer {i}"))
        traces.append(trace(problem, 1, text="nothing"))
    random_.shuffle(traces)
    marked, found = mark_overlaps(traces, ngram_index(sets, n), answers=in_answers)
    assert {name: (each.name, each.id, each.words) for name, each in found.items()} == expected
    for before, after in zip(traces, marked, strict=True):
        name = expected.get(before.problem.id, ("",))[0]
        taken = name and (not in_answers or before.text != "nothing")
        assert after == replace(before, dropped=f"overlaps {name}" if taken else None)
    unasked, _ = mark_overlaps(traces, ngram_index(sets, n))
    if in_answers:
        assert unasked == traces


def test_the_order_of_sets_and_problems_does_not_matter() -> None:
    shared = "find the sum of all positive integers n such that n divides ten factorial"
    problems = [Problem(name, shared, "") for name in "cab"]
    index = ngram_index({"two": problems, "one": problems}, 13)
    assert index == ngram_index({"one": problems[::-1], "two": problems[::-1]}, 13)
    found = find_overlap(f"Please {shared}", index)
    assert found is not None
    assert (found.name, found.id) == ("one", "a")


def test_a_short_problem_overlaps_only_as_a_whole() -> None:
    index = ngram_index({"s": [Problem("1", "What is 2 + 3?", ""), Problem("2", "", "")]}, 13)
    assert find_overlap("what IS 2+3 ?", index) is not None
    for other in ("What is 2 - 3?", "What is 2 + 3? Explain.", "is 2 + 3?", "", "What is 23?"):
        assert find_overlap(other, index) is None


def test_marking_overlaps_keeps_earlier_reasons() -> None:
    index = ngram_index({"s": [Problem("1", "text of p", "")]})
    traces = [trace("p", 0, dropped="duplicate answer"), trace("p", 1), trace("q", 0)]
    marked, found = mark_overlaps(traces, index)
    assert [each.dropped for each in marked] == ["duplicate answer", "overlaps s", None]
    assert list(found) == ["p"]
    with pytest.raises(ValueError, match="n is 0"):
        ngram_index({}, 0)


# files


@st.composite
def any_traces(draw: st.DrawFn) -> list[Trace]:
    built = st.builds(
        Problem, TEXT, TEXT, TEXT, st.none() | TEXT, st.dictionaries(st.text(max_size=5), JSON, max_size=3)
    )
    problems = draw(st.lists(built, min_size=1, max_size=4, unique_by=lambda problem: problem.id))
    int32 = st.integers(0, 2**31 - 1)
    return draw(
        st.lists(
            st.builds(
                Trace,
                problem=st.sampled_from(problems),
                sample=int32,
                text=TEXT,
                tokens=st.none() | st.lists(int32, max_size=4),
                finish_reason=st.sampled_from(FinishReason),
                status=st.sampled_from(Status),
                reward=st.none() | FLOATS,
                reason=TEXT,
                pass_rate=st.none() | FLOATS,
                domain=TEXT,
                length=int32,
                repetition=FLOATS,
                source=TEXT,
                dropped=st.none() | TEXT,
            ),
            max_size=5,
        )
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(any_traces())
def test_round_trip_is_exact(written: list[Trace]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traces.parquet"
        write_traces(path, written)
        found = read_traces(path)
        assert [repr(asdict(each)) for each in found] == [repr(asdict(each)) for each in written]
        assert all(type(each.status) is Status for each in found)


def test_more_than_one_part_is_read_back_in_order(tmp_path: Path) -> None:
    written = [trace(f"p{number}", tokens=[number]) for number in range(2500)]
    write_traces(tmp_path / "traces.parquet", written)
    assert read_traces(tmp_path / "traces.parquet") == written


def test_columns_that_json_does_not_know_are_kept(tmp_path: Path) -> None:
    columns = {"day": date(2024, 5, 1), "vector": np.arange(3), "score": np.float64(0.5)}
    write_traces(tmp_path / "t.parquet", [trace(Problem("p", "t", "7", columns=columns))])
    (found,) = read_traces(tmp_path / "t.parquet")
    assert found.problem.columns == {"day": "2024-05-01", "vector": [0, 1, 2], "score": 0.5}


def test_a_text_that_no_file_can_hold_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sample 3 of problem 'p': its text is not valid Unicode"):
        write_traces(tmp_path / "t.parquet", [trace(), trace(sample=3, text="a\ud800")])
    assert list(tmp_path.iterdir()) == []


def write_table(path: Path, **columns: list[Any]) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_data_of_others_needs_four_columns(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "mine.parquet",
        problem=["1 + 1?", "2 + 2?", "1 + 1?", "1 + 1?"],
        answer=[2, 4, 2, 2],
        text=["It is 2.", "5", "3", "2"],
        correct=[True, False, False, True],
        subject=["one", "two", "one", "one"],
    )
    found = read_traces(path)
    assert [each.problem.id for each in found] == ["mine-1", "mine-2", "mine-1", "mine-1"]
    assert [each.sample for each in found] == [0, 0, 1, 2]
    assert [each.status for each in found] == [RIGHT, WRONG, WRONG, RIGHT]
    assert [each.pass_rate for each in found] == [2 / 3, 0.0, 2 / 3, 2 / 3]
    assert [each.domain for each in found] == ["one", "two", "one", "one"]
    assert [each.length for each in found] == [4, 1, 1, 1]
    assert found[0].problem == Problem("mine-1", "1 + 1?", "2", columns={"subject": "one"})
    assert {(each.finish_reason, each.tokens, each.source) for each in found} == {(STOP, None, "mine")}


def test_a_file_of_correct_answers_knows_no_pass_rates(tmp_path: Path) -> None:
    path = write_table(
        tmp_path / "t.parquet",
        problem=["a", "a"],
        answer=["1", "1"],
        text=["1", "1!"],
        status=["correct"] * 2,
    )
    assert [each.pass_rate for each in read_traces(path)] == [None, None]


GOOD: dict[str, list[Any]] = {"problem": ["a"], "answer": ["1"], "text": ["1"], "status": ["correct"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text": None}, "no column text"),
        ({"status": None}, r"no column status \(or correct\)"),
        ({"correct": [True]}, "both columns status and correct"),
        ({"status": ["corect"]}, "row 1: its verdict is 'corect'.*did you mean 'correct'"),
        ({"status": [None]}, "row 1: its verdict is None"),
        ({"finish_reason": ["eos"]}, "row 1: its finish_reason is 'eos'; there are: stop, length"),
        ({"text": [None]}, "row 1 has no text"),
        ({"tokens": [[1, None]]}, "row 1: column 'tokens' contains a null"),
        ({"tokens": [["a"]]}, "column 'tokens' has type list<"),
        ({"columns": ["{"]}, "row 1: column 'columns' is not JSON"),
        ({"columns": ["[]"]}, "row 1: column 'columns' is a JSON list"),
        ({"sample": ["one"]}, "column 'sample' has type string"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    tmp_path: Path, change: dict[str, list[Any] | None], message: str
) -> None:
    columns = {name: value for name, value in (GOOD | change).items() if value is not None}
    assert len(read_traces(write_table(tmp_path / "good.parquet", **GOOD))) == 1
    with pytest.raises(DataError, match=message):
        read_traces(write_table(tmp_path / "bad.parquet", **columns))


def test_files_that_hold_no_traces_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no Parquet")
    for name in ("text.parquet", "missing.parquet"):
        with pytest.raises(DataError, match=rf"{name} cannot be read"):
            read_traces(tmp_path / name)
    journal = journal_path(tmp_path, "train", 1)
    write_journal(journal, [group([1.0])])
    with pytest.raises(DataError, match="is a journal"):
        read_traces(journal)
    two = {
        "id": ["p", "p"],
        "problem": ["a", "b"],
        "answer": ["1"] * 2,
        "text": ["1"] * 2,
        "correct": [True] * 2,
    }
    with pytest.raises(DataError, match="row 2: id 'p' is already used for another problem, in row 1"):
        read_traces(write_table(tmp_path / "two.parquet", **two))


def test_the_file_is_an_ordinary_table(tmp_path: Path) -> None:
    problem = Problem("p", "text", "7", columns={"level": 3})
    write_traces(tmp_path / "t.parquet", [trace(problem, tokens=[5, 6])])
    table = pq.read_table(tmp_path / "t.parquet")
    assert table.schema.equals(SCHEMA)
    (row,) = table.to_pylist()
    assert (row["id"], row["problem"], row["answer"], row["status"]) == ("p", "text", "7", "correct")
    assert (json.loads(row["columns"]), row["tokens"]) == ({"level": 3}, [5, 6])
