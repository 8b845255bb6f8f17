"""Whether all steps of a solution are true: asked of every verdict, so light to import."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from rlvr.rewards.solution.claims import find_claims
from rlvr.types import Problem
from rlvr.verify.steps import Calculation, Stated, calculation, numbers_in, stated_number
from rlvr.verify.thoughts import MARKS, Marks, after_thoughts

MAX_FOUND = 400  # claims that are tried; most of a text's may be not checkable


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
