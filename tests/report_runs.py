"""Small runs on disk, as `rlvr train` leaves them, for the tests of the report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rlvr.record.config import RecordConfig
from rlvr.record.journal import journal_path, write_journal
from rlvr.record.sinks import MetricLog
from rlvr.types import FinishReason, Group, Problem, Rollout, Status, UpdateRecord, Verdict

CONFIG: dict[str, Any] = {
    "name": "small",
    "seed": 7,
    "stages": ["rl"],
    "model": {"path": "some/model", "scratch": None},
    "problems": {"train": {"_target_": "rlvr.problems.generated.arithmetic", "n": 4}},
    "reward": {"functions": {"math": {"_target_": "rlvr.rewards.math.math_reward"}}},
    "rl": {"steps": 3, "problems_per_step": 1, "group_size": 2, "max_logprob_gap": None},
}
VERSIONS = {"rlvr": "0.1.0", "packages": {"torch": "2.13"}, "git": {"commit": "abc123", "modified": True}}


def rollout(
    text: str = "so #3",
    *,
    step: int = 1,
    sample: int = 0,
    drawn: int = 3,
    finish: FinishReason = FinishReason.STOP,
    problem: str = "p",
) -> Rollout:
    sampled = np.arange(drawn + 2) >= 2
    return Rollout(
        problem,
        step,
        sample,
        1000 + sample,
        np.arange(drawn + 2, dtype=np.int32),
        sampled,
        np.where(sampled, -1.0, 0.0).astype(np.float32),
        np.where(sampled, step - 1, -1).astype(np.int32),
        text,
        finish,
        1.0,
    )


def verdict(reward: float | None, status: Status | None = None, **further: Any) -> Verdict:
    """Correct for a positive reward, wrong for others, a timeout for None; unless a status is given."""
    found = Status.TIMEOUT if reward is None else Status.CORRECT if reward > 0 else Status.WRONG
    parts = {} if reward is None else {"math": reward}
    return Verdict(status or found, reward, further.pop("reason", "3 = 3"), parts=parts, **further)


def learned(rollout: Rollout, advantage: float | None, gap: float = 0.0) -> UpdateRecord:
    """The learner's log-probability of the last token lies `gap` above the sampler's."""
    if advantage is None:
        return UpdateRecord("no verdict")
    logprobs = rollout.logprobs.copy()
    logprobs[-1] += gap
    return UpdateRecord(None, (rollout.sampled * advantage).astype(np.float32), logprobs)


def write_step(
    stage: Path,
    rows: Sequence[tuple[Rollout, Verdict, UpdateRecord]],
    step: int = 1,
    kind: str = "train",
    problem: Problem | None = None,
) -> None:
    """The rows as one group of one problem."""
    rollouts, verdicts, made = ([row[place] for row in rows] for place in range(3))
    group = Group(problem or Problem("p", "What is 1+2?", "3"), rollouts, verdicts)
    write_journal(journal_path(stage, kind, step), [group], [made])


def write_heldout(stage: Path, step: int, correct: dict[str, list[bool]]) -> None:
    """A held-out evaluation: problem → whether each of its samples is correct."""
    groups = [
        Group(
            Problem(name, "", ""),
            [rollout(problem=name, sample=sample) for sample in range(len(samples))],
            [verdict(1.0 if right else -1.0) for right in samples],
        )
        for name, samples in correct.items()
    ]
    write_journal(journal_path(stage, "heldout", step), groups)


def write_run(
    folder: Path,
    metrics: dict[str, list[dict[str, float]]],
    config: dict[str, Any] | None = None,
) -> Path:
    """config.yaml, versions.json, and for each stage the metrics of step 0, 1, …"""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG if config is None else config, sort_keys=False))
    (folder / "versions.json").write_text(json.dumps(VERSIONS))
    for stage, lines in metrics.items():
        with MetricLog(folder / stage, RecordConfig(trackers=[]), {}) as log:
            for step, line in enumerate(lines):
                log.log(step, line)
    return folder
