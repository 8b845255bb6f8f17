"""Reads a reference answer and determines its kind, which decides how answers are read and compared.

A reference is read once. If its text is ambiguous (3-1 may be a score, 6/10/2024 two dates), `doubt` says so:
`rlvr audit` reports it, and a problem's column or a setting can state the kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from rlvr.types import DataError
from rlvr.verify.calendar import read_clock, read_date, read_duration
from rlvr.verify.codes import (
    is_a_code,
    may_be_a_code,
    read_code,
    read_formula,
    read_reaction,
    seems_a_code,
    seems_a_formula,
)
from rlvr.verify.exact import Quantity, read_based, read_quantity
from rlvr.verify.forms import (
    Expression,
    Interval,
    Items,
    Relation,
    Said,
    Text,
    Value,
    as_text,
    without_condition,
)
from rlvr.verify.kinds import Kind
from rlvr.verify.latex import read_expression
from rlvr.verify.letters import choice_letter
from rlvr.verify.normalize import normalize
from rlvr.verify.parse import read_answer, read_matrix, read_rate, read_vector, read_with_unit
from rlvr.verify.plain import plain
from rlvr.verify.sets import as_interval
from rlvr.verify.spans import (
    Span,
    clear_dimensions,
    ratio_terms,
    read_compound,
    read_congruence,
    read_dimensions,
    read_score,
    read_span,
)
from rlvr.verify.values import variable
from rlvr.verify.words import bound_in_signs, in_digits, relations_in_signs, special, yes_or_no


@dataclass(frozen=True)
class Reference:
    """A parsed reference answer. `doubt` says how its text is ambiguous; "" if it is not."""

    text: str
    kind: Kind
    value: Value
    doubt: str = ""

    @property
    def two_ways(self) -> bool:
        """Whether it can also be read as an expression: all real numbers are (−∞, ∞), 1 ± 2 is 3 or −1."""
        return self.kind is Kind.SPECIAL or (self.kind is Kind.RANGE and "±" in plain(self.text))


@lru_cache(maxsize=1 << 12)
def read_reference(gold: str, kind: Kind | None = None) -> Reference:
    """Reads the reference answer `gold` as the stated `kind`, or as the kind that its text suggests.

    Raises DataError if it cannot be read as the stated kind.
    """
    if kind is None:
        return _found(gold)
    value = read_as(kind, gold)
    if value is None:
        meant = f"; {_MEANT[kind]}" if kind in _MEANT else ""
        raise DataError(f"the reference answer {gold[:80]!r} cannot be read as {kind.value}{meant}")
    return Reference(gold, kind, value)


_MEANT = {
    Kind.DATE: "write 2024-05-31, or 31 May 2024",
    Kind.TIME: "write 14:05, or 2:05 PM",
    Kind.DURATION: "write 2 h 5 min, 125 min or PT2H5M",
    Kind.RANGE: "write 10-15, 10 to 15 kg",
    Kind.RATIO: "write 3:2, or 3-1",
    Kind.DIMENSIONS: "write 10 cm × 5 cm, or 1920x1080",
    Kind.CONGRUENCE: "write x ≡ 3 (mod 7)",
    Kind.FORMULA: "write H2O, SO4^{2-}",
    Kind.YES_NO: "write yes or no",
    Kind.CHOICE: "write the letter of the option",
}


def read_as(kind: Kind, text: str) -> Value | None:
    """Parse `text` as an answer of `kind`; None if that is impossible."""
    spoken = plain(text)
    if kind in _IN_DIGITS and not any(character.isdigit() for character in spoken):
        spoken = in_digits(spoken)
    if kind is Kind.DATE:
        return read_date(spoken)
    if kind is Kind.TIME:
        return read_clock(spoken)
    if kind is Kind.DURATION:
        return _duration(spoken)
    if kind is Kind.RANGE:
        return read_span(spoken) or _closed(read_answer(text))
    if kind is Kind.RATIO and not _MINUTES.search(spoken):
        return _ratio(spoken) or read_score(spoken)
    if kind is Kind.DIMENSIONS:
        return read_dimensions(spoken)
    if kind is Kind.IDENTIFIER:
        return read_code(spoken)
    if kind is Kind.FORMULA:
        return read_reaction(spoken) or read_formula(spoken)
    if kind is Kind.CONGRUENCE:
        return read_congruence(spoken, periodic=True)
    if kind is Kind.YES_NO:
        said = yes_or_no(spoken, wanted=True)
        return None if said is None else Said("yes" if said else "no")
    if kind is Kind.SPECIAL:
        name = special(spoken)
        return None if name is None else Said(name)
    if kind is Kind.TEXT:
        return as_text(text)
    return read_answer(text)


# Kinds whose answers are no expressions: an answer that cannot be read as one of them is compared as text.
TYPED = frozenset(
    [
        Kind.DATE, Kind.TIME, Kind.DURATION, Kind.RANGE, Kind.RATIO, Kind.IDENTIFIER, Kind.FORMULA,
        Kind.YES_NO, Kind.SPECIAL, Kind.CONGRUENCE, Kind.DIMENSIONS,
    ]
)  # fmt: skip
_IN_DIGITS = frozenset([Kind.DURATION, Kind.RANGE, Kind.RATIO, Kind.DIMENSIONS, Kind.CONGRUENCE])
_NEVER_COMPUTED = frozenset(
    [Kind.DATE, Kind.IDENTIFIER, Kind.FORMULA, Kind.YES_NO, Kind.CONGRUENCE, Kind.DIMENSIONS]
)
_DOLLARS = frozenset(["AUD", "CAD", "NZD", "HKD", "SGD", "MXN"])
_WITH_COMMA = frozenset(
    [Kind.INTEGER, Kind.DECIMAL, Kind.FRACTION, Kind.PERCENT, Kind.MONEY, Kind.QUANTITY, Kind.DURATION]
)


def readings(answer: str, reference: Reference) -> Iterator[Value]:
    """The possible readings of `answer`, given the kind of the reference, most likely first."""
    kind, gold = reference.kind, without_condition(reference.value)
    if kind in TYPED:
        said = read_as(kind, answer)
        if said is not None:
            yield said
        if kind in _NEVER_COMPUTED or (kind is Kind.RANGE and not reference.two_ways):
            return
    yield read_answer(answer)
    if kind in _WITH_COMMA and "," in answer and (decimal := read_quantity(answer, decimal_comma=True)):
        yield decimal
    yield from _expected(answer, reference, gold)


def _expected(answer: str, reference: Reference, gold: Value) -> Iterator[Value]:
    """Readings that are plausible only for the reference's kind."""
    kind = reference.kind
    found: Value | None = None
    if kind is Kind.MONEY and isinstance(gold, Quantity):
        found = _money(answer, gold.unit)
    elif kind is Kind.TIME:
        found = read_as(Kind.DURATION, answer)
    elif kind is Kind.QUANTITY and isinstance(gold, Quantity):
        found = _temperature(answer, gold, reference.text)
    elif kind is Kind.QUANTITY and isinstance(gold, Expression):
        found = read_with_unit(normalize(answer))
    elif kind is Kind.BASE and (number := read_based(plain(answer))) is not None:
        found = Quantity(number)
    elif kind is Kind.INTERVAL:
        found = _bound(answer, reference)
    elif kind is Kind.MATRIX:
        found = read_matrix(answer)
    elif kind is Kind.EXPRESSION and isinstance(gold, Expression) and not gold.unit and answer[:1].isdigit():
        tree = read_expression(normalize(answer))  # 2 g h for 2gh: no units
        found = None if tree is None else Expression(tree, answer)
    if found is not None:
        yield found
    if kind is Kind.EXPRESSION and clear_dimensions(plain(answer)):
        yield read_answer(_BY.sub(r" \\times ", plain(answer)))  # 2x3 for 2 × 3
    if isinstance(gold, Items) and gold.kind == "tuple" and (point := _POINT.fullmatch(answer.strip(" $."))):
        yield read_answer(point.group(1))
    if isinstance(gold, Items) and gold.kind in ("tuple", "matrix"):
        vector = read_vector(answer, len(gold.items))
        if vector is not None:
            yield vector


