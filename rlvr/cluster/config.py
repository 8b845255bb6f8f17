"""Settings of the machine, or the machines, that a run has."""

from __future__ import annotations

from dataclasses import dataclass

from rlvr.base.settings import setting
from rlvr.learner.config import LearnerConfig
from rlvr.rewards.config import RewardConfig
from rlvr.rollout.config import RolloutConfig


@dataclass
class ClusterConfig:
    address: str | None = setting(None, "`auto` or host:port joins a running Ray cluster; unset starts one")
    cpus: int | None = setting(None, "cores of this machine that the run may use; unset is all", ge=1)
    placement: str = setting(
        "auto",
        "colocated: rollout workers and learner have the same cores and take turns; separate: each has its "
        "own; auto: colocated while rl.max_staleness is 0, else separate",
        choices=("auto", "colocated", "separate"),
    )
    learner_cores: int | None = setting(
        None, "cores of this machine for the learner where it has its own; unset is half of them", ge=1
    )
    reward_cores: int = setting(
        0, "cores for the reward processes alone; 0: those of the rollout workers, which go first", ge=0
    )


@dataclass(frozen=True)
class WorkerSettings:
    """What the processes of a stage are started with, and where they go."""

    seed: int
    max_length: int  # longest sequence, in tokens
    cluster: ClusterConfig
    rollout: RolloutConfig
    learner: LearnerConfig
    reward: RewardConfig
    max_staleness: int = 0  # above 0 rollout workers go on while the learner works
