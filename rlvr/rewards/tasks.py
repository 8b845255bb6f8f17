"""What the reward service has to check: items of its callers, and tasks, the tries to check them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from rlvr.rewards.functions import Sample
from rlvr.types import DataError, FinishReason, Problem, Rollout
from rlvr.verify.thoughts import MARKS, Marks, opened_by

Item = tuple[Problem, Rollout | str]  # a rollout, or the text of a completion alone


class Task(NamedTuple):
    """One try to check a sample. What earlier tries have shown decides how it is made."""

    ticket: int  # the same for all tries
    sample: Sample
    queued: float  # time.monotonic() when it first was
    alone: bool = False  # it was in a call with others that did not come to an end, or a signal ended it
    put_off: bool = False  # it took long while others waited
    killed: bool = False  # its process was killed by a signal, and not by the service
    fresh: bool = False  # it ran out of memory that others may have left too little of


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
