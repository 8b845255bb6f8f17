"""The reward of a mathematically right answer."""

from __future__ import annotations

from typing import Literal

from rlvr.rewards.functions import wrong_when_late
from rlvr.types import Status, Verdict
from rlvr.verify import VerifySettings, check_answer
from rlvr.verify.thoughts import MARKS, UNENDED, Marks, after_thoughts


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
    fallback: Literal["none", "last_number"] = "none",
    thoughts: Marks = MARKS,
) -> Verdict:
    """`correct` when the completion's final answer equals the problem's, else `wrong`.

    An unparseable completion gets `wrong` as well. Phi-4-Mini-Reasoning (arXiv 2504.21233)
    rewards with +1 and −1: `correct: 1`, `wrong: -1`. The strictness is that of `VerifySettings`,
    except that a number must be evaluated: or a policy would learn to hand the question back.
    """
    settings = VerifySettings(
        rounding_digits=rounding_digits,
        relative_tolerance=relative_tolerance,
        require_units=require_units,
        evaluated=evaluated,
        fallback=fallback,
    )
    text = after_thoughts(completion, marks=thoughts)
    if text is None:
        return Verdict(Status.UNPARSEABLE, wrong, UNENDED)
    return check_answer(text, answer, correct, wrong, settings)
