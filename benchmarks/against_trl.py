"""A training step of `rlvr train` and one of TRL's GRPOTrainer: the same work on the same two cores.

    python benchmarks/against_trl.py --tune --json benchmarks/against_trl.json   # each side's best settings
    python benchmarks/against_trl.py --json benchmarks/against_trl.json [--models 0.5M 3M 10M] [--pairs N]
    python benchmarks/against_trl.py --json benchmarks/against_trl.json --models 135M --checkpoint FOLDER

Both sides have the same checkpoint, prompts, group size, temperature, loss, advantages (a pair that
`parity_trl.py` finds equal), reward function and optimizer, in float32. Each is a process of its own that
waits while the other makes a step; steps take turns, and the first ones do not count. Seconds are from the
word to go until the side is ready for another step, so nothing of the loop is left out; there is no
evaluation and no checkpoint in between. The models have random weights and a learning rate of next to
nothing, so that every step is alike but for the draw; both sides' lengths are reported. Our side writes
its journal, as it does by default; TRL logs nothing.

TRL needs packages of its own, which are installed once into the user's cache (see parity_trl.py).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import against_trl_tune as tune
import numpy as np
from against_trl_cases import CASES
from against_trl_sides import Side, our_figures, our_side, prepare, trl_side
from parity_trl import trl_python

from rlvr.record.run_folder import versions

PAIRS = {"0.5M": 15, "3M": 9, "10M": 9, "135M": 5}
WARM_UP = {"0.5M": 3, "3M": 1, "10M": 1, "135M": 1}
MINUTES = {"0.5M": 2, "3M": 5, "10M": 13, "135M": 90}  # on two quiet cores
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
Steps = list[dict[str, Any]]


def alternate(sides: Sequence[Side], warm_up: int, pairs: int) -> dict[str, Steps]:
    """The counted steps of each side; `others_cpu` are seconds that the waiting side computed meanwhile."""
    steps: dict[str, Steps] = {side.name: [] for side in sides}
    for turn in range(warm_up + pairs):
        for side, other in zip(sides, reversed(sides), strict=True):
            before = other.cpu_seconds()
            figures = side.step()
            figures["others_cpu"] = other.cpu_seconds() - before
            counts = turn >= warm_up
            if counts:
                steps[side.name].append(figures)
            print(
                f"  {'pair' if counts else 'warm-up'} {turn + 1}: {side.name} {figures['wall']:.2f} s",
                flush=True,
            )
    return steps


def measure(
    name: str, settings: dict[str, Any], python: Path, pairs: int, checkpoint: Path | None
) -> dict[str, Any]:
    case = CASES[name]
    with tempfile.TemporaryDirectory(prefix="against_trl_") as place:
        folder = Path(place)
        parameters = prepare(folder, case, checkpoint)
        began = time.monotonic()
        with (
            our_side(folder, case, settings["ours"]) as ours,
            trl_side(python, folder, case, settings["trl"]) as trl,
        ):
            ours.wait()
            packages = trl.wait()["versions"]
            print(f"  both are ready after {time.monotonic() - began:.0f} s", flush=True)
            steps = alternate([ours, trl], WARM_UP[name], pairs)
            ours.step()  # only now the last one that counts is in its metrics and its journal
            memory = {side.name: side.peak_memory() for side in (ours, trl)}
        steps["ours"] = [our_figures(folder, figures) for figures in steps["ours"]]
    return {
        "million_parameters": parameters / 1e6,
        "max_tokens": case.max_tokens,
        "rollouts": case.rollouts,
        "trl_packages": packages,
        "settings": settings,
        "pairs": [
            {side: made["wall"] for side, made in zip(steps, pair, strict=True)}
            for pair in zip(*steps.values(), strict=True)
        ],
        "times_faster": times_faster(steps),
        **{side: describe(made, memory[side]) for side, made in steps.items()},
    }


def times_faster(steps: dict[str, Steps]) -> dict[str, float]:
    """TRL's seconds over ours, pair by pair; `per_token` is of the seconds for each token that was drawn."""
    pairs = list(zip(steps["ours"], steps["trl"], strict=True))
    ratios = [trl["wall"] / ours["wall"] for ours, trl in pairs]
    drawn = [sum(ours["lengths"]) / sum(trl["lengths"]) for ours, trl in pairs]
    return {
        "median": statistics.median(ratios),
        "least": min(ratios),
        "most": max(ratios),
        "per_token": statistics.median(ratio * more for ratio, more in zip(ratios, drawn, strict=True)),
    }


def median(values: Iterable[float]) -> float:
    return float(statistics.median(values))


