"""The order in which rollout workers and learner have the GPUs that they share."""

from __future__ import annotations

from rlvr.cluster.waiting import finish
from rlvr.learner.actor import LearnerGroup
from rlvr.stages.buffer import CONTROL_DEADLINE, RolloutBuffer


class GpuSharing:
    """One sleeps while the other works: `to_learner` after generation, `publish` after learning.

    Where they share no GPUs, `to_learner` does nothing. While the learner works, the workers' weights are in
    the host's memory and their caches are given up; while they work, the optimizer's state is in the host's
    memory. At no time do caches and optimizer state lie on a GPU together.
    """

    def __init__(self, buffer: RolloutBuffer, shared: bool) -> None:
        self.buffer = buffer
        self.shared = shared

    def to_learner(self, learner: LearnerGroup | None) -> None:
        """Workers, which have nothing under way, fall asleep; `learner` is None before there is one."""
        if not self.shared:
            return
        finish("sleep", [actor.sleep.remote() for actor in self.buffer.pool.actors], CONTROL_DEADLINE)
        if learner is not None:
            finish("optimizer to the GPU", learner.call("move_optimizer", False), CONTROL_DEADLINE)

    def publish(self, learner: LearnerGroup, version: int) -> None:
        """The learner's weights to the workers, which have the next turn."""
        self._wake_up("weights")
        self.buffer.publish(learner, version)
        if self.shared:
            finish("optimizer to the host", learner.call("move_optimizer", True), CONTROL_DEADLINE)
        self._wake_up("kv_cache")

    def _wake_up(self, part: str) -> None:
        if self.shared:
            calls = [actor.wake_up.remote(part) for actor in self.buffer.pool.actors]
            finish("wake up", calls, CONTROL_DEADLINE)
