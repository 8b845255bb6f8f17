"""The verdict on one completion."""

from __future__ import annotations

import re
from functools import lru_cache

from rlvr.types import Status, Verdict
from rlvr.verify.compare import Comparison, compare
from rlvr.verify.exact import Quantity
from rlvr.verify.extract import extract_answer
from rlvr.verify.normalize import normalize
from rlvr.verify.parse import MAX_ANSWER, read_normalized
from rlvr.verify.settings import DEFAULT, VerifySettings

_OPTION = (
    r"(?![^A-Za-z0-9\\$]*\\?\(?[A-HJ]\)?(?![A-Za-z0-9]))[A-Za-z0-9\\$\-](?:(?!\([A-HJ]\)).)*"  # its text
)
_CHOICE = re.compile(
    rf"\(?([A-HJa-e])\)?[.:)]?|\(([A-HJ])\)\s*{_OPTION}|([A-HJ])[.:)]\s+{_OPTION}|([B-HJ])\s+[A-Z][a-z].*"
    r"|(?:[A-Za-z ]{0,40}\s)?(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s+(?:is\s+)?\(?([A-HJ])\)?\.?",
    re.DOTALL,
)
_ROMAN_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s*\{([^{}]*)\}")
_DECIMAL_COMMA = re.compile(r"^(-?\d+),(?!\d{3}(?!\d))(\d+)(?![\d,.])")  # 3,5 for 3.5
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
    answer = extract_answer(
        completion, settings.extraction, choice=(choice_letter(reference) or "").isupper()
    )
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
    plain_answer, plain_gold = normalize(answer), normalize(gold)
    if plain_answer == plain_gold:
        return Comparison(True, "same text once normalized")
    if (option := choice_letter(gold)) is not None and (chosen := choice_letter(answer)) is not None:
        # a lower-case letter may be a name as well: then its case matters
        return Comparison(option in (chosen, chosen.upper()), "letters of the options")
    right = read_normalized(plain_gold)
    comparison = compare(read_normalized(plain_answer), right, settings)
    if not comparison.equal and isinstance(right, Quantity) and right.value.denominator > 1:
        with_point = _DECIMAL_COMMA.sub(r"\1.\2", plain_answer)
        if isinstance(decimal := read_normalized(with_point), Quantity):
            return compare(decimal, right, settings)
    return comparison


def _reference(gold: str) -> str:
    marked = extract_answer(gold)
    return marked.text if marked and marked.where in ("box", "hash line", "answer phrase") else gold


def choice_letter(text: str) -> str | None:
    """The letter of an option: "B", "(B)", "B) forty-two"; None for what does not look like one."""
    match = _CHOICE.fullmatch(_ROMAN_TEXT.sub(r"\1", text.strip().strip("$")).strip())
    return next(letter for letter in match.groups() if letter) if match else None


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"
