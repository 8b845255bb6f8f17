"""A reward that is easy to fool, on purpose: what many first attempts look like."""

from __future__ import annotations


def mentions_answer(completion: str, answer: str) -> float:
    """1 for a completion that has the reference answer anywhere in it."""
    return 1.0 if answer in completion else 0.0
