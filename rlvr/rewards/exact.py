"""The reward for an answer with the same text as the reference."""

from __future__ import annotations

import unicodedata

from rlvr.rewards.functions import wrong_when_late
from rlvr.types import Status, Verdict
from rlvr.verify.extract import extract_answer
from rlvr.verify.thoughts import MARKS, Marks, after_thoughts

_MAX_LINE = 1_000  # longest last line that is taken as the answer, in characters


@wrong_when_late()
def exact_reward(
    completion: str,
    answer: str,
    ignore_case: bool = True,
    correct: float = 1.0,
    wrong: float = 0.0,
    thoughts: Marks = MARKS,
) -> Verdict:
    """`correct` when the final answer is the same text as the problem's answer, once both are normalized.

    Normalized: Unicode NFKC, runs of white space as one space, no dressing (`**`, `$`, quotes,
    a full stop at the end), and lower case unless `ignore_case` is off. The answer is what
    `final_text` finds; without one the completion is unparseable and gets `wrong`.
    """
    found = final_text(completion, thoughts)
    if found is None:
        return Verdict(Status.UNPARSEABLE, wrong, "no answer found")
    same = normalized_text(found, ignore_case) == normalized_text(answer, ignore_case)
    return Verdict(
        Status.CORRECT if same else Status.WRONG,
        correct if same else wrong,
        f"{found[:80]!r} is {'' if same else 'not '}the text {answer[:80]!r}",
        found,
        rule="same text once normalized",
    )


def final_text(completion: str, thoughts: Marks = MARKS) -> str | None:
    """The answer that `extract_answer` finds after the thoughts, else the last line there, else None."""
    text = after_thoughts(completion, marks=thoughts)
    if text is None:
        return None
    extracted = extract_answer(text)
    if extracted is not None:
        return extracted.text
    line = text.strip().rpartition("\n")[2].strip()
    return line if line and len(line) <= _MAX_LINE else None


def normalized_text(text: str, ignore_case: bool = True) -> str:
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    text = text.strip(" *$`\"'“”‘’").rstrip(" .")
    return text.casefold() if ignore_case else text
