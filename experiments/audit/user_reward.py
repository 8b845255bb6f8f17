"""A reward as a user may bring it: the last number of the completion, compared as a float."""

from __future__ import annotations

import re


def last_number(completion: str, answer: str, tolerance: float = 1e-6) -> float:
    """1 for a completion whose last number is within `tolerance` of the reference answer."""
    numbers = re.findall(r"-?\d+(?:\.\d+)?", completion.replace(",", ""))
    return float(bool(numbers) and abs(float(numbers[-1]) - float(answer)) <= tolerance)
