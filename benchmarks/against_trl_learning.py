"""Held-out accuracy over wall-clock time: `rlvr train` and TRL's GRPOTrainer from one checkpoint.

    python benchmarks/against_trl_learning.py --json benchmarks/against_trl_learning.json \
        --png benchmarks/against_trl_learning.png [--tuning benchmarks/against_trl.json] [--seeds 5]

The checkpoint is the quickstart's model after some SFT. Problems, prompts, reward, loss, advantages,
optimizer and number of rollouts are the same; each side draws and orders problems by its own random numbers.
The clock runs from the first step on, and stands still during evaluation, which draws four answers to each
held-out problem as training does. One run after the other, ours first with every other seed; each is kept in
--folder, and the same command goes on where it was stopped. Our side is synchronous.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import against_trl_tune as tune
import numpy as np
import numpy.typing as npt
from against_trl_cases import HELDOUT_SAMPLES
from against_trl_sides import Side, start_ours, start_trl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from parity_trl import trl_python

from rlvr.base.files import atomic_write
from rlvr.commands import cli
from rlvr.problems.generated import arithmetic
from rlvr.record.run_folder import versions
from rlvr.record.sinks import read_metrics
from rlvr.statistics.intervals import half_interval

SFT_STEPS = 120
PROBLEMS = {"train": 800, "heldout": 190}  # all that there are of this level: the quickstart's
LEVEL = 2
MAX_TOKENS = 32
RATE, BETA2, WARMUP = 1e-4, 0.98, 10
COLOURS = {"ours": "#1f6fb4", "trl": "#d9822b"}
Curve = list[dict[str, float]]  # steps, seconds, accuracy


def make_start(folder: Path) -> Path:
    """The checkpoint that all runs begin with, made at the first call."""
    run = folder / "start"
    model = run / "sft" / "checkpoints" / f"step_{SFT_STEPS:06}" / "model"
    if not model.exists():
        overrides = [
            "experiment=quickstart",
            "stages=[sft]",
            f"sft.steps={SFT_STEPS}",
            "record.trackers=[]",
            f"hydra.run.dir={run}",
        ]
        if cli.main(["train", *overrides]):
            raise SystemExit("the warm start failed")
    return model


def follow(side: Side) -> Curve:
    """The run to its end: when the clock stood where at each evaluation, and what TRL found there."""
    clock, curve = 0.0, []
    said = side.wait()
    while said["next"]:
        done, steps = said["next"], said["step"]
        said = side.step()
        if done == "train":
            clock += said["wall"]
        else:
            curve.append({"steps": steps, "seconds": clock, "accuracy": said.get("accuracy", np.nan)})
            print(f"    step {steps}: {clock:.1f} s", flush=True)
    return curve


def run_ours(start: Path, place: Path, seed: int, steps: int, every: int, settings: list[str]) -> Curve:
    overrides = [
        "experiment=quickstart",
        "stages=[rl]",
        "model=pretrained",
        f"model.path={start}",
        "model.max_length=128",
        f"seed={seed}",
        "+reward.functions.last={_target_: against_trl_cases.last_number}",
        f"evaluation.samples={HELDOUT_SAMPLES}",
        f"sampling.max_tokens={MAX_TOKENS}",
        f"rl.steps={steps}",
        f"rl.evaluate_every={every}",
        f"rl.optimizer.lr={RATE}",
        f"rl.optimizer.warmup_steps={WARMUP}",
        f"rl.optimizer.beta2={BETA2}",
        *settings,
    ]
    with start_ours(place, overrides) as side:
        curve = follow(side)
    metrics = read_metrics(place / "run" / "rl" / "metrics.jsonl")
    return [
        point | {"accuracy": float(metrics[int(point["steps"])]["heldout/pass@1"] or 0)} for point in curve
    ]


def run_trl(
    start: Path, place: Path, seed: int, steps: int, every: int, python: Path, settings: dict[str, Any]
) -> Curve:
    rows = {
        split: [{"problem": p.text, "answer": p.answer} for p in arithmetic(split, number, LEVEL)]
        for split, number in PROBLEMS.items()
    }
    spec = {
        "model": str(start),
        "problems": rows["train"],
        "heldout": rows["heldout"],
        "evaluate_every": every,
        "reward": "last_number",
        "warmup_steps": WARMUP,
        "settings": {
            "max_completion_length": MAX_TOKENS,
            "learning_rate": RATE,
            "adam_beta2": BETA2,
            "max_steps": steps,
            "seed": seed,
            **settings,
        },
    }
    with start_trl(python, place, spec) as side:
        return follow(side)


def summarize(curves: dict[str, list[Curve]]) -> dict[str, Any]:
    """Mean accuracies over seeds with half their 95% intervals, and how long each side takes.

    By seconds they are compared as far as the shortest run goes. `seconds_to_goal` is when each run was first
    evaluated at the final mean accuracy of the side that ended lower, or null.
    """
    last = min(curve[-1]["seconds"] for made in curves.values() for curve in made)
    grid = np.linspace(0, last, 11)
    goal = min(float(np.mean([curve[-1]["accuracy"] for curve in made])) for made in curves.values())
    summary: dict[str, Any] = {"goal": goal}
    for side, made in curves.items():
        by_step = np.array([[point["accuracy"] for point in curve] for curve in made])
        reached = [[p["seconds"] for p in curve if p["accuracy"] >= goal] for curve in made]
        summary[side] = {
            "seconds_per_step": float(np.median([c[-1]["seconds"] / c[-1]["steps"] for c in made])),
            "seconds_to_goal": [seconds[0] if seconds else None for seconds in reached],
            "by_seconds": table("seconds", grid, np.array([at_seconds(curve, grid) for curve in made])),
            "by_step": table("steps", np.array([point["steps"] for point in made[0]]), by_step),
        }
    return summary


def table(name: str, places: npt.NDArray[Any], values: npt.NDArray[Any]) -> list[dict[str, float | None]]:
    """`values` are [seeds, places]; one seed has no interval."""
    return [
        {
            name: float(place),
            "accuracy": float(column.mean()),
            "half_interval": half_interval(column.tolist()) if len(column) > 1 else None,
        }
        for place, column in zip(places, values.T, strict=True)
    ]


def at_seconds(curve: Curve, seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Between two evaluations by a straight line."""
    return np.interp(seconds, [p["seconds"] for p in curve], [p["accuracy"] for p in curve])


