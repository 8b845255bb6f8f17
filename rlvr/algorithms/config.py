"""Settings of the algorithm: how rewards become advantages, and advantages a loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.algorithms.aggregation import AGGREGATIONS
from rlvr.algorithms.kl import ESTIMATORS
from rlvr.base.settings import setting


@dataclass
class KlConfig:
    """A penalty for the distance from a reference model, such as a teacher."""

    coef: float = setting(0.0, "weight of the penalty (β); with 0 no reference model is loaded", ge=0)
    reference: str | None = setting(
        None, "path of the reference model; unset: the model that the stage starts from"
    )
    estimator: str = setting(
        "k3",
        "estimator of the KL divergence, see rlvr/algorithms/kl.py; full sums over the vocabulary",
        choices=(*ESTIMATORS, "full"),
    )
    place: str = setting(
        "loss",
        "add the penalty to the loss, or subtract it from every token's reward",
        choices=("loss", "reward"),
    )
    reset_every: int | None = setting(
        None,
        "steps after which the policy becomes the reference and the optimizer is reset (ProRL)",
        ge=1,
    )


@dataclass
class EntropyConfig:
    """A bonus for the entropy of the policy. Its weight is fixed, or adapts to a target entropy."""

    coef: float = setting(0.0, "weight of the bonus; with a target, its initial value", ge=0)
    target: float | None = setting(
        None, "target entropy, in nats per token; below it the bonus acts and its weight grows", gt=0
    )
    delta: float = setting(0.005, "change of the weight per step, with a target", gt=0)


@dataclass
class CorrectionConfig:
    """Importance weights π_old/π_sampler: vLLM's log-probabilities differ slightly from the learner's."""

    kind: str = setting(
        "none",
        "truncate: cap the weight at `high`; mask: leave out what lies outside [low, high]",
        choices=("none", "truncate", "mask"),
    )
    level: str = setting("token", "one weight per token, or per sequence", choices=("token", "sequence"))
    low: float = setting(0.5, "lower bound of the mask", ge=0)
    high: float = setting(2.0, "upper bound of the weight", gt=0)


@dataclass
class CriticConfig:
    """The value model of PPO: a copy of the policy's backbone with a head of one number per token.

    Its AdamW has the policy's settings, except for the learning rate, which is constant.
    """

    lr: float = setting(1e-5, "learning rate of the value model", gt=0)
    clip: float | None = setting(0.2, "clip range of value updates; unset: no clipping", gt=0)
    warmup_steps: int = setting(0, "number of first steps in which only the value model is trained", ge=0)


@dataclass
class AlgorithmConfig:
    """`advantage`, `loss` and the `filters` are import paths (`_target_`) of pure functions, with
    keyword arguments. The parameters of an advantage function determine its kind: `rewards` [G] of a
    group, or `token_rewards` [T] of a rollout, with `values` [T] if it uses a value model's estimates."""

    advantage: dict[str, Any] = setting(
        factory=lambda: {"_target_": "rlvr.algorithms.group_relative.grpo"},
        help="{_target_: advantage estimator, …}",
    )
    whiten: bool = setting(
        False, "normalize advantages to mean 0 and standard deviation 1 over the batch's tokens"
    )
    loss: dict[str, Any] = setting(
        factory=lambda: {"_target_": "rlvr.algorithms.losses.ppo_clip"},
        help="{_target_: loss of a token, …}",
    )
    aggregation: str = setting(
        "token",
        "how token losses are averaged: over tokens, over sequences, or by the constant sampling.max_tokens",
        choices=AGGREGATIONS,
    )
    truncated: str = setting(
        "keep",
        "answers that were cut off; mask: they count for the baseline, but not in the loss",
        choices=("keep", "mask"),
    )
    old_policy: str = setting(
        "sampler",
        "whose log-probabilities are the denominator of the ratio: vLLM's, or the learner's before the step",
        choices=("sampler", "learner"),
    )
    correction: CorrectionConfig = setting(factory=CorrectionConfig)
    kl: KlConfig = setting(factory=KlConfig)
    entropy: EntropyConfig = setting(factory=EntropyConfig)
    critic: CriticConfig | None = setting(None, "for advantages that use `values`")
    filters: dict[str, Any] = setting(factory=dict, help="name → {_target_: group filter, …}, in order")
    max_rounds: int = setting(
        1, "rounds of rollouts in a step; later rounds replace groups that the filters left out", ge=1
    )
    min_kept: float | None = setting(
        None,
        "share of an optimizer step's groups that must be left after the filters, or the step is skipped; "
        "unset: 0.25; 0: one group is enough",
        ge=0,
        le=1,
    )
    max_group_size: int | None = setting(
        None, "in later rounds, draw more rollouts for groups without a correct answer, up to this size", ge=2
    )
