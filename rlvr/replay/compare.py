"""Compare a replayed step with the run's record of it, and with the same step under other settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rlvr.base.text import aligned
from rlvr.replay.replayed import length
from rlvr.types import FloatArray, UpdateRecord

if TYPE_CHECKING:
    from torch import Tensor

    from rlvr.replay.replayed import Replayed

COLUMNS = {  # name in the journal → what `UpdateRecord` calls it
    "advantages": "advantages",
    "learner_logprobs": "logprobs",
    "entropies": "entropies",
    "corrections": "corrections",
}
FIRST = (  # the first rows of a table; the others follow, sorted by name
    "train/loss",
    "learner/grad_norm",
    "learner/clip_fraction",
    "learner/reference_kl",
    "learner/sampler_kl",
    "learner/entropy",
    "critic/loss",
    "critic/grad_norm",
    "groups/kept",
    "rollouts/trained",
    "learner/tokens",
    "train/reward",
)


@dataclass(frozen=True)
class Number:
    """Two values of one number of a step; None if it is missing."""

    name: str
    one: float | None
    other: float | None

    @property
    def same(self) -> bool:
        return self.one == self.other or _both_nan(self.one, self.other)

    @property
    def difference(self) -> float | None:
        """`other` − `one`; NaN if one of them is not finite, None if one is missing."""
        if self.same:
            return 0.0
        return None if self.one is None or self.other is None else self.other - self.one


@dataclass(frozen=True)
class Column:
    """The comparison of a journal column with an entry per token with the replayed values."""

    name: str
    rollouts: int  # rollouts that have it, in the journal or in the replay
    same: int  # rollouts that are equal bit by bit
    largest: float  # largest absolute difference of a token; infinite if one of the two is missing


def recorded_numbers(metrics: Mapping[str, float | None], replayed: Replayed) -> list[Number]:
    """The metrics of metrics.jsonl that a replay computes, too; null there stands for a non-finite number."""
    return [
        Number(name, math.nan if metrics[name] is None else metrics[name], replayed.metrics[name])
        for name in sorted_names(replayed.metrics)
        if name in metrics
    ]


def recorded_columns(recorded: Mapping[tuple[str, int], UpdateRecord], replayed: Replayed) -> list[Column]:
    """Each column, and `left_out`, a text, whose difference is 0 or infinite."""
    pairs: list[tuple[UpdateRecord, UpdateRecord]] = []
    for group, row in zip(replayed.drawn.groups, replayed.learned, strict=True):
        for rollout, learned in zip(group.rollouts, row, strict=True):
            pairs.append((recorded[rollout.problem_id, rollout.sample], learned))
    equal = sum(one.left_out == other.left_out for one, other in pairs)
    columns = [Column("left_out", len(pairs), equal, 0.0 if equal == len(pairs) else math.inf)]
    for name, attribute in COLUMNS.items():
        arrays = [(getattr(one, attribute), getattr(other, attribute)) for one, other in pairs]
        gaps = [_gap(*both) for both in arrays if any(array is not None for array in both)]
        if gaps:
            columns.append(Column(name, len(gaps), gaps.count(0.0), max(gaps)))
    return columns


def _gap(one: FloatArray | None, other: FloatArray | None) -> float:
    if one is None or other is None or one.shape != other.shape:
        return math.inf
    return 0.0 if np.array_equal(one, other, equal_nan=True) else float(np.abs(one - other).max(initial=0.0))


def what_if_numbers(one: Replayed, other: Replayed) -> list[Number]:
    """All numbers of two replays, without `groups/rounds`; None for a number that one of them lacks."""
    ours, theirs = one.metrics | _further(one), other.metrics | _further(other)
    names = [name for name in sorted_names({**ours, **theirs}) if name != "groups/rounds"]
    return [Number(name, ours.get(name), theirs.get(name)) for name in names]


def _further(replayed: Replayed) -> dict[str, float]:
    """Statistics of the advantages over the batch's tokens, rollouts trained on, and the weights' change."""
    batch = replayed.batch
    masked = [values[mask] for values, mask in zip(batch.columns["advantages"], batch.mask, strict=True)]
    advantages = np.concatenate([np.zeros(0), *masked]).astype(np.float64)
    return {
        "advantages/mean": float(advantages.mean()) if advantages.size else math.nan,
        "advantages/std": float(advantages.std()) if advantages.size else math.nan,
        "rollouts/live": float(sum(one.left_out is None for row in replayed.learned for one in row)),
        "weights/moved": replayed.moved,
    }


def angles(one: Replayed, other: Replayed) -> dict[str, float]:
    """Cosine and norm ratio of the two gradients of the first update, both taken at the same weights."""
    if not (one.gradients and other.gradients):
        return {}
    ours, theirs = one.gradients[0], other.gradients[0]
    ratio = length(theirs) / length(ours) if length(ours) else math.nan
    return {"cosine": cosine(ours, theirs), "norm_ratio": ratio}


def cosine(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """Cosine of the angle between two gradients over all parameters; NaN if one of them is zero."""
    product = sum(float((tensor.double() * other[name].double()).sum()) for name, tensor in one.items())
    lengths = length(one) * length(other)
    return product / lengths if lengths else float("nan")


def sorted_names(names: Mapping[str, object]) -> list[str]:
    added = ["weights/moved", "rollouts/live", "advantages/mean", "advantages/std"]
    first = [name for name in (*FIRST, *added) if name in names]
    return first + sorted(set(names) - set(first))


def numbers_table(numbers: Sequence[Number], heads: tuple[str, str], most: int) -> str:
    """A table of the first `most` numbers, and all others that differ."""
    shown = [number for place, number in enumerate(numbers) if place < most or not number.same]
    rows = [(n.name, _text(n.one), _text(n.other), _text(n.difference)) for n in shown]
    return aligned([("number", *heads, "difference"), *rows])


def columns_table(columns: Sequence[Column]) -> str:
    rows = [(c.name, f"{c.rollouts:,}", f"{c.same:,}", _text(c.largest)) for c in columns]
    return aligned([("per token", "rollouts", "bit-identical", "largest difference"), *rows])


def _text(value: float | None) -> str:
    if value is None:
        return "–"
    return "0" if value == 0 else f"{value:.6g}"


def _both_nan(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and math.isnan(one) and math.isnan(other)
