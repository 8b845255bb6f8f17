"""The order of problems: a function of the step number, so that a resumed run needs no further state."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from rlvr.base.keys import key
from rlvr.types import DataError, Group, IntArray, Problem


class Epochs:
    """Passes over all problems, each epoch in a new random order.

    An order of problems is a class with these four methods; `problems.order` selects one by its import
    path. `choose` may depend on past observations only through `state`; otherwise a resumed run would train
    on different problems.
    """

    def __init__(self, problems: Sequence[Problem], seed: int) -> None:
        self.problems = problems
        self.seed = seed

    def choose(self, step: int, count: int, exclude: Collection[int] = ()) -> list[int]:
        """Indices of `count` different problems for `step` (from 0); fewer if no more are left.

        `exclude` holds the indices that the step has drawn already, when it needs more. `choose` must not
        change the state: a step that is restored from the journal does not call it.
        """
        if not exclude:
            return problems_for_step(len(self.problems), count, step, self.seed)
        left = [index for index in range(len(self.problems)) if index not in exclude]
        return sorted(left, key=lambda i: key(self.seed, "further", step, self.problems[i].id))[:count]

    def observe(self, groups: Sequence[Group]) -> None:
        """Called after each step with all groups that it drew, and their verdicts."""

    def state(self) -> dict[str, Any]:
        """The state that `load` restores, serializable as JSON."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state` returned."""


def problems_for_step(num_problems: int, per_step: int, step: int, seed: int) -> list[int]:
    """The `per_step` indices into the problems that step `step` (from 0) trains on.

    Each epoch is a permutation of all problems, keyed by (seed, epoch). No index is repeated within a
    step, even if an epoch ends inside it. Raises DataError if a step needs more problems than there are.
    """
    if per_step < 1 or step < 0:
        raise ValueError(f"per_step must be ≥ 1 and step ≥ 0, not {per_step} and {step}")
    if per_step > num_problems:
        raise DataError(
            f"a step takes {per_step} different problems, but the source has only {num_problems}: "
            "use fewer problems per step or more problems"
        )
    epoch, offset = divmod(step * per_step, num_problems)
    order = _epoch_order(num_problems, per_step, epoch, seed)
    chosen = order[offset : offset + per_step]
    missing = per_step - len(chosen)
    if missing:
        following = _epoch_order(num_problems, per_step, epoch + 1, seed)
        chosen = np.concatenate([chosen, following[:missing]])
    return [int(index) for index in chosen]


def fingerprint(problems: Iterable[Problem]) -> str:
    """SHA-256 (hex) of all fields of the problems, in order; detects changed data."""
    digest = hashlib.sha256()
    for problem in problems:
        row = [problem.id, problem.text, problem.answer, problem.solution, dict(problem.columns)]
        digest.update(json.dumps(row, default=str, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _permutation(num_problems: int, epoch: int, seed: int) -> IntArray:
    # NumPy guarantees a stable stream only for bit generators, not for `Generator.permutation`.
    bits = np.random.PCG64(key("epoch", seed, epoch)).random_raw(num_problems)
    return np.argsort(bits, kind="stable").astype(np.int32)


def _epoch_order(num_problems: int, per_step: int, epoch: int, seed: int) -> IntArray:
    """The order of one epoch: its permutation, changed so that no step repeats a problem.

    If a step spans two epochs, problems that it took from the end of the previous epoch are moved behind
    the step's share of this epoch.
    """
    if num_problems >= 2 * per_step:
        # Moves stay within the first `per_step` places, so the end of the previous epoch is that of its
        # unchanged permutation.
        first = max(epoch - 1, 0)
    else:
        # The end of an epoch depends on the epoch before it, back to the last epoch that started together
        # with a step.
        first = epoch - epoch % (per_step // math.gcd(num_problems, per_step))
    order = _permutation(num_problems, first, seed)
    for current in range(first + 1, epoch + 1):
        share = -current * num_problems % per_step  # places that complete the previous epoch's last step
        taken = order[num_problems - (per_step - share) :] if share else order[:0]
        order = _permutation(num_problems, current, seed)
        head = np.flatnonzero(~np.isin(order, taken))[:share]
        order = np.concatenate([order[head], np.delete(order, head)])
    return order
