"""Numbers as text → exact rationals, without parsing LaTeX. Sizes are bounded before anything is computed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

MAX_DIGITS = 1000  # of one literal
MAX_EXPONENT = 1000  # of ten, in scientific notation

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+"
_SIGN = r"[-+]?\s?"
_NUMBER = rf"{_SIGN}(?:{_DIGITS})"
_LITERAL = re.compile(_NUMBER)
_SCIENTIFIC = re.compile(rf"({_NUMBER})(?:[eE]|\s?(?:\\times|\\cdot|\*)\s?10\s?\^)\s?\{{?([-+]?\d+)\}}?")
_POWER_OF_TEN = re.compile(rf"({_SIGN})10\s?\^\s?\{{?([-+]?\d+)\}}?")
_RATIO = re.compile(
    rf"({_SIGN})(?:\\frac\s?\{{\s?({_NUMBER})\s?\}}\s?\{{\s?({_NUMBER})\s?\}}|({_DIGITS})\s?/\s?({_NUMBER}))"
)
_MIXED = re.compile(
    rf"({_SIGN})(\d+)\s?(?:\\frac\s?\{{(\d+)\}}\s?\{{(\d+)\}}|(?:(?<=\s)|\+)(\d+)\s?/\s?(\d+))"
)
_CURRENCY = re.compile(r"^([-+]?)\s?(?:\\\$|[$€£¥])\s?")
_PERCENT = re.compile(r"\s?(?:\\?%|\\text\{\s?percent\s?\}|\spercent)$")
_UNIT = re.compile(
    r"\s?(?:\\(?:text|mathrm|textbf|textrm|rm)\s?\{\s?([^{}]+)\}|\s([A-Za-z]{2,}(?:[ /][A-Za-z]+)*\.?)"
    r"|(?<=[\d}])\^\{\\circ\}(\s?C|\s?F)?)(?:\^\{?([23])\}?)?$"
)


@dataclass(frozen=True)
class Quantity:
    """A rational number with what was written around it."""

    value: Fraction
    unit: str = ""  # lower case, singular; "" when none was written


def read_quantity(text: str) -> Quantity | None:
    """Read normalized `text` as a number with an optional currency, unit or percent sign.

    Percent divides by 100 here, not in the LaTeX parser: with the grammar that Hydra's antlr
    forces, that parser drops the sign, so that 0.5 and 0.5 % would be the same.
    """
    text = _CURRENCY.sub(r"\1", text.strip()).strip()
    bare = _PERCENT.sub("", text)
    number = read_rational(bare)
    if number is not None:
        return Quantity(number / 100 if bare != text else number)
    match = _UNIT.search(text)
    number = read_rational(text[: match.start()]) if match else None
    if match is None or number is None:
        return None
    words = match.group(1) or match.group(2) or f"degree{match.group(3) or ''}"
    unit = " ".join(words.lower().rstrip(".").split())
    return Quantity(number, unit.removesuffix("s") + (match.group(4) or ""))


def read_rational(text: str) -> Fraction | None:
    """`text` as an exact rational: 7,425,000; -.5; 10/9; \\frac{10}{9}; 3\\frac{1}{2}; 1.5e-3."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")") and "(" not in text[1:-1]:
        text = text[1:-1].strip()
    if text.startswith("-(") and text.endswith(")") and "(" not in text[2:-1]:
        inner = read_rational(text[2:-1])
        return None if inner is None else -inner
    if len(text) > MAX_DIGITS:
        return None
    if _LITERAL.fullmatch(text):
        return _literal(text)
    if match := _MIXED.fullmatch(text):
        sign, whole, *parts = match.groups()
        numerator, denominator = (part for part in parts if part)
        if int(denominator) == 0:
            return None
        value = int(whole) + Fraction(int(numerator), int(denominator))
        return -value if "-" in sign else value
    if match := _RATIO.fullmatch(text):
        sign, *parts = match.groups()
        top, bottom = (_literal(part) for part in parts if part)
        if bottom == 0:
            return None
        return -top / bottom if "-" in sign else top / bottom
    return _scientific(text)


def _literal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").rstrip("."))


def _scientific(text: str) -> Fraction | None:
    if match := _SCIENTIFIC.fullmatch(text):
        mantissa, exponent = _literal(match.group(1)), match.group(2)
    elif match := _POWER_OF_TEN.fullmatch(text):
        mantissa, exponent = Fraction(-1 if "-" in match.group(1) else 1), match.group(2)
    else:
        return None
    if len(exponent) > 5 or abs(int(exponent)) > MAX_EXPONENT:
        return None
    return mantissa * Fraction(10) ** int(exponent)
