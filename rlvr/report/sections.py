"""Charts and tables of a stage's metrics: learning, rewards and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from markupsafe import Markup

from rlvr.evaluation.metrics import TRUE_STEPS
from rlvr.record.progress import duration
from rlvr.report.charts import Line, Part, line_chart, number, stack_chart
from rlvr.report.journal import Journal, Reason
from rlvr.report.measures import PHASES, Metrics
from rlvr.types import Status

# generate, reward, learn, publish, idle, evaluate, validate
PHASE_COLOURS = (0, 3, 2, 7, 5, 6, 1)
STATUS_COLOURS = {"correct": 2, "wrong": 1, "unparseable": 5, "timeout": 3, "crashed": 4}


def _line(metrics: Metrics, metric: str, name: str, colour: int) -> Line:
    return Line(name, *metrics.series(metric), colour)


def curves(metrics: Metrics) -> list[Markup]:
    """Learning curves: accuracy, reward, held-out, length, entropy, loss, as far as they were recorded."""
    charts = [
        heldout_chart(metrics),
        line_chart(
            "Accuracy on the training rollouts", _with_true_steps(metrics, "train/accuracy", 0), percent=True
        ),
        line_chart("Reward of the training rollouts", [_line(metrics, "train/reward", "", 1)]),
        line_chart(
            "Length in tokens",
            [
                _line(metrics, "rollouts/length", "all", 0),
                _line(metrics, "rollouts/length_correct", "correct", 2),
                _line(metrics, "rollouts/length_incorrect", "incorrect", 1),
            ],
        ),
        line_chart("Cut off at the token limit", [_line(metrics, "rollouts/truncated", "", 3)], percent=True),
        line_chart("Entropy, nats per token", [_line(metrics, "learner/entropy", "", 6)]),
    ]
    if not metrics.values("train/reward"):  # the value of a policy-gradient loss is not informative
        losses = [
            _line(metrics, "train/loss", "training", 0),
            _line(metrics, "validation/loss", "validation", 1),
        ]
        charts.append(line_chart("Loss", losses))
    return [chart for chart in charts if chart]


def heldout_chart(metrics: Metrics) -> Markup:
    """Held-out pass@1 with intervals, and where answers have steps, the share with all steps true."""
    lines = []
    for line, name in zip(
        _with_true_steps(metrics, "heldout/pass@1", 2), ("pass@1", TRUE_STEPS), strict=False
    ):
        pairs = list(zip(line.x, line.y, strict=True))
        low, high = (
            [metrics.steps[int(step)].get(f"heldout/{name}_{end}", value) for step, value in pairs]
            for end in ("low", "high")
        )
        lines.append(replace(line, low=low, high=high))
    return line_chart("Held-out pass@1, with 95% intervals", lines, percent=True)


def _with_true_steps(metrics: Metrics, metric: str, colour: int) -> list[Line]:
    """The share of right answers, and where answers have checkable steps, of those with all steps true."""
    steps = f"{metric.partition('/')[0]}/{TRUE_STEPS}"
    if not metrics.values(steps):
        return [_line(metrics, metric, "", colour)]
    return [_line(metrics, metric, "right", colour), _line(metrics, steps, "right, all steps true", 3)]


@dataclass(frozen=True)
class Times:
    per_step: Markup  # empty, like `total`, if there is only one phase
    total: Markup
    rows: list[tuple[str, str, str]]  # phase, time, share
    rates: list[tuple[str, str]]  # what, per second


def times(metrics: Metrics) -> Times | None:
    """Time per phase; None if none was measured. Evaluation is not part of `time/step`."""
    found = {phase: metrics.total(f"time/{phase}") for phase in PHASES if metrics.values(f"time/{phase}")}
    whole = sum(found.values())
    if not whole:
        return None
    steps = list(metrics.steps)
    parts, once = [], []
    for phase, colour in zip(PHASES, PHASE_COLOURS, strict=True):
        by_step = [max(metrics.steps[step].get(f"time/{phase}", 0.0), 0.0) for step in steps]
        parts.append(Part(phase, by_step, colour))
        once.append(Part(phase, [sum(by_step)], colour))
    several = len(found) > 1
    return Times(
        stack_chart("Share of the time, per step", steps, parts, width=760) if several else Markup(""),
        stack_chart("In total", [0], once, width=240) if several else Markup(""),
        [(phase, duration(seconds), f"{seconds / whole:.1%}") for phase, seconds in found.items()],
        list(_rates(metrics, found)),
    )


def _rates(metrics: Metrics, phases: Mapping[str, float]) -> list[tuple[str, str]]:
    sampled, step = metrics.total("tokens/sampled"), metrics.total("time/step")
    trained = metrics.total("tokens/trained") or metrics.total("learner/tokens")
    rates = [
        ("tokens sampled per second of generation", sampled, phases.get("generate", 0.0)),
        ("tokens trained on per second of learning", trained, phases.get("learn", 0.0)),
        ("tokens sampled per second of a step", sampled, step),
    ]
    return [(what, f"{tokens / seconds:,.0f}") for what, tokens, seconds in rates if tokens and seconds]


@dataclass(frozen=True)
class Verdicts:
    charts: list[Markup]
    totals: list[tuple[str, str, str]]  # status, count, share
    reasons: list[Reason] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    service: list[tuple[str, str]] = field(default_factory=list)


def verdicts(metrics: Metrics, journal: Journal) -> Verdicts | None:
    """Rewards by function, verdicts by status, and reward service statistics; None if nothing was judged.

    Statuses come from the metrics, or from the journal if the stage has no metrics.
    """
    steps, counts = _statuses(metrics, journal)
    parts = metrics.names("reward/")
    whole = sum(sum(values) for values in counts.values())
    if not whole and not parts:
        return None
    stack = [Part(name, values, STATUS_COLOURS.get(name, 7)) for name, values in counts.items()]
    gates = metrics.names("gates/")
    charts = [
        line_chart("Mean of each reward function", _named(metrics, parts)),
        line_chart("Reward withheld by a gate", _named(metrics, gates), percent=True),
        stack_chart("Verdicts", steps, stack) if len(steps) > 1 else Markup(""),
    ]
    totals = [(name, sum(values)) for name, values in counts.items()]
    return Verdicts(
        [chart for chart in charts if chart],
        [(name, f"{count:,.0f}", f"{count / whole:.2%}") for name, count in totals] if whole else [],
        journal.reasons(),
        [(why, f"{count:,}") for why, count in journal.left_out()],
        _service(metrics),
    )


def _statuses(metrics: Metrics, journal: Journal) -> tuple[list[int], dict[str, list[float]]]:
    names = metrics.names("verdicts/")
    if names:
        steps = metrics.series(names[0])[0]
        return steps, {
            name.removeprefix("verdicts/"): [metrics.steps[step].get(name, 0.0) for step in steps]
            for name in names
        }
    counted = journal.statuses()
    steps = list(counted[str(Status.CORRECT)])
    return steps, {name: [float(count) for count in by_step.values()] for name, by_step in counted.items()}


def _named(metrics: Metrics, names: Sequence[str]) -> list[Line]:
    return [_line(metrics, name, name.partition("/")[2], index % 8) for index, name in enumerate(names)]


def _service(metrics: Metrics) -> list[tuple[str, str]]:
    """Totals of counts, maxima of maxima, means of percentiles; empty if no check was counted."""
    checks = metrics.total("rewards/checks")
    if not checks:
        return []

    def mean(name: str) -> str:
        return _milliseconds(fmean(metrics.values(f"rewards/{name}") or [0.0]))

    def largest(name: str) -> str:
        return _milliseconds(max(metrics.values(f"rewards/{name}"), default=0.0))

    hits, misses = metrics.total("rewards/cache_hits"), metrics.total("rewards/cache_misses")
    rows = [
        ("checks, held-out ones included", f"{checks:,.0f}"),
        ("seconds in checks", f"{metrics.total('rewards/seconds'):,.2f}"),
        (
            "latency: median, p99, max",
            f"{mean('latency_p50')}, {mean('latency_p99')}, {largest('latency_max')}",
        ),
        ("queue: median, p99, max", f"{mean('queue_p50')}, {mean('queue_p99')}, {largest('queue_max')}"),
        (
            "timeouts, crashes",
            f"{metrics.total('rewards/timeout'):,.0f}, {metrics.total('rewards/crashed'):,.0f}",
        ),
        ("worker restarts", f"{metrics.total('rewards/respawns'):,.0f}"),
    ]
    if hits + misses:
        rows.append(
            ("comparisons answered from the cache", f"{hits / (hits + misses):.1%} of {hits + misses:,.0f}")
        )
    return rows


def _milliseconds(seconds: float) -> str:
    return f"{number(1000 * seconds)} ms"
