"""The reward for a number within a tolerance of the reference."""

from __future__ import annotations

from fractions import Fraction

from rlvr.rewards.functions import wrong_when_late
from rlvr.types import DataError, Status, Verdict
from rlvr.verify.exact import Quantity
from rlvr.verify.extract import extract_answer
from rlvr.verify.forms import Relation, Value, without_condition
from rlvr.verify.parse import read_answer
from rlvr.verify.settings import Extraction, VerifySettings
from rlvr.verify.thoughts import MARKS, UNENDED, Marks, after_thoughts


@wrong_when_late()
def numeric_reward(
    completion: str,
    answer: str,
    absolute_tolerance: float = 0.0,
    relative_tolerance: float = 1e-6,
    correct: float = 1.0,
    wrong: float = 0.0,
    extraction: Extraction = VerifySettings.extraction,
    thoughts: Marks = MARKS,
) -> Verdict:
    """`correct` when the final answer is a number x with |x − gold| ≤ max(absolute, relative · |gold|).

    Numbers are read exactly (12, 1,200, 3/4, 1.5e-3, 40%, $5, 3 kg; of "x = 5", the 5); units are
    not compared. `extraction` is that of `rlvr.verify.VerifySettings`. An answer that is no number
    is unparseable and gets `wrong`. Raises DataError when the problem's answer is no number, and
    ValueError for a negative tolerance.
    """
    if absolute_tolerance < 0 or relative_tolerance < 0:
        raise ValueError(f"tolerances are {absolute_tolerance} and {relative_tolerance}, but must be ≥ 0")
    marked = extract_answer(answer)
    gold = _number(read_answer(marked.text if marked else answer))
    if gold is None:
        raise DataError(f"the problem's answer {answer[:80]!r} is no number: use the math or exact reward")
    text = after_thoughts(completion, marks=thoughts)
    if text is None:
        return Verdict(Status.UNPARSEABLE, wrong, UNENDED)
    found = extract_answer(text, extraction)
    value = _number(read_answer(found.text)) if found else None
    if found is None or value is None:
        reason = f"{found.text[:80]!r} (from the {found.where}) is no number" if found else "no answer found"
        return Verdict(Status.UNPARSEABLE, wrong, reason, found.text if found else None)
    slack = max(Fraction(absolute_tolerance), Fraction(relative_tolerance) * abs(gold))
    near = abs(value - gold) <= slack
    return Verdict(
        Status.CORRECT if near else Status.WRONG,
        correct if near else wrong,
        f"{found.text[:80]} (from the {found.where}) is {'near' if near else 'not near'} {answer[:80]}",
        found.text,
        rule="numbers within tolerance",
    )


def _number(value: Value) -> Fraction | None:
    value = without_condition(value)
    if isinstance(value, Relation) and set(value.operators) == {"="} and all(value.names[:-1]):
        value = value.sides[-1]
    return value.value if isinstance(value, Quantity) else None
