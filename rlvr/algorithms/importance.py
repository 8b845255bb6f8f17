"""Importance weights for the mismatch between the sampler's and the learner's probabilities.

`log_ratio` [B, T] is log(π_old / π_sampler), π_old as the learner computes it. At level `sequence`
the ratio is the product over the tokens of the sequence. Each function returns the weights [B, T], and a
mask [B, T] of where they differ from the ratio. Sources: Yao et al. (2025), "Your efficient RL framework
secretly brings you off-policy RL training", for truncation; IcePop, in arXiv 2510.18855, for the band.
"""

from __future__ import annotations

import torch
from torch import Tensor


def _ratio(log_ratio: Tensor, mask: Tensor, level: str) -> Tensor:
    if level == "sequence":
        log_ratio = (log_ratio * mask).sum(1, keepdim=True).expand_as(log_ratio)
    return log_ratio.exp()


def truncate(log_ratio: Tensor, mask: Tensor, level: str, high: float) -> tuple[Tensor, Tensor]:
    """min(π_old/π_sampler, high)."""
    ratio = _ratio(log_ratio, mask, level)
    return ratio.clamp(max=high), ratio > high


def band(log_ratio: Tensor, mask: Tensor, level: str, low: float, high: float) -> tuple[Tensor, Tensor]:
    """π_old/π_sampler inside of [low, high], 0 outside."""
    ratio = _ratio(log_ratio, mask, level)
    outside = (ratio < low) | (ratio > high)
    return torch.where(outside, 0.0, ratio), outside
