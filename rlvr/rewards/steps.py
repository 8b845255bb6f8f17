"""The truth of a worked solution's steps: rewards for the way, not only for its end."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from rlvr.rewards.functions import wrong_when_late
from rlvr.rewards.solution.claims import find_claims
from rlvr.types import Problem, Status, Verdict
from rlvr.verify.steps import Calculation, Stated, calculation, numbers_in, stated_number, step_holds
from rlvr.verify.thoughts import MARKS, Marks, after_thoughts

MAX_FOUND = 400  # claims that are tried; most of a text's may be not checkable


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


def true_steps(completion: str, problem: Problem, thoughts: Marks = MARKS) -> bool | None:
    """Whether all checkable steps of a solution are true and lead to the problem's answer.

    Checked are the solution's relations between rational numbers of which one is calculated
    (`rlvr.verify.steps.calculation`); they lead to the answer if one of them calculates it. That is an
    equation with the answer on one side and at least two numbers on the other, of which the answer itself is
    none unless the problem or a step before has it: 9+0=9 does not calculate a 9 that comes from nowhere.
    Thoughts are not looked at: they may try what is false. Nothing says that a true
    step has to do with the problem.

    None without a checkable step, and for a problem whose reference answer is no rational number. Exact and
    bounded: MAX_FOUND claims are looked at, and none symbolically.
    """
    solution = after_thoughts(completion, marks=thoughts)
    return None if solution is None else _true_steps(solution, problem.text, problem.answer)


# a reward asks what the verdict then asks again, and many samples of a short task are alike
@lru_cache(maxsize=256)
def _true_steps(solution: str, question: str, reference: str) -> bool | None:
    answer = stated_number(reference)
    if answer is None:
        return None
    known = set(numbers_in(question))
    found = reached = False
    for tried, claim in enumerate(find_claims(solution)):
        if tried >= MAX_FOUND:
            break
        step = calculation(claim.left, claim.relation, claim.right)
        if step is None or not (step.holds or claim.firm):
            continue
        if not step.holds:
            return False
        found = True
        reached = reached or (claim.relation in ("=", "approx") and _calculates(step, answer, known))
        known.update(*step.values)
    return reached if found else None


def _calculates(step: Calculation, answer: Stated, known: set[Fraction]) -> bool:
    for values, other in zip(step.values, reversed(step.sides), strict=True):
        if answer.is_one_of(values):
            numbers = numbers_in(other)
            if len(numbers) > 1 and (known.issuperset(values) or set(numbers).isdisjoint(values)):
                return True
    return False


def true_steps_reward(completion: str, problem: Problem, thoughts: Marks = MARKS) -> float | None:
    """1 if all checkable steps are true and lead to the problem's answer (`true_steps`), else 0.

    A solution without a checkable step gets 0; None where the reference answer is no rational number.
    """
    if stated_number(problem.answer) is None:
        return None
    return 1.0 if true_steps(completion, problem, thoughts) else 0.0
