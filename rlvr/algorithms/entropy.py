"""An entropy bonus whose weight follows the entropy."""

from __future__ import annotations


def next_coefficient(coefficient: float, entropy: float, target: float, delta: float) -> float:
    """A step of `delta` up while the policy's entropy is under the target, down (to 0) while it is over.

    Source: Skywork-OR1, arXiv 2505.22312, section on adaptive entropy control.
    """
    return max(coefficient + (delta if entropy < target else -delta), 0.0)


def active_coefficient(coefficient: float, entropy: float, target: float) -> float:
    """The bonus's weight in the next update: none while the entropy is over its target."""
    return coefficient if entropy <= target else 0.0
