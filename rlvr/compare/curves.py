"""What a run reached, when, and what that took: its curve of one metric, and its last problems."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from rlvr.compare.runs import Found
from rlvr.evaluation.metrics import TRUE_STEPS, Tally, beside, pass_at_k, sound_share
from rlvr.evaluation.summary import all_sets
from rlvr.pipeline.status import State
from rlvr.record.journal import journal_path, read_rows
from rlvr.record.layout import RESULTS
from rlvr.record.runs import StageRecord
from rlvr.record.sinks import Steps, stage_metrics
from rlvr.types import DataError, Status

TABLE = "table.csv"  # of a recipe's run, a row for each stage that is done
RESULT = "result.json"  # of a stage that has ended
HELDOUT = re.compile(rf"heldout/(?:pass@(\d+)|{TRUE_STEPS})")
COLUMNS = ("problem_id", "problem", "answer", "status", TRUE_STEPS)  # of a journal
Row = dict[str, str]
Asked = tuple[str, str | None]  # a problem's text, and its reference answer


def companion(metric: str) -> str | None:
    """The metric of answers that are right with all steps true, beside `metric` of right answers."""
    name, _, measure = metric.rpartition("/")
    return f"{name}/{TRUE_STEPS}" if measure == "pass@1" else None


@dataclass(frozen=True)
class Cost:
    """What was spent since the run began, evaluation left out as far as it is kept apart."""

    steps: int = 0  # optimizer steps
    seconds: float = 0.0  # wall-clock
    sampled: float = 0.0  # tokens
    trained: float = 0.0  # tokens

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.steps + other.steps,
            self.seconds + other.seconds,
            self.sampled + other.sampled,
            self.trained + other.trained,
        )


@dataclass(frozen=True)
class Point:
    """The metric at one moment of a run."""

    key: str  # the same moment of another seed has it too: the step, of a recipe the stage
    step: int  # what is drawn along the axis
    value: float  # nan: measured, but not a number
    low: float  # ends of the 95% interval over problems that the run recorded, or nan
    high: float
    cost: Cost


@dataclass(frozen=True)
class Curve:
    """A run's metric. `problems` and `asked` are of the last point, by id, where that is kept."""

    found: Found
    state: State
    points: list[Point]  # in order; empty if the run has no such value
    cost: Cost  # of the whole run
    metrics: list[str]  # that the run has
    problems: Mapping[str, float] = field(default_factory=dict)
    asked: Mapping[str, Asked] = field(default_factory=dict)

    @property
    def final(self) -> float:
        """The last value; nan if there is none."""
        return self.points[-1].value if self.points else math.nan


def read_curve(found: Found, metric: str) -> Curve:
    """The curve of `metric`.

    Of a recipe's run `SET/pass@1` and `SET/true_steps` are its table: the models of its chain, one after the
    other. Every other metric is of the last stage that has it.

    Raises:
        DataError: a file of the run is broken.
    """
    if not found.record.is_recipe:
        return _train(found, metric)
    rows = _rows(found.folder / TABLE)
    named = dict.fromkeys(row["set"] for row in rows if row["set"])
    further = {beside(name): name for name in named if beside(name) in named}
    sets = {f"{further[name]}/{TRUE_STEPS}" if name in further else f"{name}/pass@1": name for name in named}
    costs = [(name, list(of), cost) for name, of, cost in _spent(rows)]
    total = costs[-1][2] if costs else Cost()
    if metric in sets:
        points = [
            Point(name, cost.steps, _number(row["avg"]), _number(row["low"]), _number(row["high"]), cost)
            for name, of, cost in costs
            for row in of
            if row["set"] == sets[metric] and not _aside(row)
        ]
        problems = _results(found, points[-1], sets[metric]) if points else {}
        return Curve(found, found.state(), points, total, sorted(sets), problems)
    last = next((name for name, of, _ in reversed(costs) if not _aside(of[0])), None)
    before = Cost()
    for name, _, cost in costs:
        if name == last:
            break
        before = cost
    stage = found.record.stage(last) if last else None
    steps = stage_metrics(stage.folder) if stage else {}
    there = sorted({*sets, *_names(steps)})
    return Curve(found, found.state(), list(_points(steps, metric, before)), total, there)


def _train(found: Found, metric: str) -> Curve:
    points: list[Point] = []
    names: set[str] = set()
    source: StageRecord | None = None
    cost = Cost()
    for stage in found.record.stages:
        steps = stage_metrics(stage.folder)
        names.update(_names(steps))
        here = list(_points(steps, metric, cost))
        if here:
            points, source = here, stage
        cost += _cost(steps)
    problems: dict[str, float] = {}
    asked: dict[str, Asked] = {}
    if source and (path := journal_path(source.folder, "heldout", points[-1].step)).exists():
        problems, asked = problem_values(path, metric)
    return Curve(found, found.state(), points, cost, sorted(names), problems, asked)


