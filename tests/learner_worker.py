"""Runs real learners for the tests: `python learner_worker.py RANK WORLD_SIZE PORT`, with folders of cases on
standard input and a line on standard output for each that is done.

A process group costs tens of seconds to start, so one group goes through all cases of its world size, of all
test files (`learners` in conftest.py).
"""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import rlvr
from rlvr.algorithms import objective
from rlvr.algorithms.losses import ppo_clip
from rlvr.base.imports import lean_imports
from rlvr.learner import head
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.types import RlvrError, TrainingBatch

if TYPE_CHECKING:
    from rlvr.algorithms.objective import Objective
    from rlvr.learner.policy import PolicyLearner

MAX_LENGTH = 64
LIMIT = 300.0  # seconds for a list of cases
DONE = "all cases are done"
CHUNK = head.CHUNK
PERSISTENT = 100  # numbers: below, ZeRO-3 keeps a weight whole; its 100 000 would be all of these models
LOSS = partial(objective.policy, loss=partial(ppo_clip, clip_low=0.2, clip_high=0.3))
# an eps of the gradients' size makes the step a smooth function of them; with a tiny one, a gradient
# that is zero but for rounding moves its weight by the whole learning rate, either way
OPTIMIZER = OptimizerConfig(lr=0.02, eps=1e-3, weight_decay=0.1, beta1=0.8, beta2=0.95)


@dataclass(frozen=True)
class Case:
    """Updates to make, and what to do before and after them."""

    name: str
    model: Path
    batches: list[TrainingBatch]
    learner: LearnerConfig
    optimizer: OptimizerConfig = field(default_factory=lambda: OPTIMIZER)
    loss: Objective = LOSS
    start: int = 0  # updates made before, which the learning rate depends on
    load: Path | None = None
    save: Path | None = None
    reference: Path | None = None  # a reference model, whose log-probabilities become a column
    reset_after: int | None = None  # updates after which the policy becomes the reference
    critic: bool = False  # a value model in place of the policy
    chunk: int | None = None  # logits at a time
    counted: bool = False  # with `Traffic`, which slows every operation


@dataclass
class Result:
    weights: dict[str, np.ndarray] = field(default_factory=dict)
    metrics: list[dict[str, float]] = field(default_factory=list)  # of each update
    logprobs: list[np.ndarray] = field(default_factory=list)  # of the first batch, before any update
    kept: dict[str, list[np.ndarray]] = field(default_factory=dict)  # by the first update, of its tokens
    before: list[np.ndarray] = field(default_factory=list)  # those of the reference, of the first batch
    reference: list[np.ndarray] = field(default_factory=list)  # the same, after all updates
    shapes: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    checksums: dict[str, int] = field(default_factory=dict)
    raw: dict[str, np.ndarray] = field(default_factory=dict)  # with adapters: the parameters as they are
    switched_back: bool = True  # adapters are back on after an error while they were off
    traffic: list[tuple[int, int]] = field(default_factory=list)  # of each update that is counted
    error: str = ""


class Traffic(TorchDispatchMode):
    """Counts the collectives that this rank takes part in while it is on, and the numbers in them."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = self.numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function.namespace == "c10d":
            self.calls += 1
            self.numbers += sum(x.numel() for x in tree_leaves(args) if isinstance(x, torch.Tensor))
        return function(*args, **(kwargs or {}))


def run_case(case: Case, learner: PolicyLearner) -> Result:
    result = Result()
    try:
        if case.load:
            learner.load(case.load)
        result.logprobs = learner.outputs("logprobs", case.batches[0])
        if case.reference:
            learner.add_reference(str(case.reference))
            result.before = learner.reference_logprobs(case.batches[0])
        for number, batch in enumerate(case.batches, start=case.start):
            if case.reference and not batch.reference_logits:
                batch.columns["reference_logprobs"] = learner.reference_logprobs(batch)
            traffic = Traffic()
            with traffic if case.counted else nullcontext():
                result.metrics.append(learner.update(batch, case.loss, case.optimizer.lr / (1 + number)))
            if case.counted:
                result.traffic.append((traffic.calls, traffic.numbers))
            result.kept = result.kept or learner.kept_tokens()
            if number + 1 == case.reset_after:
                learner.reset_reference()
        if case.reference:
            result.reference = learner.reference_logprobs(case.batches[0])
        if case.save:
            learner.save(case.save)
    except RlvrError as error:
        result.error = str(error)
    result.weights = {name: w.float().cpu().numpy().copy() for name, w in learner.named_weights()}
    result.shapes = [(name, shape) for name, _, shape in learner.weight_shapes()]
    result.checksums = learner.weight_checksums()
    if case.learner.lora.rank is not None:
        result.raw = whole_parameters(learner.model, case.learner.zero_stage)
        if learner.reference is None:
            result.switched_back = comes_back(case, learner)
    return result


def whole_parameters(module: torch.nn.Module, zero_stage: int) -> dict[str, np.ndarray]:
    import deepspeed

    whole = {}
    for name, parameter in module.named_parameters():
        with deepspeed.zero.GatheredParameters([parameter], enabled=zero_stage == 3):
            whole[name] = parameter.detach().float().cpu().numpy().copy()
    return whole


def comes_back(case: Case, learner: PolicyLearner) -> bool:
    """Whether an error in the reference's forward pass leaves the policy what it was."""

    def stop(*given: object) -> None:
        raise RlvrError("stop")

    before = learner.outputs("logprobs", case.batches[0])
    hook = learner.module.register_forward_pre_hook(stop)
    try:
        learner.reference_logprobs(case.batches[0])
    except RlvrError:
        after_error = True
    else:
        after_error = False
    hook.remove()
    after = learner.outputs("logprobs", case.batches[0])
    return after_error and all(np.array_equal(x, y) for x, y in zip(before, after, strict=True))


