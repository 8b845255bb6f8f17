"""Runs reward functions in processes that can be killed. Needs no Ray."""

from __future__ import annotations

import json
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.functions import Sample
from rlvr.rewards.worker import FORK, KILL, MAX_PACKET, Frames, Start
from rlvr.types import ConfigError, DataError, Problem, RlvrError, Rollout, StallError, Status, Verdict

START_TIMEOUT = 120.0  # seconds for importing the reward functions
FORK_TIMEOUT = 30.0  # seconds for one fork of that process
BEGIN_TIMEOUT = 60.0  # seconds until a worker begins a check that was sent to it

# Our Python path, in order, so that functions beside the user's script are found; `-c` because
# the package may not be installed.
_BOOTSTRAP = """\
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from rlvr.rewards.worker import serve
serve(int(sys.argv[1]))
"""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass
class _Task:
    ticket: int
    sample: Sample
    sent: float  # time.monotonic() when it was given to the worker
    begun: float | None = None  # … when the worker said that it began
    running: str = ""  # the reward function it is in


@dataclass
class _Worker:
    pid: int
    frames: Frames
    task: _Task | None = None
    killed: bool = False
    lost: bool = False  # its socket is closed; how it ended will be reported


class RewardService:
    """Scores rollouts in `config.workers` processes.

    with RewardService(config) as service:
        verdicts = service.score([(problem, rollout), …])

    A check has `config.deadline` seconds of wall-clock time from the moment its worker begins
    it; then the worker is killed and replaced, and the verdict is a timeout. A worker that dies
    makes the verdict of its sample crashed. Neither touches other samples. Not for use by
    several threads at once. Raises ConfigError when the configured functions cannot be loaded.
    """

    def __init__(self, config: RewardConfig) -> None:
        self.config = config
        self._counts: Counter[str] = Counter()
        self._seconds = 0.0
        self._tickets = 0
        self._wanted: set[int] = set()  # tickets that score() still waits for
        self._verdicts: dict[int, Verdict] = {}
        self._workers: dict[int, _Worker] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._start(theirs)
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

    def score(self, items: Sequence[tuple[Problem, Rollout]]) -> list[Verdict]:
        """The verdict of every item, in the order of the items."""
        if self._process is None:
            raise RlvrError("the reward service is closed; make a new one")
        waiting: deque[tuple[int, Sample]] = deque()
        for problem, rollout in items:
            self._tickets += 1
            waiting.append((self._tickets, self._sample(problem, rollout)))
        tickets = [ticket for ticket, _ in waiting]
        self._wanted, self._verdicts = set(tickets), {}
        while self._wanted:
            for worker in list(self._workers.values()):
                if waiting and worker.task is None and not worker.lost and not worker.killed:
                    self._give(worker, waiting)
            self._step()
        return [self._verdicts.pop(ticket) for ticket in tickets]

    def counters(self) -> dict[str, float]:
        """Totals so far: checks, seconds in checks, respawns, and verdicts of every status."""
        statuses = {str(status): self._counts[status] for status in Status}
        checks = sum(statuses.values())
        return {"checks": checks, "seconds": self._seconds, "respawns": self._counts["respawns"], **statuses}

    def close(self) -> None:
        """End all processes. Safe to call again."""
        self._control.close()  # which ends the process and its workers
        for worker in self._workers.values():
            worker.frames.stream.close()
        self._workers.clear()
        process, self._process = self._process, None
        if process is None:
            return
        if process.stderr:
            process.stderr.close()
        try:
            process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:  # busy importing, say; its workers die with it
            process.kill()
            process.wait()

    def _start(self, theirs: socket.socket) -> None:
        command = [sys.executable, "-c", _BOOTSTRAP, str(theirs.fileno()), json.dumps(sys.path)]
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | _ONE_THREAD,
            start_new_session=True,  # the terminal's Ctrl-C does not reach it
        )
        theirs.close()  # so that its end is the end of the socket
        self._control.send(pickle.dumps(Start(self.config, os.getpid())))
        kind, content = self._await(("ready", "error"), START_TIMEOUT, "importing the reward functions")
        if kind == "error":
            raise ConfigError(content)
        self._asks_tokens = "tokens" in content

    def _fork(self) -> None:
        ours, theirs = socket.socketpair()
        ours.settimeout(BEGIN_TIMEOUT)
        with theirs:
            socket.send_fds(self._control, [FORK], [theirs.fileno()])
        _, pid = self._await(("forked",), FORK_TIMEOUT, "forking a reward worker")
        self._workers[pid] = _Worker(pid, Frames(ours))

    def _await(self, kinds: tuple[str, ...], timeout: float, doing: str) -> tuple[str, Any]:
        """The next control message of one of `kinds`; exits of workers met on the way are handled."""
        until = time.monotonic() + timeout
        exits: list[tuple[Any, ...]] = []
        while select.select([self._control], [], [], max(0.0, until - time.monotonic()))[0]:
            message = self._message()
            if message[0] in kinds:
                for exited in exits:
                    self._exited(*exited)
                return message[0], message[1]
            exits.append(message[1:])
        raise StallError(f"the reward service's process did not finish {doing} within {timeout:g} s")

    def _message(self) -> tuple[Any, ...]:
        """One control message. Raises when the process is gone, with what it said last."""
        with suppress(ConnectionResetError):
            data = self._control.recv(MAX_PACKET)
            if data:
                message: tuple[Any, ...] = pickle.loads(data)
                return message
        process = self._process
        assert process is not None
        said = b""
        if process.stderr and select.select([process.stderr], [], [], 1.0)[0]:
            said = os.read(process.stderr.fileno(), MAX_PACKET)
        tail = said.decode(errors="replace").strip().split("\n")[-1]
        raise RlvrError(f"the reward service's process ended unexpectedly{': ' if tail else ''}{tail}")

    def _sample(self, problem: Problem, rollout: Rollout) -> Sample:
        tokens = rollout.tokens if self._asks_tokens else None
        return Sample(problem, rollout.sample, rollout.text, str(rollout.finish_reason), tokens)

    def _give(self, worker: _Worker, waiting: deque[tuple[int, Sample]]) -> None:
        ticket, sample = waiting.popleft()
        try:
            worker.frames.send((ticket, sample))
        except (BrokenPipeError, ConnectionResetError):
            waiting.appendleft((ticket, sample))  # it died idle: somebody else gets this one
            worker.lost = True
            return
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise DataError(f"{sample.name} cannot be sent to a reward worker: {error}") from error
        worker.task = _Task(ticket, sample, time.monotonic())

    def _step(self) -> None:
        """Wait for the next message or deadline, and act on it."""
        deadlines = [self._deadline(worker.task) for worker in self._workers.values() if worker.task]
        timeout = max(0.0, min(deadlines, default=1e9) - time.monotonic()) if deadlines else FORK_TIMEOUT
        streams = {worker.frames.stream: worker for worker in self._workers.values() if not worker.lost}
        ready, _, _ = select.select([self._control, *streams], [], [], min(timeout, 3600.0))
        for stream in ready:
            if stream is not self._control:
                self._receive(streams[stream])
        if self._control in ready:
            _, *content = self._message()
            self._exited(*content)
        now = time.monotonic()
        for worker in self._workers.values():
            if worker.task and not worker.killed and now >= self._deadline(worker.task):
                worker.killed = True
                self._control.send(KILL + str(worker.pid).encode())

    def _deadline(self, task: _Task) -> float:
        return task.sent + BEGIN_TIMEOUT if task.begun is None else task.begun + self.config.deadline

    def _receive(self, worker: _Worker) -> None:
        try:
            worker.lost = not worker.frames.fill(socket.MSG_DONTWAIT)
        except (BlockingIOError, ConnectionResetError) as error:
            worker.lost = isinstance(error, ConnectionResetError)
        for kind, ticket, content in worker.frames.take():
            task = worker.task
            if task is None or task.ticket != ticket:
                continue
            if kind == "running":
                task.begun, task.running = task.begun or time.monotonic(), content
            else:
                worker.task = None
                self._finish(ticket, content)
        if worker.lost and worker.task is None:  # dying, or no use any more; a busy one has its deadline
            self._control.send(KILL + str(worker.pid).encode())

    def _exited(self, pid: int, status: int) -> None:
        """A worker has ended: its sample, if it had one, gets its verdict, and a new worker starts."""
        worker = self._workers.get(pid)
        if worker is None:
            return
        if not worker.lost:
            self._receive(worker)  # it may have finished its check first
        del self._workers[pid]
        worker.frames.stream.close()
        if worker.task:
            self._finish(worker.task.ticket, self._unreached(worker.task, worker.killed, status))
        self._counts["respawns"] += 1
        self._fork()

    def _unreached(self, task: _Task, killed: bool, status: int) -> Verdict:
        seconds = time.monotonic() - (task.begun or task.sent)
        where = f"{task.running or 'its worker'} ({task.sample.name})"
        if killed and task.begun is None:
            return Verdict(
                Status.TIMEOUT, None, f"{where} did not begin within {BEGIN_TIMEOUT:g} s", seconds=seconds
            )
        if killed:
            reason = f"{where} was still running after its deadline of {self.config.deadline:g} s"
            return Verdict(Status.TIMEOUT, None, reason, seconds=seconds)
        code = os.waitstatus_to_exitcode(status)
        how = f"exited with status {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
        return Verdict(Status.CRASHED, None, f"{where}: the process {how}", seconds=seconds)

    def _finish(self, ticket: int, verdict: Verdict) -> None:
        self._counts[verdict.status] += 1
        self._seconds += verdict.seconds
        if ticket in self._wanted:  # not if the call that asked was interrupted
            self._wanted.remove(ticket)
            self._verdicts[ticket] = verdict
