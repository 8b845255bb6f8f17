"""Temperature schedules: pure functions of the step (0 … steps−1), named by import path."""

from __future__ import annotations

import math


def linear(step: int, steps: int, temperature: float, final: float, share: float = 0.5) -> float:
    """From `temperature` to `final` over the first `share` of the steps, then constant.

    Phi-4-Mini-Reasoning (arXiv 2504.21233) anneals from 1.0 to 0.6 over the first half.
    """
    progress = min(step / (share * steps), 1.0)
    return temperature + progress * (final - temperature)


def cosine(step: int, steps: int, temperature: float, final: float, share: float = 1.0) -> float:
    """From `temperature` to `final` along half a cosine over the first `share` of the steps."""
    progress = min(step / (share * steps), 1.0)
    return final + (temperature - final) * (1 + math.cos(math.pi * progress)) / 2
