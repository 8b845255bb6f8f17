"""Numbers in an expression → exact values, with bounds on their size."""

from __future__ import annotations

import re
from fractions import Fraction

from rlvr.verify.exact import in_base, periodic, read_literal
from rlvr.verify.tokens import NotAnExpression
from rlvr.verify.tree import Node, number

MAX_LITERAL = 400  # digits of one number
MAX_EXPONENT = 400  # of ten in one literal, 1e400


def literal(text: str) -> Node:
    """A decimal literal, 1.50 or 3e8, with its significant digits if it has a decimal point."""
    mantissa, _, exponent = text.lower().partition("e")
    if len(mantissa) > MAX_LITERAL or len(exponent) > 5 or abs(int(exponent or 0)) > MAX_EXPONENT:
        raise NotAnExpression("a number with too many digits")
    value, digits = read_literal(mantissa.rstrip(".") or "0")
    digits = digits or (len(mantissa.lstrip("0")) - 1 if mantissa.endswith(".") else 0)  # 300. has three
    return number(value * Fraction(10) ** int(exponent) if exponent else value, digits)


def repeating(token: str) -> Fraction:
    """0.1\\overline{6} as 1/6."""
    fixed, _, period = token.partition("\\")
    if len(token) > MAX_LITERAL:
        raise NotAnExpression("a number with too many digits")
    whole, _, decimals = fixed.partition(".")
    return periodic(whole, decimals, re.sub(r"\D", "", period))


def based(token: str) -> Fraction:
    """1011_2 as 11, 0.0011_{2} as 3/16, 2A_{16} as 42."""
    digits, _, written = token.partition("_")
    value = in_base(digits, int(written.strip("{} "))) if len(digits) <= MAX_LITERAL else None
    if value is None:
        raise NotAnExpression(f"{token[:40]!r} has no value in its base")
    return value
