"""Check a run and build its graph, without starting anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.pipeline.checks import check_config, check_problems
from rlvr.pipeline.config import RunConfig
from rlvr.pipeline.graph import Node, Outside, build
from rlvr.problems.generated import ALPHABET
from rlvr.problems.load import load_problems
from rlvr.problems.prompts import check_prompts, fill_template
from rlvr.problems.templates import from_templates
from rlvr.types import DataError, Problem

HELDOUT = "heldout"  # the name of problems.heldout as an evaluation set


@dataclass(frozen=True)
class Prepared:
    """A checked run: its graph and its problems."""

    config: RunConfig
    nodes: list[Node]
    problems: list[Problem]
    sets: dict[str, list[Problem]]  # evaluation set → problems
    unseen: dict[str, list[Problem]]  # the same, and further sets that nothing may be trained on
    alphabet: str | None  # characters that a new model has tokens for

    def node(self, name: str) -> Node:
        return next(node for node in self.nodes if node.name == name)


def prepare(config: RunConfig, overrides: Sequence[str], absent: list[str] | None = None) -> Prepared:
    """Check a run and build its graph; nothing is started.

    `absent` is for a plan: problems from the hub that are not on this machine count as empty, and the reason
    is appended to `absent`. Without it they raise DataError.

    Raises:
        ConfigError, DataError: everything that can be found wrong before anything runs.
    """

    def load(key: str, source: dict[str, Any]) -> list[Problem]:
        try:
            return load_problems(key, source)
        except DataError as error:
            if absent is None or "from_hub" not in str(source):
                raise
            absent.append(str(error))
            return []

    check_config(config, overrides)
    problems = load("problems.train", config.problems.train)
    sets: dict[str, list[Problem]] = {}
    if config.problems.heldout:
        sets[HELDOUT] = load("problems.heldout", config.problems.heldout)
    sets |= {name: load(f"benchmarks.{name}", source) for name, source in config.benchmarks.items()}
    unseen = sets | {name: load(f"unseen.{name}", source) for name, source in config.unseen.items()}
    evaluated = [problem for one in sets.values() for problem in one]
    check_prompts([*problems, *evaluated], config.problems.prompt)
    alphabet = _alphabet(config, [*problems, *evaluated]) if config.model.scratch else None
    nodes = build(config, Outside(problems, sets, unseen, alphabet))
    if not absent:
        check_problems(config, nodes, problems, unseen)
    return Prepared(config, nodes, problems, sets, unseen, alphabet)


def _alphabet(config: RunConfig, problems: Sequence[Problem]) -> str:
    """The characters that a new model has tokens for: those of all problems, and of generated problems."""
    texts = [ALPHABET, *(fill_template(problem, config.problems.prompt) for problem in problems)]
    texts += [problem.solution or "" for problem in problems]
    if "synthesize" in config.stages and config.synthesize.templates is not None:
        made = from_templates(config.synthesize.templates, config.synthesize.n, "all", config.seed)
        texts += [problem.text + (problem.solution or "") for problem in made]
    return "".join(sorted({*"".join(texts)}))
