"""Ranges, ratios and scores."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd
from random import Random

from rlvr.audit.catalogue.entry import WORDS, Entry, Writer
from rlvr.audit.catalogue.spelled import decimal_text, in_words, latex_number, swap_digits
from rlvr.verify.kinds import Kind

_UNITS = ("", "", "", " kg", " cm", " minutes", " °C", " people")


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both with the same unit. `dash` is what stands between them."""

    low: Fraction
    high: Fraction
    unit: str = ""
    dash: str = "-"

    @property
    def text(self) -> str:
        return self.written(self.dash)

    @property
    def value(self) -> tuple[Fraction, Fraction, str]:
        return self.low, self.high, self.unit

    def written(self, dash: str) -> str:
        return f"{decimal_text(self.low)}{dash}{decimal_text(self.high)}{self.unit}"


def draw_range(rng: Random) -> Range:
    size = rng.choice([10, 20, 50, 100, 1000])
    low = Fraction(rng.randrange(1, size))
    high = low + rng.randrange(1, size)
    if rng.random() < 0.2:
        low, high = low / 10, high / 10
    unit = rng.choice(_UNITS)  # without one, 3 to 4 may be a ratio
    return Range(low, high, unit, rng.choice(["-", "-", "–", " to " if unit else "–"]))


_RANGE = re.compile(r"(\d+(?:\.\d+)?)(\s*(?:-|–|—|to|--)\s*)(\d+(?:\.\d+)?)((?:\s*[A-Za-z°%]+)?)")


def read_range(text: str) -> Range | None:
    """10-15, 10–15 kg, 10 to 15; the first number is the smaller one."""
    match = _RANGE.fullmatch(text)
    if match is None or Fraction(match[1]) >= Fraction(match[3]):
        return None
    return Range(Fraction(match[1]), Fraction(match[3]), match[4], match[2])


def _dashed(dash: str) -> Writer:
    return lambda gold, rng: gold.written(dash)


def _around(template: str) -> Writer:
    return lambda gold, rng: template.format(
        low=decimal_text(gold.low), high=decimal_text(gold.high), unit=gold.unit
    )


def _shifted(low: int, high: int) -> Writer:
    def written(gold: Range, rng: Random) -> Range | None:
        changed = replace(gold, low=gold.low + low, high=gold.high + high)
        return changed if 0 <= changed.low < changed.high else None

    return written


def _range_swapped(gold: Range, rng: Random) -> Range | None:
    high = swap_digits(decimal_text(gold.high) or "")
    return replace(gold, high=Fraction(high)) if high and Fraction(high) > gold.low else None


RANGE = Entry(
    Kind.RANGE,
    draw_range,
    read_range,
    keeps={
        **WORDS,
        "hyphen": _dashed("-"),
        "en dash": _dashed("–"),
        "em dash": _dashed("—"),
        "hyphen in spaces": _dashed(" - "),
        "en dash in spaces": _dashed(" – "),
        "two hyphens of LaTeX": lambda gold, rng: rf"\text{{{gold.written('--')}}}",
        "hyphen that does not break": _dashed("\u2011"),
        "to": _dashed(" to "),
        "to in \\text": lambda gold, rng: gold.written(r" \text{ to } ") if not gold.unit else None,
        "from, to": lambda gold, rng: f"from {gold.written(' to ')}",
        "between, and": lambda gold, rng: f"between {gold.written(' and ')}",
        "dash in \\text": _dashed(r"\text{–}"),
        "one decimal place": lambda gold, rng: (
            f"{gold.low}.0–{gold.high}.0{gold.unit}"
            if gold.low.denominator == gold.high.denominator == 1
            else None
        ),
        "German": _dashed(" bis "),
        "Spanish": lambda gold, rng: f"de {gold.written(' a ')}",
        "unit on both sides": lambda gold, rng: (
            f"{decimal_text(gold.low)}{gold.unit} to {decimal_text(gold.high)}{gold.unit}"
            if gold.unit
            else None
        ),
    },
    changes={
        "same difference": _shifted(10, 10),
        "both 1 more": _shifted(1, 1),
        "both 1 less": _shifted(-1, -1),
        "lower end 1 more": _shifted(1, 0),
        "lower end 1 less": _shifted(-1, 0),
        "upper end 1 more": _shifted(0, 1),
        "upper end 1 less": _shifted(0, -1),
        "ends swapped": lambda gold, rng: replace(gold, low=gold.high, high=gold.low),
        "both doubled": lambda gold, rng: replace(gold, low=2 * gold.low, high=2 * gold.high),
        "upper end times 10": lambda gold, rng: replace(gold, high=10 * gold.high),
        "digits of the upper end swapped": _range_swapped,
        "difference": lambda gold, rng: f"{decimal_text(gold.high - gold.low)}{gold.unit}",
        "negative difference": lambda gold, rng: f"{decimal_text(gold.low - gold.high)}{gold.unit}",
        "lower end alone": lambda gold, rng: f"{decimal_text(gold.low)}{gold.unit}",
        "upper end alone": lambda gold, rng: f"{decimal_text(gold.high)}{gold.unit}",
        "middle": lambda gold, rng: f"{decimal_text((gold.low + gold.high) / 2)}{gold.unit}",
        "quotient": lambda gold, rng: latex_number(gold.low / gold.high) if "to" not in gold.dash else None,
        "ratio": lambda gold, rng: (
            f"{decimal_text(gold.low)}:{decimal_text(gold.high)}" if "to" not in gold.dash else None
        ),
        "one of both": _around("{low} or {high}{unit}"),
        "above the lower end": _around("more than {low}{unit}"),
        "plus or minus": _around(r"{low} \pm {high}{unit}"),
        "another unit": lambda gold, rng: replace(gold, unit=" mm") if gold.unit else None,
    },
)


