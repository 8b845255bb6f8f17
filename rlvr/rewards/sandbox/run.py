"""The caller's side of the sandbox: start, feed, watch and end confined processes."""

from __future__ import annotations

import json
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import rlvr
from rlvr.rewards.sandbox.child import LENGTH_BYTES, READY

MAX_OUTPUT = 4 << 20  # bytes of standard output and standard error together
CPU_SLACK = 0.1  # seconds by which the kernel's two counts of CPU time may differ
KEPT_ERRORS = 4096  # last bytes of standard error

_BOOTSTRAP = """\
import sys
_, root, role, *numbers = sys.argv
sys.path.append(root)
from rlvr.rewards.sandbox.child import main
main(role, *map(int, numbers))
"""
_ROOT = str(Path(rlvr.__file__).parents[1])

Ending = Literal["exit", "signal", "cpu", "deadline", "output"]


class SandboxError(Exception):
    """The sandbox could not be made, so nothing was run."""


@dataclass(frozen=True)
class Limits:
    """What one process may use."""

    cpu_seconds: int
    memory_mib: int  # of address space
    confine_reads: bool  # whether Landlock is required


@dataclass(frozen=True)
class Outcome:
    """How a process ended. `cpu` is what it used, in seconds."""

    ending: Ending
    code: int  # of exit; a negative signal number when it was killed
    output: bytes
    errors: str
    cpu: float


@dataclass(frozen=True)
class Report:
    """One test of `run_tests`."""

    outcome: str  # passed | failed | unused | unsendable | cpu | deadline
    reason: str


