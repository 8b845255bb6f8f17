"""Settings of the machine, or the machines, that a run has."""

from __future__ import annotations

from dataclasses import dataclass

from rlvr.base.settings import setting
from rlvr.learner.config import LearnerConfig
from rlvr.rewards.config import RewardConfig
from rlvr.rollout.config import RolloutConfig


@dataclass
class ClusterConfig:
    address: str | None = setting(
        None, "`auto` or HOST:PORT of a running Ray cluster to join; unset: start one"
    )
    cpus: int | None = setting(None, "CPU cores of this machine that the run may use; unset: all", ge=1)
    placement: str = setting(
        "auto",
        "colocated: rollout workers and learner share cores or GPUs and take turns; separate: each has "
        "its own; auto: colocated if rl.max_staleness is 0, else separate",
        choices=("auto", "colocated", "separate"),
    )
    learner_cores: int | None = setting(
        None, "CPU cores for the learner, with placement separate; unset: half of them", ge=1
    )
    reward_cores: int = setting(
        0,
        "CPU cores for the reward processes alone; 0: they share the rollout workers', at low priority",
        ge=0,
    )


@dataclass(frozen=True)
class WorkerSettings:
    """The settings with which the processes of a stage are started and placed."""

    seed: int
    max_length: int  # longest sequence, in tokens
    cluster: ClusterConfig
    rollout: RolloutConfig
    learner: LearnerConfig
    reward: RewardConfig
    max_staleness: int = 0  # above 0, rollout workers continue while the learner works
