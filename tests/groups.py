"""Groups of rollouts made by hand, for the tests that need no engine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlvr.types import FinishReason, Group, Problem, Rollout, Status, Verdict


def rollout(
    sample: int = 0,
    prompt: int = 2,
    drawn: int = 3,
    temperature: float = 1.0,
    name: str = "p",
    finish: FinishReason = FinishReason.STOP,
    version: int = 3,
) -> Rollout:
    """Tokens are numbered from 100·sample, so that every token says where it came from."""
    size = prompt + drawn
    sampled = np.arange(size) >= prompt
    return Rollout(
        problem_id=name,
        step=3,
        sample=sample,
        seed=sample,
        tokens=np.arange(size, dtype=np.int32) + 100 * sample,
        sampled=sampled,
        logprobs=np.where(sampled, -0.01 * np.arange(size), 0).astype(np.float32),
        versions=np.where(sampled, version, -1).astype(np.int32),
        text="",
        finish_reason=finish,
        temperature=temperature,
    )


def verdict(reward: float | None) -> Verdict:
    """Correct if the reward is positive; None is a verdict that was not reached."""
    if reward is None:
        return Verdict(Status.TIMEOUT, None, "check ran 5 s")
    return Verdict(Status.CORRECT if reward > 0 else Status.WRONG, reward, "")


def group(rewards: Sequence[float | None], name: str = "p", lengths: Sequence[int] | None = None) -> Group:
    """Prompts of 2, 3, … tokens; answers of 3, 4, … tokens where no lengths are given."""
    drawn = lengths or [3 + sample for sample in range(len(rewards))]
    rollouts = [
        rollout(sample, prompt=2 + sample, drawn=length, temperature=1 + sample / 10, name=name)
        for sample, length in enumerate(drawn)
    ]
    return Group(Problem(name, "", ""), rollouts, [verdict(reward) for reward in rewards])
