"""The simulated clock beside what can be computed by hand, over the loop's own scheduling."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from clock_simulation import Costs, Decoding, Setup, at, simulate

from rlvr.rollout.engine import Request

STEP = 0.01  # seconds of an engine step, however many sequences
FLAT = Costs(decode=((1, STEP), (256, STEP)))
HEAVY = np.exp(np.random.default_rng(0).normal(3.5, 1.0, 512)).clip(1, 200).astype(np.int32)


def constant(length: int) -> np.ndarray:
    return np.array([length], np.int32)


def request(length: int, sample: int = 0, prompt: int = 1) -> Request:
    return Request("p", 1, sample, 0, [0] * prompt, 1.0, length)


# ---------------------------------------------------------------- an engine


def test_a_curve_is_linear_between_its_points_and_in_proportion_beyond() -> None:
    curve = ((2, 1.0), (4, 3.0))
    assert [at(curve, size) for size in (1, 2, 3, 4, 8)] == [1.0, 1.0, 2.0, 3.0, 6.0]


def test_an_engine_makes_a_token_of_every_sequence_in_a_step() -> None:
    costs = Costs(decode=((1, 1.0), (2, 1.5)), prefill=0.125)
    engine = Decoding()
    engine.waiting.extend([request(4, 0), request(2, 1), request(3, 2)])
    took, ended = engine.run(costs, room=2, seconds=100.0)
    # two at a time for 4 tokens, as the third takes the place of the second; its last token comes alone
    assert took == pytest.approx(3 * 0.125 + 4 * 1.5 + 1 * 1.0)
    assert [active.request.sample for active in ended] == [1, 0, 2]
    assert (engine.steps, engine.decoded) == (5, 9)


def test_an_engine_stops_after_the_step_in_which_its_time_is_over() -> None:
    engine = Decoding()
    engine.waiting.append(request(10))
    assert engine.run(FLAT, 8, seconds=0.025) == (pytest.approx(0.03), [])
    assert engine.run(FLAT, 8, seconds=0.0) == (pytest.approx(0.01), [])
    took, ended = engine.run(FLAT, 8, seconds=1.0)
    assert took == pytest.approx(0.06)
    assert len(ended) == 1


def test_new_weights_have_all_so_far_computed_again() -> None:
    costs = replace(FLAT, prefill=0.001)
    engine = Decoding()
    engine.waiting.append(request(10, prompt=5))
    engine.run(costs, 8, seconds=0.03)  # the prompt's 5 tokens and 3 steps
    made = engine.tokens
    engine.take_weights(1)
    took, (ended,) = engine.run(costs, 8, seconds=1.0)
    assert took == pytest.approx(0.001 * (5 + made) + STEP * (10 - made))
    assert ended.version == 0  # it began with the old ones


# ---------------------------------------------------------------- the loop, in closed form


def test_a_synchronous_step_is_the_sum_of_its_parts() -> None:
    costs = Costs(
        decode=((1, STEP), (32, STEP)),
        prefill=1e-4,
        learn=1e-3,
        send=0.2,
        receive=0.3,
        verdict=0.7,
        record=1e-3,
    )
    setup = Setup(1, 0, groups=4, steps=4, warmup=1, lengths=constant(57), prompt=16, learners=2, verdicts=10)
    outcome = simulate(costs, setup)
    rollouts, tokens = 32, 32 * (57 + 16)
    generate = rollouts * 16 * costs.prefill + 57 * STEP
    verdicts = 4 * costs.verdict  # 32, 10 at a time
    learn = costs.learn * tokens / 2
    # a step is recorded while the next one's answers are drawn
    expected = generate + verdicts + learn + costs.send + costs.receive
    assert np.diff(outcome.ends) == pytest.approx([expected] * 4)
    assert outcome.step_seconds == pytest.approx(expected)
    assert outcome.tokens_per_second == pytest.approx(rollouts * 57 / expected)
    assert outcome.learning == pytest.approx((learn + costs.send) / expected)
    assert outcome.batch == pytest.approx(32)


@pytest.mark.parametrize(("verdict", "learn"), [(0.2, 0.0001), (0.9, 0.0005), (0.2, 0.002)])
@pytest.mark.parametrize("staleness", [1, 2, 4])
def test_an_asynchronous_step_takes_its_slowest_part_or_its_share_of_the_way_round(
    staleness: int, verdict: float, learn: float
) -> None:
    """k + 1 steps are under way at a time, each in generation, verdicts or learning."""
    costs = replace(FLAT, verdict=verdict, learn=learn)
    # no room for two steps at a time: they are generated one after the other
    setup = Setup(1, staleness, 4, 20, 10, constant(100), prompt=0, max_num_seqs=32)
    outcome = simulate(costs, setup)
    generates, learns = 100 * STEP, learn * 32 * 100
    round_trip = (generates + verdict + learns) / (staleness + 1)
    expected = max(generates, learns, round_trip)
    # what has ended is seen at the end of a call of half a second; weights wait for an engine step's end
    assert abs(outcome.step_seconds - expected) <= 0.5 / 20 + 2 * STEP


def test_with_any_staleness_the_slowest_part_alone_counts() -> None:
    setup = Setup(1, 40, 4, 50, 50, constant(100), prompt=0, max_num_seqs=32)
    generating = simulate(replace(FLAT, learn=1e-4, verdict=0.1), setup)
    assert generating.step_seconds == pytest.approx(100 * STEP, rel=0.02)
    assert generating.decoding == pytest.approx(1, abs=0.02)
    learning = simulate(replace(FLAT, learn=1e-3, verdict=0.1), setup)
    assert learning.step_seconds == pytest.approx(3.2, rel=0.02)
    assert learning.learning == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("staleness", [0, 1])
def test_without_tails_and_without_a_driver_workers_add_up(staleness: int) -> None:
    """As many groups and learner ranks for each worker: with equal answers none waits for another."""
    one, many = (
        simulate(
            replace(FLAT, learn=1e-3, send=0.1, receive=0.1),
            Setup(workers, staleness, 4 * workers, 8, 4, constant(80), prompt=0, learners=workers),
        )
        for workers in (1, 16)
    )
    assert many.tokens_per_second == pytest.approx(16 * one.tokens_per_second, rel=0.01)


def test_workers_that_are_in_a_call_when_a_step_is_submitted_get_their_share_of_it() -> None:
    """Whoever is idle first would have most of it, and the others would wait for him."""
    costs = Costs(decode=((1, 0.01), (256, 0.05)), learn=5e-4, send=0.01, receive=0.04)
    one, eight = (
        simulate(costs, Setup(workers, 2, 8 * workers, 12, 8, HEAVY, learners=workers)) for workers in (1, 8)
    )
    assert eight.tokens_per_second > 0.95 * 8 * one.tokens_per_second


def test_a_driver_that_is_slow_to_answer_keeps_workers_waiting() -> None:
    setup = Setup(64, 0, 64, 3, 1, constant(200), prompt=0, learners=64)
    quick, slow = (simulate(replace(FLAT, call=((64, call),)), setup) for call in (0.0, 0.02))
    # in turn, 64 workers need 1.28 s of the driver for each half second of their own
    assert slow.step_seconds > 1.28 / 0.51 * quick.step_seconds
    assert slow.decoding < 0.5 < 0.99 < quick.decoding


# ---------------------------------------------------------------- staleness


@settings(max_examples=30)
@given(
    workers=st.integers(1, 5),
    staleness=st.integers(0, 4),
    groups=st.integers(1, 12),
    room=st.integers(4, 64),
    learn=st.floats(0, 2e-3),
    verdict=st.floats(0, 2),
    receive=st.floats(0, 1),
)
def test_no_rollout_is_older_than_it_may_be(
    workers: int, staleness: int, groups: int, room: int, learn: float, verdict: float, receive: float
) -> None:
    costs = Costs(((1, 0.01), (64, 0.05)), 1e-4, learn, 0.1, receive, verdict, ((1, 1e-3),), 1e-4)
    setup = Setup(workers, staleness, groups, 7, 2, HEAVY, group_size=4, max_num_seqs=room)
    outcome = simulate(costs, setup)
    assert len(outcome.oldest) == 9
    assert all(0 <= behind <= staleness for behind in outcome.oldest)
    assert all(np.diff(outcome.ends) > 0)


def test_a_slow_learner_makes_use_of_the_staleness_that_it_is_given() -> None:
    for staleness in (0, 1, 3):
        setup = Setup(2, staleness, 8, 8, 4, HEAVY)
        assert max(simulate(replace(FLAT, learn=1e-3), setup).oldest) == staleness


def test_staleness_is_worth_something_where_lengths_differ_and_never_costs() -> None:
    costs = Costs(((1, 0.01), (64, 0.03)), learn=2e-4, send=0.05, receive=0.05, verdict=0.01)
    speeds = [
        simulate(costs, Setup(4, staleness, 16, 16, 6, HEAVY, learners=4)).tokens_per_second
        for staleness in (0, 1, 2, 4)
    ]
    assert speeds[1] > 1.2 * speeds[0]
    assert all(later > 0.98 * sooner for sooner, later in pairwise(speeds))


def test_a_simulation_is_a_function_of_its_setup() -> None:
    costs = replace(FLAT, learn=1e-3)
    setup = Setup(3, 1, 8, 4, 2, HEAVY)
    assert simulate(costs, setup) == simulate(costs, setup)
    assert simulate(costs, setup) != simulate(costs, replace(setup, seed=1))
