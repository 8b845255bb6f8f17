"""Placement of a run's processes: cores of this machine, and bundles of one Ray placement group."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from rlvr.cluster.config import ClusterConfig, WorkerSettings
from rlvr.types import ConfigError


@dataclass(frozen=True)
class Place:
    """The resources of one process."""

    bundle: int  # of the placement group
    cpus: float  # reserved there with Ray
    gpus: float
    cores: list[int]  # of this machine, to which its threads are bound; empty if Ray assigns them


@dataclass(frozen=True)
class Placement:
    bundles: list[dict[str, float]]  # resources by Ray's names
    learner: list[Place]  # by rank
    rollout: list[Place]  # by worker
    reward_cores: list[int]  # shared by all reward processes
    strategy: str  # Ray's, for the bundles


def usable_cores(config: ClusterConfig) -> list[int]:
    """The cores that the run may use: the first `cluster.cpus` of those this process may run on.

    Raises:
        ConfigError: there are fewer than `cluster.cpus`.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if config.cpus is not None and config.cpus > len(allowed):
        raise ConfigError(f"cluster.cpus={config.cpus}, but this process may run on {len(allowed)} cores")
    return allowed[: config.cpus]


def share_cores(cores: list[int], workers: int) -> list[list[int]]:
    """The cores of each worker: disjoint, or one shared core each if there are fewer cores than workers.

    The lists are empty if `cores` is.
    """
    if not cores:
        return [[] for _ in range(workers)]
    per_worker = max(len(cores) // workers, 1)
    return [
        [cores[(worker * per_worker + i) % len(cores)] for i in range(per_worker)]
        for worker in range(workers)
    ]


def is_separate(config: WorkerSettings) -> bool:
    """Whether rollout workers and learner have cores or GPUs of their own."""
    if config.cluster.placement != "auto":
        return config.cluster.placement == "separate"
    gpus = config.rollout.gpus_per_worker + config.learner.gpus_per_worker
    return config.max_staleness > 0 or gpus > 0


def shares_gpus(config: WorkerSettings) -> bool:
    """Whether rollout worker i and learner rank i share one GPU and take turns on it.

    Raises:
        ConfigError: they should, but there is not one worker with one GPU for each rank.
    """
    parts = (config.learner, config.rollout)
    if is_separate(config) or not any(part.gpus_per_worker for part in parts):
        return False
    if any(part.gpus_per_worker != 1 for part in parts) or parts[0].workers != parts[1].workers:
        raise ConfigError(
            "cluster.placement=colocated puts one rollout worker and one learner rank on each GPU: set "
            "rollout.gpus_per_worker=1 learner.gpus_per_worker=1 and rollout.workers to learner.workers"
        )
    return True


def divide_cores(config: WorkerSettings, cores: list[int]) -> tuple[list[int], list[int], list[int]]:
    """The cores of rollout workers, learner and reward processes. A single core is shared by all.

    Raises:
        ConfigError: there are not enough cores.
    """
    settings = config.cluster
    reward, rest = cores[: settings.reward_cores], cores[settings.reward_cores :]
    learner = settings.learner_cores or len(rest) // 2
    if settings.reward_cores >= len(cores) or (settings.learner_cores and learner >= len(rest)):
        raise ConfigError(
            f"cluster.reward_cores={settings.reward_cores} and cluster.learner_cores="
            f"{settings.learner_cores} leave none of {len(cores)} cores for the rollout workers"
        )
    if not is_separate(config) or not learner:
        return rest, rest, reward or rest
    return rest[:-learner], rest[-learner:], reward or rest[:-learner]


def place(config: WorkerSettings) -> Placement:
    """The places of all processes: separate, or rollout worker i in the bundle of learner rank i.

    Raises:
        ConfigError: there are not enough cores, or GPUs cannot be shared as asked.
    """
    learner, rollout, separate = config.learner, config.rollout, is_separate(config)
    halves = 0.5 if shares_gpus(config) else 1
    # on a cluster that is joined, Ray assigns cores
    cores = usable_cores(config.cluster) if config.cluster.address is None else []
    of_rollout, of_learner, of_reward = divide_cores(config, cores) if cores else ([], [], [])
    ranks = [
        Place(rank, _cpus(of_learner, learner.workers), halves * learner.gpus_per_worker, own)
        for rank, own in enumerate(share_cores(of_learner, learner.workers))
    ]
    # on shared cores they take turns, so only the learner reserves them
    same = bool(of_rollout) and of_rollout == of_learner
    apart = separate and not (same and rollout.gpus_per_worker == 0)
    cpus = 0 if same or not apart else _cpus(of_rollout, rollout.workers)
    gpus = halves * rollout.gpus_per_worker
    workers = [
        Place(number + learner.workers if apart else number % learner.workers, cpus, gpus, own)
        for number, own in enumerate(share_cores(of_rollout, rollout.workers))
    ]
    # without GPUs weights go through the memory of one host
    strategy = "PACK" if rollout.gpus_per_worker else "STRICT_PACK"
    bundles = [
        {"CPU": each.cpus, "GPU": math.ceil(each.gpus)} for each in (*ranks, *(workers if apart else ()))
    ]
    return Placement(
        [{k: v for k, v in bundle.items() if v} for bundle in bundles], ranks, workers, of_reward, strategy
    )


def _cpus(cores: list[int], workers: int) -> float:
    """CPUs that each worker reserves, rounded down so that their sum does not exceed the cores."""
    share = len(cores) / workers
    return int(share) if share >= 1 else math.floor(share * 1000) / 1000 or 1
