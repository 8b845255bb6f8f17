"""Where the parts of a run go."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.config import TrainConfig
from rlvr.stages.placement import divide_cores, place
from rlvr.types import ConfigError


def configured(**settings: Any) -> TrainConfig:
    config = TrainConfig()
    for name, value in settings.items():
        section, _, key = name.partition("__")
        setattr(getattr(config, section), key, value)
    return config


@pytest.mark.parametrize(
    ("settings", "divided"),
    [
        ({}, ([0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3])),
        ({"grpo__max_staleness": 1}, ([0, 1], [2, 3], [0, 1])),
        ({"cluster__placement": "separate"}, ([0, 1], [2, 3], [0, 1])),
        ({"grpo__max_staleness": 1, "cluster__placement": "colocated"}, ([0, 1, 2, 3],) * 3),
        ({"grpo__max_staleness": 2, "cluster__learner_cores": 1}, ([0, 1, 2], [3], [0, 1, 2])),
        ({"grpo__max_staleness": 1, "cluster__reward_cores": 1}, ([1, 2], [3], [0])),
        ({"cluster__reward_cores": 3}, ([3], [3], [0, 1, 2])),
    ],
)
def test_cores_are_divided_as_configured(settings: dict[str, Any], divided: tuple[list[int], ...]) -> None:
    assert divide_cores(configured(**settings), [0, 1, 2, 3]) == divided


def test_one_core_is_for_all() -> None:
    assert divide_cores(configured(grpo__max_staleness=1), [5]) == ([5], [5], [5])


@pytest.mark.parametrize("settings", [{"cluster__reward_cores": 4}, {"cluster__learner_cores": 4}])
def test_parts_without_a_core_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="leave none of 4 cores for the rollout workers"):
        divide_cores(configured(**settings, grpo__max_staleness=1), [0, 1, 2, 3])


def test_parts_on_gpus_are_not_put_on_the_same() -> None:
    with pytest.raises(ConfigError, match=r"cluster\.placement=colocated: .* need GPUs of their own"):
        place(configured(cluster__placement="colocated", learner__gpus_per_worker=1))


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
        grpo__max_staleness=staleness,
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
