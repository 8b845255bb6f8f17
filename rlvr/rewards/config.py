"""Settings of the reward: which functions, how they combine, and how long a check may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.settings import setting


@dataclass
class RewardConfig:
    """`functions` maps a name of your choice to an import path (`_target_`) with arguments.

    The reward of a rollout is the weighted sum of the values that its functions return; a
    function without an entry in `weights` has weight 1.
    """

    functions: dict[str, Any] = setting(factory=dict, help="name → {_target_: import path, …}")
    weights: dict[str, float] = setting(factory=dict, help="name → weight in the sum")
    deadline: float = setting(5.0, "seconds that the checks of one rollout may take", gt=0)
    workers: int = setting(1, "processes that run checks", ge=1)
    memory_gib: float = setting(2.0, "address space of one such process beyond its start", gt=0)
