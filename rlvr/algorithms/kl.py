"""Estimates of KL(π ‖ π_ref) at tokens that π drew, from log(π/π_ref): after J. Schulman,
"Approximating KL divergence" (2020).

                 value             as a reward                 in the loss, its gradient is that of
    k1   log(π/π_ref)              unbiased, may be negative   nothing (zero on average): refused
    k2   ½ log²(π/π_ref)           biased, small variance      KL(π ‖ π_ref)
    k3   π_ref/π − log(π_ref/π) − 1    unbiased, never negative    KL(π_ref ‖ π), the other way round

They work on tensors and on NumPy arrays alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch


def k1(log_ratio: Any) -> Any:
    return log_ratio


def k2(log_ratio: Any) -> Any:
    return log_ratio**2 / 2


def k3(log_ratio: Any) -> Any:
    exp = torch.expm1 if isinstance(log_ratio, torch.Tensor) else np.expm1
    return exp(-log_ratio) + log_ratio


ESTIMATORS: Mapping[str, Callable[[Any], Any]] = {"k1": k1, "k2": k2, "k3": k3}
