"""Replay a step of a run, with its own and with other settings."""

from __future__ import annotations

import gc
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rlvr.pipeline.config import RunConfig
from rlvr.record.journal import read_journal
from rlvr.record.sinks import stage_metrics
from rlvr.replay.compare import (
    Column,
    Number,
    angles,
    recorded_columns,
    recorded_numbers,
    what_if_numbers,
)
from rlvr.replay.recorded import Origin, Recorded
from rlvr.replay.replayed import Replayed
from rlvr.replay.replica import Replica
from rlvr.replay.what_if import rewarded
from rlvr.types import DataError


@dataclass(frozen=True)
class Replay:
    """A replayed step compared with its record, and with the same step under other settings."""

    step: int
    folder: Path  # of the stage
    origin: str  # where the models come from, in words
    replayed: Replayed
    numbers: list[Number]  # recorded, replayed
    columns: list[Column]
    changed: Replayed | None = None
    what_if: list[Number] = field(default_factory=list)  # replayed, changed
    angles: dict[str, float] = field(default_factory=dict)  # of the gradients of both

    @property
    def same(self) -> bool:
        """Whether there is a record, and all of it was reproduced bit by bit."""
        recorded = bool(self.numbers or self.columns)
        equal = all(n.same for n in self.numbers) and all(c.same == c.rollouts for c in self.columns)
        return recorded and equal

    def verdict(self) -> str:
        """In one line, how the replay differs from the record."""
        names = [c.name for c in self.columns if c.same < c.rollouts]
        names += [n.name for n in self.numbers if not n.same]
        of = f"{len(self.numbers)} numbers and {len(self.columns)} columns"
        if self.same:
            return f"all {of} are the same to the bit"
        return (
            f"of {of}, {len(names)} differ: {', '.join(names)}" if names else "the run has recorded nothing"
        )


def replay(recorded: Recorded, origin: Origin, step: int, other: RunConfig | None = None) -> Replay:
    """Repeat a training step of a run, and compute it again from the same weights with the settings `other`.

    `origin` is the result of `recorded.origin(step)`, or an earlier one. The run's folder is only read.

    Raises:
        DataError: the reference model is gone; raised before any model is loaded.
        RlvrError: a model cannot be loaded, or an update fails.
    """
    config = recorded.config_at(step)
    if recorded.start_is_gone and _reads_start([config, other] if other else [config]):
        raise DataError(
            f"the reference model of {recorded.folder}, {recorded.start}, is gone; put it back, or set "
            "algorithm.kl.reference in the run's config.yaml to a copy of it"
        )
    with tempfile.TemporaryDirectory(prefix="rlvr-replay-") as temporary:
        replica, state = models_before(recorded, origin, step, Path(temporary)), None
        if other and step > 1:
            state = Path(temporary) / "before"
            replica.save(state)
        groups = read_journal(recorded.folder, "train", step)
        replayed = replica.replay(groups, step)
        del replica
        gc.collect()  # DeepSpeed's engines refer to themselves
        changed = None
        if other:
            groups = rewarded(groups, other.reward) if other.reward != config.reward else groups
            changed = Replica(other, _start(recorded, origin), state).replay(groups, step)
    line = stage_metrics(recorded.folder).get(step, {})
    learned = recorded.learned(step)
    return Replay(
        step,
        recorded.folder,
        _in_words(origin, step),
        replayed,
        recorded_numbers(line, replayed),
        recorded_columns(learned, replayed) if learned else [],
        changed,
        what_if_numbers(replayed, changed) if changed else [],
        angles(replayed, changed) if changed else {},
    )


def models_before(recorded: Recorded, origin: Origin, step: int, temporary: Path) -> Replica:
    """The models before `step`, made by repeating the updates since `origin`.

    After each step at which a resume changed settings, a new replica continues with those.
    """
    changes = [after for after in recorded.changed_after() if origin.step < after < step]
    state, start = origin.checkpoint, _start(recorded, origin)
    begins = [origin.step + 1, *(after + 1 for after in changes)]
    for first, end in zip(begins, [*begins[1:], step], strict=True):
        replica = Replica(recorded.config_at(first), start, state)
        for redone in range(first, end):
            print(f"redo step {redone} of {step - 1}", file=sys.stderr, flush=True)
            replica.redo(read_journal(recorded.folder, "train", redone), redone)
        if first != begins[-1]:
            state = temporary / f"after_{end - 1}"
            replica.save(state)
            del replica
            gc.collect()
    return replica


def _start(recorded: Recorded, origin: Origin) -> str:
    """The model of the stage's start; if that is gone, the checkpoint's, which has the same sizes."""
    if recorded.start_is_gone and origin.checkpoint:
        return str(origin.checkpoint / "model")
    return recorded.start


def _reads_start(configs: Sequence[RunConfig]) -> bool:
    """Whether the stage's start is a reference model."""
    return any(config.algorithm.kl.coef and not config.algorithm.kl.reference for config in configs)


def _in_words(origin: Origin, step: int) -> str:
    redone = step - 1 - origin.step
    where = f"the checkpoint of step {origin.step}" if origin.checkpoint else "the stage's start"
    return f"{where}, with {redone} step{'s' * (redone > 1)} made again" if redone else where
