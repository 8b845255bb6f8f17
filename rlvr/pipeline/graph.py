"""A run as a graph: the inputs of each stage, and a key that identifies its result.

A stage's key is a hash of the settings that its numbers depend on, of the content of the files that they
name, and of the keys of its inputs. Where runs share a folder of artefacts, a stage's folder is named by its
key. So completed stages are found again, whatever other stages or seeds were run in between, and a change
makes a new folder beside the old one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rlvr.base.identity import contents, digest, model_fingerprint, that_matter
from rlvr.base.settings import refuse
from rlvr.base.targets import known_names
from rlvr.pipeline.config import KINDS, RunConfig
from rlvr.problems.order import fingerprint
from rlvr.types import Problem

FORMAT = 2  # version of the keys; after a change every stage runs again
BASE = "base"
PREVIOUS = "previous"
SOLUTIONS = "solutions"
MODELS = ("base", "warm_start", "opd", "rl")  # kinds that make a model
PROBLEMS = ("synthesize", "select")  # kinds that make problems
EVALUATION = "evaluation"

# kind → sections that a stage of this kind reads beside its own
READS = {
    "base": (),
    "synthesize": ("reward", "rollout"),
    "select": ("sampling", "reward", "rollout"),
    "distill": ("reward", "rollout"),
    "warm_start": ("learner",),
    "opd": ("sampling", "learner", "rollout"),
    "rl": ("sampling", "reward", "algorithm", "learner", "rollout"),
    EVALUATION: ("evaluation", "reward", "rollout"),
}


@dataclass
class Node:
    """One stage of a run, or the evaluation of a stage's model."""

    name: str
    kind: str
    model: str | None = None  # node whose model it starts from; None: no model, or an outside one
    teacher: str | None = None  # node whose model answers or judges tokens
    outside: str | None = None  # checkpoint or hub name of a teacher that is not a node
    data: list[str] = field(default_factory=list)  # nodes whose traces it reads
    files: list[str] = field(default_factory=list)  # files of traces that it reads
    problems: str | None = None  # node whose problems it reads; None: those of problems.train
    side: bool = False  # later stages do not start from its model
    settings: dict[str, Any] = field(default_factory=dict)  # the settings that its numbers depend on
    made_from: dict[str, str] = field(default_factory=dict)  # role → key of a node, or fingerprint of a file
    key: str = ""

    @property
    def makes_model(self) -> bool:
        return self.kind in MODELS


@dataclass(frozen=True)
class Outside:
    """Inputs of a graph that no stage of it makes."""

    train: Sequence[Problem]
    sets: Mapping[str, Sequence[Problem]]  # the evaluation sets
    unseen: Mapping[str, Sequence[Problem]]  # the same, and further sets that nothing may be trained on
    alphabet: str | None  # a new model has a token for each of these characters


def build(config: RunConfig, outside: Outside) -> list[Node]:
    """The base model, the stages and the evaluations in order, with their keys.

    Raises:
        ConfigError: a stage names an input that no stage before it makes; all of these are listed.
    """
    refuse(name_messages(config))
    messages: list[str] = []
    nodes = {BASE: Node(BASE, "base")}
    evaluations = [_evaluation(BASE)]
    model, source = BASE, None  # the chain so far
    for name in config.stages:
        kind, settings = config.kind(name), config.section(name)
        node = Node(name, kind, problems=source)
        if kind == "warm_start":
            node.side = settings.start == BASE
            node.model = BASE if node.side else model
            _add_data(node, settings.data, nodes, messages)
        elif kind == "distill" or (kind == "synthesize" and settings.proposals):
            if not settings.endpoint:
                _add_teacher(node, settings.teacher, model, nodes, messages, config.stage_names())
        elif kind == "opd":
            node.model = model
            _add_teacher(node, settings.teacher, model, nodes, messages, config.stage_names())
        elif kind in ("rl", "select"):
            node.model = model
        if kind in MODELS and not node.side:
            model = name
        if kind in PROBLEMS:
            source = name
        nodes[name] = node
        if kind in MODELS:
            evaluations.append(_evaluation(name))
    refuse(messages)
    evaluated = {each.model: each for each in evaluations} if config.evaluation.every_stage else {}
    keyed: dict[str, Node] = {}
    for node in nodes.values():
        _add_key(node, keyed, config, outside)
        keyed[node.name] = node
        if outside.sets and (evaluation := evaluated.get(node.name)):
            _add_key(evaluation, keyed, config, outside)
            keyed[evaluation.name] = evaluation
    return list(keyed.values())


def _evaluation(stage: str) -> Node:
    return Node(f"{stage}-{EVALUATION}", EVALUATION, model=stage)


