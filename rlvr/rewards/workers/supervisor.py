"""Keeps reward workers at work: gives them batches, ends those that are late, replaces those that ended."""

from __future__ import annotations

import math
import os
import pickle
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.counts import ServiceCounts
from rlvr.rewards.tasks import Task
from rlvr.rewards.workers.channel import Frames, Page, Place, Ready, Report, picklable
from rlvr.rewards.workers.ends import Cause, End, outcomes, without_memory
from rlvr.rewards.workers.patience import Patience
from rlvr.rewards.workers.processes import BEGIN_TIMEOUT, Processes, ProcessesEnded
from rlvr.types import DataError, RlvrError, Verdict

SHARE_AFTER = 0.1  # seconds on one sample after which the rest of its batch goes to others
POLL = 0.05  # seconds between looks at a worker whose page says nothing, or that waits for a core
LONGEST_WAIT = 3600.0  # seconds; select refuses an endless time
GONE = 60.0  # seconds in which a worker that was killed must have ended
RESTARTS = 3  # of the process that forks the workers, with no verdict between


class Judged(NamedTuple):
    """A task has its verdict."""

    task: Task
    verdict: Verdict
    began: float  # time.monotonic() when its check began


@dataclass(eq=False)
class Worker:
    """What the supervisor knows of a worker."""

    pid: int
    frames: Frames
    page: Page
    batch: int = 0  # its number among those of this worker; 0 before the first
    given: Sequence[Task] = ()  # its batch, while it is at work
    owed: dict[int, Task] = field(default_factory=dict)  # position → task that no other worker has
    sent: float = 0.0  # time.monotonic() when it was given the batch
    lost: bool = False  # its socket is closed, or it is to get nothing more
    end: End | None = None  # once the service has ended it

    @property
    def idle(self) -> bool:
        return not (self.given or self.lost or self.end)

    @property
    def used(self) -> bool:
        """Whether it has been given a batch before."""
        return self.batch > 0

    def release(self) -> None:
        self.frames.stream.close()
        self.page.close()


