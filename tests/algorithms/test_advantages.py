"""Advantages of groups and of tokens against definitions written out, and expectations by enumeration."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product

import numpy as np
import pytest
from groups import group, rollout
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.algorithms.group_relative import dr_grpo, grpo, max_rl, raw, rloo
from rlvr.algorithms.noise import backward, debiased_grpo, forward
from rlvr.algorithms.token_level import gae, reward_to_go
from rlvr.stages.batches import judged, token_advantages, whiten
from rlvr.types import ConfigError, RlvrError

NAN = math.nan
BACKWARD = partial(backward, false_positive=0.1, false_negative=0.2, wrong=0.0)
DEBIASED = partial(debiased_grpo, false_positive=0.1, false_negative=0.2, wrong=0.0)
FORWARD = partial(forward, false_negative=0.2, wrong=0.0)


def floats(values: Sequence[float]) -> np.ndarray:
    return np.array(values, dtype=np.float64)


# ---------------------------------------------------------------- definitions, one rollout at a time


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def grpo_of(place: int, rewards: Sequence[float]) -> float:
    deviation = math.sqrt(mean([(reward - mean(rewards)) ** 2 for reward in rewards]))
    return (rewards[place] - mean(rewards)) / deviation if len(set(rewards)) > 1 else 0.0


def dr_grpo_of(place: int, rewards: Sequence[float]) -> float:
    return rewards[place] - mean(rewards)


def rloo_of(place: int, rewards: Sequence[float]) -> float:
    others = [*rewards[:place], *rewards[place + 1 :]]
    return rewards[place] - mean(others) if others else 0.0


def max_rl_of(place: int, rewards: Sequence[float]) -> float:
    """Of rewards 0 and 1."""
    return rewards[place] / mean(rewards) - 1 if sum(rewards) else 0.0


def backward_of(place: int, passed: Sequence[float]) -> float:
    corrected = [(s - 0.1) / 0.7 for s in passed]
    return corrected[place] - mean(corrected)


def debiased_of(place: int, passed: Sequence[float]) -> float:
    if len(set(passed)) == 1:
        return 0.0
    rate = (mean(passed) - 0.1) / 0.7
    rate = min(max(rate, 0.5 / len(passed)), 1 - 0.5 / len(passed))
    return backward_of(place, passed) / math.sqrt(rate * (1 - rate))


def forward_of(place: int, passed: Sequence[float]) -> float:
    return 0.2 if passed[place] else 0.2 - 1


WHOLE = st.integers(-8, 8).map(float)
BITS = st.sampled_from([0.0, 1.0])
FUNCTIONS = {
    "grpo": (grpo, grpo_of, WHOLE),
    "dr_grpo": (dr_grpo, dr_grpo_of, WHOLE),
    "rloo": (rloo, rloo_of, WHOLE),
    "max_rl": (max_rl, max_rl_of, BITS),
    "raw": (raw, lambda place, rewards: rewards[place], WHOLE),
    "backward": (BACKWARD, backward_of, BITS),
    "debiased_grpo": (DEBIASED, debiased_of, BITS),
    "forward": (FORWARD, forward_of, BITS),
}
OF_GROUPS = pytest.mark.parametrize(
    ("function", "definition", "rewards"), FUNCTIONS.values(), ids=FUNCTIONS.keys()
)


@OF_GROUPS
@settings(max_examples=60)
@given(data=st.data())
def test_advantages_are_what_their_definitions_say(
    function: Callable, definition: Callable, rewards: st.SearchStrategy, data: st.DataObject
) -> None:
    given_rewards = data.draw(st.lists(rewards, min_size=1, max_size=12))
    array = floats(given_rewards)
    advantages = function(array)
    expected = [definition(place, given_rewards) for place in range(len(given_rewards))]
    np.testing.assert_allclose(advantages, expected, rtol=1e-12, atol=1e-14)
    assert array.tolist() == given_rewards  # the input is left as it was


@OF_GROUPS
@settings(max_examples=60)
@given(data=st.data())
def test_a_missing_verdict_changes_no_other_advantage(
    function: Callable, definition: Callable, rewards: st.SearchStrategy, data: st.DataObject
) -> None:
    array = floats(data.draw(st.lists(rewards, max_size=8)))
    places = sorted(data.draw(st.lists(st.integers(0, len(array)), min_size=1, max_size=3)))
    result = function(np.insert(array, places, np.nan))
    missing = np.isnan(np.insert(array, places, np.nan))
    assert np.isnan(result[missing]).all()
    np.testing.assert_allclose(result[~missing], function(array), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ([0, 1], [-1, 1]),
        ([1, 0, 0, 0], [math.sqrt(3), *[-1 / math.sqrt(3)] * 3]),  # population σ; the sample σ gives 1.5
        ([0, 1, 2], [-math.sqrt(1.5), 0, math.sqrt(1.5)]),
        ([NAN, 0, 1], [NAN, -1, 1]),  # the mean of what was reached is 1/2, not 1/3
        ([0.5, NAN, 0.5], [0, NAN, 0]),
        ([NAN, 0.7], [NAN, 0]),
        ([NAN, NAN], [NAN, NAN]),
        ([0.1] * 7, [0] * 7),  # whose mean is not 0.1 in floating point
        ([3], [0]),
        ([0, 1e-9], [-1, 1]),  # a tiny spread counts in full
    ],
)
def test_grpo_in_closed_form(rewards: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(grpo(floats(rewards)), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("function", [dr_grpo, rloo], ids=["dr_grpo", "rloo"])
def test_equal_rewards_are_worth_exactly_nothing(function: Callable) -> None:
    assert not function(floats([0.1] * 7)).any()


@given(st.lists(WHOLE, min_size=1, max_size=12), st.integers(-64, 64), st.integers(-3, 3))
def test_grpo_ignores_shift_and_scale(rewards: list[float], shift: int, power: int) -> None:
    np.testing.assert_allclose(grpo(floats(rewards) * 2.0**power + shift), grpo(floats(rewards)), atol=1e-12)


def test_rewards_that_stand_for_failure_and_success_are_settings() -> None:
    passed, others = floats([1, 0, 0, NAN]), floats([3, -2, -2, NAN])
    rates = {"false_positive": 0.1, "false_negative": 0.2}
    for function in (max_rl, partial(backward, **rates), partial(debiased_grpo, **rates)):
        expected = function(passed, wrong=0.0, correct=1.0)
        np.testing.assert_array_equal(function(others, wrong=-2.0, correct=3.0), expected)
    np.testing.assert_allclose(forward(others, 0.2, wrong=-2.0, correct=3.0), [0.2, -0.8, -0.8, NAN])


# ---------------------------------------------------------------- expectations, by enumeration


def outcomes(rates: Sequence[float]) -> list[tuple[float, np.ndarray]]:
    """(probability, 0 or 1 of each) for independent rollouts that succeed with these rates."""
    return [
        (math.prod(r if s else 1 - r for r, s in zip(rates, passed, strict=True)), floats(passed))
        for passed in product((0, 1), repeat=len(rates))
    ]


@pytest.mark.parametrize("size", [2, 3, 6])
@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
def test_expected_gradients_of_a_policy_that_succeeds_or_fails(size: int, rate: float) -> None:
    """A policy with one logit: the score of a success is 1 − p, that of a failure −p, and dp = p(1 − p)."""

    def gradient(advantage: Callable[[np.ndarray], np.ndarray]) -> float:
        return math.fsum(
            chance * (advantage(passed) * (passed - rate)).mean()
            for chance, passed in outcomes([rate] * size)
        )

    slope = rate * (1 - rate)
    assert gradient(raw) == pytest.approx(slope)
    assert gradient(rloo) == pytest.approx(slope)
    assert gradient(dr_grpo) == pytest.approx(slope * (size - 1) / size)
    # the derivative of −Σ_{k<G} (1−p)^k / k by p
    series = math.fsum((1 - rate) ** (k - 1) for k in range(1, size))
    assert gradient(max_rl) == pytest.approx(slope * series)


@pytest.mark.parametrize("truth", [[0, 1], [1, 0, 0], [1, 1, 0, 1, 0], [0, 0, 0], [1, 1, 1, 1]])
@pytest.mark.parametrize(("false_positive", "false_negative"), [(0.1, 0.2), (0.0, 0.4), (0.35, 0.05)])
def test_expectations_over_what_a_noisy_verifier_says(
    truth: list[int], false_positive: float, false_negative: float
) -> None:
    passes = [1 - false_negative if right else false_positive for right in truth]

    def expected(advantage: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return sum(chance * advantage(seen) for chance, seen in outcomes(passes))

    unbiased = expected(lambda seen: backward(seen, false_positive, false_negative, wrong=0.0))
    np.testing.assert_allclose(unbiased, dr_grpo(floats(truth)), atol=1e-14)
    pushed = expected(lambda seen: forward(seen, false_negative, wrong=0.0))
    kept = 1 - false_positive - false_negative
    np.testing.assert_allclose(pushed, kept * (floats(truth) - 1), atol=1e-14)


@given(st.lists(st.sampled_from([-1.0, 1.0, NAN]), min_size=1, max_size=12))
def test_debiased_grpo_is_grpo_without_noise(rewards: list[float]) -> None:
    np.testing.assert_allclose(
        debiased_grpo(floats(rewards), 0.0, 0.0), grpo(floats(rewards)), rtol=1e-12, atol=1e-15
    )


def test_debiased_grpo_is_bounded_where_all_that_passed_may_be_false() -> None:
    # one of eight passed, fewer than ρ₀ = 0.3 would pass if all were wrong: p is held at 1/16
    advantages = debiased_grpo(floats([1, *[-1] * 7]), false_positive=0.3, false_negative=0.1)
    assert advantages[0] == pytest.approx(7 / 8 / 0.6 / math.sqrt(15 / 256))
    mirrored = debiased_grpo(floats([-1, *[1] * 7]), false_positive=0.1, false_negative=0.3)
    np.testing.assert_allclose(mirrored, -advantages)


@pytest.mark.parametrize("rates", [(0.5, 0.5), (-0.1, 0.2), (0.1, 1.0), (1.0, 0.0)])
def test_a_verifier_that_says_nothing_is_refused(rates: tuple[float, float]) -> None:
    for function in (backward, debiased_grpo):
        with pytest.raises(ConfigError, match="add up to less than 1"):
            function(floats([1, -1]), *rates)
    with pytest.raises(ConfigError, match="false_negative=1"):
        forward(floats([1, -1]), 1.0)


OF_TWO = {"backward": BACKWARD, "debiased": DEBIASED, "forward": FORWARD, "max_rl": max_rl}


@pytest.mark.parametrize("function", OF_TWO.values(), ids=OF_TWO.keys())
def test_advantages_of_two_rewards_refuse_a_third(function: Callable) -> None:
    with pytest.raises(ConfigError, match=r"wrong=0 or correct=1, .*0\.5.*`wrong` and `correct`"):
        function(floats([1, 0.5, 0]))
    with pytest.raises(ConfigError, match="are both 1"):
        function(floats([1, 0]), wrong=1.0, correct=1.0)


# ---------------------------------------------------------------- tokens of one rollout

TOKENS = st.lists(st.tuples(st.floats(-4, 4), st.floats(-4, 4)), min_size=1, max_size=12)
FACTORS = st.floats(0, 1)


@given(TOKENS, FACTORS, FACTORS)
def test_gae_is_the_discounted_sum_of_all_later_errors(
    tokens: list[tuple[float, float]], gamma: float, lam: float
) -> None:
    rewards, values = (list(column) for column in zip(*tokens, strict=True))
    after = [*values[1:], 0.0]
    errors = [r + gamma * then - v for r, v, then in zip(rewards, values, after, strict=True)]
    length = len(tokens)
    expected = [
        math.fsum((gamma * lam) ** (i - t) * errors[i] for i in range(t, length)) for t in range(length)
    ]
    np.testing.assert_allclose(gae(floats(rewards), floats(values), gamma, lam), expected, atol=1e-12)
    to_go = [math.fsum(gamma ** (i - t) * rewards[i] for i in range(t, length)) for t in range(length)]
    np.testing.assert_allclose(reward_to_go(floats(rewards), gamma), to_go, atol=1e-12)
    # λ = 1 is the return less the estimate, λ = 0 the error of one step
    np.testing.assert_allclose(
        gae(floats(rewards), floats(values), gamma, 1.0), floats(to_go) - floats(values), atol=1e-12
    )
    np.testing.assert_allclose(gae(floats(rewards), floats(values), gamma, 0.0), errors, atol=1e-12)


def test_gamma_and_lambda_are_one_unless_said() -> None:
    rewards, values = floats([0, 0, 2]), floats([0.5, 1, -1])
    assert reward_to_go(rewards).tolist() == [2, 2, 2]
    assert gae(rewards, values).tolist() == [1.5, 1, 3]


# ---------------------------------------------------------------- from groups to advantages of tokens


def test_every_drawn_token_of_a_judged_rollout_has_its_group_advantage() -> None:
    groups = [group([1.0, None, 0.0]), group([1.0, 1.0], "q")]
    groups[0].rollouts[0].sampled[3] = False  # a stretch that the policy did not draw
    rows = judged(groups)
    assert [(place, r.problem_id, r.sample, reward) for place, r, reward in rows] == [
        (0, "p", 0, 1.0),
        (0, "p", 2, 0.0),
        (1, "q", 0, 1.0),
        (1, "q", 1, 1.0),
    ]
    advantages = token_advantages(groups, grpo)
    assert len(advantages) == 4
    for (_, judged_rollout, _), row, advantage in zip(rows, advantages, [1, -1, 0, 0], strict=True):
        assert row.dtype == np.float32
        assert row.tolist() == [advantage if drawn else 0 for drawn in judged_rollout.sampled]


def test_penalties_are_taken_from_the_reward_of_a_rollout() -> None:
    groups = [group([1.0, None, 0.0], lengths=[2, 2, 2])]
    penalties = [np.zeros(4, dtype=np.float32), np.array([0, 0, 0, 0, 0.5, -0.25], dtype=np.float32)]
    seen = []

    def spy(*, rewards: np.ndarray) -> np.ndarray:
        seen.append(rewards.tolist())
        return rewards

    first, last = token_advantages(groups, spy, penalties)
    np.testing.assert_array_equal(seen, [[1.0, NAN, -0.25]])
    assert first.tolist() == [0, 0, 1, 1]
    assert last.tolist() == [0, 0, 0, 0, -0.25, -0.25]


def test_a_function_of_tokens_sees_the_drawn_ones_with_the_verdict_at_the_last() -> None:
    groups = [group([2.0, None], lengths=[3, 3])]
    groups[0].rollouts[0] = rollout(prompt=1, drawn=4)
    groups[0].rollouts[0].sampled[2] = False
    penalty = np.array([9, 0.5, 9, 0.25, 0.125], dtype=np.float32)
    values = np.array([9, 1, 9, 2, 3], dtype=np.float32)
    (row,) = token_advantages(groups, gae, [penalty], [values])
    # returns 1.125, 1.625, 1.875 of the tokens 1, 3 and 4, less their values
    assert row.tolist() == [0, 0.125, 0, -0.375, -1.125]
    (row,) = token_advantages(groups, partial(reward_to_go, gamma=0.5))
    assert row.tolist() == [0, 0.5, 0, 1, 2]


def test_an_advantage_function_that_fails_is_named_with_its_input() -> None:
    groups = [group([1.0, None, 0.0], "problem-7")]
    with pytest.raises(RlvrError, match=r"problem-7.*one finite number"):
        token_advantages(groups, lambda rewards: np.full(3, np.inf))
    with pytest.raises(RlvrError, match=r"\[1\.0, nan, 0\.0\].*problem-7"):
        token_advantages(groups, lambda rewards: rewards[:2])
    with pytest.raises(RlvrError, match=r"token rewards \[0\.0, 0\.0, 1\.0\].*problem-7.*\[nan, nan, nan\]"):
        token_advantages(groups, lambda token_rewards: token_rewards * np.nan)


def test_an_advantage_function_cannot_bring_back_an_unreached_verdict() -> None:
    groups = [group([1.0, None, 0.0])]
    first, last = token_advantages(groups, lambda rewards: np.nan_to_num(rewards, nan=-1.0))
    assert (first.max(), last.max()) == (1, 0)


@given(st.lists(st.lists(st.integers(-4, 4), min_size=1, max_size=5), max_size=5), st.data())
def test_whitening_gives_mean_zero_and_deviation_one_over_the_masked_tokens(
    rows: list[list[int]], data: st.DataObject
) -> None:
    masks = [np.array(data.draw(st.tuples(*[st.booleans()] * len(row)))) for row in rows]
    pairs = [list(zip(row, mask, strict=True)) for row, mask in zip(rows, masks, strict=True)]
    flat = [float(value) for row in pairs for value, counts in row if counts]
    center = mean(flat) if flat else 0.0
    deviation = math.sqrt(mean([(value - center) ** 2 for value in flat])) if flat else 0.0
    white = whiten([np.array(row, dtype=np.float32) for row in rows], masks)
    for row, result in zip(pairs, white, strict=True):
        assert result.dtype == np.float32
        expected = [(value - center) / deviation if counts and deviation else 0.0 for value, counts in row]
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_whitening_of_tokens_without_a_spread_is_zero_not_noise() -> None:
    (white,) = whiten([np.full(7, 0.1, dtype=np.float32)], [np.ones(7, dtype=bool)])
    assert not white.any()
