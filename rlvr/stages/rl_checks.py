"""Messages about settings of the algorithm that contradict each other or have no effect."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from hydra.utils import instantiate

from rlvr.algorithms.config import AlgorithmConfig, CorrectionConfig, EntropyConfig, KlConfig
from rlvr.base.targets import filter_messages, resolve, target_messages
from rlvr.cluster.placement import is_separate
from rlvr.learner.config import optimizer_messages
from rlvr.rollout.config import SamplingConfig
from rlvr.stages.config import RlConfig, StageConfig
from rlvr.types import ConfigError

LOSSES = "rlvr.algorithms.losses"  # module of the losses; all their settings bound the ratio
# parameters that an advantage function may have
OFFERED = ("rewards", "token_rewards", "values")
# In bfloat16, with equal weights, the mean log-ratio of an answer between vLLM and the learner has a standard
# deviation of 0.0003 (a nearly uniform policy; 15% of answers are beyond GSPO's bounds) to 0.014 (one far
# from uniform; 98%), measured on 48 answers of 50 to 110 tokens each.
ROUNDING = 0.01
GSPO = {"clip_low": 3e-4, "clip_high": 4e-4}  # the defaults of `rlvr.algorithms.losses.gspo`
# advantages that compare the rollouts of a group, so need at least two
RELATIVE = (
    *(f"rlvr.algorithms.group_relative.{name}" for name in ("grpo", "dr_grpo", "rloo", "max_rl")),
    *(f"rlvr.algorithms.noise.{name}" for name in ("backward", "debiased_grpo")),
)
# advantages that divide by the group's standard deviation, and those for binary rewards only
BY_DEVIATION = ("rlvr.algorithms.group_relative.grpo", "rlvr.algorithms.noise.debiased_grpo")
OF_TWO_REWARDS = (
    "rlvr.algorithms.group_relative.max_rl",
    *(f"rlvr.algorithms.noise.{name}" for name in ("backward", "forward", "debiased_grpo")),
)


def _advantage_messages(spec: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the parameters of an advantage function: their names select its inputs."""
    key = "algorithm.advantage"
    try:
        asked = inspect.signature(resolve(str(spec.get("_target_")), key)).parameters
    except ConfigError as error:
        yield str(error)
        return
    provided = [name for name in OFFERED if name in asked]
    if ("rewards" in provided) == ("token_rewards" in provided) or provided == ["rewards", "values"]:
        yield (
            f"{key}: {spec['_target_']} must have a parameter `rewards` (of a group), or "
            "`token_rewards` (of a rollout), with `values` or without"
        )
    else:
        yield from target_messages(key, spec, provided)


def algorithm_targets(algorithm: AlgorithmConfig) -> Iterator[str]:
    """What is wrong with the import paths of the algorithm and with the arguments of its loss."""
    yield from _advantage_messages(algorithm.advantage)
    given = ("logprobs", "old_logprobs", "advantages", "mask")
    wrong = list(target_messages("algorithm.loss", algorithm.loss, given))
    if not wrong:
        from rlvr.algorithms.objective import vanishes_without_advantage  # imports torch

        try:
            vanishes_without_advantage(instantiate(algorithm.loss, _partial_=True))
        except ConfigError as error:
            wrong = [str(error)]
    yield from wrong
    yield from filter_messages("algorithm.filters", algorithm.filters)


def algorithm_messages(rl: RlConfig, config: StageConfig, overrides: Sequence[str]) -> Iterator[str]:
    """What is wrong with the algorithm's settings.

    Some are reported only if `overrides`, those of the command line, set them: a configuration file may
    set them for other cases.
    """
    yield from _kl_messages(rl, config)
    yield from _entropy_messages(config.algorithm.entropy)
    yield from _ratio_messages(rl, config.algorithm, overrides)
    yield from _rounding_messages(config)
    yield from _group_messages(rl, config)
    yield from _critic_messages(rl, config.algorithm, overrides)


def _kl_messages(rl: RlConfig, config: StageConfig) -> Iterator[str]:
    kl = config.algorithm.kl
    if kl.coef == 0:
        if kl != KlConfig():
            yield "algorithm.kl has settings, but they have no effect with coef 0: give algorithm.kl.coef=…"
        return
    if kl.estimator == "k1" and kl.place == "loss":
        yield (
            "algorithm.kl.estimator=k1 in the loss regularizes nothing: its gradient is zero on average. Set "
            "estimator to k2 (reverse KL) or k3, or place=reward"
        )
    if kl.estimator == "full" and kl.place == "reward":
        yield (
            "algorithm.kl.estimator=full is a function of the whole distribution, not of the sampled token, "
            "so it cannot be a reward: set place=loss, or estimator=k1"
        )
    elif kl.estimator != "k1" and kl.place == "reward":
        yield (
            f"algorithm.kl.estimator={kl.estimator} in the reward regularizes almost nothing: near the "
            "reference its policy gradient cancels. Set estimator to k1, or place=loss"
        )
    target = config.algorithm.advantage.get("_target_")
    if kl.place == "reward" and target in BY_DEVIATION:
        yield (
            f"algorithm.kl.place=reward with {target}: in a group of equal rewards it would divide the "
            "penalties by their own deviation, however small. Set place=loss, or take rloo"
        )
    if kl.reset_every is not None and kl.reset_every >= rl.steps:
        yield (f"algorithm.kl.reset_every={kl.reset_every} has no effect: the stage has {rl.steps} steps")
    if kl.reset_every is not None and kl.reference is not None:
        yield (
            f"algorithm.kl.reset_every={kl.reset_every} would replace "
            f"algorithm.kl.reference={kl.reference} with the policy: leave one of them out"
        )
    elif kl.reset_every is not None and config.learner.lora.rank is not None:
        yield (
            f"algorithm.kl.reset_every={kl.reset_every} does not work with learner.lora.rank: the reference "
            "is the model without its adapters, which never changes. Leave one of them out"
        )


