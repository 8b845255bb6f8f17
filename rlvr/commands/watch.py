"""`rlvr watch`: a run's progress, from its files. It only reads, so it does not disturb the run."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from rlvr.base.text import one_line
from rlvr.commands.exit_codes import failed
from rlvr.pipeline.arms import is_arm
from rlvr.pipeline.status import State, holder, planned_steps, read_outcome, run_state
from rlvr.record.journal import KINDS
from rlvr.record.layout import MANIFEST, RESULTS_TABLE
from rlvr.record.progress import LINE_EVERY, StageView
from rlvr.record.runs import RunRecord, StageRecord, open_run, refuse_several
from rlvr.record.sinks import metrics_of
from rlvr.results.summary import summary_table
from rlvr.types import DataError

EVERY = 1.0  # seconds between reads of the growing files
SLOWLY = 5.0  # seconds between checks for a new stage, and whether the run is alive
TIMES = ("time/step", "time/evaluate", "time/validate")


class GrowingMetrics:
    """Reads the new lines of a growing metrics.jsonl, complete lines only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: tuple[int, int] | None = None  # device and inode of the file that was read
        self._bytes = self._lines = 0  # read so far

    def look(self) -> tuple[bool, list[tuple[int, dict[str, float | None]]]]:
        """Whether the lines read before are invalid, and the new (step, metrics) pairs.

        They are invalid after a resumed run has replaced the file by one without the steps to be repeated.
        Raises DataError for a broken line.
        """
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                identity = (status.st_dev, status.st_ino)
                void = self._file is not None and (identity != self._file or status.st_size < self._bytes)
                if void:
                    self._bytes = self._lines = 0
                self._file = identity
                file.seek(self._bytes)
                new = file.read()
        except FileNotFoundError:
            return False, []
        # an incomplete last line is left for the next read
        whole = new[: new.rfind(b"\n") + 1]
        lines = whole.split(b"\n")[:-1]
        steps = [metrics_of(self._path, number, line) for number, line in enumerate(lines, self._lines + 1)]
        self._bytes, self._lines = self._bytes + len(whole), self._lines + len(lines)
        return void, steps


class WatchedStage:
    """A stage's view, updated from the files in its folder."""

    def __init__(self, record: StageRecord, steps: int | None) -> None:
        self.name, self.folder, self._steps = record.name, record.folder, steps
        self._metrics = GrowingMetrics(record.folder / "metrics.jsonl")
        self._begin()

    def _begin(self) -> None:
        self.view, self.seconds = StageView(self.name, self._steps), 0.0

    def look(self) -> tuple[bool, bool]:
        """Whether there is anything new, and whether it includes an evaluation."""
        void, lines = self._metrics.look()
        if void:
            self._begin()
        for step, metrics in lines:
            self.view.update(step, metrics)
            self.seconds += sum(metrics.get(name) or 0.0 for name in TIMES)
        if not (self.folder / "metrics.jsonl").exists():
            # a stage that only samples: its steps are its completed chunks
            done = sum(len(list(kept.glob("step_*.parquet"))) for kept in self._journals())
            if done != self.view.step:
                self.view.update(done, {})
                return True, False
        evaluated = any("heldout/pass@1" in metrics for _, metrics in lines)
        return void or bool(lines), evaluated

    def touched(self) -> float:
        """The time of the stage's last write, in Unix seconds; 0 if it has written nothing."""
        paths = (self.folder / "metrics.jsonl", *self._journals())
        return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)

    def line(self, running: bool) -> str:
        return self.view.line(self.seconds, running)

    def _journals(self) -> list[Path]:
        return [self.folder / "journal" / kind for kind in KINDS]


