"""Log-probabilities and entropies from hidden states, without the logits of all tokens at a time.

The logits of K tokens over V of the vocabulary are made for so many tokens at a time that they stay under
`CHUNK` numbers. What fits one chunk is kept for the backward pass; else the logits are computed again there,
one more product of matrices beside the three that there are. No tensor of K·V numbers is ever made then.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

CHUNK = 2**25  # logits at a time: 128 MiB in float32, of which there are two or three copies


def token_statistics(
    hidden: Tensor, weight: Tensor, targets: Tensor, temperatures: Tensor, entropy: bool
) -> Tensor:
    """[K, 1] or [K, 2] in float32 or better: log π(target), and with `entropy` that of π, in nats.

    π = softmax(hidden [K, H] · weight [V, H]ᵀ / temperatures [K]); targets are [K]. Gradients go to `hidden`
    and `weight`. With z the logits after temperature, p = exp(log_softmax(z)) and H the entropy,

        d log π(i) / dz = onehot(i) − p          dH / dz = −p (log p + H)
    """
    result: Tensor = _Statistics.apply(  # type: ignore[no-untyped-call]
        hidden, weight, targets, temperatures, entropy, CHUNK
    )
    return result


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        temperatures: Tensor,
        entropy: bool,
        chunk: int,
    ) -> Tensor:
        ctx.rows = max(chunk // weight.shape[0], 1)
        logprobs, columns = None, []
        for start in range(0, len(hidden), ctx.rows):
            part = slice(start, start + ctx.rows)
            del logprobs  # before the next are made
            logprobs = _logprobs(hidden[part], weight, temperatures[part])
            column = [logprobs.gather(1, targets[part, None])[:, 0]]
            if entropy:
                column.append(-torch.einsum("kv,kv->k", logprobs.exp(), logprobs))
            columns.append(torch.stack(column, 1))
        width, dtype = 2 if entropy else 1, torch.promote_types(hidden.dtype, torch.float32)
        result = torch.cat(columns) if columns else hidden.new_zeros(0, width, dtype=dtype)
        # a head that is partitioned over ranks is whole again by the backward pass, in place
        kept = logprobs if len(columns) == 1 and any(ctx.needs_input_grad) else None
        ctx.save_for_backward(hidden, weight, targets, temperatures, result.detach(), kept)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, temperatures, result, kept = ctx.saved_tensors
        of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        of_weight: Tensor | None = None
        # most often the entropy has no part in the loss
        entropy = gradient.shape[1] == 2 and bool(gradient[:, 1].any())
        for start in range(0, len(hidden), ctx.rows):
            part = slice(start, start + ctx.rows)
            logprobs = kept if kept is not None else _logprobs(hidden[part], weight, temperatures[part])
            by_logprob, by_entropy = gradient[part, :1], gradient[part, 1:]
            scale = -by_logprob
            if entropy:
                scale = scale - by_entropy * (logprobs + result[part, 1:])
            by_logits = logprobs.exp().mul_(scale)
            del logprobs, scale
            by_logits.scatter_add_(1, targets[part, None], by_logprob)
            by_logits = by_logits.div_(temperatures[part, None]).to(weight.dtype)
            if of_hidden is not None:
                torch.mm(by_logits, weight, out=of_hidden[part])
            if ctx.needs_input_grad[1]:
                of_weight = _add_product(of_weight, by_logits.T, hidden[part], result.dtype)
        if ctx.needs_input_grad[1]:
            of_weight = torch.zeros_like(weight) if of_weight is None else of_weight.to(weight.dtype)
        return of_hidden, of_weight, None, None, None, None


def _add_product(total: Tensor | None, left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """total + left · right; a sum of several has this dtype, so that small ones are not rounded away."""
    if total is None:
        return left @ right
    if left.dtype == dtype:
        return total.addmm_(left, right)
    return total.to(dtype).add_(left @ right)


def _logprobs(hidden: Tensor, weight: Tensor, temperatures: Tensor) -> Tensor:
    """log_softmax of the logits after temperature: [k, V], float32 or better."""
    logits = nn.functional.linear(hidden, weight)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.div_(temperatures[:, None]).log_softmax(-1)