def _entropy_messages(entropy: EntropyConfig) -> Iterator[str]:
    if entropy.target is None and entropy.delta != EntropyConfig().delta:
        yield "algorithm.entropy.delta has no effect without algorithm.entropy.target"


def _ratio_messages(rl: RlConfig, algorithm: AlgorithmConfig, overrides: Sequence[str]) -> Iterator[str]:
    """What is wrong with the settings that act on the ratios π/π_old and π_old/π_sampler."""
    correction = algorithm.correction
    loss = algorithm.loss.get("_target_")
    if correction.kind == "none" and correction != CorrectionConfig():
        yield "algorithm.correction has settings, but they have no effect with kind=none: set kind"
    if correction.kind != "none" and algorithm.old_policy == "sampler":
        yield (
            f"algorithm.correction.kind={correction.kind} has no effect with old_policy=sampler: then "
            "the old policy is the sampler, and every weight is 1. Set algorithm.old_policy=learner"
        )
    if correction.kind == "truncate" and correction.low != CorrectionConfig().low:
        yield "algorithm.correction.low has no effect with kind=truncate, which bounds weights from above"
    if correction.kind == "mask" and correction.low >= correction.high:
        yield f"algorithm.correction: low={correction.low} must be below high={correction.high}"
    if loss == f"{LOSSES}.reinforce" and algorithm.old_policy == "learner" and correction.kind == "none":
        yield "algorithm.old_policy=learner has no effect: reinforce has no ratio, and there is no correction"
    # the learner's policy differs from vLLM's if that one is stale; GSPO's bounds are so narrow that even
    # the numerical gap between vLLM and the learner reaches them
    differs = algorithm.old_policy == "sampler" and (rl.max_staleness or loss == f"{LOSSES}.gspo")
    if rl.updates_per_step > 1 or differs or not str(loss).startswith(LOSSES):
        return
    policy = "the one that sampled it" if algorithm.old_policy == "sampler" else "its old policy"
    raising = "rl.updates_per_step"
    if algorithm.old_policy == "sampler":
        raising += " or rl.max_staleness"
    for key in _given(overrides):
        if key.startswith("algorithm.loss.") and not key.endswith("._target_"):
            yield (
                f"{key} has no effect: every rollout is used once, while the policy is still {policy}, so "
                f"the ratio is 1. Raise {raising}, or leave it out"
            )


def _rounding_messages(config: StageConfig) -> Iterator[str]:
    """What is wrong with bounds that are narrower than what bfloat16 rounds away."""
    loss, old_policy = config.algorithm.loss, config.algorithm.old_policy
    if "bfloat16" not in (config.learner.dtype, config.rollout.dtype) or old_policy != "sampler":
        return
    bounds = [float(loss.get(name, default)) for name, default in GSPO.items()]
    if loss.get("_target_") == f"{LOSSES}.gspo" and min(bounds) < ROUNDING:
        yield (
            f"algorithm.loss: GSPO's clip range of {bounds[0]:g} and {bounds[1]:g} is narrower than the "
            "difference between vLLM and the learner in bfloat16: rounding would decide which answers are "
            "clipped. Set algorithm.old_policy=learner, then both sides of the ratio are the learner's"
        )


def _given(overrides: Sequence[str]) -> list[str]:
    """The keys that the command line sets."""
    return [override.lstrip("+~").partition("=")[0] for override in overrides]


