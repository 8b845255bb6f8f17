"""Estimates of KL(π ‖ π_ref) at tokens that π drew, from log(π/π_ref): after J. Schulman,
"Approximating KL divergence" (2020).

         value                         in the loss, its gradient is that of
    k1   log(π/π_ref)                  nothing (zero on average): refused
    k2   ½ log²(π/π_ref)               KL(π ‖ π_ref)
    k3   π_ref/π − log(π_ref/π) − 1    KL(π_ref ‖ π), the other way round

As values k1 and k3 are unbiased. Taken from the reward, k1 gives the gradient of KL(π ‖ π_ref); that of k2
and k3 vanishes to first order near the reference: refused.

`full` is no estimate: KL(π ‖ π_ref) itself, from the whole distributions, for the loss alone. The gradient of
k2 is that of `full` on average, with the noise of the draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the settings name the estimators, and stay light to import
    from torch import Tensor


def k1(log_ratio: Tensor) -> Tensor:
    return log_ratio


def k2(log_ratio: Tensor) -> Tensor:
    return log_ratio**2 / 2


def k3(log_ratio: Tensor) -> Tensor:
    return (-log_ratio).expm1() + log_ratio


def full(logits: Tensor, reference_logits: Tensor) -> Tensor:
    """KL(π ‖ π_ref) = Σ p (log p − log q) over the last dimension, in nats.

    By logit i its gradient is p_i (log p_i/q_i − KL). Source: the reverse KL of on-policy distillation,
    arXiv 2306.13649, section 3.
    """
    logprobs, reference = logits.log_softmax(-1), reference_logits.log_softmax(-1)
    return (logprobs.exp() * (logprobs - reference)).sum(-1)


ESTIMATORS: Mapping[str, Callable[[Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}
