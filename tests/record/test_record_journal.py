"""The journal gives back what was put in, and forgets what a resumed run does again."""

from __future__ import annotations

import json
import string
import tempfile
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlvr.record.journal import ARRAYS, LATER, LEARNED, journal_path, read_journal, truncate, write_journal
from rlvr.record.sinks import JsonLines, read_metrics
from rlvr.types import (
    DataError,
    FinishReason,
    Group,
    Problem,
    Rollout,
    SamplingMask,
    Status,
    UpdateRecord,
    Verdict,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FLOATS = st.floats(allow_nan=False)
INT32 = st.integers(-(2**31), 2**31 - 1)


@st.composite
def verdicts(draw: st.DrawFn) -> Verdict:
    status = draw(st.sampled_from(Status))
    return Verdict(
        status=status,
        reward=draw(FLOATS) if status.reached else None,
        reason=draw(st.text(max_size=10)),
        extracted=draw(st.none() | st.text(max_size=10)),
        parts=draw(st.dictionaries(st.text(max_size=5), FLOATS, max_size=3)),
        seconds=draw(FLOATS),
        rule=draw(st.none() | st.text(max_size=10)),
        true_steps=draw(st.none() | st.booleans()),
    )


@st.composite
def rollouts(draw: st.DrawFn, problem: Problem) -> Rollout:
    length = draw(st.integers(0, 6))
    arrays = {name: draw(hnp.arrays(dtype, length)) for name, dtype in ARRAYS.items()}
    return Rollout(
        problem_id=problem.id,
        step=draw(st.integers(0, 2**31 - 1)),
        sample=draw(st.integers(0, 2**31 - 1)),
        seed=draw(st.integers(0, 2**63 - 1)),
        text=draw(st.text(max_size=10)),
        finish_reason=draw(st.sampled_from(FinishReason)),
        temperature=draw(FLOATS),
        prompt_end=draw(st.text(max_size=10)),
        sampling_mask=draw(
            st.none() | st.builds(SamplingMask, *[hnp.arrays(np.int32, st.integers(0, 6))] * 2)
        ),
        **arrays,
    )


@st.composite
def groups(draw: st.DrawFn) -> Group:
    text = st.text(max_size=10)
    columns = st.dictionaries(text, JSON, max_size=3)
    problem = draw(st.builds(Problem, text, text, text, st.none() | text, columns))
    drawn = draw(st.lists(rollouts(problem), min_size=1, max_size=3))
    scored = draw(st.booleans())
    return Group(problem, drawn, [draw(verdicts()) for _ in drawn] if scored else [])


def assert_identical(found: list[Group], expected: list[Group]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.problem == other.problem
        assert one.verdicts == other.verdicts
        assert len(one.rollouts) == len(other.rollouts)
        for mine, theirs in zip(one.rollouts, other.rollouts, strict=True):
            left, right = asdict(mine), asdict(theirs)
            for name, dtype in ARRAYS.items():
                array: np.ndarray[Any, Any] = left.pop(name)
                assert array.dtype == dtype
                # Bits, so that a nan or a negative zero counts too.
                assert array.tobytes() == right.pop(name).tobytes()
            masks = [each.pop("sampling_mask") for each in (left, right)]
            assert (masks[0] is None) == (masks[1] is None)
            for name in masks[1] or ():
                assert masks[0][name].dtype == np.int32
                assert masks[0][name].tolist() == masks[1][name].tolist()
            assert left == right
            assert isinstance(mine.finish_reason, FinishReason)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(groups(), max_size=4))
def test_round_trip_is_exact(written: list[Group]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_journal(journal_path(Path(folder), "train", 3), written)
        assert_identical(read_journal(Path(folder), "train", 3), written)


def group(name: str, samples: int = 2) -> Group:
    problem = Problem(name, f"text of {name}", "7", columns={"level": 3})
    return Group(
        problem,
        [
            Rollout(
                problem_id=name,
                step=1,
                sample=sample,
                seed=sample,
                tokens=np.array([5, 6, 7], np.int32),
                sampled=np.array([False, True, True]),
                logprobs=np.array([0, -0.5, -0.25], np.float32),
                versions=np.array([-1, 0, 0], np.int32),
                text="67",
                finish_reason=FinishReason.STOP,
                temperature=0.8,
            )
            for sample in range(samples)
        ],
        [Verdict(Status.CORRECT, 1.0, "equal", "7", {"math": 1.0}, 0.25, true_steps=True)] * samples,
    )


def test_two_groups_of_one_problem_stay_two(tmp_path: Path) -> None:
    write_journal(journal_path(tmp_path, "train", 1), [group("a", 3), group("a", 1)])
    assert [len(each.rollouts) for each in read_journal(tmp_path, step=1)] == [3, 1]


def test_all_steps_come_in_order_and_kinds_apart(tmp_path: Path) -> None:
    for step in (10, 2, 1_000_000, 999_999):
        write_journal(journal_path(tmp_path, "train", step), [group(str(step))])
    write_journal(journal_path(tmp_path, "heldout", 2), [group("held out")])
    assert [each.problem.id for each in read_journal(tmp_path)] == ["2", "10", "999999", "1000000"]
    assert [each.problem.id for each in read_journal(tmp_path, "heldout")] == ["held out"]


def test_others_read_it_as_an_ordinary_table(tmp_path: Path) -> None:
    path = journal_path(tmp_path, "train", 12)
    assert path == tmp_path / "journal" / "train" / "step_000012.parquet"
    unreached = group("b", 1)
    unreached.verdicts = [Verdict(Status.TIMEOUT, None, "killed after 5 s")]
    said = np.array([0, -1, -2], np.float32)
    learned = [
        [
            UpdateRecord(None, np.array([0, 0.5, 0.5], np.float32), said, -said, said**2),
            UpdateRecord("no advantage", np.array([0, -0.75, -0.25], np.float32)),
        ],
        [UpdateRecord("no verdict")],
    ]
    write_journal(path, [group("a"), unreached], learned)
    rows = pq.read_table(path).to_pylist(maps_as_pydicts="strict")
    assert [row["advantage"] for row in rows] == [0.5, -0.5, None]
    assert [row["status"] for row in rows] == ["correct", "correct", "timeout"]
    assert [row["reward"] for row in rows] == [1.0, 1.0, None]
    assert rows[1] == {
        "group": 0,
        "step": 1,
        "problem_id": "a",
        "problem": "text of a",
        "answer": "7",
        "solution": None,
        "columns": '{"level": 3}',
        "sample": 1,
        "seed": 1,
        "text": "67",
        "tokens": [5, 6, 7],
        "sampled": [False, True, True],
        "logprobs": [0.0, -0.5, -0.25],
        "versions": [-1, 0, 0],
        "finish_reason": "stop",
        "temperature": 0.8,
        "prompt_end": "",
        "sampling_mask_ids": None,
        "sampling_mask_sizes": None,
        "status": "correct",
        "reward": 1.0,
        "reason": "equal",
        "extracted": "7",
        "parts": {"math": 1.0},
        "check_seconds": 0.25,
        "rule": None,
        "true_steps": True,
        "advantage": -0.5,
        "left_out": "no advantage",
        "advantages": [0.0, -0.75, -0.25],
        "learner_logprobs": None,
        "entropies": None,
        "corrections": None,
    }
    assert rows[0]["learner_logprobs"] == [0.0, -1.0, -2.0]
    assert rows[0]["entropies"] == [0.0, 1.0, 2.0]
    assert rows[0]["corrections"] == [0.0, 1.0, 4.0]
    assert [row["left_out"] for row in rows] == [None, "no advantage", "no verdict"]


def test_a_journal_without_what_was_learned_is_read(tmp_path: Path) -> None:
    """That of an earlier version."""
    path = journal_path(tmp_path, "train", 1)
    write_journal(path, [group("a")])
    pq.write_table(pq.read_table(path).drop_columns([*LEARNED, *LATER]), path)
    older = group("a")
    older.verdicts = [replace(verdict, true_steps=None) for verdict in older.verdicts]
    assert_identical(read_journal(tmp_path), [older])


def test_columns_that_json_does_not_know_are_kept_as_text_or_numbers(tmp_path: Path) -> None:
    odd = group("a")
    odd.problem = replace(
        odd.problem, columns={"day": date(2024, 2, 29), "n": np.int64(3), "v": np.array([1.5, 2])}
    )
    write_journal(journal_path(tmp_path, "train", 1), [odd])
    assert read_journal(tmp_path)[0].problem.columns == {"day": "2024-02-29", "n": 3, "v": [1.5, 2.0]}


def test_arrays_that_were_read_can_be_written_to(tmp_path: Path) -> None:
    write_journal(journal_path(tmp_path, "train", 1), [group("a")])
    first, second = read_journal(tmp_path)[0].rollouts
    first.tokens[:] = 0
    assert second.tokens.tolist() == [5, 6, 7]


def test_a_verdict_too_few_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    short = group("a")
    short.verdicts = short.verdicts[:1]
    with pytest.raises(ValueError, match="zip"):
        write_journal(journal_path(tmp_path, "train", 1), [short])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_truncate_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "metrics.jsonl")
    for step in range(5):
        sink.log(step, {"train/reward": step / 2})
        write_journal(journal_path(tmp_path, "train", step), [group(str(step))])
        write_journal(journal_path(tmp_path, "heldout", step), [group(str(step))])
    sink.log(2, {"heldout/pass@1": 0.5})  # lines need not be in order
    sink.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 1, "half')
    truncate(tmp_path, after_step=2)
    for kind in ("train", "heldout"):
        assert [each.problem.id for each in read_journal(tmp_path, kind)] == ["0", "1", "2"]
    assert list(read_metrics(tmp_path / "metrics.jsonl")) == [0, 1, 2]
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2, 2]