class Supervisor:
    """`config.workers` workers. Every task given to one comes back from `turn`: judged, or to be given again.

    A worker that ends is replaced. So is the process that forks them, RESTARTS times with no verdict between.
    Raises ConfigError when the configured functions cannot be loaded.
    """

    def __init__(self, config: RewardConfig, niceness: int) -> None:
        self.counts = ServiceCounts()
        self._config, self._niceness = config, niceness
        self._patience = Patience(config.deadline)
        self._restarts = 0  # since the last verdict
        self._events: list[Judged | Task] = []  # for the end of the next turn
        self._workers: dict[int, Worker] = {}
        self._processes = Processes(config, niceness)
        try:
            self._fork_all()
        except BaseException:
            self.close()
            raise

    @property
    def ready(self) -> Ready:
        """What the process that imports the reward functions says of them."""
        return self._processes.ready

    @property
    def closed(self) -> bool:
        return self._processes.closed

    def close(self) -> None:
        """End all processes. Safe to call again."""
        for worker in self._workers.values():
            worker.release()
        self._workers.clear()
        self._processes.close()

    def idle(self) -> list[Worker]:
        """The workers that may be given a batch."""
        return [worker for worker in self._workers.values() if worker.idle]

    def give(self, worker: Worker, tasks: Sequence[Task]) -> None:
        """Have an idle worker check `tasks`.

        Raises:
            DataError: one of them cannot be sent; the message names its sample. All of them come back.
        """
        worker.page.clear()
        try:
            worker.frames.send((worker.batch + 1, [task.sample for task in tasks]))
        except (BrokenPipeError, ConnectionResetError, TimeoutError):  # it died idle
            worker.lost = True
            self._events += tasks
            return
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            self._events += tasks
            sample = next((task.sample for task in tasks if not picklable(task.sample)), tasks[0].sample)
            raise DataError(f"{sample.name} cannot be sent to a reward worker: {error}") from error
        worker.batch += 1
        worker.given, worker.owed, worker.sent = tasks, dict(enumerate(tasks)), time.monotonic()

    def renew(self, worker: Worker) -> None:
        """Replace an idle worker, unless one that has checked nothing is there or on its way."""
        if all(each.used and not each.lost and each.end is None for each in self._workers.values()):
            worker.lost = True
            self.counts.recycled += 1

    def turn(self, wait: bool, others_wait: bool) -> list[Judged | Task]:
        """What became of tasks: judged, or to be given again. If that is nothing yet, `wait` for the next
        message, exit or deadline; what an exit or a deadline means shows in the next turn.

        While `others_wait`, a check that takes far longer than usual is ended, and its task put off.

        Raises:
            RlvrError: the process that forks the workers has ended once too often.
        """
        try:
            # first: a caller who comes back late finds workers that ended well before their time was over
            while exits := self._processes.exits():  # others may end while one is replaced
                wait = False  # a new worker may be given something
                for pid, status in exits:
                    self._exited(self._workers.pop(pid), os.waitstatus_to_exitcode(status))
            now = time.monotonic()
            due = [self._watch(worker, now, others_wait) for worker in self._workers.values()]
            seconds = max(min([*due, now + LONGEST_WAIT]) - now, 0.0) if wait and not self._events else 0.0
            streams = {worker.frames.stream: worker for worker in self._workers.values() if not worker.lost}
            ready, _, _ = select.select([self._processes.control, *streams], [], [], seconds)
            for stream in ready:
                if stream in streams:
                    self._receive(streams[stream])
        except ProcessesEnded as error:
            self._restart(error)
        events, self._events = self._events, []
        return events

    def _watch(self, worker: Worker, now: float, others_wait: bool) -> float:
        """Do what is due with a worker; when to look at it again, if it says nothing before then."""
        if worker.lost and not worker.given and worker.end is None:
            return self._kill(worker, Cause.IDLE)
        if worker.end is not None:
            if now > worker.end.at + GONE:
                raise ProcessesEnded("the reward service's process does not end a worker that it was told to")
            return worker.end.at + GONE
        if not worker.given:
            return math.inf
        place = worker.page.place()
        if place is None:
            if worker.page.begun or now < worker.sent + BEGIN_TIMEOUT:
                return now + POLL
            return self._kill(worker, Cause.NOT_BEGUN)
        if now >= place.until:
            return self._kill(worker, Cause.DEADLINE, place)
        if not self.ready.one_by_one:
            return place.until
        return min(place.until, self._make_way(worker, place, now, others_wait))

    def _make_way(self, worker: Worker, place: Place, now: float, others_wait: bool) -> float:
        """Let others go first, or have the rest of the batch, if a check takes long; when to look again."""
        slow = share = math.inf
        task = worker.owed.get(place.position)
        if others_wait and task and not task.put_off:
            slow = place.began + self._patience.seconds
        if now >= slow:
            # one that merely gets no core would get none the next time either
            if not self._processes.starved(worker.pid, place.cpu, self._patience.seconds / 2):
                self._patience.put_off()
                return self._kill(worker, Cause.OTHERS_WAIT, place)
            slow = now + POLL
        if len(worker.owed) > 1:
            share = place.began + SHARE_AFTER
        if now >= share:
            self._take_back(worker)
            share = math.inf
        return min(slow, share)

    def _take_back(self, worker: Worker) -> None:
        """Let others have what a worker has not begun."""
        worker.page.withdraw(worker.batch)
        # it may have gone on just before that: whoever is first has the verdict
        place = worker.page.place()
        kept = worker.owed.pop(place.position, None) if place else None
        self._events += worker.owed.values()
        worker.owed = {place.position: kept} if place and kept else {}

    def _kill(self, worker: Worker, cause: Cause, place: Place | None = None) -> float:
        """Have a worker ended; when it must have ended."""
        computed = self._processes.computed(worker.pid) - place.function_cpu if place else 0.0
        worker.end = End(cause, place, time.monotonic(), computed)
        self._processes.kill(worker.pid)
        return worker.end.at + GONE

    def _receive(self, worker: Worker) -> bool:
        """Read what a worker has sent; False once there is nothing more by now."""
        more = False
        try:
            more = worker.frames.fill(wait=False)
            worker.lost = not more
        except ConnectionResetError:
            worker.lost = True
        except BlockingIOError:
            pass
        for report in worker.frames.take():
            self._read(worker, report)
        return more

    def _drain(self, worker: Worker) -> None:
        """Read all that a worker that has ended had sent: it may have finished its check first."""
        while not worker.lost and self._receive(worker):
            pass

    def _read(self, worker: Worker, report: Report) -> None:
        self.counts.cache_hits += report.remembered[0]
        self.counts.cache_misses += report.remembered[1]
        for position, verdict, began in report.verdicts:
            worker.owed.pop(position, None)
            self._judged(worker.given[position], verdict, began)
        for position in report.unsure:
            if task := worker.owed.pop(position, None):
                self._events.append(without_memory(task))
        if report.ended:
            self._events += worker.owed.values()  # what it was about to begin when it stopped
            worker.given, worker.owed = (), {}
        if report.spent:
            worker.lost = True
            self.counts.recycled += 1

    def _judged(self, task: Task, verdict: Verdict, began: float) -> None:
        self._restarts = 0
        self._patience.judged(verdict.seconds)
        self._events.append(Judged(task, verdict, began))

    def _exited(self, worker: Worker, code: int) -> None:
        """A worker has ended: what becomes of its tasks, and a new worker."""
        end = worker.end or End(None, worker.page.place(), time.monotonic())
        self._drain(worker)
        began = end.place.began if end.place else worker.sent
        end = replace(end, code=code, seconds=time.monotonic() - began)
        for position, outcome in outcomes(end, worker.owed, self.ready, self._config.deadline).items():
            task = worker.owed[position]
            if isinstance(outcome, Verdict):
                self._judged(task, outcome, began)
            else:
                self.counts.retried += outcome.killed and not task.killed
                self._events.append(outcome)
        worker.release()
        self._fork()
        self.counts.respawns.append(time.monotonic() - end.at)
        self.counts.put_off += end.cause is Cause.OTHERS_WAIT

    def _fork(self) -> None:
        pid, frames, page = self._processes.fork()
        self._workers[pid] = Worker(pid, frames, page)

    def _fork_all(self) -> None:
        for _ in range(self._config.workers):
            self._fork()

    def _restart(self, error: ProcessesEnded) -> None:
        """New processes; what the old workers owed is to be given again."""
        while True:
            if self._restarts == RESTARTS:
                raise RlvrError(f"{error}; {RESTARTS} new ones were no better") from error
            self._restarts += 1
            for worker in self._workers.values():
                self._drain(worker)
                self._events += worker.owed.values()
            self.close()
            self.counts.restarts += 1
            try:
                self._processes = Processes(self._config, self._niceness)
                self._fork_all()
                return
            except ProcessesEnded as again:
                error = again
