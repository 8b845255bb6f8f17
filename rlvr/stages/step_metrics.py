"""Metrics of a training step: rewards, groups, rollouts, updates, and times."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from rlvr.algorithms.filters import informative, length_variation
from rlvr.evaluation.metrics import TRUE_STEPS, sound_shares
from rlvr.stages.collector import StepGroups
from rlvr.types import FinishReason, Status, TrainingBatch, Verdict


class Clock:
    """Measures how long the parts of a step take."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """Attribute the time since the last lap to `name`."""
        now = time.monotonic()
        self.laps[name], self.last = now - self.last, now

    def total(self) -> float:
        return time.monotonic() - self.began

    def seconds(self, drawn: StepGroups) -> dict[str, float]:
        """`time/…` of a training step, in seconds. `time/idle` is the time that no part accounts for."""
        parts = {
            "generate": drawn.generate_seconds,
            "reward": drawn.reward_seconds,
            "learn": self.laps["learn"],
            "publish": self.laps["publish"],
        }
        step = self.total()
        parts |= {"step": step, "idle": max(step - sum(parts.values()), 0.0)}
        return {f"time/{name}": value for name, value in parts.items()}


def step_metrics(
    drawn: StepGroups,
    batch: TrainingBatch,
    updates: Sequence[Mapping[str, float]],
    step: int,
    gates: Mapping[str, float],
) -> dict[str, float]:
    """Metrics of training step `step`; means are over rollouts with a verdict.

    `reward/NAME` is the mean value of each reward function, `gates/NAME` the share of its values below
    its threshold in `gates` (name → least value). docs/algorithms.md describes those of the estimators.
    """
    verdicts = [verdict for group in drawn.groups for verdict in group.verdicts]
    rewards = [verdict.reward for verdict in verdicts if verdict.reward is not None]
    statuses = Counter(verdict.status for verdict in verdicts)
    parts: dict[str, list[float]] = {}
    for verdict in verdicts:
        for name, value in verdict.parts.items():
            parts.setdefault(name, []).append(value)
    return {
        "train/reward": float(np.mean(rewards)) if rewards else np.nan,
        "train/accuracy": statuses[Status.CORRECT] / len(rewards) if rewards else np.nan,
        **true_steps(verdicts),
        **{f"reward/{name}": float(np.mean(values)) for name, values in sorted(parts.items())},
        **{
            f"gates/{name}": float(np.mean(np.array(parts[name]) < least))
            for name, least in sorted(gates.items())
            if name in parts
        },
        **{f"verdicts/{status}": statuses[status] for status in Status},
        **_groups(drawn, batch),
        **_rollouts(drawn, step),
        **_learned(updates),
    }


def true_steps(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """`train/true_steps`: the share of answers that are right with all steps true, if any are checkable."""
    (share,) = sound_shares([verdicts]) or [None]
    return {} if share is None else {f"train/{TRUE_STEPS}": share}


def _groups(drawn: StepGroups, batch: TrainingBatch) -> dict[str, float]:
    """`groups/no_signal` is the share of groups with equal rewards, `groups/length_variation` the mean
    coefficient of variation of the lengths in a group."""
    advantages = zip(batch.columns["advantages"], batch.mask, strict=True)
    random = np.random.default_rng(0)  # `informative` takes it, but does not use it
    return {
        "groups/no_signal": float(np.mean([informative(group, random) is None for group in drawn.groups])),
        "groups/length_variation": float(np.mean([length_variation(group) for group in drawn.groups])),
        "groups/drawn": len(drawn.groups),
        "groups/kept": len(drawn.kept),
        "groups/rounds": drawn.rounds,
        **{f"filters/{name}": len(out) / len(drawn.groups) for name, out in drawn.dropped.items()},
        "rollouts/trained": int(np.sum([values[mask].any() for values, mask in advantages])),
    }


def _rollouts(drawn: StepGroups, step: int) -> dict[str, float]:
    """`rollouts/staleness` is the age of the oldest token, in policy versions."""
    pairs = [pair for g in drawn.groups for pair in zip(g.rollouts, g.verdicts, strict=True)]
    rollouts = [rollout for rollout, _ in pairs]
    lengths = np.array([rollout.num_sampled for rollout in rollouts])
    correct = np.array([verdict.status is Status.CORRECT for _, verdict in pairs])
    incorrect = np.array([verdict.status.reached for _, verdict in pairs]) & ~correct
    oldest = min(int(rollout.versions[rollout.sampled].min()) for rollout in rollouts)
    return {
        "rollouts/drawn": len(rollouts),
        "rollouts/length": float(lengths.mean()),
        "rollouts/length_max": int(lengths.max()),
        **{
            f"rollouts/length_{name}": float(lengths[which].mean())
            for name, which in (("correct", correct), ("incorrect", incorrect))
            if which.any()
        },
        "rollouts/truncated": float(np.mean([r.finish_reason is FinishReason.LENGTH for r in rollouts])),
        "rollouts/temperature": rollouts[0].temperature,
        "rollouts/staleness": step - 1 - oldest,
        "tokens/sampled": int(lengths.sum()),
    }


def idle_warning(metrics: Mapping[str, float], steps: int, asked: int, least: int) -> str:
    """What to say after `steps` training steps in a row without an optimizer step; `metrics` are the last's.

    `asked` and `least` are numbers of groups of an optimizer step: for a full one, and for one at all.
    """
    return (
        f"the last {steps} training steps had no optimizer step: nothing is being learned. Of the last one's "
        f"{metrics['groups/drawn']:.0f} groups {metrics['groups/no_signal']:.0%} have equal rewards, and "
        f"{metrics['groups/kept']:.0f} were left after the filters (an optimizer step is for {asked}, and "
        f"takes {least} or more: algorithm.min_kept). Train on problems that the model solves sometimes "
        "(a select stage, or easier ones), draw more with rl.group_size or algorithm.max_rounds, or lower "
        "algorithm.min_kept"
    )


def _learned(updates: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means over the step's optimizer steps that were not skipped; sums for `…/tokens` and `…/skipped`.
    `learner/ess` is the effective sample size of the ratios as a fraction, (mean r)² / mean r²."""
    names = sorted({name for update in updates for name in update})
    learned = {name: [update[name] for update in updates if name in update] for name in names}
    metrics = {
        name: float(np.sum(values) if name.endswith(("/tokens", "/skipped")) else np.mean(values))
        for name, values in learned.items()
    }
    if squared := metrics.pop("learner/ratio_squared", 0.0):
        metrics["learner/ess"] = metrics["learner/ratio"] ** 2 / squared
    if "critic/returns_squared" in metrics:
        spread = metrics.pop("critic/returns_squared") - metrics["critic/returns"] ** 2
        if spread > 0:
            metrics["critic/explained_variance"] = 1 - metrics["critic/value_error"] / spread
    if "learner/loss" in metrics:
        metrics["train/loss"] = metrics.pop("learner/loss")
    return metrics