def test_truncate_of_a_run_that_recorded_nothing(tmp_path: Path) -> None:
    truncate(tmp_path, after_step=0)
    assert list(tmp_path.iterdir()) == []


def test_truncate_removes_what_was_half_written_and_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    path = _a_journal(tmp_path)
    half = [tmp_path / ".metrics.jsonl.12.tmp", path.with_name(".step_000001.parquet.12.tmp")]
    others = [tmp_path / ".hidden", path.with_name("step_by_hand.parquet"), path]
    for each in (*half, *others[:2]):
        each.write_text("x")
    truncate(tmp_path, after_step=0)
    assert not any(each.exists() for each in half)
    assert all(each.exists() for each in others)
    assert len(read_journal(tmp_path)) == 1


@pytest.mark.parametrize("line", [b'{"step": 2, "a": 1', b"\0" * 20, b"[]"])
def test_a_broken_line_of_metrics_is_named_before_anything_is_removed(tmp_path: Path, line: bytes) -> None:
    _a_journal(tmp_path)
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 3}\n')
    before = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()}
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 2 .*changed: repair or remove that line"):
        truncate(tmp_path, after_step=-1)
    assert {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file()} == before


def test_a_journal_with_another_byte_in_it_is_named_or_reads_the_same(tmp_path: Path) -> None:
    path = _a_journal(tmp_path)
    whole, written = path.read_bytes(), read_journal(tmp_path)
    named = 0
    places = range(4, len(whole) - 8, len(whole) // 60)
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            assert_identical(read_journal(tmp_path), written)
        except DataError as error:
            named += str(path) in str(error)
    assert named > len(places) // 2


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no heldout journal"):
        read_journal(tmp_path, "heldout")
    with pytest.raises(DataError, match="has no train journal of step 7"):
        read_journal(tmp_path, step=7)
    path = journal_path(tmp_path, "train", 7)
    path.parent.mkdir(parents=True)
    path.write_text(string.ascii_letters)
    with pytest.raises(DataError, match=r"step_000007\.parquet cannot be read"):
        read_journal(tmp_path, step=7)
    pq.write_table(pq.read_table(_a_journal(tmp_path / "other")).drop_columns(["seed"]), path)
    with pytest.raises(DataError, match="no column seed"):
        read_journal(tmp_path, step=7)


def _a_journal(folder: Path) -> Path:
    path = journal_path(folder, "train", 0)
    write_journal(path, [group("a")])
    return path


def test_there_are_two_kinds(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="train, heldout"):
        journal_path(tmp_path, "test", 1)


def test_a_journal_from_before_steps_were_looked_at_says_nothing_of_them(tmp_path: Path) -> None:
    path = _a_journal(tmp_path)
    assert [verdict.true_steps for verdict in read_journal(tmp_path, step=0)[0].verdicts] == [True, True]
    pq.write_table(pq.read_table(path).drop_columns(["true_steps"]), path)
    assert [verdict.true_steps for verdict in read_journal(tmp_path, step=0)[0].verdicts] == [None, None]
