"""Chains of relations, a = b < c, and their claims."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rlvr.verify.steps import names_in

_LONE = re.compile(r"[-+]?\s?[\d.,]+\s?%?")
# q(3) is a function's value, r_2 not r_3; √x² = x and |x| = x hold for some x
_NOT_RATIONAL = re.compile(
    r"(?<![A-Za-z\\])[A-Za-z]\s?\(\s?-?\d+\s?\)|[|!_]|\\(?!frac|cdot|times|div|left|right)[A-Za-z]"
)
_CALCULATED = re.compile(r"[*/]|\\(?:cdot|times|div|frac)")
_STAR = re.compile(r"\d+\s?\*\s?\d+")
_MEASURES = frozenset(
    [
        "cent", "penny", "nickel", "dime", "quarter", "dollar", "second", "minute", "hour", "day", "week",
        "month", "year", "inch", "inche", "foot", "feet", "yard", "mile", "mm", "cm", "m", "km", "meter",
        "kilometer", "centimeter", "g", "kg", "gram", "kilogram", "ounce", "pound", "ton", "ml", "liter",
        "cup", "pint", "quart", "gallon", "dozen", "pair",
    ]
)  # fmt: skip
_SIGNS = {"approx": "≈", "le": "≤", "ge": "≥", "ne": "≠"}


@dataclass(frozen=True)
class Side:
    text: str
    units: frozenset[str] = frozenset()  # words after its numbers, lower case, singular


@dataclass(frozen=True)
class Chain:
    """sides[0] relations[0] sides[1] …; None stands for a side that could not be parsed.

    `cut`: the text before the first side is part of it (half of 20 = 10).
    """

    sides: tuple[Side | None, ...]
    relations: tuple[str, ...]
    cut: bool = False


@dataclass(frozen=True)
class Claim:
    """`left relation right`.

    `firm` is False if it may not be meant as a relation of numbers, because the units differ or the
    text before is part of it: then it can hold, but not fail. `rewritten`: the sides follow the first
    side of a chain and have the same variables, so that one rewrites the other.
    """

    left: str
    relation: str
    right: str
    firm: bool = True
    rewritten: bool = False

    def __str__(self) -> str:
        return f"{self.left} {_SIGNS.get(self.relation, self.relation)} {self.right}"


def claims_of(chain: Chain) -> Iterator[Claim]:
    # 0 = 2x² − 4 = x² − 2 transforms an equation, not an expression
    equations = set(chain.relations) == {"="} and all(
        side is None or side.text != "0" for side in chain.sides
    )
    for place, relation in enumerate(chain.relations):
        left, right = chain.sides[place : place + 2]
        if left is None or right is None:
            continue
        names = names_in(left.text)
        yield Claim(
            left.text,
            relation,
            right.text,
            firm=not (chain.cut and place == 0) and _same_quantity(left, right),
            rewritten=equations
            and place > 0
            and len(names) == 1
            and min(names).isalpha()
            and min(names) not in "iz"  # complex, and often a root of unity
            and names == names_in(right.text)
            and not _NOT_RATIONAL.search(left.text + right.text),
        )


def _same_quantity(left: Side, right: Side) -> bool:
    """Whether the units are compatible, so that the numbers must be equal."""
    lone = _LONE.fullmatch(left.text) is not None
    if lone and (left.units or len(right.units) > 1):  # 1 dozen = 12, 1 = 1 mile/8 furlongs
        return False
    if _STAR.fullmatch(left.text) and not _LONE.fullmatch(right.text):  # 2 * 6 = 2^6 + 6^2, as defined
        return False
    if ("degree" in left.units) != ("degree" in right.units):
        return False
    measures = left.units & _MEASURES, right.units & _MEASURES
    if not all(measures) or left.units & right.units:
        return True
    return _CALCULATED.search(left.text) is not None  # 50 cents + 50 cents = 1 dollar: no sum
