"""Settings of what a run records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.base.settings import setting
from rlvr.record.trackers.named import check_trackers


@dataclass
class RecordConfig:
    """metrics.jsonl is always written; trackers receive the metrics as well."""

    trackers: list[Any] = setting(
        factory=lambda: ["tensorboard", "wandb"],
        help="any of tensorboard, wandb, mlflow, or your own: {_target_: IMPORT_PATH, …}",
    )
    wandb_project: str = setting("rlvr", "name of the W&B project")
    samples: int = setting(8, "rollouts of each step and evaluation that trackers show", ge=0, le=100)
    journal: bool = setting(True, "record every rollout with its verdict")

    def __post_init__(self) -> None:
        """Raises ConfigError for an unknown tracker, or one with wrong arguments."""
        check_trackers(self.trackers, self.wandb_project)
