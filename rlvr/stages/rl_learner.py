"""The learner of an RL stage: it learns, publishes its weights, and is replaced if it dies."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlvr.base.processes import DEATHS, START_DEADLINE, require_nodes
from rlvr.cluster.placement import shares_gpus
from rlvr.cluster.waiting import finish
from rlvr.cluster.workers import Workers
from rlvr.record.journal import read_journal
from rlvr.stages.buffer import RolloutBuffer
from rlvr.stages.collector import RolloutCollector, StepGroups
from rlvr.stages.gpu_sharing import GpuSharing
from rlvr.stages.learning import Learning
from rlvr.stages.logprob_check import check_logprobs
from rlvr.stages.resume import redrawn
from rlvr.stages.stage import StageInput
from rlvr.types import FloatArray, Group, RlvrError, TrainingBatch, UpdateRecord, WorkerDied

LOOP_STATE = "loop.json"  # in a checkpoint: the state of the training loop


@dataclass(frozen=True)
class Update:
    """The batch of a training step and what the learner returned for it."""

    batch: TrainingBatch
    metrics: list[dict[str, float]]  # of each optimizer step
    kept: dict[int, dict[str, FloatArray]]  # row of the batch → values of its tokens
    checked: dict[str, float]  # metrics of the comparison with vLLM, if one was due


class RlLearner:
    """Starts from the last checkpoint and repeats the updates since then from the journal, which has all
    their data. A learner that replaces a dead one does the same.

    `version` is the policy version: the number of training steps done.
    """

    def __init__(
        self,
        stage: StageInput,
        workers: Workers,
        buffer: RolloutBuffer,
        collector: RolloutCollector,
        saved: tuple[int, Path] | None,
        version: int,
    ) -> None:
        self.stage, self.config, self.settings = stage, stage.config, stage.settings
        self.workers, self.buffer, self.collector = workers, buffer, collector
        self.saved, self.version, self.first = saved, version, version + 1
        self.sharing = GpuSharing(buffer, shares_gpus(self.config.workers(self.settings.max_staleness)))
        self.replaced = 0  # number of learners that died
        self.drawn: StepGroups | None = None  # groups of the newest step, until they are in the journal
        if self.sharing.shared:  # engines first: each takes its share of the memory that is free at its start
            buffer.start()
            self.sharing.to_learner(None)
        self._start(resume=True)
        buffer.start()
        self._connect()

    def learn(self, drawn: StepGroups, step: int) -> Update:
        """Compute advantages and do the step's optimizer steps; the policy version is `step` afterwards."""
        self.sharing.to_learner(self.group)
        update: Update = self._surviving(lambda: self._learn(drawn, step))
        self.version, self.drawn = step, drawn
        return update

    def publish(self) -> None:
        """Send the current weights to the rollout workers."""
        self._surviving(lambda: self.sharing.publish(self.group, self.version))

    def learned(self, drawn: StepGroups, update: Update) -> list[list[UpdateRecord]]:
        """How the newest step used each of its rollouts, for the journal.

        The groups are not kept in memory after this: the caller must write them to the journal.
        """
        self.drawn = None
        return self.learning.learned(drawn, update.batch, update.kept)

    def save(self, folder: Path) -> None:
        """Write a checkpoint's files, with the state of the collector and of the algorithm."""
        deadline = self.config.learner.deadline
        self._surviving(lambda: self.buffer.wait("save", self.group.call("save", folder), deadline))
        state = {"drawing": self.collector.state(), "learning": self.learning.state()}
        (folder / LOOP_STATE).write_text(json.dumps(state))

    def _learn(self, drawn: StepGroups, step: int) -> Update:
        # always at the first step after a start
        due = step == self.first or (step - 1) % self.settings.check_every == 0
        checked = self._check(drawn.groups) if due else {}
        batch = self.learning.batch(drawn.kept)
        return Update(batch, *self.learning.update(batch, len(drawn.kept), step), checked)

    def _check(self, groups: Sequence[Group]) -> dict[str, float]:
        """Metrics: log-probability gap, peak memory (GiB) of the first learner rank and rollout worker.

        Raises:
            RlvrError: the log-probabilities of vLLM and the learner differ by more than allowed.
        """
        limit = self.settings.max_logprob_gap
        assert limit is not None  # `RunConfig` has filled it in
        gap = check_logprobs(self.group, self.buffer, groups, limit)
        return {
            "rollouts/logprob_gap": gap,
            "memory/learner_gib": finish("memory", self.group.call("peak_memory")),
            "memory/rollout_gib": self.buffer.pool.peak_memory,
        }

    def _start(self, resume: bool = False) -> None:
        """Start a learner and bring it to the current version; with `resume`, the collector as well."""
        stage = self.stage
        self.group = self.workers.learner()
        started = self.group.start(stage.model_path, self.config.max_length, self.settings.optimizer)
        self.buffer.wait("learner start", started, START_DEADLINE)
        self.learning = Learning(self.config, self.settings, self.group, self.buffer, stage.model_path)
        done = 0
        if self.saved:
            done, folder = self.saved
            self.buffer.wait("learner resume", self.group.call("load", folder), START_DEADLINE)
            state: Mapping[str, Any] = json.loads((folder / LOOP_STATE).read_text())
            self.learning.load(state["learning"])
            if resume:
                self.collector.load(state["drawing"], done)
        for step in range(done + 1, self.version + 1):
            drawn = self.drawn if step == self.version else None
            if drawn is None:
                drawn = redrawn(self.config, self.settings, read_journal(stage.folder, "train", step), step)
            self.learning.update(self.learning.batch(drawn.kept), len(drawn.kept), step)
            if resume:
                self.collector.pass_over(step, drawn.groups)

    def _connect(self) -> None:
        actors, gpus = self.buffer.pool.actors, self.config.rollout.gpus_per_worker
        finish("weight transfer", self.group.connect(actors, gpus, self.sharing.shared))
        self.sharing.publish(self.group, self.version)

    def _surviving(self, work: Callable[[], Any]) -> Any:
        """The result of `work`. If the learner dies, a new one is started and `work` is repeated."""
        deaths = 0
        while True:
            try:
                if deaths:
                    self._start()
                    self._connect()
                return work()
            except WorkerDied as died:
                deaths += 1
                # without a journal, or with a GPU transfer group, the whole stage must restart
                if not self.config.record.journal or self.config.rollout.gpus_per_worker:
                    raise
                if deaths > DEATHS:
                    raise RlvrError(f"{died}\nThe learner died {deaths} times in a row") from died
                require_nodes("learner")
                self.replaced += 1
                self.buffer.pool.hold()  # the shared weights ended with the learner
                print(
                    f"\nrlvr: {str(died).splitlines()[0]} A new learner resumes from "
                    f"{self.saved[1] if self.saved else self.stage.model_path} and the journal",
                    file=sys.stderr,
                )
