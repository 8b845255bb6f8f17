"""Numbers in an expression → exact values, with bounds on their size."""

from __future__ import annotations

import re
from fractions import Fraction

from rlvr.verify.tokens import NotAnExpression
from rlvr.verify.tree import Node, number

MAX_LITERAL = 400  # digits of one number
MAX_EXPONENT = 400  # of ten in one literal, 1e400


def literal(text: str) -> Node:
    """A decimal literal, 1.50 or 3e8, with its significant digits where it has a decimal point."""
    mantissa, _, exponent = text.lower().partition("e")
    if len(mantissa) > MAX_LITERAL or len(exponent) > 5 or abs(int(exponent or 0)) > MAX_EXPONENT:
        raise NotAnExpression("a number with too many digits")
    digits = len(mantissa.replace(".", "").lstrip("0")) if "." in mantissa else 0
    value = Fraction(mantissa.rstrip(".") or "0")
    return number(value * Fraction(10) ** int(exponent) if exponent else value, digits)


def repeating(token: str) -> Fraction:
    """0.1\\overline{6} as 1/6."""
    fixed, _, period = token.partition("\\")
    period = re.sub(r"\D", "", period)
    whole, _, decimals = fixed.partition(".")
    if len(token) > MAX_LITERAL:
        raise NotAnExpression("a number with too many digits")
    scale = Fraction(1, 10 ** len(decimals))
    return (
        Fraction(int(whole or 0))
        + int(decimals or 0) * scale
        + scale * Fraction(int(period), 10 ** len(period) - 1)
    )


def in_base(token: str) -> Fraction:
    """1011_2 as 11, 0.0011_{2} as 3/16, 2A_{16} as 42."""
    digits, _, written = token.partition("_")
    base = int(written.strip("{} "))
    whole, _, decimals = digits.partition(".")
    if not 2 <= base <= 36 or len(digits) > MAX_LITERAL:
        raise NotAnExpression("a base must be from 2 to 36")
    try:
        return Fraction(int(whole + decimals, base), base ** len(decimals))
    except ValueError:
        raise NotAnExpression(f"{digits!r} has no value in base {base}") from None
