"""The progress display of a running stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean
from time import monotonic
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PHASES = {
    "time/generate": "cyan",
    "time/reward": "magenta",
    "time/learn": "green",
    "time/publish": "yellow",
    "time/idle": "bright_black",
}
SHOWN = {
    "train/loss": ("loss", "{:.4f}"),
    "train/reward": ("reward", "{:.3f}"),
    "train/accuracy": ("accuracy", "{:.1%}"),
    "train/true_steps": ("right, all steps true", "{:.1%}"),
    "heldout/pass@1": ("held-out pass@1", "{:.1%}"),
    "heldout/true_steps": ("held-out, all steps true", "{:.1%}"),
    "rollouts/length": ("tokens per answer", "{:.1f}"),
    "learner/entropy": ("entropy", "{:.3f}"),
    "learner/reference_kl": ("KL to reference", "{:.4f}"),
    "learner/grad_norm": ("gradient norm", "{:.3g}"),
    "skipped": ("optimizer steps skipped", "{:.0f}"),
    "tokens/s": ("tokens/s", "{:,.0f}"),
}
# drawn as sparklines; the loss if none of them is logged
COURSES = ("train/reward", "heldout/pass@1", "heldout/true_steps")
BAR_WIDTH = 50
BLOCKS = "▁▂▃▄▅▆▇█"
LINE_EVERY = 2.0  # least number of seconds between plain lines
WITHIN_EVERY = 10.0  # seconds between plain lines within a step
Metrics = Mapping[str, float | None]  # None was not finite


class StageView:
    """A stage's step, its last metrics and their history, as a panel or as a line.

    `steps` is the number of the last step (None: unknown), `start` that of the last step done before (above
    0 when resumed).
    """

    def __init__(self, stage: str, steps: int | None, start: int = 0) -> None:
        self.stage, self.steps, self.start = stage, steps, start
        self.step = start
        self._within = (0, 0)  # answers of the next step: number so far, number expected
        self._metrics: dict[str, float] = {}
        self._courses: dict[str, list[float]] = {}

    def update(self, step: int, metrics: Metrics) -> None:
        """`step` is done. A metric it lacks, such as held-out pass@1, keeps its last value."""
        self.step, self._within = step, (0, 0)
        numbers = {name: math.nan if value is None else value for name, value in metrics.items()}
        tokens = numbers.get("tokens/sampled", numbers.get("tokens/trained"))
        seconds = numbers.get("time/step")
        if tokens is not None and seconds:
            numbers["tokens/s"] = tokens / seconds
        if skipped := numbers.get("learner/skipped"):  # shown is how many there were so far
            numbers["skipped"] = self._metrics.get("skipped", 0.0) + skipped
        self._metrics |= numbers
        for name in (*COURSES, "train/loss"):
            if math.isfinite(numbers.get(name, math.nan)):
                self._courses.setdefault(name, []).append(numbers[name])

    def within(self, answers: int, of: int) -> None:
        """Record that `answers` out of `of` answers of the next step are complete."""
        self._within = answers, of

    def line(self, seconds: float, running: bool = True) -> str:
        """One line of text; `seconds` is the duration of the steps since `start`."""
        steps = f"/{self.steps}" if self.steps is not None else ""
        shown = [f"{label} {value}" for label, value in self._shown()]
        shares = [f"{phase} {share:.0%}" for phase, _, share in self._shares()]
        parts = [
            f"{self.stage} step {self.step}{steps}",
            *self._next(),
            *shown,
            *([" ".join(shares)] if shares else []),
        ]
        if running and self.steps is not None:
            parts.append(f"ETA {self._eta(seconds)}")
        elif not running and seconds:
            parts.append(f"took {duration(seconds)}")
        return " | ".join(parts)

    def panel(self, seconds: float) -> RenderableType:
        head = Table.grid(padding=(0, 2))
        if self.steps is None:
            cells: list[RenderableType] = [Text(f"step {self.step}")]
        else:
            cells = [
                Text(f"step {self.step} of {self.steps}"),
                ProgressBar(total=max(self.steps, 1), completed=self.step, width=24),
            ]
        cells += [Text(text) for text in self._next()]
        cells.append(Text(f"elapsed {duration(seconds)}", style="dim"))
        if self.steps is not None:
            cells.append(Text(f"ETA {self._eta(seconds)}", style="dim"))
        head.add_row(Text(self.stage, style="bold"), *cells)
        values = Table.grid(padding=(0, 3))
        values.add_row(
            *(Text.assemble((f"{label} ", "dim"), (value, "bold")) for label, value in self._shown())
        )
        shares = self._shares()
        bar, legend = Text(no_wrap=True, overflow="crop"), Text()
        edges = [round(BAR_WIDTH * sum(share for _, _, share in shares[:i])) for i in range(len(shares) + 1)]
        for (phase, colour, share), left, right in zip(shares, edges, edges[1:], strict=False):
            bar.append("━" * (right - left), style=colour)
            legend.append("■ ", style=colour).append(f"{phase} {share:.0%}   ")
        rows = [
            head,
            *([values] if self._shown() else []),
            *self._drawn(),
            *([bar, legend] if shares else []),
        ]
        return Group(*rows)

    def _drawn(self) -> list[RenderableType]:
        """A sparkline of each metric, with its first and last value."""
        names = [name for name in COURSES if name in self._courses] or ["train/loss"]
        courses = Table.grid(padding=(0, 2))
        for name in names:
            if len(values := self._courses.get(name, [])) > 1:
                label, form = SHOWN[name]
                ends = [Text(form.format(values[end]), style="dim") for end in (0, -1)]
                courses.add_row(
                    Text(label, style="dim"), ends[0], Text(sparkline(values, BAR_WIDTH)), ends[1]
                )
        return [courses] if courses.row_count else []

    def _eta(self, seconds: float) -> str:
        answers, of = self._within
        begun = answers / of if of else 0.0  # fraction of the next step
        done = self.step - self.start + begun
        if done <= 0 or self.steps is None:
            return "–"
        return duration(seconds / done * max(self.steps - self.step - begun, 0))

    def _next(self) -> list[str]:
        answers, of = self._within
        return [f"next: {answers} of {of} answers"] if of else []

    def _shown(self) -> list[tuple[str, str]]:
        found = [
            (label, form, self._metrics[name])
            for name, (label, form) in SHOWN.items()
            # a policy-gradient loss does not measure how good the policy is
            if name in self._metrics and (name != "train/loss" or "train/reward" not in self._metrics)
        ]
        return [(label, form.format(value) if math.isfinite(value) else "–") for label, form, value in found]

    def _shares(self) -> list[tuple[str, str, float]]:
        """(phase, colour, share of the step's time) of each measured phase."""
        spent = {name: self._metrics[name] for name in PHASES if self._metrics.get(name, math.nan) >= 0}
        total = sum(spent.values())
        return [
            (name.removeprefix("time/"), PHASES[name], seconds / total)
            for name, seconds in spent.items()
            if total > 0
        ]


class Progress:
    """Live progress of one stage, in place on a terminal and as plain lines elsewhere.

    `steps` is the number of the last step, `start` that of the last step done before (above 0 when resumed).
    Use it as a context manager: on exit, also after an error or Ctrl-C, the last state stays in the
    scrollback and the cursor is restored. It writes to stderr; stdout is for results.
    """

    def __init__(self, stage: str, steps: int, start: int = 0, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._in_place = self._console.is_terminal and not self._console.is_dumb_terminal
        self._view, self._steps = StageView(stage, steps, start), steps
        self._began = monotonic()
        self._printed = -math.inf
        # once a second, to leave the cores to the run
        self._live = Live(
            get_renderable=lambda: self._view.panel(monotonic() - self._began),
            console=self._console,
            refresh_per_second=1,
            redirect_stderr=True,
        )

    def __enter__(self) -> Self:
        self._began = monotonic()
        if self._in_place:
            self._live.start(refresh=True)
        return self

    def __exit__(self, *error: object) -> None:
        if self._in_place:
            self._live.stop()

    def within(self, answers: int, of: int) -> None:
        """Show that `answers` out of `of` answers of the next step are complete."""
        self._view.within(answers, of)
        # on a terminal the next refresh shows it
        if not self._in_place and monotonic() - max(self._printed, self._began) >= WITHIN_EVERY:
            self._print()

    def update(self, step: int, metrics: Metrics) -> None:
        """Show that `step` is done."""
        self._view.update(step, metrics)
        if self._in_place:
            self._live.refresh()
        elif step == self._steps or "heldout/pass@1" in metrics or monotonic() - self._printed >= LINE_EVERY:
            self._print()

    def _print(self) -> None:
        self._printed = monotonic()
        self._console.print(Text(self._view.line(self._printed - self._began)), soft_wrap=True)


def sparkline(values: Sequence[float], width: int) -> str:
    """At most `width` blocks, each the mean of a part of `values`, scaled from lowest to highest mean.

    >>> sparkline([0, 1, 2, 3, 2, 1], 6)
    '▁▃▆█▆▃'
    """
    count = min(width, len(values))
    edges = [number * len(values) // count for number in range(count + 1)]
    means = [fmean(values[left:right]) for left, right in pairwise(edges)]
    low, span = min(means), max(means) - min(means)
    return "".join(
        BLOCKS[round((mean - low) / span * (len(BLOCKS) - 1))] if span else BLOCKS[len(BLOCKS) // 2]
        for mean in means
    )


def duration(seconds: float) -> str:
    """4.2 s, 3 min 05 s, 2 h 07 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
