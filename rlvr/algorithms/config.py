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

    coef: float = setting(0.0, "β; 0 loads no reference model", ge=0)
    reference: str | None = setting(None, "a model's path; unset is the model that the stage starts from")
    estimator: str = setting(
        "k3",
        "see rlvr/algorithms/kl.py; full takes no sample but sums over the vocabulary",
        choices=(*ESTIMATORS, "full"),
    )
    place: str = setting(
        "loss", "a term of the loss, or taken from every token's reward", choices=("loss", "reward")
    )
    reset_every: int | None = setting(
        None,
        "steps after which the policy becomes the reference and the optimizer starts anew (ProRL)",
        ge=1,
    )


@dataclass
class EntropyConfig:
    """A bonus for the entropy of the policy, of fixed weight, or of one that follows a target."""

    coef: float = setting(0.0, "weight of the bonus; with a target, the weight to begin with", ge=0)
    target: float | None = setting(None, "nats per token below which the bonus acts and grows", gt=0)
    delta: float = setting(0.005, "what the weight gains or loses per step, with a target", gt=0)


@dataclass
class CorrectionConfig:
    """Importance weights π_old/π_sampler for the gap between vLLM's and the learner's numbers."""

    kind: str = setting(
        "none",
        "truncate the weight at `high`, or mask what is outside [low, high]",
        choices=("none", "truncate", "mask"),
    )
    level: str = setting("token", "one weight per token, or per sequence", choices=("token", "sequence"))
    low: float = setting(0.5, "least weight that is kept; of the mask", ge=0)
    high: float = setting(2.0, "greatest weight", gt=0)


@dataclass
class CriticConfig:
    """The value model of PPO: the policy's own backbone with a head of one number per token.

    Its AdamW has the policy's settings but for the learning rate, which is constant.
    """

    lr: float = setting(1e-5, "learning rate of the value model", gt=0)
    clip: float | None = setting(0.2, "values move by no more than this per step; unset is no limit", gt=0)
    warmup_steps: int = setting(0, "first steps, in which the value model learns alone", ge=0)


@dataclass
class AlgorithmConfig:
    """`advantage`, `loss` and the `filters` are import paths (`_target_`) of pure functions, with
    keyword arguments. What an advantage takes says what it is: `rewards` [G] of a group, or
    `token_rewards` [T] of a rollout, and with `values` [T] the estimates of a value model."""

    advantage: dict[str, Any] = setting(
        factory=lambda: {"_target_": "rlvr.algorithms.group_relative.grpo"},
        help="{_target_: advantage estimator, …}",
    )
    whiten: bool = setting(False, "advantages get mean 0 and deviation 1 over the tokens of the batch")
    loss: dict[str, Any] = setting(
        factory=lambda: {"_target_": "rlvr.algorithms.losses.ppo_clip"},
        help="{_target_: loss of a token, …}",
    )
    aggregation: str = setting(
        "token", "of token losses; constant divides by sampling.max_tokens", choices=AGGREGATIONS
    )
    truncated: str = setting(
        "keep",
        "mask: answers that were cut off are in the baseline, not in the loss",
        choices=("keep", "mask"),
    )
    old_policy: str = setting(
        "sampler",
        "whose log-probabilities are the ratio's denominator: vLLM's, or the learner's before the step",
        choices=("sampler", "learner"),
    )
    correction: CorrectionConfig = setting(factory=CorrectionConfig)
    kl: KlConfig = setting(factory=KlConfig)
    entropy: EntropyConfig = setting(factory=EntropyConfig)
    critic: CriticConfig | None = setting(None, "only for advantages that take `values`")
    filters: dict[str, Any] = setting(factory=dict, help="name → {_target_: group filter, …}, in order")
    max_rounds: int = setting(
        1, "rounds of rollouts in a step: later ones make up for groups that the filters left out", ge=1
    )
    max_group_size: int | None = setting(
        None, "later rounds give groups without a correct answer more rollouts, up to this many", ge=2
    )
