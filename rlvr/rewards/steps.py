"""The truth of a worked solution's steps: rewards for the way, not only for its end."""

from __future__ import annotations

import rlvr.verify.check  # noqa: F401 - by which steps hold: imported before workers are forked
from rlvr.rewards.functions import wrong_when_late
from rlvr.rewards.solution.claims import find_claims
from rlvr.rewards.true_steps import MAX_FOUND, true_steps
from rlvr.types import Problem, Status, Verdict
from rlvr.verify.steps import stated_number, step_holds
from rlvr.verify.thoughts import MARKS, Marks


@wrong_when_late(None)
def steps_reward(completion: str, max_steps: int = 100) -> Verdict | None:
    """The share, in [0, 1], of the first `max_steps` checkable steps that hold; None without any.

    A step is one relation (=, ≈, <, ≤, >, ≥, ≠) of the solution, in LaTeX, in a line of its own or
    in prose; a = b = c are two. Checkable are relations of numbers, and equations that are
    identities in their names; "x = 5", definitions, equations to be solved, substitutions and
    whatever is not understood count neither way (`rlvr.verify.steps.step_holds`). The same step
    counts once, and one with the same text on both sides not at all, so that repeating
    what is true earns nothing. The status is correct when all hold, else wrong, and the reason
    names the first that does not. Raises ValueError unless max_steps ≥ 1.
    """
    if max_steps < 1:
        raise ValueError(f"max_steps is {max_steps}, but must be ≥ 1")
    checked = held = 0
    first_wrong = None
    for tried, claim in enumerate(find_claims(completion)):
        if tried >= MAX_FOUND or checked >= max_steps:
            break
        holds = step_holds(claim.left, claim.relation, claim.right, claim.rewritten)
        if holds is None or not (holds or claim.firm):
            continue
        checked += 1
        held += holds
        if not holds and first_wrong is None:
            first_wrong = f"step {checked} does not hold: {str(claim)[:200]}"
    if not checked:
        return None
    return Verdict(
        Status.CORRECT if first_wrong is None else Status.WRONG,
        held / checked,
        first_wrong or f"all {checked} checkable steps hold",
        rule=f"{held} of {checked} steps hold",
    )


def true_steps_reward(completion: str, problem: Problem, thoughts: Marks = MARKS) -> float | None:
    """1 if all checkable steps are true and lead to the problem's answer (`true_steps`), else 0.

    A solution without a checkable step gets 0; None where the reference answer is no rational number.
    """
    if stated_number(problem.answer) is None:
        return None
    return 1.0 if true_steps(completion, problem, thoughts) else 0.0
