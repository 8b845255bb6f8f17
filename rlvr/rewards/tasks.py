"""Work of the reward service: items from its callers, and tasks, the attempts to check them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from rlvr.rewards.functions import Sample
from rlvr.types import DataError, FinishReason, Problem, Rollout
from rlvr.verify.thoughts import MARKS, Marks, opened_by

Item = tuple[Problem, Rollout | str]  # a rollout, or only the text of a completion


class Task(NamedTuple):
    """One attempt to check a sample; the flags say what happened to earlier attempts."""

    ticket: int  # the same for all attempts
    sample: Sample
    queued: float  # time.monotonic() when it was first queued
    alone: bool = (
        False  # must run alone: it was in a call with others that did not end, or that a signal ended
    )
    put_off: bool = False  # it was interrupted, as it took long while others waited
    killed: bool = False  # its process was killed by a signal that the service did not send
    fresh: bool = False  # needs a new process: it ran out of memory, which earlier samples may have used up


def sample_of(item: Item, number: int, asked: Collection[str], thoughts: Marks = MARKS) -> Sample:
    """The sample of item `number`. `asked` are the names in `OF_A_ROLLOUT` that reward functions take.
    If the prompt opened a thought (`thoughts`), its opening mark is put in front of the completion.

    Raises DataError for an invalid item, and for a text if `asked` is not empty.
    """
    match item:
        case (Problem(answer=answer) as problem, _) if not isinstance(answer, str):
            raise DataError(
                f"item {number}: problem {problem.id!r} has the answer {answer!r:.80}: give a text"
            )
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
