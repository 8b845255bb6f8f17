"""What a stage made of the model, in words and numbers, and whether that can be told from nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rlvr.evaluation.metrics import TRUE_STEPS, beside
from rlvr.evaluation.summary import all_sets
from rlvr.record.journal import journal_path
from rlvr.record.layout import RESULTS
from rlvr.record.runs import StageRecord
from rlvr.report.charts import Interval
from rlvr.report.journal import correct_shares
from rlvr.report.measures import Metrics
from rlvr.results.stage_table import Change, Measured, verdict
from rlvr.statistics.intervals import Difference, bootstrap_interval, paired_difference
from rlvr.types import DataError

HELDOUT = "the held-out set"
SEEDS = (
    "Intervals are over problems: what other problems of the kind would have given these models. They do not "
    "cover what another seed of the training would have given."
)


@dataclass(frozen=True)
class Evaluation:
    """A model on one set: avg@k with its 95% interval, and the value of each problem where it is known."""

    mean: float
    low: float
    high: float
    problems: int
    values: Mapping[str, float] = field(default_factory=dict)  # problem → share of correct samples
    samples: int | None = None  # k

    @property
    def text(self) -> str:
        return f"{self.mean:.1%} ({self.low:.1%} to {self.high:.1%})"

    def interval(self, name: str) -> Interval:
        return Interval(name, self.mean, self.low, self.high)


@dataclass(frozen=True)
class Result:
    """One set before and after a stage. `change` is None where nothing can be compared."""

    set: str
    before: Evaluation | None
    after: Evaluation
    sentences: list[str]
    gain: Difference | None = None
    change: Change | None = None


def compared(
    name: str, before: Evaluation | None, after: Evaluation, begin: str, end: str, missing: str = ""
) -> Result:
    """A result in sentences. `begin` and `end` name the two models, `missing` says why nothing is paired."""
    problems = f"{after.problems:,} problems" + (
        f" with {after.samples} answers each" if after.samples else ""
    )
    if before is None:
        return Result(
            name, None, after, [f"On {problems} of {name}, the model {end} is right in {after.text}."]
        )
    sentences = [f"On {problems} of {name}: {before.text} {begin}, {after.text} {end}."]
    gain = paired_difference(before.values, after.values)
    if gain is None:
        why = missing or "no problem has a value in both evaluations"
        sentences.append(f"Whether that is more than chance is not known problem by problem: {why}.")
        return Result(name, before, after, sentences)
    measured = Measured(
        after.mean, after.low, after.high, after.problems, math.nan, f"the model {begin}", gain
    )
    change = Change.of(gain)
    answer = (
        "The change cannot be told from nothing, that is from the luck of these problems and samples"
        if change is Change.UNCLEAR
        else "The change can be told from nothing"
    )
    sentences += [
        f"Problem by problem, it {_as_verb(verdict(measured) or '')}.",
        f"{answer}: {gain.changed:,} of {gain.problems:,} problems have another share of correct answers.",
    ]
    return Result(name, before, after, sentences, gain, change)


def _as_verb(said: str) -> str:
    """`verdict` as a part of a sentence whose subject is the model."""
    return (
        said if said.startswith("improves") else f"shows {said}" if said.startswith("no ") else f"is {said}"
    )


def in_stage(stage: StageRecord, metrics: Metrics) -> Iterator[Result]:
    """From the first to the last held-out evaluation inside of a stage, where there is one.

    First of right answers, then of those with all steps true where answers have checkable steps.
    """
    for metric, name in (("pass@1", HELDOUT), (TRUE_STEPS, beside(HELDOUT))):
        if steps := metrics.series(f"heldout/{metric}")[0]:
            yield _course(stage, metrics, f"heldout/{metric}", name, steps)


def _course(stage: StageRecord, metrics: Metrics, metric: str, name: str, steps: list[int]) -> Result:
    missing = ""
    values: dict[int, dict[str, float]] = {}
    for step in (steps[0], steps[-1]):
        try:
            path = journal_path(stage.folder, "heldout", step)
            values[step] = correct_shares(path, true_steps=metric.endswith(TRUE_STEPS))
        except DataError:
            values[step] = {}
            missing = f"the journal of the held-out evaluation at step {step} is not there or cannot be read"
    last = _at(metrics, metric, steps[-1], values)
    if steps[0] == steps[-1]:
        return compared(name, None, last, "", f"at step {steps[0]}")
    first = _at(metrics, metric, steps[0], values)
    return compared(name, first, last, f"at step {steps[0]}", f"at step {steps[-1]}", missing)


def _at(metrics: Metrics, metric: str, step: int, values: Mapping[int, Mapping[str, float]]) -> Evaluation:
    found = metrics.steps[step]
    mean = found[metric]
    return Evaluation(
        mean,
        found.get(f"{metric}_low", mean),
        found.get(f"{metric}_high", mean),
        int(found.get("heldout/problems", 0)),
        values[step],
    )


def read_evaluation(folder: Path) -> dict[str, Evaluation]:
    """Set → result, of an evaluation's folder; empty without a readable results.json."""
    try:
        results = json.loads((folder / RESULTS).read_text())
        return {
            name: _evaluation(result)
            for name, result in all_sets(results).items()
            if any(v is not None for v in result["values"])
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _evaluation(result: Mapping[str, Any]) -> Evaluation:
    pairs = zip(result["problems"], result["values"], strict=True)
    values = {problem: float(value) for problem, value in pairs if value is not None}
    low, high = bootstrap_interval(list(values.values()))
    return Evaluation(
        math.fsum(values.values()) / len(values), low, high, len(values), values, result.get("samples")
    )
