"""Whether two expressions are the same function, by their values at fixed points.

Rational functions are evaluated in exact arithmetic: a polynomial identity that holds at several
random points holds with high probability (Schwartz 1980; Zippel 1979). Values that are not rational are
computed with more digits than the magnitudes in the expression span. Piecewise functions (|x|, ⌊x⌋,
max, even roots, inverse functions of periodic ones, cases) are compared in each piece, see
`rlvr.verify.points`. Nothing is simplified symbolically, so the work is bounded: each operation is refused
if its result would be too large, and a comparison has a budget.

Two expressions count as the same function if they agree wherever both are real and defined: x/x is 1,
√x² is |x|, and ln x − ln y is ln(x/y). If one of them is rarely real, complex values must agree too, so
that expressions are not equal for lack of points. A function by cases must have a case wherever the
other side has a value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from typing import Any

import mpmath  # type: ignore[import-untyped]

from rlvr.verify.evaluator import MAX_TERMS, Evaluator, Point
from rlvr.verify.points import approximate, further_points, usual_points
from rlvr.verify.rational import Budget, Exhausted, NotComparable, Undefined
from rlvr.verify.tree import CONSTANTS, COUNTS, DIVISORS, Node, call, name, names, number, rename
from rlvr.verify.vectors import components, in_vectors

MAX_SPREAD = 3_000  # bits between the largest and the smallest magnitude in one expression
DOUBLE_DIGITS = 15  # further digits of a decimal are floating-point noise
MAX_DECIMALS = 8  # decimals in one expression that may be roundings
WORK_OF_A_COMPARISON = 100  # base cost of comparing two expressions, before evaluation
WORK_OF_A_POINT = 4_000  # maximal cost of a point after the first few

MAX_SLACK = Fraction(1, 1000)  # maximal relative error of an expression from rounded decimals
_JUMPS = frozenset(["gcd", "lcm", *DIVISORS.values(), "floor", "ceil", "sgn"])
_BOUND = name("·")  # the common name for all bound variables
_FAR = number(1_000_003)  # stands for infinity as a limit that must match


def same_function(
    left: Node,
    right: Node,
    tolerance: float = 0.0,
    rounding_digits: int = 0,
    budget: Budget | None = None,
) -> bool:
    """Whether `left` and `right` agree wherever both are real (or everywhere, if i occurs).

    `tolerance` is relative to `right`. Decimals with at least `rounding_digits` significant digits
    match every value that they are a rounding of (0: they are exact). Raises NotComparable if the
    bounds do not allow a decision.
    """
    if left == right:
        return True
    comparison = _Comparison(tolerance, rounding_digits, budget or Budget())
    return comparison.agree(left, right)


def constant_ratio(left: Node, right: Node, budget: Budget) -> int:
    """The sign of c if left = c · right for a real constant c ≠ 0, else 0."""
    if in_vectors(left) or in_vectors(right):
        return 0
    left, right = _Comparison(0, 0, budget).named_forms(*_of_integers(left, right))
    signs = set()
    reference: _Pair | None = None
    usual = ((point, False) for point in usual_points(left, right))
    points = chain(usual, further_points(left, right, budget, everywhere=False))
    for pair in _pairs(left, right, points, budget):
        if not pair.real:
            continue
        if pair.left == 0 and pair.right == 0:
            continue  # beside a switch, say
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
    """The value of a constant: a Fraction if it is rational, else an mpf or mpc of 200 bits.

    Raises NotComparable for an expression with names, or without a value within the bounds.
    """
    if any(part.head == "name" and part.name not in CONSTANTS for part in node.walk()):
        raise NotComparable("not a constant")
    pair = _values(node, None, {}, budget)
    if pair is None:
        raise NotComparable("undefined")
    return pair.left


def covers(decimal: Fraction, digits: int, other: Any) -> bool:
    """Whether a decimal with `digits` significant digits is `other`, rounded or truncated."""
    if digits == 0 or not _is_real(other):
        return False
    exact = _fraction(other)
    unit = last_digit(decimal, digits)
    beyond = exact - decimal if decimal >= 0 else decimal - exact
    return abs(beyond) <= unit / 2 or 0 <= beyond < unit


def terminates(value: Fraction) -> bool:
    """Whether a number has finitely many decimals."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1


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
    error: Any  # absolute bound on the arithmetic error
    left_real: bool  # whether all intermediate values are real
    right_real: bool
    point: Point

    @property
    def real(self) -> bool:
        return self.left_real and self.right_real

    def close(self, slack: float) -> bool:
        if self.left == self.right:
            return True
        gap = abs(self.left - self.right)
        if isinstance(gap, Fraction):
            return gap <= Fraction(slack) * abs(self.right)
        return bool(gap <= self.error or (slack and gap <= slack * abs(self.right)))


