"""Advantages of one group: rewards [G] in, advantages [G] out, both float64.

A reward of NaN is a verdict that was not reached: it is no part of the baseline, and its own
advantage is NaN, so that nobody trains on it by accident.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]


def grpo(rewards: Float64Array) -> Float64Array:
    """(R − mean) / σ over the group, σ the population deviation; 0 where all rewards are equal.

    Source: DeepSeekMath, arXiv 2402.03300, section 4.1.2. No epsilon is added to σ: a group has
    a spread or it has none.
    """
    reached = rewards[~np.isnan(rewards)]
    if reached.size == 0:
        return rewards.copy()
    if np.ptp(reached) == 0:
        return rewards * 0.0
    return (rewards - reached.mean()) / reached.std()
