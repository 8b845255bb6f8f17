"""Reward functions, what a configuration may say about them, and how their values combine."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rlvr.rewards.combine import combine
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.evaluate import Evaluator, evaluate
from rlvr.rewards.format import format_reward
from rlvr.rewards.functions import Sample, load_functions, validate_reward
from rlvr.rewards.math import math_reward
from rlvr.stages.batches import rollout_batch
from rlvr.stages.collector import StepGroups
from rlvr.stages.step_metrics import step_metrics
from rlvr.types import ConfigError, FinishReason, Group, Problem, Rollout, Status, Verdict

PROBLEM = Problem("p1", "6 · 7?", "42", columns={"level": 3})
RIGHT = Verdict(Status.CORRECT, 1.0, "42 = 42", "42")
LATE = Verdict(Status.TIMEOUT, None, "too slow")
MATH = {"_target_": "rlvr.rewards.math.math_reward"}

USER = """
from rlvr.types import Status, Verdict

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

def many(completions, levels=None, level=None, answers=(), problems=(), tokens=(), finish_reasons=()):
    return [len(c) + 10 * l for c, l in zip(completions, level or [0] * len(completions))]

def mixed(completions, problem):
    return [0.0] * len(completions)

async def later(completion, answer):
    import asyncio
    await asyncio.sleep(0)
    return float(completion == answer)

class Remote:
    def __init__(self, unit: float):
        self.unit = unit
    async def __call__(self, completions, answers):
        return [self.unit * len(answer) for answer in answers]

def odd(completions):
    return eval(completions[0])

async def odd_later(completion):
    return eval(completion)

async def raises_later(completion):
    return float("no number")

def raises(completions):
    raise KeyError("gone")
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
    verdict = math_reward(completion, PROBLEM.answer, wrong=-1.0)
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
    assume(weight or len(values) > 1)  # one of weight 0 is as if logged, and something must count
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
    verdict = evaluate(load_functions(config), config, sample())
    assert verdict.parts == {"plain": 2.0, "strict": 0.25}


def test_a_column_that_a_problem_lacks_is_named_with_the_sample() -> None:
    config = RewardConfig({"needy": {"_target_": "their_rewards.needy"}})
    verdict = evaluate(load_functions(config), config, sample())
    assert verdict.status is Status.CRASHED
    assert "'colour'" in verdict.reason
    assert "sample 5" in verdict.reason
    assert "level" in verdict.reason


@pytest.mark.parametrize(
    ("functions", "weights", "words"),
    [
        ({}, {}, "functions is empty"),
        ({"math": MATH}, {"maths": 1.0}, "did you mean 'math'"),
        ({"math": MATH}, {"math": math.inf}, "weights.math is inf"),
        ({"m": {"_target_": "rlvr.rewards.math.math_rewards"}}, {}, "did you mean 'math_reward'"),
        ({"m": {"_target_": "rlvr.rewads.math.math_reward"}}, {}, "rlvr.rewads"),
        ({"m": {"_target_": "no_such_package.f"}}, {}, "no module 'no_such_package'"),
        ({"m": {"_target_": "broken_rewards.f"}}, {}, "'not_a_module_anywhere'"),
        ({"m": {"_target_": "their_rewards.value"}}, {}, "not callable"),
        ({"m": {"_target_": "plain"}}, {}, "no import path"),
        ({"m": {"_target_": "__main__.f"}}, {}, "module of its own"),
        ({"m": {"correct": 1.0}}, {}, "_target_"),
        ({"m": MATH | {"worng": -1.0}}, {}, "did you mean 'wrong'"),
        ({"m": MATH | {"problem": 1}}, {}, "remove it"),
        ({"m": {"_target_": "their_rewards.Strict"}}, {}, "unit"),
        ({"m": {"_target_": "their_rewards.needy"}}, {}, "'colour'"),
        ({"m": {"_target_": "math.sqrt"}}, {}, "'completion'"),
        ({"m": {"_target_": "builtins.dict"}}, {}, "does not say what it takes"),
        ({"m": {"_target_": "their_rewards.mixed"}}, {}, "rename it to 'problems'"),
        ({"m": {"_target_": "their_rewards.many", "problems": 1}}, {}, "remove it"),
    ],
)
def test_what_is_wrong_with_a_configuration(
    functions: dict[str, Any], weights: dict[str, float], words: str
) -> None:
    messages = list(validate_reward(RewardConfig(functions, weights), columns=["level"]))
    assert len(messages) == 1
    assert words in messages[0]


