"""Group filters: what they keep, and that chance is keyed."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from groups import group
from hypothesis import given
from hypothesis import strategies as st

from rlvr.algorithms.filters import (
    accuracy,
    accuracy_between,
    informative,
    length_variation,
    rebalance,
    uniform_lengths,
)
from rlvr.algorithms.group_relative import grpo
from rlvr.types import Status, Verdict

REWARDS = st.lists(st.sampled_from([1.0, -1.0, None]), min_size=1, max_size=12)


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("rewards", "kept"),
    [
        ([1.0, -1.0], True),
        ([1.0, 0.9, None], True),
        ([1.0, 1.0], False),
        ([-1.0, -1.0, None], False),
        ([1.0, None], False),  # what was not reached is no other reward
        ([None, None], False),
    ],
)
def test_informative_groups_have_different_rewards(rewards: list[float | None], kept: bool) -> None:
    given_group = group(rewards)
    assert (informative(given_group, chance()) is given_group) == kept


def test_uniform_lengths_are_bounded_by_their_coefficient_of_variation() -> None:
    uneven = group([1.0, -1.0], lengths=[2, 6])  # mean 4, population deviation 2
    assert length_variation(uneven) == 0.5
    assert length_variation(group([1.0, None, None], lengths=[7, 7, 7])) == 0
    assert uniform_lengths(uneven, chance()) is uneven
    assert uniform_lengths(uneven, chance(), max_variation=0.5) is uneven
    assert uniform_lengths(uneven, chance(), max_variation=0.49) is None


@pytest.mark.parametrize(
    ("rewards", "share"),
    [([1.0, -1.0, -1.0, -1.0], 0.25), ([1.0, None, -1.0], 0.5), ([1.0], 1.0), ([-1.0, None], 0.0)],
)
def test_accuracy_is_a_share_of_the_verdicts_that_were_reached(
    rewards: list[float | None], share: float
) -> None:
    given_group = group(rewards)
    assert accuracy(given_group) == share
    assert accuracy_between(given_group, chance()) is given_group
    assert accuracy_between(given_group, chance(), low=share, high=share) is given_group
    assert accuracy_between(given_group, chance(), low=share + 0.01) is None
    assert accuracy_between(given_group, chance(), high=share - 0.01) is None


def test_accuracy_is_unknown_without_a_verdict() -> None:
    nothing = group([None, None])
    assert math.isnan(accuracy(nothing))
    assert accuracy_between(nothing, chance()) is None
    assert rebalance(nothing, chance()) is None


def test_the_status_counts_and_not_the_reward() -> None:
    praised = group([1.0, 0.5])
    praised.verdicts[1] = Verdict(Status.WRONG, 0.5, "wrong, in good form")
    assert accuracy(praised) == 0.5
    kept = rebalance(praised, chance())
    assert kept is not None
    assert len(kept.rollouts) == 2


@given(REWARDS, st.integers(0, 99), st.sampled_from([0.25, 0.5, 1.0]))
def test_rebalance_keeps_all_correct_and_as_many_incorrect(
    rewards: list[float | None], seed: int, most: float
) -> None:
    given_group = group(rewards)
    counts = Counter(rewards)
    kept = rebalance(given_group, chance(seed), max_accuracy=most)
    if not counts[1.0] or counts[1.0] > most * (counts[1.0] + counts[-1.0]):
        assert kept is None
        return
    assert kept is not None
    places = [rollout.sample for rollout in kept.rollouts]
    assert places == sorted(set(places))
    assert [v.reward for v in kept.verdicts] == [rewards[place] for place in places]
    assert [r.tokens.tolist() for r in kept.rollouts] == [
        given_group.rollouts[place].tokens.tolist() for place in places
    ]
    assert Counter(v.reward for v in kept.verdicts) == +Counter(
        {1.0: counts[1.0], -1.0: min(counts[1.0], counts[-1.0])}
    )
    if most <= 0.5:
        advantages = grpo(np.array([v.reward for v in kept.verdicts]))
        assert advantages.tolist() == [v.reward for v in kept.verdicts]  # exactly ±1
    assert len(given_group.rollouts) == len(rewards)  # the group is left as it was


def test_rebalance_draws_by_its_generator_alone_and_evenly() -> None:
    rewards = [1.0, *[-1.0] * 5]

    def drawn(seed: int) -> int:
        kept = rebalance(group(rewards), chance(seed))
        assert kept is not None
        return kept.rollouts[1].sample

    assert [drawn(7) for _ in range(3)] == [drawn(7)] * 3
    counts = Counter(drawn(seed) for seed in range(1000))
    assert set(counts) == {1, 2, 3, 4, 5}
    assert all(abs(count - 200) < 5 * math.sqrt(1000 * 0.2 * 0.8) for count in counts.values())
