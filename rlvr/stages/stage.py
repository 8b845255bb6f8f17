"""What every stage is given, and the signal that ends it early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.base.files import write_json
from rlvr.base.identity import data_fingerprint, flat_settings
from rlvr.base.stopping import StopRequest
from rlvr.cluster.workers import StandingWorkers, Workers
from rlvr.problems.order import fingerprint
from rlvr.record.layout import RESULT
from rlvr.record.runs import read_mapping
from rlvr.stages.checkpoints import Checkpoints
from rlvr.stages.config import StageConfig, WarmStartConfig
from rlvr.types import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SOLUTIONS = "solutions"  # in `data`: the problems' own
LEARNING = ("learner",)  # sections that a stage which learns from answers reads
SAMPLING = ("sampling", "reward", "algorithm", "rollout", "learner", "evaluation")


@dataclass
class StageInput:
    config: StageConfig
    folder: Path  # of the stage, inside of the run folder
    model_path: str  # the checkpoint that the stage starts from
    problems: list[Problem]
    heldout: list[Problem]
    tokenizer: PreTrainedTokenizerBase
    stop: StopRequest
    sizes: dict[str, Any]  # of a step's batch, and what else its numbers depend on
    settings: Any = None  # the stage's own section of the configuration
    sources: Mapping[str, str] = field(default_factory=dict)  # earlier stage → its model or its traces
    least_problems: int = 0  # that a later step of RL takes, of those that a selection keeps
    run_config: Mapping[str, Any] = field(default_factory=dict)  # resolved, for trackers
    run: Path | None = None  # the folder of the run; a recipe's stages lie elsewhere
    verified: set[Path] = field(default_factory=set)  # files of checkpoints that were found whole
    unseen: Mapping[str, Sequence[Problem]] = field(default_factory=dict)  # name → what is evaluated on
    standing: StandingWorkers = field(default_factory=StandingWorkers)  # of the run

    @property
    def name(self) -> str:
        """That of the folder, without the key behind it: `sft`, or `sft evaluation`."""
        stage, *rest = self.folder.name.split("-")
        return f"{stage} evaluation" if "evaluation" in rest else stage

    def workers(self, max_staleness: int = 0) -> AbstractContextManager[Workers]:
        """The actors that draw, judge and learn for the stage, for the time of a block."""
        return self.standing.of_stage(self.config.workers(max_staleness))

    def checkpoints(self) -> Checkpoints:
        """The stage's checkpoints, with what a resume must agree with and what it may change."""
        identity = {
            "seed": self.config.seed,
            "problems": fingerprint(self.problems),
            "prompt": asdict(self.config.prompt),
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
            keys | {name: f"{self.name}.{name}" for name in own},
            self._changeable(),
            self.verified,
        )

    def _changeable(self) -> dict[str, Any]:
        """Settings that a resume may change: all that the stage's numbers depend on beside its identity."""
        sections = LEARNING if isinstance(self.settings, WarmStartConfig) else SAMPLING
        settings = {"problems.heldout": fingerprint(self.heldout)}
        for name in sections:
            settings |= flat_settings(getattr(self.config, name), f"{name}.")
        if is_dataclass(self.settings):
            own = flat_settings(self.settings, f"{self.name}.")
            settings |= {key: value for key, value in own if key.split(".")[1] not in self.sizes}
        return settings

    def finish(self, step: int, checkpoint: Path, data: str = "") -> None:
        """Say that the stage is done: with which checkpoint, and what it learned from, in words."""
        write_json(self.folder / RESULT, {"step": step, "checkpoint": checkpoint.name, "data": data})

    def result(self) -> str | None:
        """The model that the stage has made; None before its end, or if its checkpoint is no longer there.

        Raises:
            DataError: the file that says which checkpoint it is is damaged.
        """
        path = self.folder / RESULT
        if not path.exists():
            return None
        model = self.folder / "checkpoints" / str(read_mapping(path).get("checkpoint")) / "model"
        return str(model) if model.exists() else None
