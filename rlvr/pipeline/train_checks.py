"""Settings that cannot work, or that would do nothing, together: found before any engine starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.utils import instantiate

from rlvr.base.targets import filter_messages, target_messages
from rlvr.evaluation.checks import evaluation_messages
from rlvr.learner.checks import learner_messages
from rlvr.pipeline.config import TRAIN_STAGES, TrainConfig
from rlvr.problems.checks import path_messages
from rlvr.problems.prompts import encode_prompt, encode_solution
from rlvr.rewards.data_checks import data_messages
from rlvr.rewards.functions import say_unused_columns, validate_reward
from rlvr.stages.config import SftConfig
from rlvr.stages.model_checks import model_messages
from rlvr.stages.rl_checks import algorithm_messages, algorithm_targets, rl_messages, schedule_messages
from rlvr.stages.warm_start_checks import warm_start_messages
from rlvr.types import ConfigError, DataError, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

STAGE_SECTIONS = {
    "sft": ("sft", "learner"),
    "select": ("select", "sampling", "reward", "rollout"),
    "rl": ("rl", "sampling", "reward", "algorithm", "rollout", "evaluation", "learner"),
}


def check_config(config: TrainConfig, overrides: Sequence[str]) -> None:
    """Raises ConfigError with everything that is wrong. `overrides` are those of the command line."""
    messages = [*_stage_messages(config, overrides), *_target_messages(config)]
    messages += [
        *learner_messages(config.learner),
        *model_messages(config.model, config.rollout.gpus_per_worker),
    ]
    if "rl" in config.stages:
        messages += [
            *evaluation_messages(config.evaluation),
            *rl_messages(config.rl, config.for_stages()),
        ]
        if not config.problems.heldout and config.evaluation != type(config.evaluation)():
            messages.append(
                "evaluation has settings, but there is nothing to evaluate on: name problems.heldout"
            )
        messages += algorithm_messages(config.rl, config.for_stages(), overrides)
    if set(config.stages) & {"rl", "select"}:
        messages += [*sampling_messages(config), *validate_reward(config.reward)]
    if "sft" in config.stages:
        messages += [*warm_start_messages("sft", config.sft), *_sft_messages(config.sft)]
    if messages:
        raise ConfigError("\n".join(messages))


def _stage_messages(config: TrainConfig, overrides: Sequence[str]) -> Iterator[str]:
    if not config.stages:
        yield f"stages is empty: name some of {', '.join(TRAIN_STAGES)}"
    for stage in config.stages:
        if stage not in TRAIN_STAGES:
            yield f"stages names {stage!r}; there are: {', '.join(TRAIN_STAGES)}"
    known = [stage for stage in config.stages if stage in TRAIN_STAGES]
    if known != sorted(set(known), key=TRAIN_STAGES.index):
        yield f"stages is {config.stages}: each at most once, in the order {', '.join(TRAIN_STAGES)}"
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        section = key.partition(".")[0].partition("@")[0]
        readers = [stage for stage, sections in STAGE_SECTIONS.items() if section in sections]
        if readers and not set(readers) & set(config.stages):
            yield f"{key} is read by the stage {readers[-1]}, which does not run: drop it, or extend stages"
    for key in ("problems.heldout", "problems.order"):
        if "rl" not in config.stages and _named(key, overrides):
            yield f"{key} is read by the stage rl, which does not run"


def _named(key: str, overrides: Sequence[str]) -> bool:
    return any(override.lstrip("+~").startswith(key) for override in overrides)


def _target_messages(config: TrainConfig) -> Iterator[str]:
    """Import paths that lead nowhere, and arguments that nothing reads."""
    problems = config.problems
    yield from path_messages(config.problems)
    yield from target_messages("problems.train", problems.train, ())
    if problems.heldout:
        yield from target_messages("problems.heldout", problems.heldout, ())
    if "select" in config.stages:
        yield from filter_messages("select.filters", config.select.filters)
    if "rl" in config.stages:
        yield from target_messages("problems.order", problems.order, ("problems", "seed"))
        yield from algorithm_targets(config.algorithm)
        if config.sampling.schedule:
            given = ("step", "steps", "temperature")
            wrong = list(target_messages("sampling.schedule", config.sampling.schedule, given))
            yield from wrong or schedule_messages(config.rl, config.sampling)


def _sft_messages(settings: SftConfig) -> Iterator[str]:
    """What only a recipe can do."""
    if settings.start != "previous":
        yield f"sft.start={settings.start} is for `rlvr recipe`: here SFT begins with `model`"
    if settings.epochs is not None or settings.validation.share:
        yield "sft.epochs and sft.validation are for `rlvr recipe`, whose stages may end early: set sft.steps"
    for name in settings.data:
        if name != "solutions" and not Path(name).is_file():
            yield f"sft.data names {name!r}, which is no file; it must be solutions, or a file of traces"


def sampling_messages(config: TrainConfig) -> Iterator[str]:
    if config.sampling.schedule and "rl" not in config.stages:
        yield "sampling.schedule is read by the stage rl, which does not run: select has one temperature"
    if config.sampling.max_tokens >= config.model.max_length:
        yield (
            f"sampling.max_tokens={config.sampling.max_tokens} leaves no room for the prompt in "
            f"model.max_length={config.model.max_length}"
        )


def check_problems(config: TrainConfig, problems: Sequence[Problem], heldout: Sequence[Problem]) -> None:
    """What can only be said with the problems at hand. Raises ConfigError."""
    messages = []
    asked = {"rl": ("rl.problems_per_step", config.rl.problems_per_step)}
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
    if "rl" in config.stages:
        instantiate(config.problems.order, _partial_=True)(problems=problems, seed=config.seed)
    columns = sorted({column for problem in problems for column in problem.columns})
    rewarded = bool(set(config.stages) & {"rl", "select"})
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
    for group, max_tokens in rooms if set(config.stages) & {"rl", "select"} else [(problems, 0)]:
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
