"""The Ray cluster of a run, joined or started, and the actors in it."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from rlvr.base.processes import require_nodes, stacks
from rlvr.cluster.config import WorkerSettings
from rlvr.cluster.placement import Place, place, shares_gpus
from rlvr.learner.actor import LearnerActor, LearnerGroup
from rlvr.rewards.actor import RewardActor
from rlvr.rewards.pool import RewardPool
from rlvr.rollout.actor import RolloutActor
from rlvr.rollout.pool import RolloutPool
from rlvr.types import ConfigError, StallError

GROUP_DEADLINE = 120.0  # seconds


class Workers:
    """Starts the actors that a stage asks for, and ends them with the block that it is used in.

    Where a wait has failed, the block's end says where every process stands.
    """

    def __init__(self, config: WorkerSettings) -> None:
        self.config = config
        self.started: dict[str, tuple[Any, ray.ObjectRef]] = {}  # name → actor, its whereabouts
        self.placement = place(config)
        needed = sum(bundle.get("GPU", 0) for bundle in self.placement.bundles)
        if needed > (there := ray.cluster_resources().get("GPU", 0)):
            raise ConfigError(
                f"rollout and learner workers need {needed:g} GPUs, and Ray has {there:g}: "
                "lower rollout.gpus_per_worker and learner.gpus_per_worker, or let them share with "
                "cluster.placement=colocated"
            )
        # all or nothing, so that two runs on one cluster do not wait for each other's halves
        require_nodes("placement")
        self.group = placement_group(self.placement.bundles, strategy=self.placement.strategy)
        if not self.group.wait(GROUP_DEADLINE):
            remove_placement_group(self.group)
            raise StallError(
                f"placement: Ray did not find {self.placement.bundles} in {GROUP_DEADLINE} s; it has "
                f"{ray.available_resources()} free: wait for others to end, or ask for fewer workers"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, StallError):
            self._show_stacks()
        for actor, _ in self.started.values():
            ray.kill(actor)
        remove_placement_group(self.group)

    def _show_stacks(self) -> None:
        """Say on stderr where every process stands."""
        for name, (_, whereabouts) in self.started.items():
            ready, _ = ray.wait([whereabouts], timeout=1.0)
            shown = stacks(ray.get(ready[0])) if ready else "(it has not started)"
            print(f"\nrlvr: {name} stands at\n{shown}", file=sys.stderr)

    def _start(self, name: str, actor: Any) -> Any:
        self.started[name] = actor, actor.whereabouts.remote()
        return actor

    def _at(self, place: Place) -> dict[str, Any]:
        """Options of an actor."""
        strategy = PlacementGroupSchedulingStrategy(self.group, place.bundle)
        return {"num_cpus": place.cpus, "num_gpus": place.gpus, "scheduling_strategy": strategy}

    def learner(self) -> LearnerGroup:
        """All ranks; those that were there before are ended."""
        ranks = []
        for rank, here in enumerate(self.placement.learner):
            name = f"learner rank {rank}"
            if name in self.started:
                ray.kill(self.started[name][0])
            actor = LearnerActor.options(**self._at(here)).remote(self.config.learner, rank, here.cores)
            ranks.append(self._start(name, actor))
        return LearnerGroup(ranks)

    def rollout_pool(self, model_path: str) -> RolloutPool:
        config, length = self.config.rollout, self.config.max_length
        places, sleeps = self.placement.rollout, shares_gpus(self.config)

        def start(number: int) -> Any:
            options = self._at(places[number])
            arguments = (model_path, length, config, self.config.seed, places[number].cores, sleeps)
            return self._start(f"rollout worker {number}", RolloutActor.options(**options).remote(*arguments))

        on_policy = self.config.max_staleness == 0
        return RolloutPool(
            [start(number) for number in range(config.workers)],
            config.max_num_seqs,
            config.deadline,
            # one GPU's process cannot join a group for the weights' transfer that others have begun
            start=None if config.gpus_per_worker else start,
            exact=config.workers == 1 and on_policy,
        )

    def rewards(self) -> RewardPool:
        config = self.config.reward
        options = {"num_cpus": 0, "scheduling_strategy": "SPREAD"}

        def start(place: int) -> Any:
            actor = RewardActor.options(**options).remote(config, self.placement.reward_cores)
            return self._start(f"reward actor {place}", actor)

        return RewardPool([start(place) for place in range(config.actors)], config.deadline, start)
