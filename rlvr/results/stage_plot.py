"""The stage-by-stage table as a picture."""

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
    """A figure with a panel for each evaluation set, side by side in rows of up to three."""
    columns = min(count, 3)
    lines = -(-count // columns)
    width = max(5.0, 1.1 * bars + 1.2)
    figure = Figure(figsize=(min(width * columns, 15), 3.6 * lines + 0.4), dpi=150, layout="constrained")
    drawn = list(figure.subplots(lines, columns, squeeze=False).flat)
    for unused in drawn[count:]:
        unused.remove()
    return figure, drawn[:count]


def dress(axes: Axes, title: str, titles: Sequence[str]) -> None:
    """What all panels share: stages below, per cent at the side."""
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xticks(range(len(titles)), [textwrap.fill(title, WRAPPED) for title in titles])
    axes.set_xlim(-0.6, len(titles) - 0.4)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.grid(axis="y", alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def draw_stages(rows: Sequence[StageResult], picture: Path) -> None:
    """avg@k by stage with its 95% interval, a panel for each evaluation set; colours say what changed."""
    rows = with_true_steps(rows)
    evaluated = [(row, found) for row, found in zip(rows, measure(rows), strict=True) if row.sets]
    rows, measured = [row for row, _ in evaluated], [found for _, found in evaluated]
    names = list(dict.fromkeys(name for found in measured for name in found))
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
        for place, found in enumerate(measured):
            if name in found and not math.isnan(found[name].mean):
                used[_bar(axes, place, found[name])] = None
                top = max(top, found[name].high)
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
    # rounding may put an end a hair on the wrong side of the mean
    ends = [[max(mean - low, 0)], [max(high - mean, 0)]]
    axes.errorbar(place, mean, yerr=ends, color="black", capsize=4, linewidth=1.2)
    axes.annotate(
        f"{mean:.1%}", (place, high), xytext=(0, 4), textcoords="offset points", ha="center", fontsize=9
    )
    return change


def write_table(folder: Path, rows: Sequence[StageResult]) -> str:
    """Write table.md, table.csv and table.png, each whole or not at all; the text of the first.

    Raises DataError without a row.
    """
    text = markdown(rows)
    for name, content in (("table.md", text), ("table.csv", csv_text(rows))):
        write_text(folder / name, content)
    draw_stages(rows, folder / "table.png")
    return text
