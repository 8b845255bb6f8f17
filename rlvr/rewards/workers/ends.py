"""What the end of a worker means for its tasks: another try, or a verdict. Pure functions."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

from rlvr.rewards.evaluate import EVERY
from rlvr.rewards.tasks import Task
from rlvr.rewards.workers.channel import Place, Ready
from rlvr.rewards.workers.processes import BEGIN_TIMEOUT
from rlvr.types import Status, Verdict

# Share of the deadline that a function must have computed for, if the answer is to blame. A function
# that computed for less has waited, for a core perhaps, and no answer can make it wait.
COMPUTED = 0.1


class Cause(Enum):
    """Why the service ended a worker."""

    DEADLINE = auto()  # its check was past it
    NOT_BEGUN = auto()  # it did not begin its batch in time
    OTHERS_WAIT = auto()  # its check took long, and others can go first
    IDLE = auto()  # it had nothing to do, and gets nothing more


@dataclass(frozen=True)
class End:
    """How a worker ended."""

    cause: Cause | None  # None: it ended by itself, or somebody else ended it
    place: Place | None  # where it was then; None: at no check
    at: float  # time.monotonic() when the service ended it, or noticed its end
    computed: float = 0.0  # seconds of CPU time in the function of `place`, where the service ended it
    code: int = 0  # its exit code; negative: the signal that killed it. Known once it has ended
    seconds: float = 0.0  # from the begin of its check, or else of its batch, until then

    @property
    def killed_from_outside(self) -> bool:
        """Whether a signal ended it that neither the service nor its own limit of CPU time sent, but
        the kernel for want of memory, an operator, or its sample."""
        return self.cause is None and self.code < 0 and self.code != -signal.SIGXCPU


def outcomes(end: End, owed: Mapping[int, Task], ready: Ready, deadline: float) -> dict[int, Task | Verdict]:
    """What becomes of the tasks without a verdict, by their positions in the batch: tried again, or judged.

    `deadline` is that of a check, in seconds.
    """
    position = EVERY if end.place is None else end.place.position
    suspects = set(owed) if position == EVERY else {position} & set(owed)
    found: dict[int, Task | Verdict] = dict(owed)  # who was not at fault is tried again as before
    for position in suspects:
        if len(suspects) > 1:  # which of them it was shows when each is alone
            found[position] = owed[position]._replace(alone=True)
        else:
            found[position] = _outcome(owed[position], end, ready, deadline)
    return found


def without_memory(task: Task) -> Task:
    """The next try of a task that ran out of memory where others may have kept too much."""
    return task._replace(alone=True, fresh=True)


def _outcome(task: Task, end: End, ready: Ready, deadline: float) -> Task | Verdict:
    """What becomes of the task that is at fault."""
    if end.cause is Cause.OTHERS_WAIT:
        return task._replace(put_off=True)
    if end.killed_from_outside and not task.killed:
        return task._replace(alone=True, killed=True)
    if end.cause is Cause.DEADLINE and end.place and _answers_fault(end.place, end.computed, ready, deadline):
        late = (*task.sample.late, end.place.function)  # without it: the other functions have their say
        return task._replace(sample=replace(task.sample, late=late))
    return _unreached(task, end, ready, deadline)


def _answers_fault(place: Place, computed: float, ready: Ready, deadline: float) -> bool:
    """Whether the deadline met a function whose time the answer alone makes long, and at work."""
    return ready.late[place.function] and computed >= COMPUTED * deadline


def _unreached(task: Task, end: End, ready: Ready, deadline: float) -> Verdict:
    status, code = Status.TIMEOUT, end.code
    if end.cause is Cause.DEADLINE:
        how = f" was still running after its deadline of {deadline:g} s"
    elif end.cause is Cause.NOT_BEGUN:
        how = f" did not begin within {BEGIN_TIMEOUT:g} s"
    elif code == -signal.SIGXCPU:
        how = " used up its CPU time"
    else:
        status = Status.CRASHED
        how = f"exited with status {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
        how = f": the process {how}{', a second time, alone' if task.killed else ''}"
    function = ready.names[end.place.function] if end.place else "its worker"
    return Verdict(status, None, f"{function} ({task.sample.name}){how}", seconds=end.seconds)
