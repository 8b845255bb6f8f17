"""What each stage of a recipe bought: the stage-by-stage table, from the evaluations of its models.

One row per stage. Every evaluation is compared with that of the model which the stage began with (or the
nearest before that was evaluated on the same set), problem by problem, and the text says plainly which stages
did not help.
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
    "Intervals are over problems: what other problems of the kind would have given these models. They do not "
    "cover what another seed of the training would have given."
)


@dataclass(frozen=True)
class SetResult:
    """A stage's model on one set of problems. Raises DataError if it cannot be."""

    problems: Sequence[str]  # [P] ids, each once
    values: Sequence[float]  # [P] share of the problem's samples that are correct; nan if none was judged
    samples: int  # k: samples per problem
    unreached: int = 0  # samples without a verdict, over all problems
    # [P] share that is right with all steps true (`rlvr.evaluation.metrics.sound_share`); None: not known
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
    """A row of the table. A stage that was not evaluated has no `sets`; its costs are shown all the same."""

    stage: str  # its name in the recipe
    title: str  # in the table: "base", "+ SFT"
    sets: Mapping[str, SetResult] = field(default_factory=dict)  # evaluation set → result
    steps: int = 0  # optimizer steps
    trained: int = 0  # tokens trained on
    sampled: int = 0  # tokens sampled
    seconds: float = 0.0  # wall-clock
    data: str = ""  # "4,210 traces"
    new: bool = True  # made by this run; False where an earlier run's was taken
    start: str | None = None  # stage whose model it began with; None: that of the row before


@dataclass(frozen=True)
class Measured:
    """The numbers of a stage on a set; nan where no problem has a value."""

    mean: float  # avg@k, 0 to 1
    low: float  # ends of its 95% bootstrap interval over problems
    high: float
    problems: int  # with a value
    solved: float  # share of the problems with a correct sample: pass@k, of the k samples that there are
    before: str | None = None  # title of the stage that it is compared with
    gain: Difference | None = None  # None without a stage before, or without a common problem


def with_true_steps(rows: Sequence[StageResult]) -> list[StageResult]:
    """The rows with a further set behind each set where answers have checkable steps.

    Its values are the shares of answers that are right with all steps true, so that every stage is compared
    by them as it is by right answers.
    """
    known = {name for row in rows for name, of in row.sets.items() if of.with_steps}
    found = []
    for row in rows:
        sets: dict[str, SetResult] = {}
        for name, of in row.sets.items():
            sets[name] = of
            if name in known and of.true_steps is not None:
                sets[beside(name)] = SetResult(of.problems, of.true_steps, of.samples)
        found.append(replace(row, sets=sets))
    return found