def _group_messages(rl: RlConfig, config: StageConfig) -> Iterator[str]:
    algorithm = config.algorithm
    target = algorithm.advantage.get("_target_")
    if rl.group_size == 1 and target in RELATIVE:
        yield "rl.group_size=1 gives no gradient: advantages are relative to the group, so set 2 or more"
    if target in OF_TWO_REWARDS:
        if algorithm.kl.coef and algorithm.kl.place == "reward" and target not in BY_DEVIATION:
            yield (
                f"algorithm.kl.place=reward makes rewards that are not binary, as {target} requires: "
                "set place=loss"
            )
        reward = config.reward
        parts = [n for n in reward.functions if n not in reward.logged and n not in reward.gates]
        if len(parts) + len(set(reward.gates) & set(reward.weights)) > 1:
            yield (
                f"algorithm.advantage: {target} needs a binary reward, but the reward is the sum of "
                f"{', '.join(parts)}: take reward=math, or list the others in reward.logged"
            )
        try:  # called for two rollouts without a verdict, it checks its arguments only
            instantiate(algorithm.advantage, _partial_=True)(rewards=np.full(2, np.nan))
        except ConfigError as error:
            yield str(error)
    if target == "rlvr.algorithms.noise.backward" and algorithm.whiten:
        yield (
            "algorithm.whiten undoes noise.backward, which only rescales: leave one of them out, or take "
            "noise.debiased_grpo"
        )
    if algorithm.max_rounds > 1 and not algorithm.filters:
        yield (
            f"algorithm.max_rounds={algorithm.max_rounds} has no effect without algorithm.filters: no group "
            "is filtered out, so the first round is never short"
        )
    size = algorithm.max_group_size
    if size is not None and algorithm.max_rounds == 1:
        yield f"algorithm.max_group_size={size} has no effect with max_rounds=1: groups grow in later rounds"
    if size is not None and size < 2 * rl.group_size:
        yield (
            f"algorithm.max_group_size={size} has no effect: a group has {rl.group_size} rollouts, and "
            f"grows by as many, so give {2 * rl.group_size} or more"
        )


def _critic_messages(rl: RlConfig, algorithm: AlgorithmConfig, overrides: Sequence[str]) -> Iterator[str]:
    try:
        function = resolve(str(algorithm.advantage.get("_target_")), "algorithm.advantage")
    except ConfigError:
        return  # said already
    wants = "values" in inspect.signature(function).parameters
    if wants and algorithm.critic is None:
        yield (
            "algorithm.advantage takes `values`, but there is no value model: take algorithm=ppo, or a file "
            "like conf/algorithm/ppo.yaml that has a section `critic`"
        )
    if algorithm.critic is not None:
        if not wants:
            yield "algorithm.critic has no effect: algorithm.advantage does not take `values`"
        if rl.updates_per_step == 1 and "algorithm.critic.clip" in _given(overrides):
            yield (
                "algorithm.critic.clip has no effect with rl.updates_per_step=1: at the only update, the "
                "values have not changed yet"
            )
        if algorithm.critic.warmup_steps >= rl.steps:
            yield (
                f"algorithm.critic.warmup_steps={algorithm.critic.warmup_steps} never ends: the policy would "
                f"not learn in {rl.steps} steps"
            )


def rl_messages(rl: RlConfig, config: StageConfig) -> Iterator[str]:
    cluster = config.cluster
    for name in ("cpus", "learner_cores", "reward_cores"):
        if cluster.address and getattr(cluster, name):
            yield f"cluster.{name} has no effect with cluster.address: the cluster assigns its own cores"
    if cluster.learner_cores and not is_separate(config.workers(rl.max_staleness)):
        yield "cluster.learner_cores has no effect: set cluster.placement=separate, or rl.max_staleness"
    if config.rollout.keep_stale_cache and not rl.max_staleness:
        yield (
            "rollout.keep_stale_cache has no effect: with rl.max_staleness=0 no answer is unfinished "
            "when weights change"
        )
    if cluster.placement == "colocated" and config.rollout.gpus_per_worker and rl.max_staleness:
        yield (
            f"rl.max_staleness={rl.max_staleness} overlaps generation with learning, which cannot be done on "
            "shared GPUs: set it to 0, or take cluster.placement=separate"
        )
    yield from optimizer_messages("rl", rl.optimizer, rl.steps * rl.updates_per_step)
    if rl.problems_per_step % rl.updates_per_step:
        yield (
            f"rl.problems_per_step={rl.problems_per_step} must be a multiple of "
            f"updates_per_step={rl.updates_per_step}"
        )
    if (config.rollout.gpus_per_worker > 0) != (config.learner.gpus_per_worker > 0):
        yield (
            "rollout.gpus_per_worker and learner.gpus_per_worker: weights are sent among GPUs or on the CPU, "
            "so give both GPUs, or neither"
        )


def schedule_messages(rl: RlConfig, sampling: SamplingConfig) -> Iterator[str]:
    """The first step for which the schedule fails or returns a temperature that vLLM does not accept."""
    schedule = instantiate(sampling.schedule, _partial_=True)
    given = {"steps": rl.steps, "temperature": sampling.temperature}
    for step in range(rl.steps):
        try:
            value = float(schedule(step=step, **given))
        except (ArithmeticError, TypeError, ValueError) as error:
            yield f"sampling.schedule raised {error!r} for step {step + 1}"
            return
        if not 0.01 <= value <= 2:
            yield f"sampling.schedule gives {value:g} for step {step + 1}; vLLM accepts 0.01 to 2"
            return
