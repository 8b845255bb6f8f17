"""A judge's answers and the number of requests to it: shared by processes, kept over restarts."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

MAX_REPLY = 1500  # characters kept of a reply, since a link's target has at most 4095 bytes


class JudgeFolder:
    """A folder with a symbolic link for every answer and an empty file for every request.

    The processes of the reward service cannot write to files (RLIMIT_FSIZE is 0 there), so the target of a
    link holds the entry. A link is created atomically, and the first one is kept.
    """

    def __init__(self, path: Path) -> None:
        self.answers, self.requests = path / "answers", path / "requests"
        self._spent = 0  # all request numbers up to this one are taken

    def find(self, key: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(os.readlink(self.answers / key))
        except FileNotFoundError:
            return None
        return found

    def keep(self, key: str, score: int, reply: str) -> None:
        self.answers.mkdir(parents=True, exist_ok=True)
        kept = reply[-MAX_REPLY:]
        while len(entry := json.dumps({"score": score, "reply": kept})) > 4000:
            kept = kept[len(kept) // 4 + 1 :]
        with suppress(FileExistsError):
            os.symlink(entry, self.answers / key)

    def spend(self, most: int) -> bool:
        """Take the next request number, unless `most` are taken. Safe among processes."""
        self.requests.mkdir(parents=True, exist_ok=True)
        if not self._spent:
            self._spent = sum(1 for _ in os.scandir(self.requests))
        while self._spent < most:
            self._spent += 1
            with suppress(FileExistsError):
                os.close(os.open(self.requests / str(self._spent), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                return True
        return False