def run_script(program: str, stdin: str, limits: Limits, deadline: float) -> Outcome:
    """Run `program` as a script until it ends or `deadline` (of time.monotonic()) passes.

    Raises SandboxError when it could not be confined, and OSError when no process could be made.
    """
    source = program.encode(errors="replace")
    with _process("script", limits, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        payload = _framed(source) + stdin.encode(errors="replace")
        return _checked(_converse(process, payload, limits, deadline))


def run_tests(
    program: str,
    tests: Sequence[tuple[str, str | None]],
    entry_point: str | None,
    limits: Limits,
    deadline: float,
) -> tuple[str | None, list[Report]]:
    """Why the program could not be loaded (or None), and a report for every test.

    A test is source code, and the name of a function in it to call, if any. After a test that the program
    does not survive it starts anew, while there is CPU time left: the limit is for all tests together.
    """
    reports: list[Report] = []
    left = float(limits.cpu_seconds)
    while len(reports) < len(tests):
        if time.monotonic() >= deadline:
            return None, [*reports, *[Report("deadline", "out of time")] * (len(tests) - len(reports))]
        if left <= 0:
            return None, [*reports, *[Report("cpu", "out of CPU time")] * (len(tests) - len(reports))]
        numbered = [(number, *test) for number, test in enumerate(tests)][len(reports) :]
        job = {"program": program, "tests": numbered, "entry_point": entry_point}
        checked, used = _run_pair(job, replace(limits, cpu_seconds=math.ceil(left)), deadline)
        lines = [json.loads(line) for line in checked.output.splitlines()]
        if not lines and checked.ending == "deadline" and used.ending != "cpu":
            continue  # it was still loading
        if not lines or lines[0][0] != "loaded":
            return _why_not_loaded(lines, checked, used), reports
        left -= max(used.cpu, 0.01)
        reports += [_report(outcome, reason, used) for _, outcome, reason in lines[1:]]
        if len(reports) < len(tests) and (not lines[1:] or lines[-1][1] != "ended"):
            if used.ending == "cpu":
                reports.append(_report("ended", "", used))
            elif checked.ending == "deadline":
                reports.append(Report("deadline", "it was still running"))
            else:
                reports.append(Report("failed", f"its process {how_it_ended(checked)}"))
    return None, reports


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(LENGTH_BYTES) + data


def _why_not_loaded(lines: Sequence[Sequence[str]], checked: Outcome, used: Outcome) -> str:
    if lines and lines[0][0] == "no program":
        raise SandboxError(f"the program's process could not be confined: {checked.errors.strip()}")
    if lines and lines[0][0] == "unloaded":
        return _readable(lines[0][1])
    if lines or used.ending == "cpu":
        return f"the program {how_it_ended(used)} before the tests"
    return f"what it defines is too much: the process of the tests {how_it_ended(checked)}"


def _readable(text: str) -> str:
    """Without lone surrogates, which no file takes."""
    return text.encode(errors="replace").decode()


def _report(outcome: str, reason: str, used: Outcome) -> Report:
    if outcome == "ended":
        kind = "cpu" if used.ending == "cpu" else "failed"
        return Report(kind, f"the program {how_it_ended(used)} during the test")
    return Report(outcome, _readable(reason))


def how_it_ended(outcome: Outcome) -> str:
    """For a process that ended by itself or by a limit."""
    if outcome.ending == "cpu":
        return "ran out of CPU time"
    if outcome.code >= 0:
        return f"exited with status {outcome.code}"
    try:
        return f"was ended by {signal.Signals(-outcome.code).name}"
    except ValueError:
        return f"was ended by signal {-outcome.code}"


def _run_pair(job: Mapping[str, Any], limits: Limits, deadline: float) -> tuple[Outcome, Outcome]:
    """How the tests' process and the program's ended; the first one's output are its reports."""
    program_reads, checker_writes = os.pipe()
    checker_reads, program_writes = os.pipe()
    ends = [program_reads, checker_writes, checker_reads, program_writes]
    payload = json.dumps(job).encode()
    with _closing(ends), _process("program", limits, program_reads, program_writes) as program:
        pipes = [checker_reads, checker_writes]
        with _process("checker", limits, subprocess.PIPE, subprocess.PIPE, pipes) as checker:
            while ends:
                os.close(ends.pop())
            outcome = _checked(_converse(checker, _framed(payload), limits, deadline, program))
        return outcome, _end(program, "exit", limits)


@contextmanager
def _closing(descriptors: list[int]) -> Iterator[None]:
    try:
        yield
    finally:
        while descriptors:
            os.close(descriptors.pop())


@contextmanager
def _process(
    role: str, limits: Limits, stdin: int, stdout: int, pipes: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """A confined process, which does not outlive the block."""
    numbers = [os.getpid(), limits.cpu_seconds, limits.memory_mib, int(limits.confine_reads), *pipes]
    command = [sys.executable, "-P", "-s", "-S", "-B", "-X", "utf8", "-c", _BOOTSTRAP, _ROOT, role]
    command += [str(number) for number in numbers]
    process = subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        cwd="/",
        env={"PYTHONHASHSEED": "0"},  # so that a verdict does not depend on the order of a set
        pass_fds=pipes,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            _end(process, "exit", limits)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def _end(
    process: subprocess.Popen[bytes], ending: Ending, limits: Limits, output: bytes = b"", errors: bytes = b""
) -> Outcome:
    """Kill the process if it still runs, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime
    if code < 0 and cpu >= limits.cpu_seconds - CPU_SLACK:
        ending = "cpu"
    elif ending == "exit" and code < 0:
        ending = "signal"
    return Outcome(ending, code, output, errors.decode(errors="replace"), cpu)


def _converse(
    process: subprocess.Popen[bytes],
    payload: bytes,
    limits: Limits,
    deadline: float,
    other: subprocess.Popen[bytes] | None = None,
) -> Outcome:
    """Write `payload`, read both outputs, until the process exits or must be ended.

    The standard error of `other` is read into the errors as well, so that it cannot block.
    """
    assert process.stdin
    assert process.stdout
    waiting, output, errors = memoryview(payload), bytearray(), bytearray()
    ending: Ending = "exit"
    exited = os.pidfd_open(process.pid)
    with selectors.DefaultSelector() as selector, _closing([exited]):
        selector.register(exited, selectors.EVENT_READ, None)
        selector.register(process.stdin, selectors.EVENT_WRITE, None)
        selector.register(process.stdout, selectors.EVENT_READ, output)
        for stream in (process.stderr, other.stderr if other else None):
            if stream is not None:
                selector.register(stream, selectors.EVENT_READ, errors)
        os.set_blocking(process.stdin.fileno(), False)
        running, total = True, 0
        while running:
            ready = selector.select(max(0.0, deadline - time.monotonic()))
            if not ready:
                ending, running = "deadline", False
            for key, _ in ready:
                if key.fileobj == exited:
                    running = len(ready) > 1  # first what it has still written
                elif key.fileobj is process.stdin:
                    waiting = _feed(process, waiting)
                    if not waiting:
                        selector.unregister(process.stdin)
                        with suppress(BrokenPipeError):
                            process.stdin.close()
                else:
                    data = os.read(key.fd, 1 << 16)
                    total += len(data)
                    key.data.extend(data)
                    if not data:
                        selector.unregister(key.fileobj)
            del errors[:-KEPT_ERRORS]
            if total > MAX_OUTPUT:
                ending, running = "output", False
            if running and time.monotonic() >= deadline:
                ending, running = "deadline", False
    return _end(process, ending, limits, bytes(output), bytes(errors))


def _feed(process: subprocess.Popen[bytes], waiting: memoryview) -> memoryview:
    assert process.stdin
    try:
        return waiting[os.write(process.stdin.fileno(), waiting[: 1 << 16]) :]
    except BrokenPipeError:  # it does not want to read it all
        return memoryview(b"")


def _checked(outcome: Outcome) -> Outcome:
    """Without the first byte, which says that the process was confined before anything ran."""
    if not outcome.output.startswith(READY):
        if outcome.ending == "deadline":
            return outcome
        raise SandboxError(outcome.errors.strip() or f"its process ended with {outcome.code}")
    return replace(outcome, output=outcome.output[1:])