FORMAT = {"_target_": "rlvr.rewards.format.format_reward"}
BOTH = {"math": MATH, "format": FORMAT}
STRICT = {"math": MATH | {"wrong": -1.0}, "format": FORMAT}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"weights": {"math": 0.0, "format": 0.0}}, "all rewards would be equal"),
        ({"gates": {"fromat": 1.0}}, "did you mean 'format'"),
        ({"gates": {"format": math.nan}}, "reward.gates.format is nan"),
        ({"logged": ["fromat"]}, "did you mean 'format'"),
        ({"logged": ["format"], "weights": {"format": 2.0}}, "format has no effect"),
        ({"logged": ["format"], "gates": {"format": 1.0}}, "format has no effect"),
        ({"gates": {"format": 1.0}, "logged": ["math"]}, "all rewards would be equal"),
        ({"gate_value": -1.0}, "no effect without reward.gates"),
        ({"clip": [1.0, 1.0]}, "low < high"),
        ({"clip": [1.0]}, "low < high"),
        ({"clip": [0.0, math.inf]}, "low < high"),
        ({"gates": {"format": 1.0}, "gate_value": -2.0, "clip": [-1.0, 1.0]}, "outside reward.clip"),
        ({"gates": {"format": 1.0}, "functions": STRICT}, "a wrong answer gets -1"),
        (
            {"gates": {"format": 1.0}, "functions": STRICT, "weights": {"math": 2.0}, "gate_value": -1.0},
            "gets -2",
        ),
    ],
)
def test_settings_of_the_combination_that_do_nothing_or_harm(settings: dict[str, Any], words: str) -> None:
    messages = list(validate_reward(RewardConfig(**({"functions": BOTH} | settings))))
    assert len(messages) == 1
    assert words in messages[0]


@pytest.mark.parametrize(
    "settings",
    [
        {"weights": {"format": 0.0}},
        {"gates": {"format": 1.0}},
        {"gates": {"format": 1.0}, "weights": {"format": 0.0}},
        {"logged": ["format"], "weights": {"format": 0.0}},
        {"gates": {"format": 1.0}, "functions": STRICT, "gate_value": -1.0, "clip": [-1.0, 1.0]},
        {
            "gates": {"format": 1.0},
            "functions": STRICT,
            "weights": {"math": 2.0},
            "gate_value": -1.0,
            "clip": [-1, 1],
        },
    ],
)
def test_settings_of_the_combination_that_work(settings: dict[str, Any]) -> None:
    assert list(validate_reward(RewardConfig(**({"functions": BOTH} | settings)))) == []


@pytest.mark.parametrize(
    ("format_value", "right", "reward"),
    [(1.0, True, 1.0), (0.4, True, -1.0), (1.0, False, -1.0), (0.4, False, -1.0), (None, True, 1.0)],
)
def test_a_gate_holds_credit_back_and_is_no_part_of_the_sum(
    format_value: float | None, right: bool, reward: float
) -> None:
    answer = RIGHT if right else Verdict(Status.WRONG, -1.0, "41 ≠ 42", "41")
    verdict = combine({"format": format_value, "math": answer}, {}, gates={"format": 0.5}, gate_value=-1.0)
    assert (verdict.status, verdict.reward) == (answer.status, reward)
    assert ("no credit, format 0.4 < 0.5" in verdict.reason) == (format_value == 0.4)
    assert verdict.parts["math"] == answer.reward


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3))
def test_failing_a_gate_never_pays(value: float, gate: float, least: float, gate_value: float) -> None:
    parts: dict[str, float | Verdict | None] = {"a": value, "g": gate}
    free = combine(parts, {"g": 0.5}).reward
    gated = combine(parts, {"g": 0.5}, gates={"g": least}, gate_value=gate_value).reward
    assert free == value + gate / 2
    assert gated == (min(free, gate_value) if gate < least else free)


@given(st.floats(-9, 9), st.floats(-9, 9))
def test_the_sum_is_clipped_and_not_its_parts(a: float, b: float) -> None:
    verdict = combine({"a": a, "b": b}, {"b": 2.0}, clip=[-1.0, 2.0])
    assert verdict.reward == min(max(a + 2 * b, -1.0), 2.0)
    assert verdict.parts == {"a": a, "b": b}


def test_what_is_only_logged_neither_counts_nor_decides() -> None:
    verdict = combine({"shown": Verdict(Status.WRONG, 7.0, "no"), "math": RIGHT}, {}, logged=["shown"])
    assert (verdict.status, verdict.reward, verdict.extracted) == (Status.CORRECT, 1.0, "42")
    assert verdict.parts == {"shown": 7.0, "math": 1.0}


def run(samples: list[Sample], deadline: float = 5.0, **targets: Any) -> list[Verdict]:
    """The verdicts of one batch, in the order of its samples."""
    functions = {
        name: {"_target_": f"their_rewards.{target}"} if isinstance(target, str) else target
        for name, target in targets.items()
    }
    config = RewardConfig(functions, deadline=deadline)
    verdicts: dict[int, Verdict] = {}

    def finish(position: int, verdict: Verdict, began: float) -> None:
        assert position not in verdicts
        verdicts[position] = verdict

    evaluator = Evaluator(load_functions(config), config, finish)
    evaluator.run(samples)
    evaluator.close()
    return [verdicts[position] for position in range(len(samples))]


