"""A stage that goes on by itself from what it has on disk, where a process died that it cannot replace."""

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
    """Run a stage; all its processes are started anew, at its last checkpoint, if one of them dies.

    Raises:
        WorkerDied: this has happened again and again, and nothing new was recorded between.
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
                f"\nrlvr: {str(died).splitlines()[0]} The stage goes on from its last checkpoint",
                file=sys.stderr,
            )


def _recorded(stage: StageInput) -> set[str]:
    """Names of the checkpoints and of the journal's files."""
    return {path.name for pattern in ("checkpoints/*", "journal/*/*") for path in stage.folder.glob(pattern)}
