"""The Ray actor around a rollout engine. Cheap to import: only the actor's process imports the engine."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import ray

from rlvr.base.processes import Whereabouts, answer_for_stacks, peak_memory
from rlvr.rollout.config import RolloutConfig

if TYPE_CHECKING:
    from rlvr.rollout.engine import Request
    from rlvr.types import Rollout


class Progress(NamedTuple):
    """The result of one call of a worker."""

    rollouts: list[Rollout]  # finished ones
    steps: int  # number of engine steps done
    peak_memory: float  # of the process, resident, in GiB


class RolloutWorker:
    """One engine in a process of its own; calls run one after the other, between engine steps.

    `ready` must be called first: the engine's threads belong to the thread that creates it, which also has to
    run its steps. Only `pause` and `whereabouts` run concurrently with other calls; `pause` ends a running
    `advance` after its current step.
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
        self.cores = cores
        self.arguments = model_path, max_length, config, seed, sleeps
        self.process = answer_for_stacks()
        self.paused = threading.Event()

    def ready(self) -> Whereabouts:
        """Create the engine if there is none. Returns the location of the process."""
        if not hasattr(self, "engine"):
            if self.cores:
                os.sched_setaffinity(0, self.cores)
                os.environ["OMP_NUM_THREADS"] = str(len(self.cores))  # read when torch is imported
            from rlvr.rollout.engine import RolloutEngine

            self.engine = RolloutEngine(*self.arguments)
        return self.process

    @ray.method(concurrency_group="control")
    def whereabouts(self) -> Whereabouts:
        """The location of the process, also while the engine is being created."""
        return self.process

    def advance(self, requests: Sequence[Request], seconds: float) -> Progress:
        """Submit requests, do engine steps for about `seconds` or until paused, and return finished
        rollouts."""
        self.paused.clear()
        self.engine.submit(requests)
        before = self.engine.steps
        finished = self.engine.run(seconds, self.paused.is_set)
        return Progress(finished, self.engine.steps - before, peak_memory())

    def load(self, model_path: str) -> None:
        """Load another checkpoint, with the same results as a new worker."""
        self.engine.load(model_path)

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
