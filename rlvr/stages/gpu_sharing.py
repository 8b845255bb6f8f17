"""How rollout workers and learner take turns on shared GPUs."""

from __future__ import annotations

from rlvr.cluster.waiting import finish
from rlvr.learner.actor import LearnerGroup
from rlvr.stages.buffer import CONTROL_DEADLINE, RolloutBuffer


class GpuSharing:
    """One sleeps while the other works: `to_learner` after generation, `publish` after learning.

    Where they share no GPUs, `to_learner` does nothing. While the learner works, the workers' weights are in
    host memory and their KV caches are freed; while the workers run, the optimizer state is in host memory.
    KV caches and optimizer state are never on a GPU together.
    """

    def __init__(self, buffer: RolloutBuffer, shared: bool) -> None:
        self.buffer = buffer
        self.shared = shared

    def to_learner(self, learner: LearnerGroup | None) -> None:
        """Put the workers, which must be idle, to sleep; `learner` is None before there is one."""
        if not self.shared:
            return
        finish("sleep", [actor.sleep.remote() for actor in self.buffer.pool.actors], CONTROL_DEADLINE)
        if learner is not None:
            finish("optimizer to the GPU", learner.call("move_optimizer", False), CONTROL_DEADLINE)

    def publish(self, learner: LearnerGroup, version: int) -> None:
        """Wake up the workers and send them the learner's weights."""
        self._wake_up("weights")
        self.buffer.publish(learner, version)
        if self.shared:
            finish("optimizer to the host", learner.call("move_optimizer", True), CONTROL_DEADLINE)
        self._wake_up("kv_cache")

    def _wake_up(self, part: str) -> None:
        if self.shared:
            calls = [actor.wake_up.remote(part) for actor in self.buffer.pool.actors]
            finish("wake up", calls, CONTROL_DEADLINE)
