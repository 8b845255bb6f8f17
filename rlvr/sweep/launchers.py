"""Where the arms of a sweep run: in this process, as jobs of Submitit, or on a Ray cluster."""

from __future__ import annotations

import os
import traceback
from collections import defaultdict
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from rlvr.pipeline.arms import Arm
from rlvr.sweep.parallel import RayPlace, Slot, SubmititPlace, keep_busy
from rlvr.sweep.sweep import Sweep
from rlvr.types import ConfigError


def sequential(arms: Sequence[Arm], sweep: Sweep) -> None:
    """One after the other, in this process."""
    for number, arm in enumerate(arms, 1):
        if sweep.stop:
            return
        print(f"\narm {number} of {len(arms)}: {arm.name}", flush=True)
        try:
            sweep.run(arm.arguments)
        except Exception:  # noqa: BLE001  the arm's outcome records it; the other arms still run
            traceback.print_exc()


def submitit_jobs(
    arms: Sequence[Arm], sweep: Sweep, cluster: str, parallel: int, parameters: dict[str, Any]
) -> None:
    """Each arm as a job: of Slurm (cluster=slurm), or on this machine, whose cores `parallel` jobs share.

    `parameters` are those of submitit.AutoExecutor. Raises ConfigError if submitit is not installed, or
    refuses them.
    """
    if find_spec("submitit") is None:
        raise ConfigError("this launcher needs submitit: pip install 'rlvr[submitit]'")
    from submitit import AutoExecutor

    try:
        executor = AutoExecutor(folder=sweep.folder / "submitit", cluster=cluster)
        executor.update_parameters(**parameters)
    except (RuntimeError, NameError, AssertionError) as error:  # what Submitit raises for wrong parameters
        raise ConfigError(f"hydra.launcher: {error}") from error
    here = sorted(os.sched_getaffinity(0)) if cluster == "local" else []
    count = min(parallel, len(arms))
    shares = own_cores([("", here)] * count, max(len(here) // count, 1))
    keep_busy([SubmititPlace(executor, sweep, cores) for cores in shares], arms, sweep)


def ray_processes(
    arms: Sequence[Arm], sweep: Sweep, address: str | None, parallel: int, cpus: int, gpus: int
) -> None:
    """Each arm as a process with `cpus` cores and `gpus` GPUs on a Ray cluster (address unset: a local one).

    The nodes need this command's folder, and the sweep's, at the same path. Raises ConfigError if the cluster
    cannot be reached or is too small for one arm.
    """
    import ray

    from rlvr.cluster.ray_cluster import join_ray, start_ray

    try:
        if address is None:
            start_ray(len(os.sched_getaffinity(0)))
        else:
            join_ray(address)
    except ConnectionError as error:
        raise ConfigError(f"hydra.launcher.address={address}: {error}") from error
    try:
        total = ray.cluster_resources()
        room = min(total.get("CPU", 0) // cpus, total.get("GPU", 0) // gpus if gpus else len(arms))
        if room < 1:
            raise ConfigError(
                f"hydra.launcher.cpus={cpus} and gpus={gpus}, but Ray has {total.get('CPU', 0):g} cores and "
                f"{total.get('GPU', 0):g} GPUs"
            )
        actor = ray.remote(Slot).options(num_cpus=cpus, num_gpus=gpus, max_concurrency=2)
        slots = [actor.remote() for _ in range(min(int(room), parallel, len(arms)))]
        nodes = ray.get([slot.node.remote() for slot in slots])
        cores = own_cores(nodes, cpus)
        places = [RayPlace(slot, sweep, own) for slot, own in zip(slots, cores, strict=True)]
        keep_busy(places, arms, sweep)
    finally:
        ray.shutdown()


def own_cores(nodes: Sequence[tuple[str, list[int]]], cpus: int) -> list[list[int]]:
    """For each slot, given as (node, cores of that node), `cpus` cores that no other slot has."""
    taken: dict[str, int] = defaultdict(int)
    own = []
    for node, cores in nodes:
        own.append(cores[taken[node] : taken[node] + cpus] or cores)
        taken[node] += cpus
    return own
