"""The arms' results, their differences to the baseline, and their costs: numbers, no text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from rlvr.compare.arms import Arm
from rlvr.compare.curves import Cost, Curve
from rlvr.pipeline.status import State
from rlvr.statistics.change import Difference, corrected, difference_over_seeds, paired_difference
from rlvr.statistics.intervals import half_interval

BAND_SEEDS = 3  # seeds from which a band is an interval; for two it spans both values


@dataclass(frozen=True)
class Interval:
    mean: float
    low: float  # ends of the 95% interval; nan if there is none
    high: float


@dataclass(frozen=True)
class Moment:
    """A point of an arm's mean curve."""

    value: Interval
    cost: Cost  # mean over the seeds
    step: float


@dataclass(frozen=True)
class ArmResult:
    arm: Arm
    curves: list[Curve]  # one per run, in order
    used: list[Curve]  # the runs whose last value counts, one per seed
    repeated: list[Curve]  # finished, but another run of the same seed is used
    value: Interval  # mean of the last values
    over: str  # what the interval is over: seeds, problems; empty if there is none
    best: float  # mean over seeds of each run's best value
    cost: Cost  # mean over the runs used
    moments: list[Moment]
    difference: Difference | str  # to the baseline; or why there is none; empty for the baseline
    reached: Moment | None = None  # the first that is as good as the baseline's final value

    @property
    def label(self) -> str:
        return self.arm.label

    def count(self, state: State) -> int:
        return sum(curve.state is state for curve in self.curves)


def lower_is_better(metric: str) -> bool:
    """Whether smaller values of a metric are better: losses and times."""
    return "loss" in metric or metric.startswith("time/")


def compare(
    arms: Sequence[Arm], curves: Mapping[str, Sequence[Curve]], baseline: int, metric: str
) -> list[ArmResult]:
    """The results of `arms`, in their order. `curves` maps each arm's label to the curves of its runs.

    p values are adjusted (Holm) for the number of arms compared with the baseline.
    """
    results = [_arm(arm, curves[arm.label], metric) for arm in arms]
    base = results[baseline]
    differences = ["" if result is base else difference(base, result, metric) for result in results]
    tested = corrected({place: one for place, one in enumerate(differences) if isinstance(one, Difference)})
    lower = lower_is_better(metric)
    return [
        replace(
            result,
            difference=tested.get(place, differences[place]),
            reached=_reached(result.moments, base.value.mean, lower),
        )
        for place, result in enumerate(results)
    ]


def _arm(arm: Arm, curves: Sequence[Curve], metric: str) -> ArmResult:
    valued = [curve for curve in curves if not math.isnan(curve.final)]
    finished = [curve for curve in valued if curve.state is State.DONE]
    chosen = {curve.found.seed: curve for curve in finished or valued}  # the last run of each seed
    used = sorted(chosen.values(), key=lambda curve: curve.found.seed)
    value, over = _value(used)
    best = min if lower_is_better(metric) else max
    peaks = [best(p.value for p in curve.points if not math.isnan(p.value)) for curve in used]
    return ArmResult(
        arm=arm,
        curves=list(curves),
        used=used,
        repeated=[curve for curve in finished or valued if not any(curve is other for other in used)],
        value=value,
        over=over,
        best=mean(peaks) if peaks else math.nan,
        cost=_mean_cost([curve.cost for curve in used]),
        moments=_moments(used),
        difference="",
    )


def _value(used: Sequence[Curve]) -> tuple[Interval, str]:
    """The mean of the last values, with Student's t interval over seeds or a single run's own interval."""
    if not used:
        return Interval(math.nan, math.nan, math.nan), ""
    if len(used) > 1:
        return over_seeds([curve.final for curve in used]), "seeds"
    point = used[0].points[-1]
    over = "" if math.isnan(point.low + point.high) else "problems"
    return Interval(point.value, point.low, point.high), over


def over_seeds(values: Sequence[float]) -> Interval:
    """The mean with its 95% interval by Student's t; no interval for one value."""
    centre, half = math.fsum(values) / len(values), half_interval(values)
    return Interval(centre, centre - half, centre + half)


def _mean_cost(costs: Sequence[Cost]) -> Cost:
    total = sum(costs, Cost())
    count = max(len(costs), 1)
    return Cost(
        round(total.steps / count), *(part / count for part in (total.seconds, total.sampled, total.trained))
    )


def _moments(used: Sequence[Curve]) -> list[Moment]:
    """The mean curve, at the points where all runs used have a value."""
    points = [{p.key: p for p in curve.points if not math.isnan(p.value)} for curve in used]
    moments = []
    for key in points[0] if points else []:
        at_key = [by_key[key] for by_key in points if key in by_key]
        if len(at_key) < len(points):
            continue
        values = [point.value for point in at_key]
        value = over_seeds(values)
        if len(values) < BAND_SEEDS:
            value = Interval(value.mean, min(values), max(values))
        cost = _mean_cost([point.cost for point in at_key])
        moments.append(Moment(value, cost, mean(point.step for point in at_key)))
    return moments


def _reached(moments: Sequence[Moment], target: float, lower: bool) -> Moment | None:
    sign = -1 if lower else 1
    slack = 1e-12 * abs(target)
    return next((m for m in moments if sign * (m.value.mean - target) >= -slack), None)


def difference(base: ArmResult, arm: ArmResult, metric: str) -> Difference | str:
    """The difference `arm` − `base`, paired over the seeds that both have; or why they cannot be compared.

    With one seed in common it is paired over the held-out problems, which does not cover other seeds.
    """
    first = {curve.found.seed: curve for curve in base.used}
    second = {curve.found.seed: curve for curve in arm.used}
    shared = shared_seeds(base, arm)
    if not base.used or not arm.used:
        return "no value"
    if not shared:
        return "no seed in common"
    if any(_other_problems(first[seed], second[seed], metric) for seed in shared):
        return "other problems"
    if len(shared) > 1:
        return difference_over_seeds([second[seed].final - first[seed].final for seed in shared])
    found = paired_difference(first[shared[0]].problems, second[shared[0]].problems)
    return found or f"one seed in common, and no journal of its problems for {metric}"


def shared_seeds(base: ArmResult, arm: ArmResult) -> list[int]:
    return sorted({curve.found.seed for curve in base.used} & {curve.found.seed for curve in arm.used})


def _other_problems(first: Curve, second: Curve, metric: str) -> bool:
    """Whether the two were evaluated on different problems, by their journals or else their settings."""
    if first.problems and second.problems:
        if first.problems.keys() != second.problems.keys():
            return True
        shared = first.asked.keys() & second.asked.keys()
        return any(first.asked[name] != second.asked[name] for name in shared)
    sources = [(curve.found.config.get("problems") or {}).get("heldout") for curve in (first, second)]
    return metric.startswith("heldout/") and sources[0] != sources[1]
