"""The reward of a mathematically right answer."""

from __future__ import annotations

from rlvr.types import Verdict
from rlvr.verify import VerifySettings, check_answer
from rlvr.verify.settings import Extraction


def math_reward(
    completion: str,
    answer: str,
    correct: float = 1.0,
    wrong: float = 0.0,
    rounding_digits: int = VerifySettings.rounding_digits,
    relative_tolerance: float = VerifySettings.relative_tolerance,
    require_units: bool = VerifySettings.require_units,
    evaluated: bool = True,
    extraction: Extraction = VerifySettings.extraction,
) -> Verdict:
    """`correct` when the completion's final answer equals the problem's, else `wrong`.

    An unparseable completion gets `wrong` as well. Phi-4-Mini-Reasoning (arXiv 2504.21233)
    rewards with +1 and −1: `correct: 1`, `wrong: -1`. The strictness is that of `VerifySettings`,
    except that a number must be evaluated: or a policy would learn to hand the question back.
    """
    settings = VerifySettings(rounding_digits, relative_tolerance, require_units, evaluated, extraction)
    return check_answer(completion, answer, correct, wrong, settings)
