"""Which problems come next, and the random keys behind it."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rlvr.base.keys import key
from rlvr.problems.order import fingerprint, problems_for_step
from rlvr.types import DataError, Problem

PINNED = 471728405  # changes the results of every earlier run when it changes
seeds = st.integers(0, 2**31)


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 40), seeds)
def test_every_epoch_is_a_permutation_and_no_step_takes_a_problem_twice(num_problems, per_step, seed):
    assume(per_step <= num_problems)
    epochs = per_step + 1
    num_steps = math.ceil(epochs * num_problems / per_step)
    steps = [problems_for_step(num_problems, per_step, step, seed) for step in range(num_steps)]
    assert all(len(step) == len(set(step)) == per_step for step in steps)
    walk = [index for step in steps for index in step]
    for epoch in range(epochs):
        assert sorted(walk[epoch * num_problems : (epoch + 1) * num_problems]) == list(range(num_problems))


@given(st.integers(2, 300), st.integers(0, 10**9), seeds)
def test_a_step_is_a_function_of_its_arguments_alone(num_problems, step, seed):
    per_step = num_problems // 2
    alone = problems_for_step(num_problems, per_step, step, seed)
    problems_for_step(num_problems, per_step, step + 1, seed)
    assert problems_for_step(num_problems, per_step, step, seed) == alone


def test_epochs_and_seeds_differ():
    first, second = (problems_for_step(100, 100, step, seed=0) for step in (0, 1))
    assert first != second
    assert first != problems_for_step(100, 100, 0, seed=1)


def test_the_places_of_an_epoch_are_uniform():
    steps = 4000
    counts = [0] * 7
    for step in range(steps):
        for index in problems_for_step(7, 3, step, seed=3)[:1]:
            counts[index] += 1
    expected = steps / 7
    assert all(abs(count - expected) < 5 * expected**0.5 for count in counts)


def test_a_step_cannot_take_more_problems_than_there_are():
    with pytest.raises(DataError, match="takes 9 different problems, but the source has only 8"):
        problems_for_step(8, 9, 0, 0)


def test_the_order_is_pinned():
    assert problems_for_step(10, 4, 2, 0) == [1, 0, 9, 6]


@given(st.lists(st.integers() | st.text(st.characters(codec="utf-8")), max_size=5))
def test_keys_fit_every_seed_and_depend_on_every_part(parts):
    assert 0 <= key(*parts) < 2**31
    assert key(*parts) == key(*parts)
    assert key(*parts) != key(*parts, 0)


def test_keys_tell_types_and_boundaries_apart():
    keys = [key(1, 2), key(2, 1), key(12), key("1", 2), key("12"), key("1", "2"), key(), key(""), key(-1)]
    assert len(set(keys)) == len(keys)


def test_a_part_that_is_no_whole_number_is_refused():
    with pytest.raises(TypeError):
        key(1.5)  # type: ignore[arg-type]


def test_keys_are_the_same_in_every_process():
    program = "from rlvr.base.keys import key; print(key('seed', 7, 'gsm8k-3', 2))"
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "5", "PYTHONPATH": ":".join(sys.path)},
    )
    assert int(run.stdout) == key("seed", 7, "gsm8k-3", 2) == PINNED


def test_the_fingerprint_depends_on_ids_texts_answers_solutions_and_order():
    problems = [Problem("a", "1+1", "2"), Problem("b", "1+2", "3")]
    variants = [problems, problems[::-1], problems[:1], []]
    for name in ("id", "text", "answer", "solution"):
        variants.append([dataclasses.replace(problems[0], **{name: "other"}), problems[1]])
    variants.append([dataclasses.replace(problems[0], columns={"tests": "other"}), problems[1]])
    variants.append([Problem("a1", "+1", "2"), problems[1]])
    assert len({fingerprint(variant) for variant in variants}) == len(variants)
