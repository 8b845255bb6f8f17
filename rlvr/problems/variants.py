"""New problems that a teacher proposes: the prompt, reading the reply, and the vote on a reference answer.

Pure functions. A proposal has no reference answer: independent solutions vote, by symbolic equality.
A problem is dropped if its largest class of equal answers is too small, tied, or contains two answers that
are not equal (majority voting: Wang et al., "Self-Consistency", arXiv 2203.11171). The stage asks the
teacher, and compares answers in processes that can be killed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from rlvr.base.targets import known_names
from rlvr.types import ConfigError, DataError, Problem
from rlvr.verify.extract import extract_answer
from rlvr.verify.steps import step_holds
from rlvr.verify.thoughts import after_thoughts

START, END = "<problem>", "</problem>"
MAX_REPLY = 200_000  # characters of a teacher's reply, its thoughts included
MAX_PROPOSAL = 2_000  # characters of a proposed problem

STYLES: Mapping[str, str] = {
    "numbers": "Keep its situation and its wording. Change every number.",
    "situation": "Keep the calculation that it needs. Change the situation and the numbers.",
    "harder": "Keep its situation. Change the numbers, and ask for something that needs one more step.",
}

_ANSWERED = ("box", "answer tag", "answer phrase", "conclusion")  # not "hash line": bin #5
_HANDED_OVER = re.compile(
    r"\b(?:answer|solution)s?\s*(?:is|are|[:=])\s*\S*\d|^\s*(?:answer|solution)\s*[:=]|^\s*#+\s*[-+\d(\\]"
    r"|####|\\boxed|</?[a-z]\w*>",
    re.IGNORECASE | re.MULTILINE,
)
_CALCULATED = re.compile(r"([\d.][\d\s.()+\-*/^]{1,80})=\s*(-?\d[\d.]{0,20})")


def proposal_prompt(problem: Problem, style: str) -> str:
    """The prompt that asks for one new problem of the same kind as `problem`, between `START` and `END`.

    It does not contain the answer or the solution of `problem`. Raises ConfigError for a style that is not
    in `STYLES`, DataError for a text that contains `START` or `END`.
    """
    if style not in STYLES:
        raise ConfigError(f"no style {style!r}; {known_names(style, STYLES)}")
    if START in problem.text or END in problem.text:
        raise DataError(
            f"problem {problem.id!r}: its text has {START} or {END}, which mark a problem in prompts"
        )
    return (
        f"Here is a problem:\n{START}\n{problem.text}\n{END}\n"
        f"Write one new problem of the same kind. {STYLES[style]} It must say all that is needed, and have "
        f"exactly one answer, a number or a short expression. Do not solve it and do not tell the answer. "
        f"Write the new problem between {START} and {END}, and nothing after it."
    )


def read_proposal(
    text: str, original: str, alphabet: str | None = None, max_length: int = MAX_PROPOSAL
) -> str | None:
    """The problem that a reply proposes, without surrounding white space; None if the reply is not valid.

    original: the text that the proposal varies; a proposal that differs from it only in case, character
        width and white space is not valid.
    alphabet: the allowed characters, for a character-level tokenizer. Without it, all visible characters,
        spaces and line feeds are allowed, but no control, bidirectional or private-use characters.

    Not valid either: a reply without exactly one pair of `START` and `END` outside of thoughts, with
    thoughts that do not end, or that is too long; a proposal that is empty, too long, or states its answer.
    Never raises.
    """
    if len(text) > MAX_REPLY:
        return None
    reply = after_thoughts(text)
    if reply is None or reply.count(START) != 1 or reply.count(END) != 1:
        return None
    before, _, rest = reply.partition(START)
    proposal, end, _ = rest.partition(END)
    proposal = proposal.strip()
    if not end or END in before or not 0 < len(proposal) <= max_length:
        return None
    if not all(_allowed(character, alphabet) for character in proposal):
        return None
    if _compared(proposal) == _compared(original) or _says_its_answer(proposal):
        return None
    return proposal


@dataclass(frozen=True)
class Agreement:
    """What the independent solutions of one problem agree on."""

    answer: str | None  # the most frequent spelling in the largest class; None without any answer
    votes: int  # solutions in that class
    share: float  # votes / all solutions, including those without an answer
    kept: bool
    reason: str  # one line for a person


def agreement(
    extracted: Sequence[str | None],
    equal: Callable[[str, str], bool],
    threshold: float = 0.6,
    at_least: int = 3,
) -> Agreement:
    """The largest class of equal answers among k solutions, and whether it may serve as the reference.

    extracted: [k] the answer of each solution; None if it has none.
    equal: whether two answers are equal; symmetric, and called once for each pair of different
        spellings. Answers are in one class if a chain of equal answers connects them.
    threshold, at_least: the minimal share of all k solutions, in (0, 1], and their minimal number,
        in the class.

    A class is not kept either if another is as large, or if two of its answers are not equal (then
    `equal` is too lax, and neither may be the reference). The result does not depend on the order of
    `extracted`. Raises ConfigError for thresholds out of range.
    """
    if not 0 < threshold <= 1 or at_least < 1:
        raise ConfigError(
            f"threshold is {threshold} and at_least {at_least}, but must be in (0, 1] and at least 1"
        )
    votes = Counter(answer for answer in extracted if answer is not None)
    if not votes:
        return Agreement(None, 0, 0.0, False, "no solution has an answer")
    spellings = sorted(votes)
    pairs = {(a, b) for a, b in combinations(spellings, 2) if equal(a, b)}
    classes = sorted(_joined(spellings, pairs), key=lambda one: (-_count(one, votes), sorted(one)))
    largest = classes[0]
    count = _count(largest, votes)
    share = count / len(extracted)
    answer = min(largest, key=lambda spelling: (-votes[spelling], len(spelling), spelling))
    if len(classes) > 1 and _count(classes[1], votes) == count:
        reason = f"a tie: {count} solutions each for two answers"
    elif any(pair not in pairs for pair in combinations(sorted(largest), 2)):
        reason = "two answers equal a third, but not each other"
    elif count < at_least:
        reason = f"{count} solutions agree, but {at_least} must"
    elif share < threshold:
        reason = f"{share:.2f} of the solutions agree, but {threshold:.2f} must"
    else:
        return Agreement(answer, count, share, True, f"{count} of {len(extracted)} solutions agree")
    return Agreement(answer, count, share, False, reason)


def _joined(spellings: Sequence[str], pairs: set[tuple[str, str]]) -> list[set[str]]:
    """The connected components of the graph whose edges are `pairs`."""
    component = {spelling: {spelling} for spelling in spellings}
    for a, b in pairs:
        if component[a] is not component[b]:
            component[a] |= component[b]
            for spelling in component[b]:
                component[spelling] = component[a]
    return list({id(one): one for one in component.values()}.values())


def _count(spellings: set[str], votes: Counter[str]) -> int:
    return sum(votes[spelling] for spelling in spellings)


def _allowed(character: str, alphabet: str | None) -> bool:
    if alphabet is not None:
        return character in alphabet
    return character == "\n" or character == " " or unicodedata.category(character)[0] in "LMNPS"


def _compared(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _says_its_answer(proposal: str) -> bool:
    """Whether a proposal ends in an answer, marks one, or contains a calculation such as "12*7=84"."""
    answer = extract_answer(proposal)
    if (answer is not None and answer.where in _ANSWERED) or _HANDED_OVER.search(proposal):
        return True
    return any(
        step_holds(left, "=", right.rstrip(".")) is True for left, right in _CALCULATED.findall(proposal)
    )
