"""Parsed equations and inequalities: their names, and equivalent forms."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from fractions import Fraction

from rlvr.verify.exact import Quantity
from rlvr.verify.forms import (
    REALS,
    Expression,
    Interval,
    Items,
    Relation,
    Text,
    Value,
    tree_of,
    without_condition,
)
from rlvr.verify.latex import read_expression
from rlvr.verify.points import approximate
from rlvr.verify.symbols import are_symbols
from rlvr.verify.tokens import GREEK
from rlvr.verify.tree import CONSTANTS, names

_ONE_NAMED = ((True, False), (False, True))
_NAME = re.compile(
    rf"(?:[A-Za-z]+|\\(?:{'|'.join(sorted(GREEK))})|\\text\{{[A-Za-z ]+\}}"
    r"|\\(?:vec|mathbf|overrightarrow|bm)\s*\{?\s*[A-Za-z]+\s*\}?|m?\s*\\(?:angle|triangle|widehat|overline)\s*\{?\s*[A-Za-z]+\}?)"
    r"(?:_\{?\w+\}?)?'*(?:\(\s*[A-Za-z](?:\s*,\s*[a-z])*\s*\)|\s*[A-Z]+)?"
)


def bounded_names(value: Value) -> set[str]:
    """The names that are bounded by the inequalities of a set."""
    value = without_condition(value)
    if isinstance(value, Relation):
        sides = zip(value.sides, value.names, strict=True)
        return {side.text for side, named in sides if named and isinstance(side, Expression)}
    return set().union(*map(bounded_names, value.items)) if isinstance(value, Items) else set()


def excluding(first: Value, others: tuple[Value, ...]) -> Value:
    """x ≠ 1, 2 as x ≠ 1 and x ≠ 2."""
    if not isinstance(first, Relation) or any(isinstance(other, Relation | Text) for other in others):
        return Items("list", (first, *others))
    ends = (first.sides[1], *others)
    return Items("intersection", tuple(replace(first, sides=(first.sides[0], end)) for end in ends))


def between(items: tuple[Value, ...]) -> bool:
    """Whether two inequalities with a comma, x < 3, x ≥ 0, are one interval and not two."""
    if len(items) != 2:
        return False
    low, high = -math.inf, math.inf
    for item in items:
        if not isinstance(item, Relation) or len(item.sides) != 2 or item.names not in _ONE_NAMED:
            return False
        end = tree_of(item.sides[item.names.index(False)])
        above = (item.operators[0] in (">", "ge")) == item.names[0]
        value = math.nan if end is None else approximate(end, {})
        low, high = (value, high) if above else (low, value)
    return -math.inf < low < high < math.inf


def distance(left: Value, sign: str, right: Value) -> Value | None:
    """|x| < 2 as −2 < x < 2, and |x − 1| ≥ 2 as two half-lines."""
    if isinstance(left, Quantity) and isinstance(right, Expression):
        left, sign, right = right, {"<": ">", ">": "<", "le": "ge", "ge": "le"}.get(sign, sign), left
    if sign not in ("<", ">", "le", "ge") or not isinstance(right, Quantity) or right.unit or right.value < 0:
        return None
    if not isinstance(left, Expression) or left.tree.head != "call" or left.tree.name != "abs":
        return None
    inside = left.tree.args[0]
    terms = inside.args if inside.head == "add" else (inside,)
    middle = -sum((term.value for term in terms if term.head == "number"), Fraction(0))
    if [term.head for term in terms if term.head != "number"] != ["name"] or (
        sign in (">", "ge") and right.value == 0
    ):
        return None
    low, high = Quantity(middle - right.value), Quantity(middle + right.value)
    if sign in ("<", "le"):
        return Interval(low, high, sign == "<", sign == "<")
    outside = sign == ">"
    assert isinstance(REALS.low, Expression)
    return Items(
        "union", (Interval(REALS.low, low, True, outside), Interval(high, REALS.high, outside, True))
    )


def is_rounding(written: Value, exact: Value) -> bool:
    """Whether a number may follow "≈": it is less than one unit of its last digit from the number before.

    The number before must be an integer or a decimal: a fraction or a root is itself the answer.
    """
    if not (isinstance(written, Quantity) and isinstance(exact, Quantity)):
        return True
    if exact.quotient or written.quotient:
        return True
    size = math.floor(math.log10(abs(written.value))) if written.value else 0
    digits = written.digits or len(str(written.value.numerator).strip("-0")) or 1
    return abs(written.value - exact.value) < Fraction(10) ** (size - digits + 1)


def with_products(sides: tuple[Value, ...]) -> tuple[Value, ...]:
    """F = ma, PV = nRT: next to one letter, or a product that is not a word, short words are products."""
    if not any(isinstance(side, Text) for side in sides):
        return sides
    symbols = [
        are_symbols(side.written)
        if isinstance(side, Text)
        else isinstance(side, Expression) and side.tree.head == "name" and len(side.text) == 1
        for side in sides
    ]
    return tuple(map(_product, sides)) if any(symbols) else sides


def _product(side: Value) -> Value:
    if not isinstance(side, Text) or " " in side.written:
        return side
    tree = read_expression(side.written, letters=True)
    return side if tree is None else Expression(tree, side.written)


def of_all_that(condition: Value) -> Value:
    """A set from its condition: an inequality becomes a set, so that its variable may have any name."""
    bounded = isinstance(condition, Relation) and not {"=", "in", "notin"} & set(condition.operators)
    constant = bounded and sum(bool(_free_names(side)) for side in condition.sides) == 1  # type: ignore[union-attr]
    return Items("intersection", (condition,)) if constant else condition


def _free_names(side: Value) -> set[str]:
    return names(side.tree) if isinstance(side, Expression) else set()


def is_tuple(value: Value) -> bool:
    return isinstance(value, Items) and value.kind == "tuple"


def written_as(value: Value) -> str:
    return value.text if isinstance(value, Expression | Text) else ""


def holds_names(value: Value) -> bool:
    """Whether a tuple contains only names."""
    return isinstance(value, Items) and all(
        _NAME.fullmatch(written_as(item).strip() or "0") for item in value.items
    )


def is_name(text: str, side: Value) -> bool:
    if is_tuple(side):
        return holds_names(side)
    if isinstance(side, Expression):
        if side.tree.head == "mul" and text.isalpha() and not text.isupper():
            return False  # xy is a product
        if side.tree.head == "name" and (side.tree.name in CONSTANTS or "/" in side.tree.name):
            return side.tree.name not in CONSTANTS  # dy/dx
    return bool(_NAME.fullmatch(text))
