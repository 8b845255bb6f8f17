"""Numbers as text → exact rationals, without parsing LaTeX. Sizes are bounded before anything is computed.

All parts of the project parse numbers with this module: 1,234.5; 1.234,5; 1'234; 12 500; 1,00,000; .5; 3/4;
1 1/2; 6.02×10^23; 1.5e-3; 0.333…; 0.(3); 0x2A.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

from rlvr.verify.measures import DEGREE, Unit
from rlvr.verify.plain import plain
from rlvr.verify.units import CURRENCY_SIGN, NO_UNIT, currency, read_details, read_unit

MAX_DIGITS = 1000  # of one literal
MAX_BASED = 100  # characters of a number that names its base
MAX_EXPONENT = 1000  # of ten, in scientific notation

DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d*)?|\.\d+"  # as steps are written: 1,234.5
# One alternative per notation of digits; the first that matches without a digit left over is used.
_ENGLISH = r"\d{1,3}(?:,\d{3})+(?:\.\d*)?(?![\d,]*\d)"
_INDIAN = r"\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d*)?(?!\d)"
_EUROPEAN = r"\d{1,3}(?:\.\d{3})+,\d+(?![\d,])|\d{1,3}(?:\.\d{3}){2,}(?![\d.])"
_SPACED = r"\d{1,3}(?:(?P<gap{0}>[ '_])\d{{3}})(?:(?P=gap{0})\d{{3}})*(?:[.,]\d+)?(?!\d)"
_PERIODIC = r"\d*\.\d*\(\d+\)|\d*\.\d+\s?(?:…|\.\.\.?)|\d*\.\d*(?:\d\u0305)+"
_PLAIN = r"\d+(?:\.\d*)?|\.\d+"
_COMMA = r"\d+,\d+(?![\d,])"  # a decimal comma, if the caller knows that it does not separate a list
_GROUPED = rf"{_PERIODIC}|{_ENGLISH}|{_INDIAN}|{_EUROPEAN}|{_SPACED}"
_TEN = (
    r"\s?(?:×|·|\*|x|\\times|\\cdot)\s?10\s?(?:\^|\*\*)\s?\{?\(?(?P<exponent>[-+]?\s?\d+)\)?\}?"
    r"|[eE](?P<e>[-+]?\d+)(?![\w.])"
)
_BASED = re.compile(r"0([xX][\dA-Fa-f]+|[bB][01]+|[oO][0-7]+)(?!\w)")
_RADIX = {"x": 16, "b": 2, "o": 8}


def _compiled(*literals: str) -> re.Pattern[str]:
    return re.compile("|".join(literals).replace("{0}", "0").replace("{{", "{").replace("}}", "}"))


_NUMBER = _compiled(_GROUPED, _PLAIN)
_NUMBER_OR_COMMA = _compiled(_GROUPED, _COMMA, _PLAIN)
_SCALE = re.compile(_TEN)
_POWER_OF_TEN = re.compile(r"10\s?(?:\^|\*\*)\s?\{?([-+]?\d+)\}?(?!\d)")
_FRAC = re.compile(r"\\frac\s?(?:\{\s?([^{}]{1,60})\s?\}|(\d))\s?(?:\{\s?([^{}]{1,60})\s?\}|(\d))")
_OVER = re.compile(r"\s?/\s?(?=[\d.(-])")
_SIGN = re.compile(r"[-+]?\s?")
_PART = re.compile(r"\s(?:and )?\s?(\d+)\s?/\s?(\d+)(?![\d.])")
_PERCENT = re.compile(
    r"\s?-?(?:%|percent(?:age)?(?: points?)?|per ?cent|pct\.?|prozent|por ?ciento|pour ?cent|por cento"
    r"|процент\w*)(?!\w)",
    re.IGNORECASE,
)
_PERMILLE = re.compile(r"\s?(‰|ppm|ppb|bps|parts per [mb]illion|basis points?)$", re.IGNORECASE)
_PER = {
    "‰": 1_000, "ppm": 10**6, "ppb": 10**9, "bps": 10**4, "parts per million": 10**6,
    "parts per billion": 10**9,
}  # fmt: skip
_MULTIPLIER = re.compile(r"\s?(k|K|M|m|mn|mm|MM|B|b|bn|Bn|T|tn|Mio\.?|Mrd\.?)(?![A-Za-z])")
_MULTIPLIERS = {
    "k": 10**3, "m": 10**6, "mn": 10**6, "mm": 10**6, "mio": 10**6, "b": 10**9, "bn": 10**9, "mrd": 10**9,
    "t": 10**12, "tn": 10**12,
}  # fmt: skip
_ABOUT = re.compile(r"[≈~≃≅]\s*(?=[-+\d.$€£¥₹\\])")
# Units of one or two letters that may stand right behind the digits.
_GLUED = frozenset(
    [
        "km",
        "cm",
        "mm",
        "nm",
        "um",
        "dm",
        "kg",
        "mg",
        "ug",
        "ms",
        "ns",
        "Hz",
        "kW",
        "MW",
        "mW",
        "GW",
        "GB",
        "MB",
        "kB",
        "TB",
        "ml",
        "mL",
        "dL",
        "cl",
        "cL",
        "kJ",
        "MJ",
        "mJ",
        "eV",
        "ft",
        "lb",
        "oz",
        "Pa",
        "in",
        "mA",
        "mV",
        "kV",
        "kN",
        "Nm",
        "mH",
        "mi",
        "yd",
        "hr",
        "cc",
        "ha",
        "Gy",
        "Sv",
        "Bq",
        "pF",
        "nF",
    ]
)
_EACH = re.compile(r"\s?(?:/|per\b|an?\b)", re.IGNORECASE)  # of a price
_MINUS = re.compile(r"^(?:minus|negative) (?=[$€£]?\d)", re.IGNORECASE)
_CHANCE = re.compile(r"(\d{1,9}) (?:out of|in)(?: every)? (\d{1,9})")
_DASH_END = re.compile(r"[.,]\s?[-–]{1,2}$")  # 1250.-


PERCENT = "%"  # the unit of a percentage


class Literal(NamedTuple):
    """A number and how it was written."""

    value: Fraction
    digits: int  # significant, where it has a decimal point; 0 if exact
    quotient: bool  # written as numerator and denominator
    end: int  # where it ends in the text


@dataclass(frozen=True)
class Quantity:
    """A rational number with its unit and notation.

    Two quantities of the same `unit` (in base units) are compared as `value · scale + offset`; if only one
    has a unit, as `value`.
    """

    value: Fraction
    unit: str = (
        ""  # the name of the base unit, a currency's code, or what is counted; "" when none was written
    )
    digits: int = field(default=0, compare=False)  # significant, of one with a decimal point; 0 if exact
    quotient: bool = field(default=False, compare=False)  # written as numerator and denominator
    scale: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)
    percent: bool = field(default=False, compare=False)  # then the unit is PERCENT
    details: frozenset[str] = frozenset()  # further words: "red" marbles, kg of "flour"

    @property
    def in_base(self) -> Fraction:
        return self.value * self.scale + self.offset

    def converted(self) -> Quantity:
        """The quantity in base units; a decimal keeps its digits if it is only scaled."""
        digits = 0 if self.offset else self.digits
        return Quantity(self.in_base, self.unit, digits, self.quotient, percent=self.percent)

    def clashes(self, other: Quantity) -> bool:
        """Whether their units or details contradict each other: two units, red and blue marbles."""
        if not (self.unit and other.unit):
            return False
        apart = (
            self.details
            and other.details
            and not (self.details <= other.details or other.details <= self.details)
        )
        return self.unit != other.unit or bool(apart)

    def measured_in(self, unit: Unit) -> Quantity:
        return Quantity(
            self.value,
            unit.base,
            self.digits,
            self.quotient,
            unit.scale,
            unit.offset,
            self.percent,
            unit.details,
        )


def read_quantity(text: str, decimal_comma: bool = False) -> Quantity | None:
    """Read `text` as a number with an optional currency, unit or percent sign (a hundredth)."""
    if not any(character.isdigit() for character in text[: MAX_DIGITS + 1]):
        return None
    text = _MINUS.sub("-", _DASH_END.sub("", _ABOUT.sub("", plain(text), count=1)))
    if (chance := _CHANCE.fullmatch(text)) and (of := int(chance.group(2))):
        return Quantity(Fraction(int(chance.group(1)), of), quotient=True)
    sign, position = _signed(text, 0)
    code = None
    if match := CURRENCY_SIGN.match(text, position):
        if (code := currency(match.group())) is None:
            return None
        second, position = _signed(text, _skip(text, match.end()))
        sign *= second
        if again := CURRENCY_SIGN.match(text, position):  # USD $5
            position = _skip(text, again.end())
    number = scan_number(text, position, decimal_comma or code is not None)
    if number is None and text.startswith("(") and text.endswith(")") and code is None:
        return read_quantity(text[1:-1], decimal_comma) if "(" not in text[1:-1] and "," not in text else None
    if number is None:
        return None
    rest = text[number.end :]
    value = Quantity(sign * number.value, "", number.digits, number.quotient)
    if not rest.strip():
        return _priced(value, text, number, code)
    if (match := _PERCENT.match(rest)) and (details := read_details(rest[match.end() :])) is not None:
        return Quantity(
            value.value / 100, PERCENT, value.digits, value.quotient, percent=True, details=details
        )
    if match := _PERMILLE.fullmatch(rest):
        per = _PER.get(match.group(1).lower(), 10**4)
        return Quantity(value.value / per, "", value.digits, value.quotient)
    if match := _MULTIPLIER.match(rest):
        behind = currency(rest[match.end() :].strip().rstrip(".,-"))
        if (code and not rest[match.end() :].strip()) or behind:
            factor = _MULTIPLIERS[match.group(1).lower().rstrip(".")]
            return Quantity(value.value * factor, code or behind or "")
    if rest.strip() == "°":
        return value.measured_in(DEGREE)
    found = _with_unit(value, rest, text, number, code)
    if (
        found is None
        and rest.startswith(",")
        and not decimal_comma
        and (text[-1] in "€$£₽₺" or text[-3:].isupper())
    ):
        return read_quantity(text, decimal_comma=True)
    return found


def _with_unit(value: Quantity, rest: str, text: str, number: Literal, code: str | None) -> Quantity | None:
    spaced = rest[0] in " -/"
    found = read_unit(rest.strip(" -") if code is None or not _EACH.match(rest) else f"{code}{rest}")
    if found is None:
        return None
    factor, unit = found
    if code is not None:
        if unit.base.startswith(code) and unit.base != code:  # $5 per hour
            return Quantity(value.value, value.unit, value.digits).measured_in(unit)
        if unit.base not in ("", code):
            return None
        return Quantity(value.value * factor, code, value.digits)
    letters = rest.strip()
    glued = not spaced and letters.isascii() and letters.isalpha() and letters not in _GLUED
    if glued and (len(letters) < 3 or unit.counted):
        return None  # 5m may be 5·m, and 2ab is a product: expressions, unless the reference has a unit
    if len(unit.base) == 3 and unit.base.isupper():
        priced = _priced(value, text, number, unit.base)
        return Quantity(priced.value * factor, unit.base, value.digits, scale=unit.scale)
    if unit == NO_UNIT and factor == 1 and not letters:
        return value
    scaled = Quantity(value.value * factor, "", value.digits if factor == 1 else 0, value.quotient)
    return scaled.measured_in(unit)


def _priced(value: Quantity, text: str, number: Literal, code: str | None) -> Quantity:
    """An amount of money. Prices do not have three decimals: 1.234 € is 1234 €, but dollars have a point."""
    if code is None:
        return value
    written = text[: number.end]
    thousands = re.search(r"(?<![\d.,])\d{1,3}\.\d{3}$", written)
    if thousands and code not in ("USD", "GBP", "INR", "JPY", "CNY", "AUD", "CAD"):
        return Quantity(value.value * 1000, code)
    if re.search(r"(?<![\d.,])\d{1,3},\d{3}$", written) and value.value.denominator > 1:
        return Quantity(value.value * 1000, code)
    return Quantity(value.value, code, value.digits, value.quotient)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] == " ":
        position += 1
    return position


def _signed(text: str, position: int) -> tuple[int, int]:
    """The sign before a number, and the position after it."""
    match = _SIGN.match(text, position)
    assert match
    return -1 if "-" in match.group() else 1, match.end()


def scan_number(text: str, position: int = 0, decimal_comma: bool = False) -> Literal | None:
    """The longest unsigned number that begins at `position`."""
    if len(text) - position > MAX_DIGITS:
        return None
    if match := _BASED.match(text, position):
        digits = match.group(1)
        return Literal(Fraction(int(digits[1:], _RADIX[digits[0].lower()])), 0, False, match.end())
    if match := _FRAC.match(text, position):
        top, bottom = (
            read_rational(part)
            for part in (match.group(1) or match.group(2), match.group(3) or match.group(4))
        )
        return None if top is None or not bottom else Literal(top / bottom, 0, True, match.end())
    if match := _POWER_OF_TEN.match(text, position):
        return _times_ten(Fraction(1), match.group(1), 0, match.end())
    match = (_NUMBER_OR_COMMA if decimal_comma else _NUMBER).match(text, position)
    if match is None:
        return None
    value, digits = read_literal(match.group())
    end = match.end()
    if scale := _SCALE.match(text, end):
        return _times_ten(
            value, (scale.group("exponent") or scale.group("e")).replace(" ", ""), digits, scale.end()
        )
    if value.denominator == 1 and not digits:
        if (part := _PART.match(text, end)) and int(part.group(2)):
            return Literal(value + Fraction(int(part.group(1)), int(part.group(2))), 0, False, part.end())
        part = _FRAC.match(text, _skip(text, end)) if "\\frac" in text[end:] else None
        if part and (fraction := scan_number(text, part.start())) is not None:
            proper = 0 < fraction.value < 1
            return Literal(value + fraction.value, 0, False, part.end()) if proper else None
    if over := _OVER.match(text, end):
        negative, start = _signed(text, over.end())
        below = scan_literal(text, start)
        if below is not None and below.value:
            return Literal(negative * value / below.value, 0, True, below.end)
    return Literal(value, digits, False, end)


def scan_literal(text: str, position: int = 0) -> Literal | None:
    """The digits that begin at `position`, as one number."""
    match = _NUMBER.match(text, position)
    return None if match is None else Literal(*read_literal(match.group()), False, match.end())


_RADICES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "twelve": 12, "sixteen": 16, "binary": 2, "octal": 8, "decimal": 10, "hexadecimal": 16, "hex": 16,
}  # fmt: skip
_IN_BASE = re.compile(
    r"\(?([\dA-F]+(?:\.[\dA-F]+)?)\)?\s*(?:_\s?\{?\(?(\w+)\)?\}?"
    r"|,?\s*\(?(?:in )?(?:base[ -]?(\w+)|(binary|octal|decimal|hexadecimal|hex))\)?|([bh]))",
    re.IGNORECASE,
)


def read_based(text: str) -> Fraction | None:
    """Plain `text` as a number in a base that it names: 2A_16, 101 (base 2), 101 in binary, 2Ah."""
    match = _IN_BASE.fullmatch(text.strip()) if len(text) <= MAX_BASED else None
    if match is None:
        return None
    digits, below, named, word, suffix = match.groups()
    written = (below or named or word or {"b": "2", "h": "16"}[suffix.lower()]).lower()
    return in_base(
        digits, _RADICES.get(written, int(written) if written.isdigit() and len(written) < 3 else 0)
    )


def in_base(digits: str, base: int) -> Fraction | None:
    """1011 in base 2 as 11, 0.0011 as 3/16; None for digits outside of the base, and for an invalid base."""
    whole, _, decimals = digits.partition(".")
    try:
        return Fraction(int(whole + decimals, base), base ** len(decimals)) if 2 <= base <= 36 else None
    except ValueError:
        return None


def _times_ten(value: Fraction, exponent: str, digits: int, end: int) -> Literal | None:
    if len(exponent) > 5 or abs(int(exponent)) > MAX_EXPONENT:
        return None
    return Literal(value * Fraction(10) ** int(exponent), digits, False, end)


def read_literal(text: str) -> tuple[Fraction, int]:
    """Digits with separators, as matched by the patterns above: the number and its significant digits."""
    if "\u0305" in text:
        text = re.sub(r"(?:\d\u0305)+$", lambda run: f"({run.group().replace(chr(0x305), '')})", text)
    if match := re.fullmatch(r"(\d*)\.(\d*)\((\d+)\)", text):
        return periodic(*match.groups()), 0
    if match := re.fullmatch(r"(\d*)\.(\d+?)\s?(?:…|\.\.\.?)", text):
        return _continued(*match.groups())
    if gap := re.search(r"[ '_]", text):
        text = text.replace(gap.group(), "").replace(",", ".")
    if "," in text and (
        text.rfind(",") > text.rfind(".")
        and ("." in text or not re.fullmatch(r"[1-9]\d*(?:,\d{2,3})*,\d{3}", text))
    ):
        text = text.replace(".", "").replace(",", ".")  # 1.234,5 and 12,5
    elif text.count(".") > 1:
        text = text.replace(".", "")
    text = text.replace(",", "")
    whole, _, decimals = text.partition(".")
    significant = len((whole + decimals).lstrip("0")) if decimals else 0
    return Fraction(f"{whole or 0}.{decimals or 0}"), significant


def periodic(whole: str, fixed: str, period: str) -> Fraction:
    """0.1 with 6 repeated as 1/6."""
    scale = Fraction(1, 10 ** len(fixed))
    return int(whole or 0) + int(fixed or 0) * scale + scale * Fraction(int(period), 10 ** len(period) - 1)


def _continued(whole: str, decimals: str) -> tuple[Fraction, int]:
    """0.333… as 1/3 if the last digits repeat, else the digits as written."""
    for length in range(1, len(decimals) // 2 + 1):
        period = decimals[-length:]
        repeats = 1
        while decimals[: len(decimals) - repeats * length].endswith(period):
            repeats += 1
        if repeats >= 2 and set(period) != {"0"}:
            return periodic(whole, decimals[: len(decimals) - repeats * length], period), 0
    return Fraction(f"{whole or 0}.{decimals}"), len((whole + decimals).lstrip("0"))


def read_rational(text: str) -> Fraction | None:
    """`text` as an exact rational: 7,425,000; -.5; 10/9; \\frac{10}{9}; 3\\frac{1}{2}; 1.5e-3."""
    text = text.strip()
    while text.startswith("(") and text.endswith(")") and not set("(,") & set(text[1:-1]):
        text = text[1:-1].strip()
    if text.startswith("-(") and text.endswith(")") and "(" not in text[2:-1]:
        inner = read_rational(text[2:-1])
        return None if inner is None else -inner
    sign, position = _signed(text, 0)
    number = scan_number(text, position)
    return sign * number.value if number and number.end == len(text.rstrip()) else None
