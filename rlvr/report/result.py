"""What a stage made of the model, in words and numbers, and whether that is statistically significant."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rlvr.compare.curves import problem_values
from rlvr.evaluation.metrics import TRUE_STEPS, beside
from rlvr.evaluation.summary import all_sets
from rlvr.record.journal import journal_path
from rlvr.record.layout import RESULTS
from rlvr.record.runs import StageRecord
from rlvr.report.charts import Interval
from rlvr.report.measures import Metrics
from rlvr.results.stage_table import OVER_PROBLEMS
from rlvr.statistics.change import ALPHA, TESTS, Change, Difference, corrected, paired_difference
from rlvr.statistics.intervals import bootstrap_interval
from rlvr.types import DataError

HELDOUT = "the held-out set"
NOTE = (
    f"{OVER_PROBLEMS} p values are of the {TESTS['problems']}, after Holm's correction for all comparisons "
    "between stages, or for all inside of stages. A change is statistically significant where "
    f"p < {ALPHA}."
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
    """One set before and after a stage, or only after it."""

    set: str
    before: Evaluation | None
    after: Evaluation
    begin: str  # names of the two models
    end: str
    missing: str  # why nothing is paired, if nothing is
    gain: Difference | None

    @property
    def change(self) -> Change | None:
        """None where nothing can be compared."""
        return self.gain.change if self.gain else None

    @property
    def sentences(self) -> Iterator[str]:
        problems = f"{self.after.problems:,} problems" + (
            f" with {self.after.samples} answers each" if self.after.samples else ""
        )
        if self.before is None:
            yield f"On {problems} of {self.set}, the model {self.end} is right in {self.after.text}."
            return
        yield (f"On {problems} of {self.set}: {self.before.text} {self.begin}, {self.after.text} {self.end}.")
        if self.gain is None:
            yield f"The difference was not tested problem by problem: {self.missing}."
            return
        what = {
            Change.BETTER: "gain is",
            Change.WORSE: "drop is",
            Change.UNCLEAR: "difference is not",
        }[self.gain.change]
        many = self.gain.family
        holm = f" after Holm's correction for {many} comparisons" if many > 1 else ""
        yield (
            f"Problem by problem, the {what} statistically significant ({self.gain.points}{holm}); "
            f"{self.gain.changed:,} of {self.gain.pairs:,} problems have another share of correct answers."
        )


def compared(
    name: str, before: Evaluation | None, after: Evaluation, begin: str, end: str, missing: str = ""
) -> Result:
    """A set's result. `begin` and `end` name the two models, `missing` says why nothing is paired."""
    gain = paired_difference(before.values, after.values) if before else None
    missing = missing or "no problem has a value in both evaluations"
    return Result(name, before, after, begin, end, missing, gain)


def tested(results: Mapping[str, Sequence[Result]]) -> dict[str, list[Result]]:
    """The results of each stage, with p corrected for all gains among them."""
    every = {(stage, place): one for stage, of in results.items() for place, one in enumerate(of)}
    gains = corrected({key: one.gain for key, one in every.items() if one.gain})
    found: dict[str, list[Result]] = {stage: [] for stage in results}
    for key, one in every.items():
        found[key[0]].append(replace(one, gain=gains.get(key)))
    return found


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
            values[step] = problem_values(path, metric)[0]
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
