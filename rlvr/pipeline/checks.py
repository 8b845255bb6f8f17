"""Checks of a run before anything starts: wrong settings, and settings without effect.

Each package checks its own settings; the checks here need several sections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hydra.utils import instantiate

from rlvr.base.settings import out_of_range, refuse
from rlvr.base.targets import filter_messages, target_messages
from rlvr.evaluation.config import evaluation_messages
from rlvr.learner.config import learner_messages, optimizer_messages
from rlvr.pipeline.config import KINDS, RunConfig
from rlvr.pipeline.graph import READS, SOLUTIONS, Node, name_messages
from rlvr.problems.config import path_messages
from rlvr.problems.encoder import PromptEncoder, fitting
from rlvr.problems.template_file import read_templates
from rlvr.rewards.data_checks import data_messages
from rlvr.rewards.functions import say_unused_columns, validate_reward
from rlvr.stages.config import TeacherConfig, model_messages
from rlvr.stages.opd import as_rl
from rlvr.stages.rl_checks import algorithm_messages, algorithm_targets, rl_messages, schedule_messages
from rlvr.stages.warm_start_checks import warm_start_messages
from rlvr.traces.duplicates import normalized
from rlvr.types import DataError, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DPO = "rlvr.stages.dpo.RolloutDpo"
PARTS_OF_PROBLEMS = ("problems.order", "problems.heldout")
DRAWS = {"select", "rl", "opd"}  # kinds of stage whose model answers the problems
REWARDED = ("synthesize", "select", "distill", "rl", "opd")  # kinds of stage that judge answers


def check_config(config: RunConfig, overrides: Sequence[str]) -> None:
    """Check the settings and `overrides`, those of the command line.

    Raises:
        ConfigError: with everything that is wrong.
        DataError: templates cannot be read.
    """
    messages = name_messages(config)
    if not messages:
        messages += _unread(config, overrides)
    messages += evaluation_messages(config.evaluation)
    messages += learner_messages(config.learner)
    messages += model_messages(config.model, config.rollout.gpus_per_worker)
    messages += [*path_messages(config.problems), *_source_messages(config)]
    known = [name for name in config.stages if name in config.stage_names()]
    for name in known:
        messages += _stage_messages(config, name, overrides)
    if any(config.kind(name) in REWARDED for name in known):
        messages += [*_sampling_messages(config), *validate_reward(config.reward)]
    if not (config.problems.heldout or config.benchmarks) and config.evaluation != type(config.evaluation)(
        every_stage=config.evaluation.every_stage
    ):
        messages.append(
            "evaluation has settings, but there are no problems to evaluate on: set problems.heldout or "
            "benchmarks"
        )
    refuse(messages)
    if "synthesize" in config.stages and config.synthesize.templates is not None:
        read_templates(config.synthesize.templates)


def _source_messages(config: RunConfig) -> Iterator[str]:
    yield from target_messages("problems.train", config.problems.train, ())
    if config.problems.heldout:
        yield from target_messages("problems.heldout", config.problems.heldout, ())
    for kind, sources in (("benchmarks", config.benchmarks), ("unseen", config.unseen)):
        for name, source in sources.items():
            yield from target_messages(f"{kind}.{name}", source, ())
    for name in config.unseen:
        if name in ("heldout", *config.benchmarks):
            yield f"unseen.{name} has the name of an evaluation set: choose another"


def _unread(config: RunConfig, overrides: Sequence[str]) -> Iterator[str]:
    """Settings of the command line that no stage of the run reads."""
    kinds = [config.kind(name) for name in config.stages]
    read = {*config.stages, *(part for kind in kinds for part in READS[kind])}
    evaluates = config.evaluation.every_stage or any(map(config.evaluates_itself, config.stages))
    if evaluates:
        read |= {"evaluation", *READS["evaluation"]}
    if evaluates or {"distill", "synthesize"} & {*kinds}:
        read.add("sampling")  # max_tokens is the default answer length
    if {"rl", "opd"} & {*kinds}:
        read.add("problems.order")
    if evaluates or {"distill", "synthesize", "warm_start"} & {*kinds}:
        read.add("problems.heldout")  # training data that overlaps with it is left out
    every = {*KINDS, *(part for parts in READS.values() for part in parts), *PARTS_OF_PROBLEMS}
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        part = next((part for part in PARTS_OF_PROBLEMS if key.startswith(part)), None)
        part = part or key.partition(".")[0].partition("@")[0]
        if part in every and part not in read:
            readers = [name for name in KINDS if part == name or part in READS[KINDS[name]]]
            yield (
                f"{key} is not used by the stages {', '.join(config.stages)}, only by "
                f"{(readers or ['rl'])[-1]}: remove it, or extend stages"
            )


def _stage_messages(config: RunConfig, name: str, overrides: Sequence[str]) -> Iterator[str]:
    kind, settings = config.kind(name), config.section(name)
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
            yield "opd.teacher must be given: a stage, a checkpoint or a hub name other than the student"
        yield from rl_messages(settings.loop, as_rl(config.for_stages(), settings, settings.teacher))
        yield from optimizer_messages("opd.loop", settings.loop.optimizer, settings.loop.steps)
    else:
        yield from rl_messages(settings, config.for_stages())
        yield from target_messages("problems.order", config.problems.order, ("problems", "seed"))
        wrong = [*algorithm_targets(config.algorithm)]
        yield from wrong or algorithm_messages(settings, config.for_stages(), overrides)
        if config.sampling.schedule:
            given = ("step", "steps", "temperature")
            wrong = list(target_messages("sampling.schedule", config.sampling.schedule, given))
            yield from wrong or schedule_messages(settings, config.sampling)


def _teacher_messages(key: str, settings: TeacherConfig, config: RunConfig) -> Iterator[str]:
    longest = settings.max_tokens or config.sampling.max_tokens
    context = settings.max_length or config.model.max_length
    if settings.endpoint is None and longest >= context:
        yield f"{key}: answers of {longest} tokens leave no room for the prompt in a context of {context}"
    if settings.endpoint is not None:
        if settings.teacher != "previous":
            yield f"{key}.teacher={settings.teacher} has no effect: {key}.endpoint answers"
        if settings.prompt is not None and settings.prompt.chat_template_kwargs:
            yield (
                f"{key}.prompt.chat_template_kwargs has no effect: the endpoint has the chat template; give "
                f"{key}.endpoint.extra_body.chat_template_kwargs if it takes them"
            )
        if settings.max_length is not None:
            yield f"{key}.max_length has no effect: {key}.endpoint answers"
        for name in ("base_url", "model"):
            if not getattr(settings.endpoint, name):
                yield f"{key}.endpoint.{name} must be given"
    elif settings.temperature < 0.01:
        yield f"{key}.temperature={settings.temperature}: on the vLLM pool it must be ≥ 0.01"


def _sampling_messages(config: RunConfig) -> Iterator[str]:
    if config.sampling.schedule and not {"rl", "opd"} & set(config.stages):
        yield "sampling.schedule is used by rl and opd only: select has one temperature"
    if config.sampling.max_tokens >= config.model.max_length:
        yield (
            f"sampling.max_tokens={config.sampling.max_tokens} leaves no room for the prompt in "
            f"model.max_length={config.model.max_length}"
        )


def check_problems(
    config: RunConfig,
    nodes: Sequence[Node],
    problems: Sequence[Problem],
    sets: Mapping[str, Sequence[Problem]],
) -> None:
    """Checks that need the problems; `sets` are those that must not be trained on.

    Raises ConfigError.
    """
    messages: list[str] = []
    texts = {normalized(problem.text) for problem in problems}
    for name, one in sets.items():
        if shared := texts & {normalized(problem.text) for problem in one}:
            messages.append(
                f"{'problems.heldout' if name == 'heldout' else f'the set {name}'} shares {len(shared)} "
                f"problems with problems.train, such as {min(shared)[:80]!r}: a gain would mean nothing"
            )
    for node in nodes:
        if node.problems is not None:
            continue
        if node.kind == "warm_start" and SOLUTIONS in config.section(node.name).data:
            messages += _solution_messages(node.name, problems)
            if config.section(node.name).data == [SOLUTIONS]:
                size = config.section(node.name).batch_size
                messages += _size_messages(f"{node.name}.batch_size", size, problems)
        if node.kind in ("rl", "opd"):
            key, loop = ("rl", config.rl) if node.kind == "rl" else ("opd.loop", config.opd.loop)
            messages += _size_messages(f"{key}.problems_per_step", loop.problems_per_step, problems)
            instantiate(config.problems.order, _partial_=True)(problems=problems, seed=config.seed)
    columns = sorted({column for problem in problems for column in problem.columns})
    rewarded = config.evaluation.every_stage or any(node.kind in REWARDED for node in nodes)
    if rewarded:
        every = [*problems, *(each for one in sets.values() for each in one)]
        messages += [*validate_reward(config.reward, columns), *data_messages(config.reward, every)]
    refuse(messages)
    if rewarded:
        say_unused_columns(config.reward, columns)


def _size_messages(key: str, size: int, problems: Sequence[Problem]) -> Iterator[str]:
    if size > len(problems):
        yield f"{key}={size} is more than the {len(problems)} problems of problems.train: lower it"


def _solution_messages(stage: str, problems: Sequence[Problem]) -> Iterator[str]:
    if without := [problem.id for problem in problems if problem.solution is None]:
        yield (
            f"stages names {stage}, but {len(without)} problems have no worked solution, such as "
            f"{without[0]!r}: map a column to `solution`, or leave {stage} out"
        )


def fitting_problems(
    config: RunConfig,
    nodes: Sequence[Node],
    problems: Sequence[Problem],
    sets: Mapping[str, Sequence[Problem]],
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[list[Problem], dict[str, list[Problem]]]:
    """The training problems and evaluation sets that fit into `model.max_length`, as `prompt.too_long` says.

    Training problems need room for an answer if there is a stage that draws some. Stages that learn from
    worked answers leave out those that are too long by themselves.

    Raises DataError for problems that do not fit where too_long is error.
    """
    limit, answer = config.model.max_length, config.sampling.max_tokens
    encoder = PromptEncoder(config.problems.prompt, tokenizer)

    def fit(name: str, group: Sequence[Problem], room: int) -> list[Problem]:
        key, too_long = "model.max_length", encoder.config.too_long
        return fitting(group, encoder.lengths(group), room, (limit, key), too_long, name)

    draws = {node.kind for node in nodes} & DRAWS
    kept = fit("problems.train", problems, answer if draws else 0)
    for key, loop in (("rl", config.rl), ("opd.loop", config.opd.loop)):
        if key.partition(".")[0] in draws:
            refuse(_size_messages(f"{key}.problems_per_step", loop.problems_per_step, kept))
    evaluates = config.evaluation.every_stage or any(map(config.evaluates_itself, config.stages))
    longest = config.evaluation.max_tokens or answer
    fitted = {name: fit(name, one, longest) if evaluates else list(one) for name, one in sets.items()}
    learned = [node for node in nodes if node.kind == "warm_start" and node.problems is None]
    if config.problems.prompt.too_long == "error" and any(
        SOLUTIONS in config.section(node.name).data for node in learned
    ):
        for problem, prompt in zip(problems, encoder.lengths(problems), strict=True):
            if (length := prompt + len(encoder.solution(problem))) > limit:
                raise DataError(
                    f"problem {problem.id!r}: prompt and solution have {length} tokens, more than "
                    f"model.max_length={limit}: raise it, or leave such problems out with "
                    "problems.prompt.too_long=drop"
                )
    return kept, fitted
