"""A step is drawn again from its groups alone: the same are kept, for the same reasons, in as many rounds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_collector import FILTERS, Table, collector

from rlvr.record.journal import journal_path, read_journal, write_journal
from rlvr.stages.checkpoints import Checkpoints
from rlvr.stages.resume import (
    forget_unevaluated,
    keep_unevaluated,
    last_recorded,
    redrawn,
    remember_settings,
    take_unevaluated,
)
from rlvr.types import Group

CHANCE = {"chance": {"_target_": f"{__name__}.by_chance"}}
FILTER_SETS = [
    {},
    {"informative": {"_target_": f"{FILTERS}.informative"}},
    {"between": {"_target_": f"{FILTERS}.accuracy_between"}, **CHANCE},
]


def by_chance(group: Group, random: np.random.Generator) -> Group | None:
    """Leaves out every third group, and of the others some of their rollouts."""
    if random.random() < 1 / 3:
        return None
    kept = sorted(random.permutation(len(group.rollouts))[:2])
    return Group(group.problem, [group.rollouts[i] for i in kept], [group.verdicts[i] for i in kept])


def table_of(seed: int) -> Table:
    """Verdicts of easy, hard and impossible problems; some checks come to no end."""

    def reward(problem: str, sample: int) -> float | None:
        random = np.random.default_rng([seed, int(problem[1:]), sample])
        if random.random() < 0.1:
            return None
        return 1.0 if random.random() < [0.0, 0.2, 0.9][int(problem[1:]) % 3] else -1.0

    return reward


@given(
    st.integers(0, 10**6),
    st.sampled_from(FILTER_SETS),
    st.integers(1, 6),
    st.sampled_from([None, 3, 4, 8]),
    st.integers(4, 14),
)
def test_a_step_is_drawn_again_from_its_groups(
    seed: int, filters: dict[str, object], rounds: int, most: int | None, problems: int
) -> None:
    settings = {"filters": filters, "max_rounds": rounds, "max_group_size": most}
    draw, _ = collector(table_of(seed), problems=problems, **settings)
    draw.submit_ready(0)
    once = draw.take(1)
    again = redrawn(draw.config, draw.settings, once.groups, 1)
    assert again == replace(once, generate_seconds=0.0, reward_seconds=0.0)


@pytest.mark.parametrize("filters", FILTER_SETS)
def test_the_journal_holds_all_that_is_needed(tmp_path: Path, filters: dict[str, object]) -> None:
    draw, _ = collector(table_of(7), filters=filters, max_rounds=4, max_group_size=6)
    draw.submit_ready(0)
    once = draw.take(1)
    write_journal(journal_path(tmp_path, "train", 1), once.groups)
    again = redrawn(draw.config, draw.settings, read_journal(tmp_path, "train", 1), 1)
    assert again.rounds == once.rounds
    assert again.dropped == once.dropped
    for one, other in zip(again.kept, once.kept, strict=True):
        assert one.problem.id == other.problem.id
        assert [r.sample for r in one.rollouts] == [r.sample for r in other.rollouts]
        assert one.verdicts == other.verdicts


def test_steps_that_were_made_with_other_settings_are_not_done_again(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    stage: Any = SimpleNamespace(folder=tmp_path, model_path=str(tmp_path / "model"))
    slow, fast = (Checkpoints(tmp_path, {}, cast(Any, None), settings={"lr": lr}) for lr in (1e-6, 1e-5))
    draw, _ = collector(table_of(0))
    draw.submit_ready(0)
    groups = draw.take(1).groups
    for step in range(1, 7):
        write_journal(journal_path(tmp_path, "train", step), groups)
    (tmp_path / "metrics.jsonl").write_text("".join(f'{{"step": {step}}}\n' for step in range(7)))

    assert last_recorded(stage, slow, 2) == 2  # nobody knows with what the others were made
    remember_settings(stage, slow, -1)
    assert [last_recorded(stage, slow, step) for step in (-1, 2, 5)] == [6, 6, 6]
    # a resume at step 4 changes a setting, and steps 5 and 6 are made with it
    assert last_recorded(stage, fast, 4) == 4
    remember_settings(stage, fast, 4)
    assert [last_recorded(stage, fast, step) for step in (4, 5)] == [6, 6]
    assert last_recorded(stage, slow, 4) == 4
    remember_settings(stage, fast, 6)  # one that changes nothing
    # the checkpoint of step 4 is damaged: steps 3 and 4 were made with the old value
    assert last_recorded(stage, fast, 2) == 2
    remember_settings(stage, fast, 2)
    assert last_recorded(stage, fast, 2) == 6


def test_a_step_whose_evaluation_was_interrupted_keeps_its_other_metrics(tmp_path: Path) -> None:
    stage: Any = SimpleNamespace(folder=tmp_path)
    lines = tmp_path / "metrics.jsonl"
    lines.write_text('{"step": 3}\n')
    assert take_unevaluated(stage, 4) is None
    keep_unevaluated(stage, 4, {"loss": 0.1 + 0.2, "gap": np.float32(0.1), "none": np.nan})
    for _ in range(2):  # the evaluation may be interrupted again
        kept = take_unevaluated(stage, 4)
        assert kept is not None
        assert np.isnan(kept.pop("none"))
        assert kept == {"loss": 0.1 + 0.2, "gap": float(np.float32(0.1))}
    forget_unevaluated(stage)
    assert take_unevaluated(stage, 4) is None


@pytest.mark.parametrize(
    ("recorded", "lines"),
    [
        (3, '{"step": 3}\n'),  # its checkpoint was not saved, or is damaged
        (4, '{"step": 3}\n{"step": 4}\n'),  # the process was killed once its line was written
    ],
)
def test_what_was_kept_of_a_step_is_forgotten_where_it_is_of_no_use(
    tmp_path: Path, recorded: int, lines: str
) -> None:
    stage: Any = SimpleNamespace(folder=tmp_path)
    keep_unevaluated(stage, 4, {"loss": 1.0})
    (tmp_path / "metrics.jsonl").write_text(lines)
    assert take_unevaluated(stage, recorded) is None
    (tmp_path / "metrics.jsonl").write_text('{"step": 3}\n')
    assert take_unevaluated(stage, 4) is None
