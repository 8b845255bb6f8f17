"""Advantages, losses, training batches, the learning rate, and how a batch is cut up."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rlvr.algorithms.advantages import grpo
from rlvr.algorithms.losses import negative_log_likelihood, ppo_clip
from rlvr.learner.batching import collate, plan_micro_batches
from rlvr.learner.config import OptimizerConfig
from rlvr.learner.schedule import learning_rate
from rlvr.rollout.schedules import linear
from rlvr.stages.batches import group_advantages, policy_batch, supervised_batch
from rlvr.types import (
    FinishReason,
    Group,
    Problem,
    RlvrError,
    Rollout,
    Status,
    TrainingBatch,
    Verdict,
)

NAN = math.nan


# ---------------------------------------------------------------- advantages


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
        ([1, 1, 1, 1], [0, 0, 0, 0]),
        ([0.1] * 7, [0] * 7),  # whose mean is not 0.1 in floating point
        ([3], [0]),
    ],
)
def test_group_advantages_have_closed_forms(rewards: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(grpo(np.array(rewards, dtype=np.float64)), expected, rtol=1e-14, atol=0)


def test_a_tiny_spread_counts_in_full() -> None:
    np.testing.assert_allclose(grpo(np.array([0.0, 1e-9])), [-1, 1], rtol=1e-12)


REWARDS = st.lists(st.integers(-8, 8), min_size=1, max_size=12).map(lambda r: np.array(r, dtype=np.float64))


@settings(deadline=None)
@given(REWARDS, st.integers(-64, 64), st.integers(-3, 3))
def test_advantages_ignore_shift_and_scale(rewards: np.ndarray, shift: int, power: int) -> None:
    np.testing.assert_allclose(grpo(rewards * 2.0**power + shift), grpo(rewards), atol=1e-12)


@settings(deadline=None)
@given(REWARDS)
def test_advantages_are_standardized_and_ordered(rewards: np.ndarray) -> None:
    before = rewards.copy()
    advantages = grpo(rewards)
    assert (rewards == before).all()
    assert advantages.mean() == pytest.approx(0, abs=1e-12)
    spread = len(set(rewards.tolist())) > 1
    assert np.mean(advantages**2) == pytest.approx(1.0 if spread else 0.0, abs=1e-12)
    assert (np.argsort(rewards, kind="stable") == np.argsort(advantages, kind="stable")).all()


@settings(deadline=None)
@given(REWARDS, st.data())
def test_an_unreached_reward_changes_no_other_advantage(rewards: np.ndarray, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(rewards)))
    result = grpo(np.insert(rewards, place, np.nan))
    assert math.isnan(result[place])
    np.testing.assert_array_equal(np.delete(result, place), grpo(rewards))


# ---------------------------------------------------------------- losses


def ppo_by_cases(log_ratio: float, weight: float, low: float, high: float) -> tuple[float, float, bool]:
    """Loss, its derivative by log π, and whether the clip acts; from eq. 7's cases by sign."""
    ratio = math.exp(log_ratio)
    if weight > 0 and ratio > 1 + high:
        return -(1 + high) * weight, 0.0, True
    if weight < 0 and ratio < 1 - low:
        return -(1 - low) * weight, 0.0, True
    return -ratio * weight, -ratio * weight, False


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-3, 3), st.floats(-20, 0), st.floats(-4, 4)),
        min_size=1,
        max_size=20,
    ),
    st.floats(0.01, 0.9),
    st.floats(0.01, 2.0),
)
def test_ppo_loss_and_gradient(tokens: list[tuple[float, float, float]], low: float, high: float) -> None:
    log_ratio, old, weights = (torch.tensor(c, dtype=torch.float64)[None] for c in zip(*tokens, strict=True))
    logprobs = (old + log_ratio).requires_grad_()
    loss, diagnostics = ppo_clip(logprobs, old, weights, clip_low=low, clip_high=high)
    (gradient,) = torch.autograd.grad(loss.sum(), logprobs)
    seen = (logprobs.detach() - old)[0].tolist()
    for i, (exact, (_, _, weight)) in enumerate(zip(seen, tokens, strict=True)):
        value, slope, clipped = ppo_by_cases(exact, weight, low, high)
        assert loss[0, i].item() == pytest.approx(value, rel=1e-12, abs=1e-15)
        assert gradient[0, i].item() == pytest.approx(slope, rel=1e-12, abs=1e-15)
        assert bool(diagnostics["clip_fraction"][0, i]) == (clipped and weight != 0)
        assert diagnostics["ratio"][0, i].item() == pytest.approx(math.exp(exact), rel=1e-12)
        kl = math.expm1(exact) - exact
        assert diagnostics["kl"][0, i].item() == pytest.approx(kl, rel=1e-6, abs=1e-14)