def _money(answer: str, currency: str) -> Quantity | None:
    """An amount in the reference's currency: pounds are money, and dollars and cents are of its country."""
    spoken = in_digits(plain(answer)) if not any(map(str.isdigit, answer)) else plain(answer)
    if currency == "GBP":
        spoken = re.sub(r"\bpounds?\b", "GBP", spoken, flags=re.IGNORECASE)
    found = read_quantity(spoken) or read_compound(spoken)
    of_any_country = not _AMERICAN.search(spoken)
    if (
        found
        and found.unit == "USD"
        and ((currency in _DOLLARS and of_any_country) or (found.scale != 1 and "cent" in spoken))
    ):
        return replace(found, unit=currency)
    return found


def _bound(answer: str, reference: Reference) -> Value:
    """A bound, in the reference's variable; if the reference is in words, the answer may use any variable."""
    gold = reference.value
    name = variable(gold) if isinstance(gold, Relation) else None
    bound = bound_in_signs(plain(answer), name or "x")
    found = read_answer(bound or relations_in_signs(answer))
    if isinstance(found, Relation) and variable(found) and bound_in_signs(plain(reference.text)):
        sides = zip(found.sides, found.names, strict=True)
        found = replace(found, sides=tuple(read_answer("x") if named else side for side, named in sides))
    return found


