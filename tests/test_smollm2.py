"""The problems of `recipe=smollm2`: worked solutions made from equations."""

from __future__ import annotations

import importlib.util
import random
import re
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


TEXTS = {  # text → equation
    "Tim has 19 red and 33 blue cups. He breaks 7 blue ones. How many blue cups are left?": "( 33.0 - 7.0 )",
    "Each of 12 boxes has 8 pens. Ann, who is 9, takes 3. What is left?": "( ( 12.0 - 3.0 ) * 8.0 )",
    "It was 4 degrees, and became 11 degrees colder. How warm is it?": "( 4.0 - 11.0 )",
    "She cut 96 cm of rope, which is 250 cm long, into 6 parts. How long is a part?": "( 96.0 / 6.0 )",
}


@given(st.sampled_from(sorted(TEXTS)), st.integers(0, 2**32))
def test_a_variant_has_other_numbers_and_nothing_else(text: str, seed: int) -> None:
    answer = PREPARE.shown(PREPARE.worked(TEXTS[text])[0])
    (problem,) = PREPARE.with_solutions([Problem("one", text, answer, columns={"equation": TEXTS[text]})])
    variant = PREPARE.renumbered(problem, random.Random(seed))
    assert re.sub(r"\d+", "0", variant.text) == re.sub(r"\d+", "0", text)
    before, after = (list(map(int, re.findall(r"\d+", said))) for said in (text, variant.text))
    assert sorted(range(len(before)), key=before.__getitem__) == sorted(
        range(len(after)), key=after.__getitem__
    )
    new = dict(zip(before, after, strict=True))
    wanted = " ".join(f"{new[int(float(t))]}.0" if t[0].isdigit() else t for t in TEXTS[text].split())
    assert variant.columns["equation"] == wanted
    assert int(variant.answer) == PREPARE.worked(wanted)[0]
    assert (int(variant.answer) < 0) == (int(answer) < 0)
    assert true_steps_reward(variant.solution, variant) == 1


@pytest.mark.parametrize(
    ("text", "equation"),
    [
        ("2 cups cost $ 2 each. What do they cost?", "( 2.0 * 2.0 )"),  # which 2?
        ("Two cups cost $ 3 each. What do they cost?", "( 2.0 * 3.0 )"),  # a number as a word
        ("A cup costs $ 1.5. What do 4 cost?", "( 4.0 * 1.5 )"),
        ("It costs $ 1,250 and 3 less. What does it cost?", "( 1250.0 - 3.0 )"),
    ],
)
def test_a_problem_whose_numbers_are_not_sure_has_no_variants(text: str, equation: str) -> None:
    value, _ = PREPARE.worked(equation)
    problem = Problem("one", text, PREPARE.shown(value), columns={"equation": equation})
    assert list(PREPARE.with_variants([problem], 3)) == [problem]


def test_variants_follow_their_problem_and_differ() -> None:
    problems = [
        Problem(str(number), text, "", columns={"equation": equation})
        for number, (text, equation) in enumerate(TEXTS.items())
    ]
    made = list(PREPARE.with_variants(problems, 3))
    assert [problem for problem in made if "-" not in problem.id] == problems
    assert len({problem.text for problem in made}) == len(made)
    assert [problem.id for problem in made][:4] == ["0", "0-1", "0-2", "0-3"]
    assert made == list(PREPARE.with_variants(problems, 3))


@pytest.mark.skipif(not SVAMP.exists(), reason="needs a local copy of SVAMP")
def test_nearly_all_of_svamp_has_solutions() -> None:
    problems = from_file(str(SVAMP))
    assert (len(problems), len(list(PREPARE.with_solutions(problems)))) == (1000, 996)
