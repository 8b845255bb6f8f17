"""The reward of a mathematically right answer."""

from __future__ import annotations

from rlvr.types import Problem, Verdict
from rlvr.verify import check_answer


def math_reward(completion: str, problem: Problem, correct: float = 1.0, wrong: float = 0.0) -> Verdict:
    """`correct` when the completion's final answer equals the problem's, else `wrong`.

    An unparseable completion gets `wrong` as well. Phi-4-Mini-Reasoning (arXiv 2504.21233)
    rewards with +1 and −1: `correct: 1`, `wrong: -1`.
    """
    return check_answer(completion, problem.answer, correct, wrong)