def _rounded(left: Node, right: Node, pair: _Pair, enough: int, budget: Budget) -> bool:
    """Whether rounded decimals on one side explain the difference.

    A lone decimal may be rounded or truncated. Each decimal in an expression may be off by half a unit of
    its last digit, which is propagated to the expression's value.
    """
    if not (_is_real(pair.left) and _is_real(pair.right)):
        return False
    if _is_decimal(left) and _is_decimal(right):
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


def _is_decimal(node: Node) -> bool:
    """Whether all digits are written: a polynomial without quotients, whose decimals are not roundings."""
    if node.head == "pow":
        base, exponent = node.args
        whole = exponent.value.denominator == 1 and exponent.value > 0
        return bool(names(base)) and _is_decimal(base) and whole  # 4^20 has digits that nobody wrote
    if node.head == "number":
        return terminates(node.value)
    if node.head == "name":
        return node.name not in CONSTANTS
    return node.head in ("add", "mul") and all(map(_is_decimal, node.args))


def _replaced(node: Node, old: Node, new: Node) -> Node:
    if node == old:
        return new
    return replace(node, args=tuple(_replaced(arg, old, new) for arg in node.args)) if node.args else node


def _of_integers(left: Node, right: Node) -> tuple[Node, Node]:
    """Decides whether names in a greatest common divisor stand for whole numbers.

    They do if one is a usual name of whole numbers, or if the reference (`right`) has a gcd. Otherwise they
    are indeterminates without a common factor, as in computer algebra: gcd(50x, 125) is 25.
    """
    with_names = [
        [part for part in side.walk() if part.name in DIVISORS and names(part)] for side in (left, right)
    ]
    if with_names[1] or any(names(part) & COUNTS for part in with_names[0]):
        return _whole_divisors(left), _whole_divisors(right)
    return left, right


def _whole_divisors(node: Node) -> Node:
    word = DIVISORS.get(node.name, node.name) if node.head == "call" and names(node) else node.name
    return replace(node, name=word, args=tuple(map(_whole_divisors, node.args))) if node.args else node


class _Comparison:
    """One comparison of two expressions."""

    def __init__(self, tolerance: float, rounding_digits: int, budget: Budget) -> None:
        self.tolerance, self.rounding_digits, self.budget = tolerance, rounding_digits, budget

    def agree(self, left: Node, right: Node) -> bool:
        self.budget.spend(WORK_OF_A_COMPARISON)
        left, right = self.named_forms(*_of_integers(left, right))
        if in_vectors(left) or in_vectors(right):
            return all(self.same(*pair) for pair in components(left, right, self.budget))
        return self.same(left, right)

    def named_forms(self, left: Node, right: Node) -> tuple[Node, Node]:
        """Replaces integrals, limits and other forms that are not computed by unknown functions of their
        limits.

        Two forms get the same name if their bodies are the same function.
        """
        known: list[tuple[str, Node]] = []
        return self.without_forms(left, known), self.without_forms(right, known)

    def without_forms(self, node: Node, known: list[tuple[str, Node]]) -> Node:
        if not any(part.head == "bind" for part in node.walk()):
            return node
        node = replace(node, args=tuple(self.without_forms(arg, known) for arg in node.args))
        if node.head != "bind" or _is_written_out(node):
            return node
        variable, body, *limits = node.args
        kind, body = f"{node.name} {len(limits)}", rename(body, variable.name, _BOUND.name)
        same = (kind == other_kind and self.same_form(body, other) for other_kind, other in known)
        place = next((place for place, is_same in enumerate(same) if is_same), len(known))
        if place == len(known):
            known.append((kind, body))
        return call(f"unknown {node.name} {place}", *(map(_finite, limits) if limits else [variable]))

    def same_form(self, left: Node, right: Node) -> bool:
        try:
            return left == right or self.agree(left, right)
        except Exhausted:
            raise
        except NotComparable:
            return False

    def same(self, left: Node, right: Node) -> bool:
        """Whether two numbers agree wherever both are real."""
        if left == right:
            return True
        sides = (left, right)
        complex_too = any(part.name == "i" and part.head == "name" for side in sides for part in side.walk())
        usual = []
        points = ((point, False) for point in usual_points(left, right))
        for pair in _pairs(left, right, points, self.budget):
            if (pair.real or complex_too) and not self.close(left, right, pair):
                return False
            usual.append(pair)
        both = any(pair.real for pair in usual)
        if not both and any(pair.left_real or pair.right_real for pair in usual):
            complex_too = True
            if not all(self.close(left, right, pair) for pair in usual):
                return False
        further = further_points(left, right, self.budget, everywhere=not both)
        for pair in _pairs(left, right, further, self.budget):
            if (pair.real or complex_too) and not self.close(left, right, pair):
                return False
            both = both or pair.real
            if not usual:
                usual.append(pair)
        if not usual:
            raise NotComparable("undefined at every point tried")
        return both or all(self.close(left, right, pair) for pair in usual)

    def close(self, left: Node, right: Node, pair: _Pair) -> bool:
        if pair.close(self.tolerance):
            return True
        return bool(self.rounding_digits) and _rounded(left, right, pair, self.rounding_digits, self.budget)


