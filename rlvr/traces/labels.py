"""Labels of an answer beside its verdict: its problem's pass rate and domain, its length and repetition."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rlvr.rewards.repetition import repeated_share, words_of
from rlvr.types import Problem, Status

REPETITION_N = 8  # words; the n of `repetition_reward`
MOST = 500_000  # characters of an answer that are considered; more than any context window
DOMAIN_COLUMNS = ("domain", "subject", "level")


def pass_rate(statuses: Iterable[Status]) -> float | None:
    """The share of correct answers among those whose check finished, in [0, 1]; None if there are none.

    The difficulty label of Phi-4-Mini-Reasoning (arXiv 2504.21233) is 1 − the pass rate.
    """
    reached = [status for status in statuses if status.reached]
    return reached.count(Status.CORRECT) / len(reached) if reached else None


def length_and_repetition(text: str, tokens: Sequence[int] | None) -> tuple[int, float]:
    """The length in tokens, or in words if `tokens` is None; and the share of words in a repeated 8-gram.

    Words are those of the first `MOST` characters: an endpoint may send megabytes, and a word takes a hundred
    bytes.
    """
    words = words_of(text[:MOST])
    return len(words) if tokens is None else len(tokens), repeated_share(words, REPETITION_N)


def domain_of(problem: Problem, column: str | None = None) -> str:
    """The problem's domain: its column `column`, else its column domain, subject or level, else ""."""
    for name in DOMAIN_COLUMNS if column is None else (column, *DOMAIN_COLUMNS):
        if problem.columns.get(name) is not None:
            return str(problem.columns[name])
    return ""