# --- ratios and scores ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ratio:
    """a : b (: c). `score` is what a game ended with, which is not cancelled: 4-2 is not 2-1."""

    parts: tuple[int, ...]
    score: bool = False
    joint: str = ":"

    @property
    def text(self) -> str:
        return self.joint.join(map(str, self.parts))

    @property
    def value(self) -> tuple[bool, tuple[int, ...]]:
        by = 1 if self.score else gcd(*self.parts) or 1
        return self.score, tuple(part // by for part in self.parts)


def draw_ratio(rng: Random) -> Ratio:
    if rng.random() < 0.4:
        most = rng.choice([6, 6, 12, 100])
        return Ratio((rng.randrange(1, most), rng.randrange(most)), True, rng.choice(["-", "-", "–"]))
    while True:
        number = rng.choice([2, 2, 2, 3])  # 13:13:10 may be a time, 3:4:5 is none
        parts = tuple(rng.randrange(1, 20 if number == 2 else 10) for _ in range(number))
        if gcd(*parts) == 1 and len(set(parts)) > 1:
            return Ratio(parts)


def read_ratio(text: str) -> Ratio | None:
    """3:4, 3 : 4 : 5; and 3-1, a score whose first number is not smaller."""
    if match := re.fullmatch(r"(\d{1,4})\s*:\s*(\d{1,4})(?:\s*:\s*(\d{1,4}))?", text):
        parts = tuple(int(part) for part in match.groups() if part)
        return Ratio(parts) if all(parts) else None
    match = re.fullmatch(r"(\d{1,3})(-|–)(\d{1,3})", text)
    return Ratio((int(match[1]), int(match[3])), True, match[2]) if match else None


def _ratio_joined(joint: str, around: str = "{}", score: bool | None = None) -> Writer:
    """None in `score` means that ratios and scores are written so."""
    return lambda gold, rng: (
        around.format(joint.join(map(str, gold.parts))) if score in (None, gold.score) else None
    )


def _multiplied(gold: Ratio, rng: Random) -> Ratio | None:
    by = rng.choice([2, 3, 5, 10])
    return None if gold.score else replace(gold, parts=tuple(by * part for part in gold.parts))


def _unless_quotient(gold: Ratio, value: int) -> str | None:
    """`value`, where it is not what dividing the parts gives."""
    return str(value) if not gold.parts[1] or Fraction(*gold.parts[:2]) != value else None


def _two_parts(gold: Ratio) -> bool:
    return not gold.score and len(gold.parts) == 2


def _one_part(by: int) -> Writer:
    def written(gold: Ratio, rng: Random) -> Ratio | None:
        place = rng.randrange(len(gold.parts))
        part = gold.parts[place] + by
        return (
            replace(gold, parts=(*gold.parts[:place], part, *gold.parts[place + 1 :])) if part > 0 else None
        )

    return written


def _all_parts(by: int) -> Writer:
    def written(gold: Ratio, rng: Random) -> Ratio | None:
        parts = tuple(part + by for part in gold.parts)
        return replace(gold, parts=parts) if min(parts) > 0 else None

    return written


RATIO = Entry(
    Kind.RATIO,
    draw_ratio,
    read_ratio,
    keeps={
        **WORDS,
        "colon": _ratio_joined(":", score=False),
        "colon in spaces": _ratio_joined(" : ", score=False),
        "sign of a ratio": _ratio_joined("\u2236", score=False),
        "\\colon": _ratio_joined(r"\colon ", score=False),
        "colon in braces": _ratio_joined("{:}", score=False),
        "full-width colon": _ratio_joined("\uff1a", score=False),
        "to": lambda gold, rng: _ratio_joined(" to ")(gold, rng) if len(gold.parts) == 2 else None,
        "to in \\text": lambda gold, rng: (
            _ratio_joined(r" \text{ to } ")(gold, rng) if len(gold.parts) == 2 else None
        ),
        "multiplied": _multiplied,
        "ratio in dollars": _ratio_joined(":", "${}$", score=False),
        "fraction": lambda gold, rng: (
            rf"\frac{{{gold.parts[0]}}}{{{gold.parts[1]}}}"
            if _two_parts(gold) and gold.parts[1] > 1
            else None
        ),
        "slash": lambda gold, rng: (
            f"{gold.parts[0]}/{gold.parts[1]}" if _two_parts(gold) and gold.parts[1] > 1 else None
        ),
        "ratio with a decimal": lambda gold, rng: (
            f"{text}:1" if _two_parts(gold) and (text := decimal_text(Fraction(*gold.parts))) else None
        ),
        "hyphen of a score": _ratio_joined("-", score=True),
        "en dash of a score": _ratio_joined("–", score=True),
        "hyphen in spaces": _ratio_joined(" - ", score=True),
        "en dash in spaces": _ratio_joined(" – ", score=True),
        "colon of a score": _ratio_joined(":", score=True),
        "hyphen that does not break": _ratio_joined("\u2011", score=True),
        "two hyphens of LaTeX": _ratio_joined("--", r"\text{{{}}}", score=True),
        "in words": lambda gold, rng: (
            f"{in_words(gold.parts[0])} to {in_words(gold.parts[1])}" if len(gold.parts) == 2 else None
        ),
    },
    changes={
        "first and last swapped": lambda gold, rng: replace(gold, parts=gold.parts[::-1]),
        "one part + 1": _one_part(1),
        "one part − 1": _one_part(-1),
        "same difference": _all_parts(1),
        "same difference, less": _all_parts(-1),
        "doubled score": lambda gold, rng: (
            replace(gold, parts=tuple(2 * part for part in gold.parts)) if gold.score else None
        ),
        "squares": lambda gold, rng: replace(gold, parts=tuple(part**2 for part in gold.parts)),
        "difference": lambda gold, rng: _unless_quotient(gold, gold.parts[0] - gold.parts[1]),
        "sum": lambda gold, rng: _unless_quotient(gold, sum(gold.parts)),
        "part of the whole": lambda gold, rng: (
            rf"\frac{{{gold.parts[0]}}}{{{sum(gold.parts)}}}" if _two_parts(gold) else None
        ),
        "product": lambda gold, rng: (
            rf"{gold.parts[0]} \cdot {gold.parts[1]}"
            if _unless_quotient(gold, gold.parts[0] * gold.parts[1])
            else None
        ),
        "parts written together": lambda gold, rng: "".join(map(str, gold.parts)),
        "point between the parts": lambda gold, rng: f"{gold.parts[0]}.{gold.parts[1]}",
        "further part": lambda gold, rng: f"{gold.text}{gold.joint}1",
        "last part dropped": lambda gold, rng: (
            replace(gold, parts=gold.parts[:-1]) if len(gold.parts) > 2 else None
        ),
        "first part alone": lambda gold, rng: str(gold.parts[0]) if gold.parts[1] != 1 else None,
        "one part ten times": lambda gold, rng: replace(gold, parts=(gold.parts[0] * 10, *gold.parts[1:])),
        "negative part": lambda gold, rng: f"-{gold.text}",
        "one of two": lambda gold, rng: f"{gold.text} or {replace(gold, parts=gold.parts[::-1]).text}",
    },
)

ENTRIES = (RANGE, RATIO)
