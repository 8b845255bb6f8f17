"""How often `check_answer` agrees with labelled pairs, and that hostile ones neither hang nor fool it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.service import RewardService
from rlvr.types import FinishReason, Problem, Rollout, Status
from rlvr.verify.check import check_answer

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "verifier"


def pairs(name: str) -> list[dict[str, Any]]:
    path = FOLDER / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the labelled pairs are not here: {path}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_agreement_with_labelled_pairs() -> None:
    chosen = [pair for pair in pairs("dev") if not pair.get("debatable")]
    false_positives, false_negatives = [], []
    for pair in chosen:
        expected = pair["math_expected"] if pair.get("math_expected") is not None else pair["expected"]
        correct = check_answer(pair["prediction"], pair["gold"]).status is Status.CORRECT
        if correct != expected:
            (false_positives if correct else false_negatives).append(pair["id"])
    assert len(false_positives) <= 3, false_positives
    assert len(false_positives) + len(false_negatives) <= 0.015 * len(chosen), false_negatives


def test_hostile_pairs_are_not_fooled_and_hold_nobody_up() -> None:
    hostile = pairs("adversarial")
    nothing = np.zeros(1, np.int32)
    items = [
        (
            Problem(pair["id"], "?", pair["gold"]),
            Rollout(pair["id"], 0, 0, 0, nothing, nothing > 0, nothing.astype(np.float32), nothing,
                    pair["prediction"], FinishReason.STOP, 1.0),
        )
        for pair in hostile
    ]  # fmt: skip
    config = RewardConfig({"math": {"_target_": "rlvr.rewards.math.math_reward", "evaluated": False}})
    with RewardService(config) as service:
        verdicts = service.score(items)
    for pair, verdict in zip(hostile, verdicts, strict=True):
        assert verdict.status.reached, (pair["id"], verdict.reason)
        assert verdict.seconds < 2.0, (pair["id"], verdict.seconds)
        if pair["must"] in ("true", "false"):
            assert (verdict.status is Status.CORRECT) == (pair["must"] == "true"), (
                pair["id"],
                verdict.reason,
            )
