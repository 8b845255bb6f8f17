"""The Ray actor around a rollout engine. Light to import: the engine comes with its process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ray

from rlvr.rollout.config import RolloutConfig

if TYPE_CHECKING:
    from rlvr.rollout.engine import Request
    from rlvr.types import Rollout


class RolloutWorker:
    """One engine in a process of its own; calls run one after the other, between engine steps."""

    def __init__(
        self, model_path: str, max_length: int, config: RolloutConfig, seed: int, cores: Sequence[int]
    ) -> None:
        if cores:
            os.sched_setaffinity(0, cores)
            os.environ["OMP_NUM_THREADS"] = str(len(cores))  # read when torch is imported
        from rlvr.rollout.engine import RolloutEngine

        self.engine = RolloutEngine(model_path, max_length, config, seed)

    def ready(self) -> int:
        """The process id, once the engine stands."""
        return os.getpid()

    def advance(self, requests: Sequence[Request], seconds: float) -> list[Rollout]:
        """Take further requests, make engine steps for about `seconds`, and hand out what finished."""
        self.engine.submit(requests)
        return self.engine.run(seconds)

    def init_weight_transfer(self, init_info: dict[str, Any]) -> None:
        self.engine.init_weight_transfer(init_info)

    def receive_weights(self, update_info: dict[str, Any], version: int) -> None:
        self.engine.receive_weights(update_info, version)

    def weight_checksums(self) -> dict[str, int]:
        return self.engine.weight_checksums()

    def peak_memory(self) -> float:
        """Peak resident memory of this process in GiB."""
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


RolloutActor = ray.remote(RolloutWorker)
