"""The Ray actor around a rollout engine. Light to import: the engine comes with its process."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import ray

from rlvr.processes import Whereabouts, answer_for_stacks
from rlvr.rollout.config import RolloutConfig

if TYPE_CHECKING:
    from rlvr.rollout.engine import Request
    from rlvr.types import Rollout


class Advanced(NamedTuple):
    """What a worker has done in one call."""

    rollouts: list[Rollout]  # that are finished
    steps: int  # engine steps made
    peak_memory: float  # of the process, resident, in GiB


class RolloutWorker:
    """One engine in a process of its own; calls run one after the other, between engine steps.

    `pause` alone does not wait for its turn: it ends an `advance` that is under way after its present step.
    """

    def __init__(
        self,
        model_path: str,
        max_length: int,
        config: RolloutConfig,
        seed: int,
        cores: Sequence[int],
        sleeps: bool = False,
    ) -> None:
        if cores:
            os.sched_setaffinity(0, cores)
            os.environ["OMP_NUM_THREADS"] = str(len(cores))  # read when torch is imported
        self.whereabouts = answer_for_stacks()
        self.paused = threading.Event()
        from rlvr.rollout.engine import RolloutEngine

        self.engine = RolloutEngine(model_path, max_length, config, seed, sleeps)

    def ready(self) -> Whereabouts:
        """Where its process is, once the engine stands."""
        return self.whereabouts

    def advance(self, requests: Sequence[Request], seconds: float) -> Advanced:
        """Take further requests, make engine steps for about `seconds` or until paused, and hand out what
        finished."""
        self.paused.clear()
        self.engine.submit(requests)
        before = self.engine.steps
        finished = self.engine.run(seconds, self.paused.is_set)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return Advanced(finished, self.engine.steps - before, memory)

    @ray.method(concurrency_group="control")
    def pause(self) -> None:
        self.paused.set()

    def sleep(self) -> None:
        self.engine.sleep()

    def wake_up(self, part: str) -> None:
        self.engine.wake_up(part)

    def init_weight_transfer(self, init_info: dict[str, Any]) -> None:
        self.engine.init_weight_transfer(init_info)

    def receive_weights(self, update_info: dict[str, Any], version: int) -> None:
        self.engine.receive_weights(update_info, version)

    def weight_checksums(self) -> dict[str, int]:
        return self.engine.weight_checksums()


RolloutActor = ray.remote(concurrency_groups={"control": 1})(RolloutWorker)
