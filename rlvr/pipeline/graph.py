"""A recipe as a graph: what each stage is made from, and a key that says whether it has been made before.

A stage's key is a hash of the settings that its numbers depend on and of the keys of what it is made from.
Its work lies in a folder of that name, so what is done and unchanged is found again, whatever other stages
or seeds were run in between, and a change makes a new folder beside the old one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rlvr.base.identity import digest, model_fingerprint, that_matter
from rlvr.base.targets import known_names
from rlvr.pipeline.recipe_config import KINDS, RecipeConfig
from rlvr.problems.order import fingerprint
from rlvr.types import ConfigError, Problem

FORMAT = 1  # of keys; another number makes everything anew
BASE = "base"
PREVIOUS = "previous"
SOLUTIONS = "solutions"
MODELS = ("base", "warm_start", "opd", "rl")  # kinds that make a model
PROBLEMS = ("synthesize", "select")  # kinds that make problems

# kind → sections that it reads beside its own
READS = {
    "base": (),
    "synthesize": ("reward", "rollout"),
    "select": ("sampling", "reward", "rollout"),
    "distill": ("reward", "rollout"),
    "warm_start": ("learner",),
    "opd": ("sampling", "learner", "rollout"),
    "rl": ("sampling", "reward", "algorithm", "learner", "rollout"),
}


@dataclass
class Node:
    """One stage of a recipe."""

    name: str
    kind: str
    model: str | None = None  # node whose model it begins with; None: no model, or an outside one
    teacher: str | None = None  # node whose model answers or judges tokens
    outside: str | None = None  # checkpoint or hub name of a teacher that is no node
    data: list[str] = field(default_factory=list)  # nodes whose traces it reads
    files: list[str] = field(default_factory=list)  # files of traces that it reads
    problems: str | None = None  # node whose problems it reads; None: those of problems.train
    side: bool = False  # later stages do not go on from its model
    settings: dict[str, Any] = field(default_factory=dict)  # what its numbers depend on
    made_from: dict[str, str] = field(default_factory=dict)  # role → key of a node, or fingerprint of a file
    key: str = ""


def section(config: RecipeConfig, name: str) -> Any:
    """The stage's own part of the configuration."""
    return config.trainers[name] if name in config.trainers else getattr(config, name)


def kind_of(config: RecipeConfig, name: str) -> str:
    return "warm_start" if name in config.trainers else KINDS[name]


def stage_names(config: RecipeConfig) -> list[str]:
    """All stages that there are settings for."""
    return [*KINDS, *config.trainers]


def build(
    config: RecipeConfig, problems: Sequence[Problem], heldout: Sequence[Problem], alphabet: str | None
) -> list[Node]:
    """The base model and the stages in order, with their keys; a new model has a token for each character.

    Raises:
        ConfigError: a stage names something that no stage before it makes; all such are named.
    """
    messages = list(_name_messages(config))
    if messages:
        raise ConfigError("\n".join(messages))
    nodes = {BASE: Node(BASE, "base")}
    model, source = BASE, None  # the chain so far
    for name in config.stages:
        kind, settings = kind_of(config, name), section(config, name)
        node = Node(name, kind, problems=source)
        if kind == "warm_start":
            node.side = settings.start == BASE
            node.model = BASE if node.side else model
            _add_data(node, settings.data, nodes, messages)
        elif kind == "distill" or (kind == "synthesize" and settings.proposals):
            if not settings.endpoint:
                _add_teacher(node, settings.teacher, model, nodes, messages, stage_names(config))
        elif kind == "opd":
            node.model = model
            _add_teacher(node, settings.teacher, model, nodes, messages, stage_names(config))
        elif kind in ("rl", "select"):
            node.model = model
        if kind in MODELS and not node.side:
            model = name
        if kind in PROBLEMS:
            source = name
        nodes[name] = node
    if messages:
        raise ConfigError("\n".join(messages))
    outside = {"train": fingerprint(problems), "heldout": fingerprint(heldout)}
    if alphabet is not None:
        outside["alphabet"] = alphabet
    for node in nodes.values():
        _add_key(node, nodes, config, outside)
    return list(nodes.values())


