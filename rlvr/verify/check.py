"""The verdict on one completion."""

from __future__ import annotations

from typing import Literal

from rlvr.types import Status, Verdict
from rlvr.verify.compare import compare
from rlvr.verify.extract import Extracted, extract_answer
from rlvr.verify.normalize import normalize
from rlvr.verify.parse import MAX_ANSWER, read_answer

_SHOWN = 80  # characters of an answer in a reason


def check_answer(
    completion: str,
    gold: str,
    correct: float = 1.0,
    wrong: float = 0.0,
    fallback: Literal["none", "last_number"] = "none",
) -> Verdict:
    """Whether `completion` ends in an answer that equals the reference answer `gold`.

    `gold` may carry its own mark (a box, "####"). A completion without a readable answer is
    unparseable and gets the reward of a wrong one. Sizes are bounded before anything is
    evaluated; an answer beyond the bounds is right only if it is written like the reference.
    Never raises on any text. Time is bounded by the sizes but not measured: what must not hang
    runs in `rlvr.rewards.service`.
    """
    answer = extract_answer(completion, fallback)
    if answer is None or not normalize(answer.text[:MAX_ANSWER]):
        reason = "no answer found" if answer is None else f"the {answer.where} is empty"
        return Verdict(Status.UNPARSEABLE, wrong, reason)
    equal, rule = _decide(answer, _reference(gold))
    return Verdict(
        Status.CORRECT if equal else Status.WRONG,
        correct if equal else wrong,
        f"{_shown(answer.text)} (from the {answer.where}) {'=' if equal else '≠'} {_shown(gold)}: {rule}",
        extracted=answer.text,
    )


def _reference(gold: str) -> str:
    marked = extract_answer(gold)
    return marked.text if marked and marked.where in ("box", "hash line") else gold


def _decide(answer: Extracted, gold: str) -> tuple[bool, str]:
    if answer.text.strip() == gold.strip():
        return True, "same text"
    if max(len(answer.text), len(gold)) > MAX_ANSWER:
        return False, "too long to compare beyond its text"
    if normalize(answer.text) == normalize(gold):
        return True, "same text once normalized"
    comparison = compare(read_answer(answer.text), read_answer(gold))
    return comparison.equal, comparison.rule


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
