"""Multiple-choice problems with their options in random order.

Data sets put the right option first, or at some letters more often; a model must not learn that.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace

from rlvr.base.keys import key
from rlvr.types import DataError, Problem

_LETTERS = "ABCDEFGHIJ"
_OPTION = re.compile(r"^[ \t]*\(?([A-J])[).:][ \t]+", re.MULTILINE)
_PINNED = re.compile(r"\b(?:all|none|both|neither|either|any)\s+of\s+(?:the|these|them)\b", re.IGNORECASE)
_BY_LETTER = re.compile(
    r"(?:both |only |either |neither )?\(?[A-J]\)?(?:(?:,| and| or| nor) ?\(?[A-J]\)?)+(?: only)?",
    re.IGNORECASE,
)


def shuffled(problems: list[Problem], seed: int = 0) -> list[Problem]:
    """The multiple-choice `problems` with shuffled options: a problem source that wraps another one.

        _target_: rlvr.problems.choices.shuffled
        problems: {_target_: rlvr.problems.files.from_file, path: my_choices.jsonl}

    The options are the problem's column `options` (a list of texts) or, without it, the last
    lines of the text that begin with "A.", "B.", … . The new text ends with the options in their
    new order, the column `options` holds them, and the answer is the right option's new letter. The
    order is keyed by (seed, problem id). Raises DataError, naming the problem, if it has no options or
    its answer is not one of them.
    """
    return [_shuffled(problem, seed) for problem in problems]


def _shuffled(problem: Problem, seed: int) -> Problem:
    stem, options = problem.text, problem.columns.get("options")
    if options is None:
        stem, options = split_options(problem.text)
    if not isinstance(options, list) or not 2 <= len(options) <= len(_LETTERS):
        raise DataError(
            f"problem {problem.id!r} needs a list of 2 to 10 options, in its text or in column 'options'"
        )
    texts = [str(option) for option in options]
    letter = problem.answer.strip("() .").upper()
    place = _LETTERS.find(letter) if len(letter) == 1 else -1
    if place < 0 and texts.count(problem.answer) == 1:
        place = texts.index(problem.answer)
    if not 0 <= place < len(texts):
        raise DataError(
            f"problem {problem.id!r}: the answer {problem.answer[:80]!r} is not one of its options"
        )
    texts, letter = shuffle_options(texts, place, seed, problem.id)
    lines = "\n".join(f"{_LETTERS[index]}. {text}" for index, text in enumerate(texts))
    return replace(
        problem,
        text=f"{stem.rstrip()}\n\n{lines}",
        answer=letter,
        columns={**problem.columns, "options": texts},
    )


def shuffle_options(options: Sequence[str], right: int, seed: int, problem_id: str) -> tuple[list[str], str]:
    """`options` in an order keyed by (seed, problem id), and the new letter of the option at index `right`.

    Options such as "all of the above" keep their place. If an option names others by letter
    ("both A and C"), nothing is shuffled.
    """
    if any(_BY_LETTER.fullmatch(option.strip(" .")) for option in options):
        return list(options), _LETTERS[right]
    free = [place for place, option in enumerate(options) if not _PINNED.search(option)]
    draw = random.Random(key("options", seed, problem_id)).random  # stable across Python versions
    order = sorted(free, key=lambda _: draw())
    source = dict(zip(free, order, strict=True))
    sources = [source.get(place, place) for place in range(len(options))]
    return [options[place] for place in sources], _LETTERS[sources.index(right)]


def split_options(text: str) -> tuple[str, list[str]]:
    """Split a text into the question and the options of its last block "A. … B. …" (empty without one).

    An option may span several lines.
    """
    marks = list(_OPTION.finditer(text))
    start = max((place for place, mark in enumerate(marks) if mark.group(1) == "A"), default=None)
    if start is None:
        return text, []
    block = marks[start:]
    if [mark.group(1) for mark in block] != list(_LETTERS[: len(block)]):
        return text, []
    ends = [*(mark.start() for mark in block[1:]), len(text)]
    return text[: block[0].start()], [text[m.end() : end].strip() for m, end in zip(block, ends, strict=True)]
