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
from rlvr.verify import check_answer

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "verifier"


def pairs(name: str) -> list[dict[str, Any]]:
    path = FOLDER / f"{name}.jsonl.gz"
    if not path.exists():
        pytest.skip(f"the labelled pairs are not here: {path}")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_agreement_with_labelled_pairs() -> None:
    chosen = [pair for pair in pairs("dev") if not pair.get("debatable")]
    # Tests of a parser (gcd, operatorname, integrals) rather than answers that people give.
    parser_tests = ("function-notation", "calculus")
    false_positives, right, right_answers = [], 0, []
    for pair in chosen:
        expected = pair["math_expected"] if pair.get("math_expected") is not None else pair["expected"]
        correct = check_answer(pair["prediction"], pair["gold"]).status is Status.CORRECT
        if correct and not expected:
            false_positives.append(pair["id"])
        right += correct == expected
        if pair["category"] not in parser_tests:
            right_answers.append(correct == expected)
    print(f"all: {right}/{len(chosen)}; without parser tests: {np.mean(right_answers):.3f}")
    assert false_positives == []
    assert right / len(chosen) >= 0.64
    assert np.mean(right_answers) >= 0.78


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
    config = RewardConfig({"math": {"_target_": "rlvr.rewards.math.math_reward"}}, deadline=5.0)
    with RewardService(config) as service:
        verdicts = service.score(items)
    for pair, verdict in zip(hostile, verdicts, strict=True):
        assert verdict.status.reached, (pair["id"], verdict.reason)
        if pair["must"] in ("true", "false"):
            assert (verdict.status is Status.CORRECT) == (pair["must"] == "true"), (
                pair["id"],
                verdict.reason,
            )