def draw(curves: dict[str, list[Curve]], path: Path) -> None:
    figure = Figure(figsize=(10, 3.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    for side, made in curves.items():
        label = {"ours": "rlvr", "trl": "TRL 1.16"}[side]
        accuracies = np.array([[point["accuracy"] for point in curve] for curve in made])
        for place, name in zip(axes, ("seconds", "steps"), strict=True):
            along = np.array([[point[name] for point in curve] for curve in made])
            place.plot(along.T, accuracies.T, color=COLOURS[side], alpha=0.25, linewidth=0.8)
            place.plot(along.mean(0), accuracies.mean(0), color=COLOURS[side], linewidth=2, label=label)
    for place, name in zip(axes, ("seconds of training", "steps of 256 rollouts"), strict=True):
        place.set_xlabel(name)
        place.grid(alpha=0.25, linewidth=0.6)
        place.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("held-out accuracy")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[0].legend(frameon=False, loc="lower right")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", facecolor="white")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, default=Path("runs/against_trl"), help="of the runs")
    parser.add_argument("--json", type=Path, help="the report")
    parser.add_argument("--png", type=Path, help="the curves")
    parser.add_argument("--tuning", type=Path, help="report of against_trl.py, for its best settings")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--every", type=int, default=10, help="steps between evaluations")
    parser.add_argument("--trl-python", type=Path, help="a Python that has TRL")
    arguments = parser.parse_args()
    python = arguments.trl_python or trl_python()
    tuned = json.loads(arguments.tuning.read_text())["tuning"] if arguments.tuning else {}
    settings = tuned.get("0.5M", {}).get("chosen", tune.DEFAULTS)
    folder, steps, every = arguments.folder.resolve(), arguments.steps, arguments.every
    start = make_start(folder)
    print(f"about {arguments.seeds * 5} minutes of runs on two quiet cores", flush=True)
    curves: dict[str, list[Curve]] = {"ours": [], "trl": []}
    for seed in range(arguments.seeds):
        for side in ("ours", "trl") if seed % 2 == 0 else ("trl", "ours"):
            place = folder / f"{side}_{steps}_{seed}"
            kept = place / "curve.json"
            if not kept.exists():
                print(f"  {side}, seed {seed}", flush=True)
                shutil.rmtree(place, ignore_errors=True)  # of a run that was stopped
                place.mkdir(parents=True)
                if side == "ours":
                    curve = run_ours(start, place, seed, steps, every, settings["ours"])
                else:
                    curve = run_trl(start, place, seed, steps, every, python, settings["trl"])
                with atomic_write(kept) as temporary:
                    temporary.write_text(json.dumps(curve))
            curves[side].append(json.loads(kept.read_text()))
    report = {"machine": versions(), "settings": settings, **summarize(curves), "curves": curves}
    for side in curves:
        last, seconds = report[side]["by_step"][-1], report[side]["seconds_per_step"]
        print(f"{side}: {last['accuracy']:.1%} after {last['steps']:.0f} steps, {seconds:.2f} s a step")
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    if arguments.png:
        draw(curves, arguments.png)


if __name__ == "__main__":
    main()
