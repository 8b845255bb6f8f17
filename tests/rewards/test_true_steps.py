"""Right with all steps true: what counts, what it costs, and that it is measured whatever is rewarded."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.configuration import compose
from rlvr.configuration.keys import config_folder
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.evaluate import evaluate
from rlvr.rewards.functions import Sample, load_functions
from rlvr.rewards.steps import true_steps, true_steps_reward
from rlvr.types import Problem, Status
from rlvr.verify.steps import calculation, step_holds

DATA = Path(__file__).parents[3] / "shared" / "data"
SUM = Problem("sum", "3+5+1=?", "9")
MATH = {"math": {"_target_": "rlvr.rewards.math.math_reward"}}


@pytest.mark.parametrize(
    ("solution", "found"),
    [
        ("3+5=8\n8+1=9\n#9", True),
        ("3+5+1=9\n#9", True),
        ("9=3+5+1\n#9", True),
        ("8+1=9\n#9", True),  # a step may be left out
        ("First 3 + 5 = 8, then 8 + 1 = 9. The answer is 9.", True),
        (r"$3+5=8$ and $8+1=9$, so \boxed{9}", True),
        # a false line, wherever it is
        ("3+5=7\n7+1=9\n#9", False),
        ("3+5=8\n8+1=9\n2+2=5\n#9", False),
        ("2+2=3\n3+1=3\n#9", False),
        ("3+5=7=8\n8+1=9\n#9", False),
        ("3+4=7\n7=8\n8+1=9\n#9", False),  # two stated numbers that differ are not equal
        # true lines that do not lead to the answer
        ("1+1=2\n#9", False),
        ("3+5=8\n#9", False),
        # lines that calculate nothing
        ("9=9\n#9", None),
        ("9=9.0\n#9", None),
        ("1<2\n#9", None),
        ("#9", None),
        ("the answer is 9", None),
        ("", None),
        ("(9)=9\n#9", False),
        # an answer from nowhere
        ("9+0=9\n#9", False),
        ("9*1=9\n#9", False),
        ("9-1+1=9\n#9", False),
        # a thought may try what is false
        ("<think>3+5=7?\n3+5=9\n</think>\n3+5=8\n8+1=9\n#9", True),
        ("<think>3+5=8\n8+1=9\n</think>\n#9", None),
    ],
)
def test_what_counts(solution: str, found: bool | None) -> None:
    assert true_steps(solution, SUM) is found
    assert true_steps_reward(solution, SUM) == (1.0 if found else 0.0)


def test_nothing_added_to_a_number_that_is_there_is_a_step() -> None:
    assert true_steps("0+5=5\n5+0=5\n#5", Problem("", "0+5+0=?", "5")) is True
    assert true_steps("4+5=9\n9+0=9\n#9", Problem("", "4+5+0=?", "9")) is True
    assert true_steps("0+0=0\n0+0=0\n#0", Problem("", "0+0+0=?", "0")) is True
    assert true_steps("4+0=4\n#4", Problem("", "2+1+1=?", "4")) is False


@pytest.mark.parametrize(
    ("answer", "solution", "found"),
    [
        ("$14", "He has 20 - 6 = 14 dollars.", True),
        ("14 kg", "20 - 6 = 14", True),
        ("3/4", "1 - 1/4 = 3/4", True),
        (r"\frac{3}{4}", r"$1 - \frac14 = \frac34$", True),
        ("3.33", "10/3 = 3.333", True),  # a rounding of it
        ("3.34", "10/3 = 3.333", False),
        ("1,200", "3*400 = 1200", True),
        # no rational number: nothing could be said to lead to it
        ("x^2", "2+2=4", None),
        ("B", "2+2=4", None),
        (r"\sqrt{2}", "2+2=4", None),
        ("", "2+2=4", None),
        ("assert f(2) == 4", "2+2=4", None),
    ],
)
def test_answers_of_other_forms(answer: str, solution: str, found: bool | None) -> None:
    problem = Problem("p", "20, 6, 1/4, 10, 3, 400?", answer)
    assert true_steps(solution, problem) is found
    assert true_steps_reward(solution, problem) == (None if found is None else float(found))


SIDES = st.text(alphabet="0123456789+-*/^=().,% {}\\frac", min_size=1, max_size=14)


@given(SIDES, st.sampled_from(["=", "approx", "<", "ge", "ne"]), SIDES)
@settings(max_examples=300)
def test_exact_arithmetic_says_what_the_steps_reward_says(left: str, relation: str, right: str) -> None:
    step = calculation(left, relation, right)
    if step is not None:
        assert step_holds(left, relation, right) in ((None, False) if not step.holds else (True,))


def test_reference_solutions_are_mostly_true_and_lead_to_their_answers() -> None:
    path = DATA / "gsm8k_train.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not here: the data sets are not part of the project")
    rows = [json.loads(line) for line in path.read_text().splitlines()[:400]]
    found = [true_steps(row["solution"], Problem(row["id"], row["problem"], row["answer"])) for row in rows]
    assert found.count(True) / len(found) > 0.9
    other = [
        true_steps(row["solution"], Problem(row["id"], row["problem"], after["answer"]))
        for row, after in pairwise(rows)
        if row["answer"] != after["answer"]
    ]
    assert other.count(True) / len(other) < 0.1


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"{'+'.join(['1 1/2(3)%'] * 30)}={n}" for n in range(400)),
        "\n".join(f"9^9^9^9^9+{n}=1" for n in range(4_000)),
        "\n".join(rf"\sqrt{{{n}}}=\pi^{n}" for n in range(4_000)),
        "1=" * 25_000,
        "1+1=" * 12_500,
        "((((" * 12_500 + "=1",
        "$" * 50_000,
    ],
)
def test_hostile_text_is_bounded(text: str) -> None:
    started = time.process_time()
    true_steps(text, SUM)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("long", ["9" * 10_000, "0." + "9" * 10_000, "1," + "000," * 3_000 + "000"])
def test_numbers_of_thousands_of_digits_are_passed_over(long: str) -> None:
    assert true_steps(f"3+5=8\n8+1=9\n{long}+1={long}\n#9", Problem("", f"3+5+1+0*{long}=?", "9")) is True
    assert true_steps("3+5=8\n8+1=9\n#9", Problem("", "?", long)) in (None, False)


def verdict_of(text: str, problem: Problem = SUM, **settings: Any) -> Any:
    config = RewardConfig(functions=MATH, **settings)
    return evaluate(load_functions(config), config, Sample(problem, 0, text, "stop"))


def test_every_verdict_that_is_reached_says_it_and_no_reward_changes() -> None:
    right, lucky, wrong = "3+5=8\n8+1=9\n#9", "3+5=7\n7+1=9\n#9", "3+5=8\n8+1=10\n#10"
    found = [verdict_of(text) for text in (right, lucky, wrong, "#9", "nothing")]
    assert [verdict.true_steps for verdict in found] == [True, False, False, None, None]
    assert [verdict.reward for verdict in found] == [1.0, 1.0, 0.0, 1.0, 0.0]
    assert all(verdict.parts == {"math": verdict.reward} for verdict in found)
    config = RewardConfig(functions={"broken": {"_target_": "tests.rewards.test_true_steps.broken"}})
    crashed = evaluate(load_functions(config), config, Sample(SUM, 0, right, "stop"))
    assert (crashed.status, crashed.true_steps) == (Status.CRASHED, None)


def broken(completion: str) -> float:
    raise OSError(completion)


@pytest.mark.parametrize(
    ("command", "option"), [("recipe", "recipe=quickstart"), ("train", "experiment=quickstart")]
)
def test_the_quickstart_rewards_right_answers_with_true_steps_alone(command: str, option: str) -> None:
    compose.register_schema()
    with initialize_config_dir(config_dir=str(config_folder()), version_base="1.3"):
        config = compose.to_config(hydra_compose(command, overrides=[option]), compose.SCHEMAS[command])
    functions = load_functions(config.reward)

    def reward(text: str) -> float | None:
        return evaluate(functions, config.reward, Sample(SUM, 0, text, "stop")).reward

    right = reward("3+5=8\n8+1=9\n#9")
    assert right == 1.0
    for less in ("3+5=7\n7+1=9\n#9", "#9", "9+0=9\n#9", "1+1=2\n#9", "3+5=8\n8+1=10\n#10", ""):
        assert reward(less) == 0.0
    if command == "recipe":  # and nothing else is an example
        for least in (config.midtrain.choose, config.sft.choose, config.dpo.pairs):
            assert least.min_reward == right
