"""Truncated sampling that records the tokens which each token was sampled from.

vLLM returns these sets from its newer model runner only, which does not run on the CPU. Its top-k keeps all
tokens that tie at the border, so that sets have no bound. This processor truncates by itself instead, before
vLLM's own top-k and top-p, which then have nothing left to do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, process_dict_updates

from rlvr.types import IntArray

ARGUMENT = "truncation"  # in a request's `extra_args`


class Asked(NamedTuple):
    """What a request wants: the key of its record, and how to truncate."""

    name: str
    top_k: int
    top_p: float
    min_p: float


class Truncation(LogitsProcessor):
    """For requests whose `extra_args` have an `Asked`: keeps their sets until `take`. Others are not touched.

    It lives in the engine's process, one per engine.
    """

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self.rows: dict[int, tuple[Asked, list[int]]] = {}  # row of the batch → request, its tokens so far
        self.recorded: dict[str, list[IntArray]] = {}  # request → the sets of its tokens

    def is_argmax_invariant(self) -> bool:
        """Whether the likeliest token stays: so vLLM applies it after the temperature."""
        return True

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        process_dict_updates(self.rows, batch_update, _row)

    def apply(self, logits: Tensor) -> Tensor:
        if not self.rows:
            return logits
        rows = list(self.rows)
        asked = [self.rows[row] for row in rows]
        part = logits[rows]
        ids, kept = kept_tokens(
            part,
            torch.tensor([each.top_k for each, _ in asked]),
            torch.tensor([each.top_p for each, _ in asked]),
            torch.tensor([each.min_p for each, _ in asked]),
        )
        values = part.gather(1, ids).masked_fill(~kept, -torch.inf)
        logits[rows] = torch.full_like(part, -torch.inf).scatter(1, ids, values)
        ends = kept.sum(1).cumsum(0)[:-1].numpy()
        sets = np.split(ids[kept].numpy().astype(np.int32), ends)
        for (each, tokens), own in zip(asked, sets, strict=True):
            record = self.recorded.setdefault(each.name, [])
            del record[len(tokens) :]
            record.append(np.sort(own))
        return logits

    def take(self, name: str) -> list[IntArray] | None:
        """The sets of a finished request's tokens, in ascending order each, if it asked for them; once."""
        return self.recorded.pop(name, None)


def _row(
    params: SamplingParams, prompt: list[int] | None, tokens: list[int]
) -> tuple[Asked, list[int]] | None:
    asked = (params.extra_args or {}).get(ARGUMENT)
    return None if asked is None else (Asked(*asked), tokens)  # vLLM appends to `tokens`


def kept_tokens(logits: Tensor, top_k: Tensor, top_p: Tensor, min_p: Tensor) -> tuple[Tensor, Tensor]:
    """The tokens to sample from, for logits [R, V] after temperature and settings [R].

    In vLLM's order: those at least `min_p` times as likely as the likeliest; of these the `top_k` likeliest;
    of these, renormalized, the fewest likeliest whose probabilities sum to `top_p`. Never more than `top_k`,
    even where logits are equal, never one with logit −∞, and always the likeliest. top_p = 1 and min_p = 0
    leave nothing out. Sources: top-k, arXiv 1805.04833; nucleus sampling, arXiv 1904.09751; min-p, arXiv
    2407.01082.

    Returns:
        ids [R, K] in order of decreasing probability, K the largest `top_k`; which are kept, [R, K] bool.
    """
    values, ids = logits.topk(min(int(top_k.max()), logits.shape[1]))
    kept = (torch.arange(values.shape[1]) < top_k[:, None]) & values.isfinite()
    p = values.masked_fill(~kept, -torch.inf).softmax(-1)
    kept &= p >= min_p[:, None] * p[:, :1]
    p = p * kept
    # rounding may make the sum reach 1 before the last token
    mass = torch.where(top_p < 1, top_p, torch.inf)[:, None] * p.sum(1, keepdim=True)
    return ids, kept & (p.cumsum(1) - p < mass)
