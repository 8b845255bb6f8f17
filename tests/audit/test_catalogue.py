"""The catalogue: its rules are right by readers that are not ours, and the verifier agrees with them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from dateutil import parser as dates
from latex2sympy2_extended import latex2sympy
from sympy import N

from rlvr.audit.catalogue import CATALOGUE, Gold
from rlvr.audit.catalogue.entry import Rewriting
from rlvr.audit.catalogue.expressions import EXPRESSION_FAMILIES
from rlvr.audit.catalogue.intervals import Interval
from rlvr.audit.catalogue.reading import bare, read_data
from rlvr.audit.catalogue.spelled import in_lakhs, in_words, repeating, swap_digits
from rlvr.verify.check import equal_answers
from rlvr.verify.kinds import Kind
from rlvr.verify.reference import read_reference
from rlvr.verify.settings import VerifySettings

KINDS = list(Kind)


def golds(kind: Kind, number: int) -> list[tuple[Gold, Random]]:
    """Golds of `kind`, the same in every run, each with the generator that its rewritings draw from."""
    drawn = []
    for place in range(number):
        rng = Random(f"test {kind.value} {place}")
        drawn.append((CATALOGUE[kind].draw(rng), rng))
    return drawn


def written(kind: Kind, number: int) -> Iterator[tuple[Rewriting, Gold, str]]:
    for gold, rng in golds(kind, number):
        for rewriting in CATALOGUE[kind].rewritings():
            if (answer := rewriting.write(gold, rng)) is not None:
                yield rewriting, gold, answer


# --- the catalogue by itself -------------------------------------------------------------------------


def test_every_kind_is_in_the_catalogue() -> None:
    assert set(CATALOGUE) == set(Kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_twelve_rewritings_of_either_sort_that_apply(kind: Kind) -> None:
    for keeps in (True, False):
        names = {rewriting.name for rewriting, _, _ in written(kind, 150) if rewriting.keeps == keeps}
        assert len(names) >= 12


@pytest.mark.parametrize("kind", KINDS)
def test_no_answer_is_right_and_wrong(kind: Kind) -> None:
    right: set[tuple[str, str]] = set()
    wrong: set[tuple[str, str]] = set()
    for rewriting, gold, answer in written(kind, 40):
        (right if rewriting.keeps else wrong).add((gold.text, " ".join(answer.split())))
    assert right & wrong == set()


@pytest.mark.parametrize("kind", KINDS)
def test_a_gold_reads_as_what_it_was_made_of(kind: Kind) -> None:
    """Where the text of a gold is read at all: curves and functions have too many forms."""
    unread = {
        Kind.EQUATION, Kind.FUNCTION, Kind.EXPRESSION, Kind.DURATION, Kind.FORMULA, Kind.IDENTIFIER,
    }  # fmt: skip
    for gold, _ in golds(kind, 60):
        found = CATALOGUE[kind].read(gold.text)
        if found is None:
            assert kind in unread, gold
        elif kind is not Kind.EXPRESSION:
            assert found.value == gold.value


def test_the_halves_are_about_equal_and_depend_on_names_alone() -> None:
    everything = [rewriting for entry in CATALOGUE.values() for rewriting in entry.rewritings()]
    share = sum(rewriting.half == "a" for rewriting in everything) / len(everything)
    assert 0.4 < share < 0.6
    halves: dict[str, str] = {}
    for rewriting in everything:
        assert halves.setdefault(rewriting.name, rewriting.half) == rewriting.half


def test_what_is_not_understood_is_text() -> None:
    entry, gold = read_data(Kind.EQUATION, "x^3 + y^3 = 1")
    assert gold.text == "x^3 + y^3 = 1"
    assert {rewriting.keeps for rewriting in entry.rewritings()} == {True, False}
    assert bare(r"\boxed{$42$}") == "42"
    assert bare("$x$, $y$") == "$x$, $y$"


# --- its rules, by readers of other people -----------------------------------------------------------


def number(text: str) -> Fraction | None:
    """The value of a number, read by exact arithmetic; None for notations that this does not know."""
    plain = text.strip().strip("$").strip().removesuffix(".").replace("−", "-")
    if re.search(r"\..*,|\d \d+/", plain):  # 1.234,5 and 1 3/4
        return None
    plain = re.sub(r"(?<=\d)(?:,|\{,\}|\\,|[ '\u2009\u202f\u00a0])(?=\d{3}(?!\d))", "", plain)
    if match := re.fullmatch(r"([+-]?\d*\.?\d+)(?: \\(?:times|cdot) 10\^\{(-?\d+)\}|[eE](-?\d+))?", plain):
        return Fraction(Decimal(match[1])) * Fraction(10) ** int(match[2] or match[3] or 0)
    if match := re.fullmatch(r"(-?)(\d*)\\[dtc]?frac\{(-?\d+)\}\{(-?\d+)\}", plain):
        size = int(match[2] or 0) + Fraction(int(match[3]), int(match[4]))
        return -size if match[1] else size
    if match := re.fullmatch(r"(-?\d+) ?/ ?(\d+)", plain):
        return Fraction(int(match[1]), int(match[2]))
    return None


@pytest.mark.parametrize("kind", [Kind.INTEGER, Kind.DECIMAL, Kind.FRACTION])
def test_numbers(kind: Kind) -> None:
    known = 0
    for rewriting, gold, answer in written(kind, 60):
        value = number(answer)
        known += value is not None
        assert value is None or (value == gold.value) == rewriting.keeps, (rewriting.name, gold, answer)
    assert known > 700


def test_dates_by_dateutil() -> None:
    known = 0
    for rewriting, gold, answer in written(Kind.DATE, 60):
        plain = re.sub(r"\\text(?:bf)?|[{}$*]|\bthe\b|\bof\b", "", answer).strip(" .\n")
        day_first = re.fullmatch(r"\d\d?\.\d\d?\.\d{4}|\d\d/\d\d/\d{4}", plain) is not None
        if not re.fullmatch(r"[\w ,./-]+", plain) or not re.search(r"\d{4}", plain) or len(plain) < 8:
            continue
        try:
            found: Any = dates.parse(plain, dayfirst=day_first, default=None).date()
        except (dates.ParserError, AttributeError, TypeError, OverflowError):
            continue
        known += 1
        if "dropped" not in rewriting.name:
            assert (found == gold.value) == rewriting.keeps, (rewriting.name, gold, answer)
    assert known > 500


def numeric(text: str) -> complex | None:
    """The value at fixed places, by sympy; None for what its grammar of LaTeX does not read."""
    if re.search(r"(?<![\\A-Za-z])(?:pi|ln)", text):
        return None
    plain = re.sub(r"(?<![A-Za-z])sqrt\((\d+)\)", r"\\sqrt{\1}", text)
    plain = plain.replace("**", "^").replace("*", r"\cdot ")
    plain = re.sub(r"\^\((.*?)\)", r"^{\1}", plain)
    try:
        found = latex2sympy(plain)
        symbols = sorted(found.free_symbols, key=str)
        return complex(N(found.subs({symbol: 0.37 + 0.11 * place for place, symbol in enumerate(symbols)})))
    except Exception:  # noqa: BLE001 (a parser of other people)
        return None


_ELSEWHERE = ("absolute value", "root of the square", "arctangent of the tangent")  # where they differ


def test_expressions_by_sympy() -> None:
    known = {True: 0, False: 0}
    for place, family in enumerate(EXPRESSION_FAMILIES):
        gold = family(Random(place))
        right = numeric(gold.text)
        assert right is not None
        for keeps, forms in ((True, gold.forms), (False, gold.others)):
            for name, text in forms.items():
                value = numeric(text) if text and "=" not in text and "," not in text else None
                if value is None or name in _ELSEWHERE:
                    continue
                known[keeps] += 1
                assert (abs(value - right) < 1e-9) == keeps, (name, gold.text, text)
    assert known[True] > 40
    assert known[False] > 30


def test_intervals_hold_the_same_numbers() -> None:
    """Membership at, between and beside all ends, by what an inequality says to Python."""

    def holds(text: str, x: Fraction) -> bool:
        plain = re.sub(r"(-?)\\frac\{(\d+)\}\{(\d+)\}", r"Fraction(\g<1>\2,\3)", text)
        plain = plain.replace(r"\text{ or }", "or").replace("≤", "<=").replace("≥", ">=")
        plain = re.sub(r"\\le(?:qslant|q)?(?![a-z])", "<=", plain)
        plain = re.sub(r"\\ge(?:qslant|q)?(?![a-z])", ">=", plain)
        return bool(eval(plain, {"x": x, "Fraction": Fraction}))  # our own text

    for rewriting, gold, answer in written(Kind.INTERVAL, 60):
        assert isinstance(gold, Interval)
        if rewriting.name in (
            "inequality",
            "inequality turned around",
            "strictness changed in the inequality",
        ):
            ends = {end for piece in gold.pieces for end in (piece.low, piece.high) if end is not None}
            steps = (Fraction(-1, 99), Fraction(0), Fraction(1, 99))
            places = [end + step for end in ends for step in steps]
            inside = [any(_inside(piece, x) for piece in gold.pieces) for x in places]
            same = [holds(answer, x) for x in places] == inside
            assert same == rewriting.keeps, (rewriting.name, answer)


def _inside(piece: Any, x: Fraction) -> bool:
    low = piece.low is None or piece.low < x or (piece.with_low and piece.low == x)
    high = piece.high is None or x < piece.high or (piece.with_high and piece.high == x)
    return low and high


def test_numbers_are_spelled_as_in_english() -> None:
    assert in_words(1_234_567) == ("one million two hundred thirty-four thousand five hundred sixty-seven")
    assert in_words(-40) == "minus forty"
    assert in_words(1_000_013) == "one million thirteen"
    assert in_lakhs(1_234_567) == "12,34,567"
    assert in_lakhs(99_999) is None
    assert repeating(Fraction(1, 6)) == ("0.1", "6")
    assert repeating(Fraction(1, 4)) is None
    assert swap_digits("100") is None
    assert swap_digits("1123") == "1213"


def test_dates_that_are_close_to_a_date() -> None:
    entry = CATALOGUE[Kind.DATE]
    gold = entry.read("2024-05-06")
    assert gold is not None
    assert gold.value == date(2024, 5, 6)
    wrong = {r.name: r.write(gold, Random(0)) for r in entry.rewritings() if not r.keeps}
    assert wrong["day and month swapped"] == "2024-06-05"
    assert wrong["same difference of the parts"] in ("2024-06-05", "2024-04-07")
    assert wrong["parts subtracted"] == "2013"
    assert entry.read("6/10/2024") is None  # the day may be either


# --- the verifier on the catalogue -------------------------------------------------------------------


def verifier_errors(kind: Kind, number: int) -> tuple[list[tuple[Rewriting, str, str]], int]:
    """The rewritings that the verifier is wrong about, with gold and answer, and how many were tried. Where
    the text of a gold leaves its kind open, the kind is stated."""
    failed, tried = [], 0
    for rewriting, gold, answer in written(kind, number):
        doubt = read_reference(gold.text).doubt
        stated = VerifySettings(kind=kind.value) if doubt else VerifySettings()
        tried += 1
        if equal_answers(answer, gold.text, stated).equal != rewriting.keeps:
            failed.append((rewriting, gold.text, answer))
    return failed, tried


@pytest.mark.parametrize("kind", KINDS)
def test_the_verifier_agrees_with_the_half_that_it_may_be_tuned_on(kind: Kind) -> None:
    failed, _ = verifier_errors(kind, 4)
    shown = [(found.name, found.keeps, *texts) for found, *texts in failed if found.half == "a"]
    assert shown == []


def test_the_verifier_agrees_with_most_of_the_other_half() -> None:
    """Only how many fail is told: what it was not tuned on says how it does on what nobody listed."""
    missed, passed, tried = 0, 0, 0
    for kind in Kind:
        failed, number = verifier_errors(kind, 2)
        hidden = [found for found, *_ in failed if found.half == "b"]
        missed += sum(found.keeps for found in hidden)
        passed += sum(not found.keeps for found in hidden)
        tried += number // 2
    assert passed <= 0.002 * tried, f"{passed} of about {tried} pass wrongly"
    assert missed <= 0.02 * tried, f"{missed} of about {tried} are missed"
