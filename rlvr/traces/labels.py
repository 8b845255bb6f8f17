"""What is said of an answer beside its verdict: how hard its problem is, how long and repetitive it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rlvr.rewards.repetition import repeated_share, words_of
from rlvr.types import Problem, Status

REPETITION_N = 8  # words; the n of `repetition_reward`
MOST = 500_000  # characters of an answer that are looked at; more than any context holds
DOMAIN_COLUMNS = ("domain", "subject", "level")


def pass_rate(statuses: Iterable[Status]) -> float | None:
    """The share of correct answers among those with a verdict, in [0, 1]; None if there are none.

    Difficulty, as Phi-4-Mini-Reasoning (arXiv 2504.21233) labels its traces with, is 1 − that.
    """
    reached = [status for status in statuses if status.reached]
    return reached.count(Status.CORRECT) / len(reached) if reached else None


def length_and_repetition(text: str, tokens: Sequence[int] | None) -> tuple[int, float]:
    """Drawn tokens, or words where those are not known; and the share of words in a repeated 8-gram.

    Both are of the first `MOST` characters: an endpoint may send megabytes, and a word costs a hundred bytes.
    """
    words = words_of(text[:MOST])
    return len(words) if tokens is None else len(tokens), repeated_share(words, REPETITION_N)


def domain_of(problem: Problem, column: str | None = None) -> str:
    """What kind of problem it is: its column `column`, else domain, subject or level, else ""."""
    for name in DOMAIN_COLUMNS if column is None else (column, *DOMAIN_COLUMNS):
        if problem.columns.get(name) is not None:
            return str(problem.columns[name])
    return ""
