"""What a step's rollouts look like in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rlvr.stages.buffer import Taken
from rlvr.types import FinishReason, Status


def step_metrics(
    taken: Taken,
    advantages: Sequence[npt.NDArray[np.float64]],
    updates: Sequence[Mapping[str, float]],
    step: int,
    gates: Mapping[str, float],
) -> dict[str, float]:
    """Metrics of training step `step`; means are over rollouts with a verdict.

    `reward/NAME` is the mean value of each reward function, `gates/NAME` the share of those values
    that one of the `gates` (name → least value) held back.
    `groups/no_signal` is the share of groups whose advantages are all zero, `rollouts/staleness`
    the most versions that a token lies behind the policy it trains. `learner/…` are means over the
    step's optimizer steps, `learner/tokens` their sum.
    """
    learned = {name: float(np.mean([update[name] for update in updates])) for name in updates[0]}
    learned["tokens"] *= len(updates)
    rollouts = [rollout for group in taken.groups for rollout in group.rollouts]
    verdicts = [verdict for group in taken.groups for verdict in group.verdicts]
    rewards = [verdict.reward for verdict in verdicts if verdict.reward is not None]
    statuses = Counter(verdict.status for verdict in verdicts)
    parts: dict[str, list[float]] = {}
    for verdict in verdicts:
        for name, value in verdict.parts.items():
            parts.setdefault(name, []).append(value)
    lengths = np.array([rollout.num_sampled for rollout in rollouts])
    oldest = min(int(rollout.versions[rollout.sampled].min()) for rollout in rollouts)
    return {
        "train/reward": float(np.mean(rewards)),
        "train/accuracy": statuses[Status.CORRECT] / len(rewards),
        "train/loss": learned["loss"],
        **{f"reward/{name}": float(np.mean(values)) for name, values in sorted(parts.items())},
        **{
            f"gates/{name}": float(np.mean(np.array(parts[name]) < least))
            for name, least in sorted(gates.items())
            if name in parts
        },
        **{f"verdicts/{status}": statuses[status] for status in Status},
        "groups/no_signal": float(np.mean([not np.nan_to_num(group).any() for group in advantages])),
        "rollouts/length": float(lengths.mean()),
        "rollouts/truncated": float(np.mean([r.finish_reason == FinishReason.LENGTH for r in rollouts])),
        "rollouts/temperature": rollouts[0].temperature,
        "rollouts/staleness": step - 1 - oldest,
        "tokens/sampled": int(lengths.sum()),
        **{f"learner/{name}": value for name, value in learned.items() if name != "loss"},
    }
