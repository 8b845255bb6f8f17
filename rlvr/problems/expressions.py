"""Arithmetic from a user's file: parsed by a small grammar, evaluated exactly, without `eval`.

The grammar is a subset of Python's: numbers, names, + - * / **, brackets, the functions in `FUNCTIONS`
and, in conditions, comparisons. Everything else is refused: attributes, subscripts, other calls. Numbers
are exact sympy numbers: 0.1 is 1/10, and sqrt(2) stays symbolic. Text length, depth, powers and the size of
every result are bounded, so that evaluation is fast.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

import sympy

from rlvr.base.targets import known_names

MAX_TEXT = 300  # characters
MAX_DEPTH = 30  # of nested brackets, signs and functions
MAX_BITS = 1_000  # of the numerator and denominator of every number: about 300 digits
MAX_EXPONENT = 1_000
MAX_DIGITS = 20  # decimal places that `round` may keep

Number = Any  # a real sympy number, or an expression in symbols: sympy has no types
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_UNDECIDED = sympy.Rational(1, 10**30)  # an irrational number smaller than this may be 0
_HALF = sympy.Rational(1, 2)


class ExpressionError(ValueError):
    """An expression or its value is invalid."""


@dataclass(frozen=True)
class Expression:
    """Arithmetic or, if `is_condition`, a comparison of arithmetic."""

    text: str
    tree: ast.expr = field(compare=False)  # its constants are exact sympy numbers
    names: frozenset[str]  # names that need a value
    is_condition: bool = False


def parse_expression(text: str, known: Collection[str], condition: bool = False) -> Expression:
    """Parse `text` as an expression in the names `known`, or as a condition on them (a < b <= 2*a).

    Raises ExpressionError for everything outside the grammar, and for an unknown name.
    """
    if not 0 < len(text) <= MAX_TEXT:
        raise ExpressionError(f"it has {len(text)} characters, but must have 1 to {MAX_TEXT}")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        raise ExpressionError(f"{text!r} is not valid arithmetic: {reason}") from error
    if isinstance(tree, ast.Compare) != condition:
        fault = "is not a comparison (<, <=, ==, !=, >=, >)" if condition else "is a comparison, not a number"
        raise ExpressionError(f"{text!r} {fault}")
    sides = [tree]
    if isinstance(tree, ast.Compare):
        for operator in tree.ops:
            if type(operator) not in _COMPARISONS:
                raise ExpressionError(f"{text!r}: only the comparisons <, <=, ==, !=, >= and > are allowed")
        sides = [tree.left, *tree.comparators]
    names: set[str] = set()
    for side in sides:
        _check(side, text.strip(), known, names, depth=0)
    return Expression(text.strip(), tree, frozenset(names), condition)


def evaluate(expression: Expression, values: Mapping[str, Number]) -> Number:
    """The exact real value, step by step. Raises ExpressionError if there is none within the bounds."""
    return _value(expression.tree, values)


def evaluate_numerically(expression: Expression, values: Mapping[str, Number]) -> Number:
    """The value to 30 digits, computed independently: a symbolic sympy expression with `values` substituted.

    Only for expressions that `evaluate` has accepted.
    """
    symbols = {name: sympy.Symbol(name, real=True) for name in expression.names}
    formula = _value(expression.tree, symbols)
    return formula.xreplace({symbol: values[name] for name, symbol in symbols.items()}).evalf(30)


def holds(condition: Expression, values: Mapping[str, Number]) -> bool:
    """Whether the comparison is true. Raises ExpressionError as `evaluate` does."""
    tree = condition.tree
    assert isinstance(tree, ast.Compare)
    sides = [_value(side, values) for side in (tree.left, *tree.comparators)]
    return all(
        _COMPARISONS[type(operator)](_sign(left - right))
        for operator, (left, right) in zip(tree.ops, pairwise(sides), strict=True)
    )


def as_fraction(value: Number) -> Fraction:
    """Raises ExpressionError for an irrational number."""
    if not value.is_Rational:
        raise ExpressionError("its value is irrational: round it, for example round(…, 2)")
    return Fraction(int(value.p), int(value.q))


def _check(node: ast.expr, text: str, known: Collection[str], names: set[str], depth: int) -> None:
    """Check `node` against the grammar, replace constants by exact numbers, and collect names."""
    if depth > MAX_DEPTH:
        raise ExpressionError(f"it is nested more than {MAX_DEPTH} deep: split it")
    parts: list[ast.expr] = []
    match node:
        case ast.Constant(value=int() | float()) if _NUMBER.fullmatch(_written(node, text)):
            node.value = sympy.Rational(_written(node, text))
        case ast.Name(id=name):
            if name not in known:
                raise ExpressionError(f"no name {name!r}; {known_names(name, known)}")
            names.add(name)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            parts = [left, right]
            if isinstance(operator, ast.Pow) and any(
                isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Pow)
                for part in parts
                for inner in ast.walk(part)
            ):
                raise ExpressionError(f"{_written(node, text)!r} has a nested power: make one of them a let")
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in FUNCTIONS:
            fewest, most, _ = FUNCTIONS[name]
            if not fewest <= len(parts) <= most:
                count = str(fewest) if fewest == most else f"{fewest} to {most}"
                raise ExpressionError(f"{_written(node, text)!r}: {name} takes {count} arguments")
            if name == "round" and len(parts) == 2 and _written(parts[1], text) not in _DIGITS:
                raise ExpressionError(f"round: its second argument must be a whole number 0 to {MAX_DIGITS}")
        case _:
            raise ExpressionError(
                f"{_written(node, text)!r} is not allowed: write numbers, names, + - * / **, brackets and "
                f"{', '.join(FUNCTIONS)}"
            )
    for part in parts:
        _check(part, text, known, names, depth + 1)


def _written(node: ast.expr, text: str) -> str:
    return ast.get_source_segment(text, node) or text


def _value(node: ast.expr, values: Mapping[str, Number]) -> Number:
    match node:
        case ast.Constant(value=number):
            return number
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=operator, operand=operand):
            value = _value(operand, values)
            return -value if isinstance(operator, ast.USub) else value
        case ast.BinOp(left=left, op=operator, right=right):
            return _bounded(_OPERATORS[type(operator)](_value(left, values), _value(right, values)))
        case ast.Call(func=ast.Name(id=name), args=args):
            return _bounded(FUNCTIONS[name][2](*(_value(part, values) for part in args)))
    raise AssertionError(node)


def _bounded(value: Number) -> Number:
    if value.free_symbols:
        return value
    if value.is_Rational:
        if max(int(value.p).bit_length(), int(value.q).bit_length()) > MAX_BITS:
            raise ExpressionError(f"a number in it has more than {MAX_BITS} bits")
    elif not abs(value.evalf(15)) < 2**MAX_BITS:
        raise ExpressionError(f"a number in it has more than {MAX_BITS} bits")
    return value


def _sign(value: Number) -> int:
    """−1, 0 or 1. Raises ExpressionError for an irrational number that may be 0."""
    if not value.is_Rational:
        value = value.evalf(50)
        if abs(value) < _UNDECIDED:
            raise ExpressionError("two numbers in it are too close to tell which is larger: round them")
    return int(bool(value > 0)) - int(bool(value < 0))


def _divide(left: Number, right: Number) -> Number:
    if not right.free_symbols and _sign(right) == 0:
        raise ExpressionError("it divides by 0")
    return left / right


def _power(base: Number, exponent: Number) -> Number:
    if base.free_symbols or exponent.free_symbols:
        return base**exponent
    if not exponent.is_Integer:
        raise ExpressionError("an exponent is not a whole number")
    bits = max(int(base.p).bit_length(), int(base.q).bit_length()) if base.is_Rational else 16
    if abs(exponent) > MAX_EXPONENT or (abs(base) != 1 and abs(exponent) * (bits - 1) > MAX_BITS):
        raise ExpressionError(
            f"a power in it has an exponent above {MAX_EXPONENT}, or a result of more than {MAX_BITS} bits"
        )
    if exponent < 0:
        return _divide(sympy.Integer(1), base**-exponent)
    return base**exponent


def _floor(value: Number) -> Number:
    floor = sympy.floor(value)
    if not floor.free_symbols and not floor.is_Integer:
        raise ExpressionError("a number in it is too large, or too close to a whole number, to be rounded")
    return floor


def _round(value: Number, digits: Number = sympy.Integer(0)) -> Number:  # noqa: B008
    scale = sympy.Integer(10) ** digits
    return sympy.sign(value) * _floor(abs(value) * scale + _HALF) / scale


def _sqrt(value: Number) -> Number:
    if not value.free_symbols and _sign(value) < 0:
        raise ExpressionError("it takes the root of a negative number")
    return sympy.sqrt(value)


def _mod(left: Number, right: Number) -> Number:
    return left - right * _floor(_divide(left, right))


FUNCTIONS: Mapping[str, tuple[int, int, Callable[..., Number]]] = {
    # fewest and most arguments
    "round": (1, 2, _round),  # halves away from 0: round(2.5) is 3, round(-2.5) is −3
    "floor": (1, 1, _floor),
    "ceil": (1, 1, lambda value: -_floor(-value)),
    "abs": (1, 1, abs),
    "min": (2, 10, sympy.Min),
    "max": (2, 10, sympy.Max),
    "sqrt": (1, 1, _sqrt),
    "mod": (2, 2, _mod),  # has the sign of its second argument: mod(-1, 5) is 4
}

_DIGITS = {str(digits) for digits in range(MAX_DIGITS + 1)}
_OPERATORS: Mapping[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: _divide,
    ast.Pow: _power,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[int], bool]] = {  # given the sign of left − right
    ast.Lt: lambda sign: sign < 0,
    ast.LtE: lambda sign: sign <= 0,
    ast.Gt: lambda sign: sign > 0,
    ast.GtE: lambda sign: sign >= 0,
    ast.Eq: lambda sign: sign == 0,
    ast.NotEq: lambda sign: sign != 0,
}
