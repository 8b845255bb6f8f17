"""A chapter for each stage, in the order in which they ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from rlvr.record.layout import MANIFEST
from rlvr.record.progress import duration
from rlvr.record.runs import RunRecord, StageRecord
from rlvr.report.charts import interval_chart
from rlvr.report.estimators import Panel, panels
from rlvr.report.journal import Journal
from rlvr.report.measures import Metrics, load_metrics, lookup
from rlvr.report.overview import EVALUATION, StageState, evaluated, read_json, state
from rlvr.report.result import Evaluation, Result, compared, in_stage, read_evaluation, tested
from rlvr.report.rollouts import Shown, choose, show
from rlvr.report.sections import Times, Verdicts, curves, times, verdicts


@dataclass(frozen=True)
class Chapter:
    name: str
    state: StageState
    tiles: list[tuple[str, str]]  # label, number
    results: list[Result]
    curves: list[Markup]
    panels: list[Panel]
    times: Times | None
    verdicts: Verdicts | None
    rollouts: list[Shown]
    kind: str  # kind of the journal that the rollouts are from: train or heldout
    missing: list[str]  # what could not be shown, and why

    @property
    def warnings(self) -> int:
        return sum(len(panel.warnings) for panel in self.panels)


@dataclass
class Parts:
    """The folder of a stage, and the evaluations of its model."""

    name: str
    stage: StageRecord | None = None  # None: its model was only evaluated
    evaluations: list[StageRecord] = field(default_factory=list)

    @property
    def key(self) -> str | None:
        """The stage's key, from the manifests; None if it is not known."""
        if self.stage:
            found = lookup(read_json(self.stage.folder / MANIFEST), "key")
        else:
            found = lookup(read_json(self.evaluations[0].folder / MANIFEST), "made_from.model")
        return str(found) if found else None


def parts(stages: Sequence[StageRecord]) -> list[Parts]:
    """The stages, each with its evaluations."""
    found: dict[str, Parts] = {}
    for stage in stages:
        name = stage.name.removesuffix(EVALUATION)
        entry = found.setdefault(name, Parts(name))
        if name == stage.name:
            entry.stage = stage
        else:
            entry.evaluations.append(stage)
    return list(found.values())


def chapters(run: RunRecord) -> tuple[list[Chapter], Markup]:
    """All chapters, and a chart of the evaluations after each stage (empty unless there are several)."""
    all_parts = parts(run.stages)
    measured = {entry.name: _evaluations(entry, run) for entry in all_parts}
    logged = {
        entry.name: load_metrics(entry.stage.folder) if entry.stage else (Metrics(), None)
        for entry in all_parts
    }
    inside = tested(
        {e.name: list(in_stage(e.stage, logged[e.name][0])) if e.stage else [] for e in all_parts}
    )
    between = tested({e.name: list(_between(e.name, measured, _start(e, all_parts))) for e in all_parts})
    found = [_chapter(run, e, *logged[e.name], inside[e.name] + between[e.name]) for e in all_parts]
    return found, _overall(measured)


def _evaluations(entry: Parts, run: RunRecord) -> dict[str, Evaluation]:
    """Set → result of the run's own evaluation; other runs' evaluations, of other sizes, may exist, too."""
    samples = lookup(run.config, "evaluation.samples")
    read = [(stage.folder, read_evaluation(stage.folder)) for stage in entry.evaluations]
    read = [(folder, found) for folder, found in read if found]
    fitting = [pair for pair in read if all(each.samples == samples for each in pair[1].values())] or read
    newest = max(fitting, key=lambda pair: pair[0].stat().st_mtime, default=(Path(), {}))
    return newest[1]


def _start(entry: Parts, all_parts: Sequence[Parts]) -> str | None:
    """The stage of the run whose model this one started from, by the manifest."""
    if entry.stage is None:
        return None
    key = lookup(read_json(entry.stage.folder / MANIFEST), "made_from.model")
    return next((other.name for other in all_parts if key and other.key == key), None)


