"""Rewards for the correctness of a worked solution's steps, not only of its answer."""

from __future__ import annotations

import rlvr.verify.check  # noqa: F401 - used by `step_holds`; imported before workers are forked
from rlvr.rewards.functions import wrong_when_late
from rlvr.rewards.solution.claims import find_claims
from rlvr.rewards.true_steps import MAX_FOUND, true_steps
from rlvr.types import Problem, Status, Verdict
from rlvr.verify.steps import stated_number, step_holds
from rlvr.verify.thoughts import MARKS, Marks


@wrong_when_late(None)
def steps_reward(completion: str, max_steps: int = 100) -> Verdict | None:
    """The share, in [0, 1], of the first `max_steps` checkable steps that hold; None without any.

    A step is one relation (=, ≈, <, ≤, >, ≥, ≠) of the solution, in LaTeX, on a line of its own or
    in prose; a = b = c has two. Checkable are relations of numbers, and equations that are
    identities in their variables; "x = 5", definitions, equations to be solved, substitutions and
    anything that cannot be parsed are ignored (`rlvr.verify.steps.step_holds`). Repeated steps
    count once, and steps with the same text on both sides do not count, so that repeating true
    steps earns nothing. The status is correct if all steps hold, else wrong; the reason names the
    first that does not hold. Raises ValueError unless max_steps ≥ 1.
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
