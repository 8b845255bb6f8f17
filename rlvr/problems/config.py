"""Settings of problems and prompts, and messages for paths that are missing or not read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rlvr.base.identity import that_matter
from rlvr.base.settings import setting


@dataclass
class PromptConfig:
    template: str = setting("{problem}", "may contain {problem} and {NAME} for any column of the problems")
    system: str | None = setting(None, "system message; needs chat: true")
    chat: bool = setting(
        False, "send the filled template as a user message, through the model's chat template"
    )
    chat_template_kwargs: Any = setting(  # a mapping or None, which OmegaConf cannot merge as such
        None, "settings of the model's chat template, such as {enable_thinking: false}; needs chat: true"
    )
    too_long: str = setting(
        "error",
        "problems that do not fit into the longest sequence together with an answer: error ends the run "
        "before it starts; drop leaves them out, also of evaluation sets, and says how many",
        choices=("error", "drop"),
        neutral=True,  # what is dropped is not among the problems, whose content counts
    )

    def identity(self) -> dict[str, Any]:
        """What a prompt depends on; an unset system message counts, as in keys of earlier versions."""
        return {"system": None, **that_matter(self)}


@dataclass
class ProblemsConfig:
    """`train` and `heldout` name a problem source by import path (`_target_`) with its arguments."""

    path: str | None = setting(None, "a file; the sources below refer to it as ${problems.path}")
    train: dict[str, Any] = setting(factory=dict, help="problem source for training")
    heldout: dict[str, Any] = setting(
        factory=dict, help="problem source for evaluation; empty: no evaluation"
    )
    order: dict[str, Any] = setting(
        factory=lambda: {"_target_": "rlvr.problems.order.Epochs"},
        help="how an RL step chooses its problems: import path of a class like Epochs",
    )
    prompt: PromptConfig = setting(factory=PromptConfig)


@dataclass
class BenchmarkConfig:
    """A set of problems: conf/benchmark/NAME.yaml."""

    source: dict[str, Any] = setting(factory=dict, help="import path of a problem source, and its arguments")
    template: str = setting("{problem}", "how its problems are put to a model")
    stop: list[str] | None = setting(None, "strings that end an answer, where the evaluation names none")
    text: str | None = setting(None, "the problem's text, where it is made of several columns of the hub's")
    options: list[str] = setting(
        factory=list, help="columns of the hub's that hold the options of a choice, the right one first"
    )
    shuffle: bool = setting(False, "options come in an order of the seed's")
    by: list[str] = setting(factory=list, help="columns that results are split by, those that there are")
    note: str | None = setting(None, "what to know when it cannot be had from the hub")


def path_messages(problems: ProblemsConfig) -> Iterator[str]:
    """Messages if `problems.path` is missing, or no source reads it."""
    path = problems.path
    asked = _paths(problems.train) + _paths(problems.heldout)
    if path is None and None in asked:
        yield "problems.path must be given: add problems.path=FILE to the command"
    if path is not None and path not in str((problems.train, problems.heldout)):
        yield f"problems.path={path} is read by no source: set problems=own, or name it in problems.train"


def _paths(source: Any) -> list[Any]:
    """The `path` arguments of a source and of the sources nested in it."""
    if not isinstance(source, dict):
        return []
    inner = [path for part in source.values() for path in _paths(part)]
    return inner + ([source["path"]] if "path" in source else [])
