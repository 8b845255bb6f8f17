"""The folders of a run's stages, and locks on them."""

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

QUIET = 3600.0  # seconds without a sign of life from the folder's holder, after which waiting ends


@dataclass(frozen=True)
class Folders:
    """A private stage's folder is in the run's folder; a shared one's name has the stage's key."""

    run: Path
    shared: Path | None  # the folder of shared stages
    own: str | None = None  # the stage that is private even if the others are shared

    @classmethod
    def of_run(cls, config: RunConfig, run: Path) -> Folders:
        """Arms of a sweep share all stages but the last, which is private so that speeds can be compared."""
        if config.artefacts is not None:
            return cls(run, Path(config.artefacts).absolute())
        return cls(run, run.parent / SHARED, config.stages[-1]) if is_arm(run) else cls(run, None)

    def shares(self, node: Node) -> bool:
        stage = node.model if node.kind == EVALUATION else node.name
        return self.shared is not None and stage != self.own

    def __getitem__(self, node: Node) -> Path:
        keyed = f"{node.name}-{node.key}"
        if self.shared is None or not self.shares(node):
            # after the model has changed, its evaluation goes to another folder
            return self.run / (keyed if node.kind == EVALUATION else node.name)
        return self.shared / keyed


@contextmanager
def claimed(folder: Path, stop: StopRequest, quiet: float = QUIET, every: float = 0.5) -> Iterator[RunFolder]:
    """Lock the folder for this process, after waiting until no other process holds it.

    It is tried every `every` seconds.

    Raises:
        RunInterrupted: the user asked to stop.
        StallError: nothing in the folder has changed for `quiet` seconds, and it is still locked.
    """
    said = False
    since = time.time()
    while (own := _claim(folder, said)) is None:
        said = True
        if stop:
            raise RunInterrupted(
                f"stopped while waiting for {folder}; run the same command again to continue"
            )
        since = max(since, *(path.stat().st_mtime for path in (folder, *_signs(folder)) if path.exists()))
        if time.time() - since > quiet:
            raise StallError(
                f"{folder} is locked by a process that has written nothing for {quiet:.0f} seconds: stop the "
                f"process named in {folder / 'run.lock'}, and run the command again"
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
    """Paths in a stage's or a run's folder that change while it runs."""
    return [
        *folder.glob("metrics.jsonl"),
        *folder.glob("*/metrics.jsonl"),
        *folder.glob("checkpoints"),
        *folder.glob("journal/*"),
    ]
