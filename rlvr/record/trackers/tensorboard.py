"""TensorBoard event files, written without torch."""

from __future__ import annotations

import html
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.metadata import create_summary_metadata
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from rlvr.record.trackers import Sample, TrackedStage

MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$])")


class TensorBoard:
    """Event files in the stage's folder `tensorboard`.

    If a resumed run repeats steps, TensorBoard hides the earlier points of these steps.
    """

    def __init__(self, stage: TrackedStage) -> None:
        path = stage.folder / "tensorboard"
        path.mkdir(parents=True, exist_ok=True)
        self._resumed = any(path.glob("events.*"))
        # not EventFileWriter: it writes in a thread of its own, where a full disk goes unnoticed
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._file = (path / name).open("wb", buffering=0)
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self._summary(
            step, [Summary.Value(tag=name, simple_value=float(number)) for name, number in metrics.items()]
        )

    def samples(self, step: int, kind: str, rows: Sequence[Sample]) -> None:
        table = [
            Sample._fields,
            ["---"] * len(Sample._fields),
            *([_shown(cell) for cell in row] for row in rows),
        ]
        text = "\n".join(f"| {' | '.join(row)} |" for row in table)
        metadata = create_summary_metadata(display_name="", description="")
        tensor = make_tensor_proto([text.encode()])
        self._summary(step, [Summary.Value(tag=f"samples/{kind}", metadata=metadata, tensor=tensor)])

    def close(self) -> None:
        self._file.close()

    def _summary(self, step: int, values: list[Summary.Value]) -> None:
        if self._resumed:
            self._write(step=step, session_log=SessionLog(status=SessionLog.START))
            self._resumed = False
        self._write(step=step, summary=Summary(value=values))

    def _write(self, **event: Any) -> None:
        self._records.write(Event(wall_time=time.time(), **event).SerializeToString())


def _shown(cell: str | float | None) -> str:
    """A cell of a Markdown table, with all markup in it escaped."""
    text = "–" if cell is None else str(cell)
    return MARKUP.sub(r"\\\1", html.escape(" ⏎ ".join(text.splitlines()), quote=False))
