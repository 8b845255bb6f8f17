"""What a person at the terminal sees of a running stage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from time import monotonic
from types import TracebackType
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
    "heldout/pass@1": ("held-out pass@1", "{:.1%}"),
    "tokens/s": ("tokens/s", "{:,.0f}"),
}
BAR_WIDTH = 50
LINE_EVERY = 2.0  # seconds between plain lines, where steps are faster than that


class Progress:
    """Live progress of one stage, in place on a terminal and as plain lines elsewhere.

    `steps` is the number of the last step, `start` that of the last one done before (not 0 when resumed).
    Use it as a context manager: on the way out, by an error or Ctrl-C too, the last state stays in the
    scrollback and the cursor comes back. It writes to stderr, so that stdout holds results only.
    """

    def __init__(self, stage: str, steps: int, start: int = 0, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._in_place = self._console.is_terminal and not self._console.is_dumb_terminal
        self._stage, self._steps, self._start = stage, steps, start
        self._step = start
        self._began = monotonic()
        self._printed = -math.inf
        self._metrics: dict[str, float] = {}
        # Once a second is enough for a clock, and the cores are needed elsewhere.
        self._live = Live(
            get_renderable=self._panel, console=self._console, refresh_per_second=1, redirect_stderr=True
        )

    def __enter__(self) -> Self:
        self._began = monotonic()
        if self._in_place:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._in_place:
            self._live.stop()

    def update(self, step: int, metrics: Mapping[str, float]) -> None:
        """Show that `step` is done. A metric it lacks, such as held-out pass@1, keeps its last value."""
        self._step = step
        self._metrics.update(metrics)
        tokens = metrics.get("tokens/sampled", metrics.get("tokens/trained"))
        seconds = metrics.get("time/step")
        if tokens is not None and seconds:
            self._metrics["tokens/s"] = tokens / seconds
        if self._in_place:
            self._live.refresh()
        elif step == self._steps or "heldout/pass@1" in metrics or monotonic() - self._printed >= LINE_EVERY:
            self._printed = monotonic()
            self._console.print(Text(self._line()), soft_wrap=True)

    def _eta(self) -> str:
        done = self._step - self._start
        if done <= 0:
            return "–"
        return duration((monotonic() - self._began) / done * (self._steps - self._step))

    def _shown(self) -> list[tuple[str, str]]:
        found = [
            (label, form, self._metrics[name])
            for name, (label, form) in SHOWN.items()
            if name in self._metrics
        ]
        return [(label, form.format(value) if math.isfinite(value) else "–") for label, form, value in found]

    def _shares(self) -> list[tuple[str, str, float]]:
        """(phase, colour, share of the step's time) of the phases that were measured."""
        spent = {name: self._metrics[name] for name in PHASES if self._metrics.get(name, math.nan) >= 0}
        total = sum(spent.values())
        return [
            (name.removeprefix("time/"), PHASES[name], seconds / total)
            for name, seconds in spent.items()
            if total > 0
        ]

    def _line(self) -> str:
        shown = [f"{label} {value}" for label, value in self._shown()]
        shares = [f"{phase} {share:.0%}" for phase, _, share in self._shares()]
        parts = [
            f"{self._stage} step {self._step}/{self._steps}",
            *shown,
            *([" ".join(shares)] if shares else []),
        ]
        return " | ".join([*parts, f"ETA {self._eta()}"])

    def _panel(self) -> RenderableType:
        head = Table.grid(padding=(0, 2))
        head.add_row(
            Text(self._stage, style="bold"),
            Text(f"step {self._step} of {self._steps}"),
            ProgressBar(total=max(self._steps, 1), completed=self._step, width=24),
            Text(f"elapsed {duration(monotonic() - self._began)}", style="dim"),
            Text(f"ETA {self._eta()}", style="dim"),
        )
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
        return Group(head, *([values] if self._shown() else []), *([bar, legend] if shares else []))


def duration(seconds: float) -> str:
    """4.2 s, 3 min 05 s, 2 h 07 min."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
