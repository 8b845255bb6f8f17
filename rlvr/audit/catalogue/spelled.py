"""Numbers in English words, in other digits and with other separators."""

from __future__ import annotations

from fractions import Fraction

_SMALL = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_LARGE = [(10**9, "billion"), (10**6, "million"), (10**3, "thousand")]
SUPERSCRIPT = str.maketrans("0123456789+-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻")
SUBSCRIPT = str.maketrans("0123456789+-", "₀₁₂₃₄₅₆₇₈₉₊₋")
FULL_WIDTH = str.maketrans("0123456789", "".join(chr(0xFF10 + digit) for digit in range(10)))
ARABIC = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
VULGAR = {
    (1, 2): "½", (1, 3): "⅓", (2, 3): "⅔", (1, 4): "¼", (3, 4): "¾", (1, 5): "⅕", (2, 5): "⅖",
    (3, 5): "⅗", (4, 5): "⅘", (1, 6): "⅙", (5, 6): "⅚", (1, 8): "⅛", (3, 8): "⅜", (5, 8): "⅝", (7, 8): "⅞",
}  # fmt: skip


def in_words(number: int) -> str:
    """`number` in English, e.g. "minus forty-two". Raises ValueError from 10^12 on."""
    if abs(number) >= 10**12:
        raise ValueError(f"{number} is too large to be spelled")
    if number < 0:
        return f"minus {in_words(-number)}"
    if number < 20:
        return _SMALL[number]
    if number < 100:
        rest = f"-{_SMALL[number % 10]}" if number % 10 else ""
        return _TENS[number // 10] + rest
    if number < 1000:
        rest = f" {in_words(number % 100)}" if number % 100 else ""
        return f"{_SMALL[number // 100]} hundred{rest}"
    size, name = next(pair for pair in _LARGE if number >= pair[0])
    rest = f" {in_words(number % size)}" if number % size else ""
    return f"{in_words(number // size)} {name}{rest}"


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th …"""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def grouped(number: int, separator: str) -> str | None:
    """`number` with `separator` between thousands; None where there are none."""
    return f"{number:,}".replace(",", separator) if abs(number) >= 1000 else None


def in_lakhs(number: int) -> str | None:
    """Indian groups, 12,34,567; None where they are those of the West."""
    if abs(number) < 10**5:
        return None
    sign, digits = ("-" if number < 0 else ""), str(abs(number))
    head, groups = digits[:-3], [digits[-3:]]
    while head:
        head, group = head[:-2], head[-2:]
        groups.insert(0, group)
    return sign + ",".join(groups)


def decimal_text(value: Fraction) -> str | None:
    """The shortest decimal of `value`, None unless it ends within 12 digits after the point."""
    for digits in range(13):
        scaled = value * 10**digits
        if scaled.denominator == 1:
            sign, whole = ("-" if value < 0 else ""), str(abs(scaled.numerator)).rjust(digits + 1, "0")
            return sign + (f"{whole[:-digits]}.{whole[-digits:]}" if digits else whole)
    return None


def repeating(value: Fraction) -> tuple[str, str] | None:
    """Sign, whole part and digits that do not repeat; and those that do: (0.1, 6) of 1/6. At most 6."""
    sign, size = ("-" if value < 0 else ""), abs(value)
    whole, rest = divmod(size.numerator, size.denominator)
    digits, seen = "", {}
    while rest and rest not in seen:
        seen[rest] = len(digits)
        digit, rest = divmod(rest * 10, size.denominator)
        digits += str(digit)
    if not rest or len(digits) - seen[rest] > 6:
        return None
    return f"{sign}{whole}.{digits[: seen[rest]]}", digits[seen[rest] :]


def latex_number(value: Fraction) -> str:
    sign, size = ("-" if value < 0 else ""), abs(value)
    if size.denominator == 1:
        return f"{sign}{size.numerator}"
    return rf"{sign}\frac{{{size.numerator}}}{{{size.denominator}}}"


def scientific(value: Fraction) -> tuple[str, int] | None:
    """Mantissa from 1 to 10 and exponent; None for 0 and for what has no short decimal."""
    if not value or decimal_text(value) is None:
        return None
    exponent = 0
    while abs(value) >= 10:
        value, exponent = value / 10, exponent + 1
    while abs(value) < 1:
        value, exponent = value * 10, exponent - 1
    text = decimal_text(value)
    return (text, exponent) if text else None


def swap_digits(digits: str) -> str | None:
    """The first two neighbours that differ change places; no number begins with 0 after that."""
    for place in range(len(digits) - 1):
        left, right = digits[place], digits[place + 1]
        if left.isdigit() and right.isdigit() and left != right and not (place == 0 and right == "0"):
            return f"{digits[:place]}{right}{left}{digits[place + 2 :]}"
    return None


def next_digit(text: str, place: int) -> str:
    """The digit at `place` made one larger, 9 made 8."""
    digit = int(text[place])
    return f"{text[:place]}{digit - 1 if digit == 9 else digit + 1}{text[place + 1 :]}"
