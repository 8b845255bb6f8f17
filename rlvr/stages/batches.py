"""Training batches from groups or worked solutions: pure functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from rlvr.algorithms.aggregation import scales
from rlvr.types import (
    BoolArray,
    DataError,
    FinishReason,
    FloatArray,
    Group,
    RlvrError,
    Rollout,
    TrainingBatch,
)

Float64Array = npt.NDArray[np.float64]
Advantage = Callable[..., Float64Array]
Example = tuple[Sequence[int], Sequence[int]]  # token ids of a prompt and of an answer


def judged(groups: Sequence[Group]) -> list[tuple[int, Rollout, float]]:
    """(index of the group, rollout, reward) of every rollout that has a reward, in order."""
    return [
        (place, rollout, verdict.reward)
        for place, group in enumerate(groups)
        for rollout, verdict in zip(group.rollouts, group.verdicts, strict=True)
        if verdict.reward is not None
    ]


def rollout_batch(rollouts: Sequence[Rollout], groups: Sequence[int]) -> TrainingBatch:
    """A batch of rollouts and their groups' indices, without advantages: no row is live, all scales are 0."""
    return TrainingBatch(
        tokens=[rollout.tokens for rollout in rollouts],
        mask=[rollout.sampled for rollout in rollouts],
        columns={"sampler_logprobs": [rollout.logprobs for rollout in rollouts]},
        temperatures=[rollout.temperature for rollout in rollouts],
        scales=[0.0] * len(rollouts),
        live=[False] * len(rollouts),
        groups=list(groups),
    )


def without_truncated(rollouts: Sequence[Rollout]) -> list[BoolArray]:
    """The masks of rollouts, [T] each; all False for answers that were cut off at the length limit."""
    return [rollout.sampled & (rollout.finish_reason is not FinishReason.LENGTH) for rollout in rollouts]


def takes(function: Advantage) -> frozenset[str]:
    """Which of the arguments on offer an advantage function takes, by parameter name."""
    return frozenset(inspect.signature(function).parameters) & {"rewards", "token_rewards", "values"}


def token_advantages(
    groups: Sequence[Group],
    advantage: Advantage,
    penalties: Sequence[FloatArray] | None = None,
    values: Sequence[FloatArray] | None = None,
) -> list[FloatArray]:
    """The advantage of every token of the rollouts of `judged`, in their order: [T], 0 where not sampled.

    `penalties` and `values` are [T] per rollout. A penalty is subtracted from the reward of its token; for
    a function of a group's `rewards`, their sum is subtracted from the rollout's reward. There, rollouts
    without a verdict have the reward NaN.

    Raises:
        RlvrError: the function did not return one finite number per reward.
    """
    rows = judged(groups)
    if penalties is None:
        penalties = [np.zeros(len(rollout.tokens), dtype=np.float32) for _, rollout, _ in rows]
    if "rewards" in takes(advantage):
        return _from_groups(groups, advantage, penalties)
    result = []
    for row, (place, rollout, reward) in enumerate(rows):
        drawn = rollout.sampled
        token_rewards = 0.0 - penalties[row][drawn].astype(np.float64)
        token_rewards[-1] += reward
        given = {"token_rewards": token_rewards}
        if "values" in takes(advantage):
            assert values is not None
            given["values"] = values[row][drawn].astype(np.float64)
        advantages = np.asarray(advantage(**given), dtype=np.float64)
        if advantages.shape != token_rewards.shape or not np.isfinite(advantages).all():
            raise _refused(groups[place], "token rewards", token_rewards, advantages)
        whole = np.zeros(len(drawn), dtype=np.float32)
        whole[drawn] = advantages
        result.append(whole)
    return result


