"""Which problems come next: a function of the step, so that a resumed run needs to know no more."""

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
    """One pass over all problems after the other, each in an order of its own.

    An order of problems is a class with these four methods; `problems.order` names another by its
    import path. What `choose` returns may depend on what was observed, and on nothing else that
    is not in `state`, or a resumed run would train on other problems.
    """

    def __init__(self, problems: Sequence[Problem], seed: int) -> None:
        self.problems = problems
        self.seed = seed

    def choose(self, step: int, count: int, exclude: Collection[int] = ()) -> list[int]:
        """Indices of `count` different problems for `step` (from 0); fewer if no more are left.

        `exclude` are those that the step has drawn already: it asks for further ones. Choosing changes
        nothing: a step that is redone from the journal does not choose.
        """
        if not exclude:
            return problems_for_step(len(self.problems), count, step, self.seed)
        left = [index for index in range(len(self.problems)) if index not in exclude]
        return sorted(left, key=lambda i: key(self.seed, "further", step, self.problems[i].id))[:count]

    def observe(self, groups: Sequence[Group]) -> None:
        """Look at all that a step has drawn, with its verdicts, once the step is done."""

    def state(self) -> dict[str, Any]:
        """What `load` needs to go on, as JSON takes it."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""


def problems_for_step(num_problems: int, per_step: int, step: int, seed: int) -> list[int]:
    """The `per_step` indices into the problems that step `step` (from 0) trains on.

    Steps walk through one permutation of all problems after the other (an epoch each), keyed
    by (seed, epoch). No index comes twice in a step, also where an epoch ends inside one.
    Raises DataError when a step wants more problems than there are.
    """
    if per_step < 1 or step < 0:
        raise ValueError(f"per_step must be ≥ 1 and step ≥ 0, not {per_step} and {step}")
    if per_step > num_problems:
        raise DataError(
            f"a step takes {per_step} different problems, but the source has only {num_problems}: "
            "take fewer problems per step or more problems"
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
    """SHA-256 (hex) over all that problems are, in order: are a run's data the same?"""
    digest = hashlib.sha256()
    for problem in problems:
        row = [problem.id, problem.text, problem.answer, problem.solution, dict(problem.columns)]
        digest.update(json.dumps(row, default=str, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _permutation(num_problems: int, epoch: int, seed: int) -> IntArray:
    # Sorting raw bits, because NumPy promises a stable stream for its bit generators only, not
    # for `Generator.permutation`.
    bits = np.random.PCG64(key("epoch", seed, epoch)).random_raw(num_problems)
    return np.argsort(bits, kind="stable").astype(np.int32)


def _epoch_order(num_problems: int, per_step: int, epoch: int, seed: int) -> IntArray:
    """The order of one epoch: its permutation, with the problems that its first step already
    took from the end of the epoch before moved just behind that step's share."""
    if num_problems >= 2 * per_step:
        # What is moved stays within the first `per_step` places, so that the end of the epoch
        # before is that of its plain permutation.
        first = max(epoch - 1, 0)
    else:
        # There the end of one epoch depends on the epoch before it, back to the last one that
        # began with a step.
        first = epoch - epoch % (per_step // math.gcd(num_problems, per_step))
    order = _permutation(num_problems, first, seed)
    for current in range(first + 1, epoch + 1):
        share = -current * num_problems % per_step  # places that complete the step before
        taken = order[num_problems - (per_step - share) :] if share else order[:0]
        order = _permutation(num_problems, current, seed)
        head = np.flatnonzero(~np.isin(order, taken))[:share]
        order = np.concatenate([order[head], np.delete(order, head)])
    return order