@pytest.mark.parametrize(
    ("ratio", "advantage", "gradient"),
    [
        # clip_low = 0.1, clip_high = 0.5; the gradient by log π is −r·A where nothing is clipped
        (1.4, 2.0, -2.8),  # beyond 1 + clip_low, within 1 + clip_high
        (1.6, 2.0, 0.0),
        (0.2, 2.0, -0.4),  # a good token that became rare is pulled back up however far it is
        (0.95, -2.0, 1.9),
        (0.8, -2.0, 0.0),  # within 1 − clip_high, beyond 1 − clip_low
        (5.0, -2.0, 10.0),  # a bad token that became frequent is pushed down however far it is
    ],
)
def test_each_side_is_clipped_for_one_sign_only(ratio: float, advantage: float, gradient: float) -> None:
    logprobs = torch.tensor([[math.log(ratio) - 1]], dtype=torch.float64, requires_grad=True)
    loss, _ = ppo_clip(
        logprobs, torch.full((1, 1), -1.0), torch.full((1, 1), advantage), clip_low=0.1, clip_high=0.5
    )
    (computed,) = torch.autograd.grad(loss.sum(), logprobs)
    assert computed.item() == (pytest.approx(gradient, rel=1e-12) if gradient else 0)


def test_on_policy_the_ppo_gradient_is_that_of_reinforce() -> None:
    logprobs = torch.tensor([[-0.5, -2.0, -3.0]], requires_grad=True)
    weights = torch.tensor([[1.5, -0.25, 0.0]])
    loss, diagnostics = ppo_clip(logprobs, logprobs.detach(), weights)
    (gradient,) = torch.autograd.grad(loss.sum(), logprobs)
    assert torch.equal(gradient, -weights)
    assert not diagnostics["clip_fraction"].any()
    assert (diagnostics["ratio"] == 1).all()
    assert (diagnostics["kl"] == 0).all()


def test_diagnostics_carry_no_graph() -> None:
    logprobs = torch.tensor([[-0.5]], requires_grad=True)
    _, diagnostics = ppo_clip(logprobs, torch.tensor([[-0.4]]), torch.ones(1, 1))
    assert not any(value.requires_grad for value in diagnostics.values())


def test_negative_log_likelihood() -> None:
    logprobs = torch.tensor([[-0.5, -2.0, -7.0]], dtype=torch.float64, requires_grad=True)
    weights = torch.tensor([[1.0, 0.25, 0.0]], dtype=torch.float64)
    loss, diagnostics = negative_log_likelihood(logprobs, torch.full((1, 3), -9.0), weights)
    assert loss.tolist() == [[0.5, 0.5, 0.0]]
    (gradient,) = torch.autograd.grad(loss.sum(), logprobs)
    assert torch.equal(gradient, -weights)
    assert diagnostics == {}


# ---------------------------------------------------------------- training batches


def rollout(sample: int, prompt: int, drawn: int, temperature: float = 1.0) -> Rollout:
    """Tokens are numbered from 100·sample, so that every token says where it came from."""
    size = prompt + drawn
    sampled = np.arange(size) >= prompt
    return Rollout(
        problem_id="p",
        step=3,
        sample=sample,
        seed=sample,
        tokens=np.arange(size, dtype=np.int32) + 100 * sample,
        sampled=sampled,
        logprobs=np.where(sampled, -0.01 * np.arange(size), 0).astype(np.float32),
        versions=np.where(sampled, 3, -1).astype(np.int32),
        text="",
        finish_reason=FinishReason.STOP,
        temperature=temperature,
    )


def verdict(reward: float | None) -> Verdict:
    if reward is None:
        return Verdict(Status.TIMEOUT, None, "check ran 5 s")
    return Verdict(Status.CORRECT if reward > 0 else Status.WRONG, reward, "")


def group(rewards: list[float | None], name: str = "p") -> Group:
    rollouts = [rollout(i, prompt=2 + i, drawn=3 + i, temperature=1 + i / 10) for i in range(len(rewards))]
    return Group(Problem(name, "", ""), rollouts, [verdict(reward) for reward in rewards])


def test_a_policy_batch_has_every_judged_rollout_and_no_other() -> None:
    groups = [group([1.0, None, 0.0]), group([1.0, 1.0], "q")]
    batch = policy_batch(groups, group_advantages(groups, grpo))
    kept = [groups[0].rollouts[0], groups[0].rollouts[2], *groups[1].rollouts]
    assert [t.tolist() for t in batch.tokens] == [r.tokens.tolist() for r in kept]
    assert [m.tolist() for m in batch.mask] == [r.sampled.tolist() for r in kept]
    assert [o.tolist() for o in batch.old_logprobs] == [r.logprobs.tolist() for r in kept]
    assert batch.temperatures == [1.0, 1.2, 1.0, 1.1]
    for weights, kept_rollout, advantage in zip(batch.weights, kept, [1, -1, 0, 0], strict=True):
        assert weights.dtype == np.float32
        assert (weights[kept_rollout.sampled] == advantage).all()
        assert (weights[~kept_rollout.sampled] == 0).all()
    # the group of equal rewards teaches nothing, and its tokens count all the same
    assert batch.num_tokens == 3 + 5 + 3 + 4


