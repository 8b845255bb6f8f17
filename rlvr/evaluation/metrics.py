"""Evaluation metrics from the verdicts on samples: pure functions, no engine.

A sample whose check did not finish says nothing about the policy. It is left out of the denominator, and
counted as `unreached`, so that metrics that rest on few samples can be recognized.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from rlvr.statistics.intervals import bootstrap_interval
from rlvr.types import Group, Status, Verdict


@dataclass(frozen=True)
class Tally:
    """Counts of the samples of one problem."""

    reached: int  # n: samples with a verdict
    correct: int  # c ≤ n
    unreached: int = 0  # samples without one

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.reached or self.unreached < 0:
            raise ValueError(f"{self} is not valid: 0 ≤ correct ≤ reached and 0 ≤ unreached must hold")


def tally(verdicts: Sequence[Verdict]) -> Tally:
    reached = [verdict.status for verdict in verdicts if verdict.status.reached]
    return Tally(len(reached), reached.count(Status.CORRECT), len(verdicts) - len(reached))


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that k of n samples, drawn without replacement, include one of the c correct samples.

    1 − C(n−c, k) / C(n, k): the unbiased estimator of arXiv 2107.03374, equation 1. Computed in whole
    numbers and rounded once. Raises ValueError unless 1 ≤ k ≤ n and 0 ≤ c ≤ n.
    """
    if not 1 <= k <= n or not 0 <= c <= n:
        raise ValueError(f"pass@{k} of {n} samples, {c} of them correct: 1 ≤ k ≤ n and 0 ≤ c ≤ n must hold")
    ways = math.comb(n, k)
    return (ways - math.comb(n - c, k)) / ways


@lru_cache(maxsize=1 << 12)
def majority_at_k(right: int, wrong: tuple[int, ...], silent: int, k: int) -> float:
    """Probability that the most frequent answer among k of n samples, drawn without replacement, is right.

    `right` samples give the right answer, `wrong` holds the number of samples per wrong answer, and `silent`
    samples give no answer and do not vote; n is their sum. A tie for the most votes is broken at random, so
    a tie of the right answer with t others counts 1/(t + 1); k silent samples count 0. Exact: the C(n, k)
    subsets are counted in integers, by the votes v of the right answer. Raises ValueError unless 1 ≤ k ≤ n
    and all counts are ≥ 0.
    """
    n = right + sum(wrong) + silent
    if not 1 <= k <= n or min(right, silent, *wrong) < 0:
        raise ValueError(
            f"maj@{k} of {right} right, {wrong} wrong and {silent} silent samples is not defined"
        )
    favourable = Fraction(0)
    for v in range(1, min(right, k) + 1):
        rivals = [size for size in wrong if size >= v]
        # answers with fewer than v samples cannot tie: their samples are counted together (Vandermonde)
        free = n - right - sum(rivals)
        ways = Counter({(0, 0): 1})  # (rivals with v votes, votes of all rivals) → number of draws
        for size in rivals:
            extended: Counter[tuple[int, int]] = Counter()
            for (ties, votes), count in ways.items():
                for more in range(min(v, k - v - votes) + 1):
                    extended[ties + (more == v), votes + more] += count * math.comb(size, more)
            ways = extended
        draws = (
            Fraction(count * math.comb(free, k - v - votes), ties + 1)
            for (ties, votes), count in ways.items()
        )
        favourable += math.comb(right, v) * sum(draws)
    return float(favourable / math.comb(n, k))


def majority(statuses: Sequence[Status], votes: Sequence[int | None], k: int) -> float | None:
    """maj@k of one problem's samples [n]; None if the checks of fewer than k finished.

    Equal `votes` mean equal answers (`rlvr.evaluation.votes`); None does not vote.
    """
    right, silent = 0, 0
    wrong: Counter[int] = Counter()
    for status, vote in zip(statuses, votes, strict=True):
        if not status.reached:
            continue
        if vote is None:
            silent += 1
        elif status is Status.CORRECT:
            right += 1
        else:
            wrong[vote] += 1
    if right + wrong.total() + silent < k:
        return None
    return majority_at_k(right, tuple(sorted(wrong.values())), silent, k)