class WatchedRun:
    """The stages of a run that have begun, in order, and the run's state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run: RunRecord = open_run(folder)
        self.stages: list[WatchedStage] = []
        self.state = State.RUNNING
        self._opened = -math.inf
        self.look()

    def look(self) -> list[tuple[WatchedStage, bool]]:
        """Read what is new: (stage, whether it was evaluated) for each stage with news."""
        if time.monotonic() - self._opened >= SLOWLY:
            # checked before reading: then the last lines of a run that has just ended are read, too
            running = holder(self.folder) is not None
            self._open()
            news = self._look()
            self.state = State.RUNNING if running else run_state(self.run)
            return news
        return self._look()

    def current(self) -> WatchedStage | None:
        """The stage that wrote last."""
        return max(self.stages, key=WatchedStage.touched, default=None)

    def _open(self) -> None:
        self._opened = time.monotonic()
        self.run = open_run(self.folder)
        known = {(stage.name, stage.folder): stage for stage in self.stages}
        self.stages = [
            known.get((record.name, record.folder))
            or WatchedStage(record, planned_steps(self.run.config, record.name))
            for record in self.run.stages
        ]

    def _look(self) -> list[tuple[WatchedStage, bool]]:
        looked = [(stage, *stage.look()) for stage in self.stages]
        return [(stage, evaluated) for stage, new, evaluated in looked if new]


def is_beginning(folder: Path) -> bool:
    """Whether the run's folder exists, but its configuration is still being checked.

    Raises DataError for a folder that holds several runs, such as a sweep.
    """
    if (folder / "config.yaml").exists() or not folder.is_dir():
        return False
    refuse_several(folder)
    return (
        holder(folder) is not None
        and not (folder / "metrics.jsonl").exists()
        and not (folder / MANIFEST).exists()
    )


def how_to_go_on(run: RunRecord) -> str:
    """How to continue a run that has stopped, as a clause for a message."""
    alone = not (run.folder / "config.yaml").exists()
    if alone and not run.config:
        return "run the recipe's command again to continue"
    if run.is_evaluation:
        return "run the same command again to continue"
    if not run.is_recipe:
        resume = f"resume={run.home}"
        return f"continue with: {shlex.join(['rlvr', 'train', resume])}"
    from rlvr.report.reproduce import read_hydra

    given = read_hydra(run).given
    if not given or is_arm(run.folder):
        return "run the same command again to continue"
    return f"continue with: {shlex.join(['rlvr', 'recipe', *given])}"


def main(arguments: Sequence[str]) -> int:
    """Run `rlvr watch`; the exit code, which is 3 for a run that stopped before it was complete."""
    parser = argparse.ArgumentParser(
        prog="rlvr watch",
        description="Follow a run in the terminal until it ends. Ctrl-C ends watching, never the run.",
        epilog="exit codes: 0 the run is finished (or, with --once, running), 2 there is no such run, "
        "3 it stopped before it was complete, 130 Ctrl-C",
    )
    parser.add_argument("run", help="folder of a run, a recipe's run or a stage, as in runs/NAME/DATE")
    parser.add_argument("--once", action="store_true", help="print the progress once, and exit")
    options = parser.parse_args(arguments)
    console = Console()
    folder = Path(options.run).absolute()
    try:
        while is_beginning(folder) and not options.once:
            time.sleep(EVERY)
        watched = WatchedRun(folder)
        if not options.once:
            follow(watched, console)
        return report(watched, console, options.once)
    except DataError as error:
        return failed(error)
    except KeyboardInterrupt:
        print("rlvr: stopped watching; the run is not affected", file=sys.stderr)
        return 130


def follow(watched: WatchedRun, console: Console) -> None:
    """Show the run until it ends: updated in place on a terminal, otherwise line by line."""
    if not console.is_terminal or console.is_dumb_terminal:
        follow_in_lines(watched, console)
        return
    live = Live(console=console, auto_refresh=False, get_renderable=lambda: overview(watched), transient=True)
    with live:
        while watched.state is State.RUNNING:
            live.refresh()
            time.sleep(EVERY)
            watched.look()


def follow_in_lines(watched: WatchedRun, console: Console) -> None:
    printed, shown = -math.inf, None
    news = [(stage, True) for stage in watched.stages]  # print every stage once at the start
    while watched.state is State.RUNNING:
        for stage, evaluated in news:
            if stage is not shown or evaluated or time.monotonic() - printed >= LINE_EVERY:
                console.print(Text(stage.line(running=True)), soft_wrap=True)
                printed, shown = time.monotonic(), stage
        time.sleep(EVERY)
        news = watched.look()


def overview(watched: WatchedRun) -> RenderableType:
    """One line per stage, and the current stage in full."""
    current = watched.current()
    rows: list[RenderableType] = [Text(f"{watched.run.name}: {watched.state}", style="bold")]
    for stage in watched.stages:
        if stage is current:
            rows += [Text(""), stage.view.panel(stage.seconds)]
        else:
            rows.append(
                Text(f"  {stage.line(running=False)}", style="dim", overflow="ellipsis", no_wrap=True)
            )
    if current is None:
        rows.append(Text("  no stage has begun", style="dim"))
    return Group(*rows)


def report(watched: WatchedRun, console: Console, once: bool) -> int:
    """Print the run's state; the exit code."""
    run, running = watched.run, watched.state is State.RUNNING
    if running and once and console.is_terminal:
        console.print(overview(watched))
        return 0
    lines = [f"{run.name}{' (an evaluation)' if run.is_evaluation else ''}: {watched.state}"]
    current = watched.current()
    lines += [f"  {stage.line(running=running and stage is current)}" for stage in watched.stages]
    if not watched.stages and not run.is_evaluation:
        lines.append("  no stage has begun")
    unfinished = watched.state in (State.STOPPED, State.KILLED, State.FAILED, State.WAITING)
    if unfinished and (outcome := read_outcome(run.folder)) is not None and outcome.reason:
        lines.append(one_line(outcome.reason))
    if unfinished:
        lines.append(f"The run is not complete, and no process is running it; {how_to_go_on(run)}")
    elif watched.state is State.DONE and run.is_evaluation:
        lines.append(f"read {run.folder / RESULTS_TABLE}")
    elif watched.state is State.DONE and (table := run.folder / "table.md").exists():
        lines += ["", table.read_text().rstrip()]
    elif watched.state is State.DONE and run.stage("rl") is not None:
        lines += ["", summary_table(run.folder)]
    console.print(Text("\n".join(lines)), soft_wrap=True)
    return 3 if unfinished else 0