def measure(rows: Sequence[StageResult]) -> list[dict[str, Measured]]:
    """For each row, evaluation set → its numbers, compared with the nearest row before that has the set.

    p is corrected for all gains of the table: of all its rows and sets.

    Raises DataError if a row begins with a stage that has no row before it.
    """
    if len({row.stage for row in rows}) < len(rows):
        raise DataError(f"two rows of the table have one name: {', '.join(row.stage for row in rows)}")
    before: dict[str, StageResult | None] = {}  # stage → the row that it began with
    named: dict[str, StageResult] = {}
    measured = []
    previous: StageResult | None = None
    for row in rows:
        if row.start is not None and row.start not in named:
            raise DataError(f"stage {row.stage} begins with {row.start}, which has no row before it")
        before[row.stage] = previous if row.start is None else named[row.start]
        found = {}
        for name, result in row.sets.items():
            other = before[row.stage]
            while other is not None and name not in other.sets:
                other = before[other.stage]
            found[name] = _measure(result, name, other)
        measured.append(found)
        named[row.stage] = previous = row
    every = [(place, name, one.gain) for place, found in enumerate(measured) for name, one in found.items()]
    gains = corrected({(place, name): gain for place, name, gain in every if gain})
    return [
        {name: replace(one, gain=gains.get((place, name))) for name, one in found.items()}
        for place, found in enumerate(measured)
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
    """A row's title inside of a sentence: "SFT" for "+ SFT"."""
    return title.removeprefix("+").strip()


def verdict(measured: Measured) -> str | None:
    """One sentence part on what a stage did to a set; None for a set's first row."""
    if measured.before is None:
        return None
    before, gain = plain(measured.before), measured.gain
    if gain is None:
        return f"not compared with {before}: no problem has a value in both"
    if gain.changed == 0:
        return f"no clear change: not one of {gain.pairs:,} problems differs from {before}"
    link = {Change.BETTER: "on", Change.WORSE: "than", Change.UNCLEAR: "from"}[gain.change]
    changed = f"{gain.changed:,} of {gain.pairs:,} problems changed"
    return f"{gain.change} {link} {before} ({gain.points}; {changed})"


def summary(rows: Sequence[StageResult]) -> str:
    """What each stage did as a Markdown list, and then which stages did not improve their model."""
    rows = with_true_steps(rows)
    lines, failed, compared = [], [], 0
    names = _sets(rows)
    for row, found in zip(rows, measure(rows), strict=True):
        said = {name: text for name in found if (text := verdict(found[name]))}
        compared += len(said)
        if said:
            parts = [text if len(names) == 1 else f"on {name} {text}" for name, text in said.items()]
            lines.append(f"- {plain(row.title)}: {'; '.join(parts)}")
        short = [name for name in said if not _better(found[name])]
        if short:
            where = f" (on {', '.join(short)})" if len(names) > 1 and len(short) < len(said) else ""
            failed.append(plain(row.title) + where)
    if compared:
        lines.append("")
        if failed:
            lines.append(f"Did not clearly improve the model that they began with: {', '.join(failed)}.")
        else:
            lines.append("Every stage that was compared improves the model that it began with.")
    return "\n".join(lines)


def _better(measured: Measured) -> bool:
    return measured.gain is not None and measured.gain.change is Change.BETTER


def _sets(rows: Sequence[StageResult]) -> list[str]:
    """Names of the evaluation sets, in the order that they first come in."""
    return list(dict.fromkeys(name for row in rows for name in row.sets))


def markdown(rows: Sequence[StageResult]) -> str:
    """The table, how to read it, and the summary. Raises DataError without a row."""
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
    for row, found in zip(rows, measured, strict=True):
        cells = [row.title if row.new else f"{row.title} †"]
        for name in names:
            cells += _cells(found.get(name))
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
    """What a reader of the numbers must know."""
    if _sets(rows):
        yield OVER_PROBLEMS
    yield from how_tested([one.gain for found in measured for one in found.values() if one.gain])
    if not all(row.new for row in rows):
        yield "† taken from before; its costs are those of its own run."
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
            yield f"Not all stages had the same problems of {name}: gains are over those that both have."


FIELDS = (
    "stage", "title", "set", "k", "problems", "unreached", "avg", "low", "high", "solved",
    "before", "gain", "gain_low", "gain_high", "gain_problems", "change", "p", "p_holm",
    "steps", "trained", "sampled", "seconds", "data", "new",
)  # fmt: skip


def csv_text(rows: Sequence[StageResult]) -> str:
    """A line for each stage and evaluation set, with plain numbers (shares, not percent); empty is unknown.

    A stage that was not evaluated has one line without a set.
    """
    file = io.StringIO()
    writer = csv.DictWriter(file, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    rows = with_true_steps(rows)
    for row, found in zip(rows, measure(rows), strict=True):
        cost = {name: getattr(row, name) for name in ("steps", "trained", "sampled", "seconds", "data")}
        line = {"stage": row.stage, "title": row.title, **cost, "new": int(row.new)}
        for name, measured in found.items():
            writer.writerow(line | {"set": name} | _numbers(row.sets[name], measured))
        if not found:
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
