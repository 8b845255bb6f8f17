"""The metrics of a stage as the report reads them: series of finite numbers, totals, late means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from rlvr.record.sinks import read_metrics
from rlvr.types import DataError

PHASES = ("generate", "reward", "learn", "publish", "idle", "evaluate", "validate")


@dataclass(frozen=True)
class Metrics:
    """Step → name → value, of one stage; empty where the stage has no metrics."""

    steps: Mapping[int, Mapping[str, float]] = field(default_factory=dict)

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """The steps that have the metric, and its values."""
        points = [(step, metrics[name]) for step, metrics in self.steps.items() if name in metrics]
        return [step for step, _ in points], [value for _, value in points]

    def values(self, name: str) -> list[float]:
        return self.series(name)[1]

    def names(self, prefix: str) -> list[str]:
        """The metrics that begin with `prefix`, in the order in which they first come."""
        return list(
            dict.fromkeys(
                name for metrics in self.steps.values() for name in metrics if name.startswith(prefix)
            )
        )

    def total(self, name: str) -> float:
        return math.fsum(self.values(name))

    @property
    def last_step(self) -> int | None:
        return max(self.steps, default=None)


def load_metrics(folder: Path) -> tuple[Metrics, str | None]:
    """The finite numbers of `folder`/metrics.jsonl, and what is wrong with the file, if anything is."""
    path = folder / "metrics.jsonl"
    if not path.exists():
        return Metrics(), None
    try:
        read = read_metrics(path)
    except DataError as error:
        return Metrics(), str(error)
    return Metrics(
        {
            step: {n: value for n, value in metrics.items() if value is not None and math.isfinite(value)}
            for step, metrics in read.items()
        }
    ), None


def late(values: list[float]) -> float:
    """The mean over the last quarter of the values, one at least; nan if there is none."""
    return fmean(values[-max(1, len(values) // 4) :]) if values else math.nan


def early(values: list[float]) -> float:
    """The mean over the first tenth of the values, one at least; nan if there is none."""
    return fmean(values[: max(1, len(values) // 10)]) if values else math.nan


def lookup(config: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """The setting with dots in its name, or `default` where the configuration has none."""
    found: Any = config
    for name in key.split("."):
        if not isinstance(found, Mapping) or found.get(name) is None:
            return default
        found = found[name]
    return found
