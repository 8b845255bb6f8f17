"""Columns of the data fill the data of a reward function, and never its settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.data_checks import data_messages
from rlvr.rewards.evaluate import Evaluator, evaluate
from rlvr.rewards.functions import Sample, load_functions, say_unused_columns, validate_reward
from rlvr.rewards.service import RewardService
from rlvr.types import ConfigError, Problem, Status, Verdict

MATH = {"_target_": "rlvr.rewards.math.math_reward"}
NUMERIC = {"_target_": "rlvr.rewards.numeric.numeric_reward"}
REPETITION = {"_target_": "rlvr.rewards.repetition.repetition_reward"}

USER = """
def sized(completion, level, scale=1.0):
    return level * scale

def optional(completion, level=0, *, bonus=0.5):
    return level + bonus

def counted(completion, answer="none", finish_reason=None, problem=None):
    return len(answer) + (finish_reason == "stop") + (problem is not None)

async def later(completion, level=0):
    return float(level)

def many(completions, levels=None, level=None, answers=(), bonus=0.0):
    assert levels is None
    return [bonus + one + len(answer) for one, answer in zip(level or [0] * len(completions), answers)]

class Scaled:
    def __init__(self, scale=1.0):
        self.scale = scale
    def __call__(self, completion, level=1, bonus=0.0):
        return level * self.scale + bonus

def own(completion, columns=("a",)):
    return float(len(columns))
