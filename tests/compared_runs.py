"""Folders of runs made by hand, for the tests that compare them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rlvr.compare.arms import arms_of
from rlvr.compare.curves import read_curve
from rlvr.compare.results import ArmResult, compare
from rlvr.compare.runs import find_runs
from rlvr.pipeline.status import Outcome, write_outcome
from rlvr.record.journal import journal_path, write_journal
from rlvr.record.sinks import JsonLines
from rlvr.types import Problem
from tests.groups import group

METRIC = "heldout/pass@1"
STEPS = 20


def settings(seed: int, **changed: Any) -> dict[str, Any]:
    config: dict[str, Any] = {
        "name": "toy",
        "seed": seed,
        "stages": ["rl"],
        "problems": {"heldout": {"_target_": "toy.heldout", "n": 4}},
        "sampling": {"temperature": 1.0},
        "reward": {"weights": {}, "workers": 1},
        "cluster": {"address": None, "cpus": 2},
        "record": {"journal": True},
        "rl": {"steps": STEPS, "evaluate_every": 10},
    }
    for path, value in changed.items():
        *sections, last = path.split("__")
        part = config
        for section in sections:
            part = part.setdefault(section, {})
        part[last] = value
    return config


def make_run(
    folder: Path,
    config: dict[str, Any],
    values: Sequence[float],
    last: int = STEPS,
    overrides: Sequence[str] = (),
    stage: str = "rl",
) -> Path:
    """Evaluated at evenly spaced steps up to `last`, each step of 2 s, 100 tokens sampled and 60 trained."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    every = last // max(len(values) - 1, 1) or 1
    log = JsonLines(folder / stage / "metrics.jsonl")
    for step in range(last + 1):
        metrics = {"time/step": 2.0, "tokens/sampled": 100.0, "learner/tokens": 60.0} if step else {}
        if step % every == 0 and step // every < len(values):
            value = values[step // every]
            metrics |= {METRIC: value, f"{METRIC}_low": value - 0.1, f"{METRIC}_high": value + 0.1}
        log.log(step, metrics)
    log.close()
    if last >= config.get(stage, {}).get("steps", 0):
        write_outcome(folder, Outcome("done"))
    return folder


def keep_problems(folder: Path, correct: Sequence[int], names: str = "p", step: int = STEPS) -> None:
    """A held-out journal of four samples to each problem, `correct` of them right."""
    groups = [group([1.0] * right + [0.0] * (4 - right), f"{names}{i}") for i, right in enumerate(correct)]
    for each in groups:
        each.problem = Problem(each.problem.id, f"the text of {each.problem.id}", "1")
    write_journal(journal_path(folder / "rl", "heldout", step), groups)


def results_of(folder: Path, metric: str = METRIC, baseline: int = 0) -> list[ArmResult]:
    arms, _ = arms_of(find_runs([folder]))
    curves = {arm.label: [read_curve(found, metric) for found in arm.runs] for arm in arms}
    return compare(arms, curves, baseline, metric)


def sweep(folder: Path, finals: dict[float, Sequence[float]]) -> Path:
    """Temperature → the last values of seeds 0, 1, …; all begin at 0.2 and are half-way at their middle."""
    number = 0
    for temperature, values in finals.items():
        for seed, value in enumerate(values):
            config = settings(seed, sampling__temperature=temperature)
            make_run(folder / str(number), config, [0.2, (0.2 + value) / 2, value])
            number += 1
    return folder


def make_recipe(root: Path, seed: int, finals: dict[str, float], done: bool = True) -> Path:
    """Stages teacher (aside), sft and rl, the last evaluated with `finals` per problem."""
    rows = [("base", "base", 0.0, 0, 1.0), ("teacher", "(teacher)", 0.9, 50, 30.0)]
    rows += [("distill", "distillation", math.nan, 0, 20.0), ("sft", "+ SFT", 0.3, 80, 40.0)]
    if done:
        rows.append(("rl", "+ RL", sum(finals.values()) / len(finals), 60, 100.0))
    folder = root / str(seed)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings(seed, artefacts=str(root / "stages"))))
    stages = {name: f"../stages/{name}-{seed}" for name in ("base", "teacher", "distill", "sft", "rl")}
    stages["rl-evaluation"] = f"../stages/rl-evaluation-bbb-{seed}"
    (folder / "stages.json").write_text(json.dumps(stages))
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["stage", "title", "set", "avg", "low", "high", "steps", "trained", "sampled", "seconds"]
        )
        for name, title, value, steps, seconds in rows:
            measured = ["", "", "", ""] if math.isnan(value) else ["heldout", value, value - 0.1, value + 0.1]
            writer.writerow([name, title, *measured, steps, 10 * steps, 5 * steps, seconds])
    log = JsonLines(root / "stages" / f"rl-{seed}" / "metrics.jsonl")
    log.log(60, {"train/reward": 0.7, "time/step": 9.0})
    log.close()
    for key, shift in (("aaa", 0.125), ("bbb", 0.0)):  # the first is of another evaluation
        evaluation = root / "stages" / f"rl-evaluation-{key}-{seed}"
        (evaluation / "journal").mkdir(parents=True)
        values = [value + shift for value in finals.values()]
        heldout = {"problems": list(finals), "values": values, "samples": 8, "unreached": 0}
        (evaluation / "results.json").write_text(json.dumps({"heldout": heldout}))
    if done:
        write_outcome(folder, Outcome("done"))
    return folder
