"""Settings of what a run leaves behind."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from rlvr.settings import setting
from rlvr.types import ConfigError

TRACKERS = ("tensorboard", "wandb")


@dataclass
class RecordConfig:
    """metrics.jsonl is always written; trackers are further places where metrics go."""

    trackers: list[str] = setting(factory=lambda: list(TRACKERS), help="any of tensorboard, wandb")
    wandb_project: str = setting("rlvr", "W&B project; offline unless WANDB_API_KEY is set")
    journal: bool = setting(True, "keep every rollout with its verdict")

    def __post_init__(self) -> None:
        for tracker in self.trackers:
            if tracker not in TRACKERS:
                near = difflib.get_close_matches(tracker, TRACKERS, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ConfigError(
                    f"record.trackers names {tracker!r}, but must be a list of: {', '.join(TRACKERS)}"
                    f" (metrics.jsonl is always written){hint}"
                )
