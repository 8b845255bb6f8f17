"""From groups or worked solutions to training batches: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from rlvr.types import Group, RlvrError, TrainingBatch, Verdict

Advantage = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


def group_advantages(groups: Sequence[Group], advantage: Advantage) -> list[npt.NDArray[np.float64]]:
    """The advantages of every group, NaN where a verdict was not reached.

    Raises:
        RlvrError: the function returned something that cannot be a group's advantages.
    """
    result = []
    for group in groups:
        rewards = np.array([_reward(verdict) for verdict in group.verdicts])
        advantages = np.asarray(advantage(rewards), dtype=np.float64)
        if advantages.shape != rewards.shape or not np.isfinite(advantages[~np.isnan(rewards)]).all():
            raise RlvrError(
                f"algorithm.advantage turned the rewards {rewards.tolist()} of problem {group.problem.id!r} "
                f"into {advantages.tolist()}: it must return one finite number for each reward"
            )
        result.append(np.where(np.isnan(rewards), np.nan, advantages))
    return result


def _reward(verdict: Verdict) -> float:
    return np.nan if verdict.reward is None else verdict.reward


def policy_batch(groups: Sequence[Group], advantages: Sequence[npt.NDArray[np.float64]]) -> TrainingBatch:
    """Every rollout whose verdict was reached, each of its drawn tokens weighted by its advantage.

    Raises:
        RlvrError: there is none; the message quotes a verdict.
    """
    kept = [
        (rollout, value)
        for group, values in zip(groups, advantages, strict=True)
        for rollout, value in zip(group.rollouts, values, strict=True)
        if not np.isnan(value)
    ]
    if not kept:
        raise RlvrError(f"no verdict was reached for any rollout of the step: {groups[0].verdicts[0].reason}")
    return TrainingBatch(
        tokens=[rollout.tokens for rollout, _ in kept],
        mask=[rollout.sampled for rollout, _ in kept],
        weights=[(rollout.sampled * value).astype(np.float32) for rollout, value in kept],
        old_logprobs=[rollout.logprobs for rollout, _ in kept],
        temperatures=[rollout.temperature for rollout, _ in kept],
        num_tokens=sum(rollout.num_sampled for rollout, _ in kept),
    )


def supervised_batch(examples: Sequence[tuple[list[int], list[int]]]) -> TrainingBatch:
    """(prompt, solution) token ids; every token of the solution, its end too, has weight 1."""
    tokens = [np.array([*prompt, *solution], dtype=np.int32) for prompt, solution in examples]
    masks = [np.arange(len(t)) >= len(prompt) for t, (prompt, _) in zip(tokens, examples, strict=True)]
    return TrainingBatch(
        tokens=tokens,
        mask=masks,
        weights=[mask.astype(np.float32) for mask in masks],
        old_logprobs=[np.zeros(len(t), dtype=np.float32) for t in tokens],
        temperatures=[1.0] * len(tokens),
        num_tokens=sum(int(mask.sum()) for mask in masks),
    )
