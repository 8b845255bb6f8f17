"""How long a check may take while others wait, before it is postponed."""

from __future__ import annotations

import math

LEAST = 0.25  # seconds; starting a new worker costs little in comparison
USUAL_CHECKS = 20  # a check is too long after this many times the usual duration
RECENT = 0.05  # weight of a check in the running mean, which covers about the last twenty
IN_VAIN = 8  # postponed in a row: then every new process is slow (while it imports, say), not the checks


class Patience:
    """The time after which a check is postponed, in seconds, from the durations of earlier checks.

    `deadline` is that of a check, in seconds.
    """

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._usual = 0.0  # seconds per check, a running mean
        self._in_vain = 0  # checks postponed since the last verdict

    @property
    def seconds(self) -> float:
        """Infinite if checks are not postponed: it would save little, or did not help lately."""
        seconds = max(LEAST, USUAL_CHECKS * self._usual)
        return math.inf if self._in_vain >= IN_VAIN or 2 * seconds > self._deadline else seconds

    def judged(self, seconds: float) -> None:
        """Record that a check had its verdict after this many `seconds`."""
        self._in_vain = 0
        self._usual += RECENT * (min(seconds, self._deadline) - self._usual)

    def put_off(self) -> None:
        """Record that a check was postponed."""
        self._in_vain += 1
