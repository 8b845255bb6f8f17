"""What kind of answer a reference is: deliberately apart from `rlvr.verify`, which is what is tried."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

Kind = Literal[
    "integer", "decimal", "fraction", "expression", "relation", "list", "set", "tuple", "interval",
    "text", "choice", "other",
]  # fmt: skip
NUMBERS = ("integer", "decimal", "fraction")

_MAX_GOLD = 400  # characters; longer ones are "other"
_BOX = re.compile(r"^\\(?:boxed|fbox)\s*\{(.*)\}$", re.DOTALL)
_PARTS = re.compile(
    r"(?P<prefix>(?:\\?\$\s*)?)(?P<sign>-?)"
    r"(?:(?P<number>(?:\d{1,3}(?:(?:,(?:\\!)?|\{,\}|\\,)\d{3})+|\d+)(?:\.\d+)?|\.\d+)"
    r"|\\[dt]?frac\{(?P<minus>-?)(?P<upper>\d+)\}\{(?P<lower>\d+)\}|(?P<over>\d+)/(?P<under>\d+))"
    r"(?P<suffix>(?:\s*\\?%|\^\{?\\circ\}?|\s*\\(?:text|mathrm|mbox)\{[^{}]*\}(?:\^\{?\d\}?)?)?)"
)
_DIGITS = 60  # of a number that is computed with
_TEXT = re.compile(r"\\(?:text|textbf|mathrm|mbox)\{([^{}]*)\}")
_WORDS = re.compile(r"[A-Za-z][A-Za-z '-]*")
_SHORT_WORDS = frozenset(["yes", "no", "odd", "even", "true", "false", "none"])
_CHOICE = re.compile(r"\(?([A-J])\)?")
_OPENING, _CLOSING = "([{", ")]}"
_EXPRESSION = re.compile(
    r"(?:[0-9A-Za-z+\-*/^_{}(). ]|\\[,!;]"
    r"|\\(?:[dt]?frac|sqrt|pi|cdot|times|left|right|sin|cos|tan|log|ln|theta)(?![A-Za-z]))+"
)


@dataclass(frozen=True)
class Gold:
    """A reference answer, as it would stand in a box.

    `value`, `prefix` and `suffix` (a currency, a unit, a percent sign) are of numbers; `items` are those
    of a list, set, tuple or interval, the two sides of a relation, the terms of a sum with their signs,
    or the words of a text.
    """

    text: str
    kind: Kind
    value: Fraction | None = None
    prefix: str = ""
    suffix: str = ""
    items: tuple[str, ...] = ()


def read_gold(answer: str) -> Gold:
    """The kind of `answer`, and its parts. What is not understood is "other"; never raises."""
    text = answer.strip()
    if boxed := _BOX.match(text):
        text = boxed.group(1).strip()
    if len(text) > 1 and text[0] == text[-1] == "$":
        text = text.strip("$").strip()
    text = text.removesuffix(".")
    if not text or len(text) > _MAX_GOLD:
        return Gold(text, "other")
    return _number(text) or _words(text) or _several(text) or _formula(text) or Gold(text, "other")


def write_number(gold: Gold, value: Fraction) -> str:
    """`value` in the form in which `gold` writes its own."""
    if gold.kind == "decimal" and (written := terminating(value)):
        return f"{gold.prefix}{written}{gold.suffix}"
    sign = "-" if value < 0 else ""
    whole = str(abs(value.numerator))
    body = whole if value.denominator == 1 else rf"\frac{{{whole}}}{{{value.denominator}}}"
    return f"{gold.prefix}{sign}{body}{gold.suffix}"


def terminating(value: Fraction) -> str | None:
    """The decimal expansion of `value` if it ends within 12 digits after the point."""
    for digits in range(13):
        scaled = value * 10**digits
        if scaled.denominator == 1:
            return f"{Decimal(scaled.numerator).scaleb(-digits):f}"
    return None


def split_outside_brackets(text: str, separators: str) -> list[str]:
    """Cut `text` before each of `separators` that stands in no brackets; the separator begins a part."""
    parts, depth = [""], 0
    for place, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        escaped = text[place - 1 : place] == "\\"
        if depth == 0 and character in separators and not escaped:
            parts.append("")
        parts[-1] += character
    return parts


def _number(text: str) -> Gold | None:
    match = _PARTS.fullmatch(text)
    if match is None or len(text) > _DIGITS:
        return None
    part = match.groupdict()
    kind: Kind
    if part["number"]:
        digits = re.sub(r"[^\d.]", "", part["number"])
        kind, value = "decimal" if "." in digits else "integer", Fraction(digits)
    else:
        upper, lower = int(part["upper"] or part["over"]), int(part["lower"] or part["under"])
        if lower == 0 or (part["sign"] and part["minus"]):
            return None
        kind, value = "fraction", Fraction(upper, lower)
    if part["sign"] or part["minus"]:
        value = -value
    return Gold(text, kind, value, part["prefix"], part["suffix"])


def _words(text: str) -> Gold | None:
    wrapped = _TEXT.fullmatch(text)
    words = (wrapped.group(1) if wrapped else text).strip()
    if choice := _CHOICE.fullmatch(words):
        return Gold(text, "choice", items=(choice.group(1),))
    longest = max(map(len, re.split(r"[ '-]", words)))
    if _WORDS.fullmatch(words) and (wrapped or longest >= 4 or words.lower() in _SHORT_WORDS):
        return Gold(text, "text", items=(words,))
    return None


def _several(text: str) -> Gold | None:
    """Anything with commas outside of its inner brackets."""
    plain = text.replace(r"\left", "").replace(r"\right", "").replace(r"\,", " ").strip()
    if re.search(r"\\text|\\cup|\\ldots|\\pm|_", plain):
        return None
    if plain.startswith(r"\{") and plain.endswith(r"\}"):
        kind: Kind = "set"
        inner = plain[2:-2]
    elif plain[0] in "([" and plain[-1] in ")]" and len(split_outside_brackets(plain[1:-1], ",")) > 1:
        inner = plain[1:-1]
        closed = plain[0] == "[" or plain[-1] == "]"
        kind = "interval" if closed or r"\infty" in plain else "tuple"
    else:
        kind, inner = "list", plain
    items = [part.strip(" ,") for part in split_outside_brackets(inner, ",")]
    balanced = all(_balanced(item) for item in items)
    if not all(items) or not balanced or (kind == "list" and len(items) < 2):
        return None
    if kind == "interval" and len(items) != 2:
        return None
    ends = (plain[0], plain[-1]) if kind in ("tuple", "interval") else ("", "")
    return Gold(text, kind, prefix=ends[0], suffix=ends[1], items=tuple(items))


def _formula(text: str) -> Gold | None:
    sides = text.split("=")
    if not _balanced(text) or not all(_EXPRESSION.fullmatch(side.strip()) for side in sides):
        return None
    if re.search(r"\d_|[A-Za-z]{4,}", re.sub(r"\\[A-Za-z]+", "", text)):  # base-n, words
        return None
    if len(sides) == 2:
        return Gold(text, "relation", items=(sides[0].strip(), sides[1].strip()))
    if len(sides) > 2:
        return None
    terms = [part.strip() for part in split_outside_brackets(text, "+-") if part.strip()]
    return Gold(text, "expression", items=tuple(terms))


def _balanced(text: str) -> bool:
    open_brackets: list[str] = []
    for character in text:
        if character in _OPENING:
            open_brackets.append(character)
        elif character in _CLOSING and (
            not open_brackets or _OPENING.index(open_brackets.pop()) != _CLOSING.index(character)
        ):
            return False
    return not open_brackets