def votes_are_known(statuses: Sequence[Sequence[Status]], votes: Sequence[Sequence[int | None]]) -> bool:
    """Whether maj@k is defined: there are no votes if the reward never reports the extracted answer."""
    judged = any(status in (Status.CORRECT, Status.WRONG) for each in statuses for status in each)
    return not judged or any(vote is not None for each in votes for vote in each)


def mean_at_k(tallies: Sequence[Tally]) -> float:
    """avg@k: the mean over problems of the share of their samples that are correct; nan if there is none.

    All samples of a problem count whose check finished; a problem without such a sample is left out. Its
    expectation is that of pass@1.
    """
    return _mean([tally.correct / tally.reached for tally in tallies if tally.reached])


TRUE_STEPS = "true_steps"  # name of the metric that `sound_share` computes


def sound_share(statuses: Sequence[Status], true_steps: Sequence[bool | None]) -> float | None:
    """The share of samples [n] with a finished check that are correct with all steps true; None without any.

    `true_steps` is that of `Verdict`. A correct answer without a checkable step (None) does not count: only
    its final answer was verified.
    """
    pairs = zip(statuses, true_steps, strict=True)
    sound = [status is Status.CORRECT and steps is True for status, steps in pairs if status.reached]
    return sum(sound) / len(sound) if sound else None


def sound_shares(verdicts: Sequence[Sequence[Verdict]]) -> list[float | None] | None:
    """`sound_share` of each problem's verdicts; None where no answer to any problem has a checkable step."""
    if all(verdict.true_steps is None for problem in verdicts for verdict in problem):
        return None
    return [sound_share([v.status for v in each], [v.true_steps for v in each]) for each in verdicts]


def beside(name: str) -> str:
    """The name of the set `name` in results where `sound_share` replaces the share of correct answers."""
    return f"{name} with true steps"


def evaluation_metrics(
    groups: Sequence[Group],
    ks: Sequence[int] = (1,),
    seed: int = 0,
    votes: Sequence[Sequence[int | None]] | None = None,
) -> dict[str, float]:
    """pass@k, true_steps and, with `votes`, maj@k for k > 1, with 95% intervals over problems.

    `pass@k`, `pass@k_low` and `pass@k_high` are in [0, 1]; the same keys exist for maj@k, and for true_steps
    (`sound_share`) if an answer has a checkable step. `problems` is the number of problems, `unreached` that
    of samples whose check did not finish. A problem with fewer than k finished checks is left out of pass@k
    and maj@k, which are nan if no problem is left. `votes` has an entry for each sample of each group, as
    `majority` takes it; maj@k is absent if no verdict reports the extracted answer.
    """
    tallies = [tally(group.verdicts) for group in groups]
    values: dict[str, list[float]] = {
        f"pass@{k}": [pass_at_k(each.reached, each.correct, k) for each in tallies if each.reached >= k]
        for k in ks
    }
    statuses = [[verdict.status for verdict in group.verdicts] for group in groups]
    for k in ks if votes is not None and votes_are_known(statuses, votes) else ():
        if k > 1:
            per_problem = [majority(*each, k) for each in zip(statuses, votes or (), strict=True)]
            values[f"maj@{k}"] = [value for value in per_problem if value is not None]
    if (shares := sound_shares([group.verdicts for group in groups])) is not None:
        values[TRUE_STEPS] = [share for share in shares if share is not None]
    metrics: dict[str, float] = {}
    for name, problem_values in values.items():
        low, high = bootstrap_interval(problem_values, seed=seed) if problem_values else (math.nan, math.nan)
        metrics |= {name: _mean(problem_values), f"{name}_low": low, f"{name}_high": high}
    metrics["problems"] = len(tallies)
    metrics["unreached"] = sum(each.unreached for each in tallies)
    return metrics


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