def _from_groups(
    groups: Sequence[Group], advantage: Advantage, penalties: Sequence[FloatArray]
) -> list[FloatArray]:
    result: list[FloatArray] = []
    costs = iter(penalties)
    for group in groups:
        rewards = np.full(len(group.rollouts), np.nan)
        for sample, verdict in enumerate(group.verdicts):
            if verdict.reward is not None:
                rewards[sample] = verdict.reward - next(costs).sum(dtype=np.float64)
        advantages = np.asarray(advantage(rewards=rewards), dtype=np.float64)
        reached = ~np.isnan(rewards)
        if advantages.shape != rewards.shape or not np.isfinite(advantages[reached]).all():
            raise _refused(group, "rewards", rewards, advantages)
        for sample in np.flatnonzero(reached):
            result.append((group.rollouts[sample].sampled * advantages[sample]).astype(np.float32))
    return result


def _refused(group: Group, what: str, given: Float64Array, returned: Float64Array) -> RlvrError:
    return RlvrError(
        f"algorithm.advantage turned the {what} {given.tolist()} of problem {group.problem.id!r} "
        f"into {returned.tolist()}: it must return one finite number for each"
    )


def whiten(advantages: Sequence[FloatArray], masks: Sequence[npt.NDArray[np.bool_]]) -> list[FloatArray]:
    """Whitened to mean 0, population standard deviation 1 over all masked tokens; 0 if all are equal."""
    flat = np.concatenate([np.zeros(0), *(a[m] for a, m in zip(advantages, masks, strict=True))])
    if not flat.size or np.ptp(flat) == 0:
        return [np.zeros_like(values) for values in advantages]
    mean, deviation = flat.mean(), flat.std()
    return [
        (mask * (values - mean) / deviation).astype(np.float32)
        for values, mask in zip(advantages, masks, strict=True)
    ]


def part(
    batch: TrainingBatch, groups: range, aggregation: str, max_length: int, always_live: bool, least: int = 1
) -> TrainingBatch:
    """The batch of one optimizer step: the rows of these `groups`, with scales that count these rows only.

    A row is live if it has a token to learn from and an advantage, or `always_live`. If fewer than `least`
    groups have a token to learn from, no row is.
    """
    rows = [row for row, group in enumerate(batch.groups) if group in groups]
    masks = [batch.mask[row] for row in rows]
    columns = {name: [column[row] for row in rows] for name, column in batch.columns.items()}
    advantages = columns.get("advantages", masks)
    enough = len({batch.groups[row] for row in rows if batch.mask[row].any()}) >= least
    return replace(
        batch,
        tokens=[batch.tokens[row] for row in rows],
        mask=masks,
        columns=columns,
        temperatures=[batch.temperatures[row] for row in rows],
        scales=scales([int(mask.sum()) for mask in masks], aggregation, max_length),
        live=[
            bool(enough and mask.any() and (always_live or values[mask].any()))
            for mask, values in zip(masks, advantages, strict=True)
        ],
        groups=[batch.groups[row] - groups.start for row in rows],
    )


def supervised_batch(examples: Sequence[Example]) -> TrainingBatch:
    """A batch of examples; every token of a solution, its end token too, has the same weight."""
    tokens = [np.array([*prompt, *solution], dtype=np.int32) for prompt, solution in examples]
    masks = [np.arange(len(t)) >= len(prompt) for t, (prompt, _) in zip(tokens, examples, strict=True)]
    lengths = [int(mask.sum()) for mask in masks]
    return TrainingBatch(
        tokens=tokens,
        mask=masks,
        columns={},
        temperatures=[1.0] * len(tokens),
        scales=scales(lengths, "token", 0),
        live=[True] * len(tokens),
        groups=list(range(len(tokens))),
    )


def preference_batch(pairs: Sequence[tuple[Example, Example]]) -> TrainingBatch:
    """A batch with the chosen and the rejected answer of each pair; every pair has the same weight.

    The objectives of `rlvr.algorithms.preference` read it, with the column `reference_logprobs`.

    Raises:
        DataError: an answer has no tokens.
    """
    examples = [example for pair in pairs for example in pair]
    for row, (_, answer) in enumerate(examples):
        if not answer:
            kind = "rejected" if row % 2 else "chosen"
            raise DataError(f"pair {row // 2}: the {kind} answer has no tokens: leave the pair out")
    return replace(
        supervised_batch(examples),
        scales=[1 / len(pairs) for _ in examples],
        groups=[row // 2 for row in range(len(examples))],
        unit=2,
    )
