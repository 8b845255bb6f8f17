"""TensorBoard event files, written without torch."""

from __future__ import annotations

import html
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rlvr.record.trackers import Sample, TrackedStage

MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$])")


class TensorBoard:
    """Event files in the stage's folder `tensorboard`.

    If a resumed run repeats steps, TensorBoard hides the earlier points of these steps.
    """

    def __init__(self, stage: TrackedStage) -> None:
        from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._protos = {
            **vars(summary_pb2),
            "Event": event_pb2.Event,
            "SessionLog": event_pb2.SessionLog,
            "TensorProto": tensor_pb2.TensorProto,
            "TensorShapeProto": tensor_shape_pb2.TensorShapeProto,
        }
        path = stage.folder / "tensorboard"
        path.mkdir(parents=True, exist_ok=True)
        self._resumed = any(path.glob("events.*"))
        # not EventFileWriter: it writes in a thread of its own, where a full disk goes unnoticed
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self._file = (path / name).open("wb", buffering=0)
        self._records = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        value = self._protos["Summary"].Value
        self._summary(step, [value(tag=name, simple_value=float(number)) for name, number in metrics.items()])

    def samples(self, step: int, kind: str, rows: Sequence[Sample]) -> None:
        table = [
            Sample._fields,
            ["---"] * len(Sample._fields),
            *([_shown(cell) for cell in row] for row in rows),
        ]
        text = "\n".join(f"| {' | '.join(row)} |" for row in table)
        protos = self._protos
        metadata = protos["SummaryMetadata"](
            plugin_data=protos["SummaryMetadata"].PluginData(plugin_name="text"),
            data_class=protos["DATA_CLASS_TENSOR"],
        )
        tensor = protos["TensorProto"](
            dtype="DT_STRING",
            string_val=[text.encode()],
            tensor_shape=protos["TensorShapeProto"](dim=[protos["TensorShapeProto"].Dim(size=1)]),
        )
        value = protos["Summary"].Value(tag=f"samples/{kind}", metadata=metadata, tensor=tensor)
        self._summary(step, [value])

    def close(self) -> None:
        self._file.close()

    def _summary(self, step: int, values: list[Any]) -> None:
        if self._resumed:
            restart = self._protos["SessionLog"](status=self._protos["SessionLog"].START)
            self._write(step=step, session_log=restart)
            self._resumed = False
        self._write(step=step, summary=self._protos["Summary"](value=values))

    def _write(self, **event: Any) -> None:
        self._records.write(self._protos["Event"](wall_time=time.time(), **event).SerializeToString())


def _shown(cell: str | float | None) -> str:
    """A cell of a Markdown table, with all markup in it escaped."""
    text = "–" if cell is None else str(cell)
    return MARKUP.sub(r"\\\1", html.escape(" ⏎ ".join(text.splitlines()), quote=False))
