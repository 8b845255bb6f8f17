"""The same rollouts through our learner and through TRL's GRPOTrainer: are losses and gradients the same?

    python benchmarks/parity_trl.py --json benchmarks/parity_trl.json [--trl-python PATH]

vLLM draws rollouts from a small model, and their log-probabilities. Another model, some way off, learns from
them: on our side through conf/algorithm/*.yaml, the stage's own code and the DeepSpeed learner, on
TRL's side through its own batch and `training_step`. What is called different is so by TRL's definition;
it is compared again with that accounted for. Controls are wrong on purpose and must show. Float32 on the CPU.

TRL needs packages of its own: without --trl-python they are installed, once, into the user's cache.
Exits with 1 if a pair differs by more than 1e-5 for a reason that is not known.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from parity_trl_cases import GROUP_SIZE, MAX_TOKENS, NOTES, TEMPERATURE, Pair, Plan, make_plan, trl_advantage

from rlvr.record.run_folder import versions

TOLERANCE = 1e-5
CONTROL = 1e-2  # a wrong setting must be off by this much
HERE = Path(__file__).resolve().parent
TRL, TORCH = "trl==1.16.0", "torch==2.13.0"


def trl_python() -> Path:
    """The Python of an environment with TRL, which is made at the first call."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "rlvr" / f"{TRL}-{TORCH}".replace("==", "-")
    python, done = folder / "bin" / "python", folder / "complete"
    if done.exists():
        return python
    print(f"installing {TRL} and {TORCH} into {folder}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    # the build for the CPU, where an index has it, is a tenth of the size
    if subprocess.run([*pip, f"{TORCH}+cpu"], capture_output=True).returncode:
        subprocess.run([*pip, TORCH], check=True)
    subprocess.run([*pip, TRL, TORCH], check=True)
    done.touch()
    return python


def run(*command: object) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(len(os.sched_getaffinity(0))), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{command[1]} failed:\n{(done.stdout + done.stderr)[-6000:]}")


def run_both(folder: Path, plan: Plan, python: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Results by run: ours, and TRL's with its versions."""
    ours = HERE / "parity_trl_ours.py"
    run(sys.executable, ours, "sample", folder)
    run(sys.executable, ours, "learn", folder)
    results = json.loads((folder / "ours" / "results.json").read_text())
    given = ("rollouts", "rewards", "advantages")
    spec = {
        "base": str(folder / "base"),
        "policy": str(folder / "policy"),
        "group_size": GROUP_SIZE,
        "max_tokens": MAX_TOKENS,
        "temperature": TEMPERATURE,
        "runs": {
            name: {
                **{key: results[run.follows][key] for key in given},
                "settings": dict(run.settings),
                "own_advantages": run.own_advantages,
            }
            for name, run in plan.trl.items()
        },
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    run(python, HERE / "parity_trl_worker.py", folder)
    return results, json.loads((folder / "trl" / "results.json").read_text())


def relative(ours: npt.ArrayLike, theirs: npt.ArrayLike) -> float:
    """‖ours − theirs‖ over ‖theirs‖."""
    a, b = np.ravel(np.asarray(ours, np.float64)), np.ravel(np.asarray(theirs, np.float64))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def compare(
    pair: Pair, folder: Path, ours: dict[str, Any], theirs: dict[str, Any], follows: str
) -> dict[str, Any]:
    mine, other = ours[pair.ours], theirs[pair.trl]
    factor = 1.0
    if pair.factor == "rows":
        factor = len(ours[follows]["rollouts"]) / mine["rows"]
    elif pair.factor == "tokens":
        factor = ours[follows]["tokens"] / mine["tokens"]
    with np.load(folder / mine["file"]) as a, np.load(folder / other["file"]) as b:
        assert sorted(a) == sorted(b), "the two sides name their weights differently"
        tensors = {name: (a[name], factor * b[name]) for name in a}
    flat = [np.concatenate([both[side].ravel() for both in tensors.values()]) for side in (0, 1)]
    by_tensor = {name: relative(*both) for name, both in tensors.items()}
    worst = max(by_tensor, key=by_tensor.__getitem__)
    loss, gradient = relative(mine["loss"], factor * other["loss"]), relative(*flat)
    same = all(difference <= TOLERANCE for difference in (loss, gradient, *by_tensor.values()))  # not if NaN
    return {
        **asdict(pair),
        "factor": factor,
        "loss": [mine["loss"], factor * other["loss"]],
        "loss_difference": loss,
        "gradient_difference": gradient,
        "worst_tensor_difference": by_tensor[worst],
        "worst_tensor": worst,
        "trl_clipped": other["clipped"],
        "ok": {
            "equal": same,
            "different": not same,  # or the reason is out of date
            "control": loss >= CONTROL and gradient >= CONTROL,
        }[pair.kind],
    }


def compare_advantages(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """TRL's own advantages against ours, and against its formula of the same rewards."""
    rewards = np.array(ours["grpo"]["rewards"]).reshape(-1, GROUP_SIZE)
    formula = np.concatenate([trl_advantage(group) for group in rewards])
    own = np.array(theirs["grpo"]["advantages"])
    dr_grpo = [np.array(side["dr_grpo"]["advantages"]) for side in (ours, theirs)]
    differences = {
        "grpo": relative(np.array(ours["grpo"]["advantages"]), own),
        "grpo, TRL's formula": relative(formula, own),
        "dr_grpo": relative(*dr_grpo),
    }
    same = all(differences[name] <= TOLERANCE for name in ("grpo, TRL's formula", "dr_grpo"))
    return {**differences, "ok": same}


def clipping_is_seen(pairs: list[dict[str, Any]]) -> bool:
    """Whether the data reaches the bounds at all, in both directions where there are two."""
    clipped = {pair["name"]: pair["trl_clipped"] for pair in pairs}
    both = [clipped[name] for name in ("grpo", "dapo", "dr_grpo", "gspo")]
    sides = [found[f"clip_ratio/{side}_mean"] for found in both for side in ("low", "high")]
    return min(*sides, clipped["cispo"]["cispo_clip_ratio"]) > 0


def describe_rollouts(folder: Path) -> dict[str, Any]:
    rows = json.loads((folder / "rollouts.json").read_text())
    return {
        "groups": len(rows) // GROUP_SIZE,
        "rollouts": len(rows),
        "tokens": sum(len(row["completion"]) for row in rows),
        "cut_off": sum(row["finish_reason"] == "length" for row in rows),
        "prompt_tokens": sorted({len(row["prompt"]) for row in rows}),
        "answer_tokens": sorted({len(row["completion"]) for row in rows}),
    }


def show(report: dict[str, Any]) -> None:
    print(f"{'':40}{'loss':9}{'gradient':9}{'worst':9}(relative differences)")
    for pair in report["pairs"]:
        figures = (pair[f"{what}_difference"] for what in ("loss", "gradient", "worst_tensor"))
        mark = "" if pair["ok"] else "  FAILED"
        kind = "" if pair["kind"] == "equal" else f"{pair['kind']}: "
        print(f"{pair['name']:40}{'  '.join(f'{x:.1e}' for x in figures)}  {kind}{pair['why']}{mark}")
    print("advantages: ", {k: v if k == "ok" else f"{v:.1e}" for k, v in report["advantages"].items()})
    print(f"gap of old log-probabilities, TRL's trainer and vLLM: {report['old_logprob_gap']:.1e}")
    for note in report["notes"]:
        print(f"- {note}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--trl-python", type=Path, help=f"a Python that has {TRL} and {TORCH}")
    arguments = parser.parse_args()
    plan = make_plan()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, theirs = run_both(folder, plan, arguments.trl_python or trl_python())
        runs = theirs["runs"]
        pairs = [compare(pair, folder, ours, runs, plan.trl[pair.trl].follows) for pair in plan.pairs]
        report = {
            "machine": versions(),
            "trl": theirs["versions"],
            "tolerance": TOLERANCE,
            "data": describe_rollouts(folder),
            "clipping_is_seen": clipping_is_seen(pairs),
            "old_logprob_gap": max(run["old_logprob_gap"] for run in runs.values()),
            "advantages": compare_advantages(ours, runs),
            "pairs": pairs,
            "notes": NOTES,
        }
    show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return (
        0 if all([*(p["ok"] for p in pairs), report["advantages"]["ok"], report["clipping_is_seen"]]) else 1
    )


if __name__ == "__main__":
    sys.exit(main())
