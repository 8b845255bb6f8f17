"""Commands as a user starts, stops and kills them, with all of their processes in view."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

RLVR = Path(sys.executable).with_name("rlvr")
LIMIT = 240.0  # seconds for one command; it takes a tenth of it on a quiet machine
STOPPED = 30.0  # seconds in which a command that gets a signal saves what it has, and ends
MARK = "RLVR_TEST_RUN"  # an environment variable that all processes of a run inherit


@dataclass
class Run:
    """One command in a process group of its own, all of its processes marked in their environment."""

    process: subprocess.Popen[str]
    mark: str
    output: Path

    @classmethod
    def start(cls, cwd: Path, command: str, *arguments: str) -> Run:
        return cls.start_other(cwd, str(RLVR), command, *arguments)

    @classmethod
    def start_other(cls, cwd: Path, *words: str) -> Run:
        """Any program."""
        mark = uuid.uuid4().hex
        output = cwd / f"output_{mark}.txt"
        with output.open("w") as file:
            process = subprocess.Popen(
                words,
                cwd=cwd,
                env=os.environ | {MARK: mark},
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        return cls(process, mark, output)

    def processes(self) -> list[str]:
        """The command lines of the run's processes that live, the driver's and all others'."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found.append(f"{folder.name} {command[:80]}")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it ended meanwhile, or is nobody's of ours
        return found

    def until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + LIMIT
        while not condition():
            assert self.process.poll() is None, f"the run ended before {what}:\n{self.output.read_text()}"
            assert time.monotonic() < end, f"no {what} in {LIMIT} s:\n{self.output.read_text()}"
            time.sleep(0.005)

    def kill(self) -> None:
        """End whatever is left of it."""
        for line in self.processes():
            with suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), signal.SIGKILL)
        self.process.wait()

    def wait(self) -> int:
        return self.process.wait(timeout=LIMIT)

    def stop(self, number: signal.Signals) -> str:
        """Send a signal to the command's whole group, as Ctrl-C and `timeout` do. It ends by itself, with one
        line as its last, and leaves no process; what it has written.
        """
        os.killpg(self.process.pid, number)
        assert self.process.wait(timeout=STOPPED) == 130, self.output.read_text()
        assert self.ended(STOPPED) == []
        said = self.output.read_text()
        *_, gap, last = said.rstrip("\n").split("\n")
        assert (gap, last[:6]) == ("", "rlvr: "), said
        assert "GCS" not in said
        return said

    def ended(self, deadline: float, but: tuple[str, ...] = ()) -> list[str]:
        """What is left of the run's processes once none is, or when `deadline` seconds are over.

        Processes with a name in `but` are not looked at.
        """
        end = time.monotonic() + deadline
        while True:
            left = [line for line in self.processes() if not any(name in line for name in but)]
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.2)


def complete(cwd: Path, command: str, *arguments: str) -> tuple[int, str]:
    """Exit code and output of a command that comes to its end, and leaves no process."""
    run = Run.start(cwd, command, *arguments)
    try:
        code = run.wait()
        assert run.ended(30.0) == []
    finally:
        run.kill()
    return code, run.output.read_text()
