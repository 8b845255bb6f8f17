"""An entropy bonus whose weight follows the entropy."""

from __future__ import annotations


def next_coefficient(coefficient: float, entropy: float, target: float, delta: float) -> float:
    """The coefficient plus `delta` if the entropy is below the target, else minus `delta`, at least 0.

    Source: Skywork-OR1, arXiv 2505.22312, section on adaptive entropy control.
    """
    return max(coefficient + (delta if entropy < target else -delta), 0.0)


def active_coefficient(coefficient: float, entropy: float, target: float) -> float:
    """The bonus's weight in the next update: 0 while the entropy is above the target."""
    return coefficient if entropy <= target else 0.0
