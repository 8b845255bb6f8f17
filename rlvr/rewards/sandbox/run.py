"""The caller's side of the sandbox: start, feed, watch and end confined processes."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Literal

import rlvr
from rlvr.rewards.sandbox.child import READY
from rlvr.rewards.sandbox.wire import LENGTH_BYTES, MAX_REPLY, MAX_REQUEST, packed

MAX_OUTPUT = 4 << 20  # bytes of standard output and standard error together
CPU_SLACK = 0.1  # seconds by which the kernel's two measures of CPU time may differ
KEPT_ERRORS = 4096  # number of last bytes of standard error that are kept
START_SECONDS = 10.0  # time limit until the first process is confined
MOST_WAITING = 3  # most wall time, as a multiple of the program's time limit, on a busy machine

_BOOTSTRAP = """\
import sys
_, root, role, *settings = sys.argv
sys.path.append(root)
from rlvr.rewards.sandbox.child import main
main(role, settings)
"""
_ROOT = str(Path(rlvr.__file__).parents[1])

Ending = Literal["exit", "signal", "cpu", "time", "starved", "output"]


class SandboxError(Exception):
    """The sandbox could not be created, so nothing was run."""


class Starved(Exception):
    """The program waited too long for a core of the machine, so its time cannot be judged."""


class Ended(Exception):
    """A process ended, or was ended, before it answered. `outcome` says how."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(how_it_ended(outcome))
        self.outcome = outcome


@dataclass(frozen=True)
class Limits:
    """Resource limits of one process."""

    cpu_seconds: int
    memory_mib: int  # of address space
    confine_reads: bool  # whether Landlock is required
    modules: tuple[str, ...] = ()  # importable besides the standard library


@dataclass(frozen=True)
class Outcome:
    """How a process ended. `cpu` is its CPU time, in seconds."""

    ending: Ending
    code: int  # exit code; negative signal number if it was killed
    output: bytes
    errors: str
    cpu: float


class Clock:
    """The time limit of a program for all of its tests, in seconds.

    It starts when the first process is confined, and is stopped while the program's main thread, or the
    caller, waits for a core. A program cannot exploit that: other threads of it use up its CPU time.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.begun = False
        self.started = time.monotonic()
        self.waited = 0.0  # seconds that ended processes waited for a core, less the wait before the start

    def begin(self, pid: int) -> None:
        """Start the clock: the process `pid` is confined."""
        if not self.begun:
            self.begun, self.started = True, time.monotonic()
            self.waited = -_waited(str(pid)) - _waited("thread-self")

    def left(self, pid: int | None = None) -> float:
        """Seconds left; `pid` is the running process, if any. Raises Starved."""
        passed = time.monotonic() - self.started
        if not self.begun:
            return START_SECONDS - passed
        if passed < self.seconds:
            return self.seconds - passed
        waited = self.waited + _waited("thread-self") + (_waited(str(pid)) if pid else 0.0)
        left = self.seconds - passed + waited
        if left > 0 and passed > MOST_WAITING * self.seconds:
            raise Starved(f"the machine was too busy to run the program for {self.seconds:g} s")
        return left


def _waited(process: str) -> float:
    """Seconds that a process's runnable main thread waited for a core; 0 if the kernel does not report it."""
    try:
        with open(f"/proc/{process}/schedstat") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


