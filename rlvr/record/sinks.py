"""Where metrics go: metrics.jsonl, which is the record, and trackers beside it, which may fail."""

from __future__ import annotations

import json
import logging
import math
import os
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from rlvr.record.config import RecordConfig
from rlvr.record.run_folder import atomic_write
from rlvr.types import DataError

logger = logging.getLogger(__name__)


class Sink(Protocol):
    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    """metrics.jsonl: a line per call, on disk when `log` returns. A write that fails is an error.

    Values that are not finite are written as null, so that the file stays JSON. Opening it again
    drops the half line that a crash may have left, and appends.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+")
        self._file.seek(0)
        self._file.truncate(self._file.read().rfind(b"\n") + 1)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        if "step" in metrics:
            raise ValueError("a metric cannot be named step: that is the key of the line")
        numbers = {name: float(value) for name, value in metrics.items()}
        line = {"step": step} | {
            name: value if math.isfinite(value) else None for name, value in numbers.items()
        }
        self._file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class TensorBoard:
    """TensorBoard event files in `path`, written without torch.

    A step below those of earlier files (a resumed run) makes TensorBoard hide the points from it on.
    """

    def __init__(self, path: Path) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event = event_pb2.Event
        self._session = event_pb2.SessionLog
        self._summary = summary_pb2.Summary
        self._resumed = any(path.glob("events.*"))
        self._writer = EventFileWriter(str(path))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        if self._resumed:
            restart = self._session(status=self._session.START)
            self._writer.add_event(self._event(wall_time=time.time(), step=step, session_log=restart))
            self._resumed = False
        values = [self._summary.Value(tag=name, simple_value=float(value)) for name, value in metrics.items()]
        summary = self._summary(value=values)
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=summary))
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandB:
    """A Weights & Biases run under `path`/wandb, continued under the same run id when opened again.

    It is offline, and no connection is tried, unless WANDB_API_KEY is set; `wandb sync` uploads an
    offline run later. Steps are a metric of their own, because W&B drops values whose step is
    lower than one it has seen, which is what a resumed run sends.
    """

    def __init__(self, path: Path, project: str, config: Mapping[str, Any]) -> None:
        online = bool(os.environ.get("WANDB_API_KEY"))
        if not online:
            # W&B calls home with its own telemetry even when offline, and waits for an answer; it has no
            # setting for this but the environment.
            os.environ["WANDB_ERROR_REPORTING"] = "false"
        import wandb

        path.mkdir(parents=True, exist_ok=True)
        id_file = path / "wandb_id"
        if not id_file.exists():
            with atomic_write(id_file) as temporary:
                temporary.write_text(secrets.token_hex(4))
        self._run = wandb.init(
            project=project,
            dir=str(path),
            id=id_file.read_text(),
            name=f"{path.parent.name}/{path.name}",
            group=path.parent.name,
            config=dict(config),
            mode=None if online else "offline",
            resume="allow",
            reinit="create_new",
            # Nobody waits longer than this for a server that does not answer.
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=30,
                finish_timeout=30,
                finish_timeout_raises=True,
            ),
        )
        self._run.define_metric("*", step_metric="step")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._run.log({"step": step, **metrics})

    def close(self) -> None:
        self._run.finish()


class MetricLog:
    """All sinks of one stage. A tracker that fails is named in one warning and then left out.

    `path` is the stage's folder, `run_config` the resolved configuration for trackers that show it.
    """

    def __init__(self, path: Path, config: RecordConfig, run_config: Mapping[str, Any]) -> None:
        self._record = JsonLines(path / "metrics.jsonl")
        self._trackers: dict[str, Sink] = {}
        openers: dict[str, Callable[[], Sink]] = {
            "tensorboard": lambda: TensorBoard(path / "tensorboard"),
            "wandb": lambda: WandB(path, config.wandb_project, run_config),
        }
        for name in config.trackers:
            try:
                self._trackers[name] = openers[name]()
            except _failures() as error:
                _warn(name, error)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._record.log(step, metrics)
        for name, tracker in list(self._trackers.items()):
            try:
                tracker.log(step, metrics)
            except _failures() as error:
                del self._trackers[name]
                _warn(name, error)

    def close(self) -> None:
        self._record.close()
        while self._trackers:
            name, tracker = self._trackers.popitem()
            try:
                tracker.close()
            except _failures() as error:
                _warn(name, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _failures() -> tuple[type[Exception], ...]:
    """What a tracker may fail with: disk and network, not being installed, and W&B's own errors."""
    wandb = sys.modules.get("wandb")
    return (OSError, ImportError) if wandb is None else (OSError, ImportError, wandb.Error)


def _warn(tracker: str, error: Exception) -> None:
    logger.warning(
        "%s failed and gets no more metrics; the run goes on, and metrics.jsonl has them all (%s: %s)",
        tracker,
        type(error).__name__,
        error,
    )


def read_metrics(path: Path) -> dict[int, dict[str, float | None]]:
    """Step → its metrics, of all lines of that step, in the order of steps. None was not finite.

    Raises DataError when there is no such file or a line is broken; half a line at the end, which a
    crash may leave, is passed over.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; give the folder of a run or of one of its stages") from None
    steps: dict[int, dict[str, float | None]] = {}
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            metrics = json.loads(line)
            steps.setdefault(metrics.pop("step"), {}).update(metrics)
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise DataError(f"{path}, line {number} is not a line of metrics: {line[:80]!r}") from error
    return dict(sorted(steps.items()))


def stage_path(run_path: Path, stage: str) -> Path:
    """The folder of `stage` in the run at `run_path`, or `run_path` if that has no such stage."""
    folder = run_path / stage
    return folder if (folder / "metrics.jsonl").exists() else run_path


def truncate_metrics(path: Path, after_step: int) -> None:
    """Remove the lines of steps after `after_step`, and half a line at the end; nothing if no file."""
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")[:-1]
    kept = [line + b"\n" for line in lines if json.loads(line)["step"] <= after_step]
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"".join(kept))
