"""What every stage is given, and the signal that ends it early."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from rlvr.config import TrainConfig
from rlvr.problems.order import fingerprint
from rlvr.record.run_folder import atomic_write
from rlvr.stages.checkpoints import Checkpoints
from rlvr.stages.files import RESULT
from rlvr.types import Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class StopRequest:
    """Turns the first SIGINT or SIGTERM into a flag, so that a stage can save; the second ends at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)

    def __bool__(self) -> bool:
        return self.signal is not None

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@dataclass
class StageInput:
    config: TrainConfig
    folder: Path  # of the stage, inside of the run folder
    model_path: str  # the checkpoint that the stage starts from
    problems: list[Problem]
    heldout: list[Problem]
    tokenizer: PreTrainedTokenizerBase
    stop: StopRequest
    sizes: dict[str, Any]  # of a step's batch, and what else its numbers depend on
    settings: Any = None  # the stage's own section of the configuration
    sources: Mapping[str, str] = field(default_factory=dict)  # earlier stage → its model or its traces
    run: Path | None = None  # the folder of the run; a recipe's stages lie elsewhere
    unseen: Mapping[str, Sequence[Problem]] = field(default_factory=dict)  # name → what is evaluated on

    @property
    def name(self) -> str:
        """That of the folder, without the key that a recipe puts behind it."""
        return self.folder.name.partition("-")[0]

    def checkpoints(self) -> Checkpoints:
        """The stage's checkpoints, with what a resume must agree with."""
        identity = {
            "seed": self.config.seed,
            "problems": fingerprint(self.problems),
            "prompt": asdict(self.config.problems.prompt),
            "model": asdict(self.config.model),
            **self.sizes,
        }
        return Checkpoints(self.folder / "checkpoints", identity, self.tokenizer)

    def finish(self, step: int, checkpoint: Path, data: str = "") -> None:
        """Say that the stage is done: with which checkpoint, and what it learned from, in words."""
        with atomic_write(self.folder / RESULT) as path:
            path.write_text(json.dumps({"step": step, "checkpoint": checkpoint.name, "data": data}))

    def result(self) -> str | None:
        """The model that the stage has made; None before its end."""
        path = self.folder / RESULT
        if not path.exists():
            return None
        return str(self.folder / "checkpoints" / json.loads(path.read_text())["checkpoint"] / "model")