def _name_messages(config: RecipeConfig) -> list[str]:
    known = stage_names(config)
    messages = [
        f"stages names {name!r}; {known_names(name, known)}" for name in config.stages if name not in known
    ]
    messages += [
        f"trainers.{name} has the name of a stage that there is: choose another"
        for name in config.trainers
        if name in KINDS or name in (BASE, PREVIOUS, SOLUTIONS)
    ]
    messages += [
        f"trainers.{name} is no name for a stage: letters, digits and _ make one"
        for name in config.trainers
        if not name.isidentifier()
    ]
    if not config.stages:
        messages.append(f"stages is empty: name some of {', '.join(known)}")
    if len(set(config.stages)) < len(config.stages):
        messages.append(f"stages is {config.stages}: each at most once")
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
            late = f"stages must name {name} before {node.name}" if name in KINDS else "no such file, either"
            messages.append(
                f"{key} names {name!r}, which is no stage before it that makes traces; "
                f"{known_names(name, [SOLUTIONS, *makers])} ({late})"
            )


def _add_teacher(
    node: Node, teacher: str, model: str, nodes: dict[str, Node], messages: list[str], known: Sequence[str]
) -> None:
    """A node, or whatever else the name is, which is found out when it is loaded."""
    name = model if teacher == PREVIOUS else teacher
    if name in nodes and nodes[name].kind in MODELS:
        node.teacher = name
    elif name in known:
        there = [other.name for other in nodes.values() if other.kind in MODELS]
        messages.append(
            f"{node.name}.teacher={name} is a stage, but none before {node.name} that makes a model; "
            f"{known_names(name, there)}"
        )
    else:
        node.outside = name


def _add_key(node: Node, nodes: dict[str, Node], config: RecipeConfig, outside: dict[str, str]) -> None:
    proposes = node.kind == "synthesize" and config.synthesize.proposals > 0
    sections = READS[node.kind] if node.kind != "synthesize" or proposes else ()
    settings: dict[str, Any] = {name: asdict(getattr(config, name)) for name in sections}
    if node.kind == "base":
        settings["model"] = asdict(config.model)
    else:
        settings[node.name] = asdict(section(config, node.name))
        settings["prompt"] = asdict(config.problems.prompt)
        settings["max_length"] = config.model.max_length
    if node.kind == "rl":
        settings["order"] = config.problems.order
    if node.kind in ("distill", "synthesize") and section(config, node.name).max_tokens is None:
        settings["max_tokens"] = config.sampling.max_tokens
    node.settings = that_matter(settings)
    made_from = {role: nodes[name].key for role, name in _roles(node)}
    made_from["seed"] = str(config.seed)
    if node.kind != "base" and node.problems is None:
        made_from["problems.train"] = outside["train"]
    if node.kind in ("distill", "synthesize"):
        made_from["evaluation sets"] = outside["heldout"]  # what overlaps with them is dropped
    if node.outside:
        made_from["teacher"] = model_fingerprint(node.outside)
    if node.kind == "base" and "alphabet" in outside:
        made_from["alphabet"] = outside["alphabet"]
    if node.kind == "base" and config.model.path:
        made_from["checkpoint"] = model_fingerprint(config.model.path)
    files = list(node.files)
    if node.kind == "synthesize" and config.synthesize.templates is not None:
        files.append(config.synthesize.templates)
    for file in files:
        made_from[file] = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    node.made_from = made_from
    node.key = digest([FORMAT, node.kind, node.settings, made_from])


def _roles(node: Node) -> list[tuple[str, str]]:
    """What a node is made from, by what it is to it."""
    roles = [("model", node.model), ("teacher", node.teacher), ("problems", node.problems)]
    roles += [(f"data {name}", name) for name in node.data]
    return [(role, name) for role, name in roles if name is not None]


def changes(before: Any, after: Any, prefix: str = "") -> list[str]:
    """The keys, with dots, in which two trees of settings differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = dict.fromkeys([*before, *after])
        return [c for name in names for c in changes(before.get(name), after.get(name), f"{prefix}{name}.")]
    return [] if before == after else [f"{prefix.rstrip('.')} {before} → {after}"]
