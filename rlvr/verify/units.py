"""The words behind a number: a unit, a factor ("million"), or something that changes what it says."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_WORDS = 4

_FACTORS = {
    "hundred": Fraction(100), "thousand": Fraction(1_000), "million": Fraction(10**6),
    "billion": Fraction(10**9), "trillion": Fraction(10**12), "dozen": Fraction(12),
    "dozens": Fraction(12), "halves": Fraction(1, 2), "third": Fraction(1, 3), "thirds": Fraction(1, 3),
    "fourths": Fraction(1, 4), "fifths": Fraction(1, 5), "sixths": Fraction(1, 6),
    "sevenths": Fraction(1, 7), "eighths": Fraction(1, 8), "ninths": Fraction(1, 9),
    "tenths": Fraction(1, 10), "hundredths": Fraction(1, 100), "thousandths": Fraction(1, 1000),
}  # fmt: skip
_SHORT = {
    "meter": "m", "metre": "m", "centimeter": "cm", "centimetre": "cm", "millimeter": "mm",
    "millimetre": "mm", "kilometer": "km", "kilometre": "km", "inch": "in", "foot": "ft", "feet": "ft",
    "yard": "yd", "mile": "mi", "gram": "g", "kilogram": "kg", "pound": "lb", "lbs": "lb", "liter": "l",
    "litre": "l", "milliliter": "ml", "second": "s", "sec": "s", "minute": "min", "hour": "h", "hr": "h",
    "dollar": "usd", "buck": "usd", "euro": "eur", "deg": "degree", "joule": "J", "newton": "N",
    "watt": "W", "volt": "V", "hertz": "Hz", "mph": "mi/h", "kph": "km/h", "kmh": "km/h", "hrs": "h",
    "usd": "usd", "eur": "eur", "gbp": "gbp", "m/sec": "m/s", "day": "day", "ounce": "oz",
}  # fmt: skip
UNIT_WORDS = sorted(
    {*_SHORT, *(f"{word}s" for word in _SHORT if len(word) > 3), *_SHORT.values(), "inches"} - {"in"},
    key=len,
    reverse=True,
)  # that follow a number in a sentence
CURRENCIES = {"$": "usd", r"\$": "usd", "€": "eur", "£": "gbp", "¥": "jpy"}
# Words that say more than what is counted: then the number alone is not the answer.
_NOT_UNITS = frozenset(
    [
        "or", "and", "not", "no", "is", "isn't", "are", "aren't", "was", "were", "be", "being", "been",
        "has", "have", "had", "wrong", "false", "incorrect", "right", "true", "but", "maybe", "perhaps",
        "possibly", "about", "approximately", "roughly", "nearly", "almost", "more", "less", "fewer",
        "greater", "smaller", "larger", "at", "than", "least", "most", "minus", "plus", "times", "squared",
        "cubed", "half", "twice", "double", "triple", "if", "unless", "except", "without", "over", "under",
        "divided", "multiplied", "added", "subtracted", "equals", "equal", "root", "power", "factorial",
        "either", "neither", "nor", "another", "other", "different", "only", "also", "could", "would",
        "should", "might", "may", "can", "cannot", "can't", "does", "do", "did", "doesn't", "don't",
        "didn't", "n't", "pi",
    ]
)  # fmt: skip
_BETWEEN = re.compile(r"[\s·*]+|(?<=\w)\s*/\s*(?=\w)")
_WORDS = re.compile(r"[^\W\d_]+(?:['’.-]?[^\W\d_]+)*\.?(?:\^\s*\{?-?[23]\}?|[²³])?")


def read_unit(text: str) -> tuple[Fraction, str] | None:
    """The factor and the unit that words behind a number stand for; None if they are no unit.

    >>> read_unit("million dollars")
    (Fraction(1000000, 1), 'usd')
    """
    pieces = [
        piece for piece in re.split(r"[\s·*]+|(?<=\w)\s*/\s*(?=\w)", text.strip().rstrip(".,")) if piece
    ]
    if not pieces or len(pieces) > MAX_WORDS + 1 or not all(_WORDS.fullmatch(piece) for piece in pieces):
        return None
    if any(piece.lower() in _NOT_UNITS for piece in pieces):
        return None
    factor = Fraction(1)
    words = [piece if len(piece) <= 3 else piece.lower() for piece in pieces]
    while words and words[0].lower() in _FACTORS:
        factor *= _FACTORS[words.pop(0).lower()]
    together = ("/" if "/" in text else " ").join(words).replace(" per ", "/")
    unit = "/".join(map(_named, together.split("/")))
    if unit == "cent":
        return factor / 100, "usd"
    return factor, unit


def _named(words: str) -> str:
    """One name for a unit: "square inches" and "in^2" are in2; plurals do not matter."""
    if words in CURRENCIES:
        return CURRENCIES[words]
    power = ""
    for word, exponent in (("square ", "2"), ("sq. ", "2"), ("sq ", "2"), ("cubic ", "3")):
        if words.lower().startswith(word):
            words, power = words[len(word) :], exponent
    if match := re.fullmatch(r"([^\^²³]+)(?:\^\s*\{?([23])\}?|([²³]))", words):
        words, power = match.group(1), match.group(2) or {"²": "2", "³": "3"}[match.group(3)]
    lower = words.lower()
    for singular in (lower, lower.removesuffix("s"), lower.removesuffix("es")):
        if singular in _SHORT:
            return _SHORT[singular] + power
    if len(words) <= 3:  # mg is not Mg
        return words + power
    return (lower.removesuffix("es") if lower.endswith("ches") else lower.removesuffix("s")) + power
