"""Estimators of KL(π ‖ π_ref) at tokens sampled from π, as functions of log(π/π_ref): after J. Schulman,
"Approximating KL divergence" (2020).

         value                         as a loss term, its expected gradient is that of
    k1   log(π/π_ref)                  a constant (zero): refused
    k2   ½ log²(π/π_ref)               KL(π ‖ π_ref)
    k3   π_ref/π − log(π_ref/π) − 1    KL(π_ref ‖ π), the opposite direction

As values, k1 and k3 are unbiased. Subtracted from the reward, k1 gives the gradient of KL(π ‖ π_ref); the
gradients of k2 and k3 vanish to first order near the reference: refused.

`full` is not an estimator but KL(π ‖ π_ref) itself, from the full distributions, as a loss term only. The
gradient of k2 equals that of `full` in expectation, with sampling noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # config.py imports this module, and must not import torch
    from torch import Tensor


def k1(log_ratio: Tensor) -> Tensor:
    return log_ratio


def k2(log_ratio: Tensor) -> Tensor:
    return log_ratio**2 / 2


def k3(log_ratio: Tensor) -> Tensor:
    return (-log_ratio).expm1() + log_ratio


def full(logits: Tensor, reference_logits: Tensor) -> Tensor:
    """KL(π ‖ π_ref) = Σ p (log p − log q) over the last dimension, in nats.

    Its derivative by logit i is p_i (log p_i/q_i − KL). Source: the reverse KL of on-policy distillation,
    arXiv 2306.13649, section 3.
    """
    logprobs, reference = logits.log_softmax(-1), reference_logits.log_softmax(-1)
    return (logprobs.exp() * (logprobs - reference)).sum(-1)


ESTIMATORS: Mapping[str, Callable[[Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}