def _names(steps: Steps) -> set[str]:
    return {name for metrics in steps.values() for name in metrics}


def _cost(steps: Steps) -> Cost:
    """Of all of them."""
    return deque((cost for _, cost in _running(steps, Cost())), maxlen=1).pop() if steps else Cost()


def _running(steps: Steps, before: Cost) -> Iterator[tuple[int, Cost]]:
    """The cost after each step. Wall-clock is the sum of time/step: no pause before a resume counts."""
    for step, metrics in steps.items():
        trained = metrics.get("tokens/trained") or metrics.get("learner/tokens") or 0.0
        spent = Cost(0, metrics.get("time/step") or 0.0, metrics.get("tokens/sampled") or 0.0, trained)
        before += spent
        yield step, Cost(before.steps + step, before.seconds, before.sampled, before.trained)


def _points(steps: Steps, metric: str, before: Cost) -> Iterator[Point]:
    for step, cost in _running(steps, before):
        metrics = steps[step]
        if metric in metrics:
            value, low, high = (
                math.nan if (number := metrics.get(f"{metric}{end}")) is None else number
                for end in ("", "_low", "_high")
            )
            yield Point(str(step), step, value, low, high, cost)


def problem_values(path: Path, metric: str) -> tuple[dict[str, float], dict[str, Asked]]:
    """Of each problem of a held-out evaluation, in one file of its journal: the metric, and what it asks.

    nan for a problem with too few verdicts; both are empty for a metric that problems do not have.

    Raises:
        DataError: the file is not there, or cannot be read.
    """
    matched = HELDOUT.fullmatch(metric)
    if not matched:
        return {}, {}
    verdicts: dict[str, list[tuple[Status, bool | None]]] = {}
    asked: dict[str, Asked] = {}
    for row in read_rows(path, COLUMNS):
        asked[row["problem_id"]] = (row["problem"], row["answer"])
        found = verdicts.setdefault(row["problem_id"], [])
        if row["status"] is not None:
            found.append((Status(row["status"]), row[TRUE_STEPS]))
    if matched[1] is None:
        return {name: _sound(of) for name, of in verdicts.items()}, asked
    k = int(matched[1])
    return {name: _pass([status for status, _ in of], k) for name, of in verdicts.items()}, asked


def _sound(verdicts: list[tuple[Status, bool | None]]) -> float:
    share = sound_share([status for status, _ in verdicts], [true for _, true in verdicts])
    return math.nan if share is None else share


def _pass(statuses: list[Status], k: int) -> float:
    reached = [status for status in statuses if status.reached]
    tally = Tally(len(reached), reached.count(Status.CORRECT))
    return pass_at_k(tally.reached, tally.correct, k) if tally.reached >= k else math.nan


def _rows(path: Path) -> list[Row]:
    """The lines of a recipe's table; none before its first stage is done."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    needed = {"stage", "title", "set", "avg", "low", "high", "steps", "trained", "sampled", "seconds"}
    if rows and (missing := sorted(needed - set(rows[0]))):
        raise DataError(f"{path} is no table of a recipe: it has no column {', '.join(missing)}")
    return rows


def _aside(row: Row) -> bool:
    """Whether the stage makes a model beside the chain, such as a teacher."""
    return row["title"].startswith("(")


def _spent(rows: list[Row]) -> Iterator[tuple[str, list[Row], Cost]]:
    """Each stage with its rows, and what was spent until its end. Steps are those of the chain alone."""
    cost = Cost()
    for name, of in groupby(rows, key=lambda row: row["stage"]):
        stage = list(of)
        first = stage[0]
        cost += Cost(
            0 if _aside(first) else int(first["steps"]),
            float(first["seconds"]),
            float(first["sampled"]),
            float(first["trained"]),
        )
        yield name, stage, cost


def _number(text: str) -> float:
    return float(text) if text else math.nan


def _results(found: Found, point: Point, name: str) -> dict[str, float]:
    """The problems' values that the table's number is the mean of; a stage may have further evaluations."""
    for stage in found.record.stages:
        path = stage.folder / RESULTS
        if stage.name != f"{point.key}-evaluation" or not path.exists():
            continue
        result = all_sets(json.loads(path.read_text())).get(name)
        if result is None:
            continue
        values = [math.nan if value is None else float(value) for value in result["values"]]
        kept = [value for value in values if not math.isnan(value)]
        if kept and math.isclose(math.fsum(kept) / len(kept), point.value, abs_tol=1e-12):
            return dict(zip(result["problems"], values, strict=True))
    return {}
