"""The two kinds of model that a learner trains, behind one call: micro-batches in, numbers of tokens out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from rlvr.algorithms import objective
from rlvr.algorithms.objective import in_rows
from rlvr.learner.batching import MicroBatch
from rlvr.learner.head import token_statistics
from rlvr.learner.packing import of_one_sequence


class TokenModel(nn.Module):
    """A model that says something of every masked token of a micro-batch of B sequences, and 0 of the others.

    After a backward pass `hidden_gradient` [B, H] is the gradient of each sequence's share of the loss by a
    bias on the hidden states that the model's head reads: a cheap view of how the sequences pull.
    """

    def __init__(self, model: PreTrainedModel, head: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.hidden_gradient: Tensor | None = None
        self.micro: MicroBatch | None = None  # of the forward pass that is under way
        head.register_forward_pre_hook(self._watch)

    def _watch(self, head: nn.Module, inputs: tuple[Any, ...]) -> None:
        hidden, micro = inputs[0], self.micro
        if micro is None or not hidden.requires_grad:
            return

        def keep(gradient: Tensor) -> None:
            if micro.packed is None:
                self.hidden_gradient = gradient.detach().sum(1).double()
                return
            zeros = gradient.new_zeros(len(micro.tokens), gradient.shape[-1], dtype=torch.float64)
            self.hidden_gradient = zeros.index_add_(0, micro.rows, gradient[0].detach().double())

        hidden.register_hook(keep)

    @contextmanager
    def _reading(self, micro: MicroBatch) -> Iterator[None]:
        self.micro = micro
        try:
            yield
        finally:
            self.micro = None


class Policy(TokenModel):
    """A causal language model that answers with log-probabilities.

    Its head makes them itself in place of logits (`rlvr.learner.head`), for the masked tokens alone, where
    the logits are a linear function of the hidden states and nothing more. Where they are not (a bias,
    soft-capping, a factor, logits that the model casts to another type), and where the objective reads whole
    distributions, all of them are made.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        head = model.get_output_embeddings()
        super().__init__(model, head)
        self.head_answers = (
            type(head) is nn.Linear and getattr(head, "bias", None) is None and _ends_in(model, head)
        )
        if self.head_answers:
            # inside the module, since ZeRO-3 has the weight whole there alone
            head.forward = partial(self._answer, head)

    def _answer(self, head: nn.Linear, hidden: Tensor) -> Tensor:
        """What the head says: for the masked tokens `token_statistics` [K, 1 or 2], or logits [K, V]."""
        micro = self.micro
        if micro is None:  # somebody else asks the model
            return nn.functional.linear(hidden, head.weight)
        hidden = hidden[0] if micro.packed is not None else hidden.flatten(0, 1).index_select(0, micro.kept)
        if micro.reference_logits:
            return nn.functional.linear(hidden, head.weight)
        temperatures = micro.temperatures[micro.rows]
        return token_statistics(
            hidden, head.weight, micro.targets, temperatures, objective.reads_entropy(micro.columns)
        )

    def forward(self, micro: MicroBatch) -> dict[str, Tensor]:
        """`logprobs` [B, L−1−first] of tokens first+1 … L−1, and their `entropy` where the objective reads
        it; or in its place the `logits` [K, V], divided by the temperatures. All float32."""
        with self._reading(micro):
            keep = micro.mask.shape[1] if micro.packed is None else micro.kept
            said = self.model(**_inputs(micro), logits_to_keep=keep).logits
        if self.head_answers and not micro.reference_logits:
            names = ("logprobs", "entropy")[: said.shape[1]]
            return {name: in_rows(said[:, i], micro.mask) for i, name in enumerate(names)}
        if not self.head_answers:
            said = said[0] if micro.packed is not None else said.flatten(0, 1).index_select(0, micro.kept)
        logits = said.float() / micro.temperatures[micro.rows, None]
        nll = nn.functional.cross_entropy(logits, micro.targets, reduction="none")
        return {"logprobs": in_rows(-nll, micro.mask), "logits": logits}


@torch.no_grad()
def _ends_in(model: PreTrainedModel, head: nn.Module) -> bool:
    """Whether the logits that a model returns are its head's output itself."""
    said: list[Tensor] = []
    hook = head.register_forward_hook(lambda module, inputs, output: said.append(output))
    try:
        tokens = torch.zeros(1, 2, dtype=torch.long, device=model.device)
        logits = model(**of_one_sequence(tokens, model)).logits
    finally:
        hook.remove()
    return len(said) == 1 and logits is said[0]


class ValueModel(TokenModel):
    """The body of a language model with a head of one number per token, zero at first."""

    def __init__(self, model: PreTrainedModel) -> None:
        head = nn.Linear(model.config.get_text_config().hidden_size, 1, dtype=model.dtype)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        super().__init__(model, head)
        self.head = head

    def forward(self, micro: MicroBatch) -> dict[str, Tensor]:
        """`values` [B, L−1−first] float32: what is expected before each of tokens first+1 … L−1 is
        drawn. Temperatures have no part in it."""
        with self._reading(micro):
            hidden = self.model(**_inputs(micro)).last_hidden_state
            if micro.packed is not None:
                return {"values": in_rows(self.head(hidden[:, micro.kept])[0, :, 0].float(), micro.mask)}
            return {"values": self.head(hidden[:, micro.first :]).squeeze(-1).float()}


def _inputs(micro: MicroBatch) -> dict[str, Any]:
    """What the model reads."""
    if micro.packed is None:
        return {"input_ids": micro.tokens[:, :-1]}
    return {
        "input_ids": micro.packed.tokens,
        "position_ids": micro.packed.positions,
        "packed_layout": micro.packed.layout,
    }


@torch.no_grad()
def signal_to_noise(gradients: Tensor) -> float:
    """‖mean‖² over the variance of the mean, of K groups' gradients [K, H]; 1 where there is only noise.

    The mean of K groups is off by tr(S)/K in expected square, S the groups' sample covariance; K ≥ 2.
    """
    groups = gradients.shape[0]
    mean = gradients.mean(0)
    noise = ((gradients - mean) ** 2).sum() / (groups - 1) / groups
    return float((mean**2).sum() / noise) if noise > 0 else 0.0
