"""The reward for a completion that marks its final answer as required, whether correct or not."""

from __future__ import annotations

import re

from rlvr.rewards.functions import wrong_when_late
from rlvr.verify.thoughts import MARKS, Marks, after_thoughts

BOX_OR_HASH = r"\\boxed\s*\{|^.*?#(?=\s*[-+$\\(.\d])"
TAGS = ("<think>", "</think>", "<answer>", "</answer>")

_TAG = "</?think>|</?answer>"


@wrong_when_late()
def format_reward(
    completion: str,
    pattern: str | None = BOX_OR_HASH,
    tags: bool = False,
    correct: float = 1.0,
    wrong: float = 0.0,
    thoughts: Marks = MARKS,
) -> float:
    r"""`correct` if the completion has the format that the settings require, else `wrong`.

    pattern: it must occur exactly once in what follows the last thought, or with `tags` in the
        answer. The default counts `\boxed{` and lines such as "#### 42" or "#42"; `\\boxed\{` is
        exactly one box; null requires no mark. `^` matches at every line. Two marks are as wrong as
        none: a completion that lists candidates has no final answer.
    tags: the completion must be `<think>…</think>` and then `<answer>…</answer>`, each tag exactly
        once, neither empty, and nothing but white space before, between and after them (the form
        of DeepSeek-R1-Zero, arXiv 2501.12948). A `<think>` that ends the prompt counts.
    """
    answer = _tagged_answer(completion) if tags else after_thoughts(completion, marks=thoughts)
    if answer is None:
        return wrong
    marked = pattern is None or len(re.findall(pattern, answer, re.MULTILINE)) == 1
    return correct if marked else wrong


def _tagged_answer(completion: str) -> str | None:
    if re.findall(_TAG, completion, re.IGNORECASE) != list(TAGS):
        return None
    before, thought, between, answer, after = re.split(_TAG, completion)
    if before.strip() or between.strip() or after.strip() or not thought.strip():
        return None
    return answer if answer.strip() else None
