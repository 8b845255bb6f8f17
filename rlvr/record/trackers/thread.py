"""A tracker in a thread of its own: what it does, or fails to do, costs the run nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from threading import Thread
from time import monotonic

from rlvr.record.trackers import Sample, ShowsSamples, Tracker

logger = logging.getLogger(__name__)

LIMIT = 256  # calls that wait for a tracker; what comes then is left out
CLOSE_SECONDS = 5.0  # that the end of a stage waits for all of its trackers


class TrackerThread:
    """Hands calls on to a tracker, in order. None of its methods waits, but for `join`, or raises.

    `make` opens the tracker, in its thread too: a server that does not answer keeps nobody waiting. The
    thread is a daemon, so that a tracker which never returns does not keep the process alive.
    """

    def __init__(self, name: str, make: Callable[[], Tracker]) -> None:
        self.name = name
        self._calls: SimpleQueue[Callable[[Tracker], None] | None] = SimpleQueue()  # None is the end
        self._given = self._taken = 0
        self._failed = self._warned = False
        self._thread = Thread(target=self._work, args=(make,), name=f"tracker {name}", daemon=True)
        self._thread.start()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        copied = dict(metrics)  # the caller may go on with its own
        self._give(lambda tracker: tracker.log(step, copied))

    def samples(self, step: int, kind: str, rows: Sequence[Sample]) -> None:
        """Nothing for a tracker that shows no tables."""

        def show(tracker: Tracker) -> None:
            if isinstance(tracker, ShowsSamples):
                tracker.samples(step, kind, rows)

        self._give(show)

    def end(self) -> None:
        """Nothing comes any more: the tracker is to close when it has done what waits."""
        self._calls.put(None)

    def join(self, until: float) -> None:
        """Wait for the tracker to close until `until`, a time of `monotonic`; say what it has not done."""
        self._thread.join(max(until - monotonic(), 0.0))
        left = self._given - self._taken
        late = ", and did not close in time" if self._thread.is_alive() else ""
        if left or late:
            self._warn(
                f"is too slow: it lacks {left} of {self._given} steps and tables{late}; "
                "metrics.jsonl has all metrics"
            )

    def _warn(self, what: str) -> None:
        """Once: what follows from the first failure is no news."""
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
        # A tracker is code that is not ours, here for the user's convenience: it may raise whatever its
        # authors thought of, even SystemExit. There is nobody to hand it to in this thread, and the run is
        # worth more than any tracker: it is said once, and the run goes on.
        except BaseException as error:  # noqa: BLE001
            self._failed = True
            self._warn(
                "failed and gets no more metrics; the run goes on, and metrics.jsonl has them all "
                f"({type(error).__name__}: {error})"
            )
