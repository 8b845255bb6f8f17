"""The two kinds of model that a learner trains, behind one call: micro-batches in, numbers of tokens out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from rlvr.algorithms.objective import in_rows
from rlvr.learner.batching import MicroBatch, PackedRow


class TokenModel(nn.Module):
    """A model that says something of every token first+1 … L−1 of a micro-batch of B sequences.

    Of packed sequences it says it of the masked tokens alone, and 0 of the others. After a backward pass
    `hidden_gradient` [B, H] is the gradient of each sequence's share of the loss by a bias on the hidden
    states that the model's head reads: a cheap view of how the sequences pull.
    """

    def __init__(self, model: PreTrainedModel, head: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.hidden_gradient: Tensor | None = None
        self.micro: MicroBatch | None = None  # of the forward pass that is under way
        head.register_forward_pre_hook(self._watch)

    def _watch(self, head: nn.Module, inputs: tuple[Any, ...]) -> None:
        hidden, micro = inputs[0], self.micro

        def keep(gradient: Tensor) -> None:
            assert micro is not None
            if micro.packed is None:
                self.hidden_gradient = gradient.detach().sum(1).double()
                return
            zeros = gradient.new_zeros(len(micro.tokens), gradient.shape[-1], dtype=torch.float64)
            self.hidden_gradient = zeros.index_add_(0, micro.packed.rows, gradient[0].detach().double())

        if hidden.requires_grad:
            hidden.register_hook(keep)


class Policy(TokenModel):
    """A causal language model that answers with log-probabilities."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model, model.get_output_embeddings())

    def forward(self, micro: MicroBatch) -> dict[str, Tensor]:
        """`logprobs` [B, L−1−first] of tokens first+1 … L−1, and the `logits` that they are drawn from,
        divided by the temperatures: [B, L−1−first, V], or [K, V] of packed sequences. Both float32."""
        self.micro = micro
        targets = micro.tokens[:, micro.first + 1 :]
        if micro.packed is not None:
            logits = self.model(**_inputs(micro.packed), logits_to_keep=micro.packed.kept).logits[0]
            logits = logits.float() / micro.temperatures[micro.packed.rows, None]
            nll = nn.functional.cross_entropy(logits, targets[micro.mask], reduction="none")
            return {"logprobs": in_rows(-nll, micro.mask), "logits": logits}
        logits = self.model(input_ids=micro.tokens[:, :-1], logits_to_keep=targets.shape[1]).logits
        logits = logits.float() / micro.temperatures[:, None, None]
        nll = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return {"logprobs": -nll.view_as(targets), "logits": logits}


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
        self.micro = micro
        if micro.packed is not None:
            hidden = self.model(**_inputs(micro.packed)).last_hidden_state[:, micro.packed.kept]
            return {"values": in_rows(self.head(hidden)[0, :, 0].float(), micro.mask)}
        hidden = self.model(input_ids=micro.tokens[:, :-1]).last_hidden_state[:, micro.first :]
        return {"values": self.head(hidden).squeeze(-1).float()}


def _inputs(packed: PackedRow) -> dict[str, Any]:
    """What a model with packed attention reads."""
    return {
        "input_ids": packed.tokens,
        "position_ids": packed.positions,
        "packed_lengths": packed.lengths,
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
