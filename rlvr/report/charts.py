"""Charts as inline SVG. Colours and fonts come from the page's style, so they follow its light or dark theme.

A `Line` or `Part` has a number from 0 to 7 as its colour. Every text is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from markupsafe import Markup, escape

POINTS = 240  # points of a line; more are averaged in equal runs of steps
BINS = 30  # points of the smoothed line that is drawn over many points
COLUMNS = 80  # columns of a stacked chart
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 8, 24  # around the plot, in the units of the view box

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """y over x, finite, sorted by x. `low` and `high` are the ends of an interval at each point."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: int = 0
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Part:
    """One layer of a stack."""

    name: str
    values: Sequence[float]  # ≥ 0, at each x
    colour: int = 0


@dataclass(frozen=True)
class Interval:
    name: str
    mean: float
    low: float
    high: float


def number(value: float, percent: bool = False) -> str:
    """A number in few characters: 45.2%, 1,200, 12M, 0.034, 1.5e-07."""
    if not math.isfinite(value):
        return "–"
    if percent:
        shown = 100 * value
        return f"{shown:.0f}%" if abs(shown - round(shown)) < 1e-6 else f"{shown:.1f}%"
    size = abs(value)
    if size >= 1e6:
        return f"{value / 1e6:,.3g}M"
    if size >= 1000:
        return f"{value:,.0f}"
    if size and size < 1e-3:
        return f"{value:.1e}"
    return f"{value:.3g}"


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) inside [low, high]."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def binned(x: Sequence[float], y: Sequence[float], bins: int) -> tuple[FloatArray, FloatArray]:
    """Means of x and y over `bins` runs of neighbours of about equal size; all points if they are fewer."""
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if len(xs) <= bins:
        return xs, ys
    edges = np.linspace(0, len(xs), bins + 1).round().astype(int)
    counts = np.diff(edges)
    return np.add.reduceat(xs, edges[:-1]) / counts, np.add.reduceat(ys, edges[:-1]) / counts


class Axes:
    """Maps data to view-box coordinates, and draws the frame."""

    def __init__(
        self, x: tuple[float, float], y: tuple[float, float], width: int, height: int, percent: bool
    ) -> None:
        self.x_low, self.x_high = x if x[1] > x[0] else (x[0] - 0.5, x[0] + 0.5)
        self.y_low, self.y_high = y
        self.width, self.height, self.percent = width, height, percent

    def px(self, value: float) -> float:
        share = (value - self.x_low) / (self.x_high - self.x_low)
        return LEFT + share * (self.width - LEFT - RIGHT)

    def py(self, value: float) -> float:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return self.height - BOTTOM - share * (self.height - TOP - BOTTOM)

    def frame(self, x_about: int = 6, y_about: int = 4) -> str:
        parts = []
        for value in ticks(self.y_low, self.y_high, y_about):
            y = self.py(value)
            parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{self.width - RIGHT}"/>')
            text = number(value, self.percent)
            parts.append(f'<text class="tick end" x="{LEFT - 6}" y="{y + 3.5:.1f}">{text}</text>')
        for value in ticks(self.x_low, self.x_high, x_about) if x_about else ():
            if value == round(value):
                x = self.px(value)
                parts.append(f'<text class="tick mid" x="{x:.1f}" y="{self.height - 7}">{value:,.0f}</text>')
        base = self.height - BOTTOM
        parts.append(f'<path class="axis" d="M{LEFT} {base}H{self.width - RIGHT}"/>')
        return "".join(parts)

    def path(self, x: Sequence[float] | FloatArray, y: Sequence[float] | FloatArray) -> str:
        return "M" + "L".join(f"{self.px(a):.1f} {self.py(b):.1f}" for a, b in zip(x, y, strict=True))


def _y_range(lines: Sequence[Line], percent: bool) -> tuple[float, float]:
    values = [value for line in lines for row in (line.y, line.low, line.high) for value in row or ()]
    low, high = min(values), max(values)
    if percent:
        return 0.0, 1.0 if high > 0.5 else high * 1.1 or 0.05
    if 0 < low < 0.6 * high:
        low = 0.0
    # nearly equal values are drawn as equal: a ratio of 1 ± 1e-8 is a straight line
    room = max(0.08 * (high - low), 0.02 * max(abs(low), abs(high))) or 1.0
    return (low if low == 0 else low - room), high + room


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    percent: bool = False,
    width: int = 480,
    height: int = 210,
) -> Markup:
    """Lines over steps; a line of many points is drawn thin, with a smoothed one of `BINS` means over it."""
    lines = [line for line in lines if len(line.x)]
    if not lines:
        return Markup("")
    ends = [end for line in lines for end in (line.x[0], line.x[-1])]
    axes = Axes((min(ends), max(ends)), _y_range(lines, percent), width, height, percent)
    drawn = "".join(_line(axes, line) for line in lines)
    small = width < 400
    return _figure(
        title,
        [(line.name, line.colour) for line in lines] if len(lines) > 1 or lines[0].name else [],
        axes.frame(4 if small else 6, 3 if small else 4) + drawn,
        width,
        height,
    )


