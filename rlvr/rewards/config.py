"""Settings of the reward: which functions, how they combine, and how long a check may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.base.identity import that_matter
from rlvr.base.settings import setting


@dataclass
class RewardConfig:
    """`functions` maps names of your choice to import paths (`_target_`) with arguments. A function's list
    `columns` names parameters with a default that are filled from columns of the problems.

    The reward of a rollout is the weighted sum of the values of its functions, clipped to `clip`. The
    default weight is 1. Functions in `gates` are part of the sum only if they have a weight; those in
    `logged` never are. If a gate's value is below its threshold, the reward is at most `gate_value`.
    """

    functions: dict[str, Any] = setting(factory=dict, help="name → {_target_: import path, columns: […], …}")
    weights: dict[str, float] = setting(factory=dict, help="name → weight in the sum")
    gates: dict[str, float] = setting(
        factory=dict, help="name → threshold; an answer below it gets gate_value at most"
    )
    gate_value: float = setting(
        0.0, "reward of an answer that a gate stops; not above that of a wrong answer"
    )
    clip: list[float] | None = setting(None, "[low, high]: bounds of the reward; unset: none")
    logged: list[str] = setting(
        factory=list, help="functions that are only recorded and do not change the reward"
    )
    deadline: float = setting(5.0, "time limit, in seconds, for all checks of one rollout", gt=0)
    actors: int = setting(
        1, "number of reward services, spread over the nodes of a Ray cluster", ge=1, neutral=True
    )
    workers: int = setting(1, "processes in each service that run checks", ge=1, neutral=True)
    batch: int = setting(16, "rollouts that a process is given at a time, at most", ge=1, le=4096)
    memory_gib: float = setting(
        2.0,
        "memory limit of a process beyond what it starts with; one that retains half of it is replaced",
        gt=0,
    )
    thoughts: list[list[str]] | None = setting(
        None,
        "[opening, end] marks of thoughts, which hold no answer; unset: rlvr.verify.thoughts.MARKS",
    )
    cache: bool = setting(True, "cache comparisons of answers")


def judged_by(reward: RewardConfig) -> dict[str, Any]:
    """The settings that a verdict depends on. The time limit is left out where it is the default: so verdicts
    from before it counted are still found."""
    settings: dict[str, Any] = that_matter(reward)
    if settings["deadline"] == RewardConfig.deadline:
        del settings["deadline"]
    return settings
