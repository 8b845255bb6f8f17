"""The Ray cluster of a run, joined or started, and the actors in it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from rlvr.base.processes import require_nodes, stacks
from rlvr.cluster.config import WorkerSettings
from rlvr.cluster.placement import Place, place, shares_gpus
from rlvr.cluster.waiting import finish
from rlvr.learner.actor import LearnerActor, LearnerGroup
from rlvr.rewards.actor import RewardActor
from rlvr.rewards.pool import RewardPool
from rlvr.rollout.actor import RolloutActor
from rlvr.rollout.pool import RolloutPool
from rlvr.rollout.shape import model_shape
from rlvr.types import ConfigError, RlvrError, StallError

GROUP_DEADLINE = 120.0  # seconds
LEARNER, ENGINE, REWARDS = "learner rank", "rollout worker", "reward actor"


class StandingWorkers:
    """The workers of a run: within a `with` block, they are kept from one stage to the next.

    A vLLM engine takes seconds to start, but loads another checkpoint of the same shape in a fraction of a
    second. Workers are kept only for a stage with the same settings. Results are bit-identical to those of
    new workers.
    """

    def __init__(self) -> None:
        self.kept: Workers | None = None
        self.keeps = False

    def __enter__(self) -> Self:
        self.keeps = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.keeps = False
        self._end_kept()

    @contextmanager
    def of_stage(self, config: WorkerSettings) -> Iterator[Workers]:
        """A stage's workers for the duration of the block. After an error none is kept; after a StallError,
        the stacks of all processes are printed."""
        if self.kept is None or self.kept.config != config:
            self._end_kept()
            self.kept = Workers(config)
        workers, self.kept = self.kept, None
        try:
            yield workers
        except BaseException as error:
            if isinstance(error, StallError):
                workers.show_stacks()
            workers.end()
            raise
        if not self.keeps:
            workers.end()
            return
        workers.leave()
        self.kept = workers

    def _end_kept(self) -> None:
        kept, self.kept = self.kept, None
        if kept is not None:
            kept.end()


class Workers:
    """The actors of a stage, in one placement group. They are started when first requested."""

    def __init__(self, config: WorkerSettings) -> None:
        self.config = config
        self.shape: dict[str, Any] | None = None  # of the model that the engines were made for
        self.started: dict[str, tuple[Any, ray.ObjectRef]] = {}  # name → actor, its process's location
        self.placement = place(config)
        needed = sum(bundle.get("GPU", 0) for bundle in self.placement.bundles)
        if needed > (there := ray.cluster_resources().get("GPU", 0)):
            raise ConfigError(
                f"rollout and learner workers need {needed:g} GPUs, but Ray has {there:g}: "
                "lower rollout.gpus_per_worker and learner.gpus_per_worker, or let them share with "
                "cluster.placement=colocated"
            )
        # all or nothing, so that two runs on one cluster cannot deadlock, each with a part of the resources
        require_nodes("placement")
        self.group = placement_group(self.placement.bundles, strategy=self.placement.strategy)
        if not self.group.wait(GROUP_DEADLINE):
            remove_placement_group(self.group)
            raise StallError(
                f"placement: Ray could not reserve {self.placement.bundles} within {GROUP_DEADLINE} s; free: "
                f"{ray.available_resources()}: wait for other jobs to end, or use fewer workers"
            )

    def end(self) -> None:
        """End all actors."""
        self._end(*self.started)
        remove_placement_group(self.group)

    def leave(self) -> None:
        """End the actors that are not kept for the next stage: learners, and engines on GPUs, since learners
        may need the GPUs."""
        on_gpus = (ENGINE,) if self.config.rollout.gpus_per_worker else ()
        self._end(*(name for name in self.started if name.startswith((LEARNER, *on_gpus))))

    def _end(self, *names: str) -> None:
        for name in names:
            ray.kill(self.started.pop(name)[0])

    def show_stacks(self) -> None:
        """Print the stacks of every process on stderr."""
        for name, (_, whereabouts) in self.started.items():
            ready, _ = ray.wait([whereabouts], timeout=1.0)
            shown = stacks(ray.get(ready[0])) if ready else "(it has not started)"
            print(f"\nrlvr: stacks of {name}:\n{shown}", file=sys.stderr)

    def _start(self, name: str, actor: Any) -> Any:
        self.started[name] = actor, actor.whereabouts.remote()
        return actor

    def _at(self, place: Place) -> dict[str, Any]:
        """Ray options of an actor at this place."""
        strategy = PlacementGroupSchedulingStrategy(self.group, place.bundle)
        return {"num_cpus": place.cpus, "num_gpus": place.gpus, "scheduling_strategy": strategy}

    def learner(self) -> LearnerGroup:
        """Start all ranks, after ending those that were there."""
        ranks = []
        for rank, here in enumerate(self.placement.learner):
            name = f"{LEARNER} {rank}"
            if name in self.started:
                self._end(name)
            actor = LearnerActor.options(**self._at(here)).remote(self.config.learner, rank, here.cores)
            ranks.append(self._start(name, actor))
        return LearnerGroup(ranks)

    def rollout_pool(self, model_path: str) -> RolloutPool:
        """Engines with this checkpoint: the running ones, if they can load it, or new ones."""
        config, length = self.config.rollout, self.config.max_length
        places, sleeps = self.placement.rollout, shares_gpus(self.config)

        def start(number: int) -> Any:
            options = self._at(places[number])
            arguments = (model_path, length, config, self.config.seed, places[number].cores, sleeps)
            return self._start(f"{ENGINE} {number}", RolloutActor.options(**options).remote(*arguments))

        on_policy = self.config.max_staleness == 0
        return RolloutPool(
            self._engines_with(model_path) or [start(number) for number in range(config.workers)],
            config.max_num_seqs,
            config.deadline,
            # a new process cannot join the NCCL group of a weight transfer that is set up
            start=None if config.gpus_per_worker else start,
            exact=config.workers == 1 and on_policy,
        )

    def _engines_with(self, model_path: str) -> list[Any]:
        """The running engines, with this checkpoint loaded; none if it has another shape."""
        before, self.shape = self.shape, model_shape(model_path)
        standing = {name: actor for name, (actor, _) in self.started.items() if name.startswith(ENGINE)}
        if standing and self.shape is not None and self.shape == before:
            try:
                finish("next checkpoint", [each.load.remote(model_path) for each in standing.values()])
                return list(standing.values())
            except RlvrError as error:  # one has died meanwhile, say
                print(f"\nrlvr: {str(error).splitlines()[-1]}. Starting new engines", file=sys.stderr)
        self._end(*standing)
        return []

    def rewards(self) -> RewardPool:
        """The reward actors: running ones, or new ones."""
        config = self.config.reward
        options = {"num_cpus": 0, "scheduling_strategy": "SPREAD"}

        def start(place: int) -> Any:
            actor = RewardActor.options(**options).remote(config, self.placement.reward_cores)
            return self._start(f"{REWARDS} {place}", actor)

        standing = [actor for name, (actor, _) in self.started.items() if name.startswith(REWARDS)]
        actors = standing or [start(place) for place in range(config.actors)]
        return RewardPool(actors, config.deadline, start)
