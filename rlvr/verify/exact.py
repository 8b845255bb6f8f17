"""Numbers as text → exact rationals, without parsing LaTeX. Sizes are bounded before anything is computed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

from rlvr.verify.units import CURRENCIES, read_unit

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
_CURRENCY = re.compile(r"([-+]?)\s?(\\\$|[$€£¥])\s?")
_CURRENCY_BEHIND = re.compile(r"\s?(\\\$|[$€£¥])$")
_PERCENT = re.compile(r"\s?(?:\\?%|\\text\{\s?percent\s?\}|\spercent)$")
_DEGREES = re.compile(r"(?<=[\d}])\s?\^\{\\circ\}\s?([CF])?$")
_UNIT = re.compile(
    r"\s?\\(?:text|mathrm|textbf|textrm|rm)\s?\{\s?([^{}]+)\}(\^\s?\{?[23]\}?)?$"
    r"|(?<=[\d}])\s([^\W\d_]{2,}[^\d{}\\$]*(?:\^\{?[23]\}?)?)$|(?<=\d)\s?([^\W\d_]{1,2}/[^\W\d_]{1,2}(?:\^\{?[23]\}?)?)$"
)


@dataclass(frozen=True)
class Quantity:
    """A rational number with what was written around it."""

    value: Fraction
    unit: str = ""  # as `read_unit` names it; "" when none was written
    digits: int = field(default=0, compare=False)  # significant, of one with a decimal point; 0 if exact
    quotient: bool = field(default=False, compare=False)  # written as numerator and denominator


def read_quantity(text: str) -> Quantity | None:
    """Read normalized `text` as a number with an optional currency, unit or percent sign (a hundredth)."""
    unit = ""
    if match := _CURRENCY.match(text):
        text, unit = match.group(1) + text[match.end() :], CURRENCIES[match.group(2)]
    elif match := _CURRENCY_BEHIND.search(text):
        text, unit = text[: match.start()], CURRENCIES[match.group(1)]
    factor = Fraction(1)
    if match := _PERCENT.search(text):
        text, factor = text[: match.start()], Fraction(1, 100)
    elif match := _DEGREES.search(text):
        text, unit = text[: match.start()], f"degree{match.group(1) or ''}"
    elif match := _UNIT.search(text):
        found = read_unit("".join(group for group in match.groups() if group))
        if found is None:
            return None
        text, factor, unit = text[: match.start()], found[0], found[1] or unit
    number = read_rational(text)
    if number is None:
        return None
    return Quantity(number * factor, unit, _significant(text), _is_quotient(text))


def _is_quotient(text: str) -> bool:
    return _RATIO.fullmatch(text.strip().strip("()")) is not None


def _significant(text: str) -> int:
    """Significant digits of a number with a decimal point; 0 without one, for it is exact then."""
    mantissa = re.match(r"\D*([\d,]*\.\d+)(?!.*(?:/|frac))", text, re.DOTALL)
    return len(re.sub(r"\D", "", mantissa.group(1)).lstrip("0")) if mantissa else 0


def read_rational(text: str) -> Fraction | None:
    """`text` as an exact rational: 7,425,000; -.5; 10/9; \\frac{10}{9}; 3\\frac{1}{2}; 1.5e-3."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")") and not set("(,") & set(text[1:-1]):
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
