"""The reward for a completion that matches a pattern."""

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

    With `full` all of it must match, except white space around it. Flags go into the pattern:
    `(?i)`, `(?m)`, `(?s)`. A pattern such as `(a+)+b` can take exponential time on some texts;
    only the deadline of the reward service bounds it, and the answer is wrong then. Raises
    ValueError if `pattern` is no regular expression.
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
