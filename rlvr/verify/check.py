"""Checks one completion against its reference answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from rlvr.types import DataError, Status, Verdict
from rlvr.verify.calendar import read_date
from rlvr.verify.compare import Comparison, compare
from rlvr.verify.extract import extract_answer
from rlvr.verify.kinds import Kind
from rlvr.verify.letters import choice_letter
from rlvr.verify.normalize import normalize
from rlvr.verify.parse import MAX_ANSWER, read_answer
from rlvr.verify.plain import plain
from rlvr.verify.reference import TYPED, Reference, read_reference, readings
from rlvr.verify.settings import DEFAULT, VerifySettings
from rlvr.verify.units import read_unit
from rlvr.verify.words import yes_or_no

_SHOWN = 80  # characters of an answer in a reason


def check_answer(
    completion: str,
    gold: str,
    correct: float = 1.0,
    wrong: float = 0.0,
    settings: VerifySettings = DEFAULT,
    accepted: Sequence[str] = (),
) -> Verdict:
    """Whether `completion` ends in an answer that equals the reference answer `gold`, or one of `accepted`.

    `gold` may have a mark of its own (a box, "####"). A completion without a readable answer is
    unparseable and gets the reward `wrong`. Sizes are bounded before anything is evaluated; an answer
    beyond the bounds is right only if its text equals the reference's. Never raises for any completion.
    Run time is limited only through these bounds: for a hard deadline, use `rlvr.rewards.service`.
    Raises DataError for a reference that is not of `settings.kind`.
    """
    if completion.strip() == gold.strip() != "":
        return Verdict(Status.CORRECT, correct, "the same text", extracted=gold.strip(), rule="same text")
    reference = _reference(gold)
    kind = read_reference(reference, settings.stated).kind
    answer = extract_answer(completion, settings.extraction, kind)
    if answer is None or not normalize(answer.text[:MAX_ANSWER]):
        reason = "no answer found" if answer is None else f"the {answer.where} is empty"
        return Verdict(Status.UNPARSEABLE, wrong, reason)
    comparison = equal_answers(answer.text, reference, settings)
    for other in accepted:
        if comparison.equal:
            break
        comparison = equal_answers(answer.text, _reference(other), settings)
    equal = comparison.equal
    return Verdict(
        Status.CORRECT if equal else Status.WRONG,
        correct if equal else wrong,
        f"{_shown(answer.text)} (from the {answer.where}) {'=' if equal else '≠'} {_shown(gold)}: "
        f"{comparison.rule}",
        extracted=answer.text,
        rule=comparison.rule,
    )


def prepare() -> None:
    """Build the tables of units and months now, so that forked processes share them."""
    read_unit("kg")
    read_date("3 May 2024")


def check_reference(answer: str, kind: str | None = None) -> None:
    """Raise DataError unless the reference `answer` can be read as its stated `kind`."""
    if kind:
        if kind not in list(Kind):
            raise DataError(f"the kind {kind!r} does not exist; it must be one of {', '.join(Kind)}")
        read_reference(_reference(answer), Kind(kind))


def equal_answers(answer: str, gold: str, settings: VerifySettings = DEFAULT) -> Comparison:
    """Whether two extracted answers are equal. Never raises for any text of an answer.

    Recent comparisons of short answers are cached (`forget_answers` clears the cache).
    """
    if answer.strip() == gold.strip():
        return Comparison(True, "same text")
    if max(len(answer), len(gold)) > MAX_ANSWER:
        return Comparison(False, "too long to compare beyond its text", decided=False)
    return _remembered(answer, gold, settings)


def remembered_answers() -> tuple[int, int]:
    """The numbers of cache hits and misses of comparisons in this process."""
    info = _remembered.cache_info()
    return info.hits, info.misses


def forget_answers() -> None:
    _remembered.cache_clear()


@lru_cache(maxsize=1 << 14)
def _remembered(answer: str, gold: str, settings: VerifySettings) -> Comparison:
    plain_answer, plain_gold = plain(answer), plain(gold)
    if plain_answer == plain_gold or normalize(answer) == normalize(gold):
        return Comparison(True, "same text once normalized")
    kind = settings.stated
    if kind in (None, Kind.CHOICE) and (letters := _options(answer, gold, kind is Kind.CHOICE)) is not None:
        return letters
    if _other_capitals(plain_answer, plain_gold):
        return Comparison(False, "capital letters")
    return _by_kind(answer, read_reference(gold, kind), settings)


def _options(answer: str, gold: str, stated: bool) -> Comparison | None:
    """Compares two letters of options; None unless both sides are one. Unless the kind is `stated`, case
    matters, as a lower-case letter may also be a name."""
    option, chosen = choice_letter(gold), choice_letter(answer)
    if option is None or chosen is None:
        return None
    equal = option.upper() == chosen.upper() if stated else option in (chosen, chosen.upper())
    return Comparison(equal, "letters of the options")


def _by_kind(answer: str, reference: Reference, settings: VerifySettings) -> Comparison:
    """The comparison of the first reading of the answer that equals the reference, else of the last one."""
    comparison = Comparison(False, "cannot be read so", decided=False)
    for said in readings(answer, reference):
        comparison = compare(said, reference.value, settings)
        if comparison.equal:
            break
    if reference.two_ways and not comparison.equal:
        comparison = compare(read_answer(answer), read_answer(reference.text), settings)
    if reference.kind in TYPED:
        return replace(comparison, rule=f"{reference.kind.value}: {comparison.rule}")
    return comparison


def _other_capitals(answer: str, gold: str) -> bool:
    """Whether two answers differ in capitals that matter: Co is cobalt, and CO is not."""
    if answer == gold or len(gold) > 3 or answer.casefold() != gold.casefold() or yes_or_no(gold) is not None:
        return False
    return answer.isupper() != gold.isupper() and answer.istitle() != gold.istitle()


def _reference(gold: str) -> str:
    marked = extract_answer(gold)
    named = marked is not None and (marked.where in ("box", "answer phrase") or "####" in gold)
    return marked.text if marked is not None and named else gold


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
