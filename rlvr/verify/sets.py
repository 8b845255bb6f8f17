"""Sets of real numbers, compared by which numbers they hold.

A set that is built of intervals, finite sets and inequalities in one variable can only change
between holding and not holding at the ends that are written in it. So two such sets are equal if
they agree at every end of either, between all neighbouring ones, and beyond the outermost.
"""

from __future__ import annotations

import itertools
from typing import Any

import mpmath  # type: ignore[import-untyped]

from rlvr.verify import identity
from rlvr.verify.exact import Quantity
from rlvr.verify.parse import REALS, Expression, Interval, Items, Relation, Value, bounded_names
from rlvr.verify.rational import Budget, NotComparable
from rlvr.verify.tree import Node, call, names, number

_NUMBERS = mpmath.MPContext()
_NUMBERS.prec = 160
_CLOSE = _NUMBERS.mpf(2) ** -120
_MIRRORED = {"<": ">", ">": "<", "le": "ge", "ge": "le"}


def same_numbers(left: Value, right: Value, budget: Budget) -> bool:
    """Whether both sets hold the same real numbers. Raises NotComparable for other sets."""
    if any(len(bounded_names(value)) > 1 for value in (left, right)):
        raise NotComparable("not numbers but points")
    return _Sets(budget).same(left, right)


def as_interval(value: Value) -> Interval | None:
    """An interval, or x < b, a ≤ x < b, … as the interval of x; None for what is neither."""
    if isinstance(value, Interval):
        return value
    if isinstance(value, Items) and value.kind == "tuple" and len(value.items) == 2:
        return Interval(value.items[0], value.items[1], True, True)
    if not isinstance(value, Relation):
        return None
    sides, operators = value.sides, value.operators
    if operators[0] in (">", "ge"):
        sides = sides[::-1]
        operators = tuple(_MIRRORED.get(operator, operator) for operator in operators[::-1])
    if not set(operators) <= {"<", "le"}:
        return None
    named = [
        isinstance(side, Expression) and side.tree.head == "name" and bool(names(side.tree)) for side in sides
    ]
    if len(sides) == 2 and named == [True, False]:
        return Interval(REALS.low, sides[1], True, operators[0] == "<")
    if len(sides) == 2 and named == [False, True]:
        return Interval(sides[0], REALS.high, operators[0] == "<", True)
    if len(sides) == 3 and named == [False, True, False]:
        return Interval(sides[0], sides[2], operators[0] == "<", operators[1] == "<")
    return None


def tree(value: Value) -> Node:
    """The expression that a value is. Raises NotComparable when it is none."""
    if isinstance(value, Quantity):
        written = number(value.value, value.digits)
        return call("degrees", written) if value.unit == "degree" else written
    if isinstance(value, Expression):
        return value.tree
    raise NotComparable(f"a {type(value).__name__.lower()} is not an expression")


def _excluded(value: Value) -> Value | None:
    """b of x ≠ b."""
    if isinstance(value, Relation) and value.operators == ("ne",) and value.names == (True, False):
        return value.sides[1]
    return None


class _Sets:
    """Sets of real numbers, each of whose ends is evaluated once."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.known: dict[Value, Any] = {}

    def same(self, left: Value, right: Value) -> bool:
        ends: list[Any] = []
        for value in (left, right):
            self.collect(value, ends)
        ends.sort()
        ends = [end for i, end in enumerate(ends) if i == 0 or not _equal(end, ends[i - 1])]
        if not ends:
            return self.holds(left, _NUMBERS.mpf(0)) == self.holds(right, _NUMBERS.mpf(0))
        between = [(a + b) / 2 for a, b in itertools.pairwise(ends)]
        probes = [ends[0] - 1, *ends, *between, ends[-1] + 1]
        return all(self.holds(left, probe) == self.holds(right, probe) for probe in probes)

    def number(self, value: Value) -> Any:
        """The real number that a value is, or an infinity."""
        if value not in self.known:
            self.known[value] = self._evaluated(value)
        return self.known[value]

    def _evaluated(self, value: Value) -> Any:
        node = tree(value)
        infinite = {"infinity": 1}
        if node.head == "name" and node.name in infinite:
            return _NUMBERS.inf
        if node.head == "mul" and len(node.args) == 2 and node.args[1].name == "infinity":
            return -_NUMBERS.inf
        found = identity.value(node, self.budget)
        if hasattr(found, "numerator"):
            return _NUMBERS.mpf(found.numerator) / found.denominator
        if found.imag != 0:
            raise NotComparable("not a real number")
        return _NUMBERS.convert(found.real)

    def collect(self, value: Value, ends: list[Any]) -> None:
        """Append all finite ends that are written in the set."""
        interval = as_interval(value) if not isinstance(value, Items) or value.kind == "tuple" else None
        if interval:
            found = [self.number(interval.low), self.number(interval.high)]
            ends.extend(end for end in found if _NUMBERS.isfinite(end))
        elif isinstance(value, Items) and value.kind not in ("tuple", "matrix", "ratio"):
            for item in value.items:
                if value.kind in ("set", "list") and not isinstance(item, Relation | Interval):
                    ends.append(self.number(item))
                else:
                    self.collect(item, ends)
        elif excluded := _excluded(value):
            ends.append(self.number(excluded))
        else:
            raise NotComparable("not a set of real numbers")

    def holds(self, value: Value, x: Any) -> bool:
        self.budget.spend(20)
        if isinstance(value, Items) and value.kind != "tuple":
            held = [
                _equal(self.number(item), x)
                if value.kind in ("set", "list") and not isinstance(item, Relation | Interval)
                else self.holds(item, x)
                for item in value.items
            ]
            if value.kind == "intersection":
                return all(held)
            return held[0] and not any(held[1:]) if value.kind == "difference" else any(held)
        if excluded := _excluded(value):
            return not _equal(self.number(excluded), x)
        interval = as_interval(value)
        assert interval
        low, high = self.number(interval.low), self.number(interval.high)
        above = not interval.low_open if _equal(low, x) else low < x
        below = not interval.high_open if _equal(high, x) else x < high
        return above and below


def _equal(a: Any, b: Any) -> bool:
    if not (_NUMBERS.isfinite(a) and _NUMBERS.isfinite(b)):
        return bool(a == b)
    return bool(abs(a - b) <= _CLOSE * max(1, abs(a), abs(b)))
