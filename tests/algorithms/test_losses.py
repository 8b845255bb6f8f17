"""Policy losses against definitions written out token by token, and how they are scaled."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rlvr.algorithms.aggregation import AGGREGATIONS, scales
from rlvr.algorithms.filters import least_groups
from rlvr.algorithms.losses import cispo, gspo, ppo_clip, reinforce
from rlvr.algorithms.objective import policy, vanishes_without_advantage
from rlvr.learner.batching import collate, plan_micro_batches
from rlvr.stages.batches import part
from rlvr.types import ConfigError, TrainingBatch

pytestmark = pytest.mark.usefixtures("one_thread")

# (log r, log π_old, A) of a token
TOKEN = st.tuples(st.floats(-3, 3), st.floats(-20, 0), st.floats(-4, 4).map(lambda a: round(a, 6)))
ROWS = st.lists(st.lists(TOKEN, min_size=1, max_size=6), min_size=1, max_size=4)
Rows = list[list[tuple[float, float, float]]]


def tensors(rows: Rows, garbage: float = 0.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """logprobs, old_logprobs, advantages, mask; `garbage` outside the mask, where the ratio is 1."""
    width = max(len(row) for row in rows)
    shape = (len(rows), width)
    logprobs, old, advantages = (torch.full(shape, garbage, dtype=torch.float64) for _ in range(3))
    mask = torch.zeros(shape, dtype=torch.bool)
    for i, row in enumerate(rows):
        for t, (log_ratio, old_logprob, advantage) in enumerate(row):
            logprobs[i, t], old[i, t], advantages[i, t] = old_logprob + log_ratio, old_logprob, advantage
            mask[i, t] = True
    return logprobs.requires_grad_(), old, advantages, mask


def clipped_by_cases(
    ratio: float, advantage: float, low: float, high: float, dual: float | None = None
) -> tuple[float, float, bool]:
    """Loss, its derivative by log r, and whether a bound acts: the cases of the sign of A."""
    if advantage > 0 and ratio > 1 + high:
        return -(1 + high) * advantage, 0.0, True
    if advantage < 0 and ratio < 1 - low:
        return -(1 - low) * advantage, 0.0, True
    if advantage < 0 and dual is not None and ratio > dual:
        return -dual * advantage, 0.0, True
    return -ratio * advantage, -ratio * advantage, False


def check(
    loss: Callable, rows: Rows, expected: Callable[[list[float], list[float], list[float]], list[tuple]]
) -> None:
    """`expected` has log π, log π_old and A of a sequence; (loss, gradient, clipped, ratio) per token."""
    logprobs, old, advantages, mask = tensors(rows, garbage=-1.5)
    per_token, diagnostics = loss(logprobs, old, advantages, mask)
    (gradient,) = torch.autograd.grad(per_token.masked_fill(~mask, 0).sum(), logprobs)
    for i, row in enumerate(rows):
        sequence = [column[i, : len(row)].tolist() for column in (logprobs, old, advantages)]
        for t, (value, slope, clipped, ratio) in enumerate(expected(*sequence)):
            assert per_token[i, t].item() == pytest.approx(value, rel=1e-9, abs=1e-12)
            assert gradient[i, t].item() == pytest.approx(slope, rel=1e-9, abs=1e-12)
            assert diagnostics["clip_fraction"][i, t].item() == clipped
            assert diagnostics["ratio"][i, t].item() == pytest.approx(ratio, rel=1e-9)
            assert diagnostics["ratio_squared"][i, t].item() == pytest.approx(ratio**2, rel=1e-9)
        assert not gradient[i, len(row) :].any()
    assert not any(value.requires_grad for value in diagnostics.values())


# ---------------------------------------------------------------- value and gradient


@given(ROWS, st.floats(0.01, 0.9), st.floats(0.01, 2.0), st.none() | st.floats(1.01, 8.0))
def test_ppo_clip(rows: Rows, low: float, high: float, dual: float | None) -> None:
    def expected(logprobs: list[float], old: list[float], advantages: list[float]) -> list[tuple]:
        ratios = [math.exp(new - before) for new, before in zip(logprobs, old, strict=True)]
        return [
            (*clipped_by_cases(r, a, low, high, dual), r) for r, a in zip(ratios, advantages, strict=True)
        ]

    check(partial(ppo_clip, clip_low=low, clip_high=high, dual_clip=dual), rows, expected)


@given(ROWS, st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_gspo_has_one_ratio_for_a_sequence(rows: Rows, low: float, high: float) -> None:
    def expected(logprobs: list[float], old: list[float], advantages: list[float]) -> list[tuple]:
        length = len(logprobs)
        ratio = math.prod(math.exp(new - before) for new, before in zip(logprobs, old, strict=True))
        ratio **= 1 / length
        cases = [clipped_by_cases(ratio, advantage, low, high) for advantage in advantages]
        # log s depends on every token by 1/length
        slope = math.fsum(slope for _, slope, _ in cases) / length
        return [(value, slope, clipped, ratio) for value, _, clipped in cases]

    check(partial(gspo, clip_low=low, clip_high=high), rows, expected)


@given(ROWS, st.floats(0, 1, exclude_max=True), st.floats(1, 6))
def test_cispo_bounds_the_weight_and_never_the_gradient(rows: Rows, low: float, high: float) -> None:
    def expected(logprobs: list[float], old: list[float], advantages: list[float]) -> list[tuple]:
        result = []
        for new, before, advantage in zip(logprobs, old, advantages, strict=True):
            ratio = math.exp(new - before)
            weight = low if ratio < low else high if ratio > high else ratio
            clipped = weight != ratio and advantage != 0
            result.append((-weight * advantage * new, -weight * advantage, clipped, ratio))
        return result

    check(partial(cispo, min_ratio=low, max_ratio=high), rows, expected)


@given(ROWS)
def test_reinforce_is_the_score_times_the_advantage(rows: Rows) -> None:
    def expected(logprobs: list[float], old: list[float], advantages: list[float]) -> list[tuple]:
        return [
            (-a * new, -a, False, math.exp(new - before))
            for new, before, a in zip(logprobs, old, advantages, strict=True)
        ]

    check(reinforce, rows, expected)


def gradient_at(loss: Callable, ratio: float, advantage: float) -> float:
    logprobs = torch.tensor([[math.log(ratio) - 1]], dtype=torch.float64, requires_grad=True)
    ones = torch.ones(1, 1, dtype=torch.float64)
    per_token, _ = loss(logprobs, -ones, advantage * ones, ones.bool())
    (gradient,) = torch.autograd.grad(per_token.sum(), logprobs)
    return gradient.item()


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
    computed = gradient_at(partial(ppo_clip, clip_low=0.1, clip_high=0.5), ratio, advantage)
    assert computed == pytest.approx(gradient, rel=1e-12, abs=0)


def test_the_dual_clip_ends_the_push_on_bad_tokens_alone() -> None:
    loss = partial(ppo_clip, dual_clip=3.0, clip_high=9.0)
    assert gradient_at(loss, 2.9, -1.0) == pytest.approx(2.9)
    assert gradient_at(loss, 3.1, -1.0) == 0
    assert gradient_at(loss, 3.1, 1.0) == pytest.approx(-3.1)
    with pytest.raises(ValueError, match=r"dual_clip=1\.0 above 1"):
        gradient_at(partial(ppo_clip, dual_clip=1.0), 1.0, 1.0)


def test_the_bounds_are_the_published_ones_unless_said() -> None:
    assert gradient_at(ppo_clip, 1.19, 1.0) != 0
    assert gradient_at(ppo_clip, 1.21, 1.0) == 0
    assert gradient_at(ppo_clip, 0.81, -1.0) != 0
    assert gradient_at(ppo_clip, 0.79, -1.0) == 0
    assert gradient_at(ppo_clip, 1e3, -1.0) == pytest.approx(1e3)  # no dual clip
    assert gradient_at(gspo, 1.00039, 1.0) != 0
    assert gradient_at(gspo, 1.00041, 1.0) == 0
    assert gradient_at(gspo, 0.99971, -1.0) != 0
    assert gradient_at(gspo, 0.99969, -1.0) == 0
    assert gradient_at(cispo, 6.0, 1.0) == -5
    assert gradient_at(cispo, 1e-3, 1.0) == pytest.approx(-1e-3)


@pytest.mark.parametrize("loss", [ppo_clip, cispo, reinforce])
def test_on_policy_the_gradient_is_that_of_reinforce(loss: Callable) -> None:
    logprobs = torch.tensor([[-0.5, -2.0, -3.0]], requires_grad=True)
    advantages = torch.tensor([[1.5, -0.25, 0.0]])
    per_token, diagnostics = loss(logprobs, logprobs.detach(), advantages, torch.ones(1, 3).bool())
    (gradient,) = torch.autograd.grad(per_token.sum(), logprobs)
    assert torch.equal(gradient, -advantages)
    assert not diagnostics["clip_fraction"].any()
    assert (diagnostics["ratio"] == 1).all()


# ---------------------------------------------------------------- losses that cost nothing


def with_entropy(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> tuple:
    return -advantages * logprobs + 0.1 * logprobs.exp() * logprobs, {}


def pulls_where_masked(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> tuple:
    return -advantages * logprobs + logprobs * ~mask, {}


def constant(logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor) -> tuple:
    return torch.zeros_like(advantages), {"ones": torch.ones_like(advantages)}


@pytest.mark.parametrize(
    ("loss", "vanishes"),
    [
        (ppo_clip, True),
        (partial(ppo_clip, dual_clip=3.0), True),
        (gspo, True),
        (cispo, True),
        (reinforce, True),
        (constant, True),
        (pulls_where_masked, True),  # outside the mask nobody looks
        (with_entropy, False),
    ],
)
def test_a_loss_is_known_to_vanish_without_advantage_by_trying_it(loss: Callable, vanishes: bool) -> None:
    assert vanishes_without_advantage(loss) is vanishes


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (lambda a: (a.sum(), {}), r"the loss is \[\], but must be \[B, T\]"),
        (lambda a: (a[:, :1], {}), r"the loss is \[3, 1\]"),
        (lambda a: (0.0, {}), "the loss is float"),
        (lambda a: (a, {"kl": a.mean()}), r"kl is \[\], but must be"),
        (lambda a: a, "raised ValueError"),
        (lambda a: (a, None), "raised TypeError.*return the loss and a dict"),
        (lambda a: (a @ a, {}), "raised RuntimeError"),
        (lambda a: {}["nothing"], "raised KeyError"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(returned: Callable, said: str) -> None:
    with pytest.raises(ConfigError, match=f"algorithm.loss: .*{said}"):
        vanishes_without_advantage(lambda logprobs, old, advantages, mask: returned(logprobs * advantages))


# ---------------------------------------------------------------- scales, and cutting a batch up


@given(st.lists(st.integers(0, 20), min_size=1, max_size=8), st.integers(1, 40))
def test_scales_make_means_of_token_losses(lengths: list[int], max_length: int) -> None:
    random = np.random.default_rng(len(lengths))
    losses = [random.normal(size=length) for length in lengths]
    per_sequence = [loss.mean() if loss.size else 0.0 for loss in losses]
    expected = {
        "token": sum(loss.sum() for loss in losses) / max(sum(lengths), 1),
        "sequence": sum(per_sequence) / len(lengths),
        "constant": sum(loss.sum() / max_length for loss in losses) / len(lengths),
    }
    for aggregation in AGGREGATIONS:
        factors = scales(lengths, aggregation, max_length)
        total = sum(factor * loss.sum() for factor, loss in zip(factors, losses, strict=True))
        assert total == pytest.approx(expected[aggregation], rel=1e-9, abs=1e-12)
        assert scales([], aggregation, max_length) == []


VOCABULARY = 6


def bigram(table: Tensor) -> Callable[[Tensor, int, Tensor], dict[str, Tensor]]:
    """A policy that looks one token back."""

    def outputs(tokens: Tensor, first: int, temperatures: Tensor) -> dict[str, Tensor]:
        logits = table[tokens[:, first:-1]] / temperatures[:, None, None].double()
        logprobs = logits.log_softmax(-1).gather(-1, tokens[:, first + 1 :, None]).squeeze(-1)
        return {"logprobs": logprobs, "logits": logits}

    return outputs


def random_batch(seed: int, sizes: list[tuple[int, int]]) -> TrainingBatch:
    """Of (prompt, drawn) sizes; two sequences make a group, every fourth has no advantage."""
    random = np.random.default_rng(seed)
    masks = [np.arange(p + d) >= p for p, d in sizes]

    def column(low: float, high: float) -> list[np.ndarray]:
        return [(mask * random.uniform(low, high, len(mask))).astype(np.float32) for mask in masks]

    columns = {name: column(-3, 0) for name in ("sampler_logprobs", "old_logprobs", "reference_logprobs")}
    columns["advantages"] = [row * (i % 4 != 3) for i, row in enumerate(column(-2, 2))]
    return TrainingBatch(
        tokens=[random.integers(0, VOCABULARY, len(mask)).astype(np.int32) for mask in masks],
        mask=masks,
        columns=columns,
        temperatures=random.uniform(0.5, 1.5, len(sizes)).tolist(),
        scales=[0.0] * len(sizes),
        live=[False] * len(sizes),
        groups=[i // 2 for i in range(len(sizes))],
    )


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=7),
    st.sampled_from(AGGREGATIONS),
    st.sampled_from([(ppo_clip, 0.0), (gspo, 0.0), (cispo, 0.3), (reinforce, 0.0)]),
    st.integers(0, 99),
    st.integers(2, 40),
)
def test_however_a_batch_is_cut_up_its_gradient_is_the_same(
    sizes: list[tuple[int, int]], aggregation: str, loss: tuple[Callable, float], seed: int, budget: int
) -> None:
    function, entropy = loss
    batch = random_batch(seed, sizes)
    whole = part(batch, range(len(sizes)), aggregation, 5, always_live=entropy > 0)

    def total(micro_batches: list[list[int]]) -> tuple[Tensor, Tensor]:
        table = torch.randn(VOCABULARY, VOCABULARY, generator=torch.Generator().manual_seed(seed)).double()
        table.requires_grad_()
        value = torch.zeros((), dtype=torch.float64)
        for rows in micro_batches:
            micro = collate(whole, rows, torch.device("cpu"))
            outputs = bigram(table)(micro.tokens, micro.first, micro.temperatures)
            per_token, _ = policy(outputs, micro.columns, micro.mask, loss=function, entropy_coef=entropy)
            value = value + (per_token.masked_fill(~micro.mask, 0).sum(1) * micro.scales.double()).sum()
        return value.detach(), torch.autograd.grad(value, table, allow_unused=True)[0]

    live = [i for i, alive in enumerate(whole.live) if alive]
    value, gradient = total([[i] for i in range(len(sizes))])
    for rank in (plan_micro_batches([sum(size) for size in sizes], budget, 1)[0], [list(range(len(sizes)))]):
        again, same = total(rank)
        torch.testing.assert_close(again, value, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(same, gradient, rtol=1e-9, atol=1e-12)
    # what is not live would have added nothing to the gradient
    if live:
        torch.testing.assert_close(total([live])[1], gradient, rtol=1e-9, atol=1e-12)
    else:
        assert not gradient.any()


def test_a_part_holds_the_rows_of_its_groups_scaled_among_themselves() -> None:
    batch = random_batch(0, [(1, 2), (1, 3), (2, 4), (1, 1), (3, 2), (1, 5)])
    middle = part(batch, range(1, 2), "token", 9, always_live=False)
    assert [t.tolist() for t in middle.tokens] == [t.tolist() for t in batch.tokens[2:4]]
    assert middle.temperatures == batch.temperatures[2:4]
    for name, column in batch.columns.items():
        assert [row.tolist() for row in middle.columns[name]] == [row.tolist() for row in column[2:4]]
    assert middle.scales == [1 / 5, 1 / 5]
    assert middle.live == [True, False]  # the last has no advantage
    last = part(batch, range(1, 3), "constant", 9, always_live=False)
    assert last.groups == [0, 0, 1, 1]
    assert last.scales == [1 / 36] * 4
    assert part(batch, range(5, 9), "token", 9, always_live=True).tokens == []


def test_a_part_with_too_few_groups_is_not_live() -> None:
    batch = random_batch(0, [(1, 2), (1, 3), (2, 4), (1, 1), (3, 2), (1, 5)])
    for least in (1, 2, 3, 4):
        mine = part(batch, range(3), "token", 9, always_live=True, least=least)
        assert mine.live == [least <= 3] * 6
    batch.mask[2:4] = [np.zeros_like(mask) for mask in batch.mask[2:4]]  # a group that was cut off
    assert not any(part(batch, range(3), "token", 9, always_live=True, least=3).live)
    assert part(batch, range(3), "token", 9, always_live=True, least=2).live == [1, 1, 0, 0, 1, 1]


@given(asked=st.integers(1, 64), share=st.integers(0, 100))
def test_the_least_number_of_groups_is_the_share_rounded_up(asked: int, share: int) -> None:
    assert least_groups(asked, share / 100) == max(-(-asked * share // 100), 1)
    assert least_groups(asked, None) == -(-asked // 4)


def test_a_row_without_a_token_to_learn_from_is_never_live() -> None:
    batch = random_batch(0, [(1, 2), (1, 3)])
    batch.mask[0] = np.zeros(3, dtype=bool)  # its advantage is not zero there
    assert part(batch, range(1), "token", 9, always_live=False).live == [False, True]
    assert part(batch, range(1), "token", 9, always_live=True).live == [False, True]
    del batch.columns["advantages"]
    assert part(batch, range(1), "sequence", 9, always_live=False).live == [False, True]
