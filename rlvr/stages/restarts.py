"""Restarting a stage from its last checkpoint when a process died that it cannot replace alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from rlvr.base.processes import DEATHS
from rlvr.cluster.ray_cluster import revive
from rlvr.stages.stage import StageInput
from rlvr.types import WorkerDied

Result = TypeVar("Result")


def run_surviving(runner: Callable[[StageInput], Result], stage: StageInput) -> Result:
    """Run a stage. If a process dies, all are restarted and the stage resumes from its last checkpoint.

    Raises:
        WorkerDied: processes died `DEATHS` + 1 times in a row with nothing new recorded in between.
    """
    deaths, before = 0, _recorded(stage)
    while True:
        try:
            return runner(stage)
        except WorkerDied as died:
            now = _recorded(stage)
            deaths = deaths + 1 if now == before else 1
            before = now
            if deaths > DEATHS:
                raise
            revive(stage.config.cluster)
            print(
                f"\nrlvr: {str(died).splitlines()[0]} The stage resumes from its last checkpoint",
                file=sys.stderr,
            )


def _recorded(stage: StageInput) -> set[str]:
    """Names of the checkpoints and of the journal's files."""
    return {path.name for pattern in ("checkpoints/*", "journal/*/*") for path in stage.folder.glob(pattern)}
