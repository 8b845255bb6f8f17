"""A curriculum by pass rate: hard problems are drawn more often, solved ones are dropped."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rlvr.base.keys import key
from rlvr.types import ConfigError, Group, Problem, Status


class PassRate:
    """Draws problems without replacement, weighted by their pass rate p.

    The weight of a problem is (1 − p)^hardness, at least `floor`, and 1 until the problem is first drawn.
    A problem with p ≥ `drop_above` counts as solved, and is drawn only if a step would otherwise have too
    few problems. p is an exponential moving average: it starts with the first pass rate, then
    p ← `memory` · p + (1 − `memory`) · new pass rate. Sources: oversampling hard problems is from
    Phi-4-Mini-Reasoning, arXiv 2504.21233 (which does not state its weights), dropping solved ones from
    POLARIS. Weighted sampling follows Efraimidis and Spirakis (2006) with keyed random numbers, so it
    depends only on the pass rates and on (seed, step, problem).
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        seed: int,
        hardness: float = 1.0,
        floor: float = 0.05,
        drop_above: float = 0.9,
        memory: float = 0.5,
    ) -> None:
        if not (hardness >= 0 and 0 < floor <= 1 and 0 <= memory < 1 and drop_above > 0):
            raise ConfigError(
                f"problems.order: hardness={hardness} must be ≥ 0, floor={floor} in (0, 1], "
                f"drop_above={drop_above} above 0 and memory={memory} in [0, 1)"
            )
        self.problems = problems
        self.seed = seed
        self.hardness, self.floor, self.drop_above, self.memory = hardness, floor, drop_above, memory
        self.pass_rates: dict[str, float] = {}  # problem id → p, for problems that were drawn

    def weight(self, problem: Problem) -> float:
        rate = self.pass_rates.get(problem.id, 0.0)
        return max((1 - rate) ** self.hardness, self.floor)

    def choose(self, step: int, count: int, exclude: Collection[int] = ()) -> list[int]:
        """See `rlvr.problems.order.Epochs.choose`."""

        def rank(index: int) -> tuple[bool, float]:
            problem = self.problems[index]
            uniform = (key(self.seed, "curriculum", step, problem.id) + 0.5) / 2**31
            solved = self.pass_rates.get(problem.id, 0.0) >= self.drop_above
            return solved, -math.log(uniform) / self.weight(problem)

        left = [index for index in range(len(self.problems)) if index not in exclude]
        return sorted(left, key=rank)[:count]

    def observe(self, groups: Sequence[Group]) -> None:
        for group in groups:
            reached = [verdict.status for verdict in group.verdicts if verdict.status.reached]
            if reached:
                rate = reached.count(Status.CORRECT) / len(reached)
                before = self.pass_rates.get(group.problem.id, rate)
                self.pass_rates[group.problem.id] = self.memory * before + (1 - self.memory) * rate

    def state(self) -> dict[str, Any]:
        return {"pass_rates": self.pass_rates}

    def load(self, state: Mapping[str, Any]) -> None:
        self.pass_rates = dict(state["pass_rates"])