def _is_written_out(form: Node) -> bool:
    """Whether it is a sum or product over whole numbers, and over few if the limits are known."""
    limits = form.args[2:]
    if form.name not in ("sum", "prod") or len(limits) != 2:
        return False
    if any(part.name == "infinity" for limit in limits for part in limit.walk()):
        return False
    if any(names(limit) for limit in limits):
        return True
    low, high = (approximate(limit, {}) for limit in limits)
    return low.is_integer() and high.is_integer() and high - low < MAX_TERMS


def _finite(limit: Node) -> Node:
    if limit.name == "infinity":
        return _FAR
    return replace(limit, args=tuple(map(_finite, limit.args))) if limit.args else limit


def _pairs(left: Node, right: Node, points: Iterable[tuple[Point, bool]], budget: Budget) -> Iterator[_Pair]:
    """The values of both sides at the points (point, whether it is required) where they are defined.

    Raises NotComparable if a required point is refused, or if some point is and no other has values.
    """
    refused: NotComparable | None = None
    found = False
    for point, needed in points:
        budget.spend(10 + 2 * len(point))
        try:
            with budget.at_most(WORK_OF_A_POINT if found and not needed else budget.left):
                pair = _values(left, right, point, budget)
        except Exhausted:
            raise
        except NotComparable as error:
            if needed:
                raise
            refused = error
            continue
        if pair is not None:
            found = True
            yield pair
    if refused and not found:
        raise refused


def _values(left: Node, right: Node | None, point: Point, budget: Budget) -> _Pair | None:
    """The values of both sides (or of one, twice) at `point`; None if undefined."""
    try:
        rough = Evaluator(64, budget)
        a, left_real = _in_its_case(rough, left, point)
        rough.complex = False
        b, right_real = (a, left_real) if right is None else _in_its_case(rough, right, point)
        if a is None or b is None:
            return None if a is b else _Pair(Fraction(0), Fraction(1), 0, True, True, point)
        if isinstance(a, Fraction) and isinstance(b, Fraction):
            return _Pair(a, b, 0, left_real, right_real, point)
        top, bottom = max(rough.magnitudes, default=0), min(rough.magnitudes, default=0)
        if top - bottom > MAX_SPREAD:
            raise NotComparable("its numbers differ by too many orders of magnitude")
        fine = Evaluator(200 + 2 * (top - bottom), budget)
        a = fine.inexact(fine.value(left, point))
        b = a if right is None else fine.inexact(fine.value(right, point))
        return _Pair(a, b, fine.context.ldexp(1, bottom - 120), left_real, right_real, point)
    except (ZeroDivisionError, ValueError):  # a ValueError is a pole of mpmath's
        return None
    except (OverflowError, TypeError, mpmath.libmp.NoConvergence) as error:
        raise NotComparable(str(error)) from error  # beyond mpmath's range


def _in_its_case(evaluator: Evaluator, node: Node, point: Point) -> tuple[Any, bool]:
    """A value, and whether all intermediate values are real; the value is None if no case holds."""
    try:
        found = evaluator.value(node, point)
    except Undefined:
        return None, True
    return found, not evaluator.complex


def _real_part(number: Any) -> Any:
    return number if isinstance(number, Fraction) else number.real


def _fraction(number: Any) -> Fraction:
    """A real number of any type as a fraction."""
    if isinstance(number, int | Fraction):
        return Fraction(number)
    return Fraction(*mpmath.libmp.to_rational(number.real._mpf_))


def _is_real(number: Any) -> bool:
    return isinstance(number, Fraction) or abs(number.imag) <= abs(number.real) * 2.0**-100
