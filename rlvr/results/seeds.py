"""One recipe over several seeds: the mean gain of each stage, from the tables of the single runs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np

from rlvr.base.files import atomic_write
from rlvr.base.text import aligned
from rlvr.results.curves import BLUE, GREY
from rlvr.results.stage_plot import dress, panels
from rlvr.results.stage_table import NONE, plain
from rlvr.statistics.change import Change, Difference, corrected, difference_over_seeds, how_tested, p_text
from rlvr.statistics.intervals import half_interval
from rlvr.types import DataError


@dataclass(frozen=True)
class Cell:
    """A stage on an evaluation set, over seeds; nan if a seed has no value."""

    title: str
    before: str  # title of the stage that it is compared with; empty for the first
    values: list[float]  # [S] avg@k, 0 to 1
    gains: list[float]  # [S] each seed's gain over the stage before, paired by problem


Cells = dict[str, dict[str, Cell]]  # evaluation set → stage → its values


def read_tables(paths: Sequence[Path]) -> Cells:
    """The values of several table.csv.

    Raises DataError if there are none, or if their stages and evaluation sets differ.
    """
    if not paths:
        raise DataError("a table over seeds needs the table.csv of at least one run")
    runs: list[dict[tuple[str, str], dict[str, str]]] = []
    for path in paths:
        try:
            with path.open(newline="") as file:
                runs.append({(row["set"], row["stage"]): row for row in csv.DictReader(file)})
        except FileNotFoundError as error:
            raise DataError(f"{path} does not exist: run the recipe with that seed first") from error
        except (KeyError, csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not a recipe's table: {error!r}") from error
        if list(runs[-1]) != list(runs[0]):
            raise DataError(f"{path} and {paths[0]} have different stages or evaluation sets")
    cells: Cells = {}
    for name, stage in runs[0]:
        if not name:  # a stage that was not evaluated
            continue
        lines = [run[name, stage] for run in runs]
        cells.setdefault(name, {})[stage] = Cell(
            title=lines[0]["title"],
            before=lines[0]["before"],
            values=[_number(line["avg"]) for line in lines],
            gains=[_number(line["gain"]) for line in lines],
        )
    return cells


def _number(text: str) -> float:
    return float(text) if text else math.nan


def seeds_table(paths: Sequence[Path]) -> str:
    """Mean of each stage and of its gain over the stage before, with 95% intervals over seeds, as Markdown.

    `paths` are the table.csv of the runs, one per seed. Intervals are Student's t intervals, which are wide
    for few seeds; a cell is "–" if a seed has no value. p is from the paired t test, corrected for all gains
    of the table. Raises DataError as `read_tables` does.
    """
    cells = read_tables(paths)
    gains = corrected(
        {
            (name, stage): difference_over_seeds(cell.gains)
            for name, column in cells.items()
            for stage, cell in column.items()
            if cell.before
        }
    )
    stages = list(dict.fromkeys(stage for column in cells.values() for stage in column))
    head = ["stage"]
    for name in cells:
        head += [f"{name} avg@k", "gain, points", "p (Holm)"]
    lines = [head]
    for stage in stages:
        line = [next(column[stage].title for column in cells.values() if stage in column)]
        for name, column in cells.items():
            cell, gain = column.get(stage), gains.get((name, stage))
            line += [_mean(cell.values, "{:.1f}%"), _mean(cell.gains, "{:+.1f}")] if cell else [NONE, NONE]
            line.append(p_text(gain.p_holm) if gain else NONE)
        lines.append(line)
    seeds = f"{len(paths)} seed" + ("s" if len(paths) > 1 else "")
    note = f"Means of {seeds}" + (" ± half their 95% interval (Student's t)." if len(paths) > 1 else ".")
    table = aligned([[cell.replace("|", "\\|") for cell in line] for line in lines])
    return "\n\n".join([table, note, *_tested(cells, gains)]) + "\n"


def _mean(values: Sequence[float], form: str) -> str:
    """The mean of shares, in per cent or points, with half the width of its interval."""
    if any(math.isnan(value) for value in values):
        return NONE
    half = half_interval(values)
    return form.format(100 * mean(values)) + ("" if math.isnan(half) else f" ± {100 * half:.1f}")


def _tested(cells: Cells, gains: Mapping[tuple[str, str], Difference]) -> Iterator[str]:
    """Notes on how p was computed, and on the stages without a significant improvement."""
    yield from how_tested(gains.values())
    failed = [
        plain(cells[name][stage].title) + (f" (on {name})" if len(cells) > 1 else "")
        for (name, stage), gain in gains.items()
        if gain.change is not Change.BETTER
    ]
    if failed:
        yield f"No clear improvement over these seeds: {', '.join(failed)}."
    elif gains:
        yield "Every stage improves over these seeds."


def draw_seeds(paths: Sequence[Path], picture: Path) -> None:
    """Plot the table over seeds: every seed as a thin line, and the mean with its interval."""
    cells = read_tables(paths)
    if not cells:
        raise DataError("no stage of these runs was evaluated, so there is nothing to draw")
    figure, drawn = panels(len(cells), max(len(column) for column in cells.values()))
    for axes, (name, column) in zip(drawn, cells.items(), strict=True):
        dress(axes, f"{name}, avg@k", [cell.title for cell in column.values()])
        values = np.array([cell.values for cell in column.values()])  # [stages, S]
        places = range(len(values))
        axes.plot(places, values, color=GREY, alpha=0.5, linewidth=0.9)
        halves = [half_interval(list(row)) for row in values]
        axes.errorbar(
            places, values.mean(1), yerr=np.nan_to_num(halves), color=BLUE, marker="o", linewidth=2, capsize=4
        )
        axes.set_ylim(bottom=0)
    figure.supxlabel(
        f"grey: each of {len(paths)} seeds; blue: their mean and its 95% interval", fontsize=9, color=GREY
    )
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")
