"""A stage that begins again by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rlvr.pipeline.config import RunConfig
from rlvr.stages.restarts import run_surviving
from rlvr.types import RlvrError, WorkerDied


@pytest.fixture(autouse=True)
def a_cluster_that_lives(ray_cluster: None) -> None:
    """Or it would be started again."""


def stage(folder: Path) -> Any:
    return SimpleNamespace(folder=folder, config=RunConfig())


def test_a_stage_goes_on_as_long_as_something_new_is_recorded_between(tmp_path: Path) -> None:
    """Ten deaths, with a checkpoint before every second one."""
    runs: Iterator[int] = iter(range(11))

    def runner(given: Any) -> str:
        number = next(runs)
        if number == 10:
            return "done"
        (given.folder / "checkpoints" / f"step_{number // 2}").mkdir(parents=True, exist_ok=True)
        raise WorkerDied("learner rank 0 died")

    assert run_surviving(runner, stage(tmp_path)) == "done"


def test_a_stage_that_dies_without_getting_on_is_given_up(tmp_path: Path) -> None:
    runs = []

    def runner(given: Any) -> None:
        runs.append(given)
        raise WorkerDied("learner rank 0 died")

    with pytest.raises(WorkerDied, match="learner rank 0 died"):
        run_surviving(runner, stage(tmp_path))
    assert len(runs) == 4


def test_another_failure_is_not_tried_again(tmp_path: Path) -> None:
    runs = []

    def runner(given: Any) -> None:
        runs.append(given)
        raise RlvrError("the loss is nan")

    with pytest.raises(RlvrError, match="nan"):
        run_surviving(runner, stage(tmp_path))
    assert len(runs) == 1
