"""Prompt optimization: select the problems worth training on by sampling from the model before training.

Each candidate is answered several times, and kept if the group filters of `select.filters` keep its
group; by default those whose answers are of about the same length. Source: stage 4 of
Phi-4-Mini-Reasoning, arXiv 2504.21233.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from hydra.utils import instantiate

from rlvr.algorithms.filters import accuracy, length_variation
from rlvr.base.files import write_text
from rlvr.problems.files import as_row
from rlvr.record.journal import journal_path, read_journal
from rlvr.record.layout import KEPT
from rlvr.rewards.config import judged_by
from rlvr.stages.collector import apply_filters, group_requests
from rlvr.stages.sampling import chunked, sample
from rlvr.stages.stage import StageInput
from rlvr.types import ConfigError, Group, Problem, RlvrError


def run_select(stage: StageInput) -> None:
    """Sample every candidate, for `selected`. A stopped run resumes after its last complete chunk.

    Raises:
        Interrupted: the user asked to stop.
    """
    _same_settings(stage)
    samples, temperature = range(stage.settings.samples), stage.config.sampling.temperature
    sample(
        stage,
        _chunks(stage),
        lambda number, problem: group_requests(stage, problem, "select", number, samples, temperature),
    )


def selected(stage: StageInput) -> list[Problem] | None:
    """The candidates that the filters keep; None if not all candidates are sampled yet.

    They are written to `problems.jsonl`, which `problems=file` can read. Filters may change on resume: they
    are applied again to the sampled groups.

    Raises:
        ConfigError: the groups in the folder were sampled with other settings.
        RlvrError: fewer problems are left than needed, or none.
    """
    numbers = range(len(_chunks(stage)))
    if not all(journal_path(stage.folder, "train", n).exists() for n in numbers):
        return None
    _same_settings(stage)
    groups = [group for n in numbers for group in read_journal(stage.folder, "train", n)]
    filters = {n: instantiate(spec, _partial_=True) for n, spec in stage.settings.filters.items()}
    results = [(group, *apply_filters(group, filters, stage.config.seed, 0)) for group in groups]
    kept = [group for group, left, _ in results if left is not None]
    dropped = Counter(by for _, _, by in results if by is not None)
    said = ", ".join(f"{count} by {name}" for name, count in dropped.items())
    if not kept:
        raise RlvrError(f"select: the filters leave none of {len(groups)} problems ({said}): loosen them")
    if len(kept) < stage.least_problems:
        raise RlvrError(
            f"select: the filters leave {len(kept)} of {len(groups)} problems ({said}), fewer than "
            f"rl.problems_per_step={stage.least_problems}: loosen select.filters, or lower it"
        )
    lines = [json.dumps(_line(group), default=str) for group in kept]
    write_text(stage.folder / KEPT, "\n".join(lines) + "\n")
    left_out = f"; left out: {said}" if said else ""
    print(f"select:  {len(kept)} of {len(groups)} problems kept in {stage.folder / KEPT}{left_out}")
    ids = {group.problem.id for group in kept}
    return [problem for problem in stage.problems if problem.id in ids]


def _chunks(stage: StageInput) -> list[list[Problem]]:
    return chunked(stage.problems, stage.settings.chunk)


def _same_settings(stage: StageInput) -> None:
    """Raises ConfigError if the folder's groups were sampled with settings other than the run's."""
    sampling = stage.config.sampling
    run, model = stage.folder.parent, Path(stage.model_path)  # relative, since a run's folder may be moved
    identity = stage.checkpoints().identity | {
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "start": str(model.relative_to(run)) if model.is_relative_to(run) else stage.model_path,
        "reward": judged_by(stage.config.reward),
    }
    path = stage.folder / "identity.json"
    if not path.exists():
        path.write_text(json.dumps(identity, indent=2))
    before = json.loads(path.read_text())
    if changed := [name for name, value in identity.items() if before.get(name) != value]:
        raise ConfigError(
            f"{stage.folder} was sampled with other settings ({', '.join(changed)}): give the old values, or "
            "start a new run"
        )


def _line(group: Group) -> dict[str, object]:
    rate = accuracy(group)
    found = {"pass_rate": None if np.isnan(rate) else rate, "length_variation": length_variation(group)}
    return as_row(replace(group.problem, columns={**group.problem.columns, **found}))
