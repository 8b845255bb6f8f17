"""Logging of metrics: to metrics.jsonl, which must succeed, and to trackers, which may fail."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from rlvr.base.closing import Closing
from rlvr.base.disk import disk_errors
from rlvr.base.files import atomic_write
from rlvr.base.targets import resolve
from rlvr.record.config import RecordConfig
from rlvr.record.trackers import TrackedStage
from rlvr.record.trackers.named import KEY, named_trackers
from rlvr.record.trackers.samples import pick_samples
from rlvr.record.trackers.thread import CLOSE_SECONDS, TrackerThread
from rlvr.types import DataError, Group


class JsonLines:
    """metrics.jsonl: one line per call, on disk when `log` returns. A failed write is an error.

    Non-finite values are written as null, so that the file is valid JSON. Opening an existing file removes
    an incomplete last line, which a crash or a full disk may have left, and appends.
    """

    def __init__(self, path: Path) -> None:
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # unbuffered, so that closing the file does not retry a failed write
            self._path, self._file = path, path.open("ab+", buffering=0)
            self._file.seek(0)
            self._file.truncate(self._file.read().rfind(b"\n") + 1)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append a line. Raises DiskError if it cannot be written; a partial line is removed."""
        if "step" in metrics:
            raise ValueError("a metric cannot be named step: that is the key of the line")
        numbers = {name: float(value) for name, value in metrics.items()}
        line = {"step": step} | {
            name: value if math.isfinite(value) else None for name, value in numbers.items()
        }
        rest = json.dumps(line, allow_nan=False).encode() + b"\n"
        end = self._file.seek(0, os.SEEK_END)
        with disk_errors(self._path):
            try:
                while rest:
                    rest = rest[self._file.write(rest) :]
                os.fsync(self._file.fileno())
            except OSError:
                self._file.truncate(end)
                raise

    def close(self) -> None:
        self._file.close()


class MetricLog(Closing):
    """metrics.jsonl of a stage, and its trackers.

    `path` is the stage's folder, `run` the run's folder (by default its parent), `run_config` the resolved
    configuration. Only writing metrics.jsonl can fail or block the run.
    """

    def __init__(
        self, path: Path, config: RecordConfig, run_config: Mapping[str, Any], run: Path | None = None
    ) -> None:
        self._record = JsonLines(path / "metrics.jsonl")
        self._shown = config.samples
        stage = TrackedStage(path.absolute(), (run or path.parent).absolute(), run_config)
        self._trackers = [
            TrackerThread(name, partial(resolve(target, KEY), stage=stage, **arguments))
            for name, target, arguments in named_trackers(config.trackers, config.wandb_project)
        ]

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Log the metrics of a step. Raises DiskError if metrics.jsonl cannot be written."""
        self._record.log(step, metrics)
        for tracker in self._trackers:
            tracker.log(step, metrics)

    def samples(self, step: int, kind: str, groups: Sequence[Group]) -> None:
        """Send some rollouts of a step (`kind` train) or an evaluation (heldout) to the trackers."""
        if not (self._trackers and self._shown and groups):
            return
        rows = pick_samples(groups, self._shown)
        for tracker in self._trackers:
            tracker.samples(step, kind, rows)

    def close(self) -> None:
        """Close the log, waiting at most CLOSE_SECONDS for all trackers together."""
        self._record.close()
        for tracker in self._trackers:
            tracker.end()
        until = monotonic() + CLOSE_SECONDS
        for tracker in self._trackers:
            tracker.join(until)
        self._trackers = []


Steps = dict[int, dict[str, float | None]]  # step → its metrics; None: not finite


def stage_metrics(folder: Path) -> Steps:
    """`read_metrics` of the stage in `folder`; empty if it has logged none."""
    path = folder / "metrics.jsonl"
    return read_metrics(path) if path.exists() else {}


def read_metrics(path: Path) -> Steps:
    """Step → metrics of all lines of that step, in the order of steps. None stands for a non-finite value.

    Raises DataError if the file does not exist or a line is broken. An incomplete last line, which a crash
    may leave, is ignored.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; give the folder of a run or of one of its stages") from None
    steps: Steps = {}
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        step, metrics = metrics_of(path, number, line)
        steps.setdefault(step, {}).update(metrics)
    return dict(sorted(steps.items()))


def metrics_of(path: Path, number: int, line: bytes) -> tuple[int, dict[str, float | None]]:
    """The step and the metrics of line `number` of the file `path`. Raises DataError if it is broken."""
    try:
        metrics = json.loads(line)
        step = metrics.pop("step")
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise DataError(f"{path}, line {number} is not a line of metrics: {line[:80]!r}") from error
    if not isinstance(step, int):
        raise DataError(f"{path}, line {number} is not a line of metrics: its step is {str(step)[:80]!r}")
    for name, value in metrics.items():
        if value is not None and not isinstance(value, int | float):
            raise DataError(f"{path}, line {number}: {name[:80]!r} is no number: {str(value)[:80]!r}")
    return step, metrics


def truncate_metrics(path: Path, after_step: int) -> None:
    """Remove the lines of steps after `after_step`, and an incomplete last line. The file may be missing.

    Raises DataError for a broken line; the file is not changed then.
    """
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        steps = [metrics_of(path, number, line)[0] for number, line in enumerate(lines, start=1)]
    except DataError as error:
        raise DataError(f"{error}. Nothing was changed: repair or remove that line, then resume") from error
    kept = [line + b"\n" for line, step in zip(lines, steps, strict=True) if step <= after_step]
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"".join(kept))