def _line(axes: Axes, line: Line) -> str:
    parts = []
    if line.low is not None and line.high is not None:
        for x, low, high in zip(line.x, line.low, line.high, strict=True):
            parts.append(
                f'<path class="whisker s{line.colour}" d="M{axes.px(x):.1f} {axes.py(low):.1f}'
                f'V{axes.py(high):.1f}"/>'
            )
    thin_x, thin_y = binned(line.x, line.y, POINTS)
    if len(line.x) > 2 * BINS:
        parts.append(f'<path class="thin s{line.colour}" d="{axes.path(thin_x, thin_y)}"/>')
        thin_x, thin_y = binned(line.x, line.y, BINS)
    parts.append(f'<path class="line s{line.colour}" d="{axes.path(thin_x, thin_y)}"/>')
    if len(line.x) <= BINS:
        for x, y in zip(line.x, line.y, strict=True):
            said = f"{line.name} at step {x:g}: {number(y, axes.percent)}".strip()
            parts.append(
                f'<circle class="f{line.colour}" cx="{axes.px(x):.1f}" cy="{axes.py(y):.1f}" r="2.6">'
                f"<title>{escape(said)}</title></circle>"
            )
    return "".join(parts)


def stack_chart(
    title: str, x: Sequence[float], parts: Sequence[Part], *, width: int = 480, height: int = 210
) -> Markup:
    """Shares of a whole over steps, as up to `COLUMNS` columns, each the sum over a run of steps."""
    parts = [part for part in parts if any(part.values)]
    if not parts or not len(x):
        return Markup("")
    edges = np.unique(np.linspace(0, len(x), min(COLUMNS, len(x)) + 1).round().astype(int))
    sums = np.array([np.add.reduceat(np.asarray(part.values, np.float64), edges[:-1]) for part in parts])
    whole = sums.sum(axis=0)
    heights = np.divide(sums, whole, out=np.zeros_like(sums), where=whole > 0)
    tops = np.cumsum(heights, axis=0)
    # a column reaches to where the next one begins
    starts = [x[edge] - 0.5 for edge in edges[:-1]]
    ends = [*starts[1:], x[-1] + 0.5]
    axes = Axes((starts[0], ends[-1]), (0.0, 1.0), width, height, percent=True)
    drawn = []
    for part, top, size in zip(parts, tops, heights, strict=True):
        columns = "".join(
            f"M{axes.px(start):.1f} {axes.py(upper):.1f}H{axes.px(end):.1f}V{axes.py(upper - share):.1f}"
            f"H{axes.px(start):.1f}z"
            for start, end, upper, share in zip(starts, ends, top, size, strict=True)
            if share > 0
        )
        drawn.append(f'<path class="f{part.colour}" d="{columns}"/>')
    legend = [(part.name, part.colour) for part in parts]
    frame = axes.frame(x_about=6 if len(x) > 1 else 0)
    return _figure(title, legend, frame + "".join(drawn), width, height)


def interval_chart(title: str, rows: Sequence[Interval], *, width: int = 1000) -> Markup:
    """A point with its interval for each row, in percent, from top to bottom."""
    if not rows:
        return Markup("")
    left, right, size = 150, 96, 26
    height = size * len(rows) + 34
    top = max(row.high for row in rows) * 1.05 or 0.05
    high = 1.0 if top > 0.6 else top

    def px(value: float) -> float:
        return left + value / high * (width - left - right)

    parts = []
    for value in ticks(0, high, 6):
        parts.append(f'<path class="grid" d="M{px(value):.1f} 6V{height - 24}"/>')
        label = number(value, percent=True)
        parts.append(f'<text class="tick mid" x="{px(value):.1f}" y="{height - 8}">{label}</text>')
    for index, row in enumerate(rows):
        y = 6 + size * (index + 0.5)
        parts.append(
            f'<text class="name end" x="{left - 10}" y="{y + 4:.1f}">{escape(row.name[:24])}</text>'
            f'<path class="whisker s0" d="M{px(row.low):.1f} {y:.1f}H{px(row.high):.1f}"/>'
            f'<circle class="f0" cx="{px(row.mean):.1f}" cy="{y:.1f}" r="4.5"/>'
            f'<text class="name" x="{width - right + 14}" y="{y + 4:.1f}">{row.mean:.1%}</text>'
        )
    return _figure(title, [], "".join(parts), width, height)


def _figure(title: str, legend: Sequence[tuple[str, int]], drawn: str, width: int, height: int) -> Markup:
    keys = "".join(f'<span class="key"><i class="b{n}"></i>{escape(name)}</span>' for name, n in legend)
    return Markup(
        f'<figure><figcaption><b>{escape(title)}</b><span class="keys">{keys}</span></figcaption>'
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{drawn}</svg></figure>'
    )
