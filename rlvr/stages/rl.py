"""Reinforcement learning with verifiable rewards: the loop, on- or off-policy, for every algorithm.

`step` does one training step: draw, judge, learn, publish. Resuming and replacing a dead learner are in
`rlvr.stages.rl_learner`, drawing a step's rollouts in `rlvr.stages.collector`, advantages and updates in
`rlvr.stages.learning`, metrics in `rlvr.stages.step_metrics`.

Policy version v is the policy after v training steps. The rollouts of step t are generated once the
version is at least t − 1 − `max_staleness`; 0 is synchronous, on-policy training. Steps that follow an
evaluation, and those at which vLLM is compared with the learner, wait for the newest version whatever
`max_staleness` is, so that no rollout is in progress then. docs/async.md has the proof.
"""

from __future__ import annotations

import sys

from rlvr.algorithms.filters import least_groups
from rlvr.cluster.workers import Workers
from rlvr.evaluation.metrics import evaluation_metrics
from rlvr.evaluation.votes import count_votes
from rlvr.record.journal import journal_path, truncate, write_journal
from rlvr.record.progress import Progress
from rlvr.record.sinks import MetricLog
from rlvr.stages.buffer import Interrupted, RolloutBuffer
from rlvr.stages.collector import RolloutCollector, group_requests
from rlvr.stages.resume import (
    forget_unevaluated,
    keep_unevaluated,
    last_recorded,
    remember_settings,
    take_unevaluated,
)
from rlvr.stages.rl_learner import RlLearner
from rlvr.stages.stage import StageInput
from rlvr.stages.step_metrics import Clock, idle_warning, step_metrics

# Training steps in a row without an optimizer step that call for a warning. In a run of which every second
# step learns, ten are chance once in a thousand.
IDLE = 10


def run_rl(stage: StageInput) -> None:
    """Train from the last checkpoint, or the stage's start, to `rl.steps`.

    Raises:
        Interrupted: the user asked to stop; the last complete step has a checkpoint.
        WorkerDied: a process died that cannot be replaced while the others live.
    """
    with stage.workers(stage.settings.max_staleness) as workers:
        ReinforcementLearning(stage, workers).run()


class ReinforcementLearning:
    """The training loop, with its checkpoints, its buffer of unfinished rollouts and its learner."""

    def __init__(self, stage: StageInput, workers: Workers) -> None:
        self.stage, self.config, self.settings = stage, stage.config, stage.settings
        self.checkpoints = stage.checkpoints()
        saved = self.checkpoints.latest()
        # without a checkpoint, the evaluation of the initial model may be due, too
        self.recorded = last_recorded(stage, self.checkpoints, saved[0] if saved else -1)
        truncate(stage.folder, self.recorded)
        self.unevaluated = take_unevaluated(stage, self.recorded)
        remember_settings(stage, self.checkpoints, self.recorded)
        self.buffer = RolloutBuffer(
            workers.rollout_pool(stage.model_path),
            workers.rewards(),
            # off-policy, the pool is hardly ever idle: waiting until it is would undo the overlap
            shares_cores=self.config.rollout.gpus_per_worker == 0 and self.settings.max_staleness == 0,
            interrupted=lambda: bool(stage.stop),
        )
        self.collector = RolloutCollector(stage, self.buffer)
        version = max(self.recorded, 0)
        self.learner = RlLearner(stage, workers, self.buffer, self.collector, saved, version)
        self.idle = 0  # training steps in a row without an optimizer step

    @property
    def version(self) -> int:
        return self.learner.version

    def run(self) -> None:
        steps, stage = self.settings.steps, self.stage
        with (
            MetricLog(stage.folder, self.config.record, stage.run_config, stage.run) as self.log,
            Progress(stage.name, steps, self.version) as progress,
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
        # a run that was killed after its last step was recorded has no checkpoint of it
        if self.learner.saved is None or self.learner.saved[0] != self.version:
            self.save()
        stage.finish(self.version, self.checkpoints.path(self.version))

    def step(self, step: int) -> dict[str, float]:
        """Do one training step. Returns its metrics."""
        clock = Clock()
        self.collector.submit_ready(self.version)  # draw: rollouts of every step that the version allows
        drawn = self.collector.take(step)  # judge: wait for this step's, and for their verdicts
        clock.lap("wait")
        update = self.learner.learn(drawn, step)  # learn: advantages, loss, optimizer steps
        self.collector.order.observe(drawn.groups)
        clock.lap("learn")
        self.learner.publish()  # publish: the new weights to the rollout workers
        clock.lap("publish")
        if not self.evaluates(step):  # new rollouts would share the engines with the evaluation
            self.collector.submit_ready(step)
            self.buffer.pool.dispatch()
        self.log.samples(step, "train", drawn.groups)
        if self.config.record.journal:
            learned = self.learner.learned(drawn, update)
            write_journal(journal_path(self.stage.folder, "train", step), drawn.groups, learned)
        metrics = step_metrics(drawn, update.batch, update.metrics, step, self.config.reward.gates)
        self._watch(metrics)
        return (
            metrics
            | update.checked
            | {f"rewards/{name}": value for name, value in self.buffer.rewards.counters().items()}
            | self.buffer.replaced(learners=self.learner.replaced)
            | clock.seconds(drawn)
        )

    def _watch(self, metrics: dict[str, float]) -> None:
        """Count the steps in a row without an optimizer step, and warn after every `IDLE` of them."""
        settings = self.settings
        self.idle = self.idle + 1 if metrics.get("learner/skipped") == settings.updates_per_step else 0
        if self.idle and self.idle % IDLE == 0:
            asked = settings.problems_per_step // settings.updates_per_step
            least = least_groups(asked, self.config.algorithm.min_kept)
            print(f"\nrlvr: {idle_warning(metrics, self.idle, asked, least)}", file=sys.stderr)

    def record(self, metrics: dict[str, float]) -> dict[str, float]:
        """Log the metrics of the newest step, after its evaluation if one is due. Returns all its metrics.

        Raises:
            Interrupted: the user asked to stop during the evaluation; a resumed run repeats it.
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

    def evaluates(self, version: int) -> bool:
        return version == self.settings.steps or version % self.settings.evaluate_every == 0

    def evaluate(self, version: int) -> dict[str, float]:
        """pass@k and maj@k of the newest policy on the held-out problems, as `heldout/…`.

        Raises:
            Interrupted: the user asked to stop.
        """
        if not self.stage.heldout:
            return {}
        clock, settings = Clock(), self.config.evaluation
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
            "time/evaluate": clock.total()
        }

    def save(self) -> None:
        self.learner.saved = self.version, self.checkpoints.save(self.version, self.learner.save)
