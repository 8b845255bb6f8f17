"""The results of an audit as JSON and as a table, and whether they meet the bounds."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from rlvr.audit.audit import Audit
from rlvr.audit.config import AuditSettings
from rlvr.audit.probes import FAMILIES, RIGHT, WRONG, Family
from rlvr.audit.rates import Outcome, Rate, error_rate
from rlvr.audit.rollouts import Rejudged
from rlvr.types import Problem, Status, Verdict

POPULATION = (
    "constructed completions for a random draw of problems, each family and kind as often as possible; "
    "they are not written by a model, so these are error rates per kind of completion, not of a training run"
)
INTERVAL = "Wilson score, 95%; somewhat too narrow, as completions of one problem are correlated"
PASSES = (
    "the verdict is correct (numbers alone: above 0) and the reward is at least half-way from the worst "
    "near miss to the best marked gold of the same problem"
)
_PER_KIND = 3  # errors of one kind in the report
_KEPT = 30  # disagreements in the report, and references of ambiguous kind
_ASKED = 8  # references of ambiguous kind that the terminal shows
_LINES = 8  # reasons for no trust that the terminal shows
_CUT = 400  # characters of a completion in the report
_SHOWN = 200  # characters of a completion in the terminal


def make_report(audit: Audit, settings: AuditSettings) -> dict[str, Any]:
    """The content of audit.json, except for its provenance. Rates are null if nothing was tested.

    `false_positive_rate` is over near misses and hacks, `false_negative_rate` over golds and rewritings.
    """
    outcomes = audit.outcomes
    by_family = {name: [o for o in outcomes if o.probe.family == name] for name in FAMILIES}
    positives = error_rate([*by_family["near miss"], *by_family["hack"]])
    negatives = error_rate([outcome for name in RIGHT for outcome in by_family[name]])
    ordinary = [o for o in outcomes if o.probe.family != "hostile"]
    statuses = Counter(str(outcome.verdict.status) for outcome in outcomes)
    report: dict[str, Any] = {
        "false_positive_rate": _number(positives.value),
        "false_positive_interval": _interval(positives),
        "false_negative_rate": _number(negatives.value),
        "false_negative_interval": _interval(negatives),
        "population": POPULATION,
        "interval": INTERVAL,
        "passes": PASSES,
        "problems": len(audit.problems),
        "kinds": dict(Counter(gold.kind.value for gold in audit.golds).most_common()),
        "unsure": _unsure(audit),
        "completions": len(outcomes),
        "planned": audit.planned,
        "statuses": {str(status): statuses[str(status)] for status in Status},
        "seconds": _latency(ordinary),
        "seconds_hostile": _latency(by_family["hostile"]),
        "families": {name: _family(found) for name, found in by_family.items()},
        "second_opinion": _second_opinion(audit.second),
        "errors": [_shown(outcome) for outcome in _worst(outcomes)],
        "rollouts": _rollouts(audit.rollouts),
    }
    report["failures"] = list(_failures(report, settings))
    report["trusted"] = not report["failures"]
    return report


def print_report(report: Mapping[str, Any], shown: int, console: Console) -> None:
    """Print the error rates by family, examples of errors, and whether the reward can be trusted."""
    table = Table(title=f"{report['completions']:,} completions of {report['problems']} problems")
    for column in ("completions", "should", "n", "errors", "rate (95%)", "unreached"):
        table.add_column(column, justify="left" if column in ("completions", "should") else "right")
    for name, family in report["families"].items():
        table.add_row(name, "fail" if name in WRONG else "pass", *_cells(family), style="bold")
        for kind, found in family["kinds"].items():
            if found["errors"] or found["unreached"]:
                table.add_row(f"  {escape(kind)}", "", *_cells(found))
    console.print(table)
    counts = ", ".join(f"{kind} {n}" for kind, n in report["kinds"].items())
    console.print(f"kinds of references: {counts}", highlight=False)
    for doubt in report["unsure"]["shown"][:_ASKED]:
        question = f"is {doubt['reference']!r} ({doubt['problem']}) {doubt['doubt']}? read as {doubt['kind']}"
        console.print(question, style="yellow", markup=False, highlight=False)
    for title, name in (("false positives", "false_positive"), ("false negatives", "false_negative")):
        rate = _share(report[f"{name}_rate"], report[f"{name}_interval"])
        console.print(f"{title}: {rate}", highlight=False)
    for title, name in (("a check", "seconds"), ("a hostile check", "seconds_hostile")):
        if report[name]:
            times = ", ".join(f"{point} {1000 * value:.1f} ms" for point, value in report[name].items())
            console.print(f"{title} took: {times}", highlight=False)
    second = report["second_opinion"]
    if second["n"]:
        console.print(
            f"math-verify disagrees on {second['disagreements']} of {second['n']} completions; "
            f"by construction, the reward is right on {second['reward_right']} of these",
            highlight=False,
        )
    if report["rollouts"]["n"]:
        found = ", ".join(f"{name} {value}" for name, value in report["rollouts"].items() if name != "shown")
        console.print(f"rollouts: {found}", highlight=False)
    kinds = {(error["family"], error["kind"]): error for error in reversed(report["errors"])}
    for error in [*reversed(kinds.values()), *report["rollouts"]["shown"]][:shown]:
        said = f"{error['status']}, reward {error['reward']}: {error['reason']}"
        console.print(f"\n[bold]{error['family']}, {escape(error['kind'])}[/] ({escape(error['problem'])})")
        console.print(f"  reference   {error['reference']!r}", markup=False, highlight=False)
        console.print(f"  completion  {_brief(repr(error['completion']))}", markup=False, highlight=False)
        console.print(f"  verdict     {_brief(said)}", markup=False, highlight=False)
    if len(report["errors"]) > min(shown, len(kinds)):
        console.print("\nmore errors are in the report", highlight=False)
    for failure in report["failures"][:_LINES]:
        console.print(f"not trusted: {failure}", style="red", markup=False, highlight=False)
    if len(report["failures"]) > _LINES:
        more = len(report["failures"]) - _LINES
        console.print(f"not trusted: … and {more} further reasons", style="red", highlight=False)
    if report["trusted"]:
        console.print("trusted: all thresholds are met", style="green", highlight=False)


def _failures(report: Mapping[str, Any], settings: AuditSettings) -> Iterator[str]:
    """One line for every threshold that is not met."""
    unreached = report["statuses"]["timeout"] + report["statuses"]["crashed"]
    if unreached > settings.max_unreached:
        yield (
            f"{unreached} checks did not finish, so the audit ended after {report['completions']:,} of "
            f"{report['planned']:,} completions (audit.max_unreached={settings.max_unreached})"
        )
    for name, most in (
        ("false_positive_rate", settings.max_false_positive_rate),
        ("false_negative_rate", settings.max_false_negative_rate),
    ):
        rate = report[name]
        if rate is None:
            yield f"{name} is unknown: none of its checks finished"
        elif rate > most:
            yield f"{name} is {rate:.2%} (audit.max_{name}={most:g})"
    unsure, most = report["unsure"], settings.max_unsure_rate
    if unsure["n"] > most * report["problems"]:
        first = unsure["shown"][0]
        yield (
            f"the kind of {unsure['n']} of {report['problems']} references is ambiguous, such as "
            f"{first['reference']!r} ({first['doubt']}): set `kind` of the reward, or add a column of "
            f"that name (audit.max_unsure_rate={most:g})"
        )
    most = settings.max_kind_false_positive_rate
    for family in WRONG:
        for kind, found in report["families"][family]["kinds"].items():
            if found["rate"] is not None and found["rate"] > most:
                share = f"{found['rate']:.0%} of {family} {kind!r} pass"
                yield f"{share} (audit.max_kind_false_positive_rate={most:g})"
    p99 = report["seconds"].get("p99", 0.0)
    if p99 > settings.max_p99_seconds:
        yield f"p99 of a check is {p99:.2f} s (audit.max_p99_seconds={settings.max_p99_seconds:g})"


def _unsure(audit: Audit) -> dict[str, Any]:
    """The number of references of ambiguous kind, and examples with different texts."""
    by_text = {
        gold.text: (problem.id, gold)
        for problem, gold in zip(audit.problems, audit.golds, strict=True)
        if gold.doubt
    }
    return {
        "n": sum(bool(gold.doubt) for gold in audit.golds),
        "shown": [
            {"problem": name, "reference": gold.text, "kind": gold.kind.value, "doubt": gold.doubt}
            for name, gold in list(by_text.values())[:_KEPT]
        ],
    }


def _family(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    kinds: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        kinds.setdefault(outcome.probe.kind, []).append(outcome)
    return {
        **_rate(error_rate(outcomes)),
        "kinds": {kind: _rate(error_rate(found)) for kind, found in kinds.items()},
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "n": rate.n,
        "errors": rate.errors,
        "rate": _number(rate.value),
        "interval": _interval(rate),
        "unreached": rate.unreached,
    }


def _latency(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Seconds per check, including time-outs."""
    times = [outcome.verdict.seconds for outcome in outcomes]
    if not times:
        return {}
    p50, p99 = np.quantile(times, [0.5, 0.99])
    return {"p50": float(p50), "p99": float(p99), "max": max(times)}


