"""What every stage is given, and the signal that ends it early."""

from __future__ import annotations

import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from rlvr.config import TrainConfig
from rlvr.problems.order import fingerprint
from rlvr.stages.checkpoints import Checkpoints
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
