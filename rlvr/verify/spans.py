"""Ranges, scores, dimensions, congruences, and quantities in several units.

10–15 kg, 3–1, 10 cm × 5 cm, x ≡ 3 (mod 7), 3 h 20 min.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, replace
from fractions import Fraction

from rlvr.verify.exact import PERCENT, Quantity, read_quantity, scan_number

MAX_PARTS = 6

_NUMBER = r"[-+]?\s?(?:[$€£¥₹]\s?)?\d+(?:[.,'/ ]\d+)*(?:\s?[×x·*]\s?10\s?\^\{?-?\d+\}?)?"
_RANGE = re.compile(
    rf"(?:(?P<word>between|from|von|zwischen|de|entre|da|tra|od|от|từ)\s+)?(?P<low>{_NUMBER}(?:\s?[^\W\d]+|\s?[%°]C?)?)"
    r"\s*(?P<joint>-{1,3}|…|\.\.|~|→|\b(?:to|through|until|bis|and|und|à|a|al|y|et|e|do|до|till|đến)\b)"
    rf"\s*(?P<high>{_NUMBER}(?:\s?[^\d\s].*)?)"
    r"(?P<end>\s+inclusive)?"
)
_PLACES = re.compile(
    r"(?:pages?|pp?\.|lines?|verses?|chapters?|rows?|years?|ages?|levels?|steps?|floors?|weeks?|days?)\s?(?=\d)",
    re.IGNORECASE,
)
_AND_A_HALF = re.compile(r"\d+ 1/2 [^\W\d_]+$")
_AND = frozenset(["and", "und", "y", "et", "e"])
_SCORE = re.compile(r"(\d{1,4})\s?(-{1,3}|:|to)\s?(\d{1,4})")
_SCORES = re.compile(r"\d{1,3}[-:]\d{1,3}(?:[,;]?\s+\d{1,3}[-:]\d{1,3})+")
_MODULUS = re.compile(
    r"(?:(?:[a-zA-Z]\w{0,2}\s*)?(?:≡|\\equiv|=|(?:is )?congruent to|is)\s*)?"
    r"(?P<residues>[±-]?\d[\d\s,;±-]*|-?\d+(?:\s*(?:,|or|and)\s*-?\d+)*)\s*[,(]?\s*"
    r"\\?\(?\s*\\?(?:p?mod|bmod|modulo)\s*\{?\s*(?P<modulus>\d+)\s*\}?\s*\)?"
)
_PERIODIC = re.compile(
    r"(?:[a-z]\s*=\s*)?(?:(?P<a>\d+)\s*\*?·?\s*(?P<n>[klmntjpq])\s*(?P<sign>[+-])\s*(?P<r>\d+)|(?P<r2>-?\d+)\s*\+\s*(?P<a2>\d+)\s*\*?·?\s*(?P<n2>[klmntjpq])"
    r"|(?P<a3>\d+)\s*·?\*?\s*(?P<n3>[klmntjpq]))(?:\s*,?\s*\(?(?:where|for|with)?\s*[klmntjpq]\s*(?:\\in|∈).*|,?\s*(?:for|where)\s.*integers?\s?\w?)?"
)
_DIVIDES = re.compile(
    r"(\d+)\s*(?:\||\\mid|divides|teilt)\s*[a-z]"
    r"|[a-z] is (?:divisible by|a multiple of) (\d+)"
)
_HOURS = re.compile(r"\d+(?:\.\d+)?\s?(?:h|hrs?|hours?|d|days?)\b", re.IGNORECASE)
_PART = re.compile(r"\s*(?:,|and|und|et|y)?\s*([-+]?\d[\d.,/]*(?:\s\d+/\d+)?)\s?([^\W\d]+\.?|['\"°]|″|′)")
_MARKS = {"'": "ft", '"': "inch", "°": "°"}


@dataclass(frozen=True)
class Span:
    """From `low` to `high`, both included."""

    low: Quantity
    high: Quantity

    def same(self, gold: Span) -> bool:
        return same_amount(self.low, gold.low) and same_amount(self.high, gold.high)


@dataclass(frozen=True)
class Congruence:
    """All whole numbers that leave one of `residues` when they are divided by `modulus`."""

    residues: frozenset[int]
    modulus: int

    def same(self, gold: Congruence) -> bool:
        return self == gold


@dataclass(frozen=True)
class Score:
    """Points of two sides, or of the sets of a match, in order."""

    points: tuple[tuple[int, int], ...]

    def same(self, gold: Score) -> bool:
        return self == gold


@dataclass(frozen=True)
class Dimensions:
    """The lengths of a thing's sides, or how many rows and columns it has."""

    sides: tuple[Quantity, ...]

    def same(self, gold: Dimensions) -> bool:
        """Lengths in any order; numbers without a unit in order, as 3 × 4 matrices are not 4 × 3."""
        if len(self.sides) != len(gold.sides):
            return False
        measured = all(side.unit for side in self.sides) and all(side.unit for side in gold.sides)
        pairs = zip(*(side.in_size() if measured else side.sides for side in (self, gold)), strict=True)
        return all(same_amount(*pair) for pair in pairs)

    def in_size(self) -> list[Quantity]:
        return sorted(self.sides, key=lambda side: side.in_base)