def run_critic(case: Case, device: torch.device) -> Result:
    """Updates of a value model: the values before them, and the weights after."""
    from rlvr.learner.learner import Learner
    from rlvr.learner.models import load_model
    from rlvr.learner.modules import ValueModel

    config = case.learner
    body = load_model(str(case.model), config.dtype, MAX_LENGTH, head=False, packing=config.packing)
    learner = Learner(ValueModel(body), case.learner, case.optimizer, device)
    result = Result()
    for number, batch in enumerate(case.batches):
        values = learner.outputs("values", batch)
        result.logprobs = result.logprobs or values
        batch.columns["values"] = values
        result.metrics.append(learner.update(batch, case.loss, case.optimizer.lr / (1 + number)))
    result.weights = whole_parameters(learner.module, case.learner.zero_stage)
    learner.engine.destroy()
    return result


def work(folder: Path, rank: int, device: torch.device) -> None:
    """Go through the cases in this folder, and leave the results there."""
    from rlvr.learner.policy import PolicyLearner

    with (folder / "cases").open("rb") as file:
        cases = pickle.load(file)
    results = {}
    for case in cases:
        head.CHUNK = case.chunk or CHUNK
        if case.critic:
            results[case.name] = run_critic(case, device)
            continue
        learner = PolicyLearner(str(case.model), MAX_LENGTH, case.learner, case.optimizer, device)
        results[case.name] = run_case(case, learner)
        learner.engine.destroy()
    with (folder / f"results_{rank}").open("wb") as file:
        pickle.dump(results, file)


def main(rank: int, world_size: int, port: int) -> None:
    with lean_imports():
        from rlvr.learner import learner

    given = learner.deepspeed_config

    def settings(config: LearnerConfig) -> dict[str, Any]:
        result = given(config)
        result["zero_optimization"]["stage3_param_persistence_threshold"] = PERSISTENT
        return result

    learner.deepspeed_config = settings
    device = learner.join_ranks(rank, world_size, "127.0.0.1", port, gpu=False)
    for line in sys.stdin:
        work(Path(line.rstrip("\n")), rank, device)
        print(DONE, flush=True)


class Ranks:
    """A group of real learners, in processes that stay for one list of cases after the other."""

    def __init__(self, world_size: int) -> None:
        self.output = tempfile.TemporaryFile("w+")  # noqa: SIM115 it is there as long as the group
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.processes = [
            subprocess.Popen(
                [sys.executable, __file__, str(rank), str(world_size), str(port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.output,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(rlvr.__file__).parents[1])},
                text=True,
            )
            for rank in range(world_size)
        ]

    def run_cases(self, folder: Path, cases: list[Case]) -> list[dict[str, Result]]:
        """The results of every rank."""
        folder.mkdir()
        size = len(self.processes)
        cases = [replace(case, learner=replace(case.learner, workers=size)) for case in cases]
        (folder / "cases").write_bytes(pickle.dumps(cases))
        timer = threading.Timer(LIMIT, self.kill)
        timer.start()
        try:
            self._work(folder)
        finally:
            timer.cancel()
        return [pickle.loads((folder / f"results_{rank}").read_bytes()) for rank in range(size)]

    def _work(self, folder: Path) -> None:
        for process in self.processes:
            assert process.stdin is not None
            print(folder, file=process.stdin, flush=True)
        for process in self.processes:
            assert process.stdout is not None
            if not any(line.endswith(f"{DONE}\n") for line in process.stdout):  # else all of them were read
                self.kill()
                self.output.seek(0)
                raise AssertionError(self.output.read()[-6000:])

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


RunCases = Callable[[Path, list[Case], int], list[dict[str, Result]]]  # the latter is the world size


if __name__ == "__main__":
    import learner_worker  # under its own name, by which the tests read the results

    learner_worker.main(*map(int, sys.argv[1:]))
