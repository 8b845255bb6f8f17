"""Settings of the algorithm: how rewards become advantages, and advantages a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.settings import setting


@dataclass
class AlgorithmConfig:
    """Both are import paths (`_target_`) of pure functions, with keyword arguments."""

    advantage: dict[str, Any] = setting(factory=lambda: {"_target_": "rlvr.algorithms.advantages.grpo"})
    loss: dict[str, Any] = setting(factory=lambda: {"_target_": "rlvr.algorithms.losses.ppo_clip"})
