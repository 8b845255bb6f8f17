"""Runs reward functions in processes that can be killed. Needs no Ray."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from types import TracebackType

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.counts import ServiceCounts
from rlvr.rewards.functions import check_ranges
from rlvr.rewards.queue import TaskQueue
from rlvr.rewards.tasks import Item, Task, sample_of
from rlvr.rewards.workers.supervisor import Judged, Supervisor
from rlvr.types import RlvrError, Verdict
from rlvr.verify.thoughts import MARKS

AHEAD = 4  # batches per worker that may be unfinished: being checked, or waiting for it
HELD = 1 << 16  # verdicts that may wait for one that comes before them


class RewardService:
    """Scores rollouts, or texts alone, in `config.workers` processes.

    with RewardService(RewardConfig(functions={"math": {"_target_": …}})) as service:
        verdicts = service.score([(problem, rollout_or_text), …])

    A check has `config.deadline` seconds of wall-clock time from the moment its worker begins it;
    then the worker is killed and replaced, and the verdict is a timeout; or the answer is wrong, where the
    function is one whose time the answer alone makes long (`wrong_when_late`): then the check is made again
    without that function. A worker that ends by itself makes
    the verdict of its sample crashed; one that a signal killed, only if that happens again when the sample
    is tried once more, alone, so that whoever kills processes from outside changes no verdict. Neither
    touches other samples: what else the worker had goes to others. Where several samples were in one call
    (of a function per batch, say), each is tried again alone first. A worker whose functions keep half of
    `memory_gib` is replaced between two samples; what ran out of memory in one that had checked others
    before is checked again in a new one. If the process that forks the workers is killed, there is a new
    one, and an error after `RESTARTS` with no verdict between. While others wait, a check that takes far
    longer than usual is ended and begun again after them, once. `niceness` lets other processes on the same
    cores go first. Not for use by several threads at once. Raises ConfigError when a setting is out of its
    range or a configured function cannot be loaded.
    """

    def __init__(self, config: RewardConfig, niceness: int = 0) -> None:
        check_ranges(config)
        self.config = config
        self.reached = 0  # verdicts so far
        self._thoughts = MARKS if config.thoughts is None else config.thoughts
        self._tickets = 0
        self._open: set[int] = set()  # tickets without a verdict that somebody waits for
        self._verdicts: dict[int, Verdict] = {}  # by ticket, until they are handed out
        self._queue = TaskQueue(config.batch)
        self._supervisor = Supervisor(config, niceness)

    def __enter__(self) -> RewardService:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def score(self, items: Iterable[Item]) -> list[Verdict]:
        """The verdict of every item, in the order of the items."""
        return list(self.stream(items))

    def stream(self, items: Iterable[Item]) -> Iterator[Verdict]:
        """The verdict of every item, in the order of the items, as they come.

        Takes items only as they are needed: no more than AHEAD · workers · batch are unfinished at
        any time, and no more than HELD verdicts wait for one before them. So an endless iterable
        will do, and a stuck check delays what is handed out, not the work on what comes after it.
        """
        if self._supervisor.closed:
            raise RlvrError("the reward service is closed; make a new one")
        return self._stream(iter(items))

    def counts(self) -> ServiceCounts:
        """What was done since the last call of `counts` or `counters`."""
        counts, self._supervisor.counts = self._supervisor.counts, ServiceCounts()
        return counts

    def counters(self) -> dict[str, float]:
        """`counts` in one number each, as `ServiceCounts.summary` says."""
        return self.counts().summary()

    def close(self) -> None:
        """End all processes. Safe to call again."""
        self._supervisor.close()

    def _stream(self, items: Iterator[Item]) -> Iterator[Verdict]:
        tickets: deque[int] = deque()  # taken and not handed out, in order
        own: set[int] = set()
        limit = AHEAD * self.config.workers * self.config.batch
        number, unfinished, more = 0, 0, True
        try:
            while more or tickets:
                while more and unfinished < limit and len(tickets) < HELD:
                    try:
                        item = next(items)
                    except StopIteration:
                        more = False
                        break
                    tickets.append(self._add(item, number))
                    number, unfinished = number + 1, unfinished + 1
                    own.add(tickets[-1])
                for _ in range(limit):  # and then a look at the workers, however much is ready
                    if not tickets or tickets[0] not in self._verdicts:
                        break
                    ticket = tickets.popleft()
                    own.discard(ticket)
                    yield self._verdicts.pop(ticket)
                if tickets:
                    self._turn(wait=tickets[0] in self._open)
                unfinished = len(own & self._open)
        finally:  # what nobody waits for any more is neither begun nor kept
            self._open -= own
            for ticket in own:
                self._queue.discard(ticket)
                self._verdicts.pop(ticket, None)

    def _add(self, item: Item, number: int) -> int:
        """Queue an item; its ticket."""
        sample = sample_of(item, number, self._supervisor.ready.asked, self._thoughts)
        self._tickets += 1
        self._open.add(self._tickets)
        self._queue.add(Task(self._tickets, sample, time.monotonic()))
        return self._tickets

    def _turn(self, wait: bool) -> None:
        """Give out what waits, `wait` for the next message, exit or deadline, and act on what there is."""
        if self._supervisor.closed:
            raise RlvrError("the reward service was closed before all verdicts were reached")
        for worker in self._supervisor.idle():
            first = self._queue.first
            if first is None:
                break
            if first.fresh and worker.used:
                self._supervisor.renew(worker)
            else:
                self._supervisor.give(worker, self._queue.take(self.config.workers))
        for event in self._supervisor.turn(wait, self._queue.pressing):
            task = event.task if isinstance(event, Judged) else event
            if task.ticket not in self._open:
                continue  # another try was first, or nobody waits for it any more
            if isinstance(event, Judged):
                self._finish(event)
            else:
                self._queue.add(event)

    def _finish(self, judged: Judged) -> None:
        task, verdict, began = judged
        self._open.remove(task.ticket)
        self._queue.discard(task.ticket)
        self._verdicts[task.ticket] = verdict
        self.reached += 1
        self._supervisor.counts.count(verdict, max(began - task.queued, 0.0))
