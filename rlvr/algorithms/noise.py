"""Advantages corrected for known error rates of the verifier: rewards [G] in, advantages [G] out, float64.

The noise model: a wrong rollout passes with probability `false_positive`, and a right one fails with
probability `false_negative`, independent of everything else. `rlvr audit` estimates both. An observed
reward is `correct` or `wrong`. Source: arXiv 2510.00915 (its backward and forward corrections). NaN has the
same meaning as in `rlvr.algorithms.group_relative`.
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

    s ∈ {0, 1} is whether the rollout passed; ρ₀ is `false_positive`, ρ₁ `false_negative`. The result is
    Dr. GRPO's advantage of s, times a constant: which verdicts of a group are false is unknown.
    """
    return dr_grpo(successes(rewards, wrong, correct)) / _kept(false_positive, false_negative)


def debiased_grpo(
    rewards: Float64Array,
    false_positive: float,
    false_negative: float,
    wrong: float = -1.0,
    correct: float = 1.0,
) -> Float64Array:
    """`backward` divided by √(p(1−p)), the standard deviation of the group without noise.

    p is the estimated pass rate without noise, (mean s − ρ₀) / (1 − ρ₀ − ρ₁). It is clipped to stay half a
    rollout away from 0 and 1, which bounds the advantage: beyond that, all passes (or all failures) may be
    false. Without noise this is GRPO.
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
    """ρ₁ for a rollout that passed, ρ₁ − 1 for one that failed: needs only the false-negative rate.

    Its expectation is (1 − ρ₀ − ρ₁) times the noise-free advantage with baseline 1, so the gradient has the
    noise-free direction, and mainly wrong rollouts contribute. A group baseline would cancel ρ₁, so none is
    subtracted.
    """
    _kept(0.0, false_negative)
    return successes(rewards, wrong, correct) + (false_negative - 1)


def _kept(false_positive: float, false_negative: float) -> float:
    """1 − ρ₀ − ρ₁, the share of the signal that remains under the noise."""
    if not (0 <= false_positive < 1 and 0 <= false_negative < 1 and false_positive + false_negative < 1):
        raise ConfigError(
            f"algorithm.advantage: false_positive={false_positive:g} and false_negative={false_negative:g} "
            "must be in 0 … 1 and add up to less than 1: otherwise verdicts carry no information"
        )
    return 1 - false_positive - false_negative
