"""Settings of the problems and of how they are put to the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.settings import setting


@dataclass
class PromptConfig:
    template: str = setting("{problem}", "{problem} and any column of the problem, by name")
    system: str | None = setting(None, "system message; needs chat: true")
    chat: bool = setting(False, "put the filled template into the model's chat template")


@dataclass
class ProblemsConfig:
    """`train` and `heldout` name a problem source by import path (`_target_`) with its arguments."""

    path: str | None = setting(None, "of a file that the sources below name as ${problems.path}")
    train: dict[str, Any] = setting(factory=dict, help="the source that is trained on")
    heldout: dict[str, Any] = setting(factory=dict, help="the source that evaluation measures on, if any")
    order: dict[str, Any] = setting(
        factory=lambda: {"_target_": "rlvr.problems.order.Epochs"},
        help="which problems a GRPO step takes: the import path of a class like Epochs",
    )
    prompt: PromptConfig = setting(factory=PromptConfig)
