"""How good a policy is, from the verdicts on its samples: pure functions, no engine.

A sample whose verdict was not reached says nothing about the policy. It leaves the denominator, and
is counted, so that a number that rests on few samples is seen to do so.
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
    """The samples of one problem."""

    reached: int  # n: samples with a verdict
    correct: int  # c ≤ n
    unreached: int = 0  # samples without one

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= self.reached or self.unreached < 0:
            raise ValueError(f"{self} is no tally: 0 ≤ correct ≤ reached and 0 ≤ unreached must hold")


def tally(verdicts: Sequence[Verdict]) -> Tally:
    reached = [verdict.status for verdict in verdicts if verdict.status.reached]
    return Tally(len(reached), reached.count(Status.CORRECT), len(verdicts) - len(reached))


def pass_at_k(n: int, c: int, k: int) -> float:
    """Probability that k of n samples, drawn without replacement, hold one of the c correct ones.

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

    `right` samples give the right answer, `wrong` holds how many give each wrong one, and `silent` give
    none, which votes for nothing; n is their sum. Of answers that tie for the most votes one is drawn, so a
    tie of the right one with t others counts 1/(t + 1); k samples that are all silent are not right. Exact:
    the C(n, k) subsets are counted in whole numbers, by the votes v of the right answer. Raises ValueError
    unless 1 ≤ k ≤ n and all counts are ≥ 0.
    """
    n = right + sum(wrong) + silent
    if not 1 <= k <= n or min(right, silent, *wrong) < 0:
        raise ValueError(
            f"maj@{k} of {right} right, {wrong} wrong and {silent} silent samples is not defined"
        )
    favourable = Fraction(0)
    for v in range(1, min(right, k) + 1):
        rivals = [size for size in wrong if size >= v]
        # an answer of fewer samples cannot tie: how its samples are drawn does not matter (Vandermonde)
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
    """maj@k of one problem's samples [n]; None where fewer than k have a verdict.

    Equal `votes` are equal answers (`rlvr.evaluation.votes`); None votes for nothing.
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
    """Whether maj@k means anything: a reward that never says which answer it read gives no votes at all."""
    judged = any(status in (Status.CORRECT, Status.WRONG) for each in statuses for status in each)
    return not judged or any(vote is not None for each in votes for vote in each)


def mean_at_k(tallies: Sequence[Tally]) -> float:
    """avg@k: the mean over problems of the share of their samples that are correct; nan if there is none.

    The k samples of a problem are all it has, less those without a verdict; a problem left with none is
    left out. Its expectation is that of pass@1.
    """
    return _mean([tally.correct / tally.reached for tally in tallies if tally.reached])


TRUE_STEPS = "true_steps"  # name of the metric that `sound_share` is, beside pass@1 and avg@k


def sound_share(statuses: Sequence[Status], true_steps: Sequence[bool | None]) -> float | None:
    """The share of the samples [n] with a verdict that are right with all their steps true; None without one.

    `true_steps` is of `Verdict`. A right answer without a checkable step (None) is not one of them: nothing
    in it was verified but its end.
    """
    pairs = zip(statuses, true_steps, strict=True)
    found = [status is Status.CORRECT and steps is True for status, steps in pairs if status.reached]
    return sum(found) / len(found) if found else None


def sound_shares(verdicts: Sequence[Sequence[Verdict]]) -> list[float | None] | None:
    """`sound_share` of each problem's verdicts; None where no answer to any problem has a checkable step."""
    if all(verdict.true_steps is None for of in verdicts for verdict in of):
        return None
    return [sound_share([v.status for v in of], [v.true_steps for v in of]) for of in verdicts]


def beside(name: str) -> str:
    """How the set `name` is called where `sound_share` takes the place of the share of right answers."""
    return f"{name} with true steps"


def evaluation_metrics(
    groups: Sequence[Group],
    ks: Sequence[int] = (1,),
    seed: int = 0,
    votes: Sequence[Sequence[int | None]] | None = None,
) -> dict[str, float]:
    """pass@k, true_steps and, with `votes`, maj@k > 1 for each k, with 95% intervals over problems; what they
    rest on.

    `pass@k`, `pass@k_low`, `pass@k_high` in [0, 1], and the same of maj@k and of true_steps (`sound_share`),
    which is there if an answer has a checkable step; `problems`; `unreached`: samples without a verdict. A
    problem with fewer than k verdicts is left out of pass@k and maj@k, which are nan when none is left.
    `votes` has a number for each sample of each group, as `majority` takes it; maj@k is not there if no
    verdict says which answer it read.
    """
    tallies = [tally(group.verdicts) for group in groups]
    values: dict[str, list[float]] = {
        f"pass@{k}": [pass_at_k(each.reached, each.correct, k) for each in tallies if each.reached >= k]
        for k in ks
    }
    statuses = [[verdict.status for verdict in group.verdicts] for group in groups]
    for k in ks if votes is not None and votes_are_known(statuses, votes) else ():
        if k > 1:
            found = [majority(*each, k) for each in zip(statuses, votes or (), strict=True)]
            values[f"maj@{k}"] = [value for value in found if value is not None]
    if (shares := sound_shares([group.verdicts for group in groups])) is not None:
        values[TRUE_STEPS] = [share for share in shares if share is not None]
    metrics: dict[str, float] = {}
    for name, of_problems in values.items():
        low, high = bootstrap_interval(of_problems, seed=seed) if of_problems else (math.nan, math.nan)
        metrics |= {name: _mean(of_problems), f"{name}_low": low, f"{name}_high": high}
    metrics["problems"] = len(tallies)
    metrics["unreached"] = sum(each.unreached for each in tallies)
    return metrics


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
