"""New problems that a teacher proposes: what it is asked, what is read from it, and when its answers count.

Pure functions. A proposal has no reference answer: independent solutions vote, by symbolic equality,
and a problem whose largest class of equal answers is small, or tied, or not even equal in itself, is
dropped (majority voting: Wang et al., "Self-Consistency", arXiv 2203.11171). Asking the teacher and
comparing what it wrote, in processes that can be killed, is a stage's work.
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
    """The request for one new problem of the same kind as `problem`, between `START` and `END`.

    The answer and the solution of `problem` are not in it. Raises ConfigError for a style that is not
    in `STYLES`, DataError for a text with one of the marks in it.
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
    """The one problem that a reply proposes, without the white space around it; None for anything else.

    original: the text that was to be varied; a proposal that differs from it in case, width and
        white space alone is none.
    alphabet: the characters that may be used, for a tokenizer of single characters. Without it, all
        that are visible, spaces and line feeds: no control, bidirectional or private characters.

    None, too, for a reply with more or fewer marks than one pair (thoughts left out, if they end), for
    one that is too long or empty, and for a problem that says its answer. Never raises on any text.
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
    share: float  # of all solutions, those without an answer included
    kept: bool
    reason: str  # one line for a person


def agreement(
    extracted: Sequence[str | None],
    equal: Callable[[str, str], bool],
    threshold: float = 0.6,
    at_least: int = 3,
) -> Agreement:
    """The largest class of equal answers among k solutions, kept if it may serve as a reference.

    extracted: [k] the answer of each solution; None where it has none.
    equal: whether two answers say the same, in both directions; called once for each pair of
        different spellings. Answers are in one class if a chain of equal ones joins them.
    threshold, at_least: the share of all k solutions, in (0, 1], and the number of them, that must
        be in the class.

    Not kept either: a class as large as another, and one with two answers that are not equal (then
    "equal" is too lax for them, and neither may be the reference). Does not depend on the order of
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
        reason = "answers that are equal to a third, but not to each other"
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
    """Whether it ends in an answer, marks one, or calculates: "12*7=84"."""
    answer = extract_answer(proposal)
    if (answer is not None and answer.where in _ANSWERED) or _HANDED_OVER.search(proposal):
        return True
    return any(
        step_holds(left, "=", right.rstrip(".")) is True for left, right in _CALCULATED.findall(proposal)
    )
