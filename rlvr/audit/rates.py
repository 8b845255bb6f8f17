"""Error rates with intervals, from the verdicts on probes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rlvr.audit.probes import WRONG, Probe
from rlvr.types import Status, Verdict

_Z = 1.959963984540054  # 97.5% quantile of the normal distribution


@dataclass(frozen=True)
class Outcome:
    """A probe with its verdict; `passed` is None if the check did not finish."""

    probe: Probe
    verdict: Verdict
    passed: bool | None

    @property
    def error(self) -> bool:
        """Whether the reward misjudged the probe."""
        return self.passed is not None and self.passed == (self.probe.family in WRONG)


@dataclass(frozen=True)
class Rate:
    """The share of `n` verdicts that are errors, with its 95% interval; nan if n is 0."""

    n: int
    errors: int
    unreached: int

    @property
    def value(self) -> float:
        return self.errors / self.n if self.n else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        return wilson_interval(self.errors, self.n) if self.n else (math.nan, math.nan)


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """The 95% score interval of a binomial proportion (Wilson 1927, JASA 22: 209–212).

    Its width is not 0 even for 0 or n successes. Raises ValueError unless 0 ≤ successes ≤ n and n ≥ 1.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"no interval from {successes} successes in {n} trials")
    share, slack = successes / n, _Z**2 / n
    centre = (share + slack / 2) / (1 + slack)
    half = _Z * math.sqrt(share * (1 - share) / n + slack / (4 * n)) / (1 + slack)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return (0.0 if successes == 0 else low), (1.0 if successes == n else high)


def judge_outcomes(probes: Sequence[Probe], verdicts: Sequence[Verdict]) -> list[Outcome]:
    """Whether each probe passed.

    A probe passes if its verdict is correct (for a reward that returns only numbers: above 0) and its
    reward is at least half-way from the worst near miss to the best gold of the same problem. The second
    condition rejects rewards that do not separate right from wrong answers, whatever their scale.
    """
    best: dict[str, float] = {}
    worst: dict[str, float] = {}
    for probe, verdict in zip(probes, verdicts, strict=True):
        name, reward = probe.problem.id, verdict.reward
        if reward is not None and probe.family == "gold":
            best[name] = max(reward, best.get(name, reward))
        elif reward is not None and probe.family == "near miss":
            worst[name] = min(reward, worst.get(name, reward))
    outcomes = []
    for probe, verdict in zip(probes, verdicts, strict=True):
        passed = None
        if verdict.reward is not None:
            high = best.get(probe.problem.id, verdict.reward)
            low = worst.get(probe.problem.id, high)
            passed = verdict.status == Status.CORRECT and verdict.reward >= (low + high) / 2
        outcomes.append(Outcome(probe, verdict, passed))
    return outcomes


def error_rate(outcomes: Iterable[Outcome]) -> Rate:
    every = list(outcomes)
    reached = [outcome for outcome in every if outcome.passed is not None]
    return Rate(len(reached), sum(outcome.error for outcome in reached), len(every) - len(reached))
