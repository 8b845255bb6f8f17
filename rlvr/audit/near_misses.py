"""Answers that look like a reference answer and are wrong, for each kind of answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from rlvr.audit.golds import NUMBERS, Gold, write_number

NearMiss = tuple[str, str]  # what was done, and the answer that came of it

_UNIT = re.compile(r"\\(?:text|mathrm|mbox)\{\s*(?P<unit>[a-z]+)")
_OTHER_UNITS = {"cm": "m", "m": "cm", "hours": "minutes", "minutes": "hours", "feet": "inches"}


def near_misses(gold: Gold, others: Sequence[Gold]) -> list[NearMiss]:
    """Wrong answers near to `gold`, none of which equals it.

    `others` are reference answers of other problems, in random order: the first one of the same kind
    that differs is taken for an answer as well. Of what is not understood there are no others.
    """
    found = dict.fromkeys(_of_kind(gold))
    if (other := _another(gold, others)) is not None:
        found["answer of another problem", other] = None
    return [(name, answer) for name, answer in found if _squeezed(answer) != _squeezed(gold.text)]


def _another(gold: Gold, others: Sequence[Gold]) -> str | None:
    for other in others:
        if other.kind != gold.kind:
            continue
        if gold.kind in NUMBERS and other.value != gold.value:
            return other.text
        if gold.kind in ("text", "choice") and other.items[0].lower() != gold.items[0].lower():
            return other.text
    return None  # whether two expressions differ is not ours to say


def _of_kind(gold: Gold) -> Iterator[NearMiss]:
    if gold.kind in NUMBERS:
        yield from _of_number(gold)
    elif gold.kind in ("list", "set"):
        yield from _of_items(gold)
    elif gold.kind in ("tuple", "interval"):
        yield from _of_pair(gold)
    elif gold.kind == "relation":
        yield "right side + 1", f"{gold.text} + 1"
    elif gold.kind == "expression":
        yield "+ 1", f"{gold.text} + 1"
        yield "times 2", rf"2\left({gold.text}\right)"
        yield "negated", rf"-\left({gold.text}\right)"
    elif gold.kind == "choice":
        letter = gold.items[0]
        yield "next choice", gold.text.replace(letter, "A" if letter == "J" else chr(ord(letter) + 1))
    elif gold.kind == "other":
        yield (
            "last digit changed",
            re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 1) % 10), gold.text),
        )
    elif gold.kind == "text":
        yield "negated", gold.text.replace(gold.items[0], f"not {gold.items[0]}")


def _of_number(gold: Gold) -> Iterator[NearMiss]:
    value = gold.value
    assert value is not None
    candidates = {
        "+ 1": value + 1,
        "− 1": value - 1,
        "sign flipped": -value,
        "times 10": value * 10,
        "a tenth": value / 10,
        "digits swapped": _swapped(value),
    }
    if value:
        candidates["reciprocal"] = 1 / value
    for name, candidate in candidates.items():
        if candidate != value:
            yield name, write_number(gold, candidate)
    if gold.kind == "integer" and not (gold.prefix or gold.suffix):
        written = str(abs(value.numerator))
        if len(written) > 1 and int(written[:-1]) ** int(written[-1]) != abs(value):
            superscript = "⁰¹²³⁴⁵⁶⁷⁸⁹"[int(written[-1])]  # which compatibility normalization loses
            yield "last digit raised", f"{'-' if value < 0 else ''}{written[:-1]}{superscript}"
    unit = _UNIT.search(gold.suffix)
    if unit and unit["unit"] in _OTHER_UNITS:
        start, end = unit.span("unit")
        changed = gold.suffix[:start] + _OTHER_UNITS[unit["unit"]] + gold.suffix[end:]
        yield "another unit", gold.text.removesuffix(gold.suffix) + changed


def _swapped(value: Fraction) -> Fraction:
    """The first two neighbouring digits of the numerator that differ change places."""
    digits = str(abs(value.numerator))
    for place in range(len(digits) - 1):
        left, right = digits[place], digits[place + 1]
        if left != right and not (place == 0 and right == "0"):
            swapped = int(f"{digits[:place]}{right}{left}{digits[place + 2 :]}")
            return Fraction(swapped if value > 0 else -swapped, value.denominator)
    return value


def _of_items(gold: Gold) -> Iterator[NearMiss]:
    around = r"\{%s\}" if gold.kind == "set" else "%s"
    items = list(gold.items)
    distinct = len(set(items)) == len(items)
    changed = [*items[:-1], f"{items[-1]} + 1"]
    for name, made in (
        ("last element missing", items[:-1]),
        ("first element missing", items[1:]),
        ("another element", [*items, "987654"]),
        ("last element + 1", changed),
    ):
        if made and distinct and "=" not in gold.text:
            yield name, around % ", ".join(made)


def _of_pair(gold: Gold) -> Iterator[NearMiss]:
    opening, closing = gold.prefix, gold.suffix
    inside = ", ".join(gold.items)
    if gold.kind == "interval":
        first, last = gold.items
        if "infty" not in first:
            yield "left bracket changed", f"{'[' if opening == '(' else '('}{inside}{closing}"
        if "infty" not in last:
            yield "right bracket changed", f"{opening}{inside}{']' if closing == ')' else ')'}"
    for place, item in enumerate(gold.items):
        if "infty" not in item and "=" not in item:
            moved = [*gold.items[:place], f"{item} + 1", *gold.items[place + 1 :]]
            yield f"part {place + 1} + 1", f"{opening}{', '.join(moved)}{closing}"
    if gold.kind == "tuple" and gold.items[::-1] != gold.items:
        yield "reversed", f"({', '.join(reversed(gold.items))})"


def _squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)
