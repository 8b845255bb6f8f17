"""How training scales to 256 rollout workers, on a simulated clock with measured costs.

    python benchmarks/clock.py --json benchmarks/clock.json --picture docs/pictures/scaling.png
    python benchmarks/clock.py --costs benchmarks/clock.json …     # with the costs and lengths of a report

About 5 minutes: 1 to measure a model of 10M parameters on this machine (seconds of an engine step by the
number of sequences, of a learned token, a weight update, a verdict, a journal, and of the driver for a call)
and the rest to simulate. The loop's scheduling is its own (benchmarks/clock_simulation.py). Every rollout
worker brings a learner rank of the same speed and a process for verdicts; ranks divide a step's tokens, and
what they have to tell each other costs nothing. `weak`: each worker brings 8 problems × 8 answers to a
step. `strong`: a step has 256 × 8 answers whoever is there. Efficiency is tokens per second and worker
over those of one worker with the same staleness.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from clock_costs import PROMPT, measure_costs
from clock_simulation import Costs, Outcome, Setup, simulate

from rlvr.record.journal import read_journal
from rlvr.record.run_folder import versions
from rlvr.types import IntArray

WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
STALENESS = (0, 1, 2, 4)
REASONS = STALENESS[:3]  # of which it is shown what bends them
GROUPS = {"weak": 8, "strong": 256}  # of a step: for each worker, and altogether
STEPS, WARMUP = 8, 6
Curves = dict[str, dict[str, list[dict[str, float]]]]


def setup(kind: str, workers: int, staleness: int, lengths: IntArray) -> Setup:
    groups = GROUPS[kind] * (workers if kind == "weak" else 1)
    return Setup(
        workers, staleness, groups, STEPS, WARMUP, lengths, prompt=PROMPT, learners=workers, verdicts=workers
    )


def row(outcome: Outcome, workers: int, one: float) -> dict[str, float]:
    return {
        "workers": workers,
        "efficiency": outcome.tokens_per_second / workers / one,
        "step_seconds": float(outcome.step_seconds),
        "tokens_per_second": float(outcome.tokens_per_second),
        "decoding": float(outcome.decoding),
        "learning": float(outcome.learning),
        "sequences_together": float(outcome.batch),
    }


def outcomes(jobs: Mapping[Any, tuple[Costs, Setup]]) -> dict[Any, Outcome]:
    """All of them, on all cores."""
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), get_context("spawn")) as processes:
        return dict(zip(jobs, processes.map(simulate, *zip(*jobs.values(), strict=True)), strict=True))


def curves(costs: Costs, lengths: IntArray, counts: Sequence[int]) -> Curves:
    """Kind → staleness → a row for each number of workers, from one on."""
    jobs = {
        (kind, k, workers): (costs, setup(kind, workers, k, lengths))
        for workers in reversed(counts)  # the longest first
        for kind in GROUPS
        for k in STALENESS
    }
    done = outcomes(jobs)
    return {
        kind: {
            f"k={k}": [row(done[kind, k, w], w, done[kind, k, 1].tokens_per_second) for w in counts]
            for k in STALENESS
        }
        for kind in GROUPS
    }


def without(costs: Costs, lengths: IntArray) -> dict[str, tuple[Costs, IntArray]]:
    """The same with one thing left out at a time."""
    mean = np.array([round(float(lengths.mean()))], np.int32)
    return {
        "nothing": (costs, lengths),
        "tails (all answers of the mean length)": (costs, mean),
        "the driver's time for calls": (replace(costs, call=((1.0, 0.0),)), lengths),
        "the driver's time for the journal": (replace(costs, record=0.0), lengths),
        "weight updates": (replace(costs, send=0.0, receive=0.0), lengths),
        "all of these": (replace(costs, call=((1.0, 0.0),), record=0.0, send=0.0, receive=0.0), mean),
    }


def reasons(costs: Costs, lengths: IntArray, workers: int) -> dict[str, dict[str, dict[str, float]]]:
    """Kind → what is left out → efficiency at so many workers, by staleness."""
    others = without(costs, lengths)
    jobs = {
        (kind, name, k, count): (other, setup(kind, count, k, lengths_of))
        for count in (workers, 1)
        for kind in GROUPS
        for name, (other, lengths_of) in others.items()
        for k in REASONS
    }
    done = {key: outcome.tokens_per_second for key, outcome in outcomes(jobs).items()}
    return {
        kind: {
            name: {f"k={k}": done[kind, name, k, workers] / workers / done[kind, name, k, 1] for k in REASONS}
            for name in others
        }
        for kind in GROUPS
    }


def draw(found: Curves, path: Path) -> None:
    """Efficiency over workers, a panel for each kind and a line for each staleness."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from rlvr.results.curves import BLUE, GREEN, GREY, ORANGE

    figure = Figure(figsize=(10, 3.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    titles = {
        "weak": f"{GROUPS['weak']} × 8 answers a step for each worker",
        "strong": f"{GROUPS['strong']} × 8 answers a step altogether",
    }
    panels = figure.subplots(1, len(found), sharey=True, squeeze=False)[0]
    for axes, (kind, lines) in zip(panels, found.items(), strict=True):
        axes.set_title(titles[kind], loc="left", fontweight="bold")
        for colour, (name, rows) in zip((GREY, BLUE, GREEN, ORANGE), lines.items(), strict=True):
            label = "synchronous (k=0)" if name == "k=0" else name
            axes.plot(
                [r["workers"] for r in rows],
                [r["efficiency"] for r in rows],
                marker="o",
                markersize=3.5,
                color=colour,
                label=label,
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks([r["workers"] for r in rows], [str(int(r["workers"])) for r in rows])
        axes.set_ylim(0, 1.1)
        axes.set_xlabel("rollout workers")
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("throughput per worker, of one")
    panels[0].legend(frameon=False, loc="lower left")
    figure.savefig(path, format="png", facecolor="white")


def show(report: dict[str, Any]) -> None:
    """Print the curves, and what bends them."""
    for kind, lines in report["curves"].items():
        counts = [int(r["workers"]) for r in next(iter(lines.values()))]
        print(f"\n{kind}: throughput per worker, of one{'':8}" + "".join(f"{count:7}" for count in counts))
        for name, rows in lines.items():
            print(f"{name:>42}" + "".join(f"{r['efficiency']:7.2f}" for r in rows))
        most = report["most_workers"]
        print(f"  at {most} workers, without")
        for name, efficiencies in report["without"][kind].items():
            print(f"{name:>42}" + "".join(f"  {k} {value:.2f}" for k, value in efficiencies.items()))


def read_costs(path: Path) -> tuple[Costs, list[int]]:
    report = json.loads(path.read_text())
    curves = {name: [tuple(point) for point in report["costs"][name]] for name in ("decode", "call")}
    return Costs(**report["costs"] | curves), report["lengths"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--picture", type=Path, help="draw the curves into this PNG")
    parser.add_argument("--costs", type=Path, help="take costs and lengths from this report; measure nothing")
    parser.add_argument(
        "--journal", type=Path, help="take lengths from this stage's folder, runs/NAME/DATE/rl"
    )
    parser.add_argument("--quick", action="store_true", help="few workers, short answers: does it run?")
    arguments = parser.parse_args()
    counts = WORKERS[:3] if arguments.quick else WORKERS
    if arguments.costs:
        costs, lengths = read_costs(arguments.costs)
    else:
        costs, lengths = measure_costs(counts, *((1, 24) if arguments.quick else (3, 256)))
    if arguments.journal:
        groups = read_journal(arguments.journal)
        lengths = [rollout.num_sampled for group in groups for rollout in group.rollouts]
    drawn = np.array(lengths, np.int32)
    most = counts[-1]
    report: dict[str, Any] = {
        "machine": versions(),
        "costs": asdict(costs),
        "most_workers": most,
        "curves": curves(costs, drawn, counts),
        "without": reasons(costs, drawn, most),
        "lengths": lengths,
    }
    show(report)
    if arguments.picture:
        draw(report["curves"], arguments.picture)
    if arguments.json:
        text = json.dumps({name: value for name, value in report.items() if name != "lengths"}, indent=2)
        # thousands of numbers, on one line
        arguments.json.write_text(f'{text[:-2]},\n  "lengths": {json.dumps(lengths)}\n}}\n')


if __name__ == "__main__":
    main()
