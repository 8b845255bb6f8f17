"""Places beside metrics.jsonl where the metrics of a run go. A tracker may fail; the run does not.

A tracker of your own is a class, or a function that makes one, that `record.trackers` names by its import
path with keyword arguments. It is made once for each stage, is given that `stage` by name, and has the
methods of `Tracker`; one with `samples` is shown rollouts too:

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
    """A rollout as a row of a table. Texts are cut to a length that a table can show."""

    problem: str
    answer: str  # what the model wrote
    gold: str  # the reference answer
    verdict: str  # a `Status`; empty without a verdict
    reward: float | None


class Tracker(Protocol):
    """Called in order, by one thread, which is not that of the run: what it raises ends the tracker alone."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


@runtime_checkable
class ShowsSamples(Protocol):
    """A tracker that shows tables. `kind` is train or heldout."""

    def samples(self, step: int, kind: str, rows: Sequence[Sample]) -> None: ...


@dataclass(frozen=True)
class TrackedStage:
    """A stage as a tracker names it."""

    folder: Path  # of the stage; what a tracker writes lies in there, or in a folder that runs share
    run: Path  # the run that the stage is done for
    config: Mapping[str, Any]  # resolved

    @property
    def name(self) -> str:
        """sft, rl, …: that of the folder without the key that a recipe puts behind it."""
        return self.folder.name.partition("-")[0]

    @property
    def experiment(self) -> str:
        """What the configuration calls the run."""
        return str(self.config.get("name", "run"))

    @property
    def arm(self) -> str:
        """One of a sweep's runs, or the only run there is: the name of the run's folder."""
        return self.run.name

    @property
    def group(self) -> str:
        """What belongs together: all runs of a sweep, or else all stages of the run; `NAME/DATE`."""
        above = self.run.parent
        swept = any(above.glob("*/arm.json"))
        return "/".join((above if swept else self.run).parts[-2:])
