"""The head of a policy: log-probabilities and entropies from hidden states, never all logits at a time.

The logits of K tokens over V of the vocabulary are made for so many tokens at a time that they stay under
`CHUNK` numbers. What fits one chunk is kept for the backward pass; else the logits are computed again there,
one more product of matrices beside the three that there are. No tensor of K·V numbers is ever made then.

Which models have such a head is not a matter of their names: `head_of` compares numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import deepspeed
import torch
from torch import Tensor, nn

from rlvr.algorithms import objective
from rlvr.learner.batching import MicroBatch
from rlvr.learner.packing import of_one_sequence

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

CHUNK = 2**25  # logits at a time: 128 MiB in float32, of which there are two or three copies
LARGE = 100.0  # a hidden state so many times as large shows a soft cap, also where logits are small

Transform = Callable[[Tensor], Tensor]  # of logits, each by itself


class Head(nn.Module):
    """What reads the hidden states of the masked tokens, with the weight of a model's output layer.

    It is a module, since ZeRO-3 has a weight whole only while a module that asks for it works, forward or
    backward. It has no parameters of its own: to the optimizer and to checkpoints the weight is the model's.
    """

    def __init__(self, layer: nn.Linear, transform: Transform | None = None) -> None:
        super().__init__()
        self.layer = (layer,)  # as an attribute it would be a part of this module, with a second name
        self.transform = transform
        for parameter in layer.parameters():
            deepspeed.zero.register_external_parameter(self, parameter)

    def forward(self, hidden: Tensor, micro: MicroBatch) -> Tensor:
        """Of hidden states [K, H] `token_statistics` [K, 1 or 2], or, where the objective reads whole
        distributions, the logits [K, V], before temperature."""
        if micro.reference_logits:
            return self.logits(hidden)
        (layer,) = self.layer
        return token_statistics(
            hidden.to(layer.weight.dtype),
            layer.weight,
            micro.targets,
            micro.temperatures[micro.rows],
            objective.reads_entropy(micro.columns),
            layer.bias,
            self.transform,
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """Those of all hidden states [..., H]: [..., V] in the weight's dtype."""
        (layer,) = self.layer
        product = nn.functional.linear(hidden.to(layer.weight.dtype), layer.weight, layer.bias)
        return product if self.transform is None else self.transform(product)


@torch.no_grad()
def head_of(model: PreTrainedModel) -> Head | None:
    """The head of a model in evaluation mode, or None where its logits are made in a way not known here.

    It is known if `model(x).logits` are, to the bit, what the head makes of the hidden states of
    `model.base_model(x)`; one of the two is made large before the output layer reads it.
    """
    layer, body = model.get_output_embeddings(), model.base_model
    if type(layer) is not nn.Linear or body is model:
        return None
    inputs = of_one_sequence(torch.tensor([[0, 1]], device=model.device), model)
    sizes = torch.tensor([[1.0], [LARGE]], dtype=layer.weight.dtype, device=model.device)
    hook = layer.register_forward_pre_hook(lambda module, given: given[0] * sizes)
    try:
        logits = model(**inputs).logits
    finally:
        hook.remove()
    hidden = body(**inputs).last_hidden_state
    if hidden.shape[-1] != layer.in_features:
        return None
    heads = (Head(layer, transform) for transform in _transforms(model.config.get_text_config()))
    large = hidden.to(layer.weight.dtype) * sizes
    return next((head for head in heads if torch.equal(head.logits(large).to(logits.dtype), logits)), None)


def _transforms(config: PretrainedConfig) -> Iterator[Transform | None]:
    """What a model may do to its logits, by the settings that it may have for this.

    One name says two things: Granite divides by its `logits_scaling`, others multiply by it.
    """
    yield None
    for name in ("logit_scale", "logits_scaling", "lm_head_multiplier"):
        if factor := getattr(config, name, None):
            yield partial(torch.mul, other=factor)
            yield partial(torch.div, other=factor)
    for name in ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap"):
        if cap := getattr(config, name, None):
            yield partial(_soft_cap, cap=cap)


def _soft_cap(logits: Tensor, cap: float) -> Tensor:
    return torch.tanh(logits / cap) * cap