def test_tokens_between_two_drawn_stretches_have_no_weight() -> None:
    several_turns = group([1.0, 0.0])
    several_turns.rollouts[0].sampled[3] = False
    batch = policy_batch([several_turns], [np.array([2.0, -2.0])])
    assert batch.weights[0].tolist() == [0, 0, 2, 0, 2]
    assert batch.num_tokens == 2 + 4


def test_a_step_without_any_verdict_says_why() -> None:
    groups = [group([None, None])]
    with pytest.raises(RlvrError, match="check ran 5 s"):
        policy_batch(groups, group_advantages(groups, grpo))


def test_an_advantage_function_that_fails_is_named_with_its_input() -> None:
    groups = [group([1.0, None, 0.0], "problem-7")]
    with pytest.raises(RlvrError, match=r"problem-7.*one finite number"):
        group_advantages(groups, lambda rewards: np.full(3, np.inf))
    with pytest.raises(RlvrError, match=r"\[1\.0, nan, 0\.0\].*problem-7"):
        group_advantages(groups, lambda rewards: rewards[:2])


def test_an_advantage_function_cannot_bring_back_an_unreached_verdict() -> None:
    groups = [group([1.0, None, 0.0])]
    (advantages,) = group_advantages(groups, lambda rewards: np.nan_to_num(rewards, nan=-1.0))
    np.testing.assert_array_equal(advantages, [1, np.nan, 0])


def test_a_supervised_batch_trains_on_the_solution_alone() -> None:
    batch = supervised_batch([([1, 5, 6], [7, 8, 2]), ([1], [2])])
    assert [t.tolist() for t in batch.tokens] == [[1, 5, 6, 7, 8, 2], [1, 2]]
    assert [w.tolist() for w in batch.weights] == [[0, 0, 0, 1, 1, 1], [0, 1]]
    assert [m.tolist() for m in batch.mask] == [[False] * 3 + [True] * 3, [False, True]]
    assert batch.num_tokens == 4
    assert batch.temperatures == [1.0, 1.0]


# ---------------------------------------------------------------- the learning rate


def rates(steps: int, **fields: float | str) -> list[float]:
    config = OptimizerConfig(lr=8.0, **fields)  # type: ignore[arg-type]
    return [learning_rate(config, step, steps) for step in range(steps)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [8, 8, 8, 8, 8]),
        ({"warmup_steps": 4}, [2, 4, 6, 8, 8]),
        ({"decay": "linear"}, [8, 6, 4, 2, 0]),
        ({"decay": "linear", "final_lr_ratio": 0.5}, [8, 7, 6, 5, 4]),
        ({"decay": "linear", "warmup_steps": 2}, [4, 8, 8, 4, 0]),
        ({"decay": "cosine"}, [8, 4 + math.sqrt(8), 4, 4 - math.sqrt(8), 0]),
        ({"decay": "cosine", "final_lr_ratio": 0.25}, [8, 5 + 3 / math.sqrt(2), 5, 5 - 3 / math.sqrt(2), 2]),
        ({"decay": "cosine", "warmup_steps": 1, "final_lr_ratio": 0.1}, [8, 8, 6.2, 2.6, 0.8]),
        ({"decay": "linear", "warmup_steps": 5}, [1.6, 3.2, 4.8, 6.4, 8]),
        ({"decay": "linear", "warmup_steps": 10}, [0.8, 1.6, 2.4, 3.2, 4]),
    ],
)
def test_learning_rates(fields: dict[str, float | str], expected: list[float]) -> None:
    assert rates(5, **fields) == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(
    st.integers(1, 40),
    st.integers(0, 20),
    st.sampled_from(["constant", "linear", "cosine"]),
    st.floats(0, 1),
)
def test_learning_rates_rise_then_fall_between_their_ends(
    steps: int, warmup: int, decay: str, ratio: float
) -> None:
    schedule = rates(steps, warmup_steps=warmup, decay=decay, final_lr_ratio=ratio)
    rising, falling = schedule[:warmup], schedule[warmup:]
    np.testing.assert_allclose(rising, [8 * (step + 1) / warmup for step in range(len(rising))])
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise([8.0, *falling]))
    if falling:
        assert schedule[-1] == pytest.approx(8 if decay == "constant" else 8 * ratio, abs=1e-12)


