"""Processes of runs are killed at random: does every run end, with the bits of one that nobody disturbed?

    python benchmarks/kills.py --json benchmarks/kills.json [--runs 20] [--driver-runs 10] [--only N …]

One small run of SFT and RL, on all cores of this process, is made undisturbed, twice: its weights and
rollouts must be the same to the bit. Then `--runs` others have one process killed with SIGKILL some random
time after a random step, or while processes are started: first a kind of process is drawn, of those that
there are (Ray's helpers, which are many, are one kind), then one of that kind. `--driver-runs` have their
driver killed. A run whose command ends is resumed as by hand. About a minute each on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from rlvr.record.journal import read_journal
from rlvr.record.run_folder import versions

RLVR = Path(sys.executable).with_name("rlvr")
MARK = "RLVR_BENCHMARK_RUN"
SFT_STEPS, STEPS = 20, 10
START_SECONDS = 15.0  # in which processes start: about as long as that takes on two quiet cores
SETTINGS = [
    "stages=[sft,rl]",
    "model.max_length=48",
    "problems.train.level=1",
    "problems.train.n=64",
    "problems.heldout.level=1",
    "problems.heldout.n=12",
    "sampling.max_tokens=16",
    f"sft.steps={SFT_STEPS}",
    "sft.batch_size=32",
    "sft.optimizer.lr=5e-3",
    "sft.checkpoint_every=8",
    f"rl.steps={STEPS}",
    "rl.problems_per_step=8",
    "rl.group_size=4",
    "rl.optimizer.lr=1e-3",
    "rl.evaluate_every=4",
    "rl.checkpoint_every=4",
    "record.trackers=[]",
    "hydra.run.dir=run",
]
LIMIT = 900.0  # seconds for one command
# what Ray names its processes by, and what they are to a reader
KINDS = {
    "ray::RolloutWorker": "rollout worker",
    "ray::LearnerRank": "learner",
    "ray::RewardWorker": "reward actor",
    "raylet/raylet": "raylet",
    "gcs_server": "Ray's control service",
    "rlvr.rewards.workers.worker": "reward process",
}
HELPER = "helper of Ray"  # monitors, agents, processes that wait for work


def marked(mark: str) -> dict[int, str]:
    """The processes with this mark in their environment: id → command line."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                if line:  # else it has ended, and nobody has asked how
                    found[int(folder.name)] = line
    return found


def short(line: str) -> str:
    """The first words of a command line, without folders."""
    return " ".join(Path(word).name for word in line.split()[:3])[:60]