def test_plain_batch_and_async_functions_together() -> None:
    samples = [sample("x" * length) for length in (3, 1, 2)] + [sample("42")]
    verdicts = run(
        samples,
        many={"_target_": "their_rewards.many", "columns": ["level"]}, later="later", plain="plain",
        remote={"_target_": "their_rewards.Remote", "unit": 0.25},
    )  # fmt: skip
    assert [list(verdict.parts) for verdict in verdicts] == [["many", "later", "plain", "remote"]] * 4
    assert [verdict.parts["many"] for verdict in verdicts] == [33.0, 31.0, 32.0, 32.0]
    assert [verdict.parts["later"] for verdict in verdicts] == [0.0, 0.0, 0.0, 1.0]
    assert {verdict.parts["remote"] for verdict in verdicts} == {0.5}


def test_samples_without_an_optional_column_are_called_apart() -> None:
    bare = Sample(Problem("p2", "", "1"), 0, "xx", "stop")
    many = {"_target_": "their_rewards.many", "columns": ["level"]}
    assert [v.reward for v in run([sample(), bare, sample()], many=many)] == [31.0, 2.0, 31.0]


@pytest.mark.parametrize(
    ("target", "text", "words"),
    [
        ("odd", "[1.0]", "returned 1 values for 2 samples"),
        ("odd", "None", "returned a NoneType, not a list of 2 values"),
        ("odd", "'ab'", "returned a str, not a list of 2 values"),
        ("odd", "{1: 1, 2: 2}", "returned a dict"),
        ("odd", "['a', 'a']", "returned a str ('a')"),
        ("odd", "[float('nan')] * 2", "returned nan"),
        ("odd_later", "float('inf')", "returned inf"),
        ("odd_later", "[1.0]", "returned a list"),
        ("odd_later", "Verdict(Status.CORRECT, 'x', '')", "returned a str"),
        ("odd_later", "Verdict(Status.CORRECT, 1.0, 5)", "reason is a int"),
        ("raises_later", "", "ValueError: could not convert"),
        ("raises", "", "KeyError: 'gone'"),
    ],
)
def test_wrong_returns_name_function_sample_and_line(target: str, text: str, words: str) -> None:
    lines = USER.split("\n")
    raising = {"raises_later": "no number", "raises": "raise KeyError"}.get(target, f"def {target}(")
    line = next(number for number, code in enumerate(lines, 1) if raising in code and "Remote" not in code)
    for index, verdict in enumerate(run([Sample(PROBLEM, i, text, "stop") for i in range(2)], user=target)):
        assert (verdict.status, verdict.reward) == (Status.CRASHED, None)
        assert words in verdict.reason
        assert verdict.reason.startswith("user: ")
        assert verdict.reason.endswith(f"their_rewards.py:{line} (problem 'p1', sample {index})")


def test_a_wrong_value_in_a_list_is_one_samples_fault() -> None:
    verdicts = run([sample("[1.0, 'x', None]"), sample(), sample()], user="odd")
    assert verdicts[0].reward == 1.0
    assert "returned a str ('x')" in verdicts[1].reason
    assert "no reward function had an opinion" in verdicts[2].reason


@pytest.mark.parametrize("name", ["math", "math_format"])
def test_the_configuration_groups_are_valid(name: str) -> None:
    from omegaconf import OmegaConf

    text = Path(__file__).parents[2] / "conf" / "reward" / f"{name}.yaml"
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(RewardConfig), OmegaConf.load(text)))
    assert isinstance(config, RewardConfig)
    assert list(validate_reward(config, columns=[])) == []
    assert evaluate(load_functions(config), config, sample("#42")).status is Status.CORRECT


def test_the_configuration_takes_every_setting_of_the_combination() -> None:
    from omegaconf import OmegaConf

    given = {"functions": BOTH, "gates": {"format": 1}, "clip": [0, 2], "logged": [], "weights": {"math": 2}}
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(RewardConfig), given))
    assert isinstance(config, RewardConfig)
    assert list(validate_reward(config, columns=[])) == []
    functions = load_functions(config)
    assert [evaluate(functions, config, sample(text)).reward for text in ("#42", r"#42 \boxed{42}")] == [
        2.0,
        0.0,
    ]


def test_the_share_of_rollouts_that_a_gate_stopped_is_a_metric() -> None:
    values = [0.0, 1.0, 0.0, 0.25]
    verdicts = [
        *(Verdict(Status.CORRECT, 1.0, "", parts={"math": 1.0, "format": value}) for value in values),
        LATE,
    ]
    ones = np.ones(2, np.int32)
    rollout = Rollout(
        "p1", 1, 0, 0, ones, ones > 0, ones.astype(np.float32), 0 * ones, "", FinishReason.STOP, 1.0
    )
    groups = [Group(PROBLEM, [rollout] * 5, verdicts)]
    batch = rollout_batch([rollout] * 4, [0] * 4)
    batch.columns["advantages"] = [np.ones(2, np.float32)] * 4
    metrics = step_metrics(StepGroups(groups, groups, rounds=1), batch, [], 1, {"format": 0.25})
    assert metrics["gates/format"] == 0.5
    assert metrics["reward/format"] == pytest.approx(np.mean(values))
    assert metrics["verdicts/timeout"] == 1