class Process:
    """A confined process; nothing of it outlives `end`, which may be called repeatedly.

    For `role` see `child`. Raises OSError if no process could be created.
    """

    def __init__(self, role: str, limits: Limits, clock: Clock) -> None:
        self.limits, self.clock = limits, clock
        self.outcome: Outcome | None = None
        self.errors = bytearray()
        settings = [os.getpid(), limits.cpu_seconds, limits.memory_mib, int(limits.confine_reads)]
        self.popen = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-s",
                "-S",
                "-B",
                "-X",
                "utf8",
                "-c",
                _BOOTSTRAP,
                _ROOT,
                role,
                *map(str, settings),
                *(f"{name}={folder_of(name)}" for name in limits.modules),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            # sets have the same order in every run; numpy's threads would only take memory
            env={"PYTHONHASHSEED": "0"} | ({"OPENBLAS_NUM_THREADS": "1"} if limits.modules else {}),
            start_new_session=True,
        )

    def end(self, ending: Ending, output: bytes = b"") -> Outcome:
        """Kill the process if it still runs, and wait for it. Returns how it ended."""
        if self.outcome is not None:
            return self.outcome
        process = self.popen
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        self.clock.waited += _waited(str(process.pid))
        _, status, usage = os.wait4(process.pid, 0)
        code = process.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        # If we did not end it, only the kernel can have; on busy machines its CPU times differ widely.
        least = self.limits.cpu_seconds / 2 if ending == "exit" else self.limits.cpu_seconds - CPU_SLACK
        if code in (-signal.SIGKILL, -signal.SIGXCPU) and cpu >= least:
            ending = "cpu"
        elif ending == "exit" and code < 0:
            ending = "signal"
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()
        self.outcome = Outcome(ending, code, output, self.errors.decode(errors="replace"), cpu)
        return self.outcome


def folder_of(module: str) -> str:
    """The folder with an installed package or module. Raises SandboxError if it is not installed."""
    spec = PathFinder.find_spec(module)
    if spec is None or spec.origin is None:
        raise SandboxError(f"the module {module!r}, which programs may import, is not installed here")
    place = Path(spec.origin).parent
    return str(place.parent if spec.submodule_search_locations else place)


class Session:
    """A program in a process of its own, which answers requests (`rlvr.rewards.sandbox.program`).

    The constructor loads the program; `rejected` is the exception that the program raised then, if any.

    Raises:
        SandboxError: there is no sandbox.
        OSError: no process could be created.
        Ended: (any method) the program ended, exceeded its time, or sent an invalid message.
        Starved: (any method) the machine was too busy.
    """

    def __init__(self, program: str, limits: Limits, clock: Clock) -> None:
        self.process = Process("program", limits, clock)
        try:
            self._started()
            kind, content = self.request(program)
            self.rejected: str | None = None
            if kind != "loaded":
                names, message = content
                self.rejected = f"{names[0]}: {message}" if message else str(names[0])
        except (TypeError, ValueError, IndexError, KeyError):  # not a valid reply
            raise Ended(self.process.end("output")) from None
        except BaseException:
            self.process.end("exit")
            raise

    def _started(self) -> None:
        """Wait until the process reports that it is confined."""
        try:
            if self._read(1) == READY:
                self.process.clock.begin(self.process.popen.pid)
                return
        except Ended as ended:
            outcome = ended.outcome
            raise _not_started(outcome, self.process.clock) from None
        raise SandboxError("its process said something else first")

    def request(self, message: Any) -> Any:
        """Send a message and return the reply. Raises NotPlain if the message is too long."""
        self._write(packed(message, MAX_REQUEST))
        length = int.from_bytes(self._read(LENGTH_BYTES))
        if length > MAX_REPLY:
            raise Ended(self.process.end("output"))
        try:
            return json.loads(self._read(length))
        except (ValueError, RecursionError):
            raise Ended(self.process.end("output")) from None

    def close(self) -> Outcome:
        return self.process.end("exit")

    def _write(self, data: bytes) -> None:
        assert self.process.popen.stdin
        descriptor = self.process.popen.stdin.fileno()
        os.set_blocking(descriptor, False)
        waiting = memoryview(data)
        while waiting:
            self._wait(descriptor, selectors.EVENT_WRITE)
            try:
                waiting = waiting[os.write(descriptor, waiting[: 1 << 16]) :]
            except BrokenPipeError:
                raise self._gone() from None

    def _read(self, size: int) -> bytes:
        assert self.process.popen.stdout
        descriptor = self.process.popen.stdout.fileno()
        data = bytearray()
        while len(data) < size:
            self._wait(descriptor, selectors.EVENT_READ)
            piece = os.read(descriptor, min(size - len(data), 1 << 16))
            if not piece:
                raise self._gone()
            data += piece
        return bytes(data)

    def _wait(self, descriptor: int, event: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, event)
            while not selector.select(self._left()):
                pass

    def _left(self) -> float:
        try:
            left = self.process.clock.left(self.process.popen.pid)
        except Starved:
            self.process.end("starved")
            raise
        if left <= 0:
            raise Ended(self.process.end("time"))
        return left

    def _gone(self) -> Ended:
        """The process has closed its pipes: wait until it ends or its time is up."""
        exited = os.pidfd_open(self.process.popen.pid)
        try:
            self._wait(exited, selectors.EVENT_READ)
        finally:
            os.close(exited)
        if self.process.popen.stderr:
            os.set_blocking(self.process.popen.stderr.fileno(), False)
            with suppress(BlockingIOError):
                self.process.errors += os.read(self.process.popen.stderr.fileno(), KEPT_ERRORS)
        return Ended(self.process.end("exit"))


