"""Training batches, learning rates and schedules, and how a batch is cut up."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from groups import group, rollout
from hypothesis import example, given
from hypothesis import strategies as st

from rlvr.learner.batching import collate, plan_micro_batches
from rlvr.learner.config import OptimizerConfig
from rlvr.learner.schedule import learning_rate
from rlvr.rollout.schedules import cosine, linear
from rlvr.stages.batches import judged, part, rollout_batch, supervised_batch, without_truncated
from rlvr.types import DataError, FinishReason, Rollout, SamplingMask, TrainingBatch

# ---------------------------------------------------------------- training batches


def test_a_batch_has_every_judged_rollout_and_no_other() -> None:
    groups = [group([1.0, None, 0.0]), group([1.0, 1.0], "q")]
    rows = judged(groups)
    batch = rollout_batch([r for _, r, _ in rows], [place for place, _, _ in rows])
    kept = [groups[0].rollouts[0], groups[0].rollouts[2], *groups[1].rollouts]
    assert [t.tolist() for t in batch.tokens] == [r.tokens.tolist() for r in kept]
    assert [m.tolist() for m in batch.mask] == [r.sampled.tolist() for r in kept]
    assert [o.tolist() for o in batch.columns["sampler_logprobs"]] == [r.logprobs.tolist() for r in kept]
    assert batch.temperatures == [1.0, 1.2, 1.0, 1.1]
    assert batch.groups == [0, 0, 1, 1]
    assert not any(batch.live)


def test_answers_that_were_cut_off_are_masked_on_request_alone() -> None:
    rollouts = [rollout(0, finish=FinishReason.LENGTH), rollout(1)]
    assert [int(mask.sum()) for mask in without_truncated(rollouts)] == [0, 3]
    assert [int(mask.sum()) for mask in rollout_batch(rollouts, [0, 0]).mask] == [3, 3]
    assert rollouts[0].num_sampled == 3  # the rollout is left as it was


def with_mask(made: Rollout, *sets: list[int]) -> Rollout:
    """With the sets of its drawn tokens."""
    prompt = int(made.sampled.argmax())
    ids = np.array([token for own in sets for token in own], np.int32)
    made.sampling_mask = SamplingMask(ids, np.array([0] * prompt + [len(own) for own in sets], np.int32))
    return made


def test_a_batch_has_the_sampling_mask_of_every_rollout() -> None:
    """Tokens of the rollout with prompt 2 are 2, 3, 4, those of the next 103, 104, 105."""
    rollouts = [with_mask(rollout(0), [1, 2], [3], [9, 4, 0]), with_mask(rollout(1), [102], [103, 9], [104])]
    batch = rollout_batch(rollouts, [0, 1])
    assert batch.sampling_masks == [r.sampling_mask for r in rollouts]
    assert part(batch, range(1, 2), "token", 9, True).sampling_masks == [rollouts[1].sampling_mask]
    plain = rollout_batch([rollout(0)], [0])
    assert plain.sampling_masks is None
    assert part(plain, range(1), "token", 9, True).sampling_masks is None


def test_a_token_outside_of_its_set_is_refused() -> None:
    wrong = with_mask(rollout(1, name="sum"), [102], [9, 104, 102], [104])
    with pytest.raises(DataError, match=r"'sum', sample 1: token 103 at position 3 .* 3 tokens of its sampl"):
        rollout_batch([with_mask(rollout(0), [2], [3], [4]), wrong], [0, 1])
    empty = with_mask(rollout(0), [2], [], [4, 3])
    with pytest.raises(DataError, match="token 3 at position 3 is not among the 0 tokens"):
        rollout_batch([empty], [0])
    with pytest.raises(DataError, match="1 of 2 rollouts have a sampling mask"):
        rollout_batch([with_mask(rollout(0), [2], [3], [4]), rollout(1)], [0, 1])


def test_a_supervised_batch_trains_on_the_solution_alone() -> None:
    batch = supervised_batch([([1, 5, 6], [7, 8, 2]), ([1], [2])])
    assert [t.tolist() for t in batch.tokens] == [[1, 5, 6, 7, 8, 2], [1, 2]]
    assert [m.tolist() for m in batch.mask] == [[False] * 3 + [True] * 3, [False, True]]
    assert batch.scales == [1 / 4, 1 / 4]  # the mean over tokens
    assert batch.temperatures == [1.0, 1.0]
    assert batch.live == [True, True]
    assert batch.groups == [0, 1]


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
        columns={
            "advantages": [(m * random.normal()).astype(np.float32) for m in masks],
            "old_logprobs": [(m * -random.random(len(m))).astype(np.float32) for m in masks],
        },
        temperatures=random.uniform(0.5, 1.5, len(sizes)).tolist(),
        scales=random.random(len(sizes)).tolist(),
        live=[True] * len(sizes),
        groups=list(range(len(sizes))),
    )


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
        assert micro.scales[row].item() == pytest.approx(batch.scales[i])
        assert micro.columns.keys() == batch.columns.keys()
        fields = [(micro.mask, batch.mask[i])]
        fields += [(micro.columns[name], column[i]) for name, column in batch.columns.items()]
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
    assert not micro.scales.any()
    assert {name: column.tolist() for name, column in micro.columns.items()} == {
        "advantages": [[0]],
        "old_logprobs": [[0]],
    }


# ---------------------------------------------------------------- temperature schedules


def test_the_linear_schedule_reaches_its_end_at_its_share_of_the_steps_and_stays() -> None:
    values = [linear(step, steps=10, temperature=1.0, final=0.6) for step in range(10)]
    np.testing.assert_allclose(values, [1.0, 0.92, 0.84, 0.76, 0.68, *[0.6] * 5])
    assert linear(9, steps=10, temperature=0.6, final=1.0, share=1.0) == pytest.approx(0.96)


def test_the_cosine_schedule_is_half_a_cosine_over_its_share_of_the_steps() -> None:
    values = [cosine(step, steps=8, temperature=1.0, final=0.6, share=0.5) for step in range(8)]
    quarter = 0.2 * math.sqrt(0.5)
    np.testing.assert_allclose(values, [1.0, 0.8 + quarter, 0.8, 0.8 - quarter, *[0.6] * 4])
    assert cosine(4, steps=8, temperature=0.6, final=1.0) == pytest.approx(0.8)