def _overall(measured: Mapping[str, Mapping[str, Evaluation]]) -> Markup:
    sets = dict.fromkeys(name for found in measured.values() for name in found)
    charts = []
    for name in sets:
        rows = [found[name].interval(stage) for stage, found in measured.items() if name in found]
        title = f"{name}: share of correct answers after each stage, with 95% intervals"
        if len(rows) > 1:
            charts.append(interval_chart(title, rows))
    return Markup("").join(charts)


def _chapter(
    run: RunRecord, entry: Parts, metrics: Metrics, wrong: str | None, results: list[Result]
) -> Chapter:
    stage = entry.stage
    journal, kind = _journal(entry)
    missing = ([wrong] if wrong else []) + journal.broken
    chosen = choose(journal, metrics)
    chapter = Chapter(
        entry.name,
        state(run, stage, metrics) if stage else evaluated(entry.name, entry.evaluations),
        list(_tiles(results, metrics, journal)),
        results,
        curves(metrics),
        panels(metrics, run.config),
        times(metrics),
        verdicts(metrics, journal),
        show(journal, chosen),
        kind,
        missing,
    )
    missing.extend(_missing(chapter, stage, metrics, journal))
    return chapter


def _journal(entry: Parts) -> tuple[Journal, str]:
    """The rollouts that the stage was trained on, or else those of an evaluation; and their kind."""
    places = [entry.stage, *entry.evaluations] if entry.stage else entry.evaluations
    for kind in ("train", "heldout"):
        for place in places:
            if kind in place.journals():
                return Journal(place.folder, kind), kind
    return Journal(places[0].folder, "train"), "train"


def _between(
    name: str, measured: Mapping[str, Mapping[str, Evaluation]], start: str | None
) -> Iterator[Result]:
    """A stage's model compared with the one it started from, on each set."""
    for set_name, after in measured[name].items():
        before = measured[start].get(set_name) if start else None
        yield compared(set_name, before, after, f"after {start}", f"after {name}")


def _tiles(results: Sequence[Result], metrics: Metrics, journal: Journal) -> Iterator[tuple[str, str]]:
    for result in results:
        if result.before:
            yield f"{result.set}", f"{result.before.mean:.1%} → {result.after.mean:.1%}"
        else:
            yield f"{result.set}", f"{result.after.mean:.1%}"
        if result.gain:
            yield "gain, points", f"{100 * result.gain.mean:+.1f}"
    if metrics.last_step:
        yield "steps", f"{metrics.last_step:,}"
    if seconds := metrics.total("time/step"):
        yield "time in steps", duration(seconds)
    for label, name in (("tokens sampled", "tokens/sampled"), ("tokens trained on", "tokens/trained")):
        if count := metrics.total(name):
            yield label, f"{count:,.0f}"
    if journal.size:
        yield "rollouts kept", f"{journal.size:,}"


def _missing(
    chapter: Chapter, stage: StageRecord | None, metrics: Metrics, journal: Journal
) -> Iterator[str]:
    """What the chapter cannot show, and why."""
    if stage is None:
        return
    if not (stage.folder / "metrics.jsonl").exists():
        yield "no metrics.jsonl: no metrics were logged (a stage that only samples has none)"
    elif metrics.last_step is None and not chapter.missing:
        yield "metrics.jsonl has no steps yet"
    samples = bool(metrics.values("train/reward") or metrics.values("tokens/sampled"))
    if not journal.files and samples:
        yield "no journal of rollouts (record.journal: false, or it was removed): no rollouts, no reasons"
    if samples and not chapter.results:
        yield "no held-out evaluation: accuracy on other problems is not known"
    if journal.files and not journal.has("learner_logprobs") and metrics.values("learner/logprob_gap"):
        yield "an older journal, without the learner's log-probabilities: the widest gap is not shown"
