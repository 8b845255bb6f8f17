"""The reward service as a Ray actor."""

from __future__ import annotations

from collections.abc import Sequence

import ray

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.service import RewardService
from rlvr.types import Group, Verdict


class RewardWorker:
    """Scores whole groups. Make the actor with `RewardActor.options(num_cpus=…).remote(config)`."""

    def __init__(self, config: RewardConfig) -> None:
        self.service = RewardService(config)

    def score(self, groups: Sequence[Group]) -> list[list[Verdict]]:
        """The verdicts of every group's rollouts, in the order of the groups and the rollouts."""
        items = [(group.problem, rollout) for group in groups for rollout in group.rollouts]
        verdicts = iter(self.service.score(items))
        return [[next(verdicts) for _ in group.rollouts] for group in groups]

    def counters(self) -> dict[str, float]:
        return self.service.counters()

    def close(self) -> None:
        self.service.close()


RewardActor = ray.remote(RewardWorker)
