"""What the learner minimizes: functions of a model's output, the batch's columns and the mask.

Each returns the loss per token, [B, T], and diagnostics, either per token or per unit of rows ([B / unit],
see `TrainingBatch`). The learner sums the loss with the batch's scales, and averages the diagnostics over
the masked tokens or over the units. Columns by name:

    advantages            for the policy objective
    sampler_logprobs      log-probabilities of the policy that sampled the tokens, as vLLM computed them
    old_logprobs          the ratio's denominator; absent if it is the policy before this update
    reference_logprobs    of the reference model, if a KL term or its metric needs them
    returns, values       for the value objective: its target, and its estimate before the update

A model's outputs are `logprobs` or `values`, [B, T], and `entropy`, [B, T], if `reads_entropy`. Instead of
`entropy` there may be logits over the vocabulary, and there always are if the batch asks for
`reference_logits`: `logits` and `reference_logits`, [B, T, V], or [K, V] for the K masked tokens alone, in
the order of `mask.nonzero()`. Where sampling was truncated, all of these are over each token's set, and both
logits have the same M tokens of it in place of V.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from rlvr.algorithms.kl import full, k3
from rlvr.algorithms.losses import PolicyLoss
from rlvr.types import ConfigError

Columns = Mapping[str, Tensor]
Objective = Callable[[Columns, Columns, Tensor], tuple[Tensor, dict[str, Tensor]]]


def supervised(outputs: Columns, columns: Columns, mask: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """−log π: next-token loss."""
    return -outputs["logprobs"], {}


def policy(
    outputs: Columns,
    columns: Columns,
    mask: Tensor,
    *,
    loss: PolicyLoss,
    kl: Callable[[Tensor], Tensor] | None = None,
    kl_coef: float = 0.0,
    entropy_coef: float = 0.0,
    correction: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """w·loss + kl_coef·kl(log π/π_ref) − entropy_coef·H, with w the sampler correction.

    `outputs` holds `logprobs`, and `entropy` or `logits`, after temperature. `kl` is a function of
    `rlvr.algorithms.kl`, `correction` one of `rlvr.algorithms.importance`, bound to its settings. With
    `reference_logits` among the outputs the KL term is exact, and `kl` is not used. Diagnostics
    beside those of the loss: `entropy`; `logprob_gap`, |log π/π_sampler|; `sampler_kl`,
    KL(π_sampler ‖ π), and `reference_kl`, KL(π ‖ π_ref), by k3 at the sampled tokens unless exact;
    `correction`, w; `corrected`, 1 where w differs from the ratio.
    """
    logprobs = outputs["logprobs"]
    # outside the mask nothing was sampled: ratio 1 and advantage 0 keep the values there finite
    advantages = columns["advantages"].masked_fill(~mask, 0)
    sampler = torch.where(mask, columns["sampler_logprobs"], logprobs.detach())
    old = logprobs.detach()
    if "old_logprobs" in columns:
        old = torch.where(mask, columns["old_logprobs"], old)
    per_token, diagnostics = loss(logprobs, old, advantages, mask)
    if not per_token.requires_grad:  # the loss may be a constant if all advantages are 0
        per_token = per_token + 0 * logprobs
    if correction is not None:
        weight, corrected = correction(old - sampler, mask)
        per_token = per_token * weight
        diagnostics |= {"correction": weight, "corrected": corrected.float()}
    with torch.set_grad_enabled(entropy_coef != 0 and torch.is_grad_enabled()):
        entropy = outputs["entropy"] if "entropy" in outputs else in_rows(_entropy(outputs["logits"]), mask)
    if entropy_coef:
        per_token = per_token - entropy_coef * entropy
    if "reference_logits" in outputs:
        divergence = in_rows(full(outputs["logits"], outputs["reference_logits"]), mask)
        per_token = per_token + kl_coef * divergence
        diagnostics["reference_kl"] = divergence.detach()
    elif "reference_logprobs" in columns:
        reference = torch.where(mask, columns["reference_logprobs"], logprobs.detach())
        if kl is not None:
            per_token = per_token + kl_coef * kl(logprobs - reference)
        diagnostics["reference_kl"] = k3((logprobs - reference).detach())
    gap = (logprobs - sampler).detach()
    return per_token, diagnostics | {
        "entropy": entropy.detach(),
        "logprob_gap": gap.abs(),
        "sampler_kl": k3(-gap),
    }


def value(
    outputs: Columns, columns: Columns, mask: Tensor, *, clip: float | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    """½ (V − R)²; with `clip`, the maximum of this and ½ (clip(V, V_old ± clip) − R)².

    Source: the value loss of PPO's reference implementation; see arXiv 2006.05990, section 3.
    Diagnostics: `value`, and for the explained variance `value_error`, (V − R)², `returns` and
    `returns_squared`.
    """
    values, returns = outputs["values"], columns["returns"].masked_fill(~mask, 0)
    error = (values - returns) ** 2
    worst = error
    if clip is not None:
        old = columns["values"].masked_fill(~mask, 0)
        near = old + (values - old).clamp(-clip, clip)
        worst = torch.maximum(error, (near - returns) ** 2)
    return worst / 2, {
        "value": values.detach(),
        "value_error": error.detach(),
        "returns": returns,
        "returns_squared": returns**2,
    }


def reads_entropy(columns: Columns) -> bool:
    """Whether the objective reads the entropy per token: only `policy` does, and only it has advantages."""
    return "advantages" in columns


def in_rows(values: Tensor, mask: Tensor) -> Tensor:
    """Scatters values of the masked tokens [K] to [B, T], 0 elsewhere; returns values [B, T] unchanged."""
    return (
        values
        if values.dim() == 2
        else torch.zeros_like(mask, dtype=values.dtype).masked_scatter(mask, values)
    )


def _entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax over the last dimension, in nats."""
    return logits.logsumexp(-1) - (logits.softmax(-1) * logits).sum(-1)


def vanishes_without_advantage(loss: PolicyLoss) -> bool:
    """Whether a loss has zero gradient for a sequence whose advantages are zero, by calling it.

    Raises:
        ConfigError: it cannot be called, or its result has another shape.
    """
    generator = torch.Generator().manual_seed(0)
    logprobs, old = -3 * torch.rand(2, 3, 5, generator=generator).double()
    logprobs.requires_grad_()
    mask = torch.arange(5) < torch.tensor([[5], [3], [1]])
    try:
        per_token, diagnostics = loss(logprobs, old, torch.zeros_like(old), mask)
        results = {"the loss": per_token, **diagnostics}
    # any exception of a user's function is an error in the configuration
    except Exception as error:
        raise ConfigError(
            f"algorithm.loss: called with three sequences of five tokens it raised {error!r}; it must take "
            "logprobs, old_logprobs, advantages and mask, all [B, T], and return the loss and a dict of "
            "diagnostics"
        ) from error
    for name, result in results.items():
        if not isinstance(result, Tensor) or result.shape != old.shape:
            shape = list(result.shape) if isinstance(result, Tensor) else type(result).__name__
            raise ConfigError(f"algorithm.loss: {name} is {shape}, but must be [B, T] like the logprobs")
    if not per_token.requires_grad:
        return True
    (gradient,) = torch.autograd.grad(per_token.sum(), logprobs, allow_unused=True)
    return gradient is None or not gradient[mask].any()
