"""The reward service as a Ray actor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

import ray

from rlvr.base.processes import Whereabouts, answer_for_stacks
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.counts import ServiceCounts
from rlvr.rewards.service import RewardService
from rlvr.types import Group, Verdict

NICENESS = 10  # generation and learning on the same cores come first


class GroupVerdicts(NamedTuple):
    verdicts: list[list[Verdict]]  # of every group's rollouts, in their order
    counts: ServiceCounts  # of this call


class RewardWorker:
    """Scores whole groups. Make the actor with `RewardActor.options(num_cpus=…).remote(config)`."""

    def __init__(self, config: RewardConfig, cores: Sequence[int] = ()) -> None:
        if cores:
            os.sched_setaffinity(0, cores)  # the service's processes have the same
        self.process = answer_for_stacks()
        self.service = RewardService(config, NICENESS)

    @ray.method(concurrency_group="control")
    def whereabouts(self) -> Whereabouts:
        """Where this process is."""
        return self.process

    @ray.method(concurrency_group="control")
    def progress(self) -> tuple[Whereabouts, int]:
        """Where this process is, and how many verdicts it has reached; also while it reaches others."""
        return self.process, self.service.reached

    def score(self, groups: Sequence[Group]) -> GroupVerdicts:
        """The verdicts of every group's rollouts, in the order of the groups and the rollouts."""
        items = [(group.problem, rollout) for group in groups for rollout in group.rollouts]
        verdicts = self.service.stream(items)
        return GroupVerdicts(
            [[next(verdicts) for _ in group.rollouts] for group in groups], self.service.counts()
        )

    def close(self) -> None:
        self.service.close()


RewardActor = ray.remote(concurrency_groups={"control": 1})(RewardWorker)
