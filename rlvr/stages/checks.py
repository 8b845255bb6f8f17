"""Settings that cannot work, or that would do nothing, together: found before any engine starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate

from rlvr.config import STAGES, TrainConfig
from rlvr.learner.config import OptimizerConfig
from rlvr.problems.prompts import encode_prompt, encode_solution
from rlvr.rewards.data_checks import data_messages
from rlvr.rewards.functions import say_unused_columns, validate_reward
from rlvr.stages.algorithm_checks import (
    algorithm_messages,
    algorithm_targets,
    filter_messages,
    target_messages,
)
from rlvr.stages.config import DpoConfig, SftConfig, ValidationConfig, WarmStartConfig
from rlvr.stages.placement import is_separate
from rlvr.traces.config import contradictions
from rlvr.types import ConfigError, DataError, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STAGE_SECTIONS = {
    "sft": ("sft", "learner"),
    "select": ("select", "sampling", "reward", "rollout"),
    "grpo": ("grpo", "sampling", "reward", "algorithm", "rollout", "evaluation", "learner"),
}


def check_config(config: TrainConfig, overrides: Sequence[str]) -> None:
    """Raises ConfigError with everything that is wrong. `overrides` are those of the command line."""
    messages = [*_stage_messages(config, overrides), *model_messages(config), *_target_messages(config)]
    if "grpo" in config.stages:
        messages += [*evaluation_messages(config), *grpo_messages(config)]
        if not config.problems.heldout and config.evaluation != type(config.evaluation)():
            messages.append(
                "evaluation has settings, but there is nothing to evaluate on: name problems.heldout"
            )
        messages += algorithm_messages(config, overrides)
    if set(config.stages) & {"grpo", "select"}:
        messages += [*sampling_messages(config), *validate_reward(config.reward)]
    if "sft" in config.stages:
        messages += [*warm_start_messages("sft", config.sft), *_sft_messages(config.sft)]
    if messages:
        raise ConfigError("\n".join(messages))


def _stage_messages(config: TrainConfig, overrides: Sequence[str]) -> Iterator[str]:
    if not config.stages:
        yield f"stages is empty: name some of {', '.join(STAGES)}"
    for stage in config.stages:
        if stage not in STAGES:
            yield f"stages names {stage!r}; there are: {', '.join(STAGES)}"
    known = [stage for stage in config.stages if stage in STAGES]
    if known != sorted(set(known), key=STAGES.index):
        yield f"stages is {config.stages}: each at most once, in the order {', '.join(STAGES)}"
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        section = key.partition(".")[0].partition("@")[0]
        readers = [stage for stage, sections in STAGE_SECTIONS.items() if section in sections]
        if readers and not set(readers) & set(config.stages):
            yield f"{key} is read by the stage {readers[-1]}, which does not run: drop it, or extend stages"
    for key in ("problems.heldout", "problems.order"):
        if "grpo" not in config.stages and _named(key, overrides):
            yield f"{key} is read by the stage grpo, which does not run"


def _named(key: str, overrides: Sequence[str]) -> bool:
    return any(override.lstrip("+~").startswith(key) for override in overrides)


def model_messages(config: TrainConfig) -> Iterator[str]:
    if config.learner.dtype == "bfloat16" and config.learner.zero_stage == 0:
        yield (
            "learner.dtype=bfloat16 needs learner.zero_stage 1, 2 or 3: DeepSpeed keeps float32 weights and "
            "gradients beside the bfloat16 model only there"
        )
    lora = config.learner.lora
    if lora.rank is None and lora != type(lora)():
        yield "learner.lora has settings, but they have no effect without learner.lora.rank"
    if lora.target_modules == []:
        yield "learner.lora.target_modules is empty: name linear layers, or leave it out for all of them"
    model = config.model
    if (model.path is None) == (model.scratch is None):
        given = "neither is" if model.path is None else "both are"
        yield (
            f"model.path and model.scratch: {given} given; use model=scratch, or model=pretrained with "
            "model.path=FOLDER"
        )
    if model.scratch is None:
        return
    sizes = model.scratch
    if sizes.hidden_size % sizes.heads:
        yield f"model.scratch.hidden_size={sizes.hidden_size} must be a multiple of heads={sizes.heads}"
    if sizes.heads % sizes.kv_heads:
        yield f"model.scratch.heads={sizes.heads} must be a multiple of kv_heads={sizes.kv_heads}"
    if (size := sizes.hidden_size // sizes.heads) % 32 and config.rollout.gpus_per_worker == 0:
        yield f"model.scratch: hidden_size/heads is {size}; vLLM's attention on the CPU takes multiples of 32"


def _target_messages(config: TrainConfig) -> Iterator[str]:
    """Import paths that lead nowhere, and arguments that nothing reads."""
    problems = config.problems
    yield from path_messages(config)
    yield from target_messages("problems.train", problems.train, ())
    if problems.heldout:
        yield from target_messages("problems.heldout", problems.heldout, ())
    if "select" in config.stages:
        yield from filter_messages("select.filters", config.select.filters)
    if "grpo" in config.stages:
        yield from target_messages("problems.order", problems.order, ("problems", "seed"))
        yield from algorithm_targets(config.algorithm)
        if config.sampling.schedule:
            given = ("step", "steps", "temperature")
            wrong = list(target_messages("sampling.schedule", config.sampling.schedule, given))
            yield from wrong or schedule_messages(config)


def path_messages(config: TrainConfig) -> Iterator[str]:
    """A file that no source reads."""
    path = config.problems.path
    asked = _paths(config.problems.train) + _paths(config.problems.heldout)
    if path is None and None in asked:
        yield "problems.path must be given: add problems.path=FILE to the command"
    if path is not None and path not in str((config.problems.train, config.problems.heldout)):
        yield f"problems.path={path} is read by no source: take problems=own, or name it in problems.train"


def _paths(source: Any) -> list[Any]:
    """What the arguments called `path` of a source, and of those that it is made of, are."""
    if not isinstance(source, dict):
        return []
    inner = [path for part in source.values() for path in _paths(part)]
    return inner + ([source["path"]] if "path" in source else [])


def schedule_messages(config: TrainConfig) -> Iterator[str]:
    """What the schedule gives that vLLM does not take, at the first such step."""
    schedule = instantiate(config.sampling.schedule, _partial_=True)
    given = {"steps": config.grpo.steps, "temperature": config.sampling.temperature}
    for step in range(config.grpo.steps):
        try:
            value = float(schedule(step=step, **given))
        except (ArithmeticError, TypeError, ValueError) as error:
            yield f"sampling.schedule raised {error!r} for step {step + 1}"
            return
        if not 0.01 <= value <= 2:
            yield f"sampling.schedule gives {value:g} for step {step + 1}; vLLM takes 0.01 to 2"
            return


def warm_start_messages(key: str, settings: WarmStartConfig) -> Iterator[str]:
    """What is wrong with the settings of a stage that learns from worked answers."""
    if (settings.steps is None) == (settings.epochs is None):
        given = "neither is" if settings.steps is None else "both are"
        yield f"{key}.steps and {key}.epochs: {given} given; set one of them, the other to null"
    yield from optimizer_messages(key, settings.optimizer, settings.steps)
    given_by_us = ("traces", "encode", "settings", "seed", "max_length")
    yield from target_messages(f"{key}.trainer", settings.trainer, given_by_us)
    if isinstance(settings, SftConfig):
        yield from contradictions(settings.choose, f"{key}.choose.")
        if settings.validation.share == 0 and settings.validation != ValidationConfig():
            yield f"{key}.validation has settings, but they have no effect with share 0"
    if isinstance(settings, DpoConfig):
        yield from contradictions(settings.pairs, f"{key}.pairs.")


def _sft_messages(settings: SftConfig) -> Iterator[str]:
    """What only a recipe can do."""
    if settings.start != "previous":
        yield f"sft.start={settings.start} is for `rlvr recipe`: here SFT begins with `model`"
    if settings.epochs is not None or settings.validation.share:
        yield "sft.epochs and sft.validation are for `rlvr recipe`, whose stages may end early: set sft.steps"
    for name in settings.data:
        if name != "solutions" and not Path(name).is_file():
            yield f"sft.data names {name!r}, which is no file; it must be solutions, or a file of traces"


def optimizer_messages(stage: str, optimizer: OptimizerConfig, steps: int | None) -> Iterator[str]:
    """`steps` is None where they are known only once the data is."""
    key = f"{stage}.optimizer"
    if steps is not None and optimizer.warmup_steps >= steps:
        yield f"{key}.warmup_steps={optimizer.warmup_steps} never ends: the stage has {steps} optimizer steps"
    if optimizer.warmup_steps and optimizer.warmup_ratio:
        yield f"{key}.warmup_steps and warmup_ratio are both given: leave one of them out"
    if optimizer.decay == "constant" and optimizer.final_lr_ratio:
        yield f"{key}.final_lr_ratio has no effect with decay: constant; set decay to linear or cosine"


def grpo_messages(config: TrainConfig) -> Iterator[str]:
    grpo, cluster = config.grpo, config.cluster
    for name in ("cpus", "learner_cores", "reward_cores"):
        if cluster.address and getattr(cluster, name):
            yield f"cluster.{name} has no effect with cluster.address: the cluster hands out its own cores"
    if cluster.learner_cores and not is_separate(config):
        yield "cluster.learner_cores has no effect: set cluster.placement=separate, or grpo.max_staleness"
    if config.rollout.keep_stale_cache and not grpo.max_staleness:
        yield (
            "rollout.keep_stale_cache has no effect: with grpo.max_staleness=0 no answer is under way when "
            "weights change"
        )
    if cluster.placement == "colocated" and config.rollout.gpus_per_worker and grpo.max_staleness:
        yield (
            f"grpo.max_staleness={grpo.max_staleness} overlaps generation with learning, which take turns on "
            "GPUs that they share: set it to 0, or take cluster.placement=separate"
        )
    yield from optimizer_messages("grpo", grpo.optimizer, grpo.steps * grpo.updates_per_step)
    if grpo.problems_per_step % grpo.updates_per_step:
        yield (
            f"grpo.problems_per_step={grpo.problems_per_step} must be a multiple of "
            f"updates_per_step={grpo.updates_per_step}"
        )
    if (config.rollout.gpus_per_worker > 0) != (config.learner.gpus_per_worker > 0):
        yield (
            "rollout.gpus_per_worker and learner.gpus_per_worker: weights travel among GPUs or on the CPU, "
            "so give both GPUs, or neither"
        )


def evaluation_messages(config: TrainConfig) -> Iterator[str]:
    evaluation = config.evaluation
    if evaluation.temperature == 0 and evaluation.samples > 1:
        yield f"evaluation.samples={evaluation.samples} has no effect with temperature 0: all would be equal"
    if wrong := [k for k in evaluation.ks if not 1 <= k <= evaluation.samples]:
        yield f"evaluation.ks names {wrong[0]}, but must be 1 to evaluation.samples={evaluation.samples}"
    if evaluation.temperature == 0 and evaluation.top_p < 1:
        yield f"evaluation.top_p={evaluation.top_p} has no effect with temperature 0"


def sampling_messages(config: TrainConfig) -> Iterator[str]:
    if config.sampling.schedule and "grpo" not in config.stages:
        yield "sampling.schedule is read by the stage grpo, which does not run: select has one temperature"
    if config.sampling.max_tokens >= config.model.max_length:
        yield (
            f"sampling.max_tokens={config.sampling.max_tokens} leaves no room for the prompt in "
            f"model.max_length={config.model.max_length}"
        )


def check_problems(config: TrainConfig, problems: Sequence[Problem], heldout: Sequence[Problem]) -> None:
    """What can only be said with the problems at hand. Raises ConfigError."""
    messages = []
    asked = {"grpo": ("grpo.problems_per_step", config.grpo.problems_per_step)}
    if config.sft.data == ["solutions"]:
        asked["sft"] = ("sft.batch_size", config.sft.batch_size)
    for stage in set(config.stages) & set(asked):
        name, size = asked[stage]
        if size > len(problems):
            messages.append(f"{name}={size}, but problems.train has {len(problems)}: lower it to that")
    if shared := {p.text for p in problems} & {p.text for p in heldout}:
        messages.append(
            f"problems.heldout shares {len(shared)} problems with problems.train, such as "
            f"{min(shared)[:80]!r}: a gain on them would mean nothing"
        )
    if "grpo" in config.stages:
        instantiate(config.problems.order, _partial_=True)(problems=problems, seed=config.seed)
    columns = sorted({column for problem in problems for column in problem.columns})
    rewarded = bool(set(config.stages) & {"grpo", "select"})
    if rewarded:
        messages += validate_reward(config.reward, columns)
        messages += data_messages(config.reward, [*problems, *heldout])
    if "sft" in config.stages and "solutions" in config.sft.data:
        messages += solution_messages("sft", problems)
    if messages:
        raise ConfigError("\n".join(messages))
    if rewarded:
        say_unused_columns(config.reward, columns)


def solution_messages(stage: str, problems: Sequence[Problem]) -> Iterator[str]:
    if without := [problem.id for problem in problems if problem.solution is None]:
        yield (
            f"stages names {stage}, but {len(without)} problems have no worked solution, such as "
            f"{without[0]!r}: map a column to `solution`, or leave {stage} out"
        )


def check_lengths(
    config: TrainConfig,
    problems: Sequence[Problem],
    heldout: Sequence[Problem],
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Encode every problem once. Raises DataError for one that does not fit into `model.max_length`."""
    limit = config.model.max_length
    answer = config.sampling.max_tokens
    rooms = [(problems, answer), (heldout, config.evaluation.max_tokens or answer)]
    for group, max_tokens in rooms if set(config.stages) & {"grpo", "select"} else [(problems, 0)]:
        for problem in group:
            length = len(encode_prompt(problem, config.problems.prompt, tokenizer))
            if length + max_tokens > limit:
                raise DataError(
                    f"problem {problem.id!r}: {length} tokens of prompt and {max_tokens} of answer are more "
                    f"than model.max_length={limit}"
                )
            if "sft" in config.stages and "solutions" in config.sft.data and group is problems:
                length += len(encode_solution(problem, tokenizer))
                if length > limit:
                    raise DataError(
                        f"problem {problem.id!r}: prompt and solution have {length} tokens, more than "
                        f"model.max_length={limit}"
                    )
