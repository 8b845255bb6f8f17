"""What `parity_trl.py` runs on either side, which results it compares, and where TRL means something else.

Light to import: both sides and the comparison read it, TRL's Python does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

GROUP_SIZE = 4
MAX_TOKENS = 24
TEMPERATURE = 0.9  # not 1, so that both sides have to divide by it
KL = 0.1

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OurRun:
    """Overrides of `rlvr train`."""

    overrides: tuple[str, ...]
    weighted_kl: bool = False  # the KL term times the ratio, as TRL has it unless told otherwise
    unreached: bool = False  # one rollout's verdict was not reached


@dataclass(frozen=True)
class TrlRun:
    """Settings of GRPOConfig, and the run of ours whose groups, rewards and advantages it is given."""

    follows: str
    settings: Mapping[str, Any]
    own_advantages: bool = False


@dataclass(frozen=True)
class Pair:
    """Two results. `equal` must be within the tolerance, `different` is beyond it by definition, and why is
    told; a `control` is wrong on purpose and must be far off."""

    name: str
    ours: str
    trl: str
    kind: str = "equal"
    why: str = ""
    factor: str | None = None  # TRL's result is multiplied by this quotient of totals before it is compared


def trl_advantage(rewards: Float64Array) -> Float64Array:
    """TRL's: (R − mean) / (s + 1e-4), s the sample deviation."""
    return (rewards - np.nanmean(rewards)) / (np.nanstd(rewards, ddof=1) + 1e-4)


LOSSES: dict[str, dict[str, Any]] = {  # GRPOConfig's words for conf/algorithm/*.yaml
    "grpo": {"loss_type": "grpo", "epsilon": 0.2},
    "dapo": {"loss_type": "dapo", "epsilon": 0.2, "epsilon_high": 0.28},
    "dr_grpo": {"loss_type": "dr_grpo", "epsilon": 0.2, "scale_rewards": "none"},
    "gspo": {
        "loss_type": "grpo",
        "importance_sampling_level": "sequence",
        "epsilon": 3e-4,
        "epsilon_high": 4e-4,
    },
    "cispo": {"loss_type": "cispo", "epsilon_high": 5.0},
}
PLAIN_KL = {"beta": KL, "use_bias_correction_kl": False}


def algorithm(name: str, *more: str) -> OurRun:
    return OurRun((f"algorithm={name}", *more))


@dataclass
class Plan:
    ours: dict[str, OurRun] = field(default_factory=dict)
    trl: dict[str, TrlRun] = field(default_factory=dict)
    pairs: list[Pair] = field(default_factory=list)

    def same(self, name: str, ours: OurRun, settings: Mapping[str, Any]) -> None:
        self.ours[name], self.trl[name] = ours, TrlRun(name, settings)
        self.pairs.append(Pair(name, name, name))


def make_plan() -> Plan:
    plan = Plan()
    for name, settings in LOSSES.items():
        plan.same(name, algorithm(name), settings)
    for name, settings in LOSSES.items():
        plan.same(f"{name}, KL", algorithm(name, f"algorithm.kl.coef={KL}"), {**settings, **PLAIN_KL})
    for name in ("grpo", "dapo"):
        masked = {**LOSSES[name], "mask_truncated_completions": True}
        plan.same(f"{name}, cut answers masked", algorithm(name, "algorithm.truncated=mask"), masked)
    _advantages(plan)
    _weighted_kl(plan)
    _left_out(plan)
    _controls(plan)
    return plan


def _advantages(plan: Plan) -> None:
    name = "grpo, TRL's advantages"
    target = f"{trl_advantage.__module__}.{trl_advantage.__name__}"
    plan.ours[name] = algorithm("grpo", f"algorithm.advantage._target_={target}")
    plan.trl[name] = TrlRun(name, LOSSES["grpo"], own_advantages=True)
    why = "TRL divides by the sample deviation + 1e-4, we by the population deviation (as the paper does)"
    plan.pairs += [
        Pair("grpo, each its own advantages", "grpo", name, "different", why),
        Pair(name, name, name, why="our run takes TRL's formula as algorithm.advantage"),
    ]


