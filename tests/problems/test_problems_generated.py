"""Generated problems: true worked steps, the same for a seed, and two sides that never meet."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.problems.generated import (
    ALPHABET,
    ARITHMETIC_LEVELS,
    LINEAR_LEVELS,
    _write_arithmetic,
    _write_linear,
    arithmetic,
    linear_equations,
)
from rlvr.types import ConfigError, DataError

FAMILIES = [arithmetic, linear_equations]
LEVELS = {arithmetic: ARITHMETIC_LEVELS, linear_equations: LINEAR_LEVELS}
EVERY_LEVEL = [(family, level) for family in FAMILIES for level in LEVELS[family]]


def value(expression: str, x: Fraction = Fraction(0)) -> Fraction:
    """Of a sum of signed terms 12, 3x, x or 3(x+4)."""
    total, rest = Fraction(0), expression
    while rest:
        match = re.match(r"([+-]?)(\d*)(x|\(x([+-]\d+)\))?", rest)
        assert match is not None
        assert match.end() > 0, expression
        sign, factor, unknown, shift = match.groups()
        term = Fraction(factor or 1)
        if unknown:
            term *= x + Fraction(shift or 0)
        total += -term if sign == "-" else term
        rest = rest[match.end() :]
    return total


@pytest.mark.parametrize("level", ARITHMETIC_LEVELS)
def test_arithmetic_solutions_are_running_results_that_end_in_the_answer(level):
    for problem in arithmetic("train", 60, level):
        question = problem.text.removesuffix("=?")
        *lines, last = problem.solution.split("\n")
        operands = re.findall(r"[+-]?\d+", question)
        running = operands[0]
        assert len(lines) == len(operands) - 1
        for line, operand in zip(lines, operands[1:], strict=True):
            left, right = line.split("=")
            assert left == f"{running}{operand}"
            assert value(left) == Fraction(right)
            running = right
        assert last == f"#{problem.answer}"
        assert value(question) == Fraction(problem.answer) == Fraction(running)


@pytest.mark.parametrize("level", LINEAR_LEVELS)
def test_every_line_of_a_linear_solution_has_the_answer_as_its_only_root(level):
    for problem in linear_equations("train", 60, level):
        question, asked = problem.text.split(", ")
        *lines, last = problem.solution.split("\n")
        assert asked == "x=?"
        assert lines[-1] == f"x={problem.answer}"
        assert last == f"#{problem.answer}"
        root = Fraction(problem.answer)
        for line in [question, *lines]:
            left, right = line.split("=")
            assert value(left, root) == value(right, root), (problem, line)
            assert value(left, root + 1) != value(right, root + 1), (problem, line)


@pytest.mark.parametrize(("family", "level"), EVERY_LEVEL)
def test_texts_are_short_and_stay_in_the_alphabet(family, level):
    for problem in family("train", 60, level):
        assert set(problem.text + problem.solution) <= set(ALPHABET)
        assert len(problem.text) <= 20
        assert len(problem.solution) <= 40
        assert problem.columns == {"level": level}


def test_the_alphabet_has_no_character_that_nothing_needs():
    problems = [p for family in FAMILIES for p in family("train", 300, list(LEVELS[family]))]
    assert {c for p in problems for c in f"{p.text}\n{p.solution}"} == set(ALPHABET)
    assert len(ALPHABET) == len(set(ALPHABET))


@settings(max_examples=25)
@given(st.sampled_from(EVERY_LEVEL), st.integers(0, 2**40), st.integers(0, 2**40))
def test_train_and_heldout_never_meet_whatever_the_seeds(case, train_seed, heldout_seed):
    family, level = case
    train = family("train", 70, level, train_seed)
    heldout = family("heldout", 15, level, heldout_seed)
    assert not {p.text for p in train} & {p.text for p in heldout}
    assert not {p.id for p in train} & {p.id for p in heldout}
    for problems in (train, heldout):
        assert len({p.text for p in problems}) == len({p.id for p in problems}) == len(problems)


@settings(max_examples=10)
@given(st.sampled_from(FAMILIES), st.integers(0, 2**40), st.integers(1, 60), st.integers(0, 60))
def test_the_same_arguments_give_the_same_problems_and_more_only_adds(family, seed, n, more):
    assert family("train", n + more, [2, 3], seed)[:n] == family("train", n, [2, 3], seed)


def test_the_seed_decides_the_order():
    assert arithmetic("train", 50, 4, seed=1) != arithmetic("train", 50, 4, seed=2)


def test_a_new_process_makes_the_same_problems():
    program = "from rlvr.problems.generated import arithmetic; print(arithmetic('train', 20, 6, 5))"
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout.strip()
        for hash_seed in ("1", "2")
    ]
    assert outputs == [str(arithmetic("train", 20, 6, 5))] * 2


def test_two_sides_make_up_the_level_which_is_exhausted_exactly():
    with pytest.raises(DataError, match=r"level 1 has (\d+) problems in split train, but 101 were") as error:
        arithmetic("train", 101, 1)
    there_are = int(re.search(r"has (\d+)", str(error.value)).group(1))
    train = arithmetic("train", there_are, 1)
    heldout = arithmetic("heldout", 100 - there_are, 1)
    assert {p.text for p in [*train, *heldout]} == {f"{a}+{b}=?" for a in range(10) for b in range(10)}
    with pytest.raises(DataError, match=f"has {there_are} problems in split train"):
        arithmetic("train", there_are + 1, 1, seed=9)


def test_about_a_fifth_is_held_out():
    with pytest.raises(DataError, match="problems in split heldout") as error:
        arithmetic("heldout", 9000, 4)
    share = int(re.search(r"has (\d+)", str(error.value)).group(1)) / 8100
    assert 0.18 < share < 0.22


def test_several_levels_take_turns():
    problems = arithmetic("train", 7, [5, 1, 7])
    assert [p.columns["level"] for p in problems] == [5, 1, 7, 5, 1, 7, 5]
    assert Counter(p.text.count("+") + p.text.count("-") for p in problems) == {2: 3, 1: 2, 3: 2}


@pytest.mark.parametrize(
    ("levels", "write"),
    # Levels 4 to 6 of arithmetic are large; their texts differ from the others by their signs.
    [([ARITHMETIC_LEVELS[n] for n in (1, 2, 3)], _write_arithmetic), (LINEAR_LEVELS.values(), _write_linear)],
)
def test_no_text_comes_twice_within_or_across_levels(levels, write):
    texts = [write(*choice)[0] for axes in levels for choice in itertools.product(*axes)]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trian", 5, 1), "no split 'trian'; there are: train, heldout; did you mean 'train'?"),
        (("train", 0, 1), "n is 0, but must be ≥ 1"),
        (("train", 5, 9), "no level 9; there are: 1, 2, 3, 4, 5, 6, 7"),
        (("train", 5, []), "must name at least one level"),
        (("train", 5, [1, 1]), "each once"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ConfigError) as error:
        arithmetic(*arguments)
    assert message in str(error.value)
