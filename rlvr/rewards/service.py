"""Runs reward functions in processes that can be killed. Needs no Ray."""

from __future__ import annotations

import pickle
import select
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.counts import ServiceCounts
from rlvr.rewards.evaluate import EVERY
from rlvr.rewards.functions import check_ranges
from rlvr.rewards.tasks import Item, Task, Worker, sample_of, unreached, was_killed
from rlvr.rewards.workers.channel import Place, Report, picklable
from rlvr.rewards.workers.processes import BEGIN_TIMEOUT, Processes, ProcessesEnded
from rlvr.types import DataError, RlvrError, Verdict
from rlvr.verify.thoughts import MARKS

AHEAD = 4  # batches per worker that may be unfinished: being checked, or waiting for it
HELD = 1 << 16  # verdicts that may wait for one that comes before them
PATIENCE = 0.1  # seconds on one sample after which the rest of its batch goes to others
POSTPONED = 0.25  # seconds, and so many usual checks, after which a check is put off until nothing else waits
USUAL_CHECKS = 20
IN_VAIN = 8  # checks put off with no verdict between, after which none is until there is one
COMPUTED = 0.1  # share of the deadline that a function has computed for, if the answer is to blame
POLL = 0.05  # seconds between looks at a worker that has not begun
GONE = 60.0  # seconds in which a worker that was killed must have ended
RESTARTS = 3  # of the process that forks the workers, with no verdict between


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
    one, and an error after RESTARTS with no verdict between. While others wait, a check that takes far
    longer than usual is ended and begun again after them, once. `niceness` lets other processes on the same
    cores go first. Not for use by several threads at once. Raises ConfigError when a setting is out of its
    range or a configured function cannot be loaded.
    """

    def __init__(self, config: RewardConfig, niceness: int = 0) -> None:
        check_ranges(config)
        self.config = config
        self.reached = 0  # verdicts so far
        self._thoughts = MARKS if config.thoughts is None else config.thoughts
        self._counts = ServiceCounts()
        self._tickets = 0
        self._batches = 0
        self._waiting: deque[Task] = deque()
        self._late: deque[Task] = deque()  # put off until nothing else waits
        self._restarts = 0  # of the processes since the last verdict
        self._usual = 0.0  # seconds of a check, a running mean
        self._in_vain = 0  # checks put off since the last verdict
        self._open: set[int] = set()  # tickets without a verdict that somebody waits for
        self._verdicts: dict[int, Verdict] = {}
        self._workers: dict[int, Worker] = {}
        self._niceness = niceness
        self._processes = Processes(config, niceness)
        try:
            for _ in range(config.workers):
                self._fork()
        except BaseException:
            self.close()
            raise

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
        if self._processes.closed:
            raise RlvrError("the reward service is closed; make a new one")
        return self._stream(iter(items))

    def counts(self) -> ServiceCounts:
        """What was done since the last call of `counts` or `counters`."""
        counts, self._counts = self._counts, ServiceCounts()
        return counts

    def counters(self) -> dict[str, float]:
        """`counts` in one number each, as `ServiceCounts.summary` says."""
        return self.counts().summary()

    def close(self) -> None:
        """End all processes. Safe to call again."""
        for worker in self._workers.values():
            worker.release()
        self._workers.clear()
        self._processes.close()

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
                    self._work(wait=tickets[0] in self._open)
                unfinished = len(own & self._open)
        finally:  # what nobody waits for any more is neither begun nor kept
            self._open -= own
            for ticket in own:
                self._verdicts.pop(ticket, None)

    def _add(self, item: Item, number: int) -> int:
        sample = sample_of(item, number, self._processes.ready.asked, self._thoughts)
        self._tickets += 1
        self._open.add(self._tickets)
        self._waiting.append(Task(self._tickets, sample, time.monotonic()))
        return self._tickets

    def _work(self, wait: bool) -> None:
        """Give out what waits, `wait` for the next message or deadline, and act on what there is."""
        if self._processes.closed:
            raise RlvrError("the reward service was closed before all verdicts were reached")
        try:
            self._turn(wait)
        except ProcessesEnded as error:
            self._restart(error)

    def _turn(self, wait: bool) -> None:
        for worker in list(self._workers.values()):
            if worker.idle and (self._waiting or self._late):
                self._give(worker)
        now = time.monotonic()
        due = [self._due(worker, now) for worker in self._workers.values() if worker.given or worker.killed]
        streams = {worker.frames.stream: worker for worker in self._workers.values() if not worker.lost}
        control = self._processes.control
        timeout = min(max(min(due, default=now + 1.0) - now, 0.0), 3600.0) if wait else 0.0
        ready, _, _ = select.select([control, *streams], [], [], timeout)
        for stream in ready:
            if stream is not control:
                self._receive(streams[stream])
        while exits := self._processes.exits():  # others may end while one is replaced
            for pid, status in exits:
                self._exited(pid, status)
        now = time.monotonic()
        for worker in self._workers.values():
            if worker.killed is not None and now > worker.killed + GONE:
                raise ProcessesEnded("the reward service's process does not end a worker that it was told to")
            if worker.given and worker.killed is None:
                self._watch(worker, now)

    def _restart(self, error: ProcessesEnded) -> None:
        """New processes, which are given what the old ones had."""
        while True:
            self._restarts += 1
            if self._restarts > RESTARTS:
                raise RlvrError(f"{error}; {RESTARTS} new ones were no better") from error
            for worker in self._workers.values():
                worker.killed = time.monotonic()
                self._drain(worker)
                self._requeue(worker.owed.values())
                worker.release()
            self._workers.clear()
            self._processes.close()
            self._counts.restarts += 1
            try:
                self._processes = Processes(self.config, self._niceness)
                for _ in range(self.config.workers):
                    self._fork()
            except ProcessesEnded as again:
                error = again
                continue
            return

    def _fork(self) -> None:
        pid, frames, page = self._processes.fork()
        self._workers[pid] = Worker(pid, frames, page)

    def _give(self, worker: Worker) -> None:
        """A batch of what waits: an even share, so that none idles while another has many."""
        if not self._waiting:
            self._waiting.append(self._late.popleft())
        size = min(self.config.batch, -(-len(self._waiting) // len(self._workers)))
        tasks: list[Task] = []
        while self._waiting and len(tasks) < size:
            if self._waiting[0].ticket not in self._open:  # given up, or finished after all
                self._waiting.popleft()
                continue
            if tasks and self._waiting[0].alone:
                break
            tasks.append(self._waiting.popleft())
            if tasks[0].alone:
                break
        if not tasks:
            return
        if tasks[0].fresh and worker.batch:
            self._requeue(tasks)
            if not any(each.lost or each.killed for each in self._workers.values()):  # none is on its way
                self._kill(worker, None)
                self._counts.recycled += 1
            return
        self._batches += 1
        worker.page.clear()
        try:
            worker.frames.send((self._batches, [task.sample for task in tasks]))
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            self._waiting.extendleft(reversed(tasks))  # it died idle: somebody else gets these
            worker.lost = True
            self._kill(worker, None)
            return
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            sample = next((task.sample for task in tasks if not picklable(task.sample)), tasks[0].sample)
            self._requeue(task for task in tasks if task.sample is not sample)
            raise DataError(f"{sample.name} cannot be sent to a reward worker: {error}") from error
        worker.given, worker.owed = tasks, dict(enumerate(tasks))
        worker.batch, worker.sent, worker.withdrawn = self._batches, time.monotonic(), False

    def _due(self, worker: Worker, now: float) -> float:
        """When to look at a worker again, if it says nothing."""
        if worker.killed is not None:
            return worker.killed + GONE
        place = worker.page.place()
        if place is None:
            return now + POLL
        due = place.until
        if self._takes_back(worker):
            due = min(due, place.began + PATIENCE)
        if self._puts_off(worker, place):
            due = min(due, max(place.began + self._patience(), now + POLL))
        return due

    def _takes_back(self, worker: Worker) -> bool:
        """Whether it has something that others might do."""
        return self._processes.ready.one_by_one and len(worker.owed) > 1 and not worker.withdrawn

    def _puts_off(self, worker: Worker, place: Place) -> bool:
        """Whether others wait that could be done first. A slow check is begun again after them, once."""
        task = worker.owed.get(place.position)
        if self._in_vain >= IN_VAIN or 2 * self._patience() > self.config.deadline:
            return False  # every check is slow in a new process; or it would save little
        return self._processes.ready.one_by_one and bool(self._waiting) and task is not None and not task.late

    def _is_slow(self, worker: Worker, place: Place, now: float) -> bool:
        """Whether a check takes long, and not just because its worker gets no core: it would not again."""
        if now < place.began + self._patience():
            return False
        return not self._processes.starved(worker.pid, place.cpu, self._patience() / 2)

    def _patience(self) -> float:
        return max(POSTPONED, USUAL_CHECKS * self._usual)

    def _watch(self, worker: Worker, now: float) -> None:
        """Kill a worker that is past its deadline; let others do what a slow one has not begun."""
        place = worker.page.place()
        if place is None:
            if now >= worker.sent + BEGIN_TIMEOUT and not worker.page.begun:
                self._kill(worker, None)
        elif now >= place.until:
            worker.computed = self._processes.computed(worker.pid) - place.function_cpu
            self._kill(worker, place)
        elif self._puts_off(worker, place) and self._is_slow(worker, place, now):
            worker.put_off = True
            self._in_vain += 1
            self._kill(worker, place)
        elif now >= place.began + PATIENCE and self._takes_back(worker):
            worker.withdrawn = True
            worker.page.withdraw(worker.batch)
            # it may have gone on just before that: whoever is first has the verdict
            current = worker.page.place()
            kept = worker.owed.pop(current.position, None) if current else None
            self._requeue(worker.owed.values())
            worker.owed = {current.position: kept} if current and kept else {}

    def _kill(self, worker: Worker, place: Place | None) -> None:
        worker.killed, worker.blamed = time.monotonic(), place
        self._processes.kill(worker.pid)

    def _requeue(self, tasks: Iterable[Task]) -> None:
        self._waiting.extendleft(sorted(tasks, key=lambda task: -task.ticket))

    def _drain(self, worker: Worker) -> None:
        """Read what a worker that has ended had sent: it may have finished its check first."""
        while not worker.lost and self._receive(worker):
            pass

    def _receive(self, worker: Worker) -> bool:
        """Read what the worker has sent; False once there is nothing more by now."""
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
        if worker.lost and not worker.given and worker.killed is None:
            self._kill(worker, None)  # dying, or no use any more; a busy one has its deadline
        return more

    def _read(self, worker: Worker, report: Report) -> None:
        self._counts.cache_hits += report.remembered[0]
        self._counts.cache_misses += report.remembered[1]
        for position, verdict, began in report.verdicts:
            worker.owed.pop(position, None)
            self._finish(worker.given[position], verdict, began)
        for position in report.unsure:
            if task := worker.owed.pop(position, None):
                task.alone = task.fresh = True
                self._requeue([task])
        if report.ended:
            self._requeue(worker.owed.values())  # the one that it was about to begin when it stopped
            worker.given, worker.owed = [], {}
        if report.spent:
            worker.lost = True
            self._counts.recycled += 1

    def _exited(self, pid: int, status: int) -> None:
        """A worker has ended: the sample at fault gets its verdict, and a new worker starts."""
        worker = self._workers.pop(pid, None)
        if worker is None:
            return
        noticed = time.monotonic()
        self._drain(worker)
        place = worker.blamed if worker.killed is not None else worker.page.place()
        at_fault = list(worker.owed) if place is None or place.position == EVERY else [place.position]
        if len(at_fault) > 1:  # which of them it was shows when each is alone
            for task in worker.owed.values():
                task.alone = True
        elif at_fault and at_fault[0] in worker.owed and worker.put_off:
            task = worker.owed.pop(at_fault[0])
            task.late = True
            self._late.append(task)
        elif at_fault and at_fault[0] in worker.owed:
            self._failed_at(worker, worker.owed.pop(at_fault[0]), place, status)
        self._requeue(worker.owed.values())
        worker.release()
        self._fork()
        self._counts.respawns.append(time.monotonic() - (worker.killed or noticed))
        self._counts.put_off += worker.put_off

    def _failed_at(self, worker: Worker, task: Task, place: Place | None, status: int) -> None:
        if was_killed(worker, status) and not task.killed:
            task.alone = task.killed = True
            self._requeue([task])
            self._counts.retried += 1
            return
        if place and self._is_answers_fault(worker, place):
            task.sample = replace(task.sample, late=(*task.sample.late, place.function))
            self._requeue([task])
            return
        name = self._processes.ready.names[place.function] if place else "its worker"
        verdict = unreached(task, worker, place, status, name, self.config.deadline)
        self._finish(task, verdict, place.began if place else worker.sent)

    def _is_answers_fault(self, worker: Worker, place: Place) -> bool:
        """Whether the deadline met a function that only the answer makes slow, and not one without a core."""
        enough = COMPUTED * self.config.deadline
        return self._processes.ready.late[place.function] and worker.computed >= enough

    def _finish(self, task: Task, verdict: Verdict, began: float) -> None:
        if task.ticket in self._open:  # not if another was first, or the stream was left
            self._open.remove(task.ticket)
            self._verdicts[task.ticket] = verdict
            self.reached += 1
            self._in_vain = self._restarts = 0
            self._usual += 0.05 * (min(verdict.seconds, self.config.deadline) - self._usual)
            self._counts.count(verdict, max(began - task.queued, 0.0))
