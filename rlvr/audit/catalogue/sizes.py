"""Dimensions: lengths of sides, and rows and columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from random import Random

from rlvr.audit.catalogue.entry import WORDS, Entry, Writer
from rlvr.audit.catalogue.spelled import decimal_text, in_words
from rlvr.verify.kinds import Kind

_SMALLER = {"cm": ("mm", 10), "m": ("cm", 100), "ft": ("in", 12), "km": ("m", 1000)}
_NAMES = {
    "cm": "centimeters", "m": "meters", "ft": "feet", "km": "kilometers", "mm": "millimeters", "in": "inches",
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """Sides of one unit; without a unit their order counts. `sign` is what stands between them."""

    sides: tuple[Fraction, ...]
    unit: str = ""
    sign: str = "x"

    @property
    def text(self) -> str:
        return self.written(self.sign)

    @property
    def value(self) -> Hashable:
        return (frozenset(Counter(self.sides).items()) if self.unit else self.sides), self.unit

    def written(self, sign: str, unit: str | None = None) -> str:
        unit = f" {self.unit}" if unit is None and self.unit else unit or ""
        return sign.join(f"{decimal_text(side)}{unit}" for side in self.sides)


def draw_size(rng: Random) -> Size:
    unit = rng.choice(["", *_SMALLER])
    most = rng.choice([10, 50, 200]) if unit else rng.choice([6, 100, 2000])
    sides = [Fraction(rng.randrange(2, most)) for _ in range(rng.choice([2, 2, 3]))]
    if unit and rng.random() < 0.2:
        sides[0] += Fraction(1, 2)
    if len(set(sides)) == 1:
        sides[0] += 1
    return Size(tuple(sides), unit, rng.choice([" × ", " by ", " x "] if unit else ["x", " x ", " by "]))


_SIDE = r"\d+(?:\.\d+)?(?: ?(?:cm|km|m|ft))?"
_SIZE = re.compile(rf"{_SIDE}(?:(?P<sign> ?[x×] ?| by ){_SIDE}){{1,2}}")


def read_size(text: str) -> Size | None:
    """3x4, 10 cm × 5 cm, 2 m by 3 m: with one unit on every side, or with none."""
    match = _SIZE.fullmatch(text)
    units = re.findall(r"cm|km|ft|m", text)
    numbers = re.findall(r"\d+(?:\.\d+)?", text)
    if match is None or len(set(units)) > 1 or len(units) not in (0, len(numbers)):
        return None
    if not units and match["sign"].strip() == "×":
        return None  # a product
    return Size(tuple(map(Fraction, numbers)), units[0] if units else "", match["sign"])


def _joined(sign: str, around: str = "{}") -> Writer:
    return lambda gold, rng: around.format(gold.written(sign))


def _last_unit(sign: str) -> Writer:
    return lambda gold, rng: f"{gold.written(sign, unit='')} {gold.unit}" if gold.unit else None


def _converted(gold: Size, rng: Random) -> str | None:
    if gold.unit not in _SMALLER:
        return None
    unit, by = _SMALLER[gold.unit]
    return replace(gold, sides=tuple(by * side for side in gold.sides), unit=unit).written(" x ")


def _side(by: int) -> Writer:
    def written(gold: Size, rng: Random) -> Size | None:
        place = rng.randrange(len(gold.sides))
        side = gold.sides[place] + by
        return (
            replace(gold, sides=(*gold.sides[:place], side, *gold.sides[place + 1 :])) if side > 0 else None
        )

    return written


def _all_sides(change: str) -> Writer:
    def written(gold: Size, rng: Random) -> Size | None:
        sides = {
            "doubled": tuple(2 * side for side in gold.sides),
            "halved": tuple(side / 2 for side in gold.sides),
            "one more": tuple(side + 1 for side in gold.sides),
            "ten times": tuple(10 * side for side in gold.sides),
            "first repeated": (gold.sides[0], *gold.sides),
            "last dropped": gold.sides[:-1] if len(gold.sides) > 2 else gold.sides,
            "first for all": tuple(gold.sides[0] for _ in gold.sides),
            "same product": (gold.sides[0] * 2, gold.sides[1] / 2, *gold.sides[2:]),
        }[change]
        return replace(gold, sides=sides)

    return written


DIMENSIONS = Entry(
    Kind.DIMENSIONS,
    draw_size,
    read_size,
    keeps={
        **WORDS,
        "letter x": _joined("x"),
        "letter x in spaces": _joined(" x "),
        "capital X": _joined(" X "),
        "sign": _joined("×"),
        "sign in spaces": _joined(" × "),
        "\\times": _joined(r" \times "),
        "\\times in dollars": _joined(r" \times ", "${}$"),
        "\\times in \\text": lambda gold, rng: (
            gold.written(r" \times ", unit=rf"\text{{ {gold.unit}}}") if gold.unit else None
        ),
        "by": _joined(" by "),
        "asterisk": _joined(" * "),
        "unit on the last side": _last_unit(" x "),
        "unit on the last side, by": _last_unit(" by "),
        "no space before the unit": lambda gold, rng: gold.written(" x ", unit=gold.unit),
        "name of the unit": lambda gold, rng: (
            f"{gold.written(' by ', unit='')} {_NAMES[gold.unit]}" if gold.unit else None
        ),
        "smaller unit": _converted,
        "sides of a length in another order": lambda gold, rng: (
            replace(gold, sides=gold.sides[::-1]) if gold.unit else None
        ),
        "no unit": lambda gold, rng: gold.written(" x ", unit="") if gold.unit else None,
        "in words": lambda gold, rng: (
            " by ".join(in_words(int(side)) for side in gold.sides)
            if not gold.unit and max(gold.sides) < 100
            else None
        ),
    },
    changes={
        "side 1 more": _side(1),
        "side 1 less": _side(-1),
        "side 10 more": _side(10),
        **{
            f"sides: {change}": _all_sides(change)
            for change in (
                "doubled",
                "halved",
                "one more",
                "ten times",
                "first repeated",
                "last dropped",
                "first for all",
                "same product",
            )
        },
        "order of what has no unit": lambda gold, rng: (
            replace(gold, sides=gold.sides[::-1]) if not gold.unit else None
        ),
        "product": lambda gold, rng: f"{decimal_text(prod(gold.sides))}",
        "product with the unit": lambda gold, rng: (
            f"{decimal_text(prod(gold.sides))} {gold.unit}" if gold.unit else None
        ),
        "area": lambda gold, rng: (
            f"{decimal_text(prod(gold.sides))} {gold.unit}^{len(gold.sides)}" if gold.unit else None
        ),
        "sum": lambda gold, rng: f"{decimal_text(sum(gold.sides, Fraction(0)))}",
        "first side alone": lambda gold, rng: f"{decimal_text(gold.sides[0])} {gold.unit}".strip(),
        "sides as a list": lambda gold, rng: gold.written(", "),
        "sides as a ratio": lambda gold, rng: gold.written(":", unit=""),
        "sides as a sum": lambda gold, rng: gold.written(" + "),
        "another unit": lambda gold, rng: (
            replace(gold, unit=_SMALLER[gold.unit][0]) if gold.unit in _SMALLER else None
        ),
    },
)

ENTRIES = (DIMENSIONS,)
