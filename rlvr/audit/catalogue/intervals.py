"""Sets of real numbers: intervals, inequalities and unions."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from random import Random

from rlvr.audit.catalogue.entry import MATH, Entry, Writer
from rlvr.audit.catalogue.numbers import read_decimal, read_fraction
from rlvr.audit.catalogue.spelled import decimal_text, latex_number
from rlvr.verify.kinds import Kind

End = Fraction | None  # None is infinite


@dataclass(frozen=True)
class Piece:
    """From `low` to `high`; an infinite end belongs to no piece."""

    low: End
    high: End
    with_low: bool = False
    with_high: bool = False

    def brackets(self, write: Callable[[Fraction], str] = latex_number, infinity: str = r"\infty") -> str:
        low = f"-{infinity}" if self.low is None else write(self.low)
        high = infinity if self.high is None else write(self.high)
        return f"{'[' if self.with_low else '('}{low}, {high}{']' if self.with_high else ')'}"

    def inequality(self, less: str = "<", least: str = r"\le") -> str:
        upper = least if self.with_high else less
        lower = least if self.with_low else less
        if self.low is None or self.high is None:
            if self.high is not None:
                return f"x {upper} {latex_number(self.high)}"
            assert self.low is not None
            return (
                f"x {lower.translate(_TURNED) if lower in '<' else _GREATER[lower]} {latex_number(self.low)}"
            )
        return f"{latex_number(self.low)} {lower} x {upper} {latex_number(self.high)}"


_TURNED = str.maketrans("<>", "><")
_GREATER = {"<": ">", r"\le": r"\ge", r"\leq": r"\geq", r"\leqslant": r"\geqslant", "≤": "≥", "<=": ">="}


@dataclass(frozen=True)
class Interval:
    """Disjoint pieces, from left to right. `relation`: the gold itself is written as inequalities."""

    pieces: tuple[Piece, ...]
    relation: bool = False

    @property
    def text(self) -> str:
        if self.relation:
            return r" \text{ or } ".join(piece.inequality() for piece in self.pieces)
        return r" \cup ".join(piece.brackets() for piece in self.pieces)

    @property
    def value(self) -> tuple[Piece, ...]:
        return self.pieces

    @property
    def ends(self) -> list[tuple[int, str]]:
        """The place of a piece and "low" or "high", of all ends that are finite."""
        sides = ("low", "high")
        return [
            (p, side)
            for p, piece in enumerate(self.pieces)
            for side in sides
            if getattr(piece, side) is not None
        ]


def draw_interval(rng: Random) -> Interval:
    ends: list[Fraction] = []
    while len(set(ends)) < 4:
        ends = sorted(Fraction(rng.randrange(-20, 30), rng.choice([1, 1, 1, 1, 2, 3])) for _ in range(4))
    flags = [rng.random() < 0.5 for _ in range(4)]
    shape = rng.randrange(5)
    first = Piece(ends[0], ends[1], flags[0], flags[1])
    if shape < 2:
        pieces: tuple[Piece, ...] = (first,)
    elif shape == 2:
        pieces = (rng.choice([Piece(None, ends[1], False, flags[1]), Piece(ends[0], None, flags[0])]),)
    elif shape == 3:
        pieces = (Piece(None, ends[1], False, flags[1]), Piece(ends[2], None, flags[2]))
    else:
        pieces = (first, Piece(ends[2], rng.choice([ends[3], None]), flags[2]))
    (piece, *more) = pieces
    # (1, 3) by itself may as well be a point
    like_a_point = not more and ends[0] == piece.low and ends[1] == piece.high and not any(flags[:2])
    return Interval(pieces, like_a_point or rng.random() < 0.3)


_PIECE = re.compile(r"([(\[])([^,()\[\]]+),([^,()\[\]]+)([)\]])")
_UP = {r"\le": True, r"\leq": True, "≤": True, "<=": True, "<": False, r"\leqslant": True}
_DOWN = {r"\ge": True, r"\geq": True, "≥": True, ">=": True, ">": False, r"\geqslant": True}
_SIGN = r"(<=|>=|<|>|≤|≥|\\leqslant|\\geqslant|\\leq?|\\geq?)"


def _number(text: str) -> Fraction | None:
    found = read_decimal(text.strip()) or read_fraction(text.strip())
    return found.value if found else None


def _read_piece(text: str) -> Piece | None:
    match = _PIECE.fullmatch(text.strip())
    if match is None:
        return None
    opening, left, right, closing = match.groups()
    low = None if re.fullmatch(r"\s*-\s*\\infty\s*", left) else _number(left)
    high = None if re.fullmatch(r"\s*\+?\s*\\infty\s*", right) else _number(right)
    if (low is None and "infty" not in left) or (high is None and "infty" not in right):
        return None
    if (low is None and opening == "[") or (high is None and closing == "]"):
        return None
    if low is not None and high is not None and low >= high:
        return None
    return Piece(low, high, opening == "[", closing == "]")


def _read_inequality(text: str) -> Piece | None:
    plain = text.strip()
    if match := re.fullmatch(rf"[a-z]\s*{_SIGN}\s*(\S+)", plain):
        sign, end = match[1], _number(match[2])
        if end is None:
            return None
        return Piece(None, end, False, _UP[sign]) if sign in _UP else Piece(end, None, _DOWN[sign])
    if match := re.fullmatch(rf"(\S+?)\s*{_SIGN}\s*[a-z]\s*{_SIGN}\s*(\S+)", plain):
        low, high = _number(match[1]), _number(match[4])
        if low is not None and high is not None and match[2] in _UP and match[3] in _UP and low < high:
            return Piece(low, high, _UP[match[2]], _UP[match[3]])
    return None


def read_interval(text: str) -> Interval | None:
    """[0, 3), a union of such; x < 3, 1 \\le x < 4. (1, 3) alone is a tuple."""
    plain = text.replace(r"\left", "").replace(r"\right", "") if r"\leftarrow" not in text else text
    pieces = [_read_piece(part) for part in re.split(r"\\cup|∪", plain)]
    relation = False
    if not all(pieces):
        pieces, relation = (
            [_read_inequality(part) for part in re.split(r"\\text\{ or \}|\bor\b", plain)],
            True,
        )
    found = tuple(piece for piece in pieces if piece)
    if not found or len(found) < len(pieces):
        return None
    (first, *more) = found
    like_a_point = (
        first.low is not None and first.high is not None and not (first.with_low or first.with_high)
    )
    if like_a_point and not more and not relation:
        return None
    ordered = all(a.high is not None and b.low is not None and a.high < b.low for a, b in pairwise(found))
    return Interval(found, relation) if ordered else None


def _union(
    gold: Interval, joint: str, infinity: str = r"\infty", write: Callable[[Fraction], str] = latex_number
) -> str:
    return joint.join(piece.brackets(write, infinity) for piece in gold.pieces)


def _brackets(joint: str, infinity: str = r"\infty") -> Writer:
    return lambda gold, rng: _union(gold, joint, infinity)


def _inequalities(joint: str, less: str = "<", least: str = r"\le", around: str = "@") -> Writer:
    return lambda gold, rng: around.replace(
        "@", joint.join(piece.inequality(less, least) for piece in gold.pieces)
    )


def _decimals(number: Fraction) -> str:
    return decimal_text(number) or latex_number(number)


def _turned(gold: Interval, rng: Random) -> str | None:
    """3 > x for x < 3, and 3 > x > 1 for 1 < x < 3."""
    written = []
    for piece in gold.pieces:
        parts = piece.inequality().split(" ")
        signs = {"<": ">", r"\le": r"\ge", ">": "<", r"\ge": r"\le"}
        written.append(" ".join(signs.get(part, part) for part in reversed(parts)))
    return r" \text{ or } ".join(written)


def _split(gold: Interval, rng: Random) -> Interval | str | None:
    """One piece cut in two at a point in it, which the left one keeps."""
    place = rng.randrange(len(gold.pieces))
    piece = gold.pieces[place]
    if piece.low is None or piece.high is None:
        return None
    middle = (piece.low + piece.high) / 2
    halves = (replace(piece, high=middle, with_high=True), replace(piece, low=middle, with_low=False))
    return replace(
        gold, pieces=(*gold.pieces[:place], *halves, *gold.pieces[place + 1 :]), relation=False
    ).text


def _distance(gold: Interval, rng: Random) -> str | None:
    """|x - c| < r."""
    (piece, *more) = gold.pieces
    if more or piece.low is None or piece.high is None or piece.with_low != piece.with_high:
        return None
    middle, radius = (piece.low + piece.high) / 2, (piece.high - piece.low) / 2
    shift = "" if not middle else f" {'-' if middle > 0 else '+'} {latex_number(abs(middle))}"
    return rf"|x{shift}| {chr(92) + 'le' if piece.with_low else '<'} {latex_number(radius)}"


def _both_sides(gold: Interval, rng: Random) -> str | None:
    (piece, *more) = gold.pieces
    if more or piece.low is None or piece.high is None:
        return None
    lower, upper = replace(piece, high=None, with_high=False), replace(piece, low=None, with_low=False)
    return rf"{lower.inequality()} \text{{ and }} {upper.inequality()}"


def _in_words(gold: Interval, rng: Random) -> str | None:
    (piece, *more) = gold.pieces
    if more or (piece.low is not None) == (piece.high is not None):
        return None
    if piece.high is not None:
        return f"x is less than {'or equal to ' if piece.with_high else ''}{latex_number(piece.high)}"
    assert piece.low is not None
    return f"x is greater than {'or equal to ' if piece.with_low else ''}{latex_number(piece.low)}"


def _outward(gold: Interval, rng: Random) -> str | None:
    """Brackets that open to the outside, ]1, 3[."""
    written = []
    for piece in gold.pieces:
        inner = piece.brackets()[1:-1]
        written.append(f"{'[' if piece.with_low else ']'}{inner}{']' if piece.with_high else '['}")
    return r" \cup ".join(written)


def _end_changed(change: Callable[[Fraction], Fraction]) -> Writer:
    def written(gold: Interval, rng: Random) -> Interval | None:
        place, side = rng.choice(gold.ends)
        piece = gold.pieces[place]
        moved = replace(piece, **{side: change(getattr(piece, side))})  # type: ignore[arg-type]
        return _with_piece(gold, place, moved)

    return written


def _with_piece(gold: Interval, place: int, piece: Piece) -> Interval | None:
    """None unless the pieces stay apart and in order."""
    pieces = (*gold.pieces[:place], piece, *gold.pieces[place + 1 :])
    for one in pieces:
        if one.low is not None and one.high is not None and one.low >= one.high:
            return None
    for one, other in pairwise(pieces):
        if one.high is None or other.low is None or one.high >= other.low:
            return None
    return replace(gold, pieces=pieces)


def _bracket_changed(*sides: str) -> Writer:
    def written(gold: Interval, rng: Random) -> Interval | None:
        place = rng.randrange(len(gold.pieces))
        piece = gold.pieces[place]
        finite = [side for side in sides if getattr(piece, side) is not None]
        if len(finite) < len(sides):
            return None
        flags = {f"with_{side}": not getattr(piece, f"with_{side}") for side in finite}
        moved = replace(piece, **flags)  # type: ignore[arg-type]
        return replace(gold, pieces=(*gold.pieces[:place], moved, *gold.pieces[place + 1 :]))

    return written


def _complement(gold: Interval, rng: Random) -> Interval:
    pieces, low, with_low = [], None, False
    first = gold.pieces[0]
    if first.low is not None:
        pieces.append(Piece(None, first.low, False, not first.with_low))
    for piece, after in zip(gold.pieces, (*gold.pieces[1:], None), strict=True):
        if piece.high is not None:
            low, with_low = piece.high, not piece.with_high
            pieces.append(
                Piece(low, after.low if after else None, with_low, not after.with_low if after else False)
            )
    return replace(gold, pieces=tuple(pieces))


def _direction(gold: Interval, rng: Random) -> Interval | None:
    (piece, *more) = gold.pieces
    if more or (piece.low is not None) == (piece.high is not None):
        return None
    return replace(gold, pieces=(Piece(piece.high, piece.low, piece.with_high, piece.with_low),))


def _end_infinite(gold: Interval, rng: Random) -> Interval | None:
    piece = gold.pieces[-1]
    if piece.low is None or piece.high is None:
        return None
    return replace(gold, pieces=(*gold.pieces[:-1], replace(piece, high=None, with_high=False)))


def _hull(gold: Interval, rng: Random) -> Interval | None:
    first, last = gold.pieces[0], gold.pieces[-1]
    whole = Piece(first.low, last.high, first.with_low, last.with_high)
    return (
        replace(gold, pieces=(whole,))
        if len(gold.pieces) > 1 and (whole.low is not None or whole.high is not None)
        else None
    )


def _ends_as(template: str) -> Writer:
    """The two ends of one finite piece in `template`."""

    def written(gold: Interval, rng: Random) -> str | None:
        (piece, *more) = gold.pieces
        if more or piece.low is None or piece.high is None:
            return None
        return template.format(low=latex_number(piece.low), high=latex_number(piece.high))

    return written


INTERVAL = Entry(
    Kind.INTERVAL,
    draw_interval,
    read_interval,
    keeps={
        **MATH,
        "brackets": _brackets(r" \cup "),
        "inequality": _inequalities(r" \text{ or } "),
        "inequality with \\leq": _inequalities(r" \text{ or } ", least=r"\leq"),
        "inequality with \\leqslant": _inequalities(r" \text{ or } ", least=r"\leqslant"),
        "inequality in Unicode": _inequalities(" or ", least="≤"),
        "inequality in plain text": _inequalities(" or ", least="<="),
        "inequality turned around": _turned,
        "element of the brackets": lambda gold, rng: rf"x \in {replace(gold, relation=False).text}",
        "element of the brackets in Unicode": lambda gold, rng: f"x ∈ {_union(gold, ' ∪ ', '∞')}",
        "set of all": _inequalities(r" \text{ or } ", around=r"\{x \mid @\}"),
        "set of all with a colon": _inequalities(r" \text{ or } ", around=r"\{x : @\}"),
        "set of all real": _inequalities(r" \text{ or } ", around=r"\{x \in \mathbb{R} \mid @\}"),
        "sized brackets": lambda gold, rng: r" \cup ".join(
            rf"\left{text[0]}{text[1:-1]}\right{text[-1]}" for text in (p.brackets() for p in gold.pieces)
        ),
        "signed infinity": lambda gold, rng: _union(gold, r" \cup ").replace(r" \infty", r" +\infty"),
        "signs of Unicode": _brackets(" ∪ ", "∞"),
        "union reversed": lambda gold, rng: r" \cup ".join(piece.brackets() for piece in gold.pieces[::-1]),
        "no spaces": lambda gold, rng: _union(gold, r"\cup").replace(", ", ","),
        "decimals": lambda gold, rng: _union(gold, r" \cup ", write=_decimals),
        "brackets that open outward": _outward,
        "cut in two": _split,
        "distance": _distance,
        "two conditions": _both_sides,
        "in words": _in_words,
        "semicolon": lambda gold, rng: _union(gold, r" \cup ").replace(", ", "; "),
    },
    changes={
        "left bracket changed": _bracket_changed("low"),
        "right bracket changed": _bracket_changed("high"),
        "both brackets changed": _bracket_changed("low", "high"),
        "one end + 1": _end_changed(lambda end: end + 1),
        "one end − 1": _end_changed(lambda end: end - 1),
        "sign of one end flipped": _end_changed(lambda end: -end),
        "complement": _complement,
        "complement as inequality": lambda gold, rng: replace(_complement(gold, rng), relation=True).text,
        "direction turned": _direction,
        "upper end infinite": _end_infinite,
        "one piece dropped": lambda gold, rng: (
            replace(gold, pieces=gold.pieces[:-1]) if len(gold.pieces) > 1 else None
        ),
        "gap filled": _hull,
        "intersection of the pieces": lambda gold, rng: (
            r" \cap ".join(piece.brackets() for piece in gold.pieces) if len(gold.pieces) > 1 else None
        ),
        "strictness changed in the inequality": lambda gold, rng: (
            replace(found, relation=True).text
            if isinstance(found := _bracket_changed(rng.choice(["low", "high"]))(gold, rng), Interval)
            else None
        ),
        "further piece": lambda gold, rng: (
            rf"{replace(gold, relation=False).text} \cup (100, 101)"
            if gold.pieces[-1].high is not None
            else None
        ),
        "set of the ends": _ends_as(r"\{{{low}, {high}\}}"),
        "ends swapped": _ends_as("({high}, {low})"),
        "lower end alone": _ends_as("{low}"),
        "all real numbers": lambda gold, rng: r"(-\infty, \infty)",
        "equal to the end": lambda gold, rng: (
            f"x = {latex_number(getattr(gold.pieces[0], side))}" if (side := gold.ends[0][1]) else None
        ),
        "none": lambda gold, rng: r"\emptyset",
    },
)

ENTRIES = (INTERVAL,)
