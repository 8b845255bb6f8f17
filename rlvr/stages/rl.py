"""Policy gradients with verifiable rewards: the loop of stage 4, on- or off-policy, for every algorithm.

Policy version v is the policy after v training steps. Step t is drawn once the version is at
least t − 1 − `max_staleness`; 0 is synchronous, on-policy training. Steps after which the policy
is evaluated, and those at which vLLM is compared with the learner, are drawn by the newest
version whatever `max_staleness` says, so that both see nothing half-way. docs/async.md has the proof.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rlvr.base.processes import DEATHS, START_DEADLINE, require_nodes
from rlvr.cluster.placement import shares_gpus
from rlvr.cluster.waiting import finish
from rlvr.cluster.workers import Workers
from rlvr.evaluation.metrics import evaluation_metrics
from rlvr.evaluation.votes import count_votes
from rlvr.record.journal import journal_path, read_journal, truncate, write_journal
from rlvr.record.progress import Progress
from rlvr.record.sinks import MetricLog
from rlvr.stages.buffer import Interrupted, RolloutBuffer
from rlvr.stages.drawing import Drawing, Drawn, group_requests
from rlvr.stages.learning import Learning
from rlvr.stages.logprob_check import check_logprobs
from rlvr.stages.panel import step_metrics
from rlvr.stages.redo import (
    forget_unevaluated,
    keep_unevaluated,
    last_recorded,
    redrawn,
    remember_settings,
    take_unevaluated,
)
from rlvr.stages.stage import StageInput
from rlvr.stages.turns import Turns
from rlvr.types import Group, RlvrError, WorkerDied

LOOP_STATE = "loop.json"  # in a checkpoint: what the loop itself remembers


def run_rl(stage: StageInput) -> None:
    """Train from the last checkpoint, or the stage's start, to `rl.steps`.

    Raises:
        Interrupted: the user asked to stop; the last complete step has a checkpoint.
        WorkerDied: a process died that cannot be replaced while the others live.
    """
    with Workers(stage.config.workers(stage.settings.max_staleness)) as workers:
        ReinforcementLearning(stage, workers).run()


class ReinforcementLearning:
    """The loop and what it holds: learner, rollout buffer, checkpoints.

    It goes on from the last checkpoint and makes the updates since then from the journal, which has all
    that they learned from; so does a learner that takes the place of one that died.
    """

    def __init__(self, stage: StageInput, workers: Workers) -> None:
        self.stage, self.config, self.settings = stage, stage.config, stage.settings
        self.workers = workers
        self.checkpoints = stage.checkpoints()
        self.saved = self.checkpoints.latest()
        # without a checkpoint the start's own evaluation may be due, too
        self.recorded = last_recorded(stage, self.checkpoints, self.saved[0] if self.saved else -1)
        self.version = max(self.recorded, 0)
        self.first = self.version + 1
        truncate(stage.folder, self.recorded)
        self.unevaluated = take_unevaluated(stage, self.recorded)
        remember_settings(stage, self.checkpoints, self.recorded)
        self.replaced = 0  # learners
        self.drawn: Drawn | None = None  # of the newest step, until it is in the journal
        rewards, pool = workers.rewards(), workers.rollout_pool(stage.model_path)
        self.buffer = RolloutBuffer(
            pool,
            rewards,
            # off-policy the pool is never idle for long: waiting for that would undo the overlap
            takes_turns=self.config.rollout.gpus_per_worker == 0 and self.settings.max_staleness == 0,
            interrupted=lambda: bool(stage.stop),
        )
        self.turns = Turns(self.buffer, shares_gpus(self.config.workers(self.settings.max_staleness)))
        self.drawing = Drawing(stage, self.buffer)
        if self.turns.shared:  # an engine takes its share of what is free when it starts
            self.buffer.start()
            self.turns.to_learner(None)
        self.start_learner(self.drawing)
        self.buffer.start()
        self.connect()

    def start_learner(self, drawing: Drawing | None = None) -> None:
        """A learner at the present version; `drawing` goes the same way."""
        self.learner = self.workers.learner()
        started = self.learner.start(self.stage.model_path, self.config.max_length, self.settings.optimizer)
        self.buffer.wait("learner start", started, START_DEADLINE)
        self.learning = Learning(self.config, self.settings, self.learner, self.buffer, self.stage.model_path)
        if self.saved:
            self.buffer.wait("learner resume", self.learner.call("load", self.saved[1]), START_DEADLINE)
            state = json.loads((self.saved[1] / LOOP_STATE).read_text())
            self.learning.load(state["learning"])
            if drawing:
                drawing.load(state["drawing"], self.saved[0])
        for step in range(self.saved[0] + 1 if self.saved else 1, self.version + 1):
            drawn = self.drawn if step == self.version else None
            if drawn is None:
                drawn = redrawn(
                    self.config, self.settings, read_journal(self.stage.folder, "train", step), step
                )
            self.learning.update(self.learning.batch(drawn.kept), len(drawn.kept), step)
            if drawing:
                drawing.pass_over(step, drawn.groups)

    def connect(self) -> None:
        actors, gpus = self.buffer.pool.actors, self.config.rollout.gpus_per_worker
        finish("weight transfer", self.learner.connect(actors, gpus, self.turns.shared))
        self.turns.publish(self.learner, self.version)

    def with_learner(self, work: Callable[[], Any]) -> Any:
        """What `work` returns, which is done again by another learner if the learner dies."""
        deaths = 0
        while True:
            try:
                if deaths:
                    self.start_learner()
                    self.connect()
                return work()
            except WorkerDied as died:
                deaths += 1
                # without a journal, or with a group for the weights' transfer, all begin again together
                if not self.config.record.journal or self.config.rollout.gpus_per_worker:
                    raise
                if deaths > DEATHS:
                    raise RlvrError(f"{died}\nThis was tried {deaths} times") from died
                require_nodes("learner")
                self.replaced += 1
                self.buffer.pool.hold()  # the weights went with it
                print(
                    f"\nrlvr: {str(died).splitlines()[0]} Another learner goes on from "
                    f"{self.saved[1] if self.saved else self.stage.model_path} and the journal",
                    file=sys.stderr,
                )

    def run(self) -> None:
        steps = self.settings.steps
        with (
            MetricLog(
                self.stage.folder, self.config.record, self.stage.run_config, self.stage.run
            ) as self.log,
            Progress(self.stage.name, steps, self.version) as progress,
        ):
            if self.recorded < 0:
                self.log.log(0, self.evaluate(0))
            try:
                if self.unevaluated is not None:
                    progress.update(self.version, self.record(self.unevaluated))
                while self.version < steps:
                    metrics = self.record(self.step(self.version + 1))
                    progress.update(self.version, metrics)
                    if self.version == steps or self.version % self.settings.checkpoint_every == 0:
                        self.save()
            except Interrupted:
                self.save()
                raise
        if not self.saved or self.saved[0] != self.version:  # killed after its last step was recorded
            self.save()
        self.stage.finish(self.version, self.checkpoints.path(self.version))

    def record(self, metrics: dict[str, float]) -> dict[str, float]:
        """Write the line of the newest step, after its evaluation if one is due; all of its metrics.

        Raises:
            Interrupted: the user asked to stop in the evaluation; a run that goes on makes it again.
        """
        if self.evaluates(self.version):
            try:
                metrics = metrics | self.evaluate(self.version)
            except Interrupted:
                keep_unevaluated(self.stage, self.version, metrics)
                raise
        self.log.log(self.version, metrics)
        forget_unevaluated(self.stage)
        return metrics

    def step(self, step: int) -> dict[str, float]:
        """Rollouts, verdicts, advantages, updates, new weights for the rollout workers."""
        began = time.monotonic()
        self.drawing.submit_ready(self.version)
        drawn = self.drawing.take(step)
        learning = time.monotonic()
        self.turns.to_learner(self.learner)
        batch, updates, kept, checked = self.with_learner(lambda: self.learn(drawn, step))
        self.drawing.order.observe(drawn.groups)
        publishing = time.monotonic()
        self.version, self.drawn = step, drawn
        self.with_learner(lambda: self.turns.publish(self.learner, step))
        published = time.monotonic()
        if not self.evaluates(step):  # or an evaluation would share the engines with them
            self.drawing.submit_ready(step)
            self.buffer.pool.dispatch()
        self.log.samples(step, "train", drawn.groups)
        if self.config.record.journal:
            learned = self.learning.learned(drawn, batch, kept)
            write_journal(journal_path(self.stage.folder, "train", step), drawn.groups, learned)
            self.drawn = None
        counts = {"learner": self.replaced, "rollout": self.buffer.pool.replaced}
        counts["reward"] = self.buffer.rewards.replaced
        return (
            step_metrics(drawn, batch, updates, step, self.config.reward.gates)
            | checked
            | {f"rewards/{name}": value for name, value in self.buffer.rewards.counters().items()}
            | {f"replaced/{name}": count for name, count in counts.items() if count}
            | {
                "time/step": (now := time.monotonic()) - began,
                "time/generate": drawn.generate_seconds,
                "time/reward": drawn.reward_seconds,
                "time/learn": publishing - learning,
                "time/publish": published - publishing,
                "time/idle": max(
                    now - began - drawn.generate_seconds - drawn.reward_seconds - (published - learning), 0.0
                ),
            }
        )

    def learn(self, drawn: Drawn, step: int) -> tuple[Any, ...]:
        """The batch, what its updates brought (see `Learning.update`), and the check's metrics."""
        checked = self.check(drawn.groups) if self.is_check(step) else {}
        batch = self.learning.batch(drawn.kept)
        return batch, *self.learning.update(batch, len(drawn.kept), step), checked

    def is_check(self, step: int) -> bool:
        """Whether vLLM and the learner are compared at this step; always at the first after a start."""
        return step == self.first or (step - 1) % self.settings.check_every == 0

    def check(self, groups: Sequence[Group]) -> dict[str, float]:
        """Stop the run if vLLM and the learner disagree; the gap, and peak memory of the first of each."""
        gap = check_logprobs(self.learner, self.buffer, groups, self.settings.max_logprob_gap)
        return {
            "rollouts/logprob_gap": gap,
            "memory/learner_gib": finish("memory", self.learner.call("peak_memory")),
            "memory/rollout_gib": self.buffer.pool.peak_memory,
        }

    def evaluates(self, version: int) -> bool:
        return version == self.settings.steps or version % self.settings.evaluate_every == 0

    def evaluate(self, version: int) -> dict[str, float]:
        """pass@k and maj@k of the newest policy on the held-out problems, as `heldout/…`.

        Raises:
            Interrupted: the user asked to stop.
        """
        if not self.stage.heldout:
            return {}
        began = time.monotonic()
        settings = self.config.evaluation
        samples = range(settings.samples)
        groups = [
            group_requests(self.stage, p, "heldout", version, samples, settings.temperature, settings.top_p)
            for p in self.stage.heldout
        ]
        self.buffer.submit(version, self.stage.heldout, groups)
        taken = self.buffer.take(version)
        self.log.samples(version, "heldout", taken.groups)
        if self.config.record.journal:
            write_journal(journal_path(self.stage.folder, "heldout", version), taken.groups)
        ks = sorted({1, *settings.ks})
        votes = count_votes(taken.groups, self.config.reward.workers)[0] if ks[-1] > 1 else None
        metrics = evaluation_metrics(taken.groups, ks, self.config.seed, votes)
        return {f"heldout/{name}": value for name, value in metrics.items()} | {
            "time/evaluate": time.monotonic() - began
        }

    def save(self) -> None:
        deadline = self.config.learner.deadline

        def write(folder: Path) -> None:
            self.with_learner(lambda: self.buffer.wait("save", self.learner.call("save", folder), deadline))
            state = {"drawing": self.drawing.state(), "learning": self.learning.state()}
            (folder / LOOP_STATE).write_text(json.dumps(state))

        self.saved = self.version, self.checkpoints.save(self.version, write)
