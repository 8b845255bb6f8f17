"""The learner as the stages see it: one or more ranks, each in a Ray actor of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray

from rlvr.base.imports import lean_imports
from rlvr.base.processes import Whereabouts, answer_for_stacks, peak_memory
from rlvr.learner.config import LearnerConfig, OptimizerConfig

if TYPE_CHECKING:
    from rlvr.algorithms.objective import Objective
    from rlvr.learner.learner import Learner
    from rlvr.types import FloatArray, TrainingBatch


class LearnerRank:
    """One data-parallel rank. Cheap to import: only the actor's process imports torch and DeepSpeed."""

    def __init__(self, config: LearnerConfig, rank: int, cores: Sequence[int]) -> None:
        if cores:
            os.sched_setaffinity(0, cores)
            os.environ["OMP_NUM_THREADS"] = str(len(cores))  # read when torch is imported
        self.process = answer_for_stacks()
        self.config = config
        self.rank = rank
        self.critic: Learner | None = None
        self.meeting: socket.socket | None = None  # of rank 0, for the others to connect to

    def whereabouts(self) -> Whereabouts:
        """The location of this process."""
        return self.process

    def address(self) -> tuple[str, int]:
        """The host, and a port that is free now."""
        with socket.socket() as probe:
            probe.bind(("", 0))
            return ray.util.get_node_ip_address(), probe.getsockname()[1]

    def meeting_place(self) -> tuple[str, int]:
        """Host and port that the ranks connect to; reserved, so that no other process can take the port."""
        return ray.util.get_node_ip_address(), self.listen()

    def listen(self) -> int:
        """Open the socket for the other ranks. Returns its port."""
        self.meeting = socket.socket()
        self.meeting.bind(("", 0))
        self.meeting.listen()
        port: int = self.meeting.getsockname()[1]
        return port

    def start(
        self,
        model_path: str,
        max_length: int,
        optimizer: OptimizerConfig,
        world_size: int,
        address: tuple[str, int],
    ) -> None:
        with lean_imports():
            from rlvr.learner.learner import join_ranks
            from rlvr.learner.policy import PolicyLearner

        listening = self.meeting.detach() if self.meeting is not None else None
        device = join_ranks(self.rank, world_size, *address, self.config.gpus_per_worker > 0, listening)
        self.learner = PolicyLearner(model_path, max_length, self.config, optimizer, device)

    def add_reference(self, model_path: str) -> None:
        self.learner.add_reference(model_path)

    def add_critic(self, model_path: str, max_length: int, optimizer: OptimizerConfig) -> None:
        """Add a value model; its body is initialized from this checkpoint."""
        from rlvr.learner.learner import Learner
        from rlvr.learner.models import load_model
        from rlvr.learner.modules import ValueModel

        config = self.config
        body = load_model(model_path, config.dtype, max_length, head=False, packing=config.packing)
        self.critic = Learner(ValueModel(body), config, optimizer, self.learner.device)

    def connect(
        self, workers: Sequence[Any], gpus_per_worker: int, same_gpus: bool, address: tuple[str, int]
    ) -> None:
        """Prepare for `publish` to these rollout workers."""
        from rlvr.weights.sender import GpuSender, Receivers, SharedMemorySender

        self.sender: GpuSender | SharedMemorySender
        if gpus_per_worker:
            self.sender = GpuSender(self.learner, Receivers(workers, gpus_per_worker), address, same_gpus)
        else:
            self.sender = SharedMemorySender(self.learner)

    def publish(self, version: int) -> dict[str, Any]:
        """Send the weights, or copy them to shared memory. Returns what workers need to read them there."""
        return self.sender.send(version)

    def move_optimizer(self, to_host: bool) -> None:
        """Move the optimizers' states to host memory while nothing is learned, or back to the device."""
        for learner in (self.learner, self.critic):
            if learner is not None:
                learner.move_optimizer(to_host)

    def update(self, batch: TrainingBatch, objective: Objective, lr: float) -> dict[str, float]:
        return self.learner.update(batch, objective, lr)

    def kept_tokens(self) -> dict[str, list[FloatArray]]:
        return self.learner.kept_tokens()

    def update_critic(self, batch: TrainingBatch, objective: Objective, lr: float) -> dict[str, float]:
        assert self.critic is not None
        return self.critic.update(batch, objective, lr)

    def logprobs(self, batch: TrainingBatch) -> list[FloatArray]:
        return self.learner.outputs("logprobs", batch)

    def reference_logprobs(self, batch: TrainingBatch) -> list[FloatArray]:
        return self.learner.reference_logprobs(batch)

    def values(self, batch: TrainingBatch) -> list[FloatArray]:
        assert self.critic is not None
        return self.critic.outputs("values", batch)

    def reset_reference(self) -> None:
        self.learner.reset_reference()

    def weight_checksums(self) -> dict[str, int]:
        return self.learner.weight_checksums()

    def save(self, folder: Path) -> None:
        self.learner.save(folder)
        if self.critic:
            self.critic.save_state(folder, "critic")

    def load(self, folder: Path) -> None:
        self.learner.load(folder)
        if self.critic:
            self.critic.load_state(folder, "critic")

    def peak_memory(self) -> float:
        """Peak resident memory of this process in GiB."""
        return peak_memory()


LearnerActor = ray.remote(LearnerRank)


class LearnerGroup:
    """All ranks. Every call goes to all of them, since they work in lockstep."""

    def __init__(self, ranks: Sequence[Any]) -> None:
        self.ranks = list(ranks)

    def start(self, model_path: str, max_length: int, optimizer: OptimizerConfig) -> list[ray.ObjectRef]:
        """Start loading the model on every rank; the calls are done once it is loaded."""
        # passed as a reference, without waiting: the first rank may not have started yet
        place = self.ranks[0].meeting_place.remote()
        return self.call("start", model_path, max_length, optimizer, len(self.ranks), place)

    def connect(
        self, workers: Sequence[Any], gpus_per_worker: int, same_gpus: bool = False
    ) -> list[ray.ObjectRef]:
        """Start setting up the weight transfer to these rollout workers."""
        return self.call("connect", workers, gpus_per_worker, same_gpus, self.ranks[0].address.remote())

    def call(self, method: str, *arguments: Any) -> list[ray.ObjectRef]:
        """Call a method of every rank; large arguments are put into shared memory once."""
        shared = [a if isinstance(a, ray.ObjectRef) else ray.put(a) for a in arguments]
        return [getattr(rank, method).remote(*shared) for rank in self.ranks]
