"""Whether two expressions are the same function, by their values at fixed points.

Rational functions are evaluated in exact arithmetic: a polynomial identity that holds at several
random points holds (Schwartz 1980; Zippel 1979). Where a value is not rational, it is computed with
more digits than the numbers in the expression differ by. Functions with kinks (|x|, ⌊x⌋, max, even
roots) are tried on both sides of them. Nothing is simplified, so nothing can run away: each operation
is refused when its result would be too large, and all together have a budget.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]

from rlvr.verify.evaluator import Evaluator, Point
from rlvr.verify.rational import Budget, Exhausted, NotComparable
from rlvr.verify.tree import CONSTANTS, Node, names

MAX_SPREAD = 3_000  # bits between the largest and the smallest magnitude in one expression
DOUBLE_DIGITS = 15  # digits of a decimal beyond these are noise of floating point
MAX_DECIMALS = 8  # of one expression that may be roundings

MAX_SLACK = Fraction(1, 1000)  # relative, that decimals may give to an expression
_JUMPS = frozenset(["gcd", "lcm", "floor", "ceil", "sgn"])
_KINKS = frozenset(["abs", "max", "min", "floor", "ceil", "sgn", "sqrt"])
_OF_INTEGERS = frozenset(["floor", "ceil", "factorial", "double factorial", "binom"])
_TRIG = frozenset(["sin", "cos", "tan", "cot", "sec", "csc"])
_INTEGER_NAMES = frozenset(["k", "m", "n"])


def same_function(
    left: Node,
    right: Node,
    tolerance: float = 0.0,
    rounding_digits: int = 0,
    budget: Budget | None = None,
) -> bool:
    """Whether `left` and `right` agree wherever both are real (or everywhere, when i occurs).

    `tolerance` is relative to `right`. Decimals with at least `rounding_digits` significant digits
    stand for whatever they are a rounding of (0: for themselves). Raises NotComparable when the
    bounds do not allow an answer.
    """
    budget = budget or Budget()
    pairs = list(_pairs(left, right, budget))
    if not any(part.head == "name" and part.name == "i" for side in (left, right) for part in side.walk()):
        pairs = [pair for pair in pairs if pair.real] or pairs
    for pair in pairs:
        if pair.close(tolerance):
            continue
        if not rounding_digits or not _rounded(left, right, pair, rounding_digits, budget):
            return False
    return True


def constant_ratio(left: Node, right: Node, budget: Budget) -> int:
    """The sign of c when left = c · right for a real constant c ≠ 0, else 0."""
    signs = set()
    reference: _Pair | None = None
    for pair in _pairs(left, right, budget):
        if not pair.real:
            continue
        if pair.left == 0 or pair.right == 0:
            return 0
        reference = reference or pair
        # a/b = a₀/b₀, without a division that would lose exactness
        error = pair.error and pair.error * (abs(pair.left) + abs(pair.right) + 1)
        crossed = replace(
            pair, left=pair.left * reference.right, right=pair.right * reference.left, error=error
        )
        if not crossed.close(0):
            return 0
        signs.add(1 if (_real_part(pair.left) > 0) == (_real_part(pair.right) > 0) else -1)
    return signs.pop() if len(signs) == 1 else 0


def value(node: Node, budget: Budget) -> Any:
    """The value of a constant: a Fraction where it is rational, else an mpf or mpc of 200 bits.

    Raises NotComparable for what has names in it, or no value within the bounds.
    """
    if any(part.head == "name" and part.name not in CONSTANTS for part in node.walk()):
        raise NotComparable("not a constant")
    pair = _values(node, None, {}, budget)
    if pair is None:
        raise NotComparable("undefined")
    return pair.left


def covers(decimal: Fraction, digits: int, other: Any) -> bool:
    """Whether a decimal of so many significant digits is `other` rounded, or cut off."""
    if digits == 0 or not _is_real(other):
        return False
    exact = _fraction(other)
    unit = last_digit(decimal, digits)
    beyond = exact - decimal if decimal >= 0 else decimal - exact
    return abs(beyond) <= unit / 2 or 0 <= beyond < unit


def last_digit(decimal: Fraction, digits: int) -> Fraction:
    """What one unit of the last significant digit is worth."""
    size = abs(decimal)
    exponent = len(str(size.numerator)) - len(str(size.denominator))
    if size < Fraction(10) ** exponent:
        exponent -= 1
    return Fraction(10) ** (exponent - min(digits, DOUBLE_DIGITS) + 1)


@dataclass(frozen=True)
class _Pair:
    """The values of both sides at one point."""

    left: Any
    right: Any
    error: Any  # that the arithmetic may have made, absolute
    real: bool  # every value on the way to them
    point: Point

    def close(self, slack: float) -> bool:
        if self.left == self.right:
            return True
        gap = abs(self.left - self.right)
        if isinstance(gap, Fraction):
            return gap <= Fraction(slack) * abs(self.right)
        return bool(gap <= self.error or (slack and gap <= slack * abs(self.right)))


def _rounded(left: Node, right: Node, pair: _Pair, enough: int, budget: Budget) -> bool:
    """Whether what the decimals of one side leave open explains the gap.

    A lone decimal may be rounded or cut off; each in an expression may be off by half a unit of its
    last digit, which is propagated to the expression's value.
    """
    if not (_is_real(pair.left) and _is_real(pair.right)):
        return False
    for side, own, other in ((left, pair.left, pair.right), (right, pair.right, pair.left)):
        if side.head == "number" and side.digits >= enough:
            return covers(side.value, side.digits, other)
        decimals = {part for part in side.walk() if part.head == "number" and part.digits >= enough}
        if not decimals or len(decimals) > MAX_DECIMALS or any(part.name in _JUMPS for part in side.walk()):
            continue
        slack = _fraction(pair.error)
        for decimal in decimals:
            moved = replace(decimal, value=decimal.value + last_digit(decimal.value, decimal.digits) / 2)
            found = _values(_replaced(side, decimal, moved), None, pair.point, budget)
            if found is not None and _is_real(found.left):
                slack += abs(_fraction(found.left) - _fraction(own))
        if abs(_fraction(own) - _fraction(other)) <= min(slack, MAX_SLACK * abs(_fraction(own))):
            return True
    return False


def _replaced(node: Node, old: Node, new: Node) -> Node:
    if node == old:
        return new
    return replace(node, args=tuple(_replaced(arg, old, new) for arg in node.args)) if node.args else node


def _pairs(left: Node, right: Node, budget: Budget) -> Iterator[_Pair]:
    """The values of both sides where they have any. Raises NotComparable if that is nowhere."""
    refused = NotComparable("undefined at every point tried")
    found = False
    for point in _points(left, right):
        try:
            pair = _values(left, right, point, budget)
        except Exhausted:
            raise
        except NotComparable as error:
            refused = error
            continue
        if pair is not None:
            found = True
            yield pair
    if not found:
        raise refused


def _points(left: Node, right: Node) -> list[dict[str, Fraction]]:
    """Where to compare: all signs, and where there are kinks also far out and around the constants."""
    parts = [part for side in (left, right) for part in side.walk()]
    free = sorted(names(left) | names(right))
    if not free:
        return [{}]
    whole = _INTEGER_NAMES.intersection(free) if _of_integers(parts) else frozenset()
    kinked = any(part.name in _KINKS or part.head == "mod" or _is_root(part) for part in parts)
    draw = random.Random(20_040_229)
    points = []
    for index, scale in enumerate([1, 1, 1, 1, *([8, 40, 400] if kinked or whole else [])]):
        point = {}
        for place, word in enumerate(free):
            size = Fraction(draw.randint(100, 999), draw.randint(300, 999)) * scale
            sign = (1, -1, (-1) ** place, -((-1) ** place))[index % 4]
            point[word] = Fraction(draw.randint(1, 9 * scale)) if word in whole else sign * size
        points.append(point)
    if kinked:
        constants = {
            abs(part.value) for part in parts if part.head == "number" and part.value not in (0, 1, -1)
        }
        near = [size + shift for size in sorted(constants)[:4] for shift in (Fraction(-1, 3), Fraction(1, 3))]
        for at in [Fraction(2), Fraction(5), *near]:
            points.append({word: Fraction(round(at)) if word in whole else at for word in free})
    return points


def _is_root(part: Node) -> bool:
    """A power whose exponent is written as a fraction."""
    return part.head == "pow" and any(inner.head == "pow" for inner in part.args[1].walk())


def _of_integers(parts: list[Node]) -> bool:
    """Whether the names n, k and m are whole numbers here: in n!, ⌊n/2⌋, (−1)^n, cos nπ."""
    for part in parts:
        if part.name in _OF_INTEGERS or part.head == "mod":
            return True
        if part.head == "pow" and names(part.args[1]):
            base = part.args[0]
            if base.head == "number" and base.value < 0:
                return True
            if base.name == "e" and {"i", "pi"} <= {inner.name for inner in part.args[1].walk()}:
                return True
        if part.name in _TRIG and any(inner.name == "pi" for inner in part.walk()):
            return True
    return False


def _values(left: Node, right: Node | None, point: Point, budget: Budget) -> _Pair | None:
    """The values of both sides (or of one, twice) at `point`; None where undefined."""
    try:
        rough = Evaluator(64, budget)
        a = rough.value(left, point)
        b = a if right is None else rough.value(right, point)
        if isinstance(a, Fraction) and isinstance(b, Fraction):
            return _Pair(a, b, 0, not rough.complex, point)
        top, bottom = max(rough.magnitudes, default=0), min(rough.magnitudes, default=0)
        if top - bottom > MAX_SPREAD:
            raise NotComparable("its numbers differ by too many orders of magnitude")
        fine = Evaluator(200 + 2 * (top - bottom), budget)
        a = fine.inexact(fine.value(left, point))
        b = a if right is None else fine.inexact(fine.value(right, point))
        return _Pair(a, b, fine.context.ldexp(1, bottom - 120), not rough.complex, point)
    except ZeroDivisionError:
        return None
    except (ValueError, OverflowError, TypeError, mpmath.libmp.NoConvergence) as error:
        raise NotComparable(str(error)) from error  # a pole, or beyond mpmath's range


def _real_part(number: Any) -> Any:
    return number if isinstance(number, Fraction) else number.real


def _fraction(number: Any) -> Fraction:
    """A real number, which is a fraction however it is stored, as one."""
    if isinstance(number, int | Fraction):
        return Fraction(number)
    return Fraction(*mpmath.libmp.to_rational(number.real._mpf_))


def _is_real(number: Any) -> bool:
    return isinstance(number, Fraction) or abs(number.imag) <= abs(number.real) * 2.0**-100
