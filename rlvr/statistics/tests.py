"""Tests that a mean of paired differences is zero, and the correction for how many are made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev

import numpy as np
import numpy.typing as npt

EXACT_OUTCOMES = 200_000  # of a permutation test, up to which they are all counted
AT_ONCE = 1000  # draws, as each takes eight bytes for every size
# Differences that agree to so many parts of their size have no spread but rounding.
ROUNDING = 1e-12


def paired_t_test(differences: Sequence[float]) -> float:
    """Two-sided p of Student's paired t test that the mean of independent differences is zero.

    1 if all of them are zero. nan for fewer than two, if one is nan, and if all are the same but not
    zero: then there is no spread to hold the mean against.
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

    The share of all ways to flip them whose sum lies as far from zero as the one observed. Differences
    of the same size are interchangeable, which leaves Π(count + 1) outcomes: these are all counted where
    there are few, otherwise drawn at random (keyed by `seed`), with the observed one among them so that p
    is never 0. Pairs without a difference change nothing. nan for no pair, or if a difference is nan.

    `scipy.stats.permutation_test` flips every pair by itself: of 60 problems it can only draw, where their
    few sizes leave outcomes that can all be counted.
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
    """Every sum that flipped signs can give, and its probability."""
    sums, weights = np.zeros(1), np.ones(1)
    for size, count in zip(sizes, map(int, counts), strict=True):
        ups = np.arange(count + 1)
        chances = np.array([math.comb(count, up) / 2**count for up in range(count + 1)])
        sums = np.add.outer(sums, size * (2 * ups - count)).ravel()
        weights = np.multiply.outer(weights, chances).ravel()
    return sums, weights


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for how many there are, in their order (Holm, 1979).

    Rejecting those below α keeps the chance of any false rejection at α or less, however the tests depend
    on one another. nan stays nan and counts as no test.
    """
    tested = [index for index, p in enumerate(p_values) if not math.isnan(p)]
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, index in enumerate(sorted(tested, key=lambda index: p_values[index])):
        largest = max(largest, min((len(tested) - rank) * p_values[index], 1.0))
        adjusted[index] = largest
    return adjusted
