"""The Ray cluster of a run: joined or started, and which cores its workers may use."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import ray

from rlvr.config import TrainConfig
from rlvr.learner.actor import LearnerActor, LearnerGroup
from rlvr.rewards.actor import RewardActor
from rlvr.rewards.pool import RewardPool
from rlvr.rollout.actor import RolloutActor
from rlvr.rollout.pool import RolloutPool
from rlvr.stages.config import ClusterConfig
from rlvr.types import ConfigError


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
    """Each worker's own cores, or one that it shares where there are fewer cores than workers."""
    per_worker = max(len(cores) // workers, 1)
    return [
        [cores[(worker * per_worker + i) % len(cores)] for i in range(per_worker)]
        for worker in range(workers)
    ]


class Workers:
    """Starts the actors that a stage asks for, and ends them with the block that it is used in.

    Generation and learning take turns on the same cores while training is on-policy, so only the
    learner reserves them with Ray.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.started: list[Any] = []
        # another machine's cores are Ray's to hand out
        self.cores = usable_cores(config.cluster) if config.cluster.address is None else []
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
        for actor in self.started:
            ray.kill(actor)

    def _cores(self, workers: int) -> list[list[int]]:
        return share_cores(self.cores, workers) if self.cores else [[] for _ in range(workers)]

    def learner(self) -> LearnerGroup:
        config = self.config.learner
        share = len(self.cores) / config.workers
        # rounded down, or all together might ask for a little more than there is
        cpus = int(share) if share >= 1 else math.floor(share * 1000) / 1000 or 1
        options = {"num_cpus": cpus, "num_gpus": config.gpus_per_worker}
        ranks = [
            LearnerActor.options(**options).remote(config, rank, cores)
            for rank, cores in enumerate(self._cores(config.workers))
        ]
        self.started += ranks
        return LearnerGroup(ranks)

    def rollout_pool(self, model_path: str) -> RolloutPool:
        config, length = self.config.rollout, self.config.model.max_length
        options = {"num_cpus": 0, "num_gpus": config.gpus_per_worker}
        workers = [
            RolloutActor.options(**options).remote(model_path, length, config, self.config.seed, cores)
            for cores in self._cores(config.workers)
        ]
        self.started += workers
        return RolloutPool(workers, config.max_num_seqs, config.deadline)

    def rewards(self) -> RewardPool:
        config = self.config.reward
        options = {"num_cpus": 0, "scheduling_strategy": "SPREAD"}
        actors = [RewardActor.options(**options).remote(config) for _ in range(config.actors)]
        self.started += actors
        return RewardPool(actors, config.deadline)
