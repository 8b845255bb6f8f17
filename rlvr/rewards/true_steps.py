"""Whether all steps of a solution are true. Computed for every verdict, so cheap to import."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from rlvr.rewards.solution.claims import find_claims
from rlvr.types import Problem
from rlvr.verify.steps import Calculation, Stated, calculation, numbers_in, stated_number
from rlvr.verify.thoughts import MARKS, Marks, after_thoughts

MAX_FOUND = 400  # most claims that are checked; many are not checkable


def true_steps(completion: str, problem: Problem, thoughts: Marks = MARKS) -> bool | None:
    """Whether all checkable steps of a solution are true and lead to the problem's answer.

    Checkable steps are relations between rational numbers with a calculation on one side
    (`rlvr.verify.steps.calculation`). They lead to the answer if one of them calculates it: an equation with
    the answer on one side and at least two numbers on the other. The answer itself may be among these only
    if it is in the problem or an earlier step: 9+0=9 does not calculate a 9 that was not known. Thoughts are
    ignored: they may try what is false. A true step need not be relevant to the problem.

    None without a checkable step, and for a problem whose reference answer is no rational number. The check
    is exact, not symbolic, and bounded: at most MAX_FOUND claims are checked.
    """
    solution = after_thoughts(completion, marks=thoughts)
    return None if solution is None else _true_steps(solution, problem.text, problem.answer)


# cached, since a reward and then the verdict need it, and many samples of a short task are equal
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
