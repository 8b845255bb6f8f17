"""The estimators of docs/algorithms.md as small charts, with their meaning and the rules for warnings.

A rule is stated beside its chart whether it is broken or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from markupsafe import Markup

from rlvr.report.charts import Line, line_chart, number
from rlvr.report.measures import Metrics, early, late, lookup
from rlvr.stages.config import largest_gap


@dataclass(frozen=True)
class Rule:
    """A bound on one statistic of a series."""

    over: str  # a key of _SUMMARIES
    sign: str  # "<" or ">": warns below or above the bound
    bound: float
    advice: str

    def measure(self, values: Sequence[float]) -> float:
        return _SUMMARIES[self.over](list(values))

    def broken(self, values: Sequence[float]) -> bool:
        """Whether to warn; False if the statistic is not defined."""
        found = self.measure(values)
        return found < self.bound if self.sign == "<" else found > self.bound

    def says(self) -> str:
        return f"{self.over} {self.sign} {number(self.bound)}"


def _spike(values: list[float]) -> float:
    middle = median(values)
    return max(values) / middle if middle > 0 else math.nan


def _fall(values: list[float]) -> float:
    return late(values) / first if (first := early(values)) > 0 else math.nan


def _rise(values: list[float]) -> float:
    return values[-1] / min(values) if min(values) > 0 else math.nan


_SUMMARIES: dict[str, Callable[[list[float]], float]] = {
    "mean of the last quarter of the steps": late,
    "largest value": max,
    "largest value over the median": _spike,
    "last quarter over the first tenth": _fall,
    "last value over the smallest": _rise,
}
LATE, LARGEST, SPIKE, FALL, RISE = _SUMMARIES


class Estimator:
    """A metric as a panel shows it; `reading` says in one line how to read it."""

    def __init__(self, metric: str, title: str, reading: str, *rules: Rule, percent: bool = False) -> None:
        self.metric, self.title, self.reading = metric, title, reading
        self.rules, self.percent = rules, percent


@dataclass(frozen=True)
class Panel:
    estimator: Estimator
    chart: Markup
    last: str  # the late mean, as text
    warnings: list[str]


def panels(metrics: Metrics, config: Mapping[str, Any]) -> list[Panel]:
    """A chart for each estimator that the stage has recorded, in the order of `estimators`."""
    found = []
    for estimator in estimators(metrics, config):
        steps, values = metrics.series(estimator.metric)
        if not values:
            continue
        broken = [rule for rule in estimator.rules if rule.broken(values)]
        warnings = [
            f"{rule.over} is {number(rule.measure(values))}, {rule.sign} {number(rule.bound)}: {rule.advice}"
            for rule in broken
        ]
        chart = line_chart(
            estimator.title,
            [Line("", steps, values, 4 if warnings else 0)],
            percent=estimator.percent,
            width=330,
            height=150,
        )
        found.append(Panel(estimator, chart, number(late(values), estimator.percent), warnings))
    return found


def estimators(metrics: Metrics, config: Mapping[str, Any]) -> list[Estimator]:
    """Estimators that the stage may have recorded. Some, such as `entropy_coef`, are omitted if always 0."""
    known = [*_groups(metrics), *_policy(), *_sampler(config), *_critic(), *_warm_start()]
    constant = {
        "learner/skipped",
        "learner/entropy_coef",
        "rollouts/staleness",
        "rollouts/truncated",
        "learner/corrected",
    }
    return [each for each in known if each.metric not in constant or any(metrics.values(each.metric))]


def _groups(metrics: Metrics) -> list[Estimator]:
    filters = [
        Estimator(
            name,
            f"Left out by {name.removeprefix('filters/')}",
            "Share of the drawn groups that this filter left out.",
            Rule(LATE, ">", 0.8, "nearly all samples are discarded; choose other problems"),
            percent=True,
        )
        for name in metrics.names("filters/")
    ]
    return [
        Estimator(
            "groups/no_signal",
            "Groups without a signal",
            "Share of groups whose rollouts all have the same reward: they give no gradient.",
            Rule(
                LATE, ">", 0.7, "most rollouts are wasted; take harder or easier problems, or filter groups"
            ),
            percent=True,
        ),
        Estimator(
            "groups/length_variation",
            "Length variation",
            "Standard deviation over mean of the lengths in a group; large if answers differ much in length.",
        ),
        *filters,
        Estimator(
            "groups/rounds",
            "Rounds of rollouts",
            "How often a step sampled until it had enough groups with a signal.",
            Rule(LATE, ">", 3, "most of the time is spent on groups that are left out"),
        ),
        Estimator(
            "rollouts/truncated",
            "Cut off",
            "Share of answers that reached the token limit.",
            Rule(LATE, ">", 0.2, "raise sampling.max_tokens, or penalize length in the reward"),
            percent=True,
        ),
        Estimator(
            "rollouts/staleness",
            "Staleness",
            "Largest number of policy versions between the policy that sampled a token and the trained one.",
            Rule(LARGEST, ">", 8, "rollouts are old; lower rl.max_staleness or correct for the sampler"),
        ),
    ]


def _policy() -> list[Estimator]:
    return [
        Estimator(
            "learner/skipped",
            "Skipped optimizer steps",
            "Optimizer steps of a training step with too few groups left, or nothing to learn from.",
            Rule(LATE, ">", 0.5, "many rollouts teach nothing; take problems that are solved sometimes"),
        ),
        Estimator(
            "learner/gradient_snr",
            "Signal to noise of the gradient",
            "‖mean‖² of the groups' gradients over the variance of that mean; 1 if there is only noise.",
            Rule(LATE, "<", 1.1, "steps are mostly noise; more groups per step, or a smaller learning rate"),
        ),
        Estimator(
            "learner/grad_norm",
            "Gradient norm",
            "Before clipping. Spikes are bad batches.",
            Rule(SPIKE, ">", 20, "one step's gradient was far larger than the others'; look at its data"),
        ),
        Estimator(
            "learner/entropy",
            "Entropy",
            "Nats per token. It falls as the policy becomes certain; near 0 it no longer explores.",
            Rule(LATE, "<", 0.02, "the policy no longer explores; consider an entropy bonus"),
            Rule(FALL, "<", 0.1, "the policy has lost nearly all of its entropy"),
        ),
        Estimator("learner/entropy_coef", "Weight of the entropy bonus", "Adjusted to the entropy target."),
        Estimator(
            "learner/ratio",
            "Mean ratio π/π_old",
            "1 on-policy; other values mean that updates or stale rollouts move the policy from π_old.",
            Rule(LATE, ">", 1.1, "the policy is far from the old policy"),
            Rule(LATE, "<", 0.9, "the policy is far from the old policy"),
        ),
        Estimator(
            "learner/clip_fraction",
            "Clipped tokens",
            "Share of tokens whose loss was clipped.",
            Rule(LATE, ">", 0.3, "many tokens are not learned from; make smaller or fewer updates"),
            percent=True,
        ),
        Estimator(
            "learner/ess",
            "Effective sample size",
            "(mean r)²/mean r² of the ratios: effective share of the tokens.",
            Rule(LATE, "<", 0.5, "few tokens have most of the weight"),
            percent=True,
        ),
        Estimator("learner/lr", "Learning rate", "As set by the schedule."),
    ]


def _sampler(config: Mapping[str, Any]) -> list[Estimator]:
    dtypes = (str(lookup(config, f"{part}.dtype")) for part in ("learner", "rollout"))
    limit = float(lookup(config, "rl.max_logprob_gap", largest_gap(*dtypes)))
    return [
        Estimator(
            "rollouts/logprob_gap",
            "vLLM against the learner",
            f"Mean |log π_vLLM − log π_learner| with the same weights; the run stops at {number(limit)}.",
            Rule(LARGEST, ">", limit / 2, "sampler and learner disagree; check dtypes and versions"),
        ),
        Estimator(
            "learner/logprob_gap",
            "Gap to the sampler",
            "Mean |log π/π_sampler| of the tokens trained on: numerics, staleness and earlier updates.",
            Rule(LATE, ">", 0.1, "rollouts are off-policy; correct for the sampler, or lower the staleness"),
        ),
        Estimator(
            "learner/sampler_kl",
            "KL(π_sampler ‖ π)",
            "k3 estimate in nats per token.",
            Rule(LATE, ">", 0.05, "the trained policy differs much from the one that sampled"),
        ),
        Estimator(
            "learner/reference_kl",
            "KL(π ‖ π_ref)",
            "k3 estimate in nats per token: how far the policy is from the reference.",
            Rule(LATE, ">", 0.5, "far from the reference; check that held-out accuracy improves, too"),
        ),
        Estimator(
            "learner/correction",
            "Weight of the sampler's correction",
            "Mean over tokens; 1 if sampler and old policy agree.",
            Rule(LATE, "<", 0.8, "the correction removes much of the gradient"),
            Rule(LATE, ">", 1.2, "the correction increases the weight of rollouts"),
        ),
        Estimator(
            "learner/corrected",
            "Corrected tokens",
            "Share of tokens whose weight was truncated or masked.",
            Rule(LATE, ">", 0.3, "the bounds of algorithm.correction change too many tokens"),
            percent=True,
        ),
    ]


def _critic() -> list[Estimator]:
    return [
        Estimator(
            "critic/explained_variance",
            "Explained variance of the value model",
            "1 − error/variance of the returns; 0 is no better than their mean.",
            Rule(LATE, "<", 0, "the value model is worse than a constant"),
        ),
        Estimator("critic/grad_norm", "Gradient norm of the value model", "Before clipping."),
    ]


def _warm_start() -> list[Estimator]:
    return [
        Estimator(
            "validation/loss",
            "Loss on the validation share",
            "Nats per token on worked answers that are not trained on.",
            Rule(RISE, ">", 1.05, "it has risen again: the model is overfitting"),
        ),
        Estimator(
            "learner/accuracy",
            "Pairs in the right order",
            "Share of pairs whose chosen answer has the larger implied reward; 50% is chance.",
            Rule(LATE, "<", 0.5, "the model does not distinguish the pairs' answers"),
            percent=True,
        ),
        Estimator("learner/margin", "Margin of the pairs", "Implied reward: chosen minus rejected answer."),
        Estimator(
            "learner/chosen_log_ratio",
            "log π/π_ref of the chosen answers",
            "Often falls together with that of the rejected ones.",
        ),
    ]
