"""Reinforcement learning with verifiable rewards for small language models.

This module exports what a notebook needs. Each name is imported on first use:

    run = rlvr.train(["experiment=quickstart", "rl.steps=5"])    # as the command `rlvr train`
    run = rlvr.Run("runs/quickstart/DATE")                       # an existing run
    run.status, run.metrics, run.rollouts(), run.model_path
    rlvr.verify(r"so it is \\boxed{1/2}", "0.5")                  # a Verdict

`RewardService` judges answers in processes that can be killed. Reward functions and problem sources use
the types `Problem`, `Verdict` and `Status`; `docs/library.md` has examples.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = [
    "Group",
    "Problem",
    "RewardConfig",
    "RewardService",
    "Rollout",
    "Run",
    "Status",
    "Verdict",
    "__version__",
    "recipe",
    "train",
    "verify",
]
_HOMES = {
    **dict.fromkeys(("Run", "recipe", "train"), "rlvr.commands.api"),
    **dict.fromkeys(("Group", "Problem", "Rollout", "Status", "Verdict"), "rlvr.types"),
    "RewardConfig": "rlvr.rewards.config",
    "RewardService": "rlvr.rewards.service",
}


def __getattr__(name: str) -> Any:
    if name == "verify":  # a package that can be called
        return import_module("rlvr.verify")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
