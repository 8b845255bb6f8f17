"""Tests that the mean of paired differences is zero, and Holm's correction for multiple tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev

import numpy as np
import numpy.typing as npt

EXACT_OUTCOMES = 200_000  # a permutation test with at most this many outcomes counts them all
AT_ONCE = 1000  # random draws per batch: each takes eight bytes per distinct size
# A spread below this fraction of the differences' size is rounding error.
ROUNDING = 1e-12


def paired_t_test(differences: Sequence[float]) -> float:
    """Two-sided p of Student's paired t test that the mean of independent differences is zero.

    1 if all of them are zero. nan for fewer than two, if one is nan, and if all are equal but not zero:
    then the standard deviation is zero.
    """
    if len(differences) < 2 or any(math.isnan(value) for value in differences):
        return math.nan
    if not any(differences):
        return 1.0
    spread = stdev(differences)
    if spread <= ROUNDING * max(map(abs, differences)):
        return math.nan
    from scipy.special import stdtr  # 0.2 s, which only a test over seeds needs

    t = mean(differences) / spread * math.sqrt(len(differences))
    return 2 * float(stdtr(len(differences) - 1, -abs(t)))


def sign_flip_test(differences: Sequence[float], seed: int = 0, draws: int = 100_000) -> float:
    """Two-sided p of the permutation test that flips the sign of each paired difference (Fisher, 1935).

    p is the share of all sign assignments whose sum is at least as far from zero as the observed one.
    Differences of the same size are interchangeable, which leaves Π(count + 1) outcomes. Up to
    `EXACT_OUTCOMES` they are all counted; otherwise `draws` are sampled (keyed by `seed`), and the observed
    one is counted among them, so that p is never 0. Pairs without a difference have no effect. nan for no
    pair, or if a difference is nan.

    `scipy.stats.permutation_test` flips every pair separately, so with 60 problems it has to sample, even
    if there are few sizes and all outcomes could be counted.
    """
    values = np.round(np.asarray(differences, dtype=np.float64), 12)  # 0.75 − 0.5 and 1 − 0.75 are one size
    if not len(values) or np.isnan(values).any():
        return math.nan
    sizes, counts = np.unique(np.abs(values[values != 0]), return_counts=True)
    least = abs(math.fsum(values)) - 1e-9 * max(float(sizes @ counts), ROUNDING)
    if math.prod(int(count) + 1 for count in counts) <= EXACT_OUTCOMES:
        sums, weights = _outcomes(sizes, counts)
        return min(float(weights[np.abs(sums) >= least].sum()), 1.0)
    random, extreme = np.random.default_rng(seed), 0
    for begun in range(0, draws, AT_ONCE):
        ups = random.binomial(counts, 0.5, size=(min(AT_ONCE, draws - begun), len(counts)))
        extreme += int(np.sum(np.abs((2 * ups - counts) @ sizes) >= least))
    return (extreme + 1) / (draws + 1)


def _outcomes(
    sizes: npt.NDArray[np.float64], counts: npt.NDArray[np.intp]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Every possible sum under random signs, and its probability."""
    sums, weights = np.zeros(1), np.ones(1)
    for size, count in zip(sizes, map(int, counts), strict=True):
        ups = np.arange(count + 1)
        chances = np.array([math.comb(count, up) / 2**count for up in range(count + 1)])
        sums = np.add.outer(sums, size * (2 * ups - count)).ravel()
        weights = np.multiply.outer(weights, chances).ravel()
    return sums, weights


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for multiple tests, in the same order (Holm, 1979).

    Rejecting those below α keeps the probability of any false rejection at most α, however the tests depend
    on one another. nan stays nan and does not count as a test.
    """
    tested = [index for index, p in enumerate(p_values) if not math.isnan(p)]
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, index in enumerate(sorted(tested, key=lambda index: p_values[index])):
        largest = max(largest, min((len(tested) - rank) * p_values[index], 1.0))
        adjusted[index] = largest
    return adjusted
