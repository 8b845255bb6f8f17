"""Trackers: services that receive the metrics besides metrics.jsonl. If a tracker fails, the run continues.

A tracker of your own is a class, or a function that returns an object, named in `record.trackers` by its
import path with keyword arguments. It is created once per stage, gets a keyword argument `stage`, and has
the methods of `Tracker`. If it has a method `samples`, it also gets rollouts:

    class Lines:
        def __init__(self, stage, path): self.file = open(path, "a")
        def log(self, step, metrics): print(stage.group, step, metrics, file=self.file, flush=True)
        def close(self): self.file.close()

    record.trackers=[{_target_: mine.Lines, path: lines.txt}]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable


class Sample(NamedTuple):
    """A rollout as a row of a table. Texts are shortened for display."""

    problem: str
    answer: str  # what the model wrote
    gold: str  # the reference answer
    verdict: str  # a `Status`; empty without a verdict
    reward: float | None


class Tracker(Protocol):
    """Called in order, from a thread of its own: an exception ends the tracker, but not the run."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class ShowsSamples(Protocol):
    """A tracker that shows tables. `kind` is train or heldout."""

    def samples(self, step: int, kind: str, rows: Sequence[Sample]) -> None: ...


@dataclass(frozen=True)
class TrackedStage:
    """A stage, with the names that trackers use for it."""

    folder: Path  # of the stage; trackers write there, or to a folder that runs share
    run: Path  # folder of the run
    config: Mapping[str, Any]  # resolved

    @property
    def name(self) -> str:
        """sft, rl, …: the folder's name without the key that a recipe appends."""
        return self.folder.name.partition("-")[0]

    @property
    def experiment(self) -> str:
        """The name of the run in the configuration."""
        return str(self.config.get("name", "run"))

    @property
    def arm(self) -> str:
        """The name of the run's folder: an arm of a sweep, or a single run."""
        return self.run.name

    @property
    def group(self) -> str:
        """The name that all runs of a sweep, or else all stages of the run, share: `NAME/DATE`."""
        above = self.run.parent
        swept = any(above.glob("*/arm.json"))
        return "/".join((above if swept else self.run).parts[-2:])