def _temperature(answer: str, gold: Quantity, written: str) -> Quantity | None:
    """20 C if the reference is 20 °C; and 20 °C if the reference is 20 C, which may be coulombs."""
    spoken = plain(answer)
    if gold.offset and (match := _BARE_DEGREES.fullmatch(spoken)):
        return read_quantity(f"{match.group(1)} °{match.group(2)}")
    if match := _BARE_DEGREES.fullmatch(plain(written)):
        meant, found = read_quantity(f"{match.group(1)} °{match.group(2)}"), read_quantity(spoken)
        return gold if meant and found and found.offset and found.in_base == meant.in_base else None
    return None


def _duration(spoken: str) -> Quantity | None:
    found = read_quantity(spoken) or read_compound(spoken)
    if found is not None:
        return found if found.unit in ("", "second") else None
    seconds = next(read_duration(spoken), None)
    return None if seconds is None else Quantity(seconds, "second")


def _closed(value: Value) -> Span | None:
    """[10, 15], or 10 ≤ x ≤ 15, as a range."""
    interval = as_interval(value) if isinstance(value, Interval | Relation) else None
    if interval is None or interval.low_open or interval.high_open:
        return None
    if isinstance(interval.low, Quantity) and isinstance(interval.high, Quantity):
        return Span(interval.low, interval.high)
    return None


def _ratio(spoken: str) -> Items | None:
    terms = [read_answer(term) for term in ratio_terms(spoken)]
    return (
        Items("ratio", tuple(terms)) if terms and not any(isinstance(term, Text) for term in terms) else None
    )


_BASED = re.compile(r"-?[\dA-F]+(?:\.[\dA-F]+)?_\s*\{?\d{1,2}\}?|0[xXbBoO][\dA-Fa-f]+")
_MIXED_OR_FRAC = re.compile(r"\\frac|\d\s?/\s?\d|[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞]")
_MINUTES = re.compile(r":0\d(?!\d)")  # 3:05 is a time
_POINT = re.compile(r"(?:point\s+)?[A-Z]'?(?:_\{?\d\}?)?\s*=?\s*((?:\\left)?\(.*\))", re.DOTALL)  # P(1, 2)
_PAIR = re.compile(r"\d+(?:[.,]\d+)?-\d+(?:[.,]\d+)?")
_HOURS = re.compile(r"\d{1,2}\s?h")  # how long, unless a time of day is asked for
_TIMES_LENGTH = re.compile(r"[\d.,]+\s?[×*][^×*]+")  # 3 × 5 cm
_BY = re.compile(r"(?<=\d)\s*(?:by|x|X)\s*(?=\d)")
_BARE_DEGREES = re.compile(r"([-+]?[\d.,]+)\s?([CF])")
_AMERICAN = re.compile(r"\bU\.?S\b|\bUSD\b|\bAmerican\b|US\$")
_INDEXED = re.compile(r"[A-Z]\d{1,2}")
_WORD = re.compile(r"[^\W\d_]{2,}")


def _found(gold: str) -> Reference:
    """The kind that the text suggests: the most specific kinds are tried first."""
    spoken = plain(gold)
    if (letter := choice_letter(gold)) is not None and letter.isupper():
        return Reference(
            gold,
            Kind.CHOICE,
            read_answer(gold),
            "a letter may be a name" if letter in "IKNPQRSTUVWXYZ" else "",
        )
    if (said := yes_or_no(spoken)) is not None and len(spoken) > 1:
        return Reference(gold, Kind.YES_NO, Said("yes" if said else "no"))
    if (name := special(spoken)) is not None:
        return Reference(gold, Kind.SPECIAL, Said(name))
    if (date := read_date(spoken)) is not None:
        return Reference(gold, Kind.DATE, date, "day and month, or month and day" if date.swapped else "")
    if not _HOURS.fullmatch(spoken) and (clock := read_clock(spoken)) is not None:
        return Reference(
            gold, Kind.TIME, clock, "a time of day, a duration or a ratio" if clock.colon else ""
        )
    return _measured(gold, spoken) or _written(gold, spoken) or _general(gold, spoken)


