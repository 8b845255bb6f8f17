"""The Ray cluster of a run: joined or started, and which cores its workers may use."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import ray

from rlvr.config import TrainConfig
from rlvr.learner.actor import LearnerActor, LearnerGroup
from rlvr.processes import stacks
from rlvr.rewards.actor import RewardActor
from rlvr.rewards.pool import RewardPool
from rlvr.rollout.actor import RolloutActor
from rlvr.rollout.pool import RolloutPool
from rlvr.stages.config import ClusterConfig
from rlvr.types import ConfigError, StallError


def usable_cores(config: ClusterConfig) -> list[int]:
    """The cores of this machine that the run may use: `cluster.cpus` of those of this process."""
    allowed = sorted(os.sched_getaffinity(0))
    if config.cpus is not None and config.cpus > len(allowed):
        raise ConfigError(f"cluster.cpus={config.cpus}, but this process may run on {len(allowed)} cores")
    return allowed[: config.cpus]


@contextmanager
def ray_cluster(config: ClusterConfig) -> Iterator[None]:
    """A connection to Ray for the time of the block; a cluster that was started ends with it."""
    # workers import the user's own functions from where the user's command found them
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        if config.address is None:
            ray.init(num_cpus=len(usable_cores(config)), **quiet)
        else:
            ray.init(address=config.address, **quiet)
    except ConnectionError as error:
        raise ConfigError(f"cluster.address={config.address}: {error}") from error
    # Ray takes this signal for itself, and would end the process before anything is saved
    signal.signal(signal.SIGTERM, on_terminate)
    try:
        yield
    finally:
        ray.shutdown()


def share_cores(cores: list[int], workers: int) -> list[list[int]]:
    """Each worker's own cores, or one that it shares where there are fewer than workers; none of none."""
    if not cores:
        return [[] for _ in range(workers)]
    per_worker = max(len(cores) // workers, 1)
    return [
        [cores[(worker * per_worker + i) % len(cores)] for i in range(per_worker)]
        for worker in range(workers)
    ]


@dataclass(frozen=True)
class Cores:
    """Which cores of this machine each part of a run has; all empty where Ray hands them out."""

    rollout: list[int]
    learner: list[int]
    reward: list[int]


def separate(config: TrainConfig) -> bool:
    """Whether rollout workers and learner have cores or GPUs of their own."""
    placement = config.cluster.placement
    return placement == "separate" or (placement == "auto" and config.grpo.max_staleness > 0)


def divide_cores(config: TrainConfig) -> Cores:
    """The cores of the parts: the same for all, or the reward processes', rollout workers' and learner's in
    this order. With one core there is nothing to divide.

    Raises:
        ConfigError: there are not enough of them.
    """
    settings = config.cluster
    if settings.address is not None:  # another machine's cores are Ray's to hand out
        return Cores([], [], [])
    cores = usable_cores(settings)
    reward, rest = cores[: settings.reward_cores], cores[settings.reward_cores :]
    learner = settings.learner_cores or len(rest) // 2
    if settings.reward_cores >= len(cores) or (settings.learner_cores and learner >= len(rest)):
        raise ConfigError(
            f"cluster.reward_cores={settings.reward_cores} and cluster.learner_cores="
            f"{settings.learner_cores} leave none of {len(cores)} cores for the rollout workers"
        )
    if not separate(config) or not learner:
        return Cores(rest, rest, reward or rest)
    return Cores(rest[:-learner], rest[-learner:], reward or rest[:-learner])


class Workers:
    """Starts the actors that a stage asks for, and ends them with the block that it is used in.

    Where a wait has failed, the block's end says where every process stands.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.started: dict[str, tuple[Any, ray.ObjectRef]] = {}  # name → actor, its whereabouts
        self.cores = divide_cores(config)
        needed = sum(part.workers * part.gpus_per_worker for part in (config.rollout, config.learner))
        if needed > (there := ray.cluster_resources().get("GPU", 0)):
            raise ConfigError(
                f"rollout and learner workers need {needed} GPUs, and Ray has {there:g}: "
                "lower rollout.gpus_per_worker and learner.gpus_per_worker"
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

    def _show_stacks(self) -> None:
        """Say on stderr where every process stands."""
        for name, (_, whereabouts) in self.started.items():
            ready, _ = ray.wait([whereabouts], timeout=1.0)
            shown = stacks(ray.get(ready[0])) if ready else "(it has not started)"
            print(f"\nrlvr: {name} stands at\n{shown}", file=sys.stderr)

    def _start(self, name: str, actor: Any) -> Any:
        self.started[name] = actor, actor.ready.remote()
        return actor

    def learner(self) -> LearnerGroup:
        """All ranks; those that were there before are ended."""
        config = self.config.learner
        share = len(self.cores.learner) / config.workers
        # rounded down, or all together might ask for a little more than there is
        cpus = int(share) if share >= 1 else math.floor(share * 1000) / 1000 or 1
        options = {"num_cpus": cpus, "num_gpus": config.gpus_per_worker}
        names = [f"learner rank {rank}" for rank in range(config.workers)]
        for name in names:
            if name in self.started:
                ray.kill(self.started[name][0])
        return LearnerGroup(
            [
                self._start(name, LearnerActor.options(**options).remote(config, rank, cores))
                for rank, (name, cores) in enumerate(
                    zip(names, share_cores(self.cores.learner, config.workers), strict=True)
                )
            ]
        )

    def rollout_pool(self, model_path: str) -> RolloutPool:
        config, length = self.config.rollout, self.config.model.max_length
        options = {"num_cpus": 0, "num_gpus": config.gpus_per_worker}
        cores = share_cores(self.cores.rollout, config.workers)

        def start(place: int) -> Any:
            actor = RolloutActor.options(**options)
            arguments = (model_path, length, config, self.config.seed, cores[place])
            return self._start(f"rollout worker {place}", actor.remote(*arguments))

        on_policy = self.config.grpo.max_staleness == 0
        return RolloutPool(
            [start(place) for place in range(config.workers)],
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
            actor = RewardActor.options(**options).remote(config, self.cores.reward)
            return self._start(f"reward actor {place}", actor)

        return RewardPool([start(place) for place in range(config.actors)], config.deadline, start)
