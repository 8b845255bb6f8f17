"""The shop floor of docs/own_data.md: its problems, the templates of their kinds, what its recipe rewards."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import islice
from pathlib import Path

import pytest

from rlvr.configuration.compose import composed
from rlvr.problems.expressions import as_fraction, evaluate, parse_expression
from rlvr.problems.files import from_file
from rlvr.problems.split import part
from rlvr.problems.template_file import read_templates
from rlvr.problems.templates import from_templates
from rlvr.rewards import evaluate as rewards
from rlvr.rewards.functions import Sample, load_functions
from rlvr.types import Problem

FOLDER = Path(__file__).parent.parent / "experiments" / "shop_floor"
TEMPLATES = str(FOLDER / "templates.yaml")
NUMBER_WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven"]
NUMBER = re.compile(rf"\d+(?:\.\d+)?|\b(?:{'|'.join(NUMBER_WORDS)})\b")
UNITS = {"mm", "cm", "m", "kg", "g", "h", "kw", "euro", "euros", "minutes", "hours", "litres", "percent"}


@pytest.fixture(scope="module")
def own() -> list[Problem]:
    return from_file(str(FOLDER / "problems.jsonl"))


@pytest.fixture(scope="module")
def new() -> list[Problem]:
    return from_templates(TEMPLATES, 150, "all")


def numbers(text: str) -> list[Fraction]:
    """All numbers of a text in their order, those in words included."""
    found = NUMBER.findall(text.lower())
    return [Fraction(NUMBER_WORDS.index(one) + 1 if one in NUMBER_WORDS else one) for one in found]


def value(expression: str) -> Fraction:
    return as_fraction(evaluate(parse_expression(expression, []), {}))


def runs_of_words(text: str, length: int = 8) -> set[tuple[str, ...]]:
    """All runs of words in a text; its numbers and units are none."""
    words = [word for word in re.findall(r"[a-z]+", text.lower()) if word not in UNITS]
    return set(zip(*(islice(words, start, None) for start in range(length)), strict=False))


# The problems


def test_every_equation_gives_its_answer_from_numbers_of_the_text(own: list[Problem]) -> None:
    known = set(map(Fraction, (2, 3, 60, 100, 1000)))  # halves, months of a quarter, minutes, percent, grams
    for problem in own:
        equation = str(problem.columns["equation"])
        assert value(equation) == Fraction(problem.answer), problem
        assert set(numbers(equation)) <= {*numbers(problem.text), *known}, problem


def test_a_hundred_problems_in_order_with_the_same_columns(own: list[Problem]) -> None:
    assert [problem.id for problem in own] == [f"sf-{number:03d}" for number in range(1, 101)]
    assert all(problem.columns.keys() == {"subject", "equation"} for problem in own)


def test_every_problem_is_a_text_of_its_own(own: list[Problem]) -> None:
    assert len({problem.text for problem in own}) == len(own)
    seen: dict[tuple[str, ...], str] = {}
    for problem in own:
        for run in runs_of_words(problem.text):
            assert seen.setdefault(run, problem.id) == problem.id, (run, seen[run], problem.id)


# The templates


def test_each_template_is_like_a_problem_that_is_not_held_out(own: list[Problem]) -> None:
    templates, read = read_templates(TEMPLATES)
    assert read == own
    likes = [template.like.problem.id for template in templates if template.like is not None]
    assert len(set(likes)) == len(templates)
    assert set(likes) <= {problem.id for problem in part(own, "train")}


def test_new_problems_are_of_all_templates_and_subjects(own: list[Problem], new: list[Problem]) -> None:
    templates, _ = read_templates(TEMPLATES)
    assert {problem.columns["template"] for problem in new} == {template.id for template in templates}
    assert {problem.columns["subject"] for problem in new} == {problem.columns["subject"] for problem in own}


def transferred(equation: str, before: list[Fraction], now: list[Fraction]) -> str:
    """The equation of a text with the numbers `before`, for the same text with the numbers `now`."""

    def replaced(found: re.Match[str]) -> str:
        number = Fraction(found[0])
        return f"({now[before.index(number)]})" if number in before else found[0]

    return NUMBER.sub(replaced, equation)


def test_a_new_problem_is_solved_as_the_one_that_its_template_is_like(new: list[Problem]) -> None:
    likes = {template.id: template.like for template in read_templates(TEMPLATES)[0]}
    for problem in new:
        like = likes[str(problem.columns["template"])]
        assert like is not None
        example = like.problem
        equation = transferred(str(example.columns["equation"]), numbers(example.text), numbers(problem.text))
        assert value(equation) == Fraction(problem.answer), (problem, equation)


def test_a_solution_has_one_calculation_per_line_and_ends_with_the_answer(new: list[Problem]) -> None:
    for problem in new:
        assert problem.solution is not None
        *steps, last = problem.solution.split("\n")
        assert last == f"#### {problem.answer}"
        assert steps[-1].endswith(f" = {problem.answer}")
        for step in steps:
            calculation = re.fullmatch(r"([\d.]+ [-+*/] [\d.]+) = ([\d.]+)", step)
            assert calculation, step
            assert value(calculation[1]) == Fraction(calculation[2])


def test_new_problems_share_no_phrase_with_those_held_out(own: list[Problem], new: list[Problem]) -> None:
    heldout = set[tuple[str, ...]]().union(*(runs_of_words(p.text) for p in part(own, "heldout")))
    assert heldout
    for problem in new:
        assert not runs_of_words(problem.text) & heldout, problem


# The recipe


def test_the_recipe_rewards_calculations_that_lead_to_the_answer(
    own: list[Problem], new: list[Problem]
) -> None:
    config, *_ = composed("recipe", [f"hydra.searchpath=[{FOLDER}]", "recipe=shop_floor"])
    functions = load_functions(config.reward)

    def reward(problem: Problem, text: str) -> float | None:
        return rewards.evaluate(functions, config.reward, Sample(problem, 0, text, "stop")).reward

    for problem in own:
        end = f"#### {problem.answer}"
        assert reward(problem, f"{problem.columns['equation']} = {problem.answer}\n{end}") == 1
        assert reward(problem, end) == reward(problem, f"1 + 1 = 3\n{end}") == 0
    for problem in new:
        assert reward(problem, str(problem.solution)) == 1
