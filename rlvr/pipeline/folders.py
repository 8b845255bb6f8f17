"""Where the work of a run's stages lies, and having such a folder for oneself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rlvr.base.stopping import StopRequest
from rlvr.pipeline.arms import SHARED, is_arm
from rlvr.pipeline.config import RunConfig
from rlvr.pipeline.graph import EVALUATION, Node
from rlvr.record.run_folder import RunFolder, RunFolderError
from rlvr.types import RunInterrupted, StallError

QUIET = 3600.0  # seconds without a sign of life of whoever has the folder, after which nobody waits on


@dataclass(frozen=True)
class Folders:
    """A stage's work lies in the run's folder, or under its key where other runs may use it."""

    run: Path
    shared: Path | None  # of all runs that need the same
    own: str | None = None  # the stage that is this run's alone, whatever else is shared

    @classmethod
    def of_run(cls, config: RunConfig, run: Path) -> Folders:
        """Arms of a sweep share all but their last stage, so that arms can be compared for their speed."""
        if config.artefacts is not None:
            return cls(run, Path(config.artefacts).absolute())
        return cls(run, run.parent / SHARED, config.stages[-1]) if is_arm(run) else cls(run, None)

    def shares(self, node: Node) -> bool:
        stage = node.model if node.kind == EVALUATION else node.name
        return self.shared is not None and stage != self.own

    def __getitem__(self, node: Node) -> Path:
        keyed = f"{node.name}-{node.key}"
        if self.shared is None or not self.shares(node):
            # answers of a model that has changed since are another evaluation's
            return self.run / (keyed if node.kind == EVALUATION else node.name)
        return self.shared / keyed


@contextmanager
def claimed(folder: Path, stop: StopRequest, quiet: float = QUIET, every: float = 0.5) -> Iterator[RunFolder]:
    """The folder as this process's own, once no other one has it.

    Raises:
        RunInterrupted: the user asked to stop.
        StallError: nothing in the folder has changed for `quiet` seconds, and it is still not free.
    """
    said = False
    since = time.time()
    while (own := _claim(folder, said)) is None:
        said = True
        if stop:
            raise RunInterrupted(f"stopped while waiting for {folder}; the same command goes on")
        since = max(since, *(path.stat().st_mtime for path in (folder, *_signs(folder)) if path.exists()))
        if time.time() - since > quiet:
            raise StallError(
                f"{folder} is another process's, which has written nothing for {quiet:.0f} seconds: see "
                f"{folder / 'run.lock'} for which one it is, stop it, and give the command again"
            )
        time.sleep(every)
    with own:
        yield own


def _claim(folder: Path, said: bool) -> RunFolder | None:
    try:
        return RunFolder(folder)
    except RunFolderError as error:
        if not said:
            print(f"waiting: {str(error).partition(';')[0]}", flush=True)
        return None


def _signs(folder: Path) -> list[Path]:
    """What changes in a stage's folder, or a run's, while it goes on."""
    return [
        *folder.glob("metrics.jsonl"),
        *folder.glob("*/metrics.jsonl"),
        *folder.glob("checkpoints"),
        *folder.glob("journal/*"),
    ]