# ---------------------------------------------------------------- micro-batches


@settings(deadline=None)
@given(
    st.lists(st.integers(2, 60), max_size=50),
    st.integers(1, 300),
    st.integers(1, 5),
)
@example([60, 2, 2, 2], 1, 2)  # the one with little to do must not get more rounds
def test_a_plan_is_complete_within_budget_and_even(lengths: list[int], budget: int, workers: int) -> None:
    plan = plan_micro_batches(lengths, budget, workers)
    assert len(plan) == workers
    assert sorted(i for rank in plan for rows in rank for i in rows) == list(range(len(lengths)))
    assert len({len(rank) for rank in plan}) == 1
    for rank in plan:
        for rows in rank:
            assert len(rows) <= 1 or len(rows) * max(lengths[i] for i in rows) <= budget
    # nobody idles for a round in which there is work for all
    assert sum(not rows for rank in plan for rows in rank) < workers
    assert plan == plan_micro_batches(lengths, budget, workers)


def test_similar_lengths_go_together_and_the_load_is_shared() -> None:
    lengths = [10, 100, 10, 100, 10, 100, 10, 100]
    assert plan_micro_batches(lengths, 200, 1) == [[[1, 3], [5, 7], [0, 2, 4, 6]]]
    first, second = plan_micro_batches(lengths, 100, 2)
    assert len(first) == len(second) == 3
    tokens = [sum(lengths[i] for rows in rank for i in rows) for rank in (first, second)]
    assert sorted(tokens) == [200, 240]


def ragged(seed: int, sizes: list[tuple[int, int]]) -> TrainingBatch:
    """A random batch of (prompt, drawn) sizes; all fields follow from `seed`."""
    random = np.random.default_rng(seed)
    masks = [np.arange(p + d) >= p for p, d in sizes]
    return TrainingBatch(
        tokens=[random.integers(4, 20, len(m)).astype(np.int32) for m in masks],
        mask=masks,
        weights=[(m * random.normal()).astype(np.float32) for m in masks],
        old_logprobs=[(m * -random.random(len(m))).astype(np.float32) for m in masks],
        temperatures=random.uniform(0.5, 1.5, len(sizes)).tolist(),
        num_tokens=sum(int(m.sum()) for m in masks),
    )


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=6),
    st.integers(0, 99),
    st.data(),
)
def test_columns_of_a_micro_batch_belong_to_their_tokens(
    sizes: list[tuple[int, int]], seed: int, data: st.DataObject
) -> None:
    batch = ragged(seed, sizes)
    rows = data.draw(st.lists(st.sampled_from(range(len(sizes))), min_size=1, unique=True))
    micro = collate(batch, rows, torch.device("cpu"))
    longest = max(len(batch.tokens[i]) for i in rows)
    assert micro.tokens.shape == (len(rows), longest)
    assert micro.first == min(sizes[i][0] for i in rows) - 1
    for row, i in enumerate(rows):
        length = len(batch.tokens[i])
        assert micro.tokens[row, :length].tolist() == batch.tokens[i].tolist()
        assert not micro.tokens[row, length:].any()
        assert micro.temperatures[row].item() == pytest.approx(batch.temperatures[i])
        fields: list[tuple[torch.Tensor, np.ndarray]] = [
            (micro.mask, batch.mask[i]),
            (micro.weights, batch.weights[i]),
            (micro.old_logprobs, batch.old_logprobs[i]),
        ]
        for ours, theirs in fields:
            assert ours.shape == (len(rows), longest - 1 - micro.first)
            for column in range(ours.shape[1]):
                position = micro.first + 1 + column
                assert ours[row, column] == (theirs[position] if position < length else 0)
    # nothing that is trained on is cut off in front
    assert micro.mask.sum() == sum(int(batch.mask[i].sum()) for i in rows)


def test_an_empty_micro_batch_is_a_real_one_with_nothing_to_train_on() -> None:
    micro = collate(ragged(0, [(2, 3)]), [], torch.device("cpu"))
    assert micro.tokens.shape == (1, 2)
    assert micro.mask.shape == (1, 1)
    assert not micro.mask.any()
    assert not micro.weights.any()


# ---------------------------------------------------------------- temperature schedules


def test_the_linear_schedule_reaches_its_end_at_its_share_of_the_steps_and_stays() -> None:
    values = [linear(step, steps=10, temperature=1.0, final=0.6) for step in range(10)]
    np.testing.assert_allclose(values, [1.0, 0.92, 0.84, 0.76, 0.68, *[0.6] * 5])
    assert linear(9, steps=10, temperature=0.6, final=1.0, share=1.0) == pytest.approx(0.96)
