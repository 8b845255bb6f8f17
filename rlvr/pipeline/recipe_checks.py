"""What is wrong with a recipe, or would do nothing in it: found before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rlvr.base.settings import out_of_range
from rlvr.base.targets import filter_messages, target_messages
from rlvr.evaluation.checks import evaluation_messages
from rlvr.learner.checks import learner_messages, optimizer_messages
from rlvr.pipeline.graph import READS, SOLUTIONS, Node, kind_of, section, stage_names
from rlvr.pipeline.recipe_config import KINDS, RecipeConfig
from rlvr.pipeline.train_checks import sampling_messages, solution_messages
from rlvr.problems.checks import path_messages
from rlvr.problems.template_file import read_templates
from rlvr.rewards.data_checks import data_messages
from rlvr.rewards.functions import say_unused_columns, validate_reward
from rlvr.stages.config import TeacherConfig
from rlvr.stages.model_checks import model_messages
from rlvr.stages.opd import as_rl
from rlvr.stages.rl_checks import algorithm_messages, algorithm_targets, rl_messages, schedule_messages
from rlvr.stages.warm_start_checks import warm_start_messages
from rlvr.traces.duplicates import normalized
from rlvr.types import ConfigError, Problem

DPO = "rlvr.stages.dpo.RolloutDpo"


def check_recipe(config: RecipeConfig, overrides: Sequence[str]) -> None:
    """Raises ConfigError with everything that is wrong, and DataError for templates that cannot be read.

    `overrides` are those of the command line.
    """
    messages = [*_unread(config, overrides), *evaluation_messages(config.evaluation)]
    messages += [
        *learner_messages(config.learner),
        *model_messages(config.model, config.rollout.gpus_per_worker),
    ]
    messages += path_messages(config.problems)
    messages += target_messages("problems.train", config.problems.train, ())
    if config.problems.heldout:
        messages += target_messages("problems.heldout", config.problems.heldout, ())
    for kind, sources in (("benchmarks", config.benchmarks), ("unseen", config.unseen)):
        for name, source in sources.items():
            messages += target_messages(f"{kind}.{name}", source, ())
    taken = ["heldout", *config.benchmarks]
    messages += [
        f"unseen.{name} has the name of an evaluation set: choose another"
        for name in config.unseen
        if name in taken
    ]
    known = [name for name in config.stages if name in stage_names(config)]
    for name in known:
        messages += _stage_messages(config, name, overrides)
    messages += [*sampling_messages(config), *validate_reward(config.reward)]
    if not (config.problems.heldout or config.benchmarks) and config.evaluation != type(config.evaluation)():
        messages.append(
            "evaluation has settings, but nothing to evaluate on: name problems.heldout or benchmarks"
        )
    if messages:
        raise ConfigError("\n".join(dict.fromkeys(messages)))
    if "synthesize" in config.stages and config.synthesize.templates is not None:
        read_templates(config.synthesize.templates)


def _unread(config: RecipeConfig, overrides: Sequence[str]) -> Iterator[str]:
    """Settings of the command line that no stage of the recipe reads."""
    read = set(config.stages)
    read |= {
        part for name in config.stages if name in stage_names(config) for part in READS[kind_of(config, name)]
    }
    every = {*KINDS, "algorithm", "learner"}
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        part = key.partition(".")[0].partition("@")[0]
        if part in every and part not in read:
            yield f"{key} is read by none of the stages {', '.join(config.stages)}: drop it, or extend stages"


def _stage_messages(config: RecipeConfig, name: str, overrides: Sequence[str]) -> Iterator[str]:
    kind, settings = kind_of(config, name), section(config, name)
    key = name if name in KINDS else f"trainers.{name}"
    if kind == "warm_start":
        if name in config.trainers:
            yield from out_of_range(settings, f"{key}.")
        wrong = list(warm_start_messages(key, settings))
        yield from wrong
        if not wrong and settings.trainer["_target_"] == DPO:
            from rlvr.stages.dpo import argument_messages  # brings torch

            arguments = {name: value for name, value in settings.trainer.items() if name != "_target_"}
            yield from (f"{key}.{message}" for message in argument_messages(**arguments))
    elif kind in ("distill", "synthesize"):
        yield from _teacher_messages(key, settings, config)
        if kind == "synthesize" and settings.templates is None and not settings.proposals:
            yield f"{key} has nothing to do: give {key}.templates=FILE or {key}.proposals=N"
    elif kind == "select":
        yield from filter_messages("select.filters", settings.filters)
    elif kind == "opd":
        if settings.teacher in ("", "previous"):
            yield "opd.teacher must be given: a stage, a checkpoint or a name on the hub, and not the student"
        yield from rl_messages(settings.loop, as_rl(config.for_stages(), settings, settings.teacher))
        yield from optimizer_messages("opd.loop", settings.loop.optimizer, settings.loop.steps)
    else:
        yield from rl_messages(config.rl, config.for_stages())
        yield from target_messages("problems.order", config.problems.order, ("problems", "seed"))
        wrong = [*algorithm_targets(config.algorithm)]
        yield from wrong or algorithm_messages(config.rl, config.for_stages(), overrides)
        if config.sampling.schedule:
            given = ("step", "steps", "temperature")
            wrong = list(target_messages("sampling.schedule", config.sampling.schedule, given))
            yield from wrong or schedule_messages(config.rl, config.sampling)


def _teacher_messages(key: str, settings: TeacherConfig, config: RecipeConfig) -> Iterator[str]:
    longest = settings.max_tokens or config.sampling.max_tokens
    context = settings.max_length or config.model.max_length
    if settings.endpoint is None and longest >= context:
        yield f"{key}: answers of {longest} tokens leave no room for the prompt in a context of {context}"
    if settings.endpoint is not None:
        if settings.teacher != "previous":
            yield f"{key}.teacher={settings.teacher} has no effect: {key}.endpoint answers"
        if settings.max_length is not None:
            yield f"{key}.max_length has no effect: {key}.endpoint answers"
        for name in ("base_url", "model"):
            if not getattr(settings.endpoint, name):
                yield f"{key}.endpoint.{name} must be given"
    elif settings.temperature < 0.01:
        yield f"{key}.temperature={settings.temperature}: on the vLLM pool it must be ≥ 0.01"


def check_problems(
    config: RecipeConfig,
    nodes: Sequence[Node],
    problems: Sequence[Problem],
    sets: Mapping[str, Sequence[Problem]],
) -> None:
    """What can only be said with the problems at hand. Raises ConfigError."""
    messages: list[str] = []
    texts = {normalized(problem.text) for problem in problems}
    for name, one in sets.items():
        if shared := texts & {normalized(problem.text) for problem in one}:
            messages.append(
                f"{'problems.heldout' if name == 'heldout' else f'the set {name}'} shares {len(shared)} "
                f"problems with problems.train, such as {min(shared)[:80]!r}: a gain would mean nothing"
            )
    for node in nodes:
        if node.kind == "warm_start" and SOLUTIONS in section(config, node.name).data and not node.problems:
            messages += solution_messages(node.name, problems)
        loops = {"rl": ("rl", config.rl), "opd": ("opd.loop", config.opd.loop)}
        if node.kind in loops and not node.problems:
            key, loop = loops[node.kind]
            if loop.problems_per_step > len(problems):
                messages.append(
                    f"{key}.problems_per_step={loop.problems_per_step}, but problems.train has "
                    f"{len(problems)}: lower it to that"
                )
    columns = sorted({column for problem in problems for column in problem.columns})
    messages += validate_reward(config.reward, columns)
    messages += data_messages(config.reward, [*problems, *(each for one in sets.values() for each in one)])
    if messages:
        raise ConfigError("\n".join(messages))
    say_unused_columns(config.reward, columns)
