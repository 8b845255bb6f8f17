"""A stage's learner in this process: one rank, no Ray, no rollout engine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from deepspeed.utils import safe_get_full_grad

from rlvr.cluster.placement import place
from rlvr.learner.actor import LearnerRank
from rlvr.learner.policy import PolicyLearner
from rlvr.pipeline.config import RunConfig
from rlvr.replay.replayed import Replayed, Tensors, length
from rlvr.stages.learning import Learning
from rlvr.stages.resume import redrawn
from rlvr.stages.rl_learner import LOOP_STATE
from rlvr.stages.step_metrics import step_metrics
from rlvr.types import ConfigError, Group


class LocalRank(LearnerRank):
    """A learner rank that is not a Ray actor and does not claim cores."""

    def __init__(self, config: RunConfig) -> None:
        self.config, self.rank, self.critic, self.meeting = config.learner, 0, None, None


class InProcess:
    """Replaces the learner's actors and the buffer that waits for them: calls are executed at once."""

    def __init__(self, rank: LearnerRank) -> None:
        self.rank = rank

    def call(self, method: str, *arguments: Any) -> list[Any]:
        return [getattr(self.rank, method)(*arguments)]

    def wait(self, what: str, calls: list[Any], deadline: float) -> Any:
        return calls[0]


class Replica:
    """Models and optimizers of a stage, which repeat its updates.

    They start from the model `start` with new optimizers, or from `state`, a checkpoint or a folder written
    by `save`. The number of threads is the run's, because sums depend on it in their last bits.

    Raises:
        ConfigError, RlvrError: they cannot be loaded.
    """

    def __init__(self, config: RunConfig, start: str, state: Path | None) -> None:
        self.config = config
        torch.set_num_threads(learner_threads(config))
        self.rank = LocalRank(config)
        address = "127.0.0.1", self.rank.listen()
        self.rank.start(start, config.model.max_length, config.rl.optimizer, 1, address)
        shell: Any = InProcess(self.rank)
        self.learning = Learning(config.for_stages(), config.rl, shell, shell, start)
        if state:
            self.rank.load(state)
            self.learning.load(json.loads((state / LOOP_STATE).read_text())["learning"])

    @property
    def learner(self) -> PolicyLearner:
        return self.rank.learner

    def save(self, folder: Path) -> None:
        """Write the state that another replica can start from."""
        self.rank.save(folder)
        (folder / LOOP_STATE).write_text(json.dumps({"learning": self.learning.state()}))

    def redo(self, groups: Sequence[Group], step: int) -> None:
        """Repeat the updates of a step."""
        drawn = redrawn(self.config.for_stages(), self.config.rl, groups, step)
        self.learning.update(self.learning.batch(drawn.kept), len(drawn.kept), step)

    def replay(self, groups: Sequence[Group], step: int) -> Replayed:
        """Repeat the updates of a step, and return their metrics, gradients and records."""
        drawn = redrawn(self.config.for_stages(), self.config.rl, groups, step)
        before = self.weights()
        batch = self.learning.batch(drawn.kept)
        with self._gradients() as gradients:
            updates, kept = self.learning.update(batch, len(drawn.kept), step)
        after = self.weights()
        return Replayed(
            drawn,
            batch,
            step_metrics(drawn, batch, updates, step, self.config.reward.gates),
            self.learning.learned(drawn, batch, kept),
            gradients,
            length({name: after[name] - weight for name, weight in before.items()}),
        )

    def weights(self) -> Tensors:
        """The policy's weights, by their names in the model."""
        return {name: weight.clone().cpu() for name, weight in self.learner.whole_weights()}

    @contextmanager
    def _gradients(self) -> Iterator[list[Tensors]]:
        """Collects the gradients of each step of the policy's optimizer within this block."""
        engine, found = self.learner.engine, cast(list[Tensors], [])
        step = engine.step

        def read(*arguments: Any, **keywords: Any) -> Any:
            found.append(_gradients_of(self.learner))
            return step(*arguments, **keywords)

        engine.step = read  # with ZeRO there is no hook before clipping
        try:
            yield found
        finally:
            engine.step = step


@torch.no_grad()
def _gradients_of(learner: PolicyLearner) -> Tensors:
    gradients = {}
    for name, parameter in learner.model.named_parameters():
        if parameter.requires_grad:
            gradient = safe_get_full_grad(parameter)
            # a parameter that the loss does not depend on has gradient zero
            zeros = torch.zeros(getattr(parameter, "ds_shape", parameter.shape))
            gradients[name] = zeros if gradient is None else gradient.detach().float().cpu().clone()
    return gradients


def learner_threads(config: RunConfig) -> int:
    """The number of threads that a rank of the run's learner has on this machine."""
    try:
        cores = place(config.for_stages().workers(config.rl.max_staleness)).learner[0].cores
    except ConfigError:  # the run had a larger machine
        cores = []
    return len(cores) or len(os.sched_getaffinity(0))
