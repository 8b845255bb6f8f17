"""The other side of the reward service: a parent of workers, and the workers it forks.

The service starts one process that imports the reward functions once (`serve`), and asks it for
workers, which are forks of it: a killed worker is replaced in milliseconds, without importing
anything again. multiprocessing's own fork server is not used because it imports the driver's
main script again, which runs a script that has no `__main__` guard a second time.

Nothing outlives its owner. `serve` ends, with all workers, when its control socket closes or its
parent changes; the kernel kills a worker when `serve` is gone. What a reward function starts is killed
with its worker, even if it left the worker's process group: `serve` adopts and kills it.
"""

from __future__ import annotations

import ctypes
import gc
import math
import os
import pickle
import re
import resource
import select
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.evaluate import Evaluator
from rlvr.rewards.functions import OF_A_ROLLOUT, RewardFunction, Sample, load_functions
from rlvr.rewards.readonly import confine_writing
from rlvr.rewards.workers.channel import FORK, KILL, MAX_PACKET, Frames, Page, Ready, Report, Start
from rlvr.types import ConfigError, Status, Verdict

SEND_EVERY = 0.002  # seconds: cheap verdicts travel together
KEPT_SHARE = 0.5  # of `memory_gib`: a worker whose functions keep more than that is replaced
# How the reason of a verdict says that there was no memory left: Python, the C library, PyTorch.
_OUT_OF_MEMORY = re.compile("MemoryError|an(no|')t allocate memory|not enough memory|can't start new thread")
SPARE_CPU = 60  # seconds of CPU time beyond what the deadlines of a batch allow to one core
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def serve(control_fd: int) -> NoReturn:
    """Import the reward functions, then fork workers on request until the control socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which ends us
    control = socket.socket(fileno=control_fd)
    start: Start = pickle.loads(control.recv(1 << 20))
    try:
        functions = load_functions(start.config)
        for folder in _written(functions):
            os.makedirs(folder, exist_ok=True)
        if (verify := sys.modules.get("rlvr.verify.check")) is not None:
            verify.prepare()
    except (ConfigError, OSError) as error:
        control.send(pickle.dumps(("error", str(error)[: MAX_PACKET // 2])))
        os._exit(1)
    _detach()
    with suppress(FileNotFoundError):
        tempfile.gettempdir()  # found by writing, which workers cannot: they would be told that there is none
    os.nice(start.niceness)
    gc.freeze()  # so that collecting garbage in a worker does not copy our pages
    names = tuple(function.name for function in functions)
    ready = Ready(
        names,
        asked=tuple(name for name in OF_A_ROLLOUT if any(name in function.asks for function in functions)),
        one_by_one=not any(function.per_batch or function.asynchronous for function in functions),
        late=tuple(function.late is not None for function in functions),
    )
    with suppress(BrokenPipeError, ConnectionResetError):  # the service has gone: so do we
        control.send(pickle.dumps(("ready", ready)))
        _Server(control, start, functions).run()
    os._exit(0)


class _Server:
    """Forks, kills and reaps workers, and reports how each of them ended."""

    def __init__(self, control: socket.socket, start: Start, functions: Sequence[RewardFunction]) -> None:
        self.control, self.start, self.functions = control, start, functions
        self.children: set[int] = set()
        self.wake, self.woken = os.pipe()
        os.set_blocking(self.woken, False)
        self.prctl = ctypes.CDLL(None, use_errno=True).prctl
        self.prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def run(self) -> None:
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.woken, warn_on_full_buffer=False)
        try:
            while os.getppid() == self.start.parent:
                sources: list[Any] = [self.control, self.wake]
                ready, _, _ = select.select(sources, [], [], 1.0)
                if self.wake in ready:
                    os.read(self.wake, 4096)
                self._reap()
                if self.control in ready and not self._obey():
                    break
        finally:
            for child in self.children:
                self._kill(child)
            for child in self.children:  # whoever waits for us finds none of them alive
                os.waitpid(child, 0)
            self.children.clear()
            self._kill_orphans()

    def _obey(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self.control, 64, 2)
        if message[:1] == FORK:
            child = os.fork()
            if child == 0:
                self._become_worker(*descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            with suppress(PermissionError, ProcessLookupError):  # the child has done it, or ended
                os.setpgid(child, child)
            self.children.add(child)
            self.control.send(pickle.dumps(("forked", child)))
        elif message[:1] == KILL:
            self._kill(int(message[1:]))
        return bool(message)

    def _kill(self, child: int) -> None:
        """Kill a worker and whatever it started, unless it has been reaped already."""
        if child in self.children:
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)

    def _reap(self) -> None:
        while self.children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            if child in self.children:
                with suppress(ProcessLookupError, PermissionError):  # what the worker left behind
                    os.killpg(child, signal.SIGKILL)
                self.children.remove(child)
                self._kill_orphans()
                self.control.send(pickle.dumps(("exit", child, status)))

    def _kill_orphans(self) -> None:
        """Kill what ended workers had started in groups of its own: it has become our child."""
        for thread in os.listdir("/proc/self/task"):
            with open(f"/proc/self/task/{thread}/children") as listed:
                found = {int(child) for child in listed.read().split()}
            for orphan in found - self.children:
                with suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGKILL)

    def _become_worker(self, stream: int, page: int) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.setpgid(0, 0)
            self.control.close()
            os.close(self.wake)
            os.close(self.woken)
            _limit(self.start.config.memory_gib)
            confine_writing(_written(self.functions))
            worker = _Worker(
                Frames(socket.socket(fileno=stream)), Page(page), self.functions, self.start.config
            )
            os.close(page)
            worker.work()
            code = 0
        except SystemExit as end:  # a reward function called sys.exit
            code = end.code if isinstance(end.code, int) else 1
        finally:  # never return into the server's stack
            os._exit(code & 0xFF)


class _Worker:
    """Evaluates one batch after the other, and reports verdicts as it goes."""

    def __init__(
        self, frames: Frames, page: Page, functions: Sequence[RewardFunction], config: RewardConfig
    ) -> None:
        self.frames, self.page, self.config = frames, page, config
        self.evaluator = Evaluator(functions, config, self.finish, self.enter)
        self.batch = 0
        self.verdicts: list[tuple[int, Verdict, float]] = []
        self.reported = 0.0  # time.monotonic()
        self.verify: Any = sys.modules.get("rlvr.verify.check")  # if no function has imported it, nor do we
        self.remembered = self.compared = (0, 0)  # when last looked at; since the last report
        self.statm = os.open("/proc/self/statm", os.O_RDONLY)
        self.pages = self.own_pages()  # at its start
        self.used = False  # it has checked a sample
        self.unsure: list[int] = []
        self.spent = False

    def work(self) -> None:
        """Until the service closes the socket, or too much memory is used."""
        while not self.spent and self.frames.fill():
            for batch, samples in self.frames.take():
                self.evaluate(batch, samples)

    def evaluate(self, batch: int, samples: list[Sample]) -> None:
        self.batch, self.reported = batch, time.monotonic()
        _limit_cpu(2 * self.config.deadline * len(samples) + SPARE_CPU)
        self.evaluator.run(samples)
        self.report(ended=True)

    def enter(self, position: int, function: int, seconds: float | None) -> bool:
        if seconds is None:
            self.page.enter_function(function, time.process_time())
            return True
        if self.verdicts and (position < 0 or time.monotonic() > self.reported + SEND_EVERY):
            self.report(ended=False)
        now = time.monotonic()
        self.page.enter(position, function, now, now + seconds, time.process_time())
        if self.verify and not self.config.cache:
            self.tally()
            self.verify.forget_answers()
            self.remembered = (0, 0)
        return not (self.page.withdrawn(self.batch) or self.is_spent())

    def own_pages(self) -> int:
        """Resident pages that are no file's; those of the process that it was forked from among them."""
        resident, shared = os.pread(self.statm, 128, 0).split()[1:3]
        return int(resident) - int(shared)

    def is_spent(self) -> bool:
        """Whether the samples before, if there were any, have left too little memory for another."""
        kept = (self.own_pages() - self.pages) * resource.getpagesize()
        self.spent = self.spent or (self.used and kept > KEPT_SHARE * self.config.memory_gib * 2**30)
        return self.spent

    def finish(self, position: int, verdict: Verdict, began: float) -> None:
        if self.used and verdict.status is Status.CRASHED and _OUT_OF_MEMORY.search(verdict.reason):
            self.unsure.append(position)
            self.spent = True
            return
        self.used = True
        self.verdicts.append((position, verdict, began))
        if verdict.seconds > SEND_EVERY:
            self.report(ended=False)

    def tally(self) -> None:
        hits, misses = now = self.verify.remembered_answers() if self.verify else (0, 0)
        # emptied, by us or by a reward function, the memory counts from zero again
        before = self.remembered if hits + misses >= sum(self.remembered) else (0, 0)
        self.compared = self.compared[0] + hits - before[0], self.compared[1] + misses - before[1]
        self.remembered = now

    def report(self, ended: bool) -> None:
        self.tally()
        # if nobody reads for a while, that is no check's fault
        place, paused = self.page.place(), time.monotonic()
        self.page.pause()
        spent = ended and self.is_spent()
        self.frames.send(Report(self.verdicts, ended, self.compared, self.unsure, spent))
        self.verdicts, self.unsure = [], []
        self.compared, self.reported = (0, 0), time.monotonic()
        if place and not ended:
            until = place.until + self.reported - paused
            self.page.enter(place.position, place.function, place.began, until, place.cpu)


def _written(functions: Sequence[RewardFunction]) -> list[str]:
    """The folders in which objects of ours say that they make files."""
    return [folder for function in functions for folder in getattr(function.function, "writes", ())]


def _limit(memory_gib: float) -> None:
    """Bound memory beyond what the process has now; no core dumps, and no byte written to open files."""
    with open("/proc/self/statm") as statm:
        size = int(statm.read().split()[0]) * resource.getpagesize()
    most = size + int(memory_gib * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _limit_cpu(seconds: float) -> None:
    """Bound the CPU time from now on: for the case that whoever would kill us cannot."""
    most, hard = math.ceil(time.process_time() + seconds), resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _detach() -> None:
    """No terminal for reward functions: their input is empty and their output is dropped."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
