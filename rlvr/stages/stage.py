"""What every stage gets as input, and its checkpoints and result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.base.files import write_json
from rlvr.base.identity import data_fingerprint, flat_settings
from rlvr.base.stopping import StopRequest
from rlvr.cluster.workers import StandingWorkers, Workers
from rlvr.problems.encoder import PromptEncoder
from rlvr.problems.order import fingerprint
from rlvr.record.layout import RESULT
from rlvr.record.runs import read_mapping
from rlvr.stages.checkpoints import Checkpoints
from rlvr.stages.config import StageConfig, WarmStartConfig
from rlvr.types import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SOLUTIONS = "solutions"  # the name in `data` for the problems' own worked solutions
LEARNING = ("learner",)  # sections that stages that learn from worked answers read
SAMPLING = ("sampling", "reward", "algorithm", "rollout", "learner", "evaluation")


@dataclass
class StageInput:
    config: StageConfig
    folder: Path  # of the stage, inside the run folder
    model_path: str  # the checkpoint that the stage starts from
    problems: list[Problem]
    heldout: list[Problem]
    tokenizer: PreTrainedTokenizerBase
    stop: StopRequest
    sizes: dict[str, Any]  # batch sizes of a step, and other settings its results depend on
    settings: Any = None  # the stage's own section of the configuration
    sources: Mapping[str, str] = field(default_factory=dict)  # earlier stage → its model or its traces
    least_problems: int = 0  # that a selection must keep, for the steps of a later RL stage
    run_config: Mapping[str, Any] = field(default_factory=dict)  # resolved, for trackers
    run: Path | None = None  # folder of the run; the stages of a recipe are elsewhere
    verified: set[Path] = field(default_factory=set)  # checkpoint files that are verified
    unseen: Mapping[str, Sequence[Problem]] = field(default_factory=dict)  # name → evaluation set
    standing: StandingWorkers = field(default_factory=StandingWorkers)  # actors that are kept between stages

    @property
    def name(self) -> str:
        """The folder's name without the key after it: `sft`, or `sft evaluation`."""
        stage, *rest = self.folder.name.split("-")
        return f"{stage} evaluation" if "evaluation" in rest else stage

    @cached_property
    def prompts(self) -> PromptEncoder:
        """Makes the token ids of the stage's prompts."""
        return PromptEncoder(self.config.prompt, self.tokenizer)

    def workers(self, max_staleness: int = 0) -> AbstractContextManager[Workers]:
        """Context manager of the actors that generate, judge and learn for the stage."""
        return self.standing.of_stage(self.config.workers(max_staleness))

    def checkpoints(self) -> Checkpoints:
        """The stage's checkpoints, with the settings a resume must not change and those it may change."""
        identity = {
            "seed": self.config.seed,
            "problems": fingerprint(self.problems),
            "prompt": self.config.prompt.identity(),
            **self.sizes,
        }
        learns_from = [name for name in getattr(self.settings, "data", []) if name != SOLUTIONS]
        if learns_from:
            identity["traces"] = {
                name: data_fingerprint(self.sources.get(name, name)) for name in learns_from
            }
        keys = {"prompt": "problems.prompt", "order": "problems.order"}
        own = (name for name in self.sizes if hasattr(self.settings, name))
        return Checkpoints(
            self.folder / "checkpoints",
            identity,
            self.tokenizer,
            self.prompts.end,
            keys | {name: f"{self.name}.{name}" for name in own},
            self._changeable(),
            self.verified,
        )

    def _changeable(self) -> dict[str, Any]:
        """Settings that a resume may change: all that the results depend on besides the identity."""
        sections = LEARNING if isinstance(self.settings, WarmStartConfig) else SAMPLING
        settings = {"problems.heldout": fingerprint(self.heldout)}
        for name in sections:
            settings |= flat_settings(getattr(self.config, name), f"{name}.")
        if is_dataclass(self.settings):
            own = flat_settings(self.settings, f"{self.name}.")
            settings |= {key: value for key, value in own if key.split(".")[1] not in self.sizes}
        return settings

    def finish(self, step: int, checkpoint: Path, data: str = "") -> None:
        """Write that the stage is done: its last step, its checkpoint, and how much data it had, in words."""
        write_json(self.folder / RESULT, {"step": step, "checkpoint": checkpoint.name, "data": data})

    def result(self) -> str | None:
        """Path of the model that the stage made; None if it is not done, or its checkpoint was removed.

        Raises:
            DataError: the file that names the checkpoint is damaged.
        """
        path = self.folder / RESULT
        if not path.exists():
            return None
        model = self.folder / "checkpoints" / str(read_mapping(path).get("checkpoint")) / "model"
        return str(model) if model.exists() else None
