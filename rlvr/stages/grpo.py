"""Policy gradients with verifiable rewards: the loop of stage 4, on- or off-policy, for every algorithm.

Policy version v is the policy after v training steps. Step t is drawn once the version is at
least t − 1 − `max_staleness`; 0 is synchronous, on-policy training. Steps after which the policy
is evaluated, and those at which vLLM is compared with the learner, are drawn by the newest
version whatever `max_staleness` says, so that both see nothing half-way.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rlvr.evaluation.metrics import evaluation_metrics
from rlvr.evaluation.votes import count_votes
from rlvr.record.journal import journal_path, truncate, write_journal
from rlvr.record.progress import Progress
from rlvr.record.sinks import MetricLog
from rlvr.stages.buffer import Interrupted, RolloutBuffer
from rlvr.stages.calls import finish
from rlvr.stages.cluster import Workers
from rlvr.stages.drawing import Drawing, group_requests
from rlvr.stages.learning import Learning
from rlvr.stages.logprob_check import check_logprobs
from rlvr.stages.panel import step_metrics
from rlvr.stages.stage import StageInput
from rlvr.types import Group

CONTROL_DEADLINE = 300.0  # seconds for a weight update or a checkpoint
LOOP_STATE = "loop.json"  # in a checkpoint: what the loop itself remembers


def run_grpo(stage: StageInput) -> None:
    """Train from the last checkpoint, or the stage's start, to `grpo.steps`.

    Raises:
        Interrupted: the user asked to stop; the last complete step has a checkpoint.
    """
    with Workers(stage.config) as workers:
        Grpo(stage, workers).run()


class Grpo:
    """The loop and what it holds: learner, rollout buffer, checkpoints."""

    def __init__(self, stage: StageInput, workers: Workers) -> None:
        self.stage, self.config, self.settings = stage, stage.config, stage.config.grpo
        self.checkpoints = stage.checkpoints()
        found = self.checkpoints.latest()
        self.version = found[0] if found else 0
        self.first = self.version + 1
        self.resumed = found is not None
        # without a checkpoint the start's own evaluation is done again too
        truncate(stage.folder, self.version if found else -1)

        self.learner = workers.learner()
        rewards = workers.rewards()
        pool = workers.rollout_pool(stage.model_path)
        started = self.learner.start(stage.model_path, self.config.model.max_length, self.settings.optimizer)
        finish("rollout worker start", [worker.ready.remote() for worker in pool.workers])
        finish("learner start", started)
        self.buffer = RolloutBuffer(
            pool,
            rewards,
            # off-policy the pool is never idle for long: waiting for that would undo the overlap
            takes_turns=self.config.rollout.gpus_per_worker == 0 and self.settings.max_staleness == 0,
            interrupted=lambda: bool(stage.stop),
        )
        self.learning = Learning(self.config, self.learner, self.buffer, stage.model_path)
        self.drawing = Drawing(stage, self.buffer, self.version)
        if found:
            finish("learner resume", self.learner.call("load", found[1]))
            state = json.loads((found[1] / LOOP_STATE).read_text())
            self.drawing.load(state["drawing"])
            self.learning.load(state["learning"])
        finish("weight transfer", self.learner.connect(pool.workers, self.config.rollout.gpus_per_worker))
        self._control("publish", self.version)

    def run(self) -> None:
        steps = self.settings.steps
        with (
            MetricLog(self.stage.folder, self.config.record, asdict(self.config), self.stage.run) as self.log,
            Progress(self.stage.name, steps, self.version) as progress,
        ):
            if not self.resumed:
                self.log.log(0, self.evaluate(0))
            try:
                while self.version < steps:
                    metrics = self.step(self.version + 1)
                    if self.version == steps or self.version % self.settings.evaluate_every == 0:
                        metrics |= self.evaluate(self.version)
                    self.log.log(self.version, metrics)
                    progress.update(self.version, metrics)
                    if self.version == steps or self.version % self.settings.checkpoint_every == 0:
                        self.save()
            except Interrupted:
                self.save()
                raise
        self.stage.finish(self.version, self.checkpoints.path(self.version))

    def step(self, step: int) -> dict[str, float]:
        """Rollouts, verdicts, advantages, updates, new weights for the rollout workers."""
        began = time.monotonic()
        self.drawing.submit_ready(self.version)
        drawn = self.drawing.take(step)
        checked = self.check(drawn.groups) if self.is_check(step) else {}
        learning = time.monotonic()
        batch = self.learning.batch(drawn.kept)
        updates, kept = self.learning.update(batch, len(drawn.kept), step)
        self.drawing.order.observe(drawn.groups)
        publishing = time.monotonic()
        self.version = step
        self._control("publish", step)
        published = time.monotonic()
        self.log.samples(step, "train", drawn.groups)
        if self.config.record.journal:
            learned = self.learning.learned(drawn, batch, kept)
            write_journal(journal_path(self.stage.folder, "train", step), drawn.groups, learned)
        return (
            step_metrics(drawn, batch, updates, step, self.config.reward.gates)
            | checked
            | {f"rewards/{name}": value for name, value in self.buffer.rewards.counters().items()}
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

    def is_check(self, step: int) -> bool:
        """Whether vLLM and the learner are compared at this step; always at the first after a start."""
        return step == self.first or (step - 1) % self.settings.check_every == 0

    def check(self, groups: Sequence[Group]) -> dict[str, float]:
        """Stop the run if vLLM and the learner disagree; the gap, and peak memory of the first of each."""
        gap = check_logprobs(self.learner, self.buffer, groups, self.settings.max_logprob_gap)
        return {
            "rollouts/logprob_gap": gap,
            "memory/learner_gib": finish("memory", self.learner.call("peak_memory")),
            "memory/rollout_gib": finish("memory", [self.buffer.pool.workers[0].peak_memory.remote()]),
        }

    def evaluate(self, version: int) -> dict[str, float]:
        """pass@k and maj@k of the newest policy on the held-out problems, as `heldout/…`."""
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
        # a step is complete with its evaluation: a resumed run would not come back to it
        taken = self.buffer.take(version, interruptible=version == 0)
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
        def write(folder: Path) -> None:
            self._control("save", folder)
            state = {"drawing": self.drawing.state(), "learning": self.learning.state()}
            (folder / LOOP_STATE).write_text(json.dumps(state))

        self.checkpoints.save(self.version, write)

    def _control(self, method: str, argument: int | Path) -> None:
        self.buffer.wait(method, self.learner.call(method, argument), CONTROL_DEADLINE)
