"""What was run: a summary of the settings, those that differ from the defaults, and each stage's progress."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from rlvr.base.identity import flattened
from rlvr.pipeline.config import RunConfig
from rlvr.pipeline.status import is_done, needed_steps, planned_steps
from rlvr.record.layout import RESULTS
from rlvr.record.runs import RunRecord, StageRecord
from rlvr.report.measures import Metrics, lookup

EVALUATION = "-evaluation"  # suffix of a stage's name: a recipe's evaluation of its model


@dataclass(frozen=True)
class Setting:
    key: str
    value: str
    default: str  # "–" where there is none


def changed_settings(config: Mapping[str, Any]) -> list[Setting]:
    """The settings whose value differs from the schema's default, in the order of the configuration."""
    schema = OmegaConf.to_container(OmegaConf.structured(RunConfig))
    assert isinstance(schema, dict)
    defaults = dict(flattened(schema))
    return [
        Setting(key, _shown(value), _shown(defaults[key]) if key in defaults else "–")
        for key, value in flattened(config)
        if key not in defaults or defaults[key] != value
    ]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)


def facts(run: RunRecord, choices: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name, stages, model, problems, algorithm, reward, sampling and seed; those that are known.

    `choices` are Hydra's: configuration group → option.
    """
    config = run.config
    rows = [
        ("name", lookup(config, "name")),
        ("stages", " → ".join(map(str, lookup(config, "stages", [])))),
        ("model", _model(config)),
        ("problems", _function(lookup(config, "problems.train"))),
        ("held out", _function(lookup(config, "problems.heldout"))),
        ("algorithm", _algorithm(config, choices)),
        ("reward", "; ".join(_rewards(config))),
        ("sampling", _sampling(config)),
        ("batch", _batch(config)),
        ("seed", lookup(config, "seed")),
    ]
    return [(label, str(value)) for label, value in rows if value not in (None, "")]


def _model(config: Mapping[str, Any]) -> str:
    path = lookup(config, "model.path")
    if path:
        return str(path)
    sizes = lookup(config, "model.scratch", {})
    return f"from scratch ({_arguments(sizes)})" if sizes else ""


def _function(called: Any) -> str:
    """A `_target_` section as a call, such as `rlvr.problems.generated.arithmetic(n=800, level=2)`."""
    if not isinstance(called, Mapping):
        return ""
    arguments = {name: value for name, value in called.items() if name != "_target_"}
    return f"{called.get('_target_', '?')}({_arguments(arguments)})"


def _arguments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_shown(value)}" for name, value in values.items())


def _algorithm(config: Mapping[str, Any], choices: Mapping[str, Any]) -> str:
    parts = [_function(lookup(config, f"algorithm.{part}")) for part in ("advantage", "loss")]
    parts = [part for part in parts if part]
    if not parts:
        return ""
    name = choices.get("algorithm")
    return (f"{name}: " if name else "") + " with ".join(parts)


def _rewards(config: Mapping[str, Any]) -> Iterator[str]:
    weights, gates = lookup(config, "reward.weights", {}), lookup(config, "reward.gates", {})
    for name, called in lookup(config, "reward.functions", {}).items():
        weight = f", weight {weights[name]}" if name in weights else ""
        gate = f", a gate at {gates[name]}" if name in gates else ""
        yield f"{name} = {_function(called)}{weight}{gate}"


def _sampling(config: Mapping[str, Any]) -> str:
    sampling = lookup(config, "sampling", {})
    return _arguments({name: value for name, value in sampling.items() if value not in ({}, None)})


def _batch(config: Mapping[str, Any]) -> str:
    problems, size = lookup(config, "rl.problems_per_step"), lookup(config, "rl.group_size")
    return f"{problems} problems × {size} rollouts per RL step" if problems and size else ""


@dataclass(frozen=True)
class StageState:
    stage: str
    finished: bool
    text: str


def waiting(run: RunRecord, begun: Collection[str]) -> list[StageState]:
    """The configured stages that have not begun; empty for a stage that was opened alone."""
    asked = lookup(run.config, "stages", []) if (run.folder / "config.yaml").exists() else []
    return [StageState(str(name), False, "not begun") for name in asked if name not in begun]


def state(run: RunRecord, stage: StageRecord, metrics: Metrics) -> StageState:
    """The stage's state in words: finished, or at step N of M."""
    step, last = metrics.last_step, planned_steps(run.config, stage.name)
    if is_done(stage.folder, needed_steps(run.config, stage.name)):
        return StageState(stage.name, True, "finished" + (f", {step:,} steps" if step else ""))
    if step is None:
        return StageState(stage.name, False, "has begun")
    of = f" of {last:,}" if last else ""
    then = datetime.fromtimestamp((stage.folder / "metrics.jsonl").stat().st_mtime)
    return StageState(stage.name, False, f"at step {step:,}{of}, last written {then:%Y-%m-%d %H:%M:%S}")


def evaluated(name: str, evaluations: Sequence[StageRecord]) -> StageState:
    """The state of a model that the run only evaluated."""
    done = any((each.folder / RESULTS).exists() for each in evaluations)
    return StageState(name, done, "evaluated" if done else "its evaluation has begun")


def read_json(path: Path) -> Any:
    """The file's content; an empty mapping if it cannot be read."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