def describe(steps: Steps, memory: dict[str, float]) -> dict[str, Any]:
    """Medians over steps. `rest` is all of the loop that is none of the parts."""
    for step in steps:
        step["seconds"]["rest"] = step["wall"] - sum(step["seconds"].values())
    tokens = {"generate": [sum(s["lengths"]) for s in steps], "learn": [s["learned_tokens"] for s in steps]}
    return {
        "seconds": {
            "step": median(s["wall"] for s in steps),
            **{part: median(s["seconds"][part] for s in steps) for part in steps[0]["seconds"]},
        },
        "tokens_per_second": {
            "step": median(sum(s["lengths"]) / s["wall"] for s in steps),
            **{
                part: median(n / s["seconds"][part] for n, s in zip(counts, steps, strict=True))
                for part, counts in tokens.items()
            },
        },
        "lengths": lengths_of(steps),
        "no_signal": float(np.mean([s["no_signal"] for s in steps])),
        "padding": median(s["padding"] for s in steps),
        "prompt_tokens": sorted({s["prompt_tokens"] for s in steps}),
        "peak_memory_gib": {"all": sum(memory.values()), **memory},
        "others_cpu_seconds": median(s["others_cpu"] for s in steps),
    }


def lengths_of(steps: Steps) -> dict[str, Any]:
    lengths = np.array(list(chain.from_iterable(s["lengths"] for s in steps)))
    return {
        "mean": float(lengths.mean()),
        "standard_error": float(lengths.std(ddof=1) / len(lengths) ** 0.5),
        "max": int(lengths.max()),
        "quantiles": {str(q): float(np.quantile(lengths, q)) for q in QUANTILES},
        "cut_off": float((lengths == lengths.max()).mean()),
        "tokens_per_step": median(sum(s["lengths"]) for s in steps),
    }


def lengths_differ(result: dict[str, Any]) -> float:
    """The difference of the mean lengths, in its standard errors."""
    ours, trl = (result[side]["lengths"] for side in ("ours", "trl"))
    return float((ours["mean"] - trl["mean"]) / np.hypot(ours["standard_error"], trl["standard_error"]))


def show(name: str, result: dict[str, Any]) -> None:
    faster = result["times_faster"]
    print(
        f"{name}: {faster['median']:.2f} times faster ({faster['least']:.2f} to {faster['most']:.2f}), "
        f"{faster['per_token']:.2f} by token"
    )
    for side in ("ours", "trl"):
        figures = result[side]
        parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in figures["seconds"].items())
        lengths = figures["lengths"]
        print(
            f"  {side:5}{parts} s; lengths {lengths['mean']:.1f} ± {lengths['standard_error']:.1f}, "
            f"median {lengths['quantiles']['0.5']:.0f}, {lengths['tokens_per_step']:.0f} tokens a step; no "
            f"signal in {figures['no_signal']:.1%} of the groups; {figures['peak_memory_gib']['all']:.1f} GiB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--json", type=Path, help="the report; what it has of other models and settings is kept"
    )
    parser.add_argument("--models", nargs="+", choices=CASES, default=["0.5M", "3M", "10M"])
    parser.add_argument("--pairs", type=int, help=f"counted steps of each side; by default {PAIRS}")
    parser.add_argument(
        "--tune", action="store_true", help="find the best settings of both sides, and nothing else"
    )
    parser.add_argument("--trl-python", type=Path, help="a Python that has TRL")
    parser.add_argument("--checkpoint", type=Path, help="the model of 135M: a folder with a chat template")
    arguments = parser.parse_args()
    if arguments.checkpoint is None and any(CASES[name].chat for name in arguments.models):
        parser.error("135M needs --checkpoint FOLDER: experiments/smollm2/prepare.py makes one")
    python = arguments.trl_python or trl_python()
    report: dict[str, Any] = {"tuning": {}, "models": {}}
    if arguments.json and arguments.json.exists():
        report = json.loads(arguments.json.read_text())
    minutes = tune.MINUTES if arguments.tune else MINUTES
    print(f"about {sum(minutes[name] for name in arguments.models)} minutes on two quiet cores", flush=True)
    for name in arguments.models:
        print(name, flush=True)
        if arguments.tune:
            report["tuning"][name] = tune.find(name, python, arguments.checkpoint) | {"machine": versions()}
        else:
            settings = report["tuning"].get(name, {}).get("chosen", tune.DEFAULTS)
            result = measure(name, settings, python, arguments.pairs or PAIRS[name], arguments.checkpoint)
            result |= {"lengths_differ_by_errors": lengths_differ(result), "machine": versions()}
            report["models"][name] = result
            show(name, result)
        if arguments.json:
            arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
