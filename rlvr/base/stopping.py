"""The user's request to stop, by a signal."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any, Self

AT_ONCE = 0.5  # seconds within which repeated signals count as one


class StopRequest:
    """Turns the first SIGINT or SIGTERM into a flag, so that a stage can save; the second ends at once.

    A signal within AT_ONCE of the first counts as the first: `timeout` signals the process, then its group.
    As a context manager it restores the previous signal handlers.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._since = 0.0
        self._before: dict[int, Any] = {
            number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)
        }

    def __bool__(self) -> bool:
        return self.signal is not None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._since = number, now
        elif now - self._since > AT_ONCE:
            raise KeyboardInterrupt

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