def _second_opinion(second: Sequence[tuple[Outcome, Verdict]]) -> dict[str, Any]:
    differing = [(o, verdict) for o, verdict in second if o.passed != (verdict.status == Status.CORRECT)]
    differing.sort(key=lambda item: not item[0].error)  # first those where math-verify is right
    kinds = Counter(f"{outcome.probe.family}: {outcome.probe.kind}" for outcome, _ in differing)
    return {
        "verifier": "math-verify 0.9.0, on golds, rewritings and near misses of mathematical answers",
        "n": len(second),
        "disagreements": len(differing),
        "reward_right": sum(not outcome.error for outcome, _ in differing),
        "kinds": dict(kinds.most_common()),
        "shown": [
            {**_shown(outcome), "second": f"{verdict.status}: {verdict.reason}"}
            for outcome, verdict in differing[:_KEPT]
        ],
    }


def _rollouts(rejudged: Sequence[Rejudged]) -> dict[str, Any]:
    """The reward's verdicts on a model's completions; the most suspicious are shown."""
    strange = sorted((r for r in rejudged if r.strangeness), key=lambda r: -r.strangeness)
    return {
        "n": len(rejudged),
        "correct": sum(r.verdict.status == Status.CORRECT for r in rejudged),
        "asked_second": sum(r.second is not None for r in rejudged),
        "only_reward_correct": sum(r.strangeness == 3 for r in rejudged),
        "only_second_correct": sum(r.strangeness == 2 for r in rejudged),
        "unreached": sum(r.strangeness == 1 for r in rejudged),
        "shown": [
            {
                "family": "rollout",
                "kind": ("", "unreached", "only math-verify says correct", "only the reward says correct")[
                    r.strangeness
                ],
                **_sample(r.problem, r.completion, r.verdict),
            }
            for r in strange[:_KEPT]
        ],
    }