class Command:
    """One command, all of whose processes are found by a mark in their environment."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        self.output = folder / f"output_{self.mark[:6]}.txt"
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                [str(RLVR), "train", *arguments],
                cwd=folder,
                env=os.environ | {MARK: self.mark, "HF_HUB_OFFLINE": "1"},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def processes(self) -> dict[int, str]:
        return marked(self.mark)

    def kind(self, pid: int, line: str) -> str:
        if pid == self.process.pid:
            return "driver"
        return next((kind for name, kind in KINDS.items() if name in line), HELPER)

    def end(self) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def result(run: Path) -> dict[str, Any]:
    """Weights of both stages, and all that was drawn, learned from and found."""
    found: dict[str, Any] = {}
    for stage in ("sft", "rl"):
        newest = sorted((run / stage / "checkpoints").glob("step_*"))[-1]
        for path in (newest / "model").glob("*.safetensors"):
            found |= {f"{stage} {newest.name} {name}": value for name, value in load_file(path).items()}
    for kind in ("train", "heldout"):
        for group in read_journal(run / "rl", kind):
            for rollout, verdict in zip(group.rollouts, group.verdicts, strict=True):
                name = f"{kind} {rollout.step} {rollout.problem_id} {rollout.sample}"
                found[f"{name} tokens"] = rollout.tokens
                found[f"{name} logprobs"] = rollout.logprobs
                found[f"{name} verdict"] = np.array([str(verdict.status), str(verdict.reward)])
    return found


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    if ours.keys() != theirs.keys():
        return sorted(ours.keys() ^ theirs.keys())
    return [name for name in ours if not np.array_equal(ours[name], theirs[name])]


def undisturbed(folder: Path) -> tuple[dict[str, Any], float]:
    folder.mkdir()
    began = time.monotonic()
    command = Command(folder, *SETTINGS)
    if command.process.wait(LIMIT):
        sys.exit(command.output.read_text()[-4000:])
    return result(folder / "run"), time.monotonic() - began


def recorded(run: Path) -> int:
    """Steps of both stages that are in their metrics."""
    paths = (run / stage / "metrics.jsonl" for stage in ("sft", "rl"))
    return sum(path.read_bytes().count(b"\n") for path in paths if path.exists())


def disturbed(folder: Path, number: int, driver: bool) -> dict[str, Any]:
    """Start a run, kill one process of it at a random moment, and resume it until it is done."""
    chance = random.Random(f"{number} {driver}")
    folder.mkdir()
    began = time.monotonic()
    command = Command(folder, *SETTINGS)
    starts = {0, SFT_STEPS}  # steps after which processes are started
    steps = range(SFT_STEPS + STEPS + 1)
    after = chance.choices(steps, [8 if step in starts else 1 for step in steps])[0]
    while recorded(folder / "run") < after and command.process.poll() is None:
        time.sleep(0.01)
    end = time.monotonic() + chance.uniform(0, START_SECONDS if after in starts else 1)
    while time.monotonic() < end and command.process.poll() is None:
        time.sleep(0.01)
    there = command.processes()
    told: dict[str, Any] = {
        "number": number,
        "after_step": after,
        "after_seconds": round(time.monotonic() - began, 1),
    }
    if command.process.poll() is None and there:
        kinds = {pid: command.kind(pid, line) for pid, line in there.items()}
        kind = "driver" if driver else chance.choice(sorted(set(kinds.values())))
        victim = chance.choice(sorted(pid for pid in kinds if kinds[pid] == kind))
        told |= {"killed": kind, "command": short(there[victim])}
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
    else:
        told["killed"] = "nothing: it had ended"
    told["resumes"] = 0
    code = command.process.wait(LIMIT)
    while code and told["resumes"] < 3:
        command.end()  # what a killed driver leaves ends by itself, but later
        told["resumes"] += 1
        begun = (folder / "run" / "config.yaml").exists()
        if not begun:
            shutil.rmtree(folder / "run", ignore_errors=True)
        command = Command(folder, *([f"resume={folder / 'run'}"] if begun else SETTINGS))
        code = command.process.wait(LIMIT)
    told |= {"finished": code == 0, "seconds": round(time.monotonic() - began, 1)}
    if code:
        told["said"] = command.output.read_text()[-2000:]
    command.end()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--driver-runs", type=int, default=10)
    parser.add_argument("--only", type=int, nargs="*", help="numbers of the runs")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rlvr-kills-"))
    expected, length = undisturbed(folder / "first")
    again, _ = undisturbed(folder / "second")
    if differing := differences(again, expected):
        sys.exit(f"two undisturbed runs differ: {differing[:3]}")
    print(f"undisturbed: {length:.0f} s, twice the same to the bit", flush=True)
    runs = [(number, False) for number in range(given.runs)]
    runs += [(number, True) for number in range(given.driver_runs)]
    told = []
    for number, driver in runs:
        if given.only and number not in given.only:
            continue
        path = folder / f"{'driver' if driver else 'any'}_{number}"
        one = disturbed(path, number, driver)
        if one["finished"]:
            one["differences"] = differences(result(path / "run"), expected)[:5]
            shutil.rmtree(path)
        told.append(one)
        print(json.dumps(one), flush=True)
        if given.json:
            done = [each for each in told if each["finished"] and not each["differences"]]
            summary = {
                "runs": len(told),
                "finished_with_the_same_bits": len(done),
                "undisturbed_seconds": length,
            }
            given.json.write_text(
                json.dumps({"summary": summary, "kills": told, "versions": versions()}, indent=1) + "\n"
            )
    if all(each["finished"] and not each.get("differences") for each in told):
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
