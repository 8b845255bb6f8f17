"""Where the parts of a run go: cores of this machine, and bundles of one Ray placement group."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from rlvr.cluster.config import ClusterConfig, WorkerSettings
from rlvr.types import ConfigError


@dataclass(frozen=True)
class Place:
    """Of one process."""

    bundle: int  # of the placement group
    cpus: float  # that it reserves there with Ray
    gpus: float
    cores: list[int]  # of this machine, to which its threads are bound; empty where Ray hands cores out


@dataclass(frozen=True)
class Placement:
    bundles: list[dict[str, float]]  # resources by Ray's names
    learner: list[Place]  # by rank
    rollout: list[Place]  # by worker
    reward_cores: list[int]  # of all reward processes
    strategy: str  # Ray's, for the bundles


def usable_cores(config: ClusterConfig) -> list[int]:
    """The cores of this machine that the run may use: `cluster.cpus` of those of this process."""
    allowed = sorted(os.sched_getaffinity(0))
    if config.cpus is not None and config.cpus > len(allowed):
        raise ConfigError(f"cluster.cpus={config.cpus}, but this process may run on {len(allowed)} cores")
    return allowed[: config.cpus]


def share_cores(cores: list[int], workers: int) -> list[list[int]]:
    """Each worker's own cores, or one that it shares where there are fewer than workers; none of none."""
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
    """Whether rollout worker i and learner rank i have one GPU between them and take turns on it.

    Raises:
        ConfigError: they are to, but are not pairs.
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
    """The cores of rollout workers, learner and reward processes. With one core there is nothing to divide.

    Raises:
        ConfigError: there are not enough of them.
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
    """The places of all processes; apart, or rollout worker i in the bundle of learner rank i.

    Raises:
        ConfigError: there are not enough cores, or parts on GPUs are to share them.
    """
    learner, rollout, separate = config.learner, config.rollout, is_separate(config)
    halves = 0.5 if shares_gpus(config) else 1
    # another machine's cores are Ray's to hand out
    cores = usable_cores(config.cluster) if config.cluster.address is None else []
    of_rollout, of_learner, of_reward = divide_cores(config, cores) if cores else ([], [], [])
    ranks = [
        Place(rank, _cpus(of_learner, learner.workers), halves * learner.gpus_per_worker, own)
        for rank, own in enumerate(share_cores(of_learner, learner.workers))
    ]
    # on the same cores they take turns, so one of the two reserves them
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
    """What each of them reserves; rounded down, or all together might ask for a little more than there is."""
    share = len(cores) / workers
    return int(share) if share >= 1 else math.floor(share * 1000) / 1000 or 1
