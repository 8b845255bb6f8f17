"""The runs that are shown, and what has been opened of them."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from rlvr.base.closing import Closing
from rlvr.record.journal import SCHEMA
from rlvr.record.runs import RunRecord, StageRecord, open_run
from rlvr.record.sinks import Steps, read_metrics
from rlvr.types import DataError
from rlvr.viewer.journal import Journal
from rlvr.viewer.rollout import describe
from rlvr.viewer.tokens import tokenizer_files

# Of a kind of rollouts, the first of these that the stage has is shown first.
FAVOURITES = {
    "train": ("train/reward", "train/accuracy", "train/loss", "journal/reward"),
    "heldout": ("heldout/pass@1", "journal/correct"),
}
OF_JOURNAL = {
    "journal/reward": "reward",
    "journal/correct": "correct",
    "journal/length": "length",
    "journal/gap": "gap",
}


class Library(Closing):
    """Reads the runs in `paths` and nothing else, and never writes to them.

    Journals are opened when they are first asked for. Raises DataError if a path is no run or has no
    rollouts to show.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self.paths = [Path(path) for path in paths]
        for path, run in zip(self.paths, self._open(), strict=True):
            if not any(stage.journals() for stage in run.stages):
                raise DataError(
                    f"{path} has no journal, so there are no rollouts to show; a run keeps them if it has "
                    "record.journal: true, from its first step on"
                )
        self._folder = tempfile.TemporaryDirectory(prefix="rlvr-view-")
        self._template = Path(self._folder.name).resolve() / "columns.parquet"
        pq.write_table(SCHEMA.empty_table(), self._template)
        self._connection = _connect(Path(self._folder.name))
        self._journals: dict[tuple[int, str, str], Journal] = {}
        self._opening = threading.Lock()

    def close(self) -> None:
        for journal in self._journals.values():
            journal.close()
        self._connection.close()
        self._folder.cleanup()

    def _open(self) -> list[RunRecord]:
        return [open_run(path) for path in self.paths]

    def runs(self) -> list[dict[str, Any]]:
        """The runs as they are now, with the stages and the kinds of rollouts of each."""
        return [
            {
                "name": run.name,
                "folder": str(run.folder),
                "stages": [{"name": stage.name, "kinds": stage.journals()} for stage in run.stages],
            }
            for run in self._open()
        ]

    def stage(self, run: int, stage: str) -> tuple[RunRecord, StageRecord]:
        if not 0 <= run < len(self.paths):
            raise DataError(f"there is no run {run}, only 0 to {len(self.paths) - 1}")
        record = open_run(self.paths[run])
        found = record.stage(stage)
        if found is None:
            there = ", ".join(stage.name for stage in record.stages)
            raise DataError(f"{record.name} has no stage {stage!r}; it has: {there}")
        return record, found

    def journal(self, run: int, stage: str, kind: str) -> Journal:
        with self._opening:
            if (run, stage, kind) not in self._journals:
                _, record = self.stage(run, stage)
                if kind not in record.journals():
                    raise DataError(f"stage {stage} has no {kind} journal")
                folder = record.folder.resolve() / "journal" / kind
                opened = Journal(self._connection, folder, len(self._journals), self._template)
                self._journals[run, stage, kind] = opened
            return self._journals[run, stage, kind]

    def rollout(self, run: int, stage: str, kind: str, step: int, row: int) -> dict[str, Any]:
        found = self.journal(run, stage, kind).rollout(step, row)
        return describe(found, kind, step, tokenizer_files(*self.stage(run, stage)))

    def curve(self, run: int, stage: str, kind: str, metric: str | None) -> dict[str, Any]:
        """The steps and values of `metric`, or of a favourite; and the names of all there are."""
        path = self.stage(run, stage)[1].folder / "metrics.jsonl"
        metrics: Steps = {}
        if path.exists():
            status = path.stat()
            metrics = _metrics(path, status.st_mtime_ns, status.st_size)
        names = sorted({name for values in metrics.values() for name in values}) + list(OF_JOURNAL)
        chosen = metric or next(name for name in FAVOURITES[kind] if name in names)
        if chosen not in names:
            raise DataError(f"{path} has no metric {chosen!r}; it has: {', '.join(names)}")
        if chosen in OF_JOURNAL:
            of_step = self.journal(run, stage, kind).steps()
            points = [(row["step"], row[OF_JOURNAL[chosen]]) for row in of_step]
        else:
            points = [(step, values[chosen]) for step, values in metrics.items() if chosen in values]
        return {
            "names": names,
            "metric": chosen,
            "steps": [step for step, _ in points],
            "values": [value for _, value in points],
        }


@lru_cache(maxsize=8)
def _metrics(path: Path, changed: int, size: int) -> Steps:
    return read_metrics(path)


def _connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """An empty database in memory, compressed, that never looks for extensions in the network."""
    connection = duckdb.connect(config={"temp_directory": str(folder), "autoinstall_known_extensions": False})
    connection.execute("ATTACH ':memory:' AS journals (COMPRESS)")
    return connection
