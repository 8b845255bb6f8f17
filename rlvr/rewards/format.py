"""The reward of a completion that marks its final answer as asked, right or wrong."""

from __future__ import annotations

import re

BOX_OR_HASH = r"\\boxed\s*\{|^.*?#+(?=\s*[-+$\\(.\d])"


def format_reward(
    completion: str, pattern: str = BOX_OR_HASH, correct: float = 1.0, wrong: float = 0.0
) -> float:
    """`correct` when `pattern` occurs exactly once in what follows the last `</think>`, else `wrong`.

    The default counts `\\boxed{` and lines such as "#### 42" or "#42". `^` matches at every
    line. Two marks are as bad as none: a completion that lists candidates commits to nothing.
    """
    answer = completion.rpartition("</think>")[2]
    marks = re.findall(pattern, answer, re.MULTILINE)
    return correct if len(marks) == 1 else wrong
