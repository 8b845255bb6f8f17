"""The head of a policy: log-probabilities and entropies from hidden states, without all logits at once.

The logits of K tokens over a vocabulary of V are computed in chunks of at most `CHUNK` numbers, on a GPU of
as many as its memory has room for (`chunk_for`). A single chunk is kept for the backward pass. With several,
the backward pass recomputes the logits (one more matrix product besides three), and no tensor of K·V
numbers is ever allocated.

Whether a model has such a head is decided by comparing numbers (`head_of`), not by its name.
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

CHUNK = 2**25  # logits per chunk: 128 MiB in float32, with two or three copies
# At a vocabulary of 152k tokens CHUNK is 220 rows, too few to keep a GPU busy; this is 1,766.
LARGEST_CHUNK = 2**28
LOGIT_BYTES = 16  # at the peak: products, log-probabilities, their exponentials, the gradient
LARGE = 100.0  # factor on hidden states that reveals a soft cap even if logits are small

Transform = Callable[[Tensor], Tensor]  # of logits, elementwise


class Head(nn.Module):
    """Applies a model's output layer to the hidden states of the masked tokens.

    It is a module because ZeRO-3 gathers a weight only while a module that registered it runs forward or
    backward. It has no parameters of its own: for the optimizer and checkpoints the weight is the model's.
    """

    def __init__(self, layer: nn.Linear, transform: Transform | None = None) -> None:
        super().__init__()
        self.layer = (layer,)  # in a tuple, so that it is not a submodule with a second name
        self.transform = transform
        self.chunk: int | None = None  # logits per chunk on a GPU, once known
        for parameter in layer.parameters():
            deepspeed.zero.register_external_parameter(self, parameter)

    def forward(self, hidden: Tensor, micro: MicroBatch) -> Tensor:
        """`token_statistics` [K, 1 or 2] of hidden states [K, H]; if the objective reads whole distributions,
        the logits [K, V] before temperature."""
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
            self._chunk(hidden.device),
        )

    def _chunk(self, device: torch.device) -> int:
        """Logits per chunk.

        On a GPU this is decided at the first pass, when models and float32 weights are there, and then kept:
        the last bits of a weight's gradient depend on it. Powers of two within narrow bounds make it likely
        that another process with the same settings, such as a replay, decides alike.
        """
        if device.type == "cpu":
            return CHUNK
        if self.chunk is None:
            free, _ = torch.cuda.mem_get_info(device)
            cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            self.chunk = chunk_for(free + cached)
        return self.chunk

    def logits(self, hidden: Tensor) -> Tensor:
        """The logits [..., V] of hidden states [..., H], in the weight's dtype."""
        (layer,) = self.layer
        product = nn.functional.linear(hidden.to(layer.weight.dtype), layer.weight, layer.bias)
        return product if self.transform is None else self.transform(product)


def chunk_for(free: int) -> int:
    """Logits per chunk on a GPU with so many free bytes: a power of two within CHUNK and LARGEST_CHUNK.

    It takes at most an eighth of them: activations, and the optimizer's state that the first step makes, have
    the rest.
    """
    room = max(free // (8 * LOGIT_BYTES), 1)
    return min(max(1 << (room.bit_length() - 1), CHUNK), LARGEST_CHUNK)


@torch.no_grad()
def head_of(model: PreTrainedModel) -> Head | None:
    """The head of a model in evaluation mode, or None if it computes its logits in a way not known here.

    It is known if `model(x).logits` are bit-identical to the head's logits for the hidden states of
    `model.base_model(x)`, once as they are and once multiplied by LARGE.
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
    """The transforms of logits that the model's configuration may stand for.

    One name has two meanings: Granite divides by its `logits_scaling`, others multiply by it.
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
    chunk: int | None = None,
) -> Tensor:
    """[K, 1] or [K, 2] in float32 or better: log π(target), and with `entropy` the entropy of π, in nats.

    π = softmax(transform(hidden [K, H] · weight [V, H]ᵀ + bias [V]) / temperatures [K]); targets are [K].
    `chunk` is the number of logits to compute at a time (None: CHUNK).
    Gradients go to `hidden`, `weight` and `bias`. With z the logits after temperature, p =
    exp(log_softmax(z)) and H the entropy,

        d log π(i) / dz = onehot(i) − p          dH / dz = −p (log p + H)
    """
    result: Tensor = _Statistics.apply(  # type: ignore[no-untyped-call]
        hidden, weight, bias, targets, temperatures, entropy, transform, chunk or CHUNK
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
            del logprobs, product  # freed before the next chunk is computed
            logprobs, product = _logprobs(hidden[part], weight, bias, transform, temperatures[part])
            column = [logprobs.gather(1, targets[part, None])[:, 0]]
            if entropy:
                column.append(-torch.einsum("kv,kv->k", logprobs.exp(), logprobs))
            columns.append(torch.stack(column, 1))
        width, dtype = 2 if entropy else 1, torch.promote_types(hidden.dtype, torch.float32)
        result = torch.cat(columns) if columns else hidden.new_zeros(0, width, dtype=dtype)
        kept = (logprobs, product) if len(columns) == 1 and any(ctx.needs_input_grad) else (None, None)
        # a weight partitioned over ranks is gathered again, in place, for the backward pass
        ctx.save_for_backward(hidden, weight, bias, targets, temperatures, result.detach(), *kept)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, targets, temperatures, result, *kept = ctx.saved_tensors
        of_hidden = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        of_weight: Tensor | None = None
        of_bias = torch.zeros_like(bias, dtype=result.dtype) if ctx.needs_input_grad[2] else None
        # the loss rarely includes the entropy
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
    """total + left · right; sums of several are kept in `dtype`, so that small terms are not rounded away."""
    if total is None:
        return left @ right
    if left.dtype == dtype:
        return total.addmm_(left, right)
    return total.to(dtype).add_(left @ right)


def _logprobs(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, transform: Transform | None, temperatures: Tensor
) -> tuple[Tensor, Tensor | None]:
    """log_softmax of the logits after temperature [k, V], float32 or better; logits before `transform`."""
    logits, product = nn.functional.linear(hidden, weight, bias), None
    if transform is not None:
        product, logits = logits, transform(logits)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return logits.div_(temperatures[:, None]).log_softmax(-1), product


def _before(transform: Transform, product: Tensor, by_logits: Tensor) -> Tensor:
    """The gradient with respect to the logits before `transform`, from that after it."""
    with torch.enable_grad():
        product = product.detach().requires_grad_()
        (by_product,) = torch.autograd.grad(transform(product), product, by_logits)
    return by_product
