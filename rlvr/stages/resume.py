"""Completed steps, read from the journal: which is the last, and which groups each step had."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from rlvr.base.files import write_json
from rlvr.base.identity import digest, model_fingerprint
from rlvr.record.journal import read_journal
from rlvr.record.layout import UNEVALUATED
from rlvr.record.runs import read_mapping
from rlvr.record.sinks import stage_metrics
from rlvr.stages.checkpoints import Checkpoints
from rlvr.stages.collector import StepGroups, filter_groups, filters_of, further_round
from rlvr.stages.config import RlConfig, StageConfig
from rlvr.stages.stage import StageInput
from rlvr.types import DataError, Group


def last_recorded(stage: StageInput, checkpoints: Checkpoints, done: int) -> int:
    """The last step after `done` up to which the stage's metrics and journal are complete, or `done`.

    Steps recorded under other settings or from another model, and all later ones, are ignored: they
    could not be reproduced.
    """
    folder = stage.folder
    since = _made_since(stage, checkpoints)
    if since is None or done < since:
        return done
    recorded = stage_metrics(folder)
    while done + 1 in recorded:
        try:
            if done >= 0:
                read_journal(folder, "train", done + 1)
        except DataError:
            break
        done += 1
    return done


def keep_unevaluated(stage: StageInput, step: int, metrics: Mapping[str, float]) -> None:
    """Keep the metrics of a step whose evaluation is missing, so that they are not logged yet.

    To be called before its checkpoint is saved. Without that checkpoint they are ignored.
    """
    numbers = {name: float(value) for name, value in metrics.items()}
    finite = {name: value if math.isfinite(value) else None for name, value in numbers.items()}
    write_json(stage.folder / UNEVALUATED, {"step": step, "metrics": finite})


def take_unevaluated(stage: StageInput, done: int) -> dict[str, float] | None:
    """The metrics of step `done`, if they were kept and are not logged yet.

    Kept metrics of any other step are deleted: that step is repeated, or was logged after all.
    """
    if not (stage.folder / UNEVALUATED).exists():
        return None
    kept = read_mapping(stage.folder / UNEVALUATED)
    if kept.get("step") != done or done in stage_metrics(stage.folder):
        forget_unevaluated(stage)
        return None
    return {name: math.nan if value is None else value for name, value in kept["metrics"].items()}


def forget_unevaluated(stage: StageInput) -> None:
    (stage.folder / UNEVALUATED).unlink(missing_ok=True)


def remember_settings(stage: StageInput, checkpoints: Checkpoints, done: int) -> None:
    """Write next to the journal the settings that its steps after `done` are made with."""
    since = _made_since(stage, checkpoints)
    # repeated earlier steps are made with these settings, too
    since = done if since is None else min(since, done)
    write_json(_made_with(stage), {"settings": _settings(stage, checkpoints), "since": since})


def _made_since(stage: StageInput, checkpoints: Checkpoints) -> int | None:
    """The step after which all was recorded under the current settings; None if nothing was."""
    made_with = _made_with(stage)
    remembered = read_mapping(made_with) if made_with.exists() else {}
    return int(remembered["since"]) if remembered.get("settings") == _settings(stage, checkpoints) else None


def _made_with(stage: StageInput) -> Path:
    return stage.folder / "journal" / "made_with.json"


def _settings(stage: StageInput, checkpoints: Checkpoints) -> str:
    return digest([checkpoints.identity, checkpoints.settings, model_fingerprint(stage.model_path)])


def redrawn(config: StageConfig, settings: RlConfig, groups: Sequence[Group], step: int) -> StepGroups:
    """What `RolloutCollector.take(step)` returned, from all groups of the step in the journal's order.

    The random choices of a filter are keyed, so it keeps the same rollouts again. `rounds` is
    reconstructed round by round, as each is a function of the groups before it. Seconds are 0.
    """
    filters = filters_of(config.algorithm)
    size, wanted = settings.group_size, settings.problems_per_step
    shown = {group.problem.id: size for group in groups[:wanted]}  # problem → rollouts so far
    rounds = 1
    while rounds < config.algorithm.max_rounds:
        known = [_first(group, shown[group.problem.id]) for group in groups[: len(shown)]]
        drawn = StepGroups(known)
        filter_groups(drawn, filters, config.seed, step)
        growing, count = further_round(drawn, settings, config.algorithm.max_group_size)
        others = groups[len(shown) : len(shown) + count]
        if not growing and not others:
            break
        shown |= {group.problem.id: shown[group.problem.id] + size for group in growing}
        shown |= {group.problem.id: size for group in others}
        rounds += 1
    drawn = StepGroups(list(groups), rounds=rounds)
    filter_groups(drawn, filters, config.seed, step)
    return drawn


def _first(group: Group, size: int) -> Group:
    return Group(group.problem, group.rollouts[:size], group.verdicts[:size])
