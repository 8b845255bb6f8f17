"""Orders of problems: one that follows pass rates, and further problems of an epoch."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import permutations

import pytest
from groups import group

from rlvr.problems.curriculum import PassRate
from rlvr.problems.order import Epochs, problems_for_step
from rlvr.types import ConfigError, Problem

PROBLEMS = [Problem(f"p{i}", "1+1=?", "2") for i in range(8)]


def pass_rate(rates: dict[int, float] | None = None, **options: float) -> PassRate:
    """A curriculum that has seen these pass rates, of whole quarters."""
    order = PassRate(PROBLEMS, seed=3, **options)
    for index, rate in (rates or {}).items():
        right = round(4 * rate)
        order.observe([group([*[1.0] * right, *[-1.0] * (4 - right)], f"p{index}")])
    return order


# ---------------------------------------------------------------- pass rates


def test_a_pass_rate_is_a_moving_average_of_what_was_reached() -> None:
    order = pass_rate(memory=0.75)
    order.observe([group([1.0, None, -1.0, -1.0], "p1"), group([None, None], "p2")])
    assert order.pass_rates == {"p1": pytest.approx(1 / 3)}  # p2 has no verdict, and so no pass rate
    order.observe([group([1.0, 1.0], "p1")])
    assert order.pass_rates["p1"] == pytest.approx(0.75 / 3 + 0.25)
    order.observe([group([-1.0, -1.0], "p1")])
    assert order.pass_rates["p1"] == pytest.approx(0.75 * (0.75 / 3 + 0.25))


def test_the_weight_is_a_power_of_the_failures_over_a_floor() -> None:
    order = pass_rate({0: 0.25, 1: 0.75, 2: 1.0, 3: 0.0}, hardness=2, floor=0.1)
    weights = [order.weight(problem) for problem in PROBLEMS[:5]]
    assert weights == pytest.approx([0.5625, 0.1, 0.1, 1, 1])  # the last was never drawn


def test_without_memory_only_the_last_time_counts() -> None:
    order = pass_rate({0: 1.0}, memory=0.0)
    order.observe([group([-1.0, -1.0], "p0")])
    assert order.pass_rates == {"p0": 0.0}


# ---------------------------------------------------------------- the draw


def test_a_step_is_a_function_of_its_number_the_seed_and_the_pass_rates() -> None:
    first, second = pass_rate({0: 0.5, 1: 0.25}), pass_rate()
    second.observe([group([1.0, -1.0, -1.0, -1.0], "p1"), group([1.0, -1.0], "p0")])  # the other way round
    draws = [first.choose(step, 4) for step in range(20)]
    assert draws == [second.choose(step, 4) for step in reversed(range(20))][::-1]
    assert all(len(set(draw)) == 4 for draw in draws)
    assert len({tuple(draw) for draw in draws}) > 15
    second.seed = 4
    assert draws != [second.choose(step, 4) for step in range(20)]


def test_the_state_goes_through_json_and_back() -> None:
    order = pass_rate({0: 0.25, 5: 0.75})
    order.observe([group([1.0, 1.0, -1.0], "p5")])
    state = json.loads(json.dumps(order.state()))
    resumed = pass_rate()
    resumed.load(state)
    assert resumed.pass_rates == order.pass_rates
    assert [resumed.choose(step, 3) for step in range(20)] == [order.choose(step, 3) for step in range(20)]
    resumed.observe([group([1.0], "p0")])
    assert order.pass_rates["p0"] == 0.25  # no state is shared
    assert state["pass_rates"]["p0"] == 0.25


def test_problems_are_drawn_with_the_frequency_of_their_weights() -> None:
    rates = {0: 0.75, 1: 0.25, 2: 0.5, 3: 0.0, **dict.fromkeys(range(4, 8), 1.0)}
    order = pass_rate(rates)  # the last four are solved
    steps = 3000
    pairs = Counter(tuple(order.choose(step, 2)) for step in range(steps))
    weights = {0: 0.25, 1: 0.75, 2: 0.5, 3: 1.0}
    total = sum(weights.values())
    for first, second in permutations(weights, 2):
        # one after the other, without replacement
        share = weights[first] / total * weights[second] / (total - weights[first])
        deviation = math.sqrt(steps * share * (1 - share))
        assert abs(pairs[first, second] - steps * share) < 5 * deviation, (first, second)
    assert set(pairs) == set(permutations(weights, 2))


def test_solved_problems_come_only_where_a_step_would_lack_problems() -> None:
    order = pass_rate({0: 1.0, 1: 0.75, 2: 1.0, 3: 1.0})
    for step in range(30):
        assert set(order.choose(step, 5)) == {1, 4, 5, 6, 7}
        draw = order.choose(step, 7)
        assert set(draw[:5]) == {1, 4, 5, 6, 7}
        assert set(draw[5:]) < {0, 2, 3}
    assert sorted(order.choose(0, 99)) == list(range(8))
    loose = pass_rate({0: 1.0, 1: 0.75, 2: 1.0, 3: 1.0}, drop_above=0.75)
    assert all(1 not in loose.choose(step, 4) for step in range(30))


def test_a_further_draw_of_a_step_goes_on_where_the_first_ended() -> None:
    order = pass_rate({0: 0.5})
    whole = order.choose(2, 8)
    assert order.choose(2, 3, whole[:5]) == whole[5:]
    assert order.choose(2, 9, {0, 1}) == [index for index in whole if index not in (0, 1)]


@pytest.mark.parametrize(
    "options",
    [{"hardness": -1}, {"floor": 0}, {"floor": 1.5}, {"memory": 1}, {"memory": -0.1}, {"drop_above": 0}],
)
def test_settings_out_of_range_are_refused(options: dict[str, float]) -> None:
    name, value = next(iter(options.items()))
    with pytest.raises(ConfigError, match=f"problems.order: .*{name}={value} "):
        pass_rate(**options)


# ---------------------------------------------------------------- epochs


def test_an_epoch_takes_its_further_problems_from_those_not_drawn_yet() -> None:
    order = Epochs(PROBLEMS, seed=3)
    first = order.choose(4, 3)
    assert first == problems_for_step(8, 3, 4, 3)
    further = order.choose(4, 3, first)
    assert len(set(further) | set(first)) == 6
    assert order.choose(4, 3, set(first)) == further  # a function of its arguments
    assert order.choose(4, 99, [*first, *further]) != []
    assert sorted([*first, *further, *order.choose(4, 99, [*first, *further])]) == list(range(8))
    assert order.choose(4, 2, range(8)) == []
    # keyed by step and seed
    others = [order.choose(step, 7, {0}) for step in range(4)] + [Epochs(PROBLEMS, 4).choose(0, 7, {0})]
    assert len({tuple(other) for other in others}) == 5
    assert order.choose(5, 3) == problems_for_step(8, 3, 5, 3)  # the epoch goes on as if nothing was


def test_an_epoch_remembers_nothing() -> None:
    order = Epochs(PROBLEMS, seed=3)
    before = order.choose(1, 4)
    order.observe([group([1.0], "p0")])
    order.load({"pass_rates": {}})
    assert order.state() == {}
    assert order.choose(1, 4) == before
