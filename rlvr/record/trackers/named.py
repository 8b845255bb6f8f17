"""The trackers that `record.trackers` names, and checks of their arguments."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from rlvr.base.settings import refuse
from rlvr.base.targets import known_names, resolve, target_messages
from rlvr.types import ConfigError

TRACKERS = {  # by the name of the package that each one needs
    "tensorboard": "rlvr.record.trackers.tensorboard.TensorBoard",
    "wandb": "rlvr.record.trackers.wandb.WandB",
    "mlflow": "rlvr.record.trackers.mlflow.MLflow",
}
KEY = "record.trackers"


def check_trackers(trackers: Sequence[Any], wandb_project: str) -> None:
    """Raises ConfigError for an unknown, repeated or uninstalled tracker, or one with wrong arguments."""
    for position, (name, path, arguments) in enumerate(named := named_trackers(trackers, wandb_project)):
        if (name, path, arguments) in named[:position]:
            raise ConfigError(f"{KEY} has {name} twice")
        if name in TRACKERS and importlib.util.find_spec(name) is None:
            raise ConfigError(f"{KEY}: {name} is not installed: pip install {name}, or leave it out of {KEY}")
        _check(path, arguments)


def named_trackers(trackers: Sequence[Any], wandb_project: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(name, import path, arguments) of each tracker."""
    named = []
    for spec in trackers:
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
            arguments = {"project": wandb_project} | arguments
        named.append((target, path, arguments))
    return named


def _check(path: str, arguments: Mapping[str, Any]) -> None:
    """Raises ConfigError for a path that does not lead to a tracker, and for wrong arguments."""
    target = resolve(path, KEY)
    if not callable(target):
        raise ConfigError(f"{KEY}: {path} is a {type(target).__name__}, not callable")
    lacks = [method for method in ("log", "close") if not callable(getattr(target, method, None))]
    if inspect.isclass(target) and lacks:
        raise ConfigError(f"{KEY}: {path} has no method {' and no '.join(lacks)}: see docs/trackers.md")
    refuse(target_messages(KEY, {"_target_": path, **arguments}, ("stage",)))
