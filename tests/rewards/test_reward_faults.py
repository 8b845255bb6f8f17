"""Whose fault it is that a check comes to no end: an answer that makes it slow is wrong."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlvr.rewards.choice import choice_reward
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.exact import exact_reward
from rlvr.rewards.format import format_reward
from rlvr.rewards.functions import load_functions, wrong_when_late
from rlvr.rewards.json_schema import json_schema_reward
from rlvr.rewards.math import math_reward
from rlvr.rewards.numeric import numeric_reward
from rlvr.rewards.service import RewardService
from rlvr.types import Problem, Status, Verdict

PROBLEM = Problem("p1", "6 · 7?", "42")
CATASTROPHIC = {"_target_": "rlvr.rewards.regex.regex_reward", "pattern": "^(a+)+$", "wrong": -1.0}
HOSTILE = "a" * 60 + "!"

USER = """
import time

def spins(completion):
    while completion.endswith("!"):
        pass
    return 1.0

def sleeps(completion):
    time.sleep(600)

def scores(completion):
    return 0.25

def mine(completion, low=-2.0):
    while completion.endswith("!"):
        pass
    return 1.0

from rlvr.rewards.functions import wrong_when_late
wrong_when_late("low")(mine)
wrong_when_late(None)(sleeps)
"""


@pytest.fixture(autouse=True)
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "slow_rewards.py").write_text(USER)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("slow_rewards", None)


def scored(*texts: str, deadline: float = 2.0, weights: Any = None, **functions: Any) -> list[Verdict]:
    named = {
        name: {"_target_": f"slow_rewards.{spec}"} if isinstance(spec, str) else spec
        for name, spec in functions.items()
    }
    with RewardService(RewardConfig(named, weights or {}, deadline=deadline)) as service:
        return service.score([(PROBLEM, text) for text in texts])


def test_an_answer_that_takes_a_pattern_past_the_deadline_is_wrong() -> None:
    verdicts = scored("aaa", HOSTILE, "b", regex=CATASTROPHIC)
    assert [v.status for v in verdicts] == [Status.CORRECT, Status.WRONG, Status.WRONG]
    assert [v.reward for v in verdicts] == [1.0, -1.0, -1.0]
    assert "past the deadline of 2 s" in verdicts[1].reason


def test_the_other_functions_have_their_say_all_the_same() -> None:
    (verdict,) = scored(HOSTILE, regex=CATASTROPHIC, other="scores", weights={"other": 2.0})
    assert verdict.parts == {"regex": -1.0, "other": 0.25}
    assert (verdict.status, verdict.reward) == (Status.WRONG, -0.5)


def test_two_functions_that_are_both_late_are_both_wrong() -> None:
    second = CATASTROPHIC | {"wrong": -0.5}
    (verdict,) = scored(HOSTILE, regex=CATASTROPHIC, second=second)
    assert verdict.parts == {"regex": -1.0, "second": -0.5}


def test_a_users_function_that_is_late_has_reached_no_verdict_unless_it_says_so() -> None:
    (verdict,) = scored(HOSTILE, user="spins")
    assert (verdict.status, verdict.reward) == (Status.TIMEOUT, None)
    (verdict,) = scored(HOSTILE, user="mine")
    assert (verdict.status, verdict.reward) == (Status.WRONG, -2.0)


def test_a_user_function_that_used_up_the_time_leaves_ours_without_blame() -> None:
    (verdict,) = scored(HOSTILE, user="spins", regex=CATASTROPHIC)
    assert verdict.status is Status.TIMEOUT
    assert "user" in verdict.reason


def test_a_check_that_did_not_compute_is_not_the_answers_fault() -> None:
    """Whatever it waited for, a core perhaps, the answer cannot make it wait."""
    (verdict,) = scored("a", user="sleeps")
    assert (verdict.status, verdict.reward) == (Status.TIMEOUT, None)


def test_a_mark_that_names_no_setting_is_refused() -> None:
    def reward(completion: str) -> float:
        return 1.0

    with pytest.raises(TypeError, match="'wrong'"):
        wrong_when_late()(reward)


@pytest.mark.parametrize(
    ("name", "settings", "value"),
    [
        ("math.math_reward", {"wrong": -1.0}, -1.0),
        ("numeric.numeric_reward", {}, 0.0),
        ("exact.exact_reward", {"wrong": -3}, -3.0),
        ("choice.choice_reward", {}, 0.0),
        ("format.format_reward", {"wrong": -0.5}, -0.5),
        ("json_schema.json_schema_reward", {"schema": {}}, 0.0),
        ("length.cosine_reward", {"max_tokens": 9}, -10.0),
        ("steps.steps_reward", {}, 0.0),
    ],
)
def test_what_is_wrong_is_never_better_for_being_slow(name: str, settings: Any, value: float) -> None:
    spec = {"_target_": f"rlvr.rewards.{name}", **settings}
    (function,) = load_functions(RewardConfig({"f": spec}))
    assert function.late == value


# ---------------------------------------------------------------- bounded before it is done


@pytest.mark.parametrize("step", [0.01, 0.1, 1, 3, 1e-300])
@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 309, "1" * 5000, "9" * 308, "1e308", "5e-324"])
def test_no_number_breaks_a_multiple(number: str, step: float) -> None:
    schema = {"type": "number", "multipleOf": step}
    verdict = json_schema_reward(number, schema, wrong=-1.0)
    assert verdict.status.reached
    if number in ("1e400", "-1e400", "1" * 309, "1" * 5000):
        assert (verdict.status, verdict.reward) == (Status.UNPARSEABLE, -1.0)
        assert "beyond ±1e308" in verdict.reason


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ('[{"a": 1}, {"a": 1.0}]', False),
        ('[{"a": 1, "b": 2}, {"b": 2, "a": 1}]', False),
        ("[1, true]", True),
        ('[[1], [true], "1", 1, null, false, 0]', True),
        ("[[], {}]", True),
        ("[[[1]], [[1]]]", False),
        ('["a", "A"]', True),
        ("[]", True),
    ],
)
def test_items_are_unique_as_json_has_it(items: str, unique: bool) -> None:
    verdict = json_schema_reward(items, {"type": "array", "uniqueItems": True})
    assert (verdict.status is Status.CORRECT) == unique
    assert json_schema_reward(items, {"type": "array", "uniqueItems": False}).status is Status.CORRECT


def test_thousands_of_objects_are_told_apart_at_once() -> None:
    schema = {"type": "array", "uniqueItems": True}
    text = "[" + ",".join(f'{{"a":{i}}}' for i in range(20_000)) + "]"
    started = time.process_time()
    assert json_schema_reward(text, schema, max_characters=10**6).status is Status.CORRECT
    twice = text.replace('{"a":19999}', '{"a":0}')
    assert json_schema_reward(twice, schema, max_characters=10**6).status is Status.WRONG
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize("schema", [{}, {"items": {"$ref": "#"}}, {"uniqueItems": True}, {"enum": [[]]}])
def test_json_deeper_than_python_goes_is_wrong(schema: dict[str, Any]) -> None:
    for depth in (900, 100_000):
        text = "[" * depth + "]" * depth
        verdict = json_schema_reward(text, schema, max_characters=10**6, max_depth=10**6, wrong=-1.0)
        assert verdict.status.reached


@pytest.mark.parametrize(
    "text",
    [
        "#" * 100_000,
        "#" * 100_000 + "x",
        "# " * 50_000,
        "#### " + "$" * 100_000,
        r"\boxed{" + "$" * 100_000 + "}",
        "The answer is " + "$" * 100_000,
        "The answer is " + r"\," * 1_000,
        "#### " + "~" * 2_000,
        "#### 1" + " " * 1_900 + "x",
    ],
)
def test_signs_without_end_take_no_time(text: str) -> None:
    started = time.process_time()
    for verdict in (
        math_reward(text, "42"),
        numeric_reward(text, "42"),
        exact_reward(text, "42"),
        choice_reward(text, "B"),
    ):
        assert verdict.status in (Status.WRONG, Status.UNPARSEABLE)
    format_reward(text)
    assert time.process_time() - started < 1.0
