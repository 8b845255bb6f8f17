"""Reward functions, what a configuration may say about them, and how their values combine."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.rewards.combine import combine, evaluate
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.format import format_reward
from rlvr.rewards.functions import Sample, load_functions, validate_reward
from rlvr.rewards.math import math_reward
from rlvr.types import ConfigError, Problem, Status, Verdict

PROBLEM = Problem("p1", "6 · 7?", "42", columns={"level": 3})
RIGHT = Verdict(Status.CORRECT, 1.0, "42 = 42", "42")
LATE = Verdict(Status.TIMEOUT, None, "too slow")
MATH = {"_target_": "rlvr.rewards.math.math_reward"}

USER = """
def plain(completion, level, answer, threshold=3):
    return float(level >= threshold) + len(answer)

def needy(completion, colour):
    return 1.0

class Strict:
    def __init__(self, unit: float):
        self.unit = unit
    def __call__(self, completion):
        return self.unit

value = 3
"""


@pytest.fixture(autouse=True)
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "their_rewards.py").write_text(USER)
    (tmp_path / "broken_rewards.py").write_text("import not_a_module_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("their_rewards", "broken_rewards"):
        sys.modules.pop(name, None)


def sample(completion: str = "x") -> Sample:
    return Sample(PROBLEM, 5, completion, "stop")


@pytest.mark.parametrize(
    ("completion", "status", "reward"),
    [
        ("#42", Status.CORRECT, 1.0),
        (r"\boxed{41}", Status.WRONG, -1.0),
        ("no idea at all", Status.UNPARSEABLE, -1.0),
    ],
)
def test_math_reward_gives_the_values_of_the_configuration(
    completion: str, status: Status, reward: float
) -> None:
    verdict = math_reward(completion, PROBLEM, wrong=-1.0)
    assert (verdict.status, verdict.reward) == (status, reward)


@pytest.mark.parametrize(
    ("completion", "reward"),
    [
        ("6·7=42\n#42", 1.0),
        ("#### 42", 1.0),
        (r"so \boxed{42}", 1.0),
        (r"<think>\boxed{1} \boxed{2}</think> \boxed{42}", 1.0),
        (r"\boxed{41} or \boxed{42}", 0.0),
        (r"\boxed{42}" + "\n#42", 0.0),
        ("42", 0.0),
        ("# Solution", 0.0),
    ],
)
def test_format_reward_wants_one_mark(completion: str, reward: float) -> None:
    assert format_reward(completion) == reward


def test_format_reward_takes_a_pattern() -> None:
    assert format_reward("<a>1</a>", pattern="<a>.*</a>", correct=0.5) == 0.5


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(-10, 10), min_size=1), st.floats(-3, 3))
def test_the_reward_is_the_weighted_sum(values: dict[str, float], weight: float) -> None:
    first = next(iter(values))
    verdict = combine(values, {first: weight})
    expected = math.fsum([weight * values[first], *(v for name, v in values.items() if name != first)])
    assert verdict.reward == pytest.approx(expected, abs=1e-9)
    assert verdict.parts == values
    assert verdict.status is (Status.CORRECT if verdict.reward and verdict.reward > 0 else Status.WRONG)


def test_a_verdict_decides_the_status_and_opinions_missing_are_left_out() -> None:
    verdict = combine({"format": 1.0, "none": None, "math": RIGHT}, {"format": -2.0})
    assert (verdict.status, verdict.reward, verdict.extracted) == (Status.CORRECT, -1.0, "42")
    assert verdict.parts == {"format": 1.0, "math": 1.0}


def test_a_part_that_was_not_reached_is_never_a_zero() -> None:
    verdict = combine({"math": RIGHT, "slow": LATE}, {})
    assert (verdict.status, verdict.reward) == (Status.TIMEOUT, None)
    assert "slow" in verdict.reason


@pytest.mark.parametrize(
    ("parts", "words"), [({"a": math.inf}, "a: its value is inf"), ({"a": None}, "no opinion|had an opinion")]
)
def test_values_that_mean_nothing_crash(parts: dict[str, Any], words: str) -> None:
    verdict = combine(parts, {})
    assert verdict.status is Status.CRASHED
    assert verdict.reward is None
    assert any(word in verdict.reason for word in words.split("|"))


def test_a_weight_for_no_part_is_an_error() -> None:
    with pytest.raises(ConfigError, match="fromat"):
        combine({"format": 1.0}, {"fromat": 1.0})


def test_arguments_are_filled_by_name_and_the_configuration_binds_the_rest() -> None:
    config = RewardConfig(
        {
            "plain": {"_target_": "their_rewards.plain", "threshold": 4},
            "strict": {"_target_": "their_rewards.Strict", "unit": 0.25},
        }
    )
    verdict = evaluate(load_functions(config), {}, sample())
    assert verdict.parts == {"plain": 2.0, "strict": 0.25}


def test_a_column_that_a_problem_lacks_is_named_with_the_sample() -> None:
    functions = load_functions(RewardConfig({"needy": {"_target_": "their_rewards.needy"}}))
    verdict = evaluate(functions, {}, sample())
    assert verdict.status is Status.CRASHED
    assert "'colour'" in verdict.reason
    assert "sample 5" in verdict.reason
    assert "level" in verdict.reason


@pytest.mark.parametrize(
    ("functions", "weights", "words"),
    [
        ({}, {}, "functions is empty"),
        ({"math": MATH}, {"maths": 1.0}, "did you mean 'math'"),
        ({"math": MATH}, {"math": 0.0}, "no effect"),
        ({"m": {"_target_": "rlvr.rewards.math.math_rewards"}}, {}, "did you mean 'math_reward'"),
        ({"m": {"_target_": "rlvr.rewads.math.math_reward"}}, {}, "rlvr.rewads"),
        ({"m": {"_target_": "no_such_package.f"}}, {}, "no module 'no_such_package'"),
        ({"m": {"_target_": "broken_rewards.f"}}, {}, "'not_a_module_anywhere'"),
        ({"m": {"_target_": "their_rewards.value"}}, {}, "not something to call"),
        ({"m": {"_target_": "plain"}}, {}, "no import path"),
        ({"m": {"_target_": "__main__.f"}}, {}, "module of its own"),
        ({"m": {"correct": 1.0}}, {}, "_target_"),
        ({"m": MATH | {"worng": -1.0}}, {}, "did you mean 'wrong'"),
        ({"m": MATH | {"problem": 1}}, {}, "remove it"),
        ({"m": {"_target_": "their_rewards.Strict"}}, {}, "unit"),
        ({"m": {"_target_": "their_rewards.needy"}}, {}, "'colour'"),
        ({"m": {"_target_": "math.sqrt"}}, {}, "'completion'"),
    ],
)
def test_what_is_wrong_with_a_configuration(
    functions: dict[str, Any], weights: dict[str, float], words: str
) -> None:
    messages = list(validate_reward(RewardConfig(functions, weights), columns=["level"]))
    assert len(messages) == 1
    assert words in messages[0]


@pytest.mark.parametrize("name", ["math", "math_format"])
def test_the_configuration_groups_are_valid(name: str) -> None:
    from omegaconf import OmegaConf

    text = Path(__file__).parents[1] / "conf" / "reward" / f"{name}.yaml"
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(RewardConfig), OmegaConf.load(text)))
    assert isinstance(config, RewardConfig)
    assert list(validate_reward(config, columns=[])) == []
    assert evaluate(load_functions(config), config.weights, sample("#42")).status is Status.CORRECT
