"""The comparison as Markdown: two tables, and notes on how to read them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rlvr.base.text import aligned
from rlvr.compare.curves import Curve
from rlvr.compare.results import ArmResult, Interval, Moment, shared_seeds
from rlvr.evaluation.metrics import TRUE_STEPS
from rlvr.pipeline.status import State
from rlvr.record.progress import duration
from rlvr.statistics.change import Difference, findings, p_text
from rlvr.statistics.intervals import FEWEST, tells

NONE = "–"
NO_INTERVAL = f"({NONE})"
REASON = 200  # characters of the reason why a run failed
MOST_NAMED = 12  # settings listed in the note on how the arms differ


class Numbers:
    """Formats values of a metric: shares in percent, their differences in percentage points."""

    def __init__(self, metric: str) -> None:
        self.share = "pass@" in metric or metric.endswith(("accuracy", TRUE_STEPS))

    def value(self, value: float) -> str:
        if math.isnan(value):
            return NONE
        return f"{value:.1%}" if self.share else f"{value:.4g}"

    def interval(
        self, interval: Interval | Difference, signed: bool = False, problems: int | None = None
    ) -> str:
        """The mean with its interval, if any; (–) for an uninformative one, as with too few `problems`."""
        scale, sign = 100 if self.share else 1, "+" if signed else ""
        form = f"{sign}.1f" if self.share else f"{sign}.4g"
        # + 0.0: no minus before a zero
        middle, low, high = (
            format(round(scale * x, 12) + 0.0, form) for x in (interval.mean, interval.low, interval.high)
        )
        if math.isnan(interval.mean):
            return NONE
        unit = "%" if self.share and not signed else ""
        if math.isnan(interval.low):
            return f"{middle}{unit}"
        known = tells(interval.low, interval.high, problems)
        return f"{middle}{unit} {f'({low} to {high})' if known else NO_INTERVAL}"


def markdown(
    results: Sequence[ArmResult],
    baseline: int,
    metric: str,
    differing: Sequence[str],
    picture: str,
    remarks: Sequence[str] = (),
    true_steps: Sequence[ArmResult] | None = None,
) -> str:
    """The text of compare.md: the results, their cost, and how to read both. `remarks` are further notes.

    `true_steps` are the results of the same arms for answers that are right with all steps true, if measured.
    """
    numbers = Numbers(metric)
    rows = list(_result_rows(results, baseline, metric, numbers))
    if true_steps is not None:
        cells = [numbers.interval(arm.value, problems=_problems(arm)) for arm in true_steps]
        further = ["right, all steps true (95%)", *cells]
        rows = [[*row[:3], cell, *row[3:]] for row, cell in zip(rows, further, strict=True)]
    table = aligned(rows)
    parts = [f"# {metric}", table]
    notes = [*_notes(results, baseline, metric, differing), *remarks]
    if NO_INTERVAL in table:
        notes.append(
            f"{NO_INTERVAL}: no interval, because all values are equal or there are fewer than {FEWEST} "
            "problems: it would be too narrow to mean anything."
        )
    parts.append("\n".join(f"- {note}" for note in notes))
    parts += [f"![{metric} of each arm over steps and over wall-clock]({picture})"]
    parts += ["## Cost", aligned(list(_cost_rows(results, baseline, numbers)))]
    parts.append(" ".join(_cost_notes(results, numbers.value(results[baseline].value.mean))))
    return "\n\n".join(parts) + "\n"


def _result_rows(
    results: Sequence[ArmResult], baseline: int, metric: str, numbers: Numbers
) -> Iterator[list[str]]:
    points = ", points" if numbers.share else ""
    several = len(results) > 1
    head = ["arm", "runs", f"{metric} at the end (95%)", "best"]
    yield head + [f"against the baseline{points} (95%)", "p value", "p (Holm)"] * several
    for index, result in enumerate(results):
        difference = result.difference
        if isinstance(difference, Difference):
            pairs = difference.pairs if difference.over == "problems" else None
            gain = numbers.interval(difference, signed=True, problems=pairs)
            cells = [gain, p_text(difference.p), p_text(difference.p_holm)]
        else:
            cells = ["baseline" if index == baseline else f"not compared: {difference}", NONE, NONE]
        value = numbers.interval(result.value, problems=_problems(result))
        yield [result.label, _runs(result), value, numbers.value(result.best)] + cells * several


def _problems(result: ArmResult) -> int | None:
    """The number of problems that the interval is over; None if it is over seeds, or if that is unknown."""
    if result.over != "problems" or not result.used[0].problems:
        return None
    return sum(not math.isnan(value) for value in result.used[0].problems.values())


def _runs(result: ArmResult) -> str:
    """The number of runs used, as in "3" or "2 of 3, 1 failed"."""
    total = len(result.curves)
    states = [f"{count} {state}" for state in State if state != State.DONE and (count := result.count(state))]
    used = len(result.used)
    return ", ".join([str(total) if used == total else f"{used} of {total}", *states])


def _cost_rows(results: Sequence[ArmResult], baseline: int, numbers: Numbers) -> Iterator[list[str]]:
    held = [held_seconds(result) for result in results]
    units = [unit for unit in ("GPU", "CPU") if any(unit in seconds for seconds in held)]
    several = len(results) > 1
    head = ["arm", "steps", "wall-clock", "tokens sampled", "tokens trained"]
    yield head + [f"{unit} time reserved" for unit in units] + ["reaches the baseline"] * several
    for result, seconds in zip(results, held, strict=True):
        cost = result.cost
        cells = [f"{cost.steps:,}", duration(cost.seconds), f"{cost.sampled:,.0f}", f"{cost.trained:,.0f}"]
        cells += [duration(seconds[unit]) if unit in seconds else NONE for unit in units]
        cells += [_reached(result.reached)] * several
        yield [result.label, *(cells if result.used else [NONE] * len(cells))]


def _cost_notes(results: Sequence[ArmResult], target: str) -> Iterator[str]:
    yield (
        "Means over the runs used. Wall-clock is the time of the steps, without the evaluations between "
        "them; time reserved is wall-clock × the GPUs or cores that the configuration gives the run."
    )
    if any(curve.found.shares_stages() for result in results for curve in result.used):
        yield "A shared stage counts in every run that uses it, whichever run made it."
    if len(results) > 1:
        yield (
            "“Reaches the baseline” is the first point at which the arm's mean curve is as good as the "
            f"baseline's final value, {target}; by chance a noisy curve can reach it early."
        )


def _reached(moment: Moment | None) -> str:
    if moment is None:
        return "not reached"
    cost = moment.cost
    return f"after {cost.steps:,} steps, {duration(cost.seconds)}, {cost.sampled:,.0f} tokens sampled"


def held_seconds(result: ArmResult) -> dict[str, float]:
    """GPU or CPU → mean device-seconds that a run of the arm reserved; only units known for all runs."""
    held = [_held(curve) for curve in result.used]
    return {
        unit: sum(seconds[unit] for seconds in held) / len(held)
        for unit in ("GPU", "CPU")
        if held and all(unit in seconds for seconds in held)
    }


def _held(curve: Curve) -> dict[str, float]:
    config = curve.found.config
    gpus = sum(
        (config.get(part) or {}).get("workers", 1) * (config.get(part) or {}).get("gpus_per_worker", 0)
        for part in ("rollout", "learner")
    )
    cluster = config.get("cluster") or {}
    cpus = cluster.get("cpus")
    if cpus is None and not cluster.get("address"):
        cpus = (curve.found.record.versions.get("cpu") or {}).get("count")
    seconds = {"GPU": gpus * curve.cost.seconds} if gpus else {}
    return seconds | ({"CPU": cpus * curve.cost.seconds} if cpus else {})


def _notes(
    results: Sequence[ArmResult], baseline: int, metric: str, differing: Sequence[str]
) -> Iterator[str]:
    yield verdict(results, baseline)
    if 0 < len(differing) <= MOST_NAMED:
        yield f"The arms differ in: {', '.join(f'`{key}`' for key in differing)}."
    elif differing:
        some = ", ".join(f"`{key}`" for key in differing[:MOST_NAMED])
        yield f"The arms differ in {len(differing)} settings, such as {some}."
    yield from _intervals(results, results[baseline])
    for result in results:
        yield from _left_out(result, metric)
    yield from _versions([curve for result in results for curve in result.used])


def verdict(results: Sequence[ArmResult], baseline: int) -> str:
    """Which arms differ significantly from the baseline, corrected for the number of comparisons."""
    tested = {
        f"`{result.label}`": result.difference.p_holm
        for result in results
        if isinstance(result.difference, Difference) and not math.isnan(result.difference.p_holm)
    }
    if not tested:
        if len(results) == 1:
            return "One arm: nothing to compare."
        return f"No arm could be tested against `{results[baseline].label}`."
    return findings(tested)


def _intervals(results: Sequence[ArmResult], base: ArmResult) -> Iterator[str]:
    """Notes on what the intervals are over, and what follows from that."""
    seeds = [result for result in results if result.over == "seeds"]
    single = [result for result in results if len(result.used) == 1]
    if seeds:
        counts = sorted({len(result.used) for result in seeds})
        yield (
            f"Means over {' or '.join(map(str, counts))} seeds, with intervals by Student's t: the "
            "uncertainty from the choice of seeds."
        )
    if single:
        which = "Every arm has" if len(single) == len(results) else f"{_names(single)}:"
        what = (
            "its interval is a bootstrap over the problems, and does not cover differences between seeds"
            if any(result.over == "problems" for result in single)
            else "no interval"
        )
        yield f"{which} one seed; {what}."
    differences = [
        (result, result.difference) for result in results if isinstance(result.difference, Difference)
    ]
    if any(found.over == "seeds" for _, found in differences):
        pairs = sorted({found.pairs for _, found in differences if found.over == "seeds"})
        some = " or ".join(map(str, pairs))
        yield f"Differences are paired over the {some} seeds that both arms have (t test)."
    if problems := [(result, found) for result, found in differences if found.over == "problems"]:
        named = ", ".join(f"`{one.label}` (seed {shared_seeds(base, one)[0]})" for one, _ in problems)
        yield (
            f"Fewer than 2 seeds in common with the baseline: {named}. These are paired over "
            f"{problems[0][1].pairs:,} held-out problems (bootstrap interval, sign-flip permutation test). "
            "That compares two models, not two settings: with another seed the difference may be reversed."
        )
    if flat := [result for result, found in differences if math.isnan(found.p)]:
        yield f"No p value for {_names(flat)}: all paired differences are equal, so there is no variance."


def _names(results: Sequence[ArmResult]) -> str:
    return ", ".join(f"`{result.label}`" for result in results)


def _left_out(result: ArmResult, metric: str) -> Iterator[str]:
    """Notes on the runs of an arm that are left out, or used although they have not finished."""
    said: dict[str, list[str]] = {}
    for curve in result.curves:
        at = f"at step {curve.points[-1].step}" if curve.points else f"before its first {metric}"
        used = any(curve is other for other in result.used)
        if curve.state is not State.DONE:
            then = "used, because the arm has no finished run" if used else "left out"
            state = "still running," if curve.state is State.RUNNING else f"did not finish, {curve.state}"
            reason = f" ({curve.found.reason()[:REASON]})" if curve.found.reason() else ""
            why = f"{state} {at}{reason}; {then}"
            if curve.state is State.WAITING:
                why = "not begun; left out"
        elif any(curve is other for other in result.repeated):
            why = "left out, because a later run has the same settings and seed"
        elif not used:
            what = "its last value is not a number" if curve.points else f"it has no {metric}"
            why = f"left out, because {what}"
        else:
            continue
        said.setdefault(why, []).append(f"{curve.found.record.name} (seed {curve.found.seed})")
    for why, runs in said.items():
        yield f"`{result.label}`, {', '.join(runs)}: {why}."


def _versions(curves: Sequence[Curve]) -> Iterator[str]:
    """Notes on differences between runs beyond their settings: code versions and machines."""
    records = [curve.found.record.versions for curve in curves if curve.found.record.versions]
    commits = {
        git.get("commit", "")[:7] + ("*" if git.get("modified") else "")
        for versions in records
        if (git := versions.get("git"))
    }
    if len(commits) > 1:
        listed = ", ".join(sorted(commits))
        yield (
            f"The runs used {len(commits)} versions of the code ({listed}; *: with uncommitted changes), so "
            "differences need not come from the settings alone."
        )
    machines = {f"{cpu.get('count')} × {cpu.get('model')}" for v in records if (cpu := v.get("cpu"))}
    if len(machines) > 1:
        yield f"Wall-clock was measured on different machines: {', '.join(sorted(machines))}."
