"""The two kinds of model that a learner trains, policy and value model: micro-batch in, token values out."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from rlvr.algorithms.objective import in_rows
from rlvr.learner.batching import MicroBatch
from rlvr.learner.head import head_of, over_sets, places_in


class TokenModel(nn.Module):
    """A model with an output for every masked token of a micro-batch of B sequences, and 0 for all others.

    After a backward pass `hidden_gradient` [B, H] has the gradient of each sequence's share of the loss with
    respect to a bias on the hidden states that the head reads: a cheap proxy of per-sequence gradients.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.hidden_gradient: Tensor | None = None

    def _read(self, states: Tensor, micro: MicroBatch) -> Tensor:
        """The last hidden states from which the masked tokens are predicted [K, H], for the head."""
        hidden = _masked(states, micro)
        if hidden.requires_grad:
            hidden.register_hook(partial(self._keep, micro))  # type: ignore[no-untyped-call]
        return hidden

    def _keep(self, micro: MicroBatch, gradient: Tensor) -> None:
        zeros = gradient.new_zeros(len(micro.tokens), gradient.shape[-1], dtype=torch.float64)
        self.hidden_gradient = zeros.index_add_(0, micro.rows, gradient.double())


class Policy(TokenModel):
    """A causal language model, initially in evaluation mode, that outputs log-probabilities.

    Its body computes hidden states; its head (`rlvr.learner.head`) reads only those of the masked tokens. If
    the head is None, the model itself computes the logits, of all tokens.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.head = head_of(model)

    def forward(self, micro: MicroBatch) -> dict[str, Tensor]:
        """`logprobs` [B, L−1−first] of tokens first+1 … L−1; `entropy`, likewise, if the objective reads it,
        or instead the `logits` [K, V], divided by the temperatures. All float32. With a sampling mask all are
        those of the softmax over each token's set; the logits are [K, M], in the order of the sets."""
        if self.head is None:
            logits = self._own_logits(micro)
        else:
            states = self.model.base_model(**_inputs(micro)).last_hidden_state
            said = self.head(self._read(states, micro), micro)
            if not micro.reference_logits:
                names = ("logprobs", "entropy")[: said.shape[1]]
                return {name: in_rows(said[:, i], micro.mask) for i, name in enumerate(names)}
            logits = said
        logits, targets = logits.float() / micro.temperatures[micro.rows, None], micro.targets
        if micro.sampling_mask is not None:
            logits = over_sets(logits, micro.sampling_mask)
            targets = places_in(micro.sampling_mask, targets)
        nll = nn.functional.cross_entropy(logits, targets, reduction="none")
        return {"logprobs": in_rows(-nll, micro.mask), "logits": logits}

    def _own_logits(self, micro: MicroBatch) -> Tensor:
        """The logits [K, V] as the model computes them; a hook on its output layer keeps the gradient."""

        def keep(gradient: Tensor) -> None:
            # sequences with a shared prompt share its last position: each gets an equal part of the gradient
            times = torch.bincount(micro.kept)[micro.kept]
            self._keep(micro, _masked(gradient, micro) / times[:, None])

        def watch(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if inputs[0].requires_grad:
                inputs[0].register_hook(keep)  # type: ignore[no-untyped-call]

        hook = self.model.get_output_embeddings().register_forward_pre_hook(watch)
        try:
            logits = self.model(**_inputs(micro)).logits
        finally:
            hook.remove()
        return _masked(logits, micro)


class ValueModel(TokenModel):
    """The body of a language model with a head of one number per token, initially zero."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.head = nn.Linear(model.config.get_text_config().hidden_size, 1, dtype=model.dtype)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, micro: MicroBatch) -> dict[str, Tensor]:
        """`values` [B, L−1−first] float32: the expected return before each of tokens first+1 … L−1 is
        sampled. Temperatures are ignored."""
        hidden = self._read(self.model(**_inputs(micro)).last_hidden_state, micro)
        return {"values": in_rows(self.head(hidden)[:, 0].float(), micro.mask)}


def _inputs(micro: MicroBatch) -> dict[str, Any]:
    """The model's inputs. `use_cache` is off here, since training needs no KV cache."""
    if micro.packed is None:
        return {"input_ids": micro.tokens[:, :-1], "use_cache": False}
    return {
        "input_ids": micro.packed.tokens,
        "position_ids": micro.packed.positions,
        "packed_layout": micro.packed.layout,
        "use_cache": False,
    }


def _masked(values: Tensor, micro: MicroBatch) -> Tensor:
    """The values [K, ...] at the positions from which the masked tokens are predicted, out of those at all
    positions, [B, L−1, ...] or packed [1, S, ...]."""
    if micro.packed is None:
        values = values[:, micro.first :]
    return values.flatten(0, 1).index_select(0, micro.kept)


def recompute_activations(model: PreTrainedModel) -> None:
    """Make the layers of a model in evaluation mode recompute their activations in the backward pass.

    transformers' layers do so in training mode only, which also switches dropout on. So they are in training
    mode until they begin to compute.
    """
    model.gradient_checkpointing_enable()
    for layer in model.modules():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.training = True
            layer.register_forward_pre_hook(lambda layer, _: setattr(layer, "training", False))
            # also where recomputation ends a layer early, by an exception
            layer.register_forward_hook(lambda layer, *_: setattr(layer, "training", True), always_call=True)


@torch.no_grad()
def signal_to_noise(gradients: Tensor) -> float:
    """‖mean‖² / variance of the mean, for K groups' gradients [K, H]; about 1 if they are only noise.

    The mean of K groups is off by tr(S)/K in expected square, S the groups' sample covariance; K ≥ 2.
    """
    groups = gradients.shape[0]
    mean = gradients.mean(0)
    noise = ((gradients - mean) ** 2).sum() / (groups - 1) / groups
    return float((mean**2).sum() / noise) if noise > 0 else 0.0
