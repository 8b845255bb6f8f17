"""Which problems a selection keeps, of groups that are in its journal already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from groups import group

from rlvr.base.stopping import StopRequest
from rlvr.pipeline.config import RunConfig
from rlvr.problems.files import from_file
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.record.journal import journal_path, write_journal
from rlvr.stages.select import run_select, selected
from rlvr.stages.stage import StageInput
from rlvr.types import ConfigError, Group, Problem, RlvrError

EVEN, UNEVEN = [4, 4, 4, 4], [1, 1, 1, 21]
PROBLEMS = [
    Problem("a", "1+1=?", "2", solution="2, of course", columns={"level": 1, "pass_rate": "old", "id": 7}),
    Problem("b", "1+2=?", "3"),
    Problem("c", "1+3=?", "4"),
]


def journaled(problem: Problem, rewards: Sequence[float | None], lengths: Sequence[int]) -> Group:
    made = group(rewards, problem.id, lengths)
    return Group(problem, made.rollouts, made.verdicts)


def stage_in(folder: Path, **select: Any) -> StageInput:
    """A selection whose two chunks were sampled: b is uneven, c has no verdict."""
    config = RunConfig(stages=["select"])
    config.select.chunk = 2
    for name, value in select.items():
        setattr(config.select, name, value)
    rewards = [1.0, -1.0, -1.0, None]
    chunks = [
        [journaled(PROBLEMS[0], rewards, EVEN), journaled(PROBLEMS[1], rewards, UNEVEN)],
        [journaled(PROBLEMS[2], [None] * 4, EVEN)],
    ]
    for number, groups in enumerate(chunks):
        write_journal(journal_path(folder, "train", number), groups)
    return StageInput(
        config.for_stages(),
        folder,
        "model",
        PROBLEMS,
        [],
        character_tokenizer(ALPHABET),
        cast(StopRequest, None),
        {},
        config.select,
    )


def complete(stage: StageInput) -> None:
    run_select(stage)
    selected(stage)


def kept_ids(stage: StageInput) -> list[str]:
    return [problem.id for problem in selected(stage) or []]


def filters(name: str, **options: float) -> dict[str, Any]:
    return {name: {"_target_": f"rlvr.algorithms.filters.{name}", **options}}


def test_problems_with_answers_of_like_length_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = stage_in(tmp_path)
    second = journal_path(tmp_path, "train", 1)
    content = second.read_bytes()
    second.unlink()
    assert selected(stage) is None  # not all are sampled yet
    assert not (tmp_path / "problems.jsonl").exists()
    second.write_bytes(content)
    complete(stage)
    assert kept_ids(stage) == ["a", "c"]
    said = capsys.readouterr().out
    assert "2 of 3 problems kept" in said
    assert "left out: 1 by uniform_lengths" in said


def test_what_is_kept_is_a_file_of_problems_with_what_was_found(tmp_path: Path) -> None:
    complete(stage_in(tmp_path))
    first, last = [json.loads(line) for line in (tmp_path / "problems.jsonl").read_text().splitlines()]
    assert first == {
        "id": "a",
        "problem": "1+1=?",
        "answer": "2",
        "solution": "2, of course",
        "level": 1,
        "pass_rate": pytest.approx(1 / 3),
        "length_variation": 0,
    }
    assert last["pass_rate"] is None  # unknown, which JSON has no number for
    again = from_file(str(tmp_path / "problems.jsonl"))
    assert [(p.id, p.text, p.answer, p.solution) for p in again] == [
        (p.id, p.text, p.answer, p.solution) for p in (PROBLEMS[0], PROBLEMS[2])
    ]


def test_all_filters_must_keep_a_problem_and_the_first_to_drop_it_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = filters("accuracy_between", low=0.1) | filters("uniform_lengths", max_variation=0.5)
    complete(stage_in(tmp_path, filters=both))
    assert kept_ids(stage_in(tmp_path, filters=both)) == ["a"]
    assert "left out: 1 by uniform_lengths, 1 by accuracy_between" in capsys.readouterr().out


def test_a_selection_that_keeps_nothing_says_which_filters_did_it(tmp_path: Path) -> None:
    with pytest.raises(RlvrError, match=r"leave none of 3 problems \(3 by accuracy_between\): loosen"):
        complete(stage_in(tmp_path, filters=filters("accuracy_between", low=0.9)))
    assert not (tmp_path / "problems.jsonl").exists()


def test_a_selection_that_is_too_small_for_a_step_says_so(tmp_path: Path) -> None:
    stage = stage_in(tmp_path)
    stage.least_problems = 3
    with pytest.raises(RlvrError, match=r"leave 2 of 3 problems .* rl\.problems_per_step=3"):
        complete(stage)


def test_groups_that_were_sampled_with_other_settings_are_not_gone_on_with(tmp_path: Path) -> None:
    complete(stage_in(tmp_path))
    complete(stage_in(tmp_path))
    other = stage_in(tmp_path)
    other.config.sampling.temperature = 0.7
    with pytest.raises(ConfigError, match=r"other settings \(temperature\): give the old values"):
        complete(other)
    other = stage_in(tmp_path, filters=filters("accuracy_between", low=0.1))
    complete(other)  # filters act on what is there
    assert kept_ids(other) == ["a", "b"]
