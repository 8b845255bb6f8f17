"""Plots the stage-by-stage table."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from rlvr.base.files import atomic_write, write_text
from rlvr.results.curves import BLUE, GREEN, GREY, ORANGE
from rlvr.results.stage_table import (
    Measured,
    StageResult,
    csv_text,
    markdown,
    measure,
    with_true_steps,
)
from rlvr.statistics.change import Change

COLOURS = {
    None: (BLUE, "start"),
    Change.BETTER: (GREEN, Change.BETTER),
    Change.UNCLEAR: (GREY, Change.UNCLEAR),
    Change.WORSE: (ORANGE, Change.WORSE),
}
WRAPPED = 14  # characters of a title on one line


def panels(count: int, bars: int) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each evaluation set, up to three per row."""
    columns = min(count, 3)
    lines = -(-count // columns)
    width = max(5.0, 1.1 * bars + 1.2)
    figure = Figure(figsize=(min(width * columns, 15), 3.6 * lines + 0.4), dpi=150, layout="constrained")
    drawn = list(figure.subplots(lines, columns, squeeze=False).flat)
    for unused in drawn[count:]:
        unused.remove()
    return figure, drawn[:count]


def dress(axes: Axes, title: str, titles: Sequence[str]) -> None:
    """Set the title and axes that all panels share: stages on x, per cent on y."""
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xticks(range(len(titles)), [textwrap.fill(title, WRAPPED) for title in titles])
    axes.set_xlim(-0.6, len(titles) - 0.4)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.grid(axis="y", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def draw_stages(rows: Sequence[StageResult], picture: Path) -> None:
    """Plot avg@k by stage with its 95% interval, one panel per evaluation set; colours show the change."""
    rows = with_true_steps(rows)
    evaluated = [(row, by_set) for row, by_set in zip(rows, measure(rows), strict=True) if row.sets]
    rows, measured = [row for row, _ in evaluated], [by_set for _, by_set in evaluated]
    names = list(dict.fromkeys(name for by_set in measured for name in by_set))
    figure, drawn = panels(max(len(names), 1), max(len(rows), 1))
    used: dict[Change | None, None] = {}
    for axes, name in zip(drawn, names or [""], strict=True):
        ks = sorted({row.sets[name].samples for row in rows if name in row.sets})
        dress(
            axes,
            f"{name}, avg@{'/'.join(map(str, ks))}" if name else "not evaluated",
            [r.title for r in rows],
        )
        top = 0.0
        for place, by_set in enumerate(measured):
            if name in by_set and not math.isnan(by_set[name].mean):
                used[_bar(axes, place, by_set[name])] = None
                top = max(top, by_set[name].high)
        axes.set_ylim(0, 1.12 * top if top else 1)
    patches = [Patch(color=colour, label=label) for key, (colour, label) in COLOURS.items() if key in used]
    if patches:
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")


def _bar(axes: Axes, place: int, measured: Measured) -> Change | None:
    change = measured.gain.change if measured.gain else None
    mean, low, high = measured.mean, measured.low, measured.high
    axes.bar(place, mean, width=0.66, color=COLOURS[change][0])
    # by rounding, an end may lie slightly on the wrong side of the mean
    ends = [[max(mean - low, 0)], [max(high - mean, 0)]]
    axes.errorbar(place, mean, yerr=ends, color="black", capsize=4, linewidth=1.2)
    axes.annotate(
        f"{mean:.1%}", (place, high), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=9
    )
    return change


def write_table(folder: Path, rows: Sequence[StageResult]) -> str:
    """Write table.md, table.csv and table.png, each atomically, and return the text of table.md.

    Raises DataError without rows.
    """
    text = markdown(rows)
    for name, content in (("table.md", text), ("table.csv", csv_text(rows))):
        write_text(folder / name, content)
    draw_stages(rows, folder / "table.png")
    return text
