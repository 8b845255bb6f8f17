"""Where the parts of a run go."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import cloudpickle

from rlvr.cluster.config import WorkerSettings
from rlvr.cluster.placement import divide_cores, place, shares_gpus
from rlvr.pipeline.config import RunConfig
from rlvr.stages.gpu_sharing import GpuSharing
from rlvr.types import ConfigError


def configured(**settings: Any) -> WorkerSettings:
    config = RunConfig()
    for name, value in settings.items():
        section, _, key = name.partition("__")
        setattr(getattr(config, section), key, value)
    return config.for_stages().workers(config.rl.max_staleness)


@pytest.mark.parametrize(
    ("settings", "divided"),
    [
        ({}, ([0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3])),
        ({"rl__max_staleness": 1}, ([0, 1], [2, 3], [0, 1])),
        ({"cluster__placement": "separate"}, ([0, 1], [2, 3], [0, 1])),
        ({"rl__max_staleness": 1, "cluster__placement": "colocated"}, ([0, 1, 2, 3],) * 3),
        ({"rl__max_staleness": 2, "cluster__learner_cores": 1}, ([0, 1, 2], [3], [0, 1, 2])),
        ({"rl__max_staleness": 1, "cluster__reward_cores": 1}, ([1, 2], [3], [0])),
        ({"cluster__reward_cores": 3}, ([3], [3], [0, 1, 2])),
    ],
)
def test_cores_are_divided_as_configured(settings: dict[str, Any], divided: tuple[list[int], ...]) -> None:
    assert divide_cores(configured(**settings), [0, 1, 2, 3]) == divided


def test_one_core_is_for_all() -> None:
    assert divide_cores(configured(rl__max_staleness=1), [5]) == ([5], [5], [5])


@pytest.mark.parametrize("settings", [{"cluster__reward_cores": 4}, {"cluster__learner_cores": 4}])
def test_parts_without_a_core_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="leave none of 4 cores for the rollout workers"):
        divide_cores(configured(**settings, rl__max_staleness=1), [0, 1, 2, 3])


@pytest.mark.parametrize(("ranks", "workers", "gpus"), [(1, 1, 2), (2, 1, 1), (1, 2, 1)])
def test_parts_that_are_no_pairs_share_no_gpus(ranks: int, workers: int, gpus: int) -> None:
    config = configured(
        cluster__placement="colocated",
        learner__workers=ranks,
        rollout__workers=workers,
        learner__gpus_per_worker=1,
        rollout__gpus_per_worker=gpus,
    )
    with pytest.raises(ConfigError, match="one rollout worker and one learner rank on each GPU"):
        place(config)


def test_pairs_on_gpus_have_one_each() -> None:
    config = configured(
        cluster__placement="colocated",
        learner__workers=2,
        rollout__workers=2,
        learner__gpus_per_worker=1,
        rollout__gpus_per_worker=1,
    )
    placed = place(config)
    assert shares_gpus(config)
    assert [bundle["GPU"] for bundle in placed.bundles] == [1, 1]
    assert [(p.bundle, p.gpus) for p in placed.learner] == [(p.bundle, p.gpus) for p in placed.rollout]
    assert [(p.bundle, p.gpus) for p in placed.learner] == [(0, 0.5), (1, 0.5)]
    config.cluster.placement = "auto"
    assert not shares_gpus(config)
    assert len(place(config).bundles) == 4


class Recorder:
    """Stands for a rollout worker and for a learner on one GPU."""

    def __init__(self) -> None:
        self.on_gpu = {"weights", "kv_cache"}  # as an engine starts

    def sleep(self) -> None:
        self.on_gpu -= {"weights", "kv_cache"}

    def wake_up(self, part: str) -> None:
        assert part not in self.on_gpu
        self.on_gpu.add(part)
        assert not {"kv_cache", "optimizer"} <= self.on_gpu

    def move_optimizer(self, to_host: bool) -> None:
        assert "kv_cache" not in self.on_gpu
        (self.on_gpu.discard if to_host else self.on_gpu.add)("optimizer")

    def publish(self) -> None:
        assert "weights" in self.on_gpu

    def there(self) -> set[str]:
        return self.on_gpu


def test_who_shares_a_gpu_takes_turns_on_it(ray_cluster: None) -> None:
    import ray

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers do not find test modules
    actor = ray.remote(Recorder).options(num_cpus=0).remote()
    buffer: Any = SimpleNamespace(
        pool=SimpleNamespace(actors=[actor]),
        publish=lambda learner, version: ray.get(actor.publish.remote()),
    )
    learner: Any = SimpleNamespace(call=lambda method, *given: [getattr(actor, method).remote(*given)])
    turns = GpuSharing(buffer, shared=True)
    turns.to_learner(None)
    assert ray.get(actor.there.remote()) == set()
    for _ in range(2):
        turns.publish(learner, 0)
        assert ray.get(actor.there.remote()) == {"weights", "kv_cache"}
        turns.to_learner(learner)
        assert ray.get(actor.there.remote()) == {"optimizer"}
    ray.kill(actor)


@given(
    cores=st.integers(1, 64),
    ranks=st.integers(1, 8),
    workers=st.integers(1, 8),
    staleness=st.integers(0, 2),
    gpus=st.tuples(st.integers(0, 1), st.integers(0, 4)),
)
def test_a_machine_has_what_is_reserved_and_no_process_lacks_a_core(
    cores: int, ranks: int, workers: int, staleness: int, gpus: tuple[int, int]
) -> None:
    config = configured(
        learner__workers=ranks,
        rollout__workers=workers,
        rl__max_staleness=staleness,
        learner__gpus_per_worker=gpus[0],
        rollout__gpus_per_worker=gpus[1],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
        placed = place(config)
    processes = placed.learner + placed.rollout
    if cores >= ranks + workers:
        assert sum(bundle.get("CPU", 0) for bundle in placed.bundles) <= cores
    assert sum(bundle.get("GPU", 0) for bundle in placed.bundles) == ranks * gpus[0] + workers * gpus[1]
    assert all(placed.bundles)
    for number, bundle in enumerate(placed.bundles):
        mine = [each for each in processes if each.bundle == number]
        assert mine
        assert sum(each.cpus for each in mine) <= bundle.get("CPU", 0)
        assert sum(each.gpus for each in mine) <= bundle.get("GPU", 0)
    assert all(each.cores and set(each.cores) <= set(range(cores)) for each in processes)
    if staleness and cores > 1:
        assert not {c for p in placed.learner for c in p.cores} & {c for p in placed.rollout for c in p.cores}
