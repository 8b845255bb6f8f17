"""Group-relative policy optimization with verifiable rewards: the loop, on- or off-policy.

Policy version v is the policy after v training steps. Step t is drawn once the version is at
least t − 1 − `max_staleness`; 0 is synchronous, on-policy training. Steps after which the policy
is evaluated, and those at which vLLM is compared with the learner, are drawn by the newest
version whatever `max_staleness` says, so that both see nothing half-way.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from hydra.utils import instantiate

from rlvr.evaluation.metrics import evaluation_metrics
from rlvr.keys import key
from rlvr.learner.schedule import learning_rate
from rlvr.problems.order import problems_for_step
from rlvr.problems.prompts import encode_prompt
from rlvr.record.journal import journal_path, truncate, write_journal
from rlvr.record.progress import Progress
from rlvr.record.sinks import MetricLog
from rlvr.rollout.engine import Request
from rlvr.stages.batches import group_advantages, policy_batch
from rlvr.stages.buffer import Interrupted, RolloutBuffer
from rlvr.stages.calls import finish
from rlvr.stages.cluster import Workers
from rlvr.stages.logprob_check import check_logprobs
from rlvr.stages.panel import step_metrics
from rlvr.stages.stage import StageInput
from rlvr.types import ConfigError, Group, Problem

CONTROL_DEADLINE = 300.0  # seconds for a weight update or a checkpoint


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
        self.advantage = instantiate(self.config.algorithm.advantage, _partial_=True)
        self.loss = instantiate(self.config.algorithm.loss, _partial_=True)
        self.schedule = (
            instantiate(self.config.sampling.schedule, _partial_=True)
            if self.config.sampling.schedule
            else None
        )
        self.checkpoints = stage.checkpoints()
        found = self.checkpoints.latest()
        self.version = found[0] if found else 0
        self.submitted = self.version
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
        if found:
            finish("learner resume", self.learner.call("load", found[1]))
        finish("weight transfer", self.learner.connect(pool.workers, self.config.rollout.gpus_per_worker))
        self.buffer = RolloutBuffer(
            pool,
            rewards,
            # off-policy the pool is never idle for long: waiting for that would undo the overlap
            takes_turns=self.config.rollout.gpus_per_worker == 0 and self.settings.max_staleness == 0,
            interrupted=lambda: bool(stage.stop),
        )
        self._control("publish", self.version)

    def run(self) -> None:
        steps = self.settings.steps
        with (
            MetricLog(self.stage.folder, self.config.record, asdict(self.config)) as log,
            Progress("grpo", steps, self.version) as progress,
        ):
            if not self.resumed:
                log.log(0, self.evaluate(0))
            try:
                while self.version < steps:
                    metrics = self.step(self.version + 1)
                    if self.version == steps or self.version % self.settings.evaluate_every == 0:
                        metrics |= self.evaluate(self.version)
                    log.log(self.version, metrics)
                    progress.update(self.version, metrics)
                    if self.version == steps or self.version % self.settings.checkpoint_every == 0:
                        self.save()
            except Interrupted:
                self.save()
                raise

    def step(self, step: int) -> dict[str, float]:
        """Rollouts, verdicts, advantages, updates, new weights for the rollout workers."""
        began = time.monotonic()
        self.submit_ready()
        taken = self.buffer.take(step)
        checked = self.check(taken.groups) if self.is_check(step) else {}
        advantages = group_advantages(taken.groups, self.advantage)
        learning = time.monotonic()
        updates: list[dict[str, float]] = []
        per_update = len(taken.groups) // self.settings.updates_per_step
        for i in range(self.settings.updates_per_step):
            part = slice(i * per_update, (i + 1) * per_update)
            batch = policy_batch(taken.groups[part], advantages[part])
            done = (step - 1) * self.settings.updates_per_step + i
            lr = learning_rate(
                self.settings.optimizer, done, self.settings.steps * self.settings.updates_per_step
            )
            calls = self.learner.call("update", batch, self.loss, lr)
            updates.append(self.buffer.wait("update", calls, self.config.learner.deadline))
        publishing = time.monotonic()
        self.version = step
        self._control("publish", step)
        published = time.monotonic()
        if self.config.record.journal:
            rows = [[None if np.isnan(a) else float(a) for a in group] for group in advantages]
            write_journal(journal_path(self.stage.folder, "train", step), taken.groups, rows)
        return (
            step_metrics(taken, advantages, updates, step, self.config.reward.gates)
            | checked
            | {f"rewards/{name}": value for name, value in self.buffer.rewards.counters().items()}
            | {
                "time/step": (now := time.monotonic()) - began,
                "time/generate": taken.generate_seconds,
                "time/reward": taken.reward_seconds,
                "time/learn": publishing - learning,
                "time/publish": published - publishing,
                "time/idle": max(
                    now - began - taken.generate_seconds - taken.reward_seconds - (published - learning), 0.0
                ),
            }
        )

    def is_check(self, step: int) -> bool:
        """Whether vLLM and the learner are compared at this step; always at the first after a start."""
        return step == self.first or (step - 1) % self.settings.check_every == 0

    def check(self, groups: list[Group]) -> dict[str, float]:
        """Stop the run if vLLM and the learner disagree; the gap, and peak memory of the first of each."""
        gap = check_logprobs(self.learner, self.buffer, groups, self.settings.max_logprob_gap)
        return {
            "rollouts/logprob_gap": gap,
            "memory/learner_gib": finish("memory", self.learner.call("peak_memory")),
            "memory/rollout_gib": finish("memory", [self.buffer.pool.workers[0].peak_memory.remote()]),
        }

    def submit_ready(self) -> None:
        """Submit every step that the policy version allows, in their order."""
        while self.submitted < self.settings.steps:
            newest_only = any(
                self.submitted % every == 0
                for every in (self.settings.evaluate_every, self.settings.check_every)
            )
            if self.version < self.submitted - (0 if newest_only else self.settings.max_staleness):
                return
            self.submitted += 1
            self.submit(self.submitted)

    def submit(self, step: int) -> None:
        chosen = problems_for_step(
            len(self.stage.problems), self.settings.problems_per_step, step - 1, self.config.seed
        )
        temperature = self.config.sampling.temperature
        if self.schedule:
            temperature = float(
                self.schedule(step=step - 1, steps=self.settings.steps, temperature=temperature)
            )
            if not 0.01 <= temperature <= 2:
                raise ConfigError(
                    f"sampling.schedule gives {temperature} for step {step}; vLLM takes 0.01 to 2"
                )
        problems = [self.stage.problems[i] for i in chosen]
        groups = [
            self.requests(problem, "train", step, self.settings.group_size, temperature)
            for problem in problems
        ]
        self.buffer.submit(step, problems, groups)

    def requests(
        self, problem: Problem, kind: str, step: int, samples: int, temperature: float, top_p: float = 1.0
    ) -> list[Request]:
        """One group. Held-out seeds do not depend on the step: policies are compared on equal luck."""
        prompt = encode_prompt(problem, self.config.problems.prompt, self.stage.tokenizer)
        max_tokens = self.config.sampling.max_tokens
        if kind == "heldout":
            max_tokens = self.config.evaluation.max_tokens or max_tokens
        when = step if kind == "train" else 0
        seeds = [key(self.config.seed, kind, when, problem.id, sample) for sample in range(samples)]
        return [
            Request(problem.id, step, sample, seed, prompt, temperature, max_tokens, top_p)
            for sample, seed in enumerate(seeds)
        ]

    def evaluate(self, version: int) -> dict[str, float]:
        """pass@1 of the newest policy on the held-out problems, as `heldout/…`."""
        if not self.stage.heldout:
            return {}
        began = time.monotonic()
        settings = self.config.evaluation
        groups = [
            self.requests(p, "heldout", version, settings.samples, settings.temperature, settings.top_p)
            for p in self.stage.heldout
        ]
        self.buffer.submit(version, self.stage.heldout, groups)
        # a step is complete with its evaluation: a resumed run would not come back to it
        taken = self.buffer.take(version, interruptible=version == 0)
        if self.config.record.journal:
            write_journal(journal_path(self.stage.folder, "heldout", version), taken.groups)
        metrics = evaluation_metrics(taken.groups, seed=self.config.seed)
        return {f"heldout/{name}": value for name, value in metrics.items()} | {
            "time/evaluate": time.monotonic() - began
        }

    def save(self) -> None:
        self.checkpoints.save(self.version, lambda path: self._control("save", path))

    def _control(self, method: str, argument: int | Path) -> None:
        self.buffer.wait(method, self.learner.call(method, argument), CONTROL_DEADLINE)
