"""The problems of `recipe=smollm2`: worked solutions made from equations."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.problems.files import from_file
from rlvr.rewards.steps import true_steps_reward
from rlvr.types import Problem
from rlvr.verify.check import check_answer

ROOT = Path(__file__).parent.parent
SVAMP = ROOT.parent / "shared" / "data" / "svamp.jsonl"


def script() -> Any:
    spec = importlib.util.spec_from_file_location("prepare", ROOT / "experiments" / "smollm2" / "prepare.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PREPARE = script()


@pytest.mark.parametrize(
    ("equation", "value", "lines"),
    [
        ("( 290.0 / 2.0 )", 145, ["290 / 2 = 145"]),
        ("( ( 2.0 * 3.0 ) - 1.0 )", 5, ["2 * 3 = 6", "6 - 1 = 5"]),
        ("( 9.0 - ( 10.0 / 4.0 ) )", Fraction(13, 2), ["10 / 4 = 2.5", "9 - 2.5 = 6.5"]),
        ("7.0", 7, []),
    ],
)
def test_an_equation_becomes_a_calculation_per_line(equation: str, value: Fraction, lines: list[str]) -> None:
    assert PREPARE.worked(equation) == (value, lines)


@pytest.mark.parametrize("equation", ["( 1.0 + 2.0 + 3.0 )", "( 1.0 ? 2.0 )"])
def test_an_equation_of_another_form_is_refused(equation: str) -> None:
    with pytest.raises(ValueError, match="a bracket must hold two numbers"):
        PREPARE.worked(equation)


NUMBERS = st.integers(1, 999).map(lambda n: f"{n}.0")
EQUATIONS = st.recursive(
    st.builds("( {} {} {} )".format, NUMBERS, st.sampled_from("+*"), NUMBERS),
    lambda inner: st.builds("( {} {} {} )".format, inner, st.sampled_from("+*"), NUMBERS),
    max_leaves=3,
)


@given(EQUATIONS)
def test_the_recipe_rewards_every_solution(equation: str) -> None:
    answer = PREPARE.shown(PREPARE.worked(equation)[0])
    problem = Problem("one", f"How many? {equation}", answer, columns={"equation": equation})
    (solved,) = PREPARE.with_solutions([problem])
    assert check_answer(solved.solution, answer).reward == 1
    assert true_steps_reward(solved.solution, problem) == 1


def test_a_solution_that_is_not_rewarded_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    right = Problem("right", "2 and 3", "5", columns={"equation": "( 2.0 + 3.0 )"})
    wrong = replace(right, id="wrong", answer="6")
    alone = replace(right, id="alone", columns={"equation": "5.0"})
    rounded = replace(right, id="rounded", columns={"equation": "( 3.0 * ( 5.0 / 3.0 ) )"})
    assert [p.id for p in PREPARE.with_solutions([right, wrong, alone, rounded])] == ["right"]
    printed = capsys.readouterr().out
    assert all(f"left out {name}:" in printed for name in ("wrong", "alone", "rounded"))


@pytest.mark.skipif(not SVAMP.exists(), reason="needs a local copy of SVAMP")
def test_nearly_all_of_svamp_has_solutions() -> None:
    problems = from_file(str(SVAMP))
    assert (len(problems), len(list(PREPARE.with_solutions(problems)))) == (1000, 996)
