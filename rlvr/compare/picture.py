"""Learning curves of the arms, over steps and over wall-clock."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rlvr.base.files import atomic_write
from rlvr.compare.results import BAND_SEEDS, ArmResult
from rlvr.compare.text import Numbers
from rlvr.results.curves import GREY, smoothed

# Okabe and Ito's colours, which colour-blind readers can distinguish; then the same with other line styles.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#8b6bb1")
LINES = ("-", "--", ":", "-.")
MOST_MARKED = 40  # points of a curve that are drawn as markers; a longer curve is smoothed
WIDEST = 70  # characters of a label in the legend


def draw(results: Sequence[ArmResult], metric: str, picture: Path, steps: str = "step") -> None:
    """One line per arm, the mean over its seeds, with a band; `steps` is the label of the left x axis."""
    unit, size = _time_unit([m.cost.seconds for result in results for m in result.moments])
    labels = _labels([result for result in results if result.moments])
    columns = 1 if max(map(len, labels), default=0) > WIDEST // 2 else 3
    height = 3.7 + 0.19 * -(-len(labels) // columns)
    figure = Figure(figsize=(11, height), dpi=150, layout="constrained")
    over_steps, over_time = figure.subplots(1, 2, sharey=True)
    for index, (result, label) in enumerate(
        zip((result for result in results if result.moments), labels, strict=True)
    ):
        style = {
            "color": COLOURS[index % len(COLOURS)],
            "linestyle": LINES[index // len(COLOURS) % len(LINES)],
        }
        values = np.array([(m.value.mean, m.value.low, m.value.high) for m in result.moments]).T
        times = np.array([m.cost.seconds / size for m in result.moments])
        _line(over_steps, np.array([m.step for m in result.moments]), values, style, label)
        if times.any():
            _line(over_time, times, values, style)
    for axes, label in ((over_steps, steps), (over_time, f"wall-clock of the steps, {unit}")):
        axes.set_xlabel(label)
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(left=0)
    over_steps.xaxis.set_major_locator(MaxNLocator(integer=True))
    over_steps.set_ylabel(metric)
    if Numbers(metric).share:
        over_steps.yaxis.set_major_formatter(PercentFormatter(xmax=1))
    if not over_time.lines:
        over_time.text(0.5, 0.5, "no time recorded", transform=over_time.transAxes, ha="center", color=GREY)
    figure.suptitle(_bands(results), fontsize=9, color=GREY)
    if labels:
        figure.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=columns)
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, format="png", facecolor="white", metadata={"Software": None})


def _time_unit(seconds: Sequence[float]) -> tuple[str, float]:
    """The unit of the time axis, and its length in seconds."""
    longest = max(seconds, default=0.0)
    return ("seconds", 1) if longest < 300 else ("minutes", 60) if longest < 5 * 3600 else ("hours", 3600)


def _line(
    axes: Axes,
    x: npt.NDArray[np.float64],
    values: npt.NDArray[np.float64],
    style: dict[str, Any],
    label: str = "",
) -> None:
    """`values` are mean, low and high [3, M]."""
    marker = "o" if len(x) <= MOST_MARKED else ""
    if len(x) > MOST_MARKED:
        values = np.stack([smoothed(row) for row in values])
    centre, low, high = values
    axes.plot(x, centre, marker=marker, markersize=3.5, linewidth=1.8, label=label or None, **style)
    if (high > low).any():
        axes.fill_between(x, low, high, color=style["color"], alpha=0.13, linewidth=0)


def _labels(results: Sequence[ArmResult]) -> list[str]:
    """Labels for the legend, without the words common to all; long ones keep their end, where arms differ."""
    words = [result.label.split(" ") for result in results]
    common = set(words[0]).intersection(*words) if len(words) > 1 else set()
    labels = []
    for result, parts in zip(results, words, strict=True):
        label = " ".join(part for part in parts if part not in common) or result.label
        label = label if len(label) <= WIDEST else f"…{label[1 - WIDEST :]}"
        count = len(result.used)
        # matplotlib hides a label that begins with an underscore, and reads $ as mathematics
        label = label.replace("$", "\\$").lstrip("_")
        labels.append(f"{label} ({count} seed{'s' if count != 1 else ''})")
    return labels


def _bands(results: Sequence[ArmResult]) -> str:
    counts = {len(result.used) for result in results if result.moments}
    parts = []
    if any(count >= BAND_SEEDS for count in counts):
        parts.append("95% interval of the mean over seeds (Student's t)")
    if 2 in counts:
        parts.append("both values where there are 2 seeds")
    return f"bands: {'; '.join(parts)}" if parts else "one seed each: no bands"
