"""Integers, decimals, fractions and percentages."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd
from random import Random

from rlvr.audit.catalogue.entry import MATH, Entry, Writer
from rlvr.audit.catalogue.spelled import (
    ARABIC,
    FULL_WIDTH,
    SUPERSCRIPT,
    VULGAR,
    decimal_text,
    grouped,
    in_lakhs,
    in_words,
    latex_number,
    next_digit,
    repeating,
    scientific,
    swap_digits,
)
from rlvr.verify.kinds import Kind


@dataclass(frozen=True)
class Number:
    """`places` digits after the point are written, None for a fraction; `slash` is 3/4, not \\frac."""

    value: Fraction
    places: int | None = 0
    slash: bool = False
    suffix: str = ""

    @property
    def body(self) -> str:
        if self.places is None and self.slash:
            return f"{self.value.numerator}/{self.value.denominator}"
        if self.places is None:
            return latex_number(self.value)
        return fixed(self.value, self.places)

    @property
    def text(self) -> str:
        return self.body + self.suffix

    @property
    def sign(self) -> str:
        return "-" if self.value < 0 else ""

    @property
    def size(self) -> Fraction:
        return abs(self.value)

    @property
    def whole(self) -> int:
        return abs(self.value).numerator // abs(self.value).denominator

    @property
    def digits(self) -> str:
        """Those after the point."""
        return fixed(self.size, self.places or 0).partition(".")[2]


def fixed(value: Fraction, places: int) -> str:
    """`value` with `places` digits after the point; more where it needs them."""
    text = decimal_text(value) or f"{float(value):.12f}"
    whole, _, digits = text.partition(".")
    digits = digits.ljust(places, "0")
    return f"{whole}.{digits}" if digits else whole


def with_body(gold: Number, body: str | None) -> str | None:
    return None if body is None else body + gold.suffix


def body_writer(write: Writer) -> Writer:
    """A writer of a plain number as one of the same number before a suffix."""

    def written(gold: Number, rng: Random) -> str | Number | None:
        found = write(replace(gold, suffix=""), rng)
        if isinstance(found, Number):
            return replace(found, suffix=gold.suffix)
        assert found is None or isinstance(found, str)
        return with_body(gold, found)

    return written


def draw_size(rng: Random) -> int:
    """A positive integer, of small ones more than of large ones."""
    return rng.randrange(1, 10 ** rng.choice([1, 2, 2, 3, 4, 5, 7, 9]))


def draw_integer(rng: Random) -> Number:
    size = draw_size(rng) * rng.choice([1, 1, 1, 10, 1000])
    return Number(Fraction(rng.choice([1, 1, -1]) * size))


def draw_decimal(rng: Random) -> Number:
    places = rng.choice([1, 2, 2, 3, 4])
    units = rng.randrange(1, 10 ** (places + rng.choice([0, 1, 2, 4])))
    units += units % 10 == 0
    return Number(Fraction(rng.choice([1, 1, -1]) * units, 10**places), places)


def draw_fraction(rng: Random) -> Number:
    lower = rng.choice([2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 20, 25, 37, 99, 144])
    upper = rng.choice([n for n in range(1, 3 * lower) if gcd(n, lower) == 1])
    return Number(Fraction(rng.choice([1, 1, -1]) * upper, lower), None, rng.random() < 0.3)


def draw_percent(rng: Random) -> Number:
    places = rng.choice([0, 0, 1, 2])
    units = rng.randrange(1, 10 ** (places + 2))
    if places:
        units += units % 10 == 0
    return Number(Fraction(rng.choice([1, 1, 1, -1]) * units, 10**places), places, suffix=r"\%")


_SEPARATED = re.compile(r"[+-]?\d{1,3}(?:(?:,|,\\!|\{,\}|\\,)\d{3})+(?:\.\d+)?|[+-]?(?:\d+(?:\.\d+)?|\.\d+)")
_FRACTION = re.compile(r"(-?)(?:\\[dt]?frac\{(-?)(\d+)\}\{(\d+)\}|(\d+)/(\d+))")


def read_decimal(text: str) -> Number | None:
    """42, -1,234.5, 1\\,234."""
    if len(text) > 60 or not _SEPARATED.fullmatch(text):
        return None
    plain = re.sub(r"[^\d.+-]", "", text)
    return Number(Fraction(plain), len(plain.partition(".")[2]))


def read_integer(text: str) -> Number | None:
    found = read_decimal(text)
    return found if found and "." not in text else None


def read_real_decimal(text: str) -> Number | None:
    found = read_decimal(text)
    return found if found and "." in text else None


def read_fraction(text: str) -> Number | None:
    match = _FRACTION.fullmatch(text)
    if match is None or len(text) > 60:
        return None
    sign, minus, upper, lower, over, under = match.groups()
    if int(lower or under) == 0 or (sign and minus):
        return None
    value = Fraction(int(upper or over), int(lower or under))
    if value.denominator == 1:
        return None
    return Number(-value if sign or minus else value, None, over is not None)


def read_percent(text: str) -> Number | None:
    match = re.fullmatch(r"(.*?)\s*\\?%", text)
    found = (read_decimal(match[1]) or read_fraction(match[1])) if match else None
    return replace(found, suffix=r"\%") if found else None


def _named(gold: Number, rng: Random) -> str:
    return f"{rng.choice('xnyk')} = {gold.text}"


def _minus_of_unicode(gold: Number, rng: Random) -> str | None:
    return gold.text.replace("-", "−") if gold.value < 0 else None


def _plus(gold: Number, rng: Random) -> str | None:
    return f"+{gold.text}" if gold.value > 0 else None


def _words_of_integer(gold: Number, rng: Random) -> str | None:
    return in_words(int(gold.value)) if gold.size < 10**9 else None


def _words_of_decimal(gold: Number, rng: Random) -> str | None:
    if gold.whole >= 1000 or not gold.digits:
        return None
    after = " ".join(in_words(int(digit)) for digit in gold.digits)
    return f"{'minus ' if gold.value < 0 else ''}{in_words(gold.whole)} point {after}"


def _large_name(gold: Number, rng: Random) -> str | None:
    for size, name in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        text = decimal_text(gold.value / size)
        if gold.size >= size and text and len(text) <= 5:
            return f"{text} {name}"
    return None


def _times_ten(gold: Number, cross: str, exponent: str) -> str | None:
    found = scientific(gold.value)
    if found is None or (gold.places == 0 and gold.size < 10):
        return None
    power = exponent.format(found[1]) if "{" in exponent else str(found[1]).translate(SUPERSCRIPT)
    return f"{found[0]}{cross}{power}"


def _separated(gold: Number, separator: str, point: str = ".") -> str | None:
    found = grouped(gold.whole, separator)
    if found is None:
        return None
    return gold.sign + found + (point + gold.digits if gold.digits else "")


def _dots(gold: Number, rng: Random) -> str | None:
    if gold.digits:
        return _separated(gold, ".", ",")
    return _separated(gold, ".") if gold.whole >= 10**6 else None


def _decimal_comma(gold: Number, rng: Random) -> str | None:
    # three digits after a comma may be thousands
    return f"{gold.sign}{gold.whole},{gold.digits}" if gold.digits and len(gold.digits) != 3 else None


_SIGNS: dict[str, Writer] = {
    "minus sign of Unicode": _minus_of_unicode,
    "plus sign": _plus,
    "full-width digits": lambda gold, rng: (
        gold.body.translate(FULL_WIDTH) if gold.places is not None else None
    ),
}
_GROUPS: dict[str, Writer] = {
    "commas between thousands": lambda gold, rng: _separated(gold, ","),
    "commas of LaTeX between thousands": lambda gold, rng: _separated(gold, "{,}"),
    "thin spaces of LaTeX between thousands": lambda gold, rng: _separated(gold, r"\,"),
    "thin spaces between thousands": lambda gold, rng: _separated(gold, rng.choice("\u2009\u202f\u00a0")),
    "spaces between thousands": lambda gold, rng: _separated(gold, " "),
    "apostrophes between thousands": lambda gold, rng: _separated(gold, "'"),
    "dots between thousands": _dots,
}
_POWERS: dict[str, Writer] = {
    "scientific": lambda gold, rng: _times_ten(gold, r" \times ", "10^{{{}}}"),
    "scientific with a dot": lambda gold, rng: _times_ten(gold, r" \cdot ", "10^{{{}}}"),
    "scientific in Unicode": lambda gold, rng: _times_ten(gold, " × 10", ""),
    "e notation": lambda gold, rng: _times_ten(gold, "", rng.choice(["e{}", "E{}"])),
}


def _moved(gold: Number, by: Fraction) -> Number:
    return replace(gold, value=gold.value + by)


def _scaled(gold: Number, by: Fraction) -> Number:
    places = gold.places
    if places is not None:
        text = decimal_text(gold.value * by)
        places = len(text.partition(".")[2]) if text else None
    return Number(gold.value * by, places, gold.slash, gold.suffix)


def _of_digits(gold: Number, digits: str | None) -> Number | None:
    """The number of other digits that has the sign and the form of `gold`."""
    if digits is None or not digits.strip("."):
        return None
    value = Fraction(digits)
    return replace(gold, value=-value if gold.value < 0 else value)


def _unsigned(gold: Number) -> str:
    return replace(gold, value=gold.size, suffix="").text


def _last_digit_raised(gold: Number, rng: Random) -> str | None:
    written = _unsigned(gold)
    if len(written) < 2 or int(written[:-1]) ** int(written[-1]) == gold.size:
        return None
    return gold.sign + written[:-1] + written[-1].translate(SUPERSCRIPT)


def _digit_doubled(gold: Number, rng: Random) -> Number | None:
    written = _unsigned(gold)
    place = rng.randrange(len(written))
    return _of_digits(gold, written[:place] + written[place] * 2 + written[place + 1 :])


def _one_digit(gold: Number, rng: Random) -> Number | None:
    written = _unsigned(gold)
    places = [place for place, digit in enumerate(written) if digit.isdigit()]
    return _of_digits(gold, next_digit(written, rng.choice(places)))


def _in_another_base(gold: Number, rng: Random) -> str | None:
    written = _unsigned(gold)
    base = max(map(int, written)) + 1
    return (
        f"{gold.sign}{written}_{{{rng.randrange(max(base, 2), 10)}}}" if base < 10 and gold.size > 9 else None
    )


_NUMBER_CHANGES: dict[str, Writer] = {
    "+ 1": lambda gold, rng: _moved(gold, Fraction(1)),
    "− 1": lambda gold, rng: _moved(gold, Fraction(-1)),
    "sign flipped": lambda gold, rng: replace(gold, value=-gold.value),
    "times 10": lambda gold, rng: _scaled(gold, Fraction(10)),
    "a tenth": lambda gold, rng: _scaled(gold, Fraction(1, 10)),
    "doubled": lambda gold, rng: _scaled(gold, Fraction(2)),
}
_SCALAR_CHANGES: dict[str, Writer] = {
    "squared": lambda gold, rng: f"({gold.text})^2" if gold.value not in (0, 1) else None,
    "root": lambda gold, rng: rf"\sqrt{{{gold.text}}}" if gold.value > 0 and gold.value != 1 else None,
    "made imaginary": lambda gold, rng: f"{gold.text}i" if gold.value else None,
    "times pi": lambda gold, rng: rf"{gold.text}\pi" if gold.value else None,
    "x added": lambda gold, rng: f"{gold.text}x",
    "one of two": lambda gold, rng: rf"{gold.text} \text{{ or }} {_moved(gold, Fraction(1)).text}",
    "not equal": lambda gold, rng: rf"x \neq {gold.text}",
    "denied": lambda gold, rng: rf"\text{{not }} {gold.text}",
    "greater than it": lambda gold, rng: f"x > {gold.text}",
    "plus or minus": lambda gold, rng: rf"\pm {replace(gold, value=gold.size).text}" if gold.value else None,
    "false equation": lambda gold, rng: f"{gold.text} = {_moved(gold, Fraction(1)).text}",
}

INTEGER = Entry(
    Kind.INTEGER,
    draw_integer,
    read_integer,
    keeps={
        **MATH,
        **_SIGNS,
        **_GROUPS,
        **_POWERS,
        "lakhs": lambda gold, rng: in_lakhs(int(gold.value)),
        "decimal point": lambda gold, rng: f"{gold.text}.0",
        "two zeros after the point": lambda gold, rng: f"{gold.text}.00",
        "in words": _words_of_integer,
        "in words, first letter large": lambda gold, rng: (
            words.capitalize() if (words := _words_of_integer(gold, rng)) else None
        ),
        "name of a large number": _large_name,
        "Arabic digits": lambda gold, rng: gold.body.translate(ARABIC) if gold.value > 0 else None,
        "named": _named,
        "in bold": lambda gold, rng: rf"\mathbf{{{gold.text}}}",
    },
    changes={
        **_NUMBER_CHANGES,
        **_SCALAR_CHANGES,
        "neighbours swapped": lambda gold, rng: _of_digits(gold, swap_digits(_unsigned(gold))),
        "one digit changed": _one_digit,
        "one digit doubled": _digit_doubled,
        "last digit dropped": lambda gold, rng: _of_digits(gold, _unsigned(gold)[:-1] or None),
        "last digit raised": _last_digit_raised,
        "reciprocal": lambda gold, rng: (
            rf"{gold.sign}\frac{{1}}{{{_unsigned(gold)}}}" if gold.size > 1 else None
        ),
        "factorial": lambda gold, rng: f"${gold.text}!$" if gold.value > 2 else None,
        "in another base": _in_another_base,
        "next number in words": lambda gold, rng: (
            in_words(int(gold.value) + 1) if gold.size < 10**9 else None
        ),
        "name of a larger number": lambda gold, rng: f"{gold.text} million" if gold.value else None,
        "half more": lambda gold, rng: f"{gold.text}.5",
        "exponent off by one": lambda gold, rng: (
            rf"{found[0]} \times 10^{{{found[1] + 1}}}" if (found := scientific(gold.value)) else None
        ),
        "point after the first digit": lambda gold, rng: (
            f"{gold.sign}{_unsigned(gold)[:1]}.{_unsigned(gold)[1:]}" if gold.size > 9 else None
        ),
    },
)


def _shorter(gold: Number, rng: Random) -> str | None:
    # six digits of it may be taken for a rounding
    if len(gold.digits) < 2 or gold.digits[-1] == "0" or sum(map(str.isdigit, gold.text)) > 6:
        return None
    return gold.text[:-1]


DECIMAL = Entry(
    Kind.DECIMAL,
    draw_decimal,
    read_real_decimal,
    keeps={
        **MATH,
        **_SIGNS,
        **_GROUPS,
        **_POWERS,
        "trailing zero": lambda gold, rng: f"{gold.text}0",
        "trailing zeros": lambda gold, rng: f"{gold.text}00",
        "no zero before the point": lambda gold, rng: (
            gold.text.replace("0.", ".", 1) if gold.whole == 0 else None
        ),
        "decimal comma": _decimal_comma,
        "decimal comma of LaTeX": lambda gold, rng: (
            gold.text.replace(".", "{,}") if len(gold.digits) != 3 else None
        ),
        "fraction": lambda gold, rng: latex_number(gold.value) if gold.value.denominator > 1 else None,
        "slash": lambda gold, rng: (
            f"{gold.value.numerator}/{gold.value.denominator}" if gold.value.denominator > 1 else None
        ),
        "over a power of ten": lambda gold, rng: (
            rf"{gold.sign}\frac{{{int(gold.size * 10 ** len(gold.digits))}}}{{{10 ** len(gold.digits)}}}"
        ),
        "in words": _words_of_decimal,
        "named": _named,
        "in bold": lambda gold, rng: rf"\mathbf{{{gold.text}}}",
    },
    changes={
        **_NUMBER_CHANGES,
        **_SCALAR_CHANGES,
        "neighbours swapped": lambda gold, rng: _of_digits(gold, swap_digits(_unsigned(gold))),
        "one digit changed": _one_digit,
        "last digit dropped": _shorter,
        "a hundredth more": lambda gold, rng: _moved(gold, Fraction(1, 100)),
        "last place off by one": lambda gold, rng: _moved(gold, Fraction(1, 10 ** len(gold.digits))),
        "point dropped": lambda gold, rng: _of_digits(replace(gold, places=0), f"{gold.whole}{gold.digits}"),
        "whole part dropped": lambda gold, rng: f"{gold.sign}0.{gold.digits}" if gold.whole else None,
        "digit put after the point": lambda gold, rng: (
            f"{gold.sign}{gold.whole}.0{gold.digits}" if gold.digits.strip("0") else None
        ),
        "last digit repeated for ever": lambda gold, rng: (
            rf"{gold.text[:-1]}\overline{{{gold.text[-1]}}}"
            if gold.text[-1] not in "09" and len(gold.text) < 6
            else None
        ),
        "colon for the point": lambda gold, rng: (
            gold.text.replace(".", ":") if gold.whole and len(gold.digits) < 3 and gold.whole < 24 else None
        ),
        "pair for the point": lambda gold, rng: f"({gold.sign}{gold.whole}, {int(gold.digits)})",
        "fraction for the point": lambda gold, rng: (
            Number(Fraction(int(f"{gold.sign}{gold.whole}"), int(gold.digits)), None)
            if int(gold.digits) > 1 and gold.whole % int(gold.digits)
            else None
        ),
        "exponent off by one": lambda gold, rng: (
            rf"{found[0]} \times 10^{{{found[1] + 1}}}" if (found := scientific(gold.value)) else None
        ),
        "part of a version": lambda gold, rng: f"{gold.text}.1",
    },
)


def _frac(gold: Number, command: str = r"\frac", by: int = 1) -> str:
    upper, lower = gold.size.numerator * by, gold.size.denominator * by
    return rf"{gold.sign}{command}{{{upper}}}{{{lower}}}"


def _mixed(gold: Number, template: str) -> str | None:
    upper, lower = gold.size.numerator, gold.size.denominator
    if gold.whole == 0:
        return None
    return gold.sign + template.format(whole=gold.whole, upper=upper % lower, lower=lower)


def _vulgar(gold: Number, rng: Random) -> str | None:
    upper, lower = gold.size.numerator % gold.size.denominator, gold.size.denominator
    sign = VULGAR.get((upper, lower))
    return f"{gold.sign}{gold.whole or ''}{sign}" if sign else None


def _overlined(gold: Number, template: str) -> str | None:
    found = repeating(gold.value)
    return template.format(*found) if found else None


def _parts(gold: Number, upper: int, lower: int) -> Number | None:
    """The fraction with other parts; None where it is no fraction any more."""
    if lower < 2:
        return None
    value = Fraction(upper, lower)
    return Number(-value if gold.value < 0 else value, None if value.denominator > 1 else 0, gold.slash)


FRACTION = Entry(
    Kind.FRACTION,
    draw_fraction,
    read_fraction,
    keeps={
        **MATH,
        "\\frac": lambda gold, rng: _frac(gold),
        "\\dfrac": lambda gold, rng: _frac(gold, r"\dfrac"),
        "\\tfrac": lambda gold, rng: _frac(gold, r"\tfrac"),
        "\\cfrac": lambda gold, rng: _frac(gold, r"\cfrac"),
        "not in lowest terms": lambda gold, rng: _frac(gold, by=rng.choice([2, 3, 5, 10])),
        "slash": lambda gold, rng: f"{gold.value.numerator}/{gold.value.denominator}",
        "slash with spaces": lambda gold, rng: f"{gold.value.numerator} / {gold.value.denominator}",
        "slash of Unicode": lambda gold, rng: f"{gold.value.numerator}⁄{gold.value.denominator}",
        "slash and brackets": lambda gold, rng: f"({gold.value.numerator})/({gold.value.denominator})",
        "sign in the numerator": lambda gold, rng: (
            rf"\frac{{{gold.value.numerator}}}{{{gold.value.denominator}}}" if gold.value < 0 else None
        ),
        "sign in the denominator": lambda gold, rng: (
            rf"\frac{{{-gold.value.numerator}}}{{-{gold.value.denominator}}}" if gold.value < 0 else None
        ),
        "minus sign of Unicode": _minus_of_unicode,
        "\\over": lambda gold, rng: rf"{gold.sign}{{{gold.size.numerator} \over {gold.size.denominator}}}",
        "short \\frac": lambda gold, rng: (
            rf"{gold.sign}\frac{gold.size.numerator}{gold.size.denominator}"
            if max(gold.size.numerator, gold.size.denominator) < 10
            else None
        ),
        "decimal": lambda gold, rng: decimal_text(gold.value),
        "mixed number": lambda gold, rng: _mixed(gold, r"{whole}\frac{{{upper}}}{{{lower}}}"),
        "mixed number with a slash": lambda gold, rng: _mixed(gold, "{whole} {upper}/{lower}"),
        "sign of Unicode": _vulgar,
        "superscript and subscript": lambda gold, rng: (
            rf"{gold.sign}{{}}^{{{gold.size.numerator}}}/_{{{gold.size.denominator}}}"
        ),
        "repeating digits overlined": lambda gold, rng: _overlined(gold, r"{}\overline{{{}}}"),
        "repeating digits in brackets": lambda gold, rng: _overlined(gold, "{}({})"),
        "in brackets": lambda gold, rng: rf"{gold.sign}\left({_frac(replace(gold, value=gold.size))}\right)",
        "named": _named,
    },
    changes={
        **_SCALAR_CHANGES,
        "sign flipped": _NUMBER_CHANGES["sign flipped"],
        "doubled": _NUMBER_CHANGES["doubled"],
        "+ 1": _NUMBER_CHANGES["+ 1"],
        "numerator + 1": lambda gold, rng: _parts(gold, gold.size.numerator + 1, gold.size.denominator),
        "denominator + 1": lambda gold, rng: _parts(gold, gold.size.numerator, gold.size.denominator + 1),
        "reciprocal": lambda gold, rng: _parts(gold, gold.size.denominator, gold.size.numerator),
        "denominator doubled": lambda gold, rng: _parts(gold, gold.size.numerator, 2 * gold.size.denominator),
        "numerator alone": lambda gold, rng: Number(Fraction(gold.value.numerator)),
        "denominator alone": lambda gold, rng: Number(Fraction(gold.size.denominator)),
        "rest up to 1": lambda gold, rng: replace(gold, value=1 - gold.value) if gold.value != 1 else None,
        "point for the slash": lambda gold, rng: f"{gold.sign}{gold.size.numerator}.{gold.size.denominator}",
        "numbers multiplied": lambda gold, rng: (
            rf"{gold.sign}{gold.size.numerator} \cdot {gold.size.denominator}"
        ),
        "power for the slash": lambda gold, rng: (
            f"{gold.sign}{gold.size.numerator}^{{{gold.size.denominator}}}"
            if gold.size.numerator > 1
            else None
        ),
        "whole part dropped": lambda gold, rng: (
            _parts(gold, gold.size.numerator % gold.size.denominator, gold.size.denominator)
            if gold.whole
            else None
        ),
        "mixed number read as a product": lambda gold, rng: _mixed(
            gold, r"{whole} \cdot \frac{{{upper}}}{{{lower}}}"
        ),
        "whole number before it": lambda gold, rng: (
            rf"{gold.sign}1\frac{{{gold.size.numerator}}}{{{gold.size.denominator}}}"
            if not gold.whole
            else None
        ),
        "repeating digits cut": lambda gold, rng: (
            f"{found[0]}{found[1]}"
            if (found := repeating(gold.value)) and len(found[0] + found[1]) < 5
            else None
        ),
    },
)

_PERCENT_SUFFIXES = {
    "percent sign": "%",
    "percent sign of LaTeX": r"\%",
    "percent sign after a space": " %",
    "percent sign after a thin space": r"\,\%",
    "percent sign in \\text": r"\text{%}",
    "word percent": " percent",
    "words per cent": " per cent",
    "word percent in \\text": r"\text{ percent}",
    "full-width percent sign": "\uff05",
    "percent in \\mathrm": r"\ \mathrm{percent}",
}


def _percent_suffix(suffix: str) -> Writer:
    return lambda gold, rng: gold.body + suffix


def _percent_words(gold: Number, rng: Random) -> str | None:
    words = _words_of_decimal(gold, rng) if gold.digits else _words_of_integer(gold, rng)
    return f"{words} percent" if words else None


PERCENT = Entry(
    Kind.PERCENT,
    draw_percent,
    read_percent,
    keeps={
        **MATH,
        **{name: _percent_suffix(suffix) for name, suffix in _PERCENT_SUFFIXES.items()},
        **{name: body_writer(write) for name, write in _SIGNS.items()},
        "trailing zero": lambda gold, rng: f"{fixed(gold.value, len(gold.digits) + 1)}{gold.suffix}",
        "decimal comma": lambda gold, rng: (
            f"{gold.sign}{gold.whole},{gold.digits} %" if gold.digits and len(gold.digits) != 3 else None
        ),
        "in words": _percent_words,
        "named": _named,
    },
    changes={
        **_NUMBER_CHANGES,
        "one digit changed": lambda gold, rng: body_writer(_one_digit)(gold, rng),
        "neighbours swapped": lambda gold, rng: (
            replace(found, suffix=gold.suffix)
            if (found := _of_digits(gold, swap_digits(_unsigned(gold)))) is not None
            else None
        ),
        "hundredth of it": lambda gold, rng: _scaled(gold, Fraction(1, 100)),
        "hundredfold": lambda gold, rng: _scaled(gold, Fraction(100)),
        "per mille": lambda gold, rng: f"{gold.body}‰" if gold.value else None,
        "degrees": lambda gold, rng: rf"{gold.body}^\circ",
        "rest up to 100": lambda gold, rng: replace(gold, value=100 - gold.value),
        "range of percent": lambda gold, rng: (
            f"{gold.body}–{_moved(gold, Fraction(5)).body}{gold.suffix}" if gold.value > 0 else None
        ),
        "one of two": _SCALAR_CHANGES["one of two"],
        "denied": _SCALAR_CHANGES["denied"],
        "money": lambda gold, rng: rf"\${gold.body}",
        "basis points": lambda gold, rng: f"{gold.body} basis points" if gold.value else None,
        "squared percent": lambda gold, rng: (
            f"{gold.body}^2{gold.suffix}" if gold.value not in (0, 1) else None
        ),
    },
)

ENTRIES = (INTEGER, DECIMAL, FRACTION, PERCENT)
