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

NICENESS = 10  # low priority: generation and learning on the same cores come first


class GroupVerdicts(NamedTuple):
    verdicts: list[list[Verdict]]  # one list per group, in the order of its rollouts
    counts: ServiceCounts  # of this call


class RewardWorker:
    """Judges whole groups. Create the actor with `RewardActor.options(num_cpus=…).remote(config)`."""

    def __init__(self, config: RewardConfig, cores: Sequence[int] = ()) -> None:
        if cores:
            os.sched_setaffinity(0, cores)  # inherited by the service's processes
        self.process = answer_for_stacks()
        self.service = RewardService(config, NICENESS)

    @ray.method(concurrency_group="control")
    def whereabouts(self) -> Whereabouts:
        """The location of this process."""
        return self.process

    @ray.method(concurrency_group="control")
    def progress(self) -> tuple[Whereabouts, int]:
        """The location of this process and its number of verdicts; also answered while it judges."""
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
