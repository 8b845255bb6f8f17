"""The stage-by-stage table: the gain of each stage of a recipe, from the evaluations of its models.

One row per stage. Every evaluation is compared, paired by problem, with that of the model that the stage
started from (or the nearest one before it that was evaluated on the same set). The text names the stages
without a significant improvement.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rlvr.base.text import aligned
from rlvr.evaluation.metrics import beside
from rlvr.record.progress import duration
from rlvr.statistics.change import Change, Difference, corrected, how_tested, paired_difference
from rlvr.statistics.intervals import bootstrap_interval
from rlvr.types import DataError

NONE = "–"
OVER_PROBLEMS = (
    "Intervals are over problems: they cover the choice of problems of this kind, but not the variation "
    "between training seeds."
)


@dataclass(frozen=True)
class SetResult:
    """The result of a stage's model on one set of problems. Raises DataError if it is inconsistent."""

    problems: Sequence[str]  # [P] ids, each once
    values: Sequence[float]  # [P] share of the problem's samples that are correct; nan if no check finished
    samples: int  # k: samples per problem
    unreached: int = 0  # samples whose check did not finish, over all problems
    # [P] share that is right with all steps true (`rlvr.evaluation.metrics.sound_share`); None: unknown
    true_steps: Sequence[float] | None = None
    with_steps: int = 0  # answers with a checkable step, over all problems

    def __post_init__(self) -> None:
        for values in (self.values, self.values if self.true_steps is None else self.true_steps):
            if len(self.problems) != len(values):
                raise DataError(f"{len(self.problems)} problems, but {len(values)} values")
        if len(set(self.problems)) < len(self.problems):
            raise DataError("an evaluation names a problem twice")
        shares = (*self.values, *(self.true_steps or ()))
        if not all(math.isnan(value) or 0 <= value <= 1 for value in shares):
            raise DataError("the share of correct samples of a problem must lie in 0 … 1")

    @property
    def by_problem(self) -> dict[str, float]:
        return dict(zip(self.problems, self.values, strict=True))


@dataclass(frozen=True)
class StageResult:
    """A row of the table. A stage that was not evaluated has no `sets`; its costs are still shown."""

    stage: str  # its name in the recipe
    title: str  # in the table: "base", "+ SFT"
    sets: Mapping[str, SetResult] = field(default_factory=dict)  # evaluation set → result
    steps: int = 0  # optimizer steps
    trained: int = 0  # tokens trained on
    sampled: int = 0  # tokens sampled
    seconds: float = 0.0  # wall-clock
    data: str = ""  # "4,210 traces"
    new: bool = True  # made by this run; False if reused from an earlier run
    start: str | None = None  # stage whose model it started from; None: that of the row before


@dataclass(frozen=True)
class Measured:
    """The metrics of a stage on a set; nan if no problem has a value."""

    mean: float  # avg@k, 0 to 1
    low: float  # ends of its 95% bootstrap interval over problems
    high: float
    problems: int  # number of problems with a value
    solved: float  # share of the problems with a correct sample: pass@k for k = all samples
    before: str | None = None  # title of the stage that it is compared with
    gain: Difference | None = None  # None without a stage before, or without a common problem


def with_true_steps(rows: Sequence[StageResult]) -> list[StageResult]:
    """The rows with an additional set after each set in which answers have checkable steps.

    Its values are the shares of answers that are right with all steps true, so that stages are compared by
    them as well.
    """
    known = {name for row in rows for name, result in row.sets.items() if result.with_steps}
    extended = []
    for row in rows:
        sets: dict[str, SetResult] = {}
        for name, result in row.sets.items():
            sets[name] = result
            if name in known and result.true_steps is not None:
                sets[beside(name)] = SetResult(result.problems, result.true_steps, result.samples)
        extended.append(replace(row, sets=sets))
    return extended