def _worst(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Some errors and unfinished checks of every kind; kinds with the highest share first."""
    kinds: dict[tuple[Family, str], list[Outcome]] = {}
    totals = Counter((outcome.probe.family, outcome.probe.kind) for outcome in outcomes)
    for outcome in outcomes:
        if outcome.error or outcome.passed is None:
            kinds.setdefault((outcome.probe.family, outcome.probe.kind), []).append(outcome)
    ordered = sorted(kinds, key=lambda kind: -len(kinds[kind]) / totals[kind])
    return [outcome for kind in ordered for outcome in kinds[kind][:_PER_KIND]]


def _shown(outcome: Outcome) -> dict[str, Any]:
    probe = outcome.probe
    sample = _sample(probe.problem, probe.completion, outcome.verdict)
    return {"family": probe.family, "kind": probe.kind, **sample}


def _sample(problem: Problem, text: str, verdict: Verdict) -> dict[str, Any]:
    if len(text) > _CUT:
        text = f"{text[: _CUT // 2]} … [{len(text):,} characters] … {text[-_CUT // 4 :]}"
    return {
        "problem": problem.id,
        "reference": problem.answer,
        "completion": text,
        "status": str(verdict.status),
        "reward": verdict.reward,
        "reason": verdict.reason[:_CUT],
    }


def _brief(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]} … {text[-_SHOWN // 2 :]}"


def _cells(found: Mapping[str, Any]) -> tuple[str, str, str, str]:
    rate = _share(found["rate"], found["interval"], digits=1)
    return f"{found['n']:,}", f"{found['errors']:,}", rate, str(found["unreached"] or "")


def _share(rate: float | None, interval: Sequence[float] | None, digits: int = 2) -> str:
    if rate is None or interval is None:
        return "–"
    low, high = (f"{100 * end:.{digits}f}" for end in interval)
    return f"{rate:.{digits}%} ({low}–{high})"


def _interval(rate: Rate) -> list[float] | None:
    return list(rate.interval) if rate.n else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