def same_amount(answer: Quantity, gold: Quantity) -> bool:
    """Whether two quantities are equal; a unit may be missing from one of them."""
    if answer.unit and gold.unit:
        return not answer.clashes(gold) and answer.in_base == gold.in_base
    return answer.value == gold.value


_TOLERANCE = re.compile(rf"(?P<middle>{_NUMBER}(?:\s?[^\W\d]+)?)\s*(?:±|\+/-|\+-)\s*(?P<slack>\d.*)")


def read_tolerance(text: str) -> Span | None:
    """Plain `text` as a value with a tolerance: 20 ± 2 mm is from 18 to 22 mm."""
    text = re.sub(r"\bplus[ -](?:or|and)[ -]minus\b", "±", text.strip())
    match = _TOLERANCE.fullmatch(re.sub(r"^\(([^()]*)\)(?= ?\S)", r"\1", text))
    middle = read_quantity(match.group("middle")) if match else None
    slack = read_quantity(match.group("slack")) if match else None
    if middle is None or slack is None or (middle.unit not in ("", slack.unit) and not slack.percent):
        return None
    if slack.percent and not middle.percent:
        slack = replace(middle, value=slack.value * middle.value)
    scaled = middle.value * (middle.scale / slack.scale if middle.unit else 1)
    low, high = (
        Quantity(scaled + sign * slack.value, slack.unit, scale=slack.scale, offset=slack.offset)
        for sign in (-1, 1)
    )
    return Span(low, high)


def read_span(text: str) -> Span | None:
    """Plain `text` as a range: 10-15, 10 to 15 kg, between $5 and $7, from 3 cm to 40 mm, 20 ± 2 mm."""
    if (tolerance := read_tolerance(text)) is not None:
        return tolerance
    text = re.sub(r"^\[([^][,]+), ?([^][,]+)\] ?(?=[^\W\d])", r"\1 to \2 ", text.strip())  # [10, 15] kg
    match = _RANGE.fullmatch(_PLACES.sub("", text))
    if match is None or len(text) > 100:
        return None
    word, joint = match.group("word"), match.group("joint")
    if (joint in _AND) != (word in ("between", "zwischen", "entre", "tra")) and joint in _AND:
        return None
    low, high = read_quantity(match.group("low").strip()), read_quantity(match.group("high").strip())
    if low is None or high is None:
        return None
    if (
        joint.startswith("-")
        and not word
        and (low.value >= high.value or low.value < 0 or low.quotient or high.quotient)
    ):
        return None  # a difference
    if high.percent and not low.percent:
        low = Quantity(low.value / 100, PERCENT, percent=True)
    for end, other in ((low, high), (high, low)):
        if other.unit and not end.unit:  # 10-15 kg, $5-7
            written = Quantity(end.value, other.unit, end.digits, end.quotient, other.scale, other.offset)
            low, high = (written, high) if end is low else (low, written)
    return Span(low, high)


def read_score(text: str) -> Score | None:
    """Plain `text` as a score: 3-1, 3:1, 3 to 1, 6-4 6-3."""
    text = text.strip()
    if match := _SCORE.fullmatch(text):
        return Score(((int(match.group(1)), int(match.group(3))),))
    if _SCORES.fullmatch(text):
        pairs = re.findall(r"(\d+)[-:](\d+)", text)
        return Score(tuple((int(first), int(second)) for first, second in pairs))
    return None


_BY = re.compile(
    r"\s*×\s*|\s+(?:\*|by|mal|par|por|per)\s+|(?<=[\d\s])\s*[xX*]\s*(?=[\d\s])|(?<=[a-z])[xX](?=\d)"
)
_BETWEEN_NUMBERS = re.compile(r"(?<=\d)[xX](?=\d)|\s(?:x|X|by)\s")


def read_dimensions(text: str) -> Dimensions | None:
    """Plain `text` as dimensions: 10 cm × 5 cm, 8.5 by 11 inches, 1920x1080; no product or power of ten."""
    if not text[:1].isdigit() or len(text) > 100 or text[:2].lower() == "0x":
        return None
    for mark in "'\"":
        text = text.replace(mark, f" {_MARKS[mark]} ")
    sides = [read_quantity(part.strip()) for part in _BY.split(text)]
    if not 2 <= len(sides) <= 4 or re.search(r"[×xX*]\s?10\s?\^", text):
        return None
    found = [side for side in sides if side is not None and side.value > 0 and not side.percent]
    if len(found) < len(sides):
        return None
    last = found[-1]
    if last.unit and not any(side.unit for side in found[:-1]):  # 8.5 by 11 inches
        found = [replace(last, value=side.value, digits=side.digits) for side in found]
    return Dimensions(tuple(found)) if len({bool(side.unit) for side in found}) == 1 else None