def token_statistics(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    temperatures: Tensor,
    entropy: bool,
    bias: Tensor | None = None,
    transform: Transform | None = None,
) -> Tensor:
    """[K, 1] or [K, 2] in float32 or better: log π(target), and with `entropy` that of π, in nats.

    π = softmax(transform(hidden [K, H] · weight [V, H]ᵀ + bias [V]) / temperatures [K]); targets are [K].
    Gradients go to `hidden`, `weight` and `bias`. With z the logits after temperature, p =
    exp(log_softmax(z)) and H the entropy,

        d log π(i) / dz = onehot(i) − p          dH / dz = −p (log p + H)
    """
    result: Tensor = _Statistics.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, targets, temperatures, entropy, transform, CHUNK
    )
    return result


class _Statistics(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        temperatures: Tensor,
        entropy: bool,
        transform: Transform | None,
        chunk: int,
    ) -> Tensor:
        ctx.rows, ctx.transform = max(chunk // weight.shape[0], 1), transform
        logprobs, product, columns = None, None, []
        for start in range(0, len(hidden), ctx.rows):
            part = slice(start, start + ctx.rows)
            del logprobs, product  # before the next are made
            logprobs, product = _logprobs(hidden[part], weight, bias, transform, temperatures[part])
            column = [logprobs.gather(1, targets[part, None])[:, 0]]
            if entropy:
                column.append(-torch.einsum("kv,kv->k", logprobs.exp(), logprobs))
            columns.append(torch.stack(column, 1))
        width, dtype = 2 if entropy else 1, torch.promote_types(hidden.dtype, torch.float32)
        result = torch.cat(columns) if columns else hidden.new_zeros(0, width, dtype=dtype)
        kept = (logprobs, product) if len(columns) == 1 and any(ctx.needs_input_grad) else (None, None)
        # a head that is partitioned over ranks is whole again by the backward pass, in place
        ctx.save_for_backward(hidden, weight, bias, targets, temperatures, result.detach(), *kept)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, temperatures, result, *kept = ctx.saved_tensors
        of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        of_weight: Tensor | None = None
        of_bias = torch.zeros_like(bias, dtype=result.dtype) if ctx.needs_input_grad[2] else None
        # most often the entropy has no part in the loss
        entropy = gradient.shape[1] == 2 and bool(gradient[:, 1].any())
        for start in range(0, len(hidden), ctx.rows):
            part = slice(start, start + ctx.rows)
            logprobs, product = kept
            if logprobs is None:
                logprobs, product = _logprobs(hidden[part], weight, bias, ctx.transform, temperatures[part])
            by_logprob, by_entropy = gradient[part, :1], gradient[part, 1:]
            scale = -by_logprob
            if entropy:
                scale = scale - by_entropy * (logprobs + result[part, 1:])
            by_logits = logprobs.exp().mul_(scale)
            del logprobs, scale
            by_logits.scatter_add_(1, targets[part, None], by_logprob)
            by_logits = by_logits.div_(temperatures[part, None]).to(weight.dtype)
            if product is not None:
                by_logits = _before(ctx.transform, product, by_logits)
                del product
            if of_hidden is not None:
                torch.mm(by_logits, weight, out=of_hidden[part])
            if ctx.needs_input_grad[1]:
                of_weight = _add_product(of_weight, by_logits.T, hidden[part], result.dtype)
            if of_bias is not None:
                of_bias += by_logits.sum(0, dtype=result.dtype)
        if ctx.needs_input_grad[1]:
            of_weight = torch.zeros_like(weight) if of_weight is None else of_weight.to(weight.dtype)
        if of_bias is not None:
            of_bias = of_bias.to(bias.dtype)
        return of_hidden, of_weight, of_bias, None, None, None, None, None


def _add_product(total: Tensor | None, left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """total + left · right; a sum of several has this dtype, so that small ones are not rounded away."""
    if total is None:
        return left @ right
    if left.dtype == dtype:
        return total.addmm_(left, right)
    return total.to(dtype).add_(left @ right)


def _logprobs(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, transform: Transform | None, temperatures: Tensor
) -> tuple[Tensor, Tensor | None]:
    """log_softmax of the logits after temperature [k, V], float32 or better; and a transform's argument."""
    logits, product = nn.functional.linear(hidden, weight, bias), None
    if transform is not None:
        product, logits = logits, transform(logits)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.div_(temperatures[:, None]).log_softmax(-1), product


def _before(transform: Transform, product: Tensor, by_logits: Tensor) -> Tensor:
    """The gradient by what is transformed, from that by the logits."""
    with torch.enable_grad():
        product = product.detach().requires_grad_()
        (by_product,) = torch.autograd.grad(transform(product), product, by_logits)
    return by_product
