"""A tracker in a thread of its own, so that it can neither slow nor end the run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from threading import Thread
from time import monotonic

from rlvr.record.trackers import Sample, ShowsSamples, Tracker

logger = logging.getLogger(__name__)

LIMIT = 256  # most calls that wait for a tracker; further ones are dropped
CLOSE_SECONDS = 5.0  # timeout for all trackers together at the end of a stage


class TrackerThread:
    """Passes calls on to a tracker, in order. No method raises, and none but `join` blocks.

    `make` opens the tracker, also in the thread, so that a server that does not answer blocks nothing. The
    thread is a daemon, so that a tracker that never returns does not keep the process alive.
    """

    def __init__(self, name: str, make: Callable[[], Tracker]) -> None:
        self.name = name
        self._calls: SimpleQueue[Callable[[Tracker], None] | None] = SimpleQueue()  # None is the end
        self._given = self._taken = 0
        self._failed = self._warned = False
        self._thread = Thread(target=self._work, args=(make,), name=f"tracker {name}", daemon=True)
        self._thread.start()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        copied = dict(metrics)  # the caller may change its own
        self._give(lambda tracker: tracker.log(step, copied))

    def samples(self, step: int, kind: str, rows: Sequence[Sample]) -> None:
        """Ignored by trackers without a method `samples`."""

        def show(tracker: Tracker) -> None:
            if isinstance(tracker, ShowsSamples):
                tracker.samples(step, kind, rows)

        self._give(show)

    def end(self) -> None:
        """Close the tracker after the calls that wait; there must be no further ones."""
        self._calls.put(None)

    def join(self, until: float) -> None:
        """Wait for the tracker to close until `until`, a time of `monotonic`; warn if it has not finished."""
        self._thread.join(max(until - monotonic(), 0.0))
        left = self._given - self._taken
        late = ", and did not close in time" if self._thread.is_alive() else ""
        if left or late:
            self._warn(
                f"is too slow: it lacks {left} of {self._given} steps and tables{late}; "
                "metrics.jsonl has all metrics"
            )

    def _warn(self, what: str) -> None:
        """Log a warning, but only the first one."""
        if not self._warned:
            self._warned = True
            logger.warning("%s %s", self.name, what)

    def _give(self, call: Callable[[Tracker], None]) -> None:
        self._given += 1
        if not self._failed and self._calls.qsize() < LIMIT:
            self._calls.put(call)

    def _work(self, make: Callable[[], Tracker]) -> None:
        try:
            tracker = make()
            while (call := self._calls.get()) is not None:
                call(tracker)
                self._taken += 1
            tracker.close()
        # A tracker is third-party code and may raise anything, even SystemExit. The run is worth more than
        # any tracker: warn once, and continue.
        except BaseException as error:  # noqa: BLE001
            self._failed = True
            self._warn(
                "failed and gets no more metrics; the run continues, and metrics.jsonl has them all "
                f"({type(error).__name__}: {error})"
            )
