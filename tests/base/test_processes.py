"""Where a process stands, asked from outside."""

from __future__ import annotations

import sys

import pytest
import ray
from ray import cloudpickle

from rlvr.base.processes import Whereabouts, answer_for_stacks, stacks


class Stuck:
    def ready(self) -> Whereabouts:
        return answer_for_stacks()

    def in_native_code(self) -> int:
        return sum(range(10**12))  # which gives no other thread a turn


@pytest.mark.parametrize("after", [1, 2])
def test_a_process_that_gives_no_thread_a_turn_shows_its_stacks(ray_cluster: None, after: int) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers do not find test modules
    actor = ray.remote(Stuck).options(num_cpus=0).remote()
    where = ray.get(actor.ready.remote())
    actor.in_native_code.remote()
    shown = ""
    while "in_native_code" not in shown:  # it may not have begun
        shown = stacks(where)
    for _ in range(after):
        assert "in in_native_code" in stacks(where)
    ray.kill(actor)


def test_a_process_that_is_gone_has_none(ray_cluster: None) -> None:
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    actor = ray.remote(Stuck).options(num_cpus=0).remote()
    where = ray.get(actor.ready.remote())
    ray.kill(actor)
    shown = stacks(where)
    while "Thread" in shown:  # it may live a moment yet
        shown = stacks(where)
    assert shown.startswith("(no stacks: ")