def run_script(program: str, stdin: str, limits: Limits, clock: Clock) -> Outcome:
    """Run `program` as a script until it ends or its time is up.

    Raises SandboxError if it could not be confined, OSError if no process could be created, and Starved.
    """
    source = program.encode(errors="replace")
    payload = len(source).to_bytes(LENGTH_BYTES) + source + stdin.encode(errors="replace")
    process = Process("script", limits, clock)
    try:
        outcome = _converse(process, payload)
    finally:
        process.end("exit")
    if outcome.output.startswith(READY):
        return replace(outcome, output=outcome.output[1:])
    if isinstance(error := _not_started(outcome, clock), Ended):
        return outcome
    raise error


def _not_started(outcome: Outcome, clock: Clock) -> Exception:
    """The exception for a process that ended before it was confined."""
    if outcome.ending != "time":
        return SandboxError(outcome.errors.strip() or f"its process ended with {outcome.code}")
    if clock.begun:  # earlier processes have used up the time
        return Ended(outcome)
    return Starved(f"the sandbox did not start within {START_SECONDS:g} s")


def how_it_ended(outcome: Outcome) -> str:
    """How a process ended, in words that follow "the program"."""
    if outcome.ending == "cpu":
        return "ran out of CPU time"
    if outcome.ending == "time":
        return "ran past its time limit"
    if outcome.ending == "output":
        return "sent too much, or what is no value"
    if outcome.code >= 0:
        return f"exited with status {outcome.code}"
    try:
        return f"was ended by {signal.Signals(-outcome.code).name}"
    except ValueError:
        return f"was ended by signal {-outcome.code}"


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _converse(process: Process, payload: bytes) -> Outcome:
    """Write `payload` and read both outputs until the process exits or exceeds a limit."""
    popen, clock = process.popen, process.clock
    assert popen.stdin
    assert popen.stdout
    assert popen.stderr
    waiting, output = memoryview(payload), bytearray()
    ending: Ending = "exit"
    with selectors.DefaultSelector() as selector, _closing(os.pidfd_open(popen.pid)) as exited:
        selector.register(exited, selectors.EVENT_READ, None)
        selector.register(popen.stdin, selectors.EVENT_WRITE, None)
        selector.register(popen.stdout, selectors.EVENT_READ, output)
        selector.register(popen.stderr, selectors.EVENT_READ, process.errors)
        os.set_blocking(popen.stdin.fileno(), False)
        running, total = True, 0
        while running:
            left = clock.left(popen.pid)
            if left <= 0:
                ending = "time"
                break
            ready = selector.select(left)
            for key, _ in ready:
                if key.fileobj == exited:
                    running = len(ready) > 1  # read its remaining output first
                elif key.fileobj is popen.stdin:
                    waiting = _feed(popen.stdin.fileno(), waiting)
                    if not waiting:
                        selector.unregister(popen.stdin)
                        with suppress(BrokenPipeError):
                            popen.stdin.close()
                else:
                    data = os.read(key.fd, 1 << 16)
                    total += len(data)
                    key.data.extend(data)
                    if output:  # READY, the first byte: it is confined
                        clock.begin(popen.pid)
                    if not data:
                        selector.unregister(key.fileobj)
            del process.errors[:-KEPT_ERRORS]
            if total > MAX_OUTPUT:
                ending, running = "output", False
    return process.end(ending, bytes(output))


def _feed(descriptor: int, waiting: memoryview) -> memoryview:
    try:
        return waiting[os.write(descriptor, waiting[: 1 << 16]) :]
    except BrokenPipeError:  # the program does not read all of its input
        return memoryview(b"")