def clear_dimensions(text: str) -> Dimensions | None:
    """Plain `text` of a reference as dimensions, if it is not a product: it has lengths, "by" or "x"."""
    found = read_dimensions(text)
    units = {side.unit for side in found.sides} if found else set()
    return found if units in ({"meter"}, {"pixel"}) or (units and _BETWEEN_NUMBERS.search(text)) else None


_RATIO_WORDS = re.compile(r"(?:the |a |in the )*ratio(?: is| of|:)*\s*|\s*(?:\bratio)$", re.IGNORECASE)
_RATIO_SIGN = re.compile(r"\s*(?::|∶|-?\bto\b-?|\bis to\b|÷)\s*")


def ratio_terms(text: str) -> list[str]:
    """The terms of a ratio in plain `text`: 3:2, 3 to 2, 3 is to 2, the ratio 3-to-2; [] if it is not one."""
    terms = _RATIO_SIGN.split(_RATIO_WORDS.sub("", text.strip()))
    return terms if 2 <= len(terms) <= MAX_PARTS and all(terms) else []


def read_congruence(text: str, periodic: bool = False) -> Congruence | None:
    """Plain `text` as a congruence: x ≡ 3 (mod 7), 3 mod 7; with `periodic` also x = 7k + 3."""
    text = text.replace("\\pmod", "mod").replace("\\bmod", "mod").replace("\\mod", "mod").strip()
    if len(text) > 120:
        return None
    if match := _MODULUS.fullmatch(text):
        written = match.group("residues")
        if "±" in written:
            written = written.replace("±", "") + "," + written.replace("±", "-")
        residues = [int(residue.replace(" ", "")) for residue in re.findall(r"-?\s?\d+", written)]
        modulus = int(match.group("modulus"))
        return Congruence(frozenset(residue % modulus for residue in residues), modulus) if modulus else None
    if periodic and (match := _DIVIDES.fullmatch(text)):
        modulus = int(match.group(1) or match.group(2))
        return Congruence(frozenset([0]), modulus) if modulus else None
    if periodic and (match := _PERIODIC.fullmatch(text)):
        modulus = int(match.group("a") or match.group("a2") or match.group("a3"))
        residue = int(f"{match.group('sign') or ''}{match.group('r') or match.group('r2') or 0}")
        return Congruence(frozenset([residue % modulus]), modulus) if modulus else None
    return None


def read_compound(text: str) -> Quantity | None:
    """Plain `text` as one quantity in several units, larger ones first: 3 h 20 min, 5 ft 8 in, 45°30'."""
    if len(text) > 80:
        return None
    text = re.sub(r"(?<=[dhm])(?=\d)", " ", text.strip())
    text = re.sub(r"^(\d+) ([^\W\d_]+) and (?:a half|1/2)$", r"\1 1/2 \2", text)  # 2 hours and a half
    if _AND_A_HALF.match(text):
        return read_quantity(text)
    text = re.sub(r"(?<=\d)\s?m(?= \d+(?:\.\d+)?\s?s$)", " min", text)  # 5m10s
    if _HOURS.match(text):  # 2h05 and 2 h 5 m are hours and minutes
        text = re.sub(r"(?<=\d)\s?m\b", " min", re.sub(r"(?<=h )(\d{2})$", r"\1 min", text))
    parts: list[Quantity] = []
    position = 0
    angle = "°" in text
    while position < len(text):
        match = _PART.match(text, position)
        if match is None or len(parts) > MAX_PARTS:
            return None
        number, unit = match.groups()
        name = (_MARKS | {"'": "arcminute", '"': "arcsecond"} if angle else _MARKS).get(unit, unit)
        part = _amount(number, name)
        if part and parts and name.rstrip("s") == "cent" and parts[0].scale == 1:  # of any currency
            part = Quantity(part.value, parts[0].unit, scale=Fraction(1, 100))
        if part is None:
            return None
        parts.append(part)
        position = match.end()
    if len(parts) < 2 or len({part.unit for part in parts}) != 1 or not parts[0].unit:
        return None
    scales = [part.scale for part in parts]
    if any(later >= earlier for earlier, later in itertools.pairwise(scales)):
        return None
    if any(not 0 <= part.value * part.scale < before.scale for before, part in itertools.pairwise(parts)):
        return None
    smallest = scales[-1]
    total = sum((part.in_base for part in parts), Fraction(0)) / smallest
    return Quantity(total, parts[0].unit, scale=smallest)


def _amount(number: str, unit: str) -> Quantity | None:
    if unit in ("°", "arcminute", "arcsecond"):
        value = scan_number(number)
        parts = {"°": 1, "arcminute": 60, "arcsecond": 3600}
        return None if value is None else Quantity(value.value, "degree", scale=Fraction(1, parts[unit]))
    return read_quantity(f"{number} {unit}")
