"""The other side of the reward service: a parent of workers, and the workers it forks.

The service starts one process that imports the reward functions once (`serve`), and asks it for
workers, which are forks of it: a killed worker is replaced in milliseconds, without importing
anything again. multiprocessing's own fork server is not used because it imports the driver's
main script again, which runs a script that has no `__main__` guard a second time.

Nothing outlives its owner. `serve` ends, with all workers, when its control socket closes or its
parent changes; the kernel kills a worker when `serve` is gone.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

from rlvr.rewards.combine import evaluate
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.functions import RewardFunction, load_functions
from rlvr.types import ConfigError

FORK, KILL = b"F", b"K"  # control messages; FORK carries the worker's socket, KILL a process id
NICENESS = 10  # generation and learning on the same cores come first
MAX_PACKET = 1 << 16
_LENGTH = struct.Struct("!Q")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Start:
    """What the service tells its new process."""

    config: RewardConfig
    parent: int  # process id of the service


class Frames:
    """Pickled messages over a stream socket. Reading keeps what is incomplete for later."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self._buffer = bytearray()

    def send(self, message: Any) -> None:
        data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        self.stream.sendall(_LENGTH.pack(len(data)) + data)

    def fill(self, flags: int = 0) -> bool:
        """Read what there is; False at the end of the stream. BlockingIOError with MSG_DONTWAIT."""
        data = self.stream.recv(MAX_PACKET, flags)
        self._buffer += data
        return bool(data)

    def take(self) -> list[Any]:
        """All messages that are complete by now."""
        messages = []
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            messages.append(pickle.loads(self._buffer[_LENGTH.size : end]))
            del self._buffer[:end]
        return messages


def serve(control_fd: int) -> NoReturn:
    """Import the reward functions, then fork workers on request until the control socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver, which ends us
    control = socket.socket(fileno=control_fd)
    start: Start = pickle.loads(control.recv(1 << 20))
    try:
        functions = load_functions(start.config)
    except ConfigError as error:
        control.send(pickle.dumps(("error", str(error)[: MAX_PACKET // 2])))
        os._exit(1)
    _detach()
    os.nice(NICENESS)
    gc.freeze()  # so that collecting garbage in a worker does not copy our pages
    asks = tuple(sorted({name for function in functions for name in function.asks}))
    with suppress(BrokenPipeError, ConnectionResetError):  # the service has gone: so do we
        control.send(pickle.dumps(("ready", asks)))
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

    def _obey(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self.control, 64, 1)
        if message[:1] == FORK:
            child = os.fork()
            if child == 0:
                self._become_worker(descriptors[0])
            os.close(descriptors[0])
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
                self.control.send(pickle.dumps(("exit", child, status)))

    def _become_worker(self, descriptor: int) -> NoReturn:
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
            _work(Frames(socket.socket(fileno=descriptor)), self.functions, self.start.config)
            code = 0
        except SystemExit as end:  # a reward function called sys.exit
            code = end.code if isinstance(end.code, int) else 1
        finally:  # never return into the server's stack
            os._exit(code & 0xFF)


def _work(frames: Frames, functions: Sequence[RewardFunction], config: RewardConfig) -> None:
    """Check samples as they come. Each function is announced, so that a deadline can name it."""
    while frames.fill():
        for ticket, sample in frames.take():
            started = time.perf_counter()
            announce = partial(_announce, frames, ticket)
            verdict = evaluate(functions, config.weights, sample, announce)
            frames.send(("done", ticket, replace(verdict, seconds=time.perf_counter() - started)))


def _announce(frames: Frames, ticket: int, name: str) -> None:
    frames.send(("running", ticket, name))


def _limit(memory_gib: float) -> None:
    """Bound memory beyond what the process has now; no core dumps, no writing to files."""
    with open("/proc/self/statm") as statm:
        size = int(statm.read().split()[0]) * resource.getpagesize()
    most = size + int(memory_gib * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _detach() -> None:
    """No terminal for reward functions: their input is empty and their output is dropped."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
