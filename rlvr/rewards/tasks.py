"""What the reward service knows of a sample under way, and of a worker."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from rlvr.rewards.functions import Sample
from rlvr.rewards.workers.channel import Frames, Page, Place
from rlvr.rewards.workers.processes import BEGIN_TIMEOUT
from rlvr.types import DataError, FinishReason, Problem, Rollout, Status, Verdict
from rlvr.verify.thoughts import MARKS, Marks, opened_by

Item = tuple[Problem, Rollout | str]  # a rollout, or the text of a completion alone


@dataclass
class Task:
    ticket: int
    sample: Sample
    queued: float  # time.monotonic()
    alone: bool = False  # it was in a call with others that did not come to an end
    late: bool = False  # it was put off for others once
    killed: bool = False  # its process was killed by a signal once, and not by the service
    fresh: bool = False  # it ran out of memory that others may have left too little of


@dataclass
class Worker:
    pid: int
    frames: Frames
    page: Page
    given: list[Task] = field(default_factory=list)  # its batch, while it is at work
    owed: dict[int, Task] = field(default_factory=dict)  # position → task that is its alone
    batch: int = 0  # of the service, the last that it was given; 0 before its first
    sent: float = 0.0  # time.monotonic() when it was given the batch
    withdrawn: bool = False  # the rest of the batch went to others
    killed: float | None = None  # time.monotonic()
    blamed: Place | None = None  # where it was when it was killed
    put_off: bool = False  # it was killed for others' sake, not for its deadline
    computed: float = 0.0  # seconds of CPU time in its function when it was killed for its deadline
    lost: bool = False  # its socket is closed, or it will take nothing more; how it ended will be reported

    @property
    def idle(self) -> bool:
        return not self.given and not self.lost and self.killed is None

    def release(self) -> None:
        self.frames.stream.close()
        self.page.close()


def sample_of(item: Item, number: int, asked: Collection[str], thoughts: Marks = MARKS) -> Sample:
    """What reward functions are given of item `number`. `asked` is what they ask for that no text has.
    A thought that the prompt has opened, by one of the marks `thoughts`, is opened in the completion.

    Raises DataError for what is no item, and for a text where more is asked for.
    """
    match item:
        case (Problem() as problem, Rollout() as rollout):
            tokens = rollout.tokens if "tokens" in asked else None
            reason, drawn = str(rollout.finish_reason), rollout.num_sampled
            completion = opened_by(rollout.prompt_end, thoughts) + rollout.text
            return Sample(problem, rollout.sample, completion, reason, tokens, drawn, thoughts=thoughts)
        case (Problem() as problem, str()) if asked:
            raise DataError(
                f"item {number}, of problem {problem.id!r}, is a text, but a reward function asks for "
                f"{' and '.join(asked)}: give it a Rollout"
            )
        case (Problem() as problem, str() as text):
            return Sample(problem, number, text, str(FinishReason.STOP), thoughts=thoughts)
        case _:
            raise DataError(f"item {number} is no pair of a Problem and a Rollout, or a text: {item!r:.200}")


def was_killed(worker: Worker, status: int) -> bool:
    """Whether the worker of this wait status was killed by a signal that neither the service nor its own
    limit of CPU time sent: by the kernel for want of memory, by an operator, or by its sample."""
    return worker.killed is None and os.waitstatus_to_exitcode(status) not in (-signal.SIGXCPU, *range(256))


def unreached(
    task: Task, worker: Worker, place: Place | None, status: int, name: str, deadline: float
) -> Verdict:
    """The verdict on the task at which `worker` ended, in the function `name`, with this wait status."""
    seconds = time.monotonic() - (place.began if place else worker.sent)
    where = f"{name} ({task.sample.name})"
    code = os.waitstatus_to_exitcode(status)
    if worker.killed is not None:
        late = f"was still running after its deadline of {deadline:g} s"
        late = late if place else f"did not begin within {BEGIN_TIMEOUT:g} s"
        return Verdict(Status.TIMEOUT, None, f"{where} {late}", seconds=seconds)
    if code == -signal.SIGXCPU:
        return Verdict(Status.TIMEOUT, None, f"{where} used up its CPU time", seconds=seconds)
    how = f"exited with status {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
    how += ", a second time, alone" if task.killed else ""
    return Verdict(Status.CRASHED, None, f"{where}: the process {how}", seconds=seconds)
