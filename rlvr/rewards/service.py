"""Runs reward functions in processes that can be killed. Needs no Ray."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from types import TracebackType

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.counts import ServiceCounts
from rlvr.rewards.functions import check_ranges
from rlvr.rewards.queue import TaskQueue
from rlvr.rewards.tasks import Item, Task, sample_of
from rlvr.rewards.workers.supervisor import Judged, Supervisor
from rlvr.types import RlvrError, Verdict
from rlvr.verify.thoughts import MARKS

AHEAD = 4  # batches per worker that may be unfinished: running or waiting
HELD = 1 << 16  # verdicts that may wait for an earlier one


class RewardService:
    """Scores rollouts, or texts alone, in `config.workers` processes.

    with RewardService(RewardConfig(functions={"math": {"_target_": …}})) as service:
        verdicts = service.score([(problem, rollout_or_text), …])

    Deadline: a check has `config.deadline` seconds of wall-clock time from its start in the worker. Then the
    worker is killed and replaced, and the verdict is a timeout. For a function whose time depends on the
    answer alone (`wrong_when_late`) the answer is wrong instead, and the check is repeated without it.

    Crashes: if a worker ends by itself, the verdict of its sample is crashed. If a signal killed it, the
    sample is tried once more, alone, and is crashed only if that happens again: so processes killed from
    outside do not change verdicts. The worker's other samples go to other workers. If one call had several
    samples (of a function per batch, say), each is first tried again alone.

    Memory: a worker whose functions keep half of `memory_gib` is replaced between two samples. A sample that
    ran out of memory in a worker that had checked others before is checked again in a new worker.

    If the process that forks the workers is killed, it is restarted; after `RESTARTS` restarts without a
    verdict in between there is an error. While others wait, a check that takes far longer than usual is
    stopped and restarted after them, once. `niceness` lowers the priority of the workers. Not thread-safe.
    Raises ConfigError if a setting is out of range or a configured function cannot be loaded.
    """

    def __init__(self, config: RewardConfig, niceness: int = 0) -> None:
        check_ranges(config)
        self.config = config
        self.reached = 0  # verdicts so far
        self._thoughts = MARKS if config.thoughts is None else config.thoughts
        self._tickets = 0
        # tickets without a verdict that somebody waits for → all of them of the same stream
        self._open: dict[int, set[int]] = {}
        self._verdicts: dict[int, Verdict] = {}  # by ticket, until they are yielded
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
        """Yield the verdict of every item, in the order of the items, as soon as possible.

        Items are taken lazily: no more than AHEAD · workers · batch are unfinished at any time, and no more
        than HELD verdicts wait for an earlier one. So the iterable may be endless, and a stuck check delays
        the output, but not the work on later items.
        """
        if self._supervisor.closed:
            raise RlvrError("the reward service is closed; make a new one")
        return self._stream(iter(items))

    def counts(self) -> ServiceCounts:
        """What was done since the last call of `counts` or `counters`."""
        counts, self._supervisor.counts = self._supervisor.counts, ServiceCounts()
        return counts

    def counters(self) -> dict[str, float]:
        """`counts` as numbers by name, from `ServiceCounts.summary`."""
        return self.counts().summary()

    def close(self) -> None:
        """End all processes. Safe to call again."""
        self._supervisor.close()

    def _stream(self, items: Iterator[Item]) -> Iterator[Verdict]:
        tickets: deque[int] = deque()  # taken and not yet yielded, in order
        unfinished: set[int] = set()  # those of them without a verdict
        limit = AHEAD * self.config.workers * self.config.batch
        numbered, more = enumerate(items), True
        try:
            while more or tickets:
                room = min(limit - len(unfinished), HELD - len(tickets))
                taken = list(islice(numbered, room)) if more else []
                more = more and len(taken) == room
                tickets += self._add(taken, unfinished)
                for _ in range(limit):  # and then a look at the workers, however much is ready
                    if not tickets or tickets[0] in unfinished:
                        break
                    yield self._verdicts.pop(tickets.popleft())
                if tickets:
                    self._turn(wait=tickets[0] in unfinished)
        finally:  # if the caller has left the stream, drop its tasks and verdicts
            self._queue.discard(unfinished)
            for ticket in unfinished:
                del self._open[ticket]
            for ticket in tickets:
                self._verdicts.pop(ticket, None)

    def _add(self, numbered: list[tuple[int, Item]], unfinished: set[int]) -> list[int]:
        """Queue items, and return their tickets, which are in `unfinished` until they have verdicts."""
        asked, now = self._supervisor.ready.asked, time.monotonic()
        tickets = []
        for number, item in numbered:
            sample = sample_of(item, number, asked, self._thoughts)
            self._tickets += 1
            self._queue.add(Task(self._tickets, sample, now))
            self._open[self._tickets] = unfinished
            unfinished.add(self._tickets)
            tickets.append(self._tickets)
        return tickets

    def _turn(self, wait: bool) -> None:
        """Give tasks to workers, `wait` for the next message, exit or deadline, and handle what happened."""
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
        self._act(self._supervisor.turn(wait, self._queue.pressing))

    def _act(self, events: list[Judged | Task]) -> None:
        """Keep the verdicts that a stream waits for, and queue the tasks to retry."""
        finished = []
        for event in events:
            if isinstance(event, Task):
                if event.ticket in self._open:
                    self._queue.add(event)
                continue
            task, verdict, began = event
            unfinished = self._open.pop(task.ticket, None)
            if unfinished is not None:  # no other try was first, and the stream was not left
                unfinished.remove(task.ticket)
                finished.append(task.ticket)
                self._verdicts[task.ticket] = verdict
                self._supervisor.counts.count(verdict, max(began - task.queued, 0.0))
        self._queue.discard(finished)  # another try may wait
        self.reached += len(finished)
