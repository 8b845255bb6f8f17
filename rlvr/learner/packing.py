"""Attention inside each of several sequences that a model reads as one row.

A token attends to earlier ones of its own sequence alone: a loop over the sequences, those of one length
together. That costs Σ l² rather than (Σ l)², and no mask of that size is ever made.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from rlvr.types import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "rlvr_packed"  # under which transformers knows `packed_attention`
# what an attention may ask for beside a causal mask, and this one does not do
UNKNOWN = ("softcap", "s_aux", "position_bias", "cache")
INSTEAD = "set learner.packing=false"


def packed_attention(
    module: nn.Module,
    query: Tensor,  # [1, heads, S, D]
    key: Tensor,  # [1, key heads, S, D]
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed_lengths: Sequence[int] | None = None,  # of the sequences; their sum is S
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Causal attention of every sequence on itself, in transformers' interface: [1, S, heads, D].

    Raises:
        ConfigError: the model asks for something else than causal attention, with or without a window.
    """
    asked = [name for name in UNKNOWN if others.get(name) is not None]
    if asked or attention_mask is not None or not getattr(module, "is_causal", True):
        raise ConfigError(
            f"learner.packing: {type(module).__name__} is not plain causal attention "
            f"({', '.join(asked) or 'it has a mask of its own'}): {INSTEAD}"
        )
    if packed_lengths is None:
        raise ConfigError(
            f"learner.packing: {type(module).__name__} is not told where sequences begin, since the model "
            f"does not hand on what it does not know: {INSTEAD}"
        )
    runs = [(length, len(list(same))) for length, same in groupby(packed_lengths)]
    cuts = [length * rows for length, rows in runs]
    results = []
    # `split`, since the backward pass of a slice writes zeros as long as the whole row
    for (length, rows), *parts in zip(
        runs, *(torch.split(x, cuts, 2) for x in (query, key, value)), strict=True
    ):
        # [1, heads, rows · length, D] as [rows, heads, length, D]
        q, k, v = (part[0].unflatten(1, (rows, length)).transpose(0, 1) for part in parts)
        mask = None
        if sliding_window is not None and length > sliding_window:
            mask = _window(length, sliding_window, query.device)
        result, _ = sdpa_attention_forward(module, q, k, v, mask, dropout=dropout, scaling=scaling)
        results.append(result.flatten(0, 1))
    return torch.cat(results)[None], None


def _window(length: int, size: int, device: torch.device) -> Tensor:
    """[length, length], True where a token sees another: itself and the `size` − 1 before it."""
    ones = torch.ones(length, length, dtype=torch.bool, device=device)
    return ones.tril() & ones.triu(1 - size)


def use_packed_attention(model: PreTrainedModel) -> None:
    """Have every layer of a model, in evaluation mode, keep packed sequences apart, and see that it does.

    Raises:
        ConfigError: some layer has another kind of attention, or mixes tokens in another way.
    """
    name = type(model).__name__
    kinds = set(getattr(model.config.get_text_config(), "layer_types", None) or ())
    if others := sorted(kinds - {"full_attention", "sliding_attention"}):
        raise ConfigError(f"learner.packing: {name} has layers of {', '.join(others)}: {INSTEAD}")
    AttentionInterface.register(NAME, packed_attention)
    model.set_attn_implementation(NAME)
    if _sees_others(model):
        raise ConfigError(
            f"learner.packing: a sequence that {name} reads in one row with others sees them, so it mixes "
            f"tokens by something else than attention that can be replaced: {INSTEAD}"
        )


def _sees_others(model: PreTrainedModel) -> bool:
    """Whether what a model says of the second of two packed sequences has a gradient by the first one."""
    tokens = torch.tensor([[0, 1, 0, 1, 1]], device=model.device)
    embedded = model.get_input_embeddings()(tokens).detach().requires_grad_()
    positions = torch.tensor([[0, 1, 0, 1, 2]], device=model.device)
    said = model(inputs_embeds=embedded, position_ids=positions, packed_lengths=(2, 3))[0]
    (gradient,) = torch.autograd.grad(said[:, 2:].float().square().sum(), embedded)
    return bool(gradient[:, :2].any())
