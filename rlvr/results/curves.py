"""Plots the learning curves of a run, from its metrics alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from rlvr.base.files import atomic_write
from rlvr.record.runs import stage_folder
from rlvr.record.sinks import Steps, read_metrics
from rlvr.types import DataError

BLUE, ORANGE, GREEN, GREY = "#1f6fb4", "#d9822b", "#2e8b57", "#6b6b6b"
LABELS = {
    "train/accuracy": "accuracy",
    "train/true_steps": "right, all steps true",
    "train/reward": "reward",
    "heldout/pass@1": "pass@1",
    "heldout/true_steps": "right, all steps true",
}


def plot_curves(run_path: Path) -> Path:
    """Write curves.png next to the metrics of a run (its RL stage) or of a stage, and return its path.

    Left: reward and accuracy of the training rollouts per step, with a smoothed line. Right: held-out
    pass@1 with its 95% interval, and a line for the model that the stage started from. Raises DataError
    without metrics.
    """
    folder = stage_folder(run_path, "rl") or run_path
    steps = read_metrics(folder / "metrics.jsonl")
    if not any(
        name in metrics for metrics in steps.values() for name in ("train/accuracy", "heldout/pass@1")
    ):
        raise DataError(f"{folder}/metrics.jsonl has neither train/accuracy nor heldout/pass@1 to draw")
    figure = Figure(figsize=(10, 3.8), dpi=150, layout="constrained")
    training, heldout = figure.subplots(1, 2)
    _training(training, steps)
    _heldout(heldout, steps, start="SFT start" if stage_folder(run_path, "sft") else "start")
    last = max(1, *steps)
    for axes in (training, heldout):
        axes.set_xlabel("RL step")
        axes.set_xlim(-0.02 * last, 1.02 * last)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, loc="best")
    picture = folder / "curves.png"
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")
    return picture


def _training(axes: Axes, steps: Steps) -> None:
    axes.set_title("Training rollouts", loc="left", fontweight="bold")
    for name, colour in (("train/accuracy", BLUE), ("train/true_steps", GREEN), ("train/reward", ORANGE)):
        x, y = _series(steps, name)
        if len(x):
            axes.plot(x, y, color=colour, alpha=0.3, linewidth=0.8)
            axes.plot(x, smoothed(y), color=colour, linewidth=2, label=LABELS[name])
    axes.set_ylabel("mean over the step's rollouts")


def _heldout(axes: Axes, steps: Steps, start: str) -> None:
    axes.set_title("Held-out problems", loc="left", fontweight="bold")
    axes.set_ylabel("pass@1")
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    x, y = _series(steps, "heldout/pass@1")
    if not len(x):
        axes.text(0.5, 0.5, "not evaluated", transform=axes.transAxes, ha="center", color=GREY)
        return
    for name, colour in (("heldout/true_steps", ORANGE), ("heldout/pass@1", GREEN)):
        _with_interval(axes, steps, name, colour)
    if x[0] == 0:
        axes.axhline(y[0], color=GREY, linestyle="--", linewidth=1.2, label=f"{start}, {y[0]:.1%}", zorder=1)
    if len(x) > 1:
        axes.annotate(f"{y[-1]:.1%}", (x[-1], y[-1]), xytext=(-8, 8), textcoords="offset points", ha="right")


def _with_interval(axes: Axes, steps: Steps, name: str, colour: str) -> None:
    x, y = _series(steps, name)
    ends = [[steps[step].get(f"{name}_{end}") for step in x] for end in ("low", "high")]
    # If an end of the interval was not recorded, use the value itself.
    low, high = ([value if end is None else end for end, value in zip(side, y, strict=True)] for side in ends)
    if len(x):
        axes.errorbar(
            x, y, yerr=[y - low, high - y], color=colour, marker="o", markersize=5, linewidth=1.6, capsize=3,
            label=f"{LABELS[name]}, 95% interval",
        )  # fmt: skip


def _series(steps: Steps, name: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The steps at which the metric was measured and is finite, and its values."""
    points = [(step, value) for step, metrics in steps.items() if (value := metrics.get(name)) is not None]
    return np.array([step for step, _ in points], np.int64), np.array(
        [value for _, value in points], np.float64
    )


def smoothed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Centred Gaussian mean over about a twentieth of the curve; at the ends, weights are renormalized."""
    width = max(1.0, len(values) / 40)
    reach = round(3 * width)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    inside = slice(reach, reach + len(values))
    return np.convolve(values, weights)[inside] / np.convolve(np.ones_like(values), weights)[inside]
