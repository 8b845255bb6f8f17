"""The reward for choosing the right option in a multiple-choice problem."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rlvr.rewards.exact import final_text, normalized_text
from rlvr.rewards.functions import wrong_when_late
from rlvr.types import DataError, Status, Verdict
from rlvr.verify.thoughts import MARKS, Marks

LETTERS = "ABCDEFGHIJ"

_WRAPPED = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boxed)\s*\{([^{}]*)\}")
_LEAD = re.compile(
    r"(?:the\s+)?(?:correct\s+)?(?:answer|option|choice)(?:\s+is)?\s*:?\s*(?=\(?[a-j]\b)", re.I
)
_ALONE = re.compile(r"\(?\s*([A-Ja-j])\s*\)?\s*[.:]?")
_WITH_TEXT = re.compile(r"(?:\(\s*([A-J])\s*\)\s*[.:]?|([A-J])\s*[).:,–—-])\s*(\S.*)", re.DOTALL)
_MORE_LETTERS = re.compile(r"(?:(?:and|or|&|/|,)\s*)*\(?[A-J]\)?(?:\W.*)?", re.DOTALL)


@wrong_when_late()
def choice_reward(
    completion: str,
    answer: str,
    options: Sequence[str] | Mapping[str, str] | None = None,
    correct: float = 1.0,
    wrong: float = 0.0,
    thoughts: Marks = MARKS,
) -> Verdict:
    """`correct` when the completion's final answer is the right option, named once.

    Read as option B: "B", "(B)", "b.", "Option B", "B. its text", "**(B)** its text" and, where
    the problem has `options` (its column: texts in order, or letter → text), the text itself.
    Several letters, a letter with the text of another option, and a text that is no option
    are unparseable and get `wrong`. `answer` is a letter or an option's text. For options in
    random order see `rlvr.problems.choices.shuffled`. Raises DataError if `answer` is no option,
    or if there are more than ten.
    """
    texts = _by_letter(options)
    gold = chosen_letter(answer, texts)
    if gold is None:
        raise DataError(
            f"the problem's answer {answer[:80]!r} is none of its options {', '.join(texts) or LETTERS}"
        )
    found = final_text(completion, thoughts)
    letter = chosen_letter(found, texts) if found is not None else None
    if found is None or letter is None:
        reason = f"{found[:80]!r} names no one option" if found else "no answer found"
        return Verdict(Status.UNPARSEABLE, wrong, reason, found)
    right = letter == gold
    return Verdict(
        Status.CORRECT if right else Status.WRONG,
        correct if right else wrong,
        f"{found[:80]!r} is option {letter}, the answer is {gold}",
        letter,
        rule="letter of the option",
    )


def chosen_letter(text: str, texts: Mapping[str, str]) -> str | None:
    """The one option that `text` names, by letter or by its text. `texts` may be empty (unknown)."""
    bare = _LEAD.sub("", _WRAPPED.sub(r"\1", text[:2_000]).replace("*", "").strip(" $\n"), count=1)
    spelled = normalized_text(bare)
    same = [letter for letter, option in texts.items() if normalized_text(option) == spelled]
    if match := _ALONE.fullmatch(bare):
        # an option may itself be a letter: "C" is the letter C, unless only one option says C
        return same[0] if len(same) == 1 else _known(match.group(1).upper(), texts)
    if same:
        return same[0] if len(same) == 1 else None
    match = _WITH_TEXT.fullmatch(bare)
    if match is None or _MORE_LETTERS.fullmatch(match.group(3)):
        return None
    letter, rest = match.group(1) or match.group(2), normalized_text(match.group(3))
    others = [other for other, option in texts.items() if other != letter and normalized_text(option) == rest]
    if others and normalized_text(texts.get(letter, "")) != rest:
        return None
    return _known(letter, texts)


def _known(letter: str, texts: Mapping[str, str]) -> str | None:
    return letter if not texts or letter in texts else None


def _by_letter(options: Sequence[str] | Mapping[str, str] | None) -> dict[str, str]:
    if options is None:
        return {}
    if isinstance(options, Mapping):
        texts = {str(letter).upper(): str(text) for letter, text in options.items()}
    else:
        texts = {chr(ord("A") + place): str(text) for place, text in enumerate(options)}
    if not texts or len(texts) > len(LETTERS) or not set(texts) <= set(LETTERS):
        raise DataError(f"options {', '.join(texts)[:80]!r}: there must be 1 to 10, with letters A to J")
    return texts
