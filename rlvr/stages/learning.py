"""From the groups of a step to updates of the policy, and of the value model where there is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from hydra.utils import instantiate

from rlvr.algorithms import importance, objective
from rlvr.algorithms.entropy import active_coefficient, next_coefficient
from rlvr.algorithms.filters import least_groups
from rlvr.algorithms.kl import ESTIMATORS
from rlvr.base.processes import START_DEADLINE
from rlvr.learner.actor import LearnerGroup
from rlvr.learner.schedule import learning_rate
from rlvr.stages.batches import judged, part, rollout_batch, token_advantages, whiten, without_truncated
from rlvr.stages.buffer import RolloutBuffer
from rlvr.stages.collector import StepGroups
from rlvr.stages.config import RlConfig, StageConfig
from rlvr.types import FloatArray, Group, Rollout, TrainingBatch, UpdateRecord, Verdict


class Learning:
    """Turns the settings of `algorithm` into columns of a batch and into the learner's objective."""

    def __init__(
        self,
        config: StageConfig,
        settings: RlConfig,
        learner: LearnerGroup,
        buffer: RolloutBuffer,
        model_path: str,
    ) -> None:
        self.config, self.settings, self.learner, self.buffer = config, settings, learner, buffer
        algorithm = self.algorithm = config.algorithm
        self.advantage = instantiate(algorithm.advantage, _partial_=True)
        loss = instantiate(algorithm.loss, _partial_=True)
        self.entropy_coef = algorithm.entropy.coef
        self.entropy: float | None = None  # mean entropy of the last step
        in_loss = algorithm.kl.coef > 0 and algorithm.kl.place == "loss"
        self.exact_kl = in_loss and algorithm.kl.estimator == "full"
        self.objective = partial(
            objective.policy,
            loss=loss,
            kl=ESTIMATORS[algorithm.kl.estimator] if in_loss and not self.exact_kl else None,
            kl_coef=algorithm.kl.coef,
            correction=self._correction(),
        )
        self.keep: tuple[str, ...] = ()
        if config.record.journal:
            self.keep = ("logprobs", "entropy", *(["correction"] if self._correction() else []))
        self.has_other_terms = in_loss or not objective.vanishes_without_advantage(loss)
        self.value_objective: Any = None
        if algorithm.kl.coef:
            calls = learner.call("add_reference", algorithm.kl.reference or model_path)
            buffer.wait("reference model", calls, START_DEADLINE)
        if algorithm.critic:
            self.value_objective = partial(objective.value, clip=algorithm.critic.clip)
            optimizer = replace(settings.optimizer, lr=algorithm.critic.lr)
            calls = learner.call("add_critic", model_path, config.max_length, optimizer)
            buffer.wait("value model", calls, START_DEADLINE)

    def _correction(self) -> Any:
        settings = self.algorithm.correction
        if settings.kind == "none":
            return None
        if settings.kind == "truncate":
            return partial(importance.truncate, level=settings.level, high=settings.high)
        return partial(importance.band, level=settings.level, low=settings.low, high=settings.high)

    def batch(self, groups: Sequence[Group]) -> TrainingBatch:
        """The judged rollouts of a step with all columns that the objectives read."""
        algorithm = self.algorithm
        rows = judged(groups)
        rollouts = [rollout for _, rollout, _ in rows]
        batch = rollout_batch(rollouts, [place for place, _, _ in rows])
        batch.keep = self.keep
        # before the first update, so that all updates of the step have the same old policy
        if algorithm.old_policy == "sampler":
            batch.columns["old_logprobs"] = batch.columns["sampler_logprobs"]
        elif self.settings.updates_per_step > 1:
            batch.columns["old_logprobs"] = self._ask("logprobs", batch)
        penalties = None
        batch.reference_logits = self.exact_kl
        if algorithm.kl.coef and not self.exact_kl:
            batch.columns["reference_logprobs"] = self._ask("reference_logprobs", batch)
            if algorithm.kl.place == "reward":
                penalties = self._penalties(batch)
        if self.value_objective:
            batch.columns["values"] = self._ask("values", batch)
        advantages = token_advantages(groups, self.advantage, penalties, batch.columns.get("values"))
        if self.value_objective:
            values = batch.columns["values"]
            batch.columns["returns"] = [a + v for a, v in zip(advantages, values, strict=True)]
        if algorithm.truncated == "mask":  # only now: baselines include their rewards and penalties
            batch.mask = without_truncated(rollouts)
        batch.columns["advantages"] = whiten(advantages, batch.mask) if algorithm.whiten else advantages
        return batch

    def _ask(self, what: str, *arguments: Any) -> Any:
        return self.buffer.wait(what, self.learner.call(what, *arguments), self.config.learner.deadline)

    def _penalties(self, batch: TrainingBatch) -> list[FloatArray]:
        """β·k1 of every token, [T] per rollout, between the policy before the step and the reference.

        Both are the learner's. vLLM's log-probabilities of the tokens that it has drawn are too high by about
        half the variance of its rounding, which would be a cost of every token: a penalty on length.
        """
        if self.algorithm.old_policy == "learner" and "old_logprobs" in batch.columns:
            own = batch.columns["old_logprobs"]
        else:
            own = self._ask("logprobs", batch)
        return [
            np.where(mask, self.algorithm.kl.coef * (policy - reference), 0).astype(np.float32)
            for policy, reference, mask in zip(
                own, batch.columns["reference_logprobs"], batch.mask, strict=True
            )
        ]

    def update(
        self, batch: TrainingBatch, groups: int, step: int
    ) -> tuple[list[dict[str, float]], dict[int, dict[str, FloatArray]]]:
        """The step's optimizer steps, each on its share of the groups.

        A share that has too few groups (`algorithm.min_kept`), or nothing to learn from, is skipped.

        Returns:
            Metrics of each optimizer step (`learner/…` of the policy, `critic/…` of the value model), and
            the per-token values of every row that the policy learned from, by row of `batch`.
        """
        settings, algorithm = self.settings, self.algorithm
        updates = []
        kept: dict[int, dict[str, FloatArray]] = {}
        coefficient = self._entropy_coefficient()
        asked = settings.problems_per_step // settings.updates_per_step
        least = least_groups(asked, algorithm.min_kept)
        bounds = np.linspace(0, groups, settings.updates_per_step + 1).round().astype(int).tolist()
        for number, (start, end) in enumerate(pairwise(bounds)):
            share = range(start, end)
            metrics: dict[str, float] = {}
            if algorithm.critic:
                values = replace(part(batch, share, "token", 0, True, least), keep=())
                made = self._step("update_critic", values, self.value_objective, algorithm.critic.lr)
                metrics |= {f"critic/{name}": value for name, value in made.items()}
            if not algorithm.critic or step > algorithm.critic.warmup_steps:
                live = self.has_other_terms or coefficient > 0 or algorithm.entropy.target is not None
                longest = self.config.sampling.max_tokens
                mine = part(batch, share, algorithm.aggregation, longest, live, least)
                done = (step - 1) * settings.updates_per_step + number
                lr = learning_rate(settings.optimizer, done, settings.steps * settings.updates_per_step)
                made = self._step("update", mine, partial(self.objective, entropy_coef=coefficient), lr)
                if not made["skipped"]:
                    made["entropy_coef"] = coefficient
                kept |= self._kept(batch, mine, share)
                metrics |= {f"learner/{name}": value for name, value in made.items()}
            updates.append(metrics)
        self._follow_entropy([made["learner/entropy"] for made in updates if "learner/entropy" in made])
        if algorithm.kl.reset_every and step % algorithm.kl.reset_every == 0:
            self.buffer.wait(
                "reset_reference", self.learner.call("reset_reference"), self.config.learner.deadline
            )
        return updates, kept

    def _kept(
        self, batch: TrainingBatch, mine: TrainingBatch, share: range
    ) -> dict[int, dict[str, FloatArray]]:
        """The per-token values (`keep`) of the live rows of this share, by row of `batch`."""
        if not self.keep:
            return {}
        found = self._ask("kept_tokens")
        rows = [row for row, group in enumerate(batch.groups) if group in share]
        return {
            row: {name: found[name][place] for name in self.keep}
            for place, row in enumerate(rows)
            if mine.live[place]
        }

    def _entropy_coefficient(self) -> float:
        target = self.algorithm.entropy.target
        if target is None or self.entropy is None:
            return self.entropy_coef
        return active_coefficient(self.entropy_coef, self.entropy, target)

    def _follow_entropy(self, entropies: Sequence[float]) -> None:
        """Adapt the entropy coefficient, once per step, to the entropies of its updates."""
        settings = self.algorithm.entropy
        if settings.target is not None and entropies:
            self.entropy = float(np.mean(entropies))
            self.entropy_coef = next_coefficient(
                self.entropy_coef, self.entropy, settings.target, settings.delta
            )

    def state(self) -> dict[str, Any]:
        """What a resumed run needs besides the models."""
        return {"entropy_coef": self.entropy_coef, "entropy": self.entropy}

    def load(self, state: Mapping[str, Any]) -> None:
        if self.algorithm.entropy.target is not None:  # a fixed coefficient is a setting, not state
            self.entropy_coef, self.entropy = state["entropy_coef"], state["entropy"]

    def learned(
        self, drawn: StepGroups, batch: TrainingBatch, kept: Mapping[int, Mapping[str, FloatArray]]
    ) -> list[list[UpdateRecord]]:
        """How the step used each generated rollout, or why it did not, for the journal."""
        rows = {
            (rollout.problem_id, rollout.sample): row
            for row, (_, rollout, _) in enumerate(judged(drawn.kept))
        }
        critic, step = self.algorithm.critic, drawn.groups[0].rollouts[0].step
        waits = critic is not None and step <= critic.warmup_steps
        filtered = {problem: name for name, problems in drawn.dropped.items() for problem in problems}

        def of(rollout: Rollout, verdict: Verdict) -> UpdateRecord:
            row = rows.get((rollout.problem_id, rollout.sample))
            if row is None:
                if verdict.reward is None:
                    return UpdateRecord("no verdict")
                name = filtered.get(rollout.problem_id)
                return UpdateRecord(f"filter {name}" if name else "a filter, alone of its group")
            advantages = batch.columns["advantages"][row]
            if not batch.mask[row].any():
                return UpdateRecord("cut off")
            if row not in kept:
                why = "the policy waits" if waits else "too few groups"
                return UpdateRecord(why if advantages.any() else "no advantage", advantages)
            values = kept[row]
            return UpdateRecord(
                None, advantages, values["logprobs"], values["entropy"], values.get("correction")
            )

        return [
            [of(*pair) for pair in zip(group.rollouts, group.verdicts, strict=True)] for group in drawn.groups
        ]

    def _step(self, method: str, batch: TrainingBatch, goal: Any, lr: float) -> dict[str, float]:
        calls = self.learner.call(method, batch, goal, lr)
        metrics: dict[str, float] = self.buffer.wait(method, calls, self.config.learner.deadline)
        return metrics
