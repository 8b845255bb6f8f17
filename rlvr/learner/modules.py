"""The two kinds of model that a learner trains, behind one call: columns of tokens in, numbers out."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel


class TokenModel(nn.Module):
    """A model that says something of every token first+1 … L−1 of [B, L] right-padded tokens.

    After a backward pass `hidden_gradient` [B, H] is the gradient of each sequence's share of the loss
    by a bias on the hidden states that the model's head reads: a cheap view of how the sequences pull.
    """

    def __init__(self, model: PreTrainedModel, head: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.hidden_gradient: Tensor | None = None
        head.register_forward_pre_hook(self._watch)

    def _watch(self, head: nn.Module, inputs: tuple[Any, ...]) -> None:
        def keep(gradient: Tensor) -> None:
            self.hidden_gradient = gradient.detach().sum(1).double()

        if inputs[0].requires_grad:
            inputs[0].register_hook(keep)


class Policy(TokenModel):
    """A causal language model that answers with log-probabilities."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model, model.get_output_embeddings())

    def forward(self, tokens: Tensor, first: int, temperatures: Tensor) -> dict[str, Tensor]:
        """`logprobs` [B, L−1−first] of tokens first+1 … L−1, and the `logits` [B, L−1−first, V] that
        they are drawn from, divided by `temperatures` [B]; both float32."""
        columns = tokens.shape[1] - 1 - first
        logits = self.model(input_ids=tokens[:, :-1], logits_to_keep=columns).logits
        logits = logits.float() / temperatures[:, None, None]
        targets = tokens[:, first + 1 :]
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

    def forward(self, tokens: Tensor, first: int, temperatures: Tensor) -> dict[str, Tensor]:
        """`values` [B, L−1−first] float32: what is expected before each of tokens first+1 … L−1 is
        drawn. Temperatures have no part in it."""
        hidden = self.model(input_ids=tokens[:, :-1]).last_hidden_state[:, first:]
        return {"values": self.head(hidden).squeeze(-1).float()}


@torch.no_grad()
def signal_to_noise(gradients: Tensor) -> float:
    """‖mean‖² over the variance of the mean, of K groups' gradients [K, H]; 1 where there is only noise.

    The mean of K groups is off by tr(S)/K in expected square, S the groups' sample covariance; K ≥ 2.
    """
    groups = gradients.shape[0]
    mean = gradients.mean(0)
    noise = ((gradients - mean) ** 2).sum() / (groups - 1) / groups
    return float((mean**2).sum() / noise) if noise > 0 else 0.0