def name_messages(config: RunConfig) -> list[str]:
    """What is wrong with the names of stages."""
    known = config.stage_names()
    messages = [
        f"stages names {name!r}; {known_names(name, known)}" for name in config.stages if name not in known
    ]
    messages += [
        f"trainers.{name} has the name of an existing stage: choose another"
        for name in config.trainers
        if name in KINDS or name in (BASE, PREVIOUS, SOLUTIONS)
    ]
    messages += [
        f"trainers.{name} is not a valid stage name: use letters, digits and _"
        for name in config.trainers
        if not name.isidentifier()
    ]
    if not config.stages:
        messages.append(f"stages is empty: name some of {', '.join(known)}")
    if len(set(config.stages)) < len(config.stages):
        messages.append(f"stages is {config.stages}: name each stage at most once")
    return messages


def _add_data(node: Node, names: Sequence[str], nodes: dict[str, Node], messages: list[str]) -> None:
    key = f"{node.name}.data" if node.name in KINDS else f"trainers.{node.name}.data"
    if not names:
        messages.append(f"{key} is empty: name solutions, a stage that makes traces, or a file")
    makers = [name for name, other in nodes.items() if other.kind == "distill"]
    for name in names:
        if name in makers:
            node.data.append(name)
        elif Path(name).is_file():
            node.files.append(name)
        elif name != SOLUTIONS:
            hint = f"stages must name {name} before {node.name}" if name in KINDS else "no such file, either"
            messages.append(
                f"{key} names {name!r}, which is not an earlier stage that makes traces; "
                f"{known_names(name, [SOLUTIONS, *makers])} ({hint})"
            )


def _add_teacher(
    node: Node, teacher: str, model: str, nodes: dict[str, Node], messages: list[str], known: Sequence[str]
) -> None:
    """Set the node's teacher: a node, or else a checkpoint or hub name, which is checked at loading."""
    name = model if teacher == PREVIOUS else teacher
    if name in nodes and nodes[name].makes_model:
        node.teacher = name
    elif name in known:
        makers = [other.name for other in nodes.values() if other.makes_model]
        messages.append(
            f"{node.name}.teacher={name} is a stage, but not one before {node.name} that makes a model; "
            f"{known_names(name, makers)}"
        )
    else:
        node.outside = name


def _add_key(node: Node, nodes: dict[str, Node], config: RunConfig, outside: Outside) -> None:
    node.settings = _settings(node, config)
    made_from = {role: nodes[name].key for role, name in _roles(node)}
    made_from["seed"] = str(config.seed)
    if node.kind not in ("base", EVALUATION) and node.problems is None:
        made_from["problems.train"] = fingerprint(outside.train)
    reads_answers = node.kind == "warm_start" and (SOLUTIONS in config.section(node.name).data or node.files)
    if node.kind in ("distill", "synthesize") or reads_answers:
        every = [problem for one in outside.unseen.values() for problem in one]
        made_from["evaluation sets"] = fingerprint(every)  # training data that overlaps them is left out
    if node.kind == EVALUATION or (node.name in config.stages and config.evaluates_itself(node.name)):
        made_from |= {name: fingerprint(problems) for name, problems in outside.sets.items()}
    if node.outside:
        made_from["teacher"] = model_fingerprint(node.outside)
    if node.kind == "base" and outside.alphabet is not None:
        made_from["alphabet"] = outside.alphabet
    if node.kind == "base" and config.model.path:
        made_from["checkpoint"] = model_fingerprint(config.model.path)
    node.made_from = made_from | contents(node.settings)
    node.key = digest([FORMAT, node.kind, node.settings, node.made_from])


def _settings(node: Node, config: RunConfig) -> dict[str, Any]:
    """The settings that a node's numbers depend on, of the sections that it reads."""
    if node.kind == "base":
        # a checkpoint counts by its content, not by its path
        return {"model": that_matter(replace(config.model, path=None))}
    proposes = node.kind == "synthesize" and config.synthesize.proposals > 0
    sections = READS[node.kind] if node.kind != "synthesize" or proposes else ()
    settings: dict[str, Any] = {name: that_matter(getattr(config, name)) for name in sections}
    settings |= {"prompt": that_matter(config.problems.prompt), "max_length": config.model.max_length}
    if node.kind != EVALUATION:
        settings[node.name] = that_matter(config.section(node.name))
        if config.evaluates_itself(node.name):
            settings["evaluation"] = that_matter(config.evaluation)
    if "evaluation" in settings:
        for name in ("ks", "every_stage"):  # these change what is reported, not what is sampled
            settings["evaluation"].pop(name, None)
    if node.kind == "rl":
        settings["order"] = config.problems.order
    own = settings.get(node.name if node.kind != EVALUATION else "evaluation", {})
    if node.kind in ("distill", "synthesize", EVALUATION) and own.get("max_tokens") is None:
        settings["max_tokens"] = config.sampling.max_tokens
    return settings


def _roles(node: Node) -> list[tuple[str, str]]:
    """(role, node) for each node that this one is made from."""
    roles = [("model", node.model), ("teacher", node.teacher), ("problems", node.problems)]
    roles += [(f"data {name}", name) for name in node.data]
    return [(role, name) for role, name in roles if name is not None]