def measure(rows: Sequence[StageResult]) -> list[dict[str, Measured]]:
    """For each row, evaluation set → its metrics, compared with the nearest row before that has the set.

    p is corrected for all gains of the table, over all rows and sets.

    Raises DataError if a row starts from a stage that has no row before it.
    """
    if len({row.stage for row in rows}) < len(rows):
        raise DataError(f"two rows of the table have the same name: {', '.join(row.stage for row in rows)}")
    before: dict[str, StageResult | None] = {}  # stage → the row of the model that it started from
    named: dict[str, StageResult] = {}
    measured = []
    previous: StageResult | None = None
    for row in rows:
        if row.start is not None and row.start not in named:
            raise DataError(f"stage {row.stage} starts from {row.start}, which has no row before it")
        before[row.stage] = previous if row.start is None else named[row.start]
        by_set = {}
        for name, result in row.sets.items():
            other = before[row.stage]
            while other is not None and name not in other.sets:
                other = before[other.stage]
            by_set[name] = _measure(result, name, other)
        measured.append(by_set)
        named[row.stage] = previous = row
    every = [(place, name, one.gain) for place, by_set in enumerate(measured) for name, one in by_set.items()]
    gains = corrected({(place, name): gain for place, name, gain in every if gain})
    return [
        {name: replace(one, gain=gains.get((place, name))) for name, one in by_set.items()}
        for place, by_set in enumerate(measured)
    ]


def _measure(result: SetResult, name: str, before: StageResult | None) -> Measured:
    values = [value for value in result.values if not math.isnan(value)]
    count = len(values)
    low, high = bootstrap_interval(values) if values else (math.nan, math.nan)
    return Measured(
        mean=math.fsum(values) / count if values else math.nan,
        low=low,
        high=high,
        problems=count,
        solved=sum(value > 0 for value in values) / count if values else math.nan,
        before=before.title if before else None,
        gain=paired_difference(before.sets[name].by_problem, result.by_problem) if before else None,
    )


def plain(title: str) -> str:
    """A row's title within a sentence: "SFT" for "+ SFT"."""
    return title.removeprefix("+").strip()


def verdict(measured: Measured) -> str | None:
    """A clause on how a stage changed the results on a set; None for a set's first row."""
    if measured.before is None:
        return None
    before, gain = plain(measured.before), measured.gain
    if gain is None:
        return f"not compared with {before}: no problem has a value in both"
    if gain.changed == 0:
        return f"no clear change: none of {gain.pairs:,} problems differs from {before}"
    link = {Change.BETTER: "on", Change.WORSE: "than", Change.UNCLEAR: "from"}[gain.change]
    changed = f"{gain.changed:,} of {gain.pairs:,} problems changed"
    return f"{gain.change} {link} {before} ({gain.points}; {changed})"


def summary(rows: Sequence[StageResult]) -> str:
    """The change by each stage as a Markdown list, then the stages without a significant improvement."""
    rows = with_true_steps(rows)
    lines, failed, compared = [], [], 0
    names = _sets(rows)
    for row, by_set in zip(rows, measure(rows), strict=True):
        clauses = {name: text for name in by_set if (text := verdict(by_set[name]))}
        compared += len(clauses)
        if clauses:
            parts = [text if len(names) == 1 else f"on {name} {text}" for name, text in clauses.items()]
            lines.append(f"- {plain(row.title)}: {'; '.join(parts)}")
        unimproved = [name for name in clauses if not _better(by_set[name])]
        if unimproved:
            some = len(names) > 1 and len(unimproved) < len(clauses)
            where = f" (on {', '.join(unimproved)})" if some else ""
            failed.append(plain(row.title) + where)
    if compared:
        lines.append("")
        if failed:
            lines.append(f"Did not clearly improve the model that they started from: {', '.join(failed)}.")
        else:
            lines.append("Every stage that was compared improves the model that it started from.")
    return "\n".join(lines)


def _better(measured: Measured) -> bool:
    return measured.gain is not None and measured.gain.change is Change.BETTER