def _measured(gold: str, spoken: str) -> Reference | None:
    """A number, alone or with a unit."""
    if is_a_code(spoken):
        return None
    if (dimensions := clear_dimensions(spoken)) is not None:
        product = _TIMES_LENGTH.fullmatch(spoken) is not None
        doubt = "dimensions or a product" if product else ""
        return Reference(gold, Kind.DIMENSIONS, dimensions, doubt)
    amount = read_rate(spoken) or read_quantity(spoken) or read_compound(spoken)
    normalized = normalize(gold)
    if _BASED.fullmatch(normalized):
        return Reference(gold, Kind.BASE, read_answer(gold))
    if amount is None:
        seconds = list(read_duration(spoken)) if spoken[:1].upper() == "P" or spoken.count(":") == 2 else []
        return Reference(gold, Kind.DURATION, Quantity(seconds[0], "second")) if seconds else None
    if amount.percent:
        return Reference(gold, Kind.PERCENT, amount)
    if len(amount.unit) == 3 and amount.unit.isupper():
        return Reference(gold, Kind.MONEY, amount)
    if amount.unit == "second" and amount.scale >= 1:
        return Reference(gold, Kind.DURATION, amount)
    if amount.unit:
        doubt = "degrees, or coulombs or farads" if _BARE_DEGREES.fullmatch(spoken) else ""
        return Reference(gold, Kind.QUANTITY, amount, doubt)
    if amount.quotient or _MIXED_OR_FRAC.search(spoken):
        return Reference(gold, Kind.FRACTION, amount)
    whole = amount.value.denominator == 1 and not amount.digits
    return Reference(gold, Kind.INTEGER if whole else Kind.DECIMAL, amount)


def _written(gold: str, spoken: str) -> Reference | None:
    """Text with digits that is not a number: identifiers, formulas, ranges, scores, congruences."""
    if (bound := bound_in_signs(spoken)) is not None:
        return Reference(gold, Kind.INTERVAL, read_answer(bound))
    if (congruence := read_congruence(spoken)) is not None:
        return Reference(gold, Kind.CONGRUENCE, congruence)
    if seems_a_code(spoken):
        return Reference(gold, Kind.IDENTIFIER, read_code(spoken))
    if seems_a_formula(spoken) and (formula := read_formula(spoken) or read_reaction(spoken)) is not None:
        return Reference(gold, Kind.FORMULA, formula)
    if may_be_a_code(spoken):
        doubt = "an identifier or a name with an index" if _INDEXED.fullmatch(spoken) else ""
        return Reference(gold, Kind.IDENTIFIER, read_code(spoken), doubt)
    score, span = read_score(spoken), read_span(spoken)
    pair = _PAIR.fullmatch(spoken) is not None
    doubt = "a range, a score or a difference" if pair else ""
    if span is not None and "±" in spoken:
        return Reference(gold, Kind.RANGE, span, "two values or one with a tolerance")
    if span is not None and (not pair or span.low.value < span.high.value):
        return Reference(gold, Kind.RANGE, span, doubt)
    if score is not None and ":" not in spoken:
        return Reference(gold, Kind.RATIO, score, doubt)
    return None


def _infinite(value: Value) -> bool:
    return isinstance(value, Expression) and any(part.name == "infinity" for part in value.tree.walk())


def _general(gold: str, spoken: str) -> Reference:
    """All other kinds, as read by the grammar of expressions."""
    said = read_answer(gold)
    value = without_condition(said)
    kind, doubt = Kind.EXPRESSION, ""
    if isinstance(value, Items):
        kinds = {
            "ratio": Kind.RATIO,
            "list": Kind.LIST,
            "set": Kind.SET,
            "tuple": Kind.TUPLE,
            "matrix": Kind.MATRIX,
        }
        kind = kinds.get(value.kind, Kind.INTERVAL)
        if kind is Kind.TUPLE and any(_infinite(item) for item in value.items):
            kind = Kind.INTERVAL  # (5, ∞)
    elif isinstance(value, Interval):
        kind = Kind.INTERVAL
    elif isinstance(value, Relation):
        function = value.operators == ("=",) and re.match(r"\s*[A-Za-z]\w*\s*\(", gold) is not None
        kind = (
            Kind.FUNCTION if function else Kind.EQUATION if set(value.operators) == {"="} else Kind.INTERVAL
        )
    elif isinstance(value, Quantity):
        kind = Kind.INTEGER if value.value.denominator == 1 else Kind.FRACTION
    elif r"\begin{cases}" in gold:
        kind = Kind.FUNCTION
    elif isinstance(value, Expression) and value.unit:
        kind = Kind.QUANTITY
    elif not isinstance(value, Expression):
        kind = Kind.TEXT
        doubt = (
            "" if _WORD.search(spoken) and not re.search(r"[\d\\=<>^]", spoken) else "text that no rule reads"
        )
    return Reference(gold, kind, said, doubt)
