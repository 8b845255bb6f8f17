"""Preference objectives: rows 2i of a micro-batch are chosen answers, rows 2i+1 the rejected answers.

They have the signature of objectives (`rlvr.algorithms.objective`) and read the column `reference_logprobs`.
With h = log π/π_ref of the chosen answer − log π/π_ref of the rejected one, summed over an answer's tokens
(with `length_normalized` averaged), the loss of a pair is

    sigmoid   −(1 − ε) log σ(β h) − ε log σ(−β h), ε the `label_smoothing`
    ipo       (h − 1 / 2β)²

The loss is spread evenly over the chosen answer's tokens, so that the learner's Σ scale · loss is the sum
over pairs of the chosen row's scale times the loss; the scale of a rejected row has no effect. Diagnostics
are per pair, [P], and the learner averages them over pairs: `margin`, β h; `accuracy`, 1 if h > 0, ½ if
h = 0, else 0; `chosen_log_ratio` and `rejected_log_ratio`, whose difference is h.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rlvr.algorithms.objective import Columns


def sigmoid(
    outputs: Columns,
    columns: Columns,
    mask: Tensor,
    *,
    beta: float,
    length_normalized: bool = False,
    label_smoothing: float = 0.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Direct preference optimization. Source: arXiv 2305.18290, equation 7. `label_smoothing` is the assumed
    share of swapped pairs, as in conservative DPO, https://ericmitchell.ai/cdpo.pdf."""
    chosen, rejected = _log_ratios(outputs, columns, mask, length_normalized)
    margin = beta * (chosen - rejected)
    right, wrong = nn.functional.logsigmoid(margin), nn.functional.logsigmoid(-margin)
    loss = -(1 - label_smoothing) * right - label_smoothing * wrong
    return _spread(loss, mask), _diagnostics(chosen, rejected, beta)


def ipo(
    outputs: Columns, columns: Columns, mask: Tensor, *, beta: float, length_normalized: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """Identity preference optimization. Source: arXiv 2310.12036, equation 17, whose τ is β."""
    chosen, rejected = _log_ratios(outputs, columns, mask, length_normalized)
    loss = (chosen - rejected - 1 / (2 * beta)) ** 2
    return _spread(loss, mask), _diagnostics(chosen, rejected, beta)


def _log_ratios(
    outputs: Columns, columns: Columns, mask: Tensor, length_normalized: bool
) -> tuple[Tensor, Tensor]:
    """log π/π_ref of the chosen answers and of the rejected ones, [P] each."""
    log_ratios = (outputs["logprobs"] - columns["reference_logprobs"]).masked_fill(~mask, 0).sum(1)
    if length_normalized:
        log_ratios = log_ratios / mask.sum(1).clamp(min=1)  # padding rows of an idle rank have no tokens
    return log_ratios[0::2], log_ratios[1::2]


def _spread(loss: Tensor, mask: Tensor) -> Tensor:
    """Spreads the loss of each pair [P] evenly over the chosen answer's tokens: [B, T]."""
    chosen = mask[0::2]
    parts = loss[:, None] * chosen / chosen.sum(1, keepdim=True).clamp(min=1)
    return torch.stack([parts, torch.zeros_like(parts)], 1).flatten(0, 1)


def _diagnostics(chosen: Tensor, rejected: Tensor, beta: float) -> dict[str, Tensor]:
    chosen, rejected = chosen.detach(), rejected.detach()
    return {
        "margin": beta * (chosen - rejected),
        "accuracy": torch.where(chosen == rejected, 0.5, (chosen > rejected).float()),
        "chosen_log_ratio": chosen,
        "rejected_log_ratio": rejected,
    }
