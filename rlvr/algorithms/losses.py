"""Policy losses: pure functions of [B, T] tensors.

Each takes the policy's log-probabilities, those of the old policy (the ratio's denominator), the
advantages, and the mask of the trained tokens. It returns the loss and diagnostics, both per token.
Outside the mask the ratio is 1 and the result is ignored. The objective adds further terms, and the
learner sums. The losses do not normalize: the batch's scales do, so that results do not depend on how
a batch is split.

If a loss has zero gradient for sequences whose advantages are all zero, such sequences are skipped.
`objective.vanishes_without_advantage` tests this by calling the loss.
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

    With `dual_clip` = c > 1, the loss of a token with A < 0 is at most −c·A: beyond r = c it has no
    gradient. Sources: PPO, arXiv 1707.06347, eq. 7; separate lower and upper bounds: DAPO, arXiv
    2503.14476, eq. 10; dual clip: arXiv 1912.09729.
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
    """PPO's clipped loss with one ratio per sequence, s = exp(mean of log r over its tokens).

    Every token has the loss of its sequence, so aggregation by sequence counts it once.
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
    """−sg(clip(r, min_ratio, max_ratio))·A·log π: clipping bounds a token's weight, not its gradient.

    Every token keeps a gradient. The bounds are absolute values of the ratio, not distances from 1 as in
    `ppo_clip`. Source: MiniMax-M1, arXiv 2506.13585, eq. 4.
    """
    if not 0 <= min_ratio < max_ratio:
        raise ValueError(f"min_ratio={min_ratio} must be ≥ 0 and below max_ratio={max_ratio}")
    ratio = (logprobs - old_logprobs).detach().exp()
    weight = ratio.clamp(min_ratio, max_ratio)
    return -weight * advantages * logprobs, _diagnostics(ratio, (weight != ratio) & (advantages != 0))


def reinforce(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """−A·log π: the score function estimator. `old_logprobs` enter only the diagnostics.

    Source: Williams (1992), "Simple statistical gradient-following algorithms".
    """
    ratio = (logprobs - old_logprobs).exp()
    return -advantages * logprobs, _diagnostics(ratio, torch.zeros_like(mask))


def _diagnostics(ratio: Tensor, stopped: Tensor) -> dict[str, Tensor]:
    """`clip_fraction`: 1 where a bound took effect, else 0; `ratio`: r; `ratio_squared`: r²."""
    ratio = ratio.detach()
    return {"clip_fraction": stopped.float(), "ratio": ratio, "ratio_squared": ratio**2}
