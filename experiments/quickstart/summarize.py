"""The three seeds of the quickstart as one table and one plot, from their run folders alone.

rlvr train -m experiment=quickstart seed=0,1,2
python experiments/quickstart/summarize.py runs/quickstart/DATE/*
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from rlvr.evaluation.metrics import half_interval
from rlvr.record.sinks import read_metrics

HERE = Path(__file__).parent


def read_run(path: Path) -> dict[str, Any]:
    """The held-out curve of one run, and what it cost."""
    grpo = read_metrics(path / "grpo" / "metrics.jsonl")
    sft = read_metrics(path / "sft" / "metrics.jsonl")
    versions = json.loads((path / "versions.json").read_text())
    curve = {step: row["heldout/pass@1"] for step, row in grpo.items() if "heldout/pass@1" in row}
    return {
        "pass@1": curve,
        "sft_seconds": sum(row.get("time/step") or 0 for row in sft.values()),
        "grpo_seconds": sum(row.get("time/step") or 0 for row in grpo.values()),
        "evaluation_seconds": sum(row.get("time/evaluate") or 0 for row in grpo.values()),
        "git": versions["git"],
        "machine": {key: versions[key] for key in ("cpu", "python", "platform")},
    }


def main() -> None:
    runs = [read_run(Path(path)) for path in sorted(sys.argv[1:]) if (Path(path) / "grpo").is_dir()]
    steps = sorted(runs[0]["pass@1"])
    start = [run["pass@1"][steps[0]] for run in runs]
    end = [run["pass@1"][steps[-1]] for run in runs]
    gain = [b - a for a, b in zip(start, end, strict=True)]
    lines = ["| seed | SFT start | after GRPO | gain |", "| --- | ---: | ---: | ---: |"]
    for seed in range(len(runs)):
        lines.append(f"| {seed} | {start[seed]:.1%} | {end[seed]:.1%} | {100 * gain[seed]:+.1f} points |")
    lines.append(
        f"| mean (95% interval) | {mean(start):.1%} ± {100 * half_interval(start):.1f} | {mean(end):.1%} ± "
        f"{100 * half_interval(end):.1f} | {100 * mean(gain):+.1f} ± {100 * half_interval(gain):.1f} points |"
    )
    (HERE / "results.json").write_text(json.dumps(runs, indent=1) + "\n")
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for seed, run in enumerate(runs):
        axes.plot(
            steps,
            [run["pass@1"][step] for step in steps],
            marker="o",
            markersize=3,
            alpha=0.5,
            label=f"seed {seed}",
        )
    axes.plot(
        steps, [mean(run["pass@1"][step] for run in runs) for step in steps], color="black", label="mean"
    )
    axes.axhline(mean(start), color="grey", linestyle=":", label="SFT start (mean)")
    axes.set(xlabel="GRPO step", ylabel="held-out pass@1", ylim=(0, 1))
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))
    axes.legend(frameon=False)
    figure.savefig(HERE / "curves.png", dpi=130)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
