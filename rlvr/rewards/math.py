"""The reward for a mathematically correct answer."""

from __future__ import annotations

from collections.abc import Sequence

from rlvr.rewards.data_checks import with_data_check
from rlvr.rewards.functions import wrong_when_late
from rlvr.types import Status, Verdict
from rlvr.verify.check import check_answer, check_reference
from rlvr.verify.settings import Extraction, VerifySettings
from rlvr.verify.thoughts import MARKS, UNENDED, Marks, after_thoughts


@with_data_check(check_reference)
@wrong_when_late()
def math_reward(
    completion: str,
    answer: str,
    correct: float = 1.0,
    wrong: float = 0.0,
    rounding_digits: int = VerifySettings.rounding_digits,
    relative_tolerance: float = VerifySettings.relative_tolerance,
    require_units: bool = VerifySettings.require_units,
    evaluated: bool = True,
    kind: str | None = VerifySettings.kind,
    accepted: Sequence[str] | None = None,
    extraction: Extraction = VerifySettings.extraction,
    thoughts: Marks = MARKS,
) -> Verdict:
    """`correct` when the completion's final answer equals the problem's, or one of `accepted`, else `wrong`.

    An unparseable completion gets `wrong` as well. Phi-4-Mini-Reasoning (arXiv 2504.21233)
    rewards with +1 and −1: `correct: 1`, `wrong: -1`. The defaults are those of `VerifySettings`, except
    that a number must be evaluated: otherwise a policy would learn to repeat the question as its answer.
    `kind` and `accepted` may be columns of the problems, with empty values for some problems.
    """
    settings = VerifySettings(
        rounding_digits=rounding_digits,
        relative_tolerance=relative_tolerance,
        require_units=require_units,
        evaluated=evaluated,
        kind=kind or None,
        extraction=extraction,
    )
    text = after_thoughts(completion, marks=thoughts)
    if text is None:
        return Verdict(Status.UNPARSEABLE, wrong, UNENDED)
    return check_answer(text, answer, correct, wrong, settings, accepted or ())
