"""Advantages that know how often the verifier errs: rewards [G] in, advantages [G] out, float64.

The model: a rollout that is wrong passes with probability `false_positive`, one that is right fails
with probability `false_negative`, whatever else it says. `rlvr audit` estimates both. An observed
reward is `correct` or `wrong`. Source: arXiv 2510.00915 (its backward and forward
corrections); NaN as in `rlvr.algorithms.group_relative`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlvr.algorithms.group_relative import dr_grpo, successes
from rlvr.types import ConfigError

Float64Array = npt.NDArray[np.float64]


def backward(
    rewards: Float64Array,
    false_positive: float,
    false_negative: float,
    wrong: float = -1.0,
    correct: float = 1.0,
) -> Float64Array:
    """R̂ − mean with R̂ = (s − ρ₀) / (1 − ρ₀ − ρ₁): unbiased for the advantage without noise.

    s ∈ {0, 1} is whether the rollout passed, ρ₀ and ρ₁ the two rates. All advantages are those of
    Dr. GRPO on s times one number, since nothing tells which verdict of a group is false.
    """
    return dr_grpo(successes(rewards, wrong, correct)) / _kept(false_positive, false_negative)


def debiased_grpo(
    rewards: Float64Array,
    false_positive: float,
    false_negative: float,
    wrong: float = -1.0,
    correct: float = 1.0,
) -> Float64Array:
    """`backward` over the deviation √(p(1−p)) that the group would have without noise.

    p is the pass rate without noise, (mean s − ρ₀) / (1 − ρ₀ − ρ₁). Where that is nearer to 0 or 1
    than half a rollout, all that passed may be false (or all that failed): it is held at that
    distance, which bounds the advantage. Without noise this is GRPO.
    """
    success = successes(rewards, wrong, correct)
    kept = _kept(false_positive, false_negative)
    centred = dr_grpo(success) / kept
    if not np.nan_to_num(centred).any():  # no spread, or no verdict at all
        return centred
    margin = 0.5 / np.count_nonzero(~np.isnan(success))
    rate = np.clip((np.nanmean(success) - false_positive) / kept, margin, 1 - margin)
    return centred / np.sqrt(rate * (1 - rate))


def forward(
    rewards: Float64Array, false_negative: float, wrong: float = -1.0, correct: float = 1.0
) -> Float64Array:
    """ρ₁ for a rollout that passed, ρ₁ − 1 for one that failed: needs the false-negative rate alone.

    In expectation (1 − ρ₀ − ρ₁) times the advantage without noise and with the baseline 1: the clean
    direction, pushed by what is wrong. A baseline of the group's own would cancel ρ₁, so there is none.
    """
    _kept(0.0, false_negative)
    return successes(rewards, wrong, correct) + (false_negative - 1)


def _kept(false_positive: float, false_negative: float) -> float:
    """1 − ρ₀ − ρ₁, the share of the signal that the noise leaves."""
    if not (0 <= false_positive < 1 and 0 <= false_negative < 1 and false_positive + false_negative < 1):
        raise ConfigError(
            f"algorithm.advantage: false_positive={false_positive:g} and false_negative={false_negative:g} "
            "must be in 0 … 1 and add up to less than 1: such a verifier says nothing"
        )
    return 1 - false_positive - false_negative
