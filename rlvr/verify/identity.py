"""Whether two expressions are the same function, by their values at fixed random points.

Rational functions are evaluated in exact arithmetic: a polynomial identity that holds at several
random points holds (Schwartz 1980; Zippel 1979). Everything else is evaluated with more digits
than the numbers in it differ by. Nothing is simplified, so nothing can run away: each operation
is refused when its result would exceed `MAX_BITS`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]
import sympy
from sympy.core.function import AppliedUndef

MAX_BITS = 60_000  # of an exact number, or of the exponent of an inexact one
MAX_SPREAD = 4_000  # bits between the largest and the smallest magnitude in one expression
MAX_FACTORIAL = 3_000
_POINTS = 6

_FUNCTIONS: dict[type, str] = {
    getattr(sympy, name): name
    for name in [
        "sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh", "exp", "asin", "acos",
        "atan", "asinh", "acosh", "atanh",
    ]
}  # fmt: skip


class NotComparable(Exception):
    """The expression is too large to evaluate, or has a part that these rules do not know."""


class _Inexact(Exception):
    """The value is not rational."""


def same_function(left: sympy.Expr, right: sympy.Expr) -> bool:
    """Whether `left` and `right` agree wherever both are real (or everywhere, when i occurs).

    Raises NotComparable when the bounds do not allow an answer.
    """
    tried = [_values(left, right, point) for point in _points(left, right)]
    pairs = [pair for pair in tried if pair is not None]
    if not pairs:
        raise NotComparable("undefined at every point tried")
    real = [pair for pair in pairs if all(_is_real(value) for value in pair[:2])]
    if real and not (_has_i(left) or _has_i(right)):
        pairs = real
    return all(_close(*pair) for pair in pairs)


def constant_ratio(left: sympy.Expr, right: sympy.Expr) -> int:
    """The sign of c when left = c · right for a real constant c ≠ 0, else 0."""
    signs = set()
    reference = None
    for point in _points(left, right):
        values = _values(left, right, point)
        if values is None or not all(_is_real(value) for value in values[:2]):
            continue
        a, b, tolerance = values
        if a == 0 or b == 0:
            return 0
        if reference is None:
            reference = (a, b)
        # a/b = a₀/b₀, without a division that would lose exactness
        if not _close(a * reference[1], b * reference[0], tolerance and tolerance * (abs(a) + abs(b) + 1)):
            return 0
        signs.add(1 if (a > 0) == (b > 0) else -1)
    return signs.pop() if len(signs) == 1 else 0


def _points(left: sympy.Expr, right: sympy.Expr) -> list[dict[str, Fraction]]:
    names = sorted({str(symbol) for symbol in left.free_symbols | right.free_symbols})
    if not names:
        return [{}]
    draw = random.Random(20_040_229)
    return [
        {name: Fraction(draw.randint(100, 999) * (-1 if index % 3 == 2 and draw.random() < 0.7 else 1),
                        draw.randint(100, 499)) for name in names}
        for index in range(_POINTS)
    ]  # fmt: skip


def _values(
    left: sympy.Expr, right: sympy.Expr, point: Mapping[str, Fraction]
) -> tuple[Any, Any, Any] | None:
    """Both values at `point` and the tolerance of their difference; None where undefined."""
    try:
        return _exact(left, point), _exact(right, point), 0
    except _Inexact:
        pass
    except ZeroDivisionError:
        return None
    context = mpmath.MPContext()
    try:
        context.prec = 64
        magnitudes = [0]
        for side in (left, right):
            _inexact(side, point, context, magnitudes)
        spread = max(magnitudes) - min(magnitudes)
        if spread > MAX_SPREAD:
            raise NotComparable("its numbers differ by too many orders of magnitude")
        context.prec = 250 + 3 * spread
        values = [_inexact(side, point, context, []) for side in (left, right)]
        return values[0], values[1], context.ldexp(1, max(magnitudes) - spread - 120)
    except ZeroDivisionError:
        return None
    except (ValueError, OverflowError, TypeError) as error:  # mpmath: a pole, or beyond its range
        raise NotComparable(str(error)) from error


def _is_real(value: Any) -> bool:
    return isinstance(value, Fraction) or abs(value.imag) <= abs(value.real) * 2.0**-100


def _has_i(tree: sympy.Expr) -> bool:
    return bool(tree.has(sympy.I)) or any(str(symbol) == "i" for symbol in tree.free_symbols)


def _close(a: Any, b: Any, tolerance: Any) -> bool:
    return bool(a == b if tolerance == 0 else abs(a - b) <= tolerance)


def _exact(tree: Any, point: Mapping[str, Fraction]) -> Fraction:
    if tree.is_Rational:
        return Fraction(int(tree.p), int(tree.q))
    if tree.is_Symbol:
        if tree.name == "i":
            raise _Inexact
        return point[str(tree)]
    if tree.is_Add or tree.is_Mul:
        total = Fraction(int(tree.is_Mul))
        for term in (_exact(arg, point) for arg in tree.args):
            total = total * term if tree.is_Mul else total + term
            _bound(_bits(total))
        return total
    if tree.is_Pow and not isinstance(tree, sympy.exp):
        base, exponent = (_exact(arg, point) for arg in tree.args)
        if exponent.denominator != 1:
            raise _Inexact
        _bound(_bits(base) * abs(exponent))
        return base ** int(exponent)
    if isinstance(tree, sympy.factorial):
        argument = _exact(tree.args[0], point)
        if argument.denominator != 1 or argument < 0:
            raise _Inexact
        if argument > MAX_FACTORIAL:
            raise NotComparable("a factorial too large to compute")
        return Fraction(math.factorial(int(argument)))
    if isinstance(tree, (sympy.floor, sympy.ceiling)):
        argument = _exact(tree.args[0], point)
        return Fraction(argument.__floor__() if isinstance(tree, sympy.floor) else argument.__ceil__())
    if isinstance(tree, sympy.Abs):
        return abs(_exact(tree.args[0], point))
    if isinstance(tree, AppliedUndef):
        values = [_exact(arg, point) for arg in tree.args]
        return _unknown_function(tree.func.__name__, values)
    raise _Inexact


def _unknown_function(name: str, values: list[Fraction]) -> Fraction:
    """f(…) for an f that is only a name: some value, the same for the same arguments."""
    return Fraction(random.Random(f"{name} {values}").randint(100, 999), 101)


def _inexact(tree: Any, point: Mapping[str, Fraction], context: Any, magnitudes: list[int]) -> Any:
    """The value as a multiple-precision number; magnitudes of its parts (in bits) are appended."""

    def value(part: Any) -> Any:
        return _inexact(part, point, context, magnitudes)

    def noted(result: Any) -> Any:
        magnitude = context.mag(result)
        if not isinstance(magnitude, int):  # of zero, infinity or nan
            return result
        _bound(abs(magnitude))
        magnitudes.append(magnitude)
        return result

    if tree.is_Rational:
        return noted(context.mpf(int(tree.p)) / int(tree.q))
    if tree.is_Symbol and tree.name != "i":
        at = point[str(tree)]
        return noted(context.mpf(at.numerator) / at.denominator)
    if tree is sympy.I or tree.is_Symbol:
        return context.mpc(0, 1)
    if tree in (sympy.pi, sympy.E):
        return +(context.pi if tree is sympy.pi else context.e)
    if tree.is_Add:
        return context.fsum(value(arg) for arg in tree.args)
    if tree.is_Mul:
        return context.fprod(value(arg) for arg in tree.args)
    if tree.is_Pow and not isinstance(tree, sympy.exp):
        base, exponent = value(tree.base), value(tree.exp)
        if base == 0 and context.re(exponent) < 0:
            raise ZeroDivisionError
        if base != 0:
            _bound(abs(exponent) * (abs(context.log(abs(base), 2)) + 1))
        return noted(context.power(base, exponent))
    return noted(_apply(tree, [value(arg) for arg in tree.args], context))


def _apply(tree: Any, arguments: list[Any], context: Any) -> Any:
    """A function of values that are already known."""
    if arguments and max(abs(argument) for argument in arguments) > MAX_BITS:
        raise NotComparable("the argument of a function is too large")
    if isinstance(tree, sympy.log):
        if arguments[0] == 0 or (len(arguments) == 2 and arguments[1] in (0, 1)):
            raise ZeroDivisionError
        result = context.log(arguments[0])
        return result / context.log(arguments[1]) if len(arguments) == 2 else result
    if isinstance(tree, sympy.Abs):
        return abs(arguments[0])
    if isinstance(tree, sympy.factorial):
        return context.factorial(arguments[0])
    name = _FUNCTIONS.get(type(tree))
    if name is None:
        raise NotComparable(f"no rule for {type(tree).__name__}")
    return getattr(context, name)(*arguments)


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def _bound(bits: Any) -> None:
    if bits > MAX_BITS:
        raise NotComparable("a number too large to compute")
