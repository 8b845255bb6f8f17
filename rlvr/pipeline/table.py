"""The rows of the stage-by-stage table: the cost of each stage of a run, and how good its model is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyarrow import compute, parquet

from rlvr.evaluation.metrics import TRUE_STEPS
from rlvr.pipeline.graph import EVALUATION, Node
from rlvr.record.layout import KEPT, RESULT, TRACES
from rlvr.record.sinks import stage_metrics
from rlvr.results.stage_table import SetResult, StageResult

TITLES = {
    "base": "base",
    "synthesize": "synthesis",
    "select": "selection",
    "distill": "distillation",
    "rollouts": "rollouts",
    "midtrain": "+ mid-training",
    "sft": "+ SFT",
    "dpo": "+ Rollout DPO",
    "opd": "+ on-policy distillation",
    "rl": "+ RL",
}


@dataclass(frozen=True)
class Done:
    """A completed node."""

    folder: Path
    made: str  # path of its model, or of its file of traces, problems or results
    seconds: float
    new: bool  # made by this command


def stage_rows(nodes: Sequence[Node], done: Mapping[str, Done]) -> list[StageResult]:
    """One row for each stage that is done so far; `done` maps names to completed nodes."""
    return [_row(node, done) for node in nodes if node.kind != EVALUATION and node.name in done]


def _row(node: Node, done: Mapping[str, Done]) -> StageResult:
    folder = done[node.name].folder
    steps = stage_metrics(folder)
    totals = {
        name: sum(values.get(name) or 0 for values in steps.values())
        for name in ("tokens/trained", "learner/tokens", "tokens/sampled")
    }
    evaluation = done.get(f"{node.name}-{EVALUATION}")
    return StageResult(
        stage=node.name,
        title=TITLES.get(node.name, node.name) if not node.side else f"({node.name})",
        sets=_sets(Path(evaluation.made)) if evaluation else {},
        steps=max(steps, default=0),
        trained=int(totals["tokens/trained"] or totals["learner/tokens"]),
        sampled=int(totals["tokens/sampled"]) or _drawn(folder),
        seconds=done[node.name].seconds,
        data=_data(folder),
        new=done[node.name].new,
        start=node.model,
    )


def _sets(results: Path) -> dict[str, SetResult]:
    sets: dict[str, SetResult] = {}
    for name, result in json.loads(results.read_text()).items():
        shares = result["metrics"].get(TRUE_STEPS, {}).get("values")
        if shares is None:  # no answer has a step that could be checked
            shares = [None if value is None else 0.0 for value in result["values"]]
        sets[name] = SetResult(
            result["problems"],
            _numbers(result["values"]),
            result["samples"],
            result["unreached"],
            _numbers(shares),
            result["with_steps"],
        )
    return sets


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _drawn(folder: Path) -> int:
    """Number of tokens in a stage's traces, as far as they are known."""
    if not (folder / TRACES).exists():
        return 0
    tokens = parquet.read_table(folder / TRACES, columns=["tokens"]).column("tokens")
    return int(compute.sum(compute.list_value_length(tokens)).as_py() or 0)


def _data(folder: Path) -> str:
    """A description of the data that a stage learned from, or has made."""
    if (folder / RESULT).exists():
        return str(json.loads((folder / RESULT).read_text())["data"])
    if (folder / TRACES).exists():
        return f"{parquet.read_metadata(folder / TRACES).num_rows:,} traces"
    if (folder / KEPT).exists():
        return f"{sum(1 for line in (folder / KEPT).open() if line.strip()):,} problems"
    return ""
