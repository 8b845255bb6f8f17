"""Token losses: pure functions of [B, T] tensors; the learner masks, sums and divides.

Each takes the policy's log-probabilities, those of the policy that drew the tokens, and the
tokens' weights (advantages; 1 for supervised learning), and returns the loss of every token with
diagnostics, also per token. None of them normalizes: the denominator is a total over the whole
batch that only the learner's caller knows, so that cutting a batch up changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TokenLoss = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, dict[str, Tensor]]]


def negative_log_likelihood(
    logprobs: Tensor, old_logprobs: Tensor, weights: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """−w·log π: next-token loss with w = 1. `old_logprobs` has no part in it."""
    return -weights * logprobs, {}


def ppo_clip(
    logprobs: Tensor,
    old_logprobs: Tensor,
    weights: Tensor,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
) -> tuple[Tensor, dict[str, Tensor]]:
    """−min(r·A, clip(r, 1−clip_low, 1+clip_high)·A) with r = π/π_old and A = `weights`.

    Source: PPO, arXiv 1707.06347, eq. 7; the upper bound of its own is DAPO's, arXiv 2503.14476,
    eq. 10. Diagnostics: `clip_fraction` marks tokens whose gradient the clip removed, `ratio` is
    r, `kl` the k3 estimate of KL(π_old ‖ π) from tokens that π_old drew.
    """
    log_ratio = logprobs - old_logprobs
    ratio = log_ratio.exp()
    unclipped = ratio * weights
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high) * weights
    with torch.no_grad():
        diagnostics = {
            "clip_fraction": (clipped < unclipped).float(),
            "ratio": ratio.detach(),
            "kl": ratio - 1 - log_ratio,
        }
    return -torch.minimum(unclipped, clipped), diagnostics
