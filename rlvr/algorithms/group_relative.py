"""Advantages of one group: rewards [G] in, advantages [G] out, both float64.

A reward of NaN marks a rollout whose check did not finish. It is left out of every baseline, and its own
advantage is NaN, so that it cannot be trained on by accident. No epsilon is added to a deviation: groups
of equal rewards are handled separately.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rlvr.types import ConfigError

Float64Array = npt.NDArray[np.float64]


def grpo(rewards: Float64Array) -> Float64Array:
    """(R − mean) / σ over the group, σ the population deviation; 0 where all rewards are equal.

    Source: DeepSeekMath, arXiv 2402.03300, section 4.1.2.
    """
    centred = dr_grpo(rewards)
    return centred if _alike(rewards) else centred / np.nanstd(rewards)


def dr_grpo(rewards: Float64Array) -> Float64Array:
    """R − mean over the group: no division by σ, which favours problems that are easy or hard.

    Source: Dr. GRPO, arXiv 2503.20783.
    """
    # by rounding, the mean of equal numbers may differ from them
    return rewards * 0.0 if _alike(rewards) else rewards - np.nanmean(rewards)


def rloo(rewards: Float64Array) -> Float64Array:
    """R_i − mean of the others = n/(n−1) · (R_i − mean), with n the number of rewards that are not NaN.

    If there is only one, its advantage is 0. Source: arXiv 2402.14740.
    """
    reached = int(np.count_nonzero(~np.isnan(rewards)))
    return dr_grpo(rewards) * (reached / max(reached - 1, 1))


def max_rl(rewards: Float64Array, wrong: float = 0.0, correct: float = 1.0) -> Float64Array:
    """(s − p) / p with s ∈ {0, 1} the success of a rollout and p its mean; 0 without a success.

    With G rollouts the expected gradient is that of −Σ_{k<G} (1−p)^k / k, the truncated series of log p:
    hard problems get more weight. `wrong` and `correct` are the rewards for s = 0 and s = 1.
    Source: Maximum Likelihood Reinforcement Learning, arXiv 2602.02710.
    """
    success = successes(rewards, wrong, correct)
    centred = dr_grpo(success)
    return centred if _alike(rewards) else centred / np.nanmean(success)


def successes(rewards: Float64Array, wrong: float, correct: float) -> Float64Array:
    """1 where the reward is `correct`, 0 where it is `wrong`, NaN where it is NaN.

    Raises:
        ConfigError: there is another reward, which such an advantage does not define.
    """
    if wrong == correct:
        raise ConfigError(f"algorithm.advantage: wrong and correct are both {wrong:g}: they must differ")
    success = (rewards - wrong) / (correct - wrong)
    if not np.isin(success[~np.isnan(success)], (0.0, 1.0)).all():
        raise ConfigError(
            f"algorithm.advantage needs rewards of wrong={wrong:g} or correct={correct:g}, but a group "
            f"has {sorted(set(rewards.tolist()))}: set its arguments `wrong` and `correct`, or remove other "
            "reward functions from the sum"
        )
    return success


def raw(rewards: Float64Array) -> Float64Array:
    """The rewards themselves: REINFORCE without a baseline, or with whitening as its only baseline."""
    return rewards.copy()


def no_advantage(rewards: Float64Array) -> Float64Array:
    """0 for every reward that is not NaN: only the other terms of the loss have a gradient."""
    return rewards * 0.0


def _alike(rewards: Float64Array) -> bool:
    """Whether all rewards that are not NaN are equal; True if there are none."""
    reached = rewards[~np.isnan(rewards)]
    return reached.size == 0 or np.ptp(reached) == 0
