"""A data card: the sources and statistics of a set of traces, as Markdown and a picture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rlvr.base.files import atomic_write, write_text
from rlvr.base.text import aligned
from rlvr.traces.criteria import drawn_by, in_order
from rlvr.traces.traces import Trace
from rlvr.types import DataError, Status

GREEN, ORANGE, BLUE, GREY = "#2e8b57", "#d9822b", "#1f6fb4", "#6b6b6b"
_LABEL = 200  # characters shown of a name or value
_HEAD, _TAIL = 600, 300  # characters shown of a problem or an answer, at its start and end
_DOMAINS = 30  # domains with a row of their own
_MARKUP = re.compile(r"[\\`*\[\]<>|~&]|(?<![^\W_])_|_(?![^\W_])")


def write_card(folder: Path, traces: Sequence[Trace], about: Mapping[str, object]) -> Path:
    """Write card.md and its picture card.png into `folder`, and return the path of card.md.

    `about` describes how the traces were made (teacher, problems, sampling, verifier, …), in its order.
    Text written by a model is never rendered as Markdown. Raises DataError without traces.
    """
    if not traces:
        raise DataError(f"there are no traces to describe in {folder / 'card.md'}")
    with atomic_write(folder / "card.png") as temporary:
        _picture(traces).savefig(temporary, format="png", facecolor="white")
    sections = [
        "# Data card",
        _summary(traces),
        "\n".join(f"- {_plain(name)}: {_plain(str(value))}" for name, value in about.items()),
        "## Verdicts",
        _table(("status", "traces", "finished", "share"), _statuses(traces)),
        "## Domains",
        _table(("domain", "problems", "traces", "correct", "share correct"), _domains(traces)),
        "## Duplicates and overlaps",
        _dropped(traces),
        "## How hard, how long, how repetitive",
        "![pass rates, lengths and repetition](card.png)",
        _table(("length", "traces", "10%", "median", "90%", "longest"), _lengths(traces)),
        _units(traces),
        "## Examples",
        *_examples(traces),
    ]
    card = folder / "card.md"
    write_text(card, "\n\n".join(part for part in sections if part) + "\n")
    return card


def _summary(traces: Sequence[Trace]) -> str:
    problems = {trace.problem.id: trace for trace in traces}
    correct = sum(trace.status is Status.CORRECT for trace in traces)
    usable = sum(trace.status is Status.CORRECT and trace.dropped is None for trace in traces)
    rates = [trace.pass_rate for trace in problems.values() if trace.pass_rate is not None]
    sources = sorted({trace.source for trace in traces})
    parts = [
        f"{len(traces):,} answers to {len(problems):,} problems, by {', '.join(map(_plain, sources))}: "
        f"{correct:,} are correct, {usable:,} of these are neither duplicates nor overlap an evaluation set."
    ]
    if rates:
        mixed = sum(0 < rate < 1 for rate in rates)
        parts.append(
            f"Of {len(rates):,} problems whose pass rate is known, {sum(rate == 1 for rate in rates):,} are "
            f"always solved, {mixed:,} sometimes, {sum(rate == 0 for rate in rates):,} never; "
            f"the mean pass rate is {np.mean(rates):.1%}."
        )
    return " ".join(parts)


def _statuses(traces: Sequence[Trace]) -> list[tuple[str, ...]]:
    counts = Counter(trace.status for trace in traces)
    finished = Counter(trace.status for trace in traces if trace.finished)
    return [
        (str(status), f"{counts[status]:,}", f"{finished[status]:,}", f"{counts[status] / len(traces):.1%}")
        for status in Status
    ]


def _domains(traces: Sequence[Trace]) -> list[tuple[str, ...]]:
    """The domains with the most traces; all others share one row."""
    counts = Counter(trace.domain for trace in traces)
    ordered = sorted(counts, key=lambda domain: (-counts[domain], domain))
    shown = set(ordered[:_DOMAINS])
    names = [domain or "(none)" for domain in ordered[:_DOMAINS]]
    members = [[trace for trace in traces if trace.domain == domain] for domain in ordered[:_DOMAINS]]
    if len(ordered) > _DOMAINS:
        names.append(f"{len(ordered) - _DOMAINS:,} others")
        members.append([trace for trace in traces if trace.domain not in shown])
    rows: list[tuple[str, ...]] = []
    for name, own in zip(names, members, strict=True):
        problems = len({trace.problem.id for trace in own})
        correct = sum(trace.status is Status.CORRECT for trace in own)
        reached = sum(trace.status.reached for trace in own)
        share = f"{correct / reached:.1%}" if reached else "–"
        rows.append((name, f"{problems:,}", f"{len(own):,}", f"{correct:,}", share))
    return rows


def _dropped(traces: Sequence[Trace]) -> str:
    reasons = Counter(trace.dropped for trace in traces if trace.dropped is not None)
    if not reasons:
        return "No trace is marked as a duplicate or an overlap."
    rows = [(reason, f"{count:,}") for reason, count in sorted(reasons.items(), key=lambda i: (-i[1], i[0]))]
    return _table(("reason", "traces"), rows)


def _lengths(traces: Sequence[Trace]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, own in _correct_and_not(traces).items():
        if own:
            points = np.quantile([trace.length for trace in own], [0.1, 0.5, 0.9, 1])
            rows.append((name, f"{len(own):,}", *(f"{point:,.0f}" for point in points)))
    return rows


def _units(traces: Sequence[Trace]) -> str:
    counted = sum(trace.tokens is not None for trace in traces)
    if counted in (0, len(traces)):
        return f"Lengths are in {'tokens' if counted else 'words'}."
    return f"Lengths are in tokens for {counted:,} traces, in words for the others, whose tokens are unknown."


def _correct_and_not(traces: Sequence[Trace]) -> dict[str, list[Trace]]:
    return {
        "correct": [trace for trace in traces if trace.status is Status.CORRECT],
        "not correct": [trace for trace in traces if trace.status is not Status.CORRECT],
    }


def _examples(traces: Sequence[Trace]) -> list[str]:
    """A correct and a wrong answer that were not dropped: a random draw, keyed by problem and sample."""
    parts: list[str] = []
    for title, status in (("Correct", Status.CORRECT), ("Wrong", Status.WRONG)):
        own = [trace for trace in traces if trace.status is status and trace.dropped is None]
        if own:
            trace = min(own, key=lambda trace: (drawn_by(0, "card", trace), in_order(trace)))
            parts += [
                f"### {title}",
                f"Problem {_plain(trace.problem.id)}, whose answer is {_plain(trace.problem.answer)}:",
                _fenced(trace.problem.text),
                f"Answer {trace.sample} of {_plain(trace.source)} ({trace.status}: {_plain(trace.reason)}):",
                _fenced(trace.text),
            ]
    return parts or ["There are no correct or wrong answers to show."]


def _fenced(text: str) -> str:
    """`text`, shortened, in a code fence that it cannot close; invisible characters are escaped."""
    if len(text) > _HEAD + _TAIL:
        text = f"{text[:_HEAD]}\n… [{len(text) - _HEAD - _TAIL:,} characters left out] …\n{text[-_TAIL:]}"
    shown = "".join(char if char in "\n\t" else _visible(char) for char in text)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}"


def _plain(text: str) -> str:
    """`text` on one line, shortened, with Markdown escaped."""
    line = " ".join(text[: 2 * _LABEL].split())
    line = line if len(line) <= _LABEL else f"{line[: _LABEL - 1]}…"
    return _MARKUP.sub(r"\\\g<0>", "".join(map(_visible, line)))


def _visible(char: str) -> str:
    if char.isprintable():
        return char
    return " " if char.isspace() else char.encode("unicode_escape").decode()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return aligned([[_plain(cell) for cell in row] for row in (head, *rows)])


def _picture(traces: Sequence[Trace]) -> Figure:
    figure = Figure(figsize=(11, 3.4), dpi=150, layout="constrained")
    rates, lengths, repetition = figure.subplots(1, 3)
    pass_rates = {trace.problem.id: trace.pass_rate for trace in traces}
    known = [rate for rate in pass_rates.values() if rate is not None]
    rates.set_title("Pass rate", loc="left", fontweight="bold")
    rates.set_ylabel("problems")
    rates.set_xlabel("correct answers")
    if known:
        rates.hist(known, bins=np.linspace(0, 1, 12).tolist(), color=BLUE)
    else:
        rates.text(0.5, 0.5, "not known", transform=rates.transAxes, ha="center", color=GREY)
    rates.set_xlim(0, 1)
    rates.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    lengths.set_title("Length", loc="left", fontweight="bold")
    longest = max(trace.length for trace in traces)
    _histogram(lengths, {n: [t.length for t in own] for n, own in _correct_and_not(traces).items()}, longest)
    units = {trace.tokens is None for trace in traces}
    lengths.set_xlabel("tokens" if units == {False} else "words" if units == {True} else "tokens or words")
    lengths.set_ylabel("traces")
    repetition.set_title("Repetition", loc="left", fontweight="bold")
    _histogram(repetition, {n: [t.repetition for t in own] for n, own in _correct_and_not(traces).items()}, 1)
    repetition.set_xlabel("words in a repeated 8-gram")
    repetition.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    repetition.set_yscale("symlog", linthresh=1)  # a few repetitive answers among many must be visible
    repetition.set_ylim(bottom=0)
    for axes in (rates, lengths, repetition):
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _histogram(axes: Axes, kinds: Mapping[str, Sequence[float]], most: float) -> None:
    """The outline of each histogram, from 0 to `most`; not stacked, as a log scale distorts stacks."""
    axes.hist(
        list(kinds.values()),
        bins=np.linspace(0, max(most, 1e-9), 31).tolist(),
        histtype="step",
        linewidth=1.8,
        color=[GREEN, ORANGE],
        label=list(kinds),
    )
    axes.legend(frameon=False)
