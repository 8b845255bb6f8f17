"""The reward of a completion in which a pattern is found."""

from __future__ import annotations

import re

from rlvr.rewards.functions import wrong_when_late
from rlvr.verify.thoughts import MARKS, Marks, after_thoughts


@wrong_when_late()
def regex_reward(
    completion: str,
    pattern: str,
    full: bool = False,
    correct: float = 1.0,
    wrong: float = 0.0,
    thoughts: Marks = MARKS,
) -> float:
    """`correct` when `pattern` (Python's `re`) is found in what follows the last thought, else `wrong`.

    `full` wants the whole of it to match, but for white space around it. Flags go into the
    pattern: `(?i)`, `(?m)`, `(?s)`. A pattern such as `(a+)+b` can take exponential time on the
    wrong text: nothing here bounds it but the deadline of the reward service, past which the answer
    is wrong. Raises ValueError when `pattern` is no regular expression.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern {pattern!r} is no regular expression: {error}") from error
    text = after_thoughts(completion, marks=thoughts)
    if text is None:
        return wrong
    found = compiled.fullmatch(text.strip()) if full else compiled.search(text)
    return correct if found else wrong