def _sets(rows: Sequence[StageResult]) -> list[str]:
    """Names of the evaluation sets, in order of first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row.sets))


def markdown(rows: Sequence[StageResult]) -> str:
    """The table, notes on how to read it, and the summary. Raises DataError without rows."""
    if not rows:
        raise DataError("a table of stages needs at least one stage")
    rows = with_true_steps(rows)
    names = _sets(rows)
    head = ["stage"]
    for name in names:
        ks = sorted({row.sets[name].samples for row in rows if name in row.sets})
        head += [f"{name} avg@{'/'.join(map(str, ks))} (95% interval)", "gain, points (95% interval)"]
    head += ["data", "steps", "tokens trained", "tokens sampled", "wall-clock"]
    lines, measured = [head], measure(rows)
    for row, by_set in zip(rows, measured, strict=True):
        cells = [row.title if row.new else f"{row.title} †"]
        for name in names:
            cells += _cells(by_set.get(name))
        counts = [f"{count:,}" if count else NONE for count in (row.steps, row.trained, row.sampled)]
        lines.append([*cells, row.data or NONE, *counts, duration(row.seconds) if row.seconds else NONE])
    table = aligned([[cell.replace("|", "\\|") for cell in line] for line in lines])
    return "\n\n".join([table, *_notes(rows, measured), summary(rows)]).rstrip() + "\n"


def _cells(measured: Measured | None) -> tuple[str, str]:
    """A mean with its interval, and its gain with its interval."""
    if measured is None or math.isnan(measured.mean):
        return NONE, NONE
    mean = f"{measured.mean:.1%} ({measured.low:.1%} to {measured.high:.1%})"
    gain = measured.gain
    if gain is None:
        return mean, NONE
    return mean, f"{100 * gain.mean:+.1f} ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"


def _notes(rows: Sequence[StageResult], measured: Sequence[Mapping[str, Measured]]) -> Iterator[str]:
    """Notes on how to read the numbers."""
    if _sets(rows):
        yield OVER_PROBLEMS
    yield from how_tested([one.gain for by_set in measured for one in by_set.values() if one.gain])
    if not all(row.new for row in rows):
        yield "† reused from an earlier run; the costs are those of that run."
    unreached = [
        f"{result.unreached:,} on {name} ({plain(row.title)})"
        for row in rows
        for name, result in row.sets.items()
        if result.unreached
    ]
    if unreached:
        yield f"Samples without a verdict, which are left out: {', '.join(unreached)}."
    for name in _sets(rows):
        asked = {frozenset(row.sets[name].problems) for row in rows if name in row.sets}
        if len(asked) > 1:
            yield f"Stages were evaluated on different problems of {name}: gains are over the shared ones."


FIELDS = (
    "stage", "title", "set", "k", "problems", "unreached", "avg", "low", "high", "solved",
    "before", "gain", "gain_low", "gain_high", "gain_problems", "change", "p", "p_holm",
    "steps", "trained", "sampled", "seconds", "data", "new",
)  # fmt: skip


def csv_text(rows: Sequence[StageResult]) -> str:
    """A line for each stage and evaluation set, with plain numbers (shares, not per cent); empty if unknown.

    A stage that was not evaluated has one line without a set.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    rows = with_true_steps(rows)
    for row, by_set in zip(rows, measure(rows), strict=True):
        cost = {name: getattr(row, name) for name in ("steps", "trained", "sampled", "seconds", "data")}
        line = {"stage": row.stage, "title": row.title, **cost, "new": int(row.new)}
        for name, measured in by_set.items():
            writer.writerow(line | {"set": name} | _numbers(row.sets[name], measured))
        if not by_set:
            writer.writerow(line)
    return file.getvalue()


def _numbers(result: SetResult, measured: Measured) -> dict[str, object]:
    gain = measured.gain
    numbers: dict[str, object] = {
        "k": result.samples,
        "problems": measured.problems,
        "unreached": result.unreached,
        "before": measured.before or "",
    }
    if measured.problems:
        numbers |= {
            "avg": measured.mean, "low": measured.low, "high": measured.high, "solved": measured.solved
        }  # fmt: skip
    if gain is not None:
        numbers |= {
            "gain": gain.mean,
            "gain_low": gain.low,
            "gain_high": gain.high,
            "gain_problems": gain.pairs,
            "change": gain.change.value,
            "p": gain.p,
            "p_holm": gain.p_holm,
        }
    return numbers
