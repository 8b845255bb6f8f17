"""Settings of what a run leaves behind."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlvr.settings import setting
from rlvr.targets import check_keywords, known_names, resolve
from rlvr.types import ConfigError

TRACKERS = {  # by the name of the package that each needs
    "tensorboard": "rlvr.record.trackers.tensorboard.TensorBoard",
    "wandb": "rlvr.record.trackers.wandb.WandB",
    "mlflow": "rlvr.record.trackers.mlflow.MLflow",
}
KEY = "record.trackers"


@dataclass
class RecordConfig:
    """metrics.jsonl is always written; trackers are further places where metrics go."""

    trackers: list[Any] = setting(
        factory=lambda: ["tensorboard", "wandb"],
        help="of tensorboard, wandb, mlflow, and import paths: {_target_: …, arguments}",
    )
    wandb_project: str = setting("rlvr", "W&B project; offline unless WANDB_API_KEY is set")
    samples: int = setting(
        8, "rollouts of each step and evaluation that trackers show; 0 for none", ge=0, le=100
    )
    journal: bool = setting(True, "keep every rollout with its verdict")

    def __post_init__(self) -> None:
        """Raises ConfigError for a tracker that there is not, or that cannot be made as it is asked for."""
        for position, (name, path, arguments) in enumerate(named := self.named_trackers()):
            if (name, path, arguments) in named[:position]:
                raise ConfigError(f"{KEY} has {name} twice")
            if name in TRACKERS and importlib.util.find_spec(name) is None:
                raise ConfigError(
                    f"{KEY}: {name} is not installed: pip install {name}, or leave it out of {KEY}"
                )
            _check(path, arguments)

    def named_trackers(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(name, import path, arguments) of each tracker."""
        named = []
        for spec in self.trackers:
            target = spec.get("_target_") if isinstance(spec, Mapping) else spec
            if not isinstance(target, str):
                raise ConfigError(
                    f"{KEY}: {spec!r} is neither a name nor {{_target_: import path, …}}; "
                    f"{known_names('', TRACKERS)}"
                )
            if target not in TRACKERS and "." not in target:
                raise ConfigError(
                    f"{KEY} names {target!r}, which is no import path either; "
                    f"{known_names(target, TRACKERS)} (metrics.jsonl is always written)"
                )
            arguments = (
                {str(word): value for word, value in spec.items() if word != "_target_"}
                if isinstance(spec, Mapping)
                else {}
            )
            path = TRACKERS.get(target, target)
            if path == TRACKERS["wandb"]:
                arguments = {"project": self.wandb_project} | arguments
            named.append((target, path, arguments))
        return named


def _check(path: str, arguments: Mapping[str, Any]) -> None:
    """Raises ConfigError for a path to nothing, or to what is no tracker, and for wrong arguments."""
    target = resolve(path, KEY)
    if not callable(target):
        raise ConfigError(f"{KEY}: {path} is a {type(target).__name__}, not something to call")
    lacks = [method for method in ("log", "close") if not callable(getattr(target, method, None))]
    if inspect.isclass(target) and lacks:
        raise ConfigError(f"{KEY}: {path} has no method {' and no '.join(lacks)}: see docs/trackers.md")
    check_keywords(KEY, path, target, arguments, ("stage",))
    try:
        inspect.signature(target).bind(stage=None, **arguments)
    except TypeError as error:
        raise ConfigError(f"{KEY}: {path}: {error}") from error