def _weighted_kl(plan: Plan) -> None:
    name = "grpo, KL weighted"
    ours = ("algorithm=grpo", f"algorithm.kl.coef={KL}")
    plan.ours[name] = OurRun(ours, weighted_kl=True)
    plan.trl[name] = TrlRun(name, {**LOSSES["grpo"], "beta": KL})
    why = "TRL's default use_bias_correction_kl=True multiplies the KL term by the ratio; the paper does not"
    plan.pairs += [
        Pair("grpo, KL as TRL defaults", "grpo, KL", name, "different", why),
        Pair(name, name, name, why="our objective with its KL term times the ratio"),
    ]


def _left_out(plan: Plan) -> None:
    """What one side leaves out of the totals and the other counts with an advantage of 0."""
    name = "dapo, all groups"
    plan.ours[name] = algorithm("dapo", "~algorithm.filters.informative", "algorithm.max_rounds=1")
    plan.trl[name] = TrlRun(name, LOSSES["dapo"])
    why = "TRL has no dynamic sampling: groups without a spread count in the number of tokens"
    plan.pairs += [
        Pair(name, name, name, why="our filter is off"),
        Pair("dapo, we filter", "dapo", name, "different", why),
        Pair(
            "dapo, we filter, accounted", "dapo", name, why="times all tokens / kept tokens", factor="tokens"
        ),
    ]
    name = "grpo, a verdict not reached"
    plan.ours[name] = OurRun(("algorithm=grpo",), unreached=True)
    plan.trl[name] = TrlRun(name, LOSSES["grpo"])
    why = "TRL counts a rollout without a reward in the number of rollouts, we leave it out"
    plan.pairs += [
        Pair(name, name, name, "different", why),
        Pair(f"{name}, accounted", name, name, why="times all rollouts / judged rollouts", factor="rows"),
    ]


def _controls(plan: Plan) -> None:
    wrong = {
        "grpo": ("aggregation", "algorithm.aggregation=token"),
        "dapo": ("upper clip", "algorithm.loss.clip_high=0.2"),
        "dr_grpo": ("max_tokens", f"sampling.max_tokens={2 * MAX_TOKENS}"),
        "gspo": ("ratio", "algorithm.loss._target_=rlvr.algorithms.losses.ppo_clip"),
        "cispo": ("bound", "algorithm.loss.max_ratio=1.2"),
        "grpo, KL": ("estimator", "algorithm.kl.estimator=k2"),
    }
    for name, (what, override) in wrong.items():
        control = f"{name}, wrong {what}"
        plan.ours[control] = OurRun((*plan.ours[name].overrides, override))
        plan.pairs.append(Pair(control, control, name, "control", override))


NOTES = (
    "cispo: TRL's epsilon_high bounds the ratio itself, as our max_ratio does. Left unset it is epsilon, "
    "0.2, and every ratio above 0.2 is cut: set epsilon_high=5.0.",
    "dr_grpo: TRL's loss_type=dr_grpo alone still divides advantages by the deviation: set "
    "scale_rewards='none'. Its constant is max_completion_length × rollouts, ours "
    "sampling.max_tokens × rollouts: the same.",
    "gspo: TRL has no such loss_type; it is loss_type=grpo with importance_sampling_level=sequence.",
    "The ratio's denominator: TRL computes the old log-probabilities again with the trainer's model "
    "(old_logprob_gap: how far from the sampler's), and with vLLM multiplies by a weight π_old/π_sampler, by "
    "default one per answer that is 0 above 3. We take the sampler's own, unless "
    "algorithm.old_policy=learner. Here both sides are given the sampler's, and no weight.",
    "Cut answers: TRL tells them by a last token that is neither end nor padding, we by the engine's word.",
    "TRL pads prompts on the left without position ids; with rotary positions that changes rounding only.",
)
