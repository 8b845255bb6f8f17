"""What each stage of the recipe is worth: the model without it against the model with all, over seeds.

    python experiments/leave_one_out/summarize.py runs/leave_one_out/sweep-*

Every folder is that of a sweep over seeds and lists of stages. Runs of one seed share what they have in
common, problems and luck on the held-out set, so differences are paired by seed.
"""

from __future__ import annotations

import csv
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import yaml

from rlvr.statistics.intervals import half_interval

HERE = Path(__file__).parent
ALL = "all stages"
STAGES = ("midtrain", "sft", "dpo", "rl")
TITLES = {
    "midtrain": "without mid-training",
    "sft": "without SFT",
    "dpo": "without Rollout DPO",
    "rl": "without RL",
}


def read(folders: list[Path]) -> tuple[dict[str, dict[int, float]], dict[str, Any]]:
    """Arm → seed → held-out avg@k of the last model, and where it was measured."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    versions: dict[str, Any] = {}
    for table in sorted(path for folder in folders for path in folder.glob("*/table.csv")):
        config = yaml.safe_load((table.parent / "config.yaml").read_text())
        missing = [stage for stage in STAGES if stage not in config["stages"]]
        arm = TITLES[missing[0]] if missing else ALL
        last = [row for row in csv.DictReader(table.open()) if row["stage"] in STAGES][-1]
        found[arm][config["seed"]] = float(last["avg"])
        versions = json.loads((table.parent / "versions.json").read_text())
    return found, {key: versions[key] for key in ("git", "cpu", "python", "platform")}


def main() -> None:
    found, machine = read([Path(argument) for argument in sys.argv[1:]])
    arms = [ALL, *(title for title in TITLES.values() if title in found)]
    seeds = sorted(set.intersection(*(set(found[arm]) for arm in arms)))
    print(f"{len(seeds)} seeds\n\n| | held-out avg@k | against all stages, points |\n| --- | ---: | ---: |")
    for arm in arms:
        values = [100 * found[arm][seed] for seed in seeds]
        lost = [100 * (found[arm][seed] - found[ALL][seed]) for seed in seeds]
        compared = "–" if arm == ALL else f"{mean(lost):+.1f} ± {half_interval(lost):.1f}"
        print(f"| {arm} | {mean(values):.1f}% ± {half_interval(values):.1f} | {compared} |")
    results = {"machine": machine, "seeds": seeds, "heldout": {arm: found[arm] for arm in arms}}
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for place, arm in enumerate(arms):
        values = [found[arm][seed] for seed in seeds]
        axes.barh(
            place, mean(values), xerr=half_interval(values), color="#1f6fb4" if arm == ALL else "#d9822b"
        )
        axes.plot(values, [place] * len(values), "k.", markersize=4)
    axes.set_yticks(range(len(arms)), arms)
    axes.invert_yaxis()
    axes.set(
        xlabel=f"held-out avg@k, mean of {len(seeds)} seeds with its 95% interval; dots are seeds", xlim=0
    )
    axes.xaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0, decimals=0))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "without.png", dpi=130)


if __name__ == "__main__":
    main()
