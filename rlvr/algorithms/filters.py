"""Group filters: which groups, and which of their rollouts, are trained on.

A filter takes a group with its verdicts and a random generator keyed by (seed, step, problem), and
returns the group, a smaller one, or None to leave it out. Rollouts whose check did not finish count for
lengths, but not for rewards and accuracies. What is left out is still in the journal, without an advantage.
"""

from __future__ import annotations

import math

import numpy as np

from rlvr.types import Group, Status

MIN_KEPT = 0.25  # share of a full step's groups; see `least_groups`


def informative(group: Group, random: np.random.Generator) -> Group | None:
    """Leaves out groups whose rewards are all equal: their advantages are zero.

    With `algorithm.max_rounds` above 1 this is the dynamic sampling of DAPO, arXiv 2503.14476, eq. 11.
    """
    rewards = {verdict.reward for verdict in group.verdicts if verdict.reward is not None}
    return group if len(rewards) > 1 else None


def uniform_lengths(group: Group, random: np.random.Generator, max_variation: float = 0.5) -> Group | None:
    """Leaves out groups whose answers differ much in length: an online form of prompt optimization.

    Phi-4-Mini-Reasoning (arXiv 2504.21233) keeps problems with relatively uniform lengths and does not
    say by which measure; here it is the coefficient of variation, population deviation over mean.
    """
    return group if length_variation(group) <= max_variation else None


def accuracy_between(
    group: Group, random: np.random.Generator, low: float = 0.0, high: float = 1.0
) -> Group | None:
    """Leaves out groups whose share of correct rollouts is outside [low, high], or unknown."""
    return group if low <= accuracy(group) <= high else None


def rebalance(group: Group, random: np.random.Generator, max_accuracy: float = 0.5) -> Group | None:
    """All correct rollouts, and as many incorrect ones drawn at random; easy problems are left out.

    With rewards of ±1, GRPO's advantages are then exactly ±1. A group without a correct rollout is left
    out; a group with more correct than incorrect rollouts (possible if `max_accuracy` is above 0.5) is kept
    whole. Source: Phi-4-Mini-Reasoning, arXiv 2504.21233, which names 50% as an example of a threshold.
    """
    correct = [i for i, v in enumerate(group.verdicts) if v.status is Status.CORRECT]
    incorrect = [i for i, v in enumerate(group.verdicts) if v.status.reached and i not in correct]
    if not correct or accuracy(group) > max_accuracy:
        return None
    drawn = random.permutation(incorrect)[: len(correct)]
    kept = sorted([*correct, *(int(i) for i in drawn)])
    return Group(group.problem, [group.rollouts[i] for i in kept], [group.verdicts[i] for i in kept])


def least_groups(asked: int, min_kept: float | None) -> int:
    """The least number of groups for an optimizer step that was to have `asked` of them.

    The scales of a batch count what is left of it. So with a share s of the groups, each has 1/s times its
    weight in a full step, and the standard error of the gradient is 1/√s times as large. By default s is at
    least MIN_KEPT: four times the weight, twice the error. `min_kept` of 0 allows a single group.
    """
    share = MIN_KEPT if min_kept is None else min_kept
    return max(math.ceil(share * asked - 1e-9), 1)  # a product such as 0.1 · 30 is rounded up


def accuracy(group: Group) -> float:
    """Share of correct rollouts among those whose check finished; NaN if there is none."""
    reached = [verdict.status for verdict in group.verdicts if verdict.status.reached]
    return reached.count(Status.CORRECT) / len(reached) if reached else np.nan


def length_variation(group: Group) -> float:
    """Coefficient of variation of the numbers of sampled tokens: population deviation over mean."""
    lengths = np.array([rollout.num_sampled for rollout in group.rollouts], dtype=np.float64)
    return float(lengths.std() / lengths.mean())
