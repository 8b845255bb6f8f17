"""The verdict on one completion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from rlvr.types import Status, Verdict
from rlvr.verify.compare import Comparison, compare
from rlvr.verify.exact import read_quantity
from rlvr.verify.extract import extract_answer
from rlvr.verify.kinds import Kind, Reference, read_as, read_reference
from rlvr.verify.latex import read_expression
from rlvr.verify.letters import choice_letter
from rlvr.verify.normalize import normalize
from rlvr.verify.parse import MAX_ANSWER, Value, read_answer, unit_vector_components
from rlvr.verify.plain import plain
from rlvr.verify.settings import DEFAULT, VerifySettings

_SHOWN = 80  # characters of an answer in a reason


def check_answer(
    completion: str,
    gold: str,
    correct: float = 1.0,
    wrong: float = 0.0,
    settings: VerifySettings = DEFAULT,
) -> Verdict:
    """Whether `completion` ends in an answer that equals the reference answer `gold`.

    `gold` may carry its own mark (a box, "####"). A completion without a readable answer is
    unparseable and gets the reward of a wrong one. Sizes are bounded before anything is
    evaluated; an answer beyond the bounds is right only if it is written like the reference.
    Never raises on any text. Time is bounded by the sizes but not measured: what must not hang
    runs in `rlvr.rewards.service`.
    """
    reference = _reference(gold)
    answer = extract_answer(completion, settings.fallback, choice=(choice_letter(reference) or "").isupper())
    if answer is None or not normalize(answer.text[:MAX_ANSWER]):
        reason = "no answer found" if answer is None else f"the {answer.where} is empty"
        return Verdict(Status.UNPARSEABLE, wrong, reason)
    comparison = equal_answers(answer.text, reference, settings)
    equal = comparison.equal
    return Verdict(
        Status.CORRECT if equal else Status.WRONG,
        correct if equal else wrong,
        f"{_shown(answer.text)} (from the {answer.where}) {'=' if equal else '≠'} {_shown(gold)}: "
        f"{comparison.rule}",
        extracted=answer.text,
        rule=comparison.rule,
    )


def equal_answers(answer: str, gold: str, settings: VerifySettings = DEFAULT) -> Comparison:
    """Whether two answers, already extracted, say the same. Never raises on any text.

    The last comparisons of short answers are remembered (`forget_answers` empties that).
    """
    if answer.strip() == gold.strip():
        return Comparison(True, "same text")
    if max(len(answer), len(gold)) > MAX_ANSWER:
        return Comparison(False, "too long to compare beyond its text", decided=False)
    return _remembered(answer, gold, settings)


def remembered_answers() -> tuple[int, int]:
    """How many comparisons this process took from memory, and how many it made."""
    info = _remembered.cache_info()
    return info.hits, info.misses


def forget_answers() -> None:
    _remembered.cache_clear()


@lru_cache(maxsize=1 << 14)
def _remembered(answer: str, gold: str, settings: VerifySettings) -> Comparison:
    if plain(answer) == plain(gold) or normalize(answer) == normalize(gold):
        return Comparison(True, "same text once normalized")
    reference = read_reference(gold, None if settings.kind is None else Kind(settings.kind))
    if settings.kind in (None, "choice") and (option := choice_letter(gold)) is not None:
        if (chosen := choice_letter(answer)) is not None:
            # a lower-case letter may be a name as well: then its case matters
            return Comparison(option in (chosen, chosen.upper()), "letters of the options")
    comparison = Comparison(False, "no reading")
    for said in _readings(answer, reference):
        comparison = compare(said, reference.value, settings)
        if comparison.equal:
            break
    return replace(comparison, rule=f"{reference.kind.value}: {comparison.rule}") if reference.kind in _TYPED else comparison


_TYPED = frozenset(
    [Kind.DATE, Kind.TIME, Kind.DURATION, Kind.RANGE, Kind.RATIO, Kind.IDENTIFIER, Kind.FORMULA, Kind.YES_NO, Kind.SPECIAL]
    + [Kind.CONGRUENCE]
)
_NUMBERS = frozenset([Kind.INTEGER, Kind.DECIMAL, Kind.FRACTION, Kind.PERCENT, Kind.MONEY, Kind.QUANTITY, Kind.DURATION])


def _readings(answer: str, reference: Reference) -> Iterator[Value]:
    """What the answer may say to somebody who knows what kind of answer is wanted."""
    if reference.kind in _TYPED:
        said = read_as(reference.kind, answer)
        if said is not None:
            yield said
        if reference.kind in (Kind.DATE, Kind.RANGE, Kind.IDENTIFIER, Kind.FORMULA, Kind.YES_NO, Kind.CONGRUENCE):
            return
    yield read_answer(answer)
    if reference.kind in _NUMBERS and "," in answer:
        decimal = read_quantity(answer, decimal_comma=True)
        if decimal is not None:
            yield decimal
    if reference.kind in (Kind.TUPLE, Kind.MATRIX) and (tree := read_expression(normalize(answer))) is not None:
        if (components := unit_vector_components(tree, plain_letters=True)) is not None:
            yield components
    if reference.kind is Kind.TIME and (duration := read_as(Kind.DURATION, answer)) is not None:
        yield duration


def _reference(gold: str) -> str:
    marked = extract_answer(gold)
    named = marked is not None and (marked.where in ("box", "answer phrase") or "####" in gold)
    return marked.text if marked is not None and named else gold


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
