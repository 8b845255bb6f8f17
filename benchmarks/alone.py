"""An engine, a learner or a reward service in a process of its own, for benchmarks to compare with.

Nothing is around it, no Ray and no loop: what is asked for is sent through a pipe, and times are taken in
the process itself.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Self

from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.service import RewardService
from rlvr.rollout.config import RolloutConfig
from rlvr.rollout.engine import Request, RolloutEngine
from rlvr.types import Problem, Rollout, TrainingBatch


class EngineAlone:
    """vLLM behind nothing but `RolloutEngine`."""

    def __init__(self, model: str, max_length: int, config: RolloutConfig, seed: int) -> None:
        self.engine = RolloutEngine(model, max_length, config, seed)

    def generate(self, requests: Sequence[Request]) -> tuple[float, int]:
        """Seconds, and tokens drawn."""
        began = time.monotonic()
        self.engine.submit(requests)
        rollouts = self.engine.run(float("inf"))
        return time.monotonic() - began, sum(rollout.num_sampled for rollout in rollouts)

    def engine_steps(self, requests: Sequence[Request]) -> tuple[list[tuple[int, float]], list[Rollout]]:
        """Of every engine step: sequences under way, and seconds. The first reads the prompts."""
        self.engine.submit(requests)
        steps, rollouts = [], []
        while self.engine.requests:
            active, began = len(self.engine.requests), time.monotonic()
            rollouts += self.engine.run(0.0)
            steps.append((active, time.monotonic() - began))
        return steps, rollouts

    def receive(self, info: dict[str, Any], version: int) -> float:
        """Seconds of taking new weights."""
        began = time.monotonic()
        self.engine.receive_weights(info, version)
        return time.monotonic() - began


class LearnerAlone:
    """One learner rank."""

    def __init__(
        self, model: str, max_length: int, config: LearnerConfig, optimizer: OptimizerConfig
    ) -> None:
        from rlvr.learner.learner import join_ranks
        from rlvr.learner.policy import PolicyLearner
        from rlvr.weights.sender import SharedMemorySender

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        device = join_ranks(0, 1, "127.0.0.1", port, gpu=False)
        self.learner = PolicyLearner(model, max_length, config, optimizer, device)
        self.sender = SharedMemorySender(self.learner)

    def update(self, batch: TrainingBatch, objective: Any, lr: float) -> float:
        """Seconds of an update."""
        began = time.monotonic()
        self.learner.update(batch, objective, lr)
        return time.monotonic() - began

    def send(self, version: int) -> tuple[float, dict[str, Any]]:
        """Seconds of filling the memory, and what an engine needs to read it."""
        began = time.monotonic()
        info = self.sender.send(version)
        return time.monotonic() - began, info


class RewardAlone:
    """One reward service."""

    def __init__(self, config: RewardConfig) -> None:
        self.service = RewardService(config)

    def score(self, items: Sequence[tuple[Problem, Rollout]]) -> float:
        """Seconds of so many verdicts."""
        began = time.monotonic()
        self.service.score(items)
        return time.monotonic() - began


class Alone:
    """A process on `cores` that makes a `kind` and does what it is asked; it ends with the block."""

    def __init__(self, kind: Callable[..., Any], cores: Sequence[int], *arguments: Any) -> None:
        before = os.environ.get("OMP_NUM_THREADS")
        os.environ["OMP_NUM_THREADS"] = str(len(cores))  # read when torch is imported
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, kind, list(cores), arguments))
        self.process.start()
        theirs.close()
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()
        self.process.join()

    def ask(self, method: str, *arguments: Any) -> Any:
        """What the method returns. Raises EOFError if the process died; its words are on stderr."""
        self.connection.send((method, arguments))
        return self.connection.recv()


def _serve(connection: Connection, kind: Callable[..., Any], cores: list[int], arguments: Any) -> None:
    os.sched_setaffinity(0, cores)
    there = kind(*arguments)
    while True:
        try:
            method, given = connection.recv()
        except EOFError:
            return
        connection.send(getattr(there, method)(*given))


def count_seconds(owner: Any, name: str, seconds: dict[str, float], key: str) -> None:
    """Replace a function of a module or an object by one that adds up the seconds of its calls."""
    original: Callable[..., Any] = getattr(owner, name)

    def timed(*arguments: Any, **keywords: Any) -> Any:
        began = time.monotonic()
        try:
            return original(*arguments, **keywords)
        finally:
            seconds[key] += time.monotonic() - began

    setattr(owner, name, timed)
