"""A file of a teacher's answers that stays readable after a crash and is locked against other writers."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rlvr.base.files import sync_folder
from rlvr.types import DataError, FinishReason, RlvrError


@dataclass(frozen=True)
class TeacherAnswer:
    """One answer as the endpoint returned it: text, without token ids."""

    problem_id: str
    sample: int
    text: str
    finish_reason: FinishReason  # LENGTH for all that was cut off (also by a content filter, say)
    completion_tokens: int | None  # None if the endpoint does not report it
    model: str | None  # name of the model as the endpoint reports it


class AnswerFile:
    """answers.jsonl: one line per answer, by the key of its request; on disk when `append` returns.

    Only the positions of the lines are kept in memory. Opening truncates an incomplete last line that a
    crash may have left, and locks the file until it is closed or the process ends.

    Raises DataError for a line that is no answer, and RlvrError when another process has the file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0
        try:
            self._open()
        except RlvrError:
            self.close()
            raise

    def _open(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RlvrError(f"{self.path} is being written to by another process; wait for it") from None
        with open(self._file, "rb", closefd=False) as lines:
            for number, line in enumerate(lines, 1):
                if line.endswith(b"\n"):
                    self._places.setdefault(self._key(line, number), (self._end, len(line)))
                    self._end += len(line)
        os.ftruncate(self._file, self._end)
        os.fsync(self._file)
        sync_folder(self.path.parent)

    def _key(self, line: bytes, number: int) -> str:
        try:
            row = json.loads(line)
            _answer(row)
            return str(row["key"])
        except (ValueError, LookupError, TypeError) as error:
            raise DataError(
                f"{self.path}, line {number} is no answer ({type(error).__name__}: {error}); remove that "
                "line, and the question is asked again"
            ) from error

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def read(self, key: str) -> TeacherAnswer:
        start, length = self._places[key]
        return _answer(json.loads(os.pread(self._file, length, start)))

    def append(self, key: str, answer: TeacherAnswer, finish_reason: str | None) -> None:
        """Write an answer, with the server's own `finish_reason`: whole, or not at all."""
        row = {"key": key, **asdict(answer), "server_finish_reason": finish_reason}
        line = json.dumps(row).encode() + b"\n"
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise RlvrError(
                f"{self.path} cannot be written: {error.strerror}; earlier answers are kept, and "
                "a rerun asks for the others only"
            ) from error
        self._places[key] = self._end, len(line)
        self._end += len(line)

    def close(self) -> None:
        os.close(self._file)


def _answer(row: Mapping[str, Any]) -> TeacherAnswer:
    return TeacherAnswer(
        row["problem_id"],
        row["sample"],
        row["text"],
        FinishReason(row["finish_reason"]),
        row["completion_tokens"],
        row["model"],
    )
