"""A penalty for completions that repeat themselves."""

from __future__ import annotations

import re

_CJK = "\u3040-\u30ff\u3400-\u9fff"  # written without spaces
_WORD = re.compile(rf"[{_CJK}]|[^\W\d_{_CJK}]{{1,40}}|\d|[^\w\s]|_")
_MODULUS = (1 << 61) - 1
_BASE = 1_000_003


def repetition_reward(completion: str, n: int = 8, penalty: float = -1.0) -> float:
    """`penalty` times the share of the completion's words that lie in a repeated n-gram.

    A word counts if an n-gram that contains it has occurred before (overlapping occurrences
    included), as in the repetition penalty of "Demystifying Long Chain-of-Thought" (arXiv
    2502.03373). That paper penalizes each such token; here the penalty is for the whole
    completion. Words are runs of letters, single digits, signs and Chinese or Japanese characters,
    ignoring case, so that neither tokenizer nor spacing matters. Linear in the length. Raises
    ValueError unless n ≥ 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}, but must be ≥ 1")
    return penalty * repeated_share(words_of(completion), n)


def words_of(text: str) -> list[str]:
    """The words of `text` as `repetition_reward` counts them, in lower case."""
    return _WORD.findall(text.lower())


def repeated_share(words: list[str], n: int) -> float:
    """The share of `words`, in [0, 1], that lie in an n-gram which occurred before."""
    ranks: dict[str, int] = {}
    numbers = [ranks.setdefault(word, len(ranks) + 1) for word in words]
    leading = pow(_BASE, n, _MODULUS)
    seen: set[int] = set()
    value = repeated = covered = 0  # hash of the last n words; words counted; where the last one ends
    for end, number in enumerate(numbers, 1):
        value = (value * _BASE + number) % _MODULUS
        if end > n:
            value = (value - numbers[end - n - 1] * leading) % _MODULUS
        if end < n:
            continue
        if value in seen:
            repeated += end - max(covered, end - n)
            covered = end
        seen.add(value)
    return repeated / len(words) if words else 0.0
