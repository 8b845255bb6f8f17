"""Five hundred steps: does the memory of every process stay flat, and does the run leave anything behind?

    python benchmarks/endurance.py --json benchmarks/endurance.json [--steps 500] [--staleness 0]

A small model, so that what grows with the number of steps shows beside what a step needs. Every process of
the run is looked at every five steps: its proportional memory (PSS), in MiB. `growth` is the slope of a
straight line through the second half, in MiB per 100 steps. About ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from kills import MARK, RLVR, marked

from rlvr.record.run_folder import versions

SETTINGS = [
    "stages=[rl]",
    "model.max_length=48",
    "problems.train.level=1",
    "problems.train.n=64",
    "problems.heldout.level=1",
    "problems.heldout.n=12",
    "sampling.max_tokens=16",
    "rl.problems_per_step=8",
    "rl.group_size=8",
    "rl.optimizer.lr=1e-4",
    "rl.evaluate_every=50",
    "rl.checkpoint_every=50",
    "rl.check_every=50",
    "record.trackers=[]",
    "hydra.run.dir=run",
]


def look(mark: str) -> dict[str, float]:
    """Process → its proportional share of memory in MiB."""
    found = {}
    for pid, line in marked(mark).items():
        with suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            pss = next(int(row.split()[1]) for row in rollup.splitlines() if row.startswith("Pss:"))
            found[f"{Path(line.split()[0]).name.partition('.')[0]} {pid}"] = pss / 1024
    return found


def shared_files() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir()}


def steps_of(metrics: Path) -> int:
    return metrics.read_bytes().count(b"\n") - 1 if metrics.exists() else -1


def growth(points: list[tuple[int, float]]) -> dict[str, float]:
    half = points[len(points) // 2 :]
    steps, memory = np.array(half).T
    slope = np.polyfit(steps, memory, 1)[0] if len(half) > 2 else 0.0
    return {"mib": round(float(memory[-1]), 1), "growth": round(100 * float(slope), 2), "seen": len(points)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--staleness", type=int, default=0)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    mark, before = uuid.uuid4().hex, shared_files()
    points: dict[str, list[tuple[int, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="rlvr-endurance-") as folder:
        metrics = Path(folder) / "run" / "rl" / "metrics.jsonl"
        with (Path(folder) / "output.txt").open("w") as output:
            own = [f"rl.steps={given.steps}", f"rl.max_staleness={given.staleness}"]
            run = subprocess.Popen(
                [str(RLVR), "train", *SETTINGS, *own],
                cwd=folder,
                env=os.environ | {MARK: mark, "HF_HUB_OFFLINE": "1"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            seen = -1
            while run.poll() is None:
                time.sleep(0.2)
                if (step := steps_of(metrics)) // 5 > seen // 5:
                    seen = step
                    for name, memory in look(mark).items():
                        points[name].append((step, memory))
        if run.returncode:
            sys.exit((Path(folder) / "output.txt").read_text()[-4000:])
        seconds = [json.loads(line).get("time/step") for line in metrics.read_text().splitlines()[1:]]
    end = time.monotonic() + 30
    while look(mark) and time.monotonic() < end:
        time.sleep(0.2)
    told: dict[str, Any] = {
        "steps": given.steps,
        "staleness": given.staleness,
        "processes": {name: growth(seen) for name, seen in sorted(points.items()) if len(seen) > 20},
        "step_seconds": {
            "first_tenth": float(np.median(seconds[: len(seconds) // 10])),
            "last_tenth": float(np.median(seconds[-len(seconds) // 10 :])),
        },
        "left_processes": sorted(look(mark)),
        "left_shared_files": sorted(shared_files() - before),
    }
    for name, one in told["processes"].items():
        print(f"{name:40} {one['mib']:8.1f} MiB {one['growth']:+7.2f} MiB per 100 steps")
    print(f"step: {told['step_seconds']}; left: {told['left_processes']} {told['left_shared_files']}")
    if given.json:
        given.json.write_text(json.dumps(told | {"versions": versions()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
