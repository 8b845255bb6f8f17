"""How long a check may take while others wait."""

from __future__ import annotations

import math

LEAST = 0.25  # seconds: what a new worker costs is little beside that
USUAL_CHECKS = 20  # so many times the usual is far longer than usual
RECENT = 0.05  # weight of a check in the running mean that says what is usual: the last twenty or so
IN_VAIN = 8  # in a row: then it is not the checks that are slow but every new process, while it imports, say


class Patience:
    """Seconds after which a check is put off, by what checks have taken so far.

    `deadline` is that of a check, in seconds.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._usual = 0.0  # seconds of a check, a running mean
        self._in_vain = 0  # checks put off since the last verdict

    @property
    def seconds(self) -> float:
        """Infinite where no check is put off: it would save little, or it was in vain lately."""
        seconds = max(LEAST, USUAL_CHECKS * self._usual)
        return math.inf if self._in_vain >= IN_VAIN or 2 * seconds > self._deadline else seconds

    def judged(self, seconds: float) -> None:
        """A check has its verdict, after so many seconds."""
        self._in_vain = 0
        self._usual += RECENT * (min(seconds, self._deadline) - self._usual)

    def put_off(self) -> None:
        """A check was put off."""
        self._in_vain += 1
