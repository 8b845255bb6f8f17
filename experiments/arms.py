"""The arms of a study as one table and one plot, from their run folders alone.

    python experiments/arms.py experiments/algorithms runs/algorithms/DATE --base grpo

An arm is what `+arm=NAME` named; its runs differ in their seed. Every curve is read at the same number of
rollouts, the least that any run has drawn in all, between two evaluations by a straight line. Differences
are paired: both runs of a pair have the same seed, and so the same problems and luck on the held-out set.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from itertools import accumulate
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import matplotlib
import numpy as np
from mpmath import betainc

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import yaml

from rlvr.record.sinks import read_metrics
from rlvr.statistics.intervals import half_interval

Curve = list[tuple[int, float]]  # (rollouts drawn so far, held-out pass@1)
Study = dict[str, dict[int, Curve]]  # arm → seed → curve


def read_study(folder: Path) -> tuple[Study, dict[str, Any]]:
    """All runs of a sweep that were evaluated to their end, and where they ran."""
    study: Study = defaultdict(dict)
    versions: dict[str, Any] = {}
    for path in sorted(folder.glob("*/.hydra/overrides.yaml")):
        overrides = dict(line.lstrip("+").split("=", 1) for line in yaml.safe_load(path.read_text()))
        run = path.parent.parent
        steps = read_metrics(run / "rl" / "metrics.jsonl")
        drawn = accumulate(row.get("rollouts/drawn") or 0 for row in steps.values())
        rows = zip(drawn, steps.values(), strict=True)
        curve = [(int(n), row["heldout/pass@1"]) for n, row in rows if "heldout/pass@1" in row]
        study[overrides["arm"]][int(overrides["seed"])] = curve
        versions = json.loads((run / "versions.json").read_text())
    return dict(study), {key: versions[key] for key in ("git", "cpu", "python", "platform")}


def p_value(differences: list[float]) -> float:
    """Two-sided p of Student's t test that their mean is zero."""
    n = len(differences)
    spread = stdev(differences) / n**0.5
    t = mean(differences) / spread if spread else 0.0
    return float(betainc((n - 1) / 2, 0.5, 0, (n - 1) / (n - 1 + t * t), regularized=True))


def holm(p_values: list[float]) -> list[float]:
    """p values that account for how many there are (Holm, 1979)."""
    order = np.argsort(p_values)
    adjusted, worst = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min((len(p_values) - rank) * p_values[index], 1.0))
        adjusted[index] = worst
    return adjusted


def shown(values: list[float]) -> str:
    """Mean and 95% interval, in points."""
    return f"{100 * mean(values):+.1f} ± {100 * half_interval(values):.1f}"


def effects(final: dict[str, dict[int, float]], seeds: list[int]) -> dict[str, list[float]]:
    """What switching on each device adds, seed by seed, averaged over the settings of the others."""
    named = {arm: frozenset(() if arm == "none" else arm.split("_")) for arm in final}
    arms = {devices: arm for arm, devices in named.items()}
    every = sorted(set().union(*arms))
    return {
        device: [
            mean(
                final[arms[devices | {device}]][seed] - final[arm][seed]
                for devices, arm in arms.items()
                if device not in devices
            )
            for seed in seeds
        ]
        for device in every
    }


def draw(study: Study, seeds: list[int], budget: int, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    grid = np.linspace(0, budget, 3)
    for place, (arm, curves) in enumerate(study.items()):
        values = np.array([np.interp(grid, *zip(*curves[seed], strict=True)) for seed in seeds])
        half = [half_interval(list(column)) if np.ptp(column) else 0.0 for column in values.T]
        # side by side, or the intervals would hide one another
        shift = (place - len(study) / 2) * budget / 150
        axes.errorbar(grid + shift, values.mean(0), yerr=half, label=arm.replace("_", " "), capsize=2)
    axes.set(xlabel="rollouts drawn", ylabel="held-out pass@1")
    axes.set_title(f"mean of {len(seeds)} seeds with its 95% interval", fontsize=9)
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    axes.legend(frameon=False, fontsize=8, ncols=2)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("experiment", type=Path, help="where results.json and curves.png go")
    parser.add_argument("runs", type=Path, help="the folder of the sweep")
    parser.add_argument("--base", required=True, help="the arm that the others are compared with")
    parser.add_argument("--devices", action="store_true", help="arms are combinations of devices")
    arguments = parser.parse_args()
    study, where = read_study(arguments.runs)
    seeds = sorted(set.intersection(*(set(curves) for curves in study.values())))
    budget = min(curves[seed][-1][0] for curves in study.values() for seed in seeds)
    final = {
        arm: {seed: float(np.interp(budget, *zip(*curves[seed], strict=True))) for seed in seeds}
        for arm, curves in study.items()
    }
    base = arguments.base
    others = [arm for arm in study if arm != base]
    paired = {arm: [final[arm][seed] - final[base][seed] for seed in seeds] for arm in others}
    adjusted = dict(zip(others, holm([p_value(paired[arm]) for arm in others]), strict=True))
    print(f"{len(seeds)} seeds, {budget:,} rollouts each\n")
    print(f"| arm | pass@1 | gain over the start | against {base} | p (Holm) |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for arm in (base, *others):
        values = [final[arm][seed] for seed in seeds]
        gains = [final[arm][seed] - study[arm][seed][0][1] for seed in seeds]
        compared = f"{shown(paired[arm])} | {adjusted[arm]:.2f}" if arm != base else "– | –"
        level = f"{100 * mean(values):.1f}% ± {100 * half_interval(values):.1f}"
        print(f"| {arm.replace('_', ' ')} | {level} | {shown(gains)} | {compared} |")
    results: dict[str, Any] = {"machine": where, "budget": budget, "curves": study, "final": final}
    if arguments.devices:
        by_device = effects(final, seeds)
        adjusted = dict(zip(by_device, holm([p_value(v) for v in by_device.values()]), strict=True))
        print("\n| device | what it adds | p (Holm) |\n| --- | ---: | ---: |")
        for device, values in by_device.items():
            print(f"| {device} | {shown(values)} | {adjusted[device]:.2f} |")
        results["effects"] = by_device
    (arguments.experiment / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    draw(study, seeds, budget, arguments.experiment / "curves.png")


if __name__ == "__main__":
    main()
