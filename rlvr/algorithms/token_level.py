"""Advantages per token of one rollout, from rewards per token.

`token_rewards` [T] and `values` [T] cover the sampled tokens only, in order. The verdict's reward is at
the last token; a KL penalty in the reward (`algorithm.kl.place=reward`) is at every token.
`values[t]` is the value model's estimate before token t was sampled. All float64.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]


def reward_to_go(token_rewards: Float64Array, gamma: float = 1.0) -> Float64Array:
    """Σ_{i ≥ t} γ^(i−t) r_i: with γ = 1 the reward minus the penalties from token t on.

    Source: REINFORCE++, arXiv 2501.03262.
    """
    return _discounted_sum(token_rewards, gamma)


def gae(
    token_rewards: Float64Array, values: Float64Array, gamma: float = 1.0, lam: float = 1.0
) -> Float64Array:
    """Σ_{i ≥ t} (γλ)^(i−t) δ_i with δ_i = r_i + γ V_{i+1} − V_i, and V = 0 after the last token.

    Source: generalized advantage estimation, arXiv 1506.02438, equation 16.
    """
    following = np.append(values[1:], 0.0)
    return _discounted_sum(token_rewards + gamma * following - values, gamma * lam)


def _discounted_sum(terms: Float64Array, factor: float) -> Float64Array:
    result = np.zeros_like(terms)
    running = 0.0
    for place in range(len(terms) - 1, -1, -1):
        running = terms[place] + factor * running
        result[place] = running
    return result
