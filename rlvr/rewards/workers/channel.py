"""What the reward service and its processes share: messages, and a page that says who is where."""

from __future__ import annotations

import math
import mmap
import os
import pickle
import select
import socket
import struct
from dataclasses import dataclass
from typing import Any

from rlvr.rewards.config import RewardConfig
from rlvr.types import Verdict

FORK, KILL = b"F", b"K"  # control messages; FORK carries a socket and a page, KILL a process id
MAX_PACKET = 1 << 16
_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True)
class Start:
    """What the service tells its new process."""

    config: RewardConfig
    parent: int  # process id of the service
    niceness: int  # added to that of the service


@dataclass(frozen=True)
class Ready:
    """What the process answers once it has imported the reward functions."""

    names: tuple[str, ...]  # of the functions, in order
    asked: tuple[str, ...]  # by functions, of what a mere text does not have
    one_by_one: bool  # all of them take one sample at a time, and are not `async`
    late: tuple[bool, ...]  # for each of them, whether an answer that takes it past the deadline is wrong


@dataclass(frozen=True)
class Report:
    """Verdicts of some samples of a worker's batch."""

    verdicts: list[tuple[int, Verdict, float]]  # position in the batch, verdict, when it began
    ended: bool  # the worker is done with the batch
    remembered: tuple[int, int]  # comparisons taken from memory and made since the last report
    unsure: list[int]  # positions without a verdict: out of memory in a process that others had used before
    spent: bool  # the worker ends, since its functions keep too much memory


class Frames:
    """Pickled messages over a stream socket. Reading keeps what is incomplete for later."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self._buffer = bytearray()

    def send(self, message: Any) -> None:
        data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        self.stream.sendall(_LENGTH.pack(len(data)) + data)

    def fill(self, wait: bool = True) -> bool:
        """Read what there is; False at the end of the stream. BlockingIOError for nothing, unless `wait`."""
        # a flag of recv would not do: with a time-out set, Python itself waits for that long
        if not wait and not select.select([self.stream], [], [], 0)[0]:
            raise BlockingIOError
        data = self.stream.recv(MAX_PACKET)
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


def picklable(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


@dataclass(frozen=True)
class Place:
    """Where a worker is. Times are of `time.monotonic`, which all processes of a host share."""

    position: int  # in the batch, or EVERY
    function: int  # index
    began: float
    until: float  # when it has to be done
    cpu: float = 0.0  # seconds of CPU time that the worker had used when it began
    function_cpu: float = 0.0  # … and when it began with the function


class Page:
    """A few numbers in memory that the service and one worker share.

    The worker says where it is without a message: announcing every sample over a socket would
    cost more than a cheap check. The service says which batch it wants back. Each number is
    written whole (eight bytes, aligned); `until` is written last and read twice, so that what is
    read belongs together.
    """

    SIZE = 7 * 8

    def __init__(self, descriptor: int) -> None:
        """Maps the memory file `descriptor`, which may be closed then."""
        self._memory = mmap.mmap(descriptor, self.SIZE)
        self._numbers = memoryview(self._memory).cast("d")

    @staticmethod
    def create() -> int:
        """A descriptor of a new page, all zero."""
        descriptor = os.memfd_create("rlvr-reward-worker")
        os.ftruncate(descriptor, Page.SIZE)
        return descriptor

    def enter(self, position: int, function: int, began: float, until: float, cpu: float) -> None:
        numbers = self._numbers
        numbers[0] = 0.0
        numbers[1], numbers[2], numbers[3], numbers[5], numbers[6] = position, function, began, cpu, cpu
        numbers[0] = until

    def enter_function(self, function: int, cpu: float) -> None:
        """Another function, for the same samples and within the same time."""
        self._numbers[2], self._numbers[6] = function, cpu

    def place(self) -> Place | None:
        """Where the worker is; None while it is nowhere, or between two places."""
        until, position, function, began, _, cpu, function_cpu = self._numbers
        if until in (0.0, math.inf) or until != self._numbers[0]:
            return None
        return Place(int(position), int(function), began, until, cpu, function_cpu)

    def pause(self) -> None:
        """The worker is in no check: it waits for the service, not the other way round."""
        self._numbers[0] = math.inf

    def clear(self) -> None:
        """The worker has not begun its next batch."""
        self._numbers[0] = 0.0

    @property
    def begun(self) -> bool:
        return self._numbers[0] != 0

    def withdraw(self, batch: int) -> None:
        """Ask the worker not to begin any further sample of `batch`."""
        self._numbers[4] = batch

    def withdrawn(self, batch: int) -> bool:
        return self._numbers[4] == batch

    def close(self) -> None:
        self._numbers.release()
        self._memory.close()
