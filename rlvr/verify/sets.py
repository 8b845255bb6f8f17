"""Compares sets of real numbers by their elements.

Membership in a set that is built from intervals, finite sets and inequalities in one variable can change
only at the end points in its definition. So two such sets are equal if they agree at every end point of
either, between all neighbouring end points, and beyond the outermost ones.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]

from rlvr.verify import identity
from rlvr.verify.exact import Quantity
from rlvr.verify.forms import REALS, Expression, Interval, Items, Relation, Value
from rlvr.verify.rational import Budget, NotComparable
from rlvr.verify.relations import bounded_names
from rlvr.verify.tree import Node, call, names, number

_NUMBERS = mpmath.MPContext()
_NUMBERS.prec = 160
_CLOSE = _NUMBERS.mpf(2) ** -120
_MIRRORED = {"<": ">", ">": "<", "le": "ge", "ge": "le"}


def same_numbers(left: Value, right: Value, budget: Budget) -> bool:
    """Whether both sets contain the same real numbers. Raises NotComparable for other sets."""
    if any(len(bounded_names(value)) > 1 for value in (left, right)):
        raise NotComparable("not numbers but points")
    units = [_units(value) for value in (left, right)]
    if all(units) and units[0] != units[1]:
        raise NotComparable("numbers in other units")
    sides = [_read(value, budget) for value in (left, right)]
    ends = sorted(itertools.chain(*map(_ends, sides)))
    ends = [end for place, end in enumerate(ends) if place == 0 or not _equal(end, ends[place - 1])]
    return _places(sides[0], ends) == _places(sides[1], ends)


def _units(value: Value) -> set[tuple[str, Fraction]]:
    """The units of the numbers that are written in a set, with their scales."""
    if isinstance(value, Quantity | Expression):
        return {(value.unit, value.scale)} if value.unit else set()
    parts: tuple[Value, ...] = ()
    if isinstance(value, Interval):
        parts = value.low, value.high
    elif isinstance(value, Relation):
        parts = value.sides
    elif isinstance(value, Items):
        parts = value.items
    return set().union(*map(_units, parts))


def as_interval(value: Value) -> Interval | None:
    """An interval, or x < b, a ≤ x < b, … as the interval of x; else None."""
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
    """The expression of a value. Raises NotComparable if it is not an expression."""
    if isinstance(value, Quantity):
        written = number(value.value, value.digits)
        return call("degrees", written) if value.unit == "degree" else written
    if isinstance(value, Expression):
        return call("degrees", value.tree) if value.unit == "degree" else value.tree
    raise NotComparable(f"a {type(value).__name__.lower()} is not an expression")


def _excluded(value: Value) -> Value | None:
    """b of x ≠ b."""
    if isinstance(value, Relation) and value.operators == ("ne",) and value.names == (True, False):
        return value.sides[1]
    return None


@dataclass(frozen=True)
class _Span:
    """Numbers between two, which may be the same, or infinite."""

    low: Any
    high: Any
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True)
class _Compound:
    """The union, the intersection or the difference of sets."""

    kind: str  # union, intersection or difference
    parts: tuple[_Span | _Compound, ...]


def _read(value: Value, budget: Budget) -> _Span | _Compound:
    """A set with numeric end points. Raises NotComparable if it is not a set of real numbers."""
    is_set = isinstance(value, Items) and value.kind != "tuple"
    if interval := None if is_set else as_interval(value):
        low, high = _number(interval.low, budget), _number(interval.high, budget)
        return _Span(low, high, interval.low_open, interval.high_open)
    if isinstance(value, Items) and value.kind in ("set", "list", "union", "intersection", "difference"):
        parts: list[_Span | _Compound] = []
        for item in value.items:
            if value.kind in ("set", "list") and not isinstance(item, Relation | Interval):
                number = _number(item, budget)
                parts.append(_Span(number, number))
            else:
                parts.append(_read(item, budget))
        return _Compound(value.kind, tuple(parts))
    if excluded := _excluded(value):
        number = _number(excluded, budget)
        everything = _Span(-_NUMBERS.inf, _NUMBERS.inf, True, True)
        return _Compound("difference", (everything, _Span(number, number)))
    raise NotComparable("not a set of real numbers")


def _number(value: Value, budget: Budget) -> Any:
    """The real number that a value is, or an infinity."""
    node = tree(value)
    if node.head == "name" and node.name == "infinity":
        return _NUMBERS.inf
    if node.head == "mul" and len(node.args) == 2 and node.args[1].name == "infinity":
        return -_NUMBERS.inf
    found = identity.value(node, budget)
    if hasattr(found, "numerator"):
        return _NUMBERS.mpf(found.numerator) / found.denominator
    if found.imag != 0:
        raise NotComparable("not a real number")
    return _NUMBERS.convert(found.real)


def _ends(held: _Span | _Compound) -> Iterator[Any]:
    if isinstance(held, _Span):
        yield from (end for end in (held.low, held.high) if _NUMBERS.isfinite(end))
    else:
        for part in held.parts:
            yield from _ends(part)


def _places(held: _Span | _Compound, ends: Sequence[Any]) -> int:
    """The regions in a set, as bits: odd bits are the end points, even bits the regions between them."""
    if isinstance(held, _Compound):
        places = [_places(part, ends) for part in held.parts]
        if held.kind == "intersection":
            return functools.reduce(operator.and_, places)
        if held.kind == "difference":
            return places[0] & ~functools.reduce(operator.or_, places[1:], 0)
        return functools.reduce(operator.or_, places, 0)
    last = 2 * len(ends)
    first = 0 if held.low == -_NUMBERS.inf else last + 1
    if _NUMBERS.isfinite(held.low):
        first = 2 * _rank(held.low, ends) + 1 + held.low_open
    final = last if held.high == _NUMBERS.inf else -1
    if _NUMBERS.isfinite(held.high):
        final = 2 * _rank(held.high, ends) + 1 - held.high_open
    return (1 << (final + 1)) - (1 << first) if first <= final else 0


def _rank(number: Any, ends: Sequence[Any]) -> int:
    return bisect.bisect_left(ends, number - _CLOSE * max(1, abs(number)))


def _equal(a: Any, b: Any) -> bool:
    return bool(abs(a - b) <= _CLOSE * max(1, abs(a), abs(b)))