"""


@pytest.fixture(autouse=True)
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "column_rewards.py").write_text(USER)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("column_rewards", None)


def verdict(spec: dict[str, Any], completion: str, columns: dict[str, Any], answer: str = "42") -> Verdict:
    if "." not in spec["_target_"]:
        spec = spec | {"_target_": f"column_rewards.{spec['_target_']}"}
    config = RewardConfig({"f": spec})
    sample = Sample(Problem("p1", "6 · 7?", answer, columns=columns), 0, completion, "stop")
    return evaluate(load_functions(config), config, sample)


SCHEMA = {"type": "object"}


@pytest.mark.parametrize(
    ("spec", "completion", "answer", "columns", "reward"),
    [
        (MATH, r"\boxed{41}", "42", {"wrong": 5}, 0.0),
        (MATH, r"\boxed{41}", "42", {"relative_tolerance": 0.5}, 0.0),
        (MATH, r"\boxed{42}", "42", {"correct": False}, 1.0),
        (MATH, r"\boxed{6\cdot 7}", "42", {"evaluated": False}, 0.0),
        (MATH, "perhaps 41, or rather 42", "42", {"fallback": "last_number"}, 0.0),
        (MATH, r"\boxed{42}", "42 kg", {"require_units": True, "rounding_digits": -1}, 1.0),
        ({"_target_": "rlvr.rewards.format.format_reward"}, "#### 4", "4", {"tags": ["algebra"]}, 1.0),
        ({"_target_": "rlvr.rewards.format.format_reward"}, "#### 4", "4", {"pattern": "x"}, 1.0),
        ({"_target_": "rlvr.rewards.exact.exact_reward"}, "#### No", "no", {"ignore_case": False}, 1.0),
        (NUMERIC, "#### 41", "42", {"absolute_tolerance": 9}, 0.0),
        (REPETITION, "a " * 16, "42", {"penalty": 1, "n": 0}, -15 / 16),
        ({"_target_": "rlvr.rewards.steps.steps_reward"}, "1 + 1 = 3", "3", {"max_steps": 0}, 0.0),
        (
            {"_target_": "rlvr.rewards.json_schema.json_schema_reward", "schema": SCHEMA},
            "[" * 30, "42", {"max_depth": 1, "wrong": 3, "max_characters": 1}, 0.0,
        ),
        ({"_target_": "rlvr.rewards.regex.regex_reward", "pattern": "q"}, "q, or", "42", {"full": True}, 1.0),
        ({"_target_": "rlvr.rewards.choice.choice_reward"}, "#### B", "B", {"options": ["only this"]}, 1.0),
    ],
)  # fmt: skip
def test_no_column_changes_a_setting_of_a_built_in_function(
    spec: dict[str, Any], completion: str, answer: str, columns: dict[str, Any], reward: float
) -> None:
    found = verdict(spec, completion, columns, answer)
    assert (found.status.reached, found.reward) == (True, reward)


@pytest.mark.parametrize(
    ("spec", "columns", "reward"),
    [
        ({"_target_": "sized"}, {"level": 3, "scale": 9.0}, 3.0),
        ({"_target_": "sized", "scale": 2.0}, {"level": 3, "scale": 9.0}, 6.0),
        ({"_target_": "sized", "level": 5}, {"level": 3}, 5.0),
        ({"_target_": "sized", "columns": ["scale"]}, {"level": 3, "scale": 9.0}, 27.0),
        ({"_target_": "sized", "columns": ["level"]}, {"level": 3, "scale": 9.0}, 3.0),
        ({"_target_": "optional"}, {"level": 3, "bonus": 7}, 0.5),
        ({"_target_": "optional", "columns": ["level"]}, {"level": 3, "bonus": 7}, 3.5),
        ({"_target_": "optional", "columns": ["level"]}, {"bonus": 7}, 0.5),
        ({"_target_": "optional", "columns": ["bonus"], "level": 1}, {"level": 3, "bonus": 7}, 8.0),
        # what a rollout has is data with a default, too, and no column takes its place
        ({"_target_": "counted"}, {"answer": "a column", "problem": None, "finish_reason": "length"}, 4),
        ({"_target_": "later"}, {"level": 3}, 0.0),
        ({"_target_": "later", "columns": ["level"]}, {"level": 3}, 3.0),
        ({"_target_": "Scaled"}, {"level": 3, "scale": 9.0, "bonus": 7}, 1.0),
        ({"_target_": "Scaled", "scale": 2.0, "columns": ["level"]}, {"level": 3, "scale": 9.0}, 6.0),
    ],
)
def test_a_users_function_has_columns_for_data_and_settings_from_the_configuration(
    spec: dict[str, Any], columns: dict[str, Any], reward: float
) -> None:
    assert verdict(spec, "x", columns).reward == reward


@pytest.mark.parametrize(("named", "rewards"), [([], [2.0, 2.0, 2.0]), (["level"], [5.0, 2.0, 9.0])])
def test_so_has_one_of_a_batch(named: list[str], rewards: list[float]) -> None:
    found: dict[int, float | None] = {}
    config = RewardConfig({"f": {"_target_": "column_rewards.many", "columns": named}})
    evaluator = Evaluator(load_functions(config), config, lambda i, v, began: found.update({i: v.reward}))
    columns: list[dict[str, Any]] = [{"level": 3, "bonus": 5}, {"bonus": 5, "levels": 1}, {"level": 7}]
    evaluator.run([Sample(Problem("p", "?", "42", columns=c), 0, "x", "stop") for c in columns])
    evaluator.close()
    assert [found[i] for i in range(3)] == rewards


def test_the_service_goes_by_the_same_rule() -> None:
    problem = Problem("p", "?", "42", columns={"wrong": 5.0, "relative_tolerance": 0.5, "correct": False})
    with RewardService(RewardConfig({"math": MATH})) as service:
        verdicts = service.score([(problem, r"\boxed{41}"), (problem, r"\boxed{42}")])
    assert [(v.status, v.reward) for v in verdicts] == [(Status.WRONG, 0.0), (Status.CORRECT, 1.0)]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"_target_": "optional", "columns": ["levle"]}, ["columns names 'levle'", "did you mean 'level'?"]),
        ({"_target_": "optional", "columns": ["level"], "level": 2}, ["f.level gives a value", "keep one"]),
        ({"_target_": "optional", "columns": ["completion"]}, ["from the rollout", "take it out"]),
        ({"_target_": "many", "columns": ["answers"]}, ["from the rollout", "take it out"]),
        ({"_target_": "optional", "columns": "level"}, ["must be a list of names"]),
        ({"_target_": "optional", "columns": [3]}, ["must be a list of names"]),
        ({"_target_": "Scaled", "columns": ["scale"]}, ["'scale'", "when it is called", "level, bonus"]),
        ({"_target_": "own", "columns": ["a", "b"]}, ["'columns' of its own", "rename"]),
        ({"_target_": "optional", "columns": ["bonus"]}, ["no problem has", "level", "take 'bonus' out"]),
        ({"_target_": "sized", "columns": ["scale"]}, ["'scale'", "no problem has"]),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_filled_are_refused_with_what_to_do(
    spec: dict[str, Any], words: list[str]
) -> None:
    config = RewardConfig({"f": spec | {"_target_": f"column_rewards.{spec['_target_']}"}})
    (message,) = validate_reward(config, columns=["level"])
    assert message.startswith("reward.functions.f")
    for word in words:
        assert word in message
    if "no problem has" not in message:  # what needs no problem to be known
        with pytest.raises(ConfigError):
            load_functions(config)


def test_a_column_that_some_problems_have_is_enough_where_there_is_a_default() -> None:
    config = RewardConfig({"f": {"_target_": "column_rewards.optional", "columns": ["level"]}})
    assert list(validate_reward(config, columns=["level"], shared=[])) == []
    needing = RewardConfig({"f": {"_target_": "column_rewards.sized"}})
    (message,) = validate_reward(needing, columns=["level"], shared=[])
    assert "takes 'level', which neither the configuration nor the problems give" in message


def test_a_column_that_a_user_may_take_for_passed_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    functions = {
        "format": {"_target_": "rlvr.rewards.format.format_reward"},
        "math": MATH | {"wrong": -1.0},
        "mine": {"_target_": "column_rewards.optional", "columns": ["level"]},
    }
    config = RewardConfig(functions)
    say_unused_columns(config, ["tags", "wrong", "level", "answer", "completion", "subject"])
    said = capsys.readouterr().err.strip().split("\n")
    named = {line.split("'")[2]: line for line in said}
    # `wrong` of math has its value from the configuration, that of format has its default
    assert named.keys() == {"tags", "wrong"}
    assert len(said) == 2
    assert "rlvr.rewards.format.format_reward" in named["wrong"]
    assert "give reward.functions.format columns: [tags]" in named["tags"]


@pytest.mark.parametrize(
    ("columns", "completion", "status"),
    [
        ({"kind": "ratio"}, r"\boxed{3:5}", Status.CORRECT),
        ({"kind": "range"}, r"\boxed{3:5}", Status.WRONG),
        ({"kind": "range"}, "It lies between 3 and 5.", Status.CORRECT),
        ({"accepted": ["4-5", "5-3"]}, r"\boxed{5-3}", Status.CORRECT),
        ({"accepted": ["4-5"]}, r"\boxed{5-3}", Status.WRONG),
        ({"kind": "", "accepted": None}, r"\boxed{3-5}", Status.CORRECT),
    ],
)
def test_a_problem_says_what_its_answer_is_and_what_else_is_right(
    columns: dict[str, Any], completion: str, status: Status
) -> None:
    spec = MATH | {"columns": [*columns]}
    assert verdict(spec, completion, columns, answer="3-5").status is status


def test_a_reference_that_is_not_of_its_stated_kind_is_found_when_problems_are_loaded() -> None:
    config = RewardConfig(functions={"math": MATH | {"columns": ["kind"]}})
    problems = [Problem("a", "when?", "2024-05-31", columns={"kind": "date"})]
    assert list(data_messages(config, problems)) == []
    problems.append(Problem("b", "when?", "soon", columns={"kind": "date"}))
    (message,) = data_messages(config, problems)
    assert message.startswith(
        "reward.functions.math: problem 'b': the reference answer 'soon' cannot be read as date"
    )
