"""Policy losses: pure functions of [B, T] tensors; the objective adds to them, the learner sums.

Each takes the policy's log-probabilities, those of the old policy (the ratio's denominator), the
advantages, and the mask of the tokens that count, and returns the loss of every token with
diagnostics, also per token. Outside the mask the ratio is 1 and the result is not looked at. None
of them normalizes: the scales are shares of a total over the whole batch that only the learner's
caller knows, so that cutting a batch up changes nothing.

A loss whose gradient is zero where all advantages of a sequence are zero costs nothing there: such
sequences are skipped. That is found out by trying (`objective.vanishes_without_advantage`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

PolicyLoss = Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, dict[str, Tensor]]]


def ppo_clip(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    dual_clip: float | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """−min(r·A, clip(r, 1−clip_low, 1+clip_high)·A) with r = π/π_old.

    With `dual_clip` = c > 1, a token with A < 0 loses no more than −c·A: beyond r = c it has no
    gradient. Sources: PPO, arXiv 1707.06347, eq. 7; an upper bound of its own is DAPO's, arXiv
    2503.14476, eq. 10; the dual clip is arXiv 1912.09729's.
    """
    if not (0 <= clip_low <= 1 and clip_high >= 0 and (dual_clip is None or dual_clip > 1)):
        raise ValueError(
            f"clip_low={clip_low} must be in 0 … 1, clip_high={clip_high} ≥ 0, dual_clip={dual_clip} above 1"
        )
    ratio = (logprobs - old_logprobs).exp()
    unclipped = ratio * advantages
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high) * advantages
    loss = -torch.minimum(unclipped, clipped)
    stopped = clipped < unclipped
    if dual_clip is not None:
        limit = -dual_clip * advantages
        beyond = (advantages < 0) & (loss > limit)
        loss = torch.where(beyond, limit, loss)
        stopped = stopped | beyond
    return loss, _diagnostics(ratio, stopped)


def gspo(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float = 3e-4,
    clip_high: float = 4e-4,
) -> tuple[Tensor, dict[str, Tensor]]:
    """PPO's clipped loss with one ratio for a sequence, s = exp(mean over its tokens of log r).

    Every token of the sequence has the sequence's loss, so aggregation by sequence counts it once.
    Source: GSPO, arXiv 2507.18071, equations 5 to 7, and section 5.1 for the bounds.
    """
    log_ratio = ((logprobs - old_logprobs) * mask).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(1)
    return ppo_clip(
        log_ratio.expand_as(logprobs), torch.zeros_like(logprobs), advantages, mask, clip_low, clip_high
    )


def cispo(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    max_ratio: float = 5.0,
    min_ratio: float = 0.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """−sg(clip(r, min_ratio, max_ratio))·A·log π: the ratio is a bounded weight, never a gate.

    Every token keeps a gradient. The bounds are those of the ratio itself, where others count from
    1. Source: MiniMax-M1, arXiv 2506.13585, eq. 4.
    """
    if not 0 <= min_ratio < max_ratio:
        raise ValueError(f"min_ratio={min_ratio} must be ≥ 0 and below max_ratio={max_ratio}")
    ratio = (logprobs - old_logprobs).detach().exp()
    weight = ratio.clamp(min_ratio, max_ratio)
    return -weight * advantages * logprobs, _diagnostics(ratio, (weight != ratio) & (advantages != 0))


def reinforce(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """−A·log π: the score function alone. `old_logprobs` have no part in the gradient.

    Source: Williams (1992), "Simple statistical gradient-following algorithms".
    """
    ratio = (logprobs - old_logprobs).exp()
    return -advantages * logprobs, _diagnostics(ratio, torch.zeros_like(mask))


def _diagnostics(ratio: Tensor, stopped: Tensor) -> dict[str, Tensor]:
    """`clip_fraction` marks tokens that a bound changed, `ratio` is r, `ratio_squared` its square."""
    ratio = ratio.detach()
    return {"clip_fraction": stopped.float(), "ratio": ratio, "ratio_squared": ratio**2}
