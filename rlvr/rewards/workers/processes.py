"""The reward service's own process, and the workers that it forks, as the service sees them."""

from __future__ import annotations

import json
import os
import pickle
import select
import socket
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Any

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.workers.channel import FORK, KILL, MAX_PACKET, Frames, Page, Ready, Start
from rlvr.types import ConfigError, RlvrError, StallError

START_TIMEOUT = 120.0  # seconds for importing the reward functions
FORK_TIMEOUT = 30.0  # seconds for one fork of that process
BEGIN_TIMEOUT = 60.0  # seconds until a worker takes and begins a batch that was sent to it

# Our Python path, in order, so that functions beside the user's script are found; `-c` because
# the package may not be installed.
_BOOTSTRAP = """\
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from rlvr.rewards.workers.worker import serve
serve(int(sys.argv[1]))
"""
_TICKS = os.sysconf("SC_CLK_TCK")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class ProcessesEnded(RlvrError):
    """The process that forks the workers has ended by itself; the message has its last words."""


class Processes:
    """Starts the process that imports the reward functions, and asks it for workers.

    Raises ConfigError when the configured functions cannot be loaded, and ProcessesEnded from any
    method once that process has ended by itself.
    """

    def __init__(self, config: RewardConfig, niceness: int) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._exits: deque[tuple[int, int]] = deque()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            with theirs:
                self._process = _start(theirs)
            self.control.send(pickle.dumps(Start(config, os.getpid(), niceness)))
            kind, content = self._await(("ready", "error"), START_TIMEOUT, "importing the reward functions")
            if kind == "error":
                raise ConfigError(content)
            self.ready: Ready = content
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        return self._process is None

    def fork(self) -> tuple[int, Frames, Page]:
        """A new worker: its process id, the socket to it, and the page shared with it."""
        ours, theirs = socket.socketpair()
        ours.settimeout(BEGIN_TIMEOUT)
        descriptor = Page.create()
        page = Page(descriptor)
        with theirs:
            try:
                socket.send_fds(self.control, [FORK], [theirs.fileno(), descriptor])
            except (BrokenPipeError, ConnectionResetError):
                raise self._ended() from None
            finally:
                os.close(descriptor)
        _, pid = self._await(("forked",), FORK_TIMEOUT, "forking a reward worker")
        return pid, Frames(ours), page

    def kill(self, pid: int) -> None:
        try:
            self.control.send(KILL + str(pid).encode())
        except (BrokenPipeError, ConnectionResetError):
            raise self._ended() from None

    def starved(self, pid: int, used_before: float, enough: float) -> bool:
        """Whether a worker would go on if it had a core, and has not had one for `enough` seconds yet."""
        state, used = _standing(pid)
        return state == "R" and used - used_before < enough

    def computed(self, pid: int) -> float:
        """Seconds of CPU time that a worker has used; 0 if it has ended."""
        return _standing(pid)[1]

    def exits(self) -> list[tuple[int, int]]:
        """Process id and wait status of the workers that have ended, without waiting."""
        while select.select([self.control], [], [], 0)[0]:
            _, pid, status = self._message()
            self._exits.append((pid, status))
        exits, self._exits = list(self._exits), deque()
        return exits

    def close(self) -> None:
        """End all processes. Safe to call again."""
        self.control.close()  # which ends the process and its workers
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

    def _await(self, kinds: tuple[str, ...], timeout: float, doing: str) -> tuple[str, Any]:
        """The next control message of one of `kinds`; exits of workers met on the way are kept."""
        until = time.monotonic() + timeout
        while select.select([self.control], [], [], max(0.0, until - time.monotonic()))[0]:
            message = self._message()
            if message[0] in kinds:
                return message[0], message[1]
            self._exits.append((message[1], message[2]))
        raise StallError(f"the reward service's process did not finish {doing} within {timeout:g} s")

    def _message(self) -> tuple[Any, ...]:
        """One control message."""
        with suppress(ConnectionResetError):
            data = self.control.recv(MAX_PACKET)
            if data:
                message: tuple[Any, ...] = pickle.loads(data)
                return message
        raise self._ended()

    def _ended(self) -> ProcessesEnded:
        """What to say of the process that is gone, with what it said last."""
        process = self._process
        assert process is not None
        said = b""
        if process.stderr and select.select([process.stderr], [], [], 1.0)[0]:
            said = os.read(process.stderr.fileno(), MAX_PACKET)
        tail = said.decode(errors="replace").strip().split("\n")[-1]
        return ProcessesEnded(f"the reward service's process ended unexpectedly{': ' if tail else ''}{tail}")


def _standing(pid: int) -> tuple[str, float]:
    """State and seconds of CPU time of a process; neither if it has ended."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0.0
    return fields[0], (int(fields[11]) + int(fields[12])) / _TICKS


def _start(theirs: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _BOOTSTRAP, str(theirs.fileno()), json.dumps(sys.path)],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ | _ONE_THREAD,
        start_new_session=True,  # the terminal's Ctrl-C does not reach it
    )
