"""Confidence intervals of means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import stdev

import numpy as np
import numpy.typing as npt


def bootstrap_interval(
    per_problem_values: Sequence[float] | npt.NDArray[np.floating],
    level: float = 0.95,
    seed: int = 0,
    resamples: int = 10_000,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean, drawing problems with replacement.

    `per_problem_values` holds one value per problem [P]; their order does not matter. The interval covers
    the choice of problems, and sampling noise as far as it shows in the values. If all values are equal its
    width is zero, which means little for few problems.
    """
    if len(per_problem_values) == 0 or not 0 < level < 1:
        raise ValueError(f"no interval of level {level} from {len(per_problem_values)} problems")
    values, counts = np.unique(np.asarray(per_problem_values, dtype=np.float64), return_counts=True)
    problems = len(per_problem_values)
    # The counts of the distinct values in a resample are multinomial, which avoids drawing P indices each.
    drawn = np.random.default_rng(seed).multinomial(problems, counts / problems, size=resamples)
    means = drawn @ values / problems
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


FEWEST = 5  # problems that a bootstrap needs to be meaningful


def tells(low: float, high: float, problems: int | None = None) -> bool:
    """Whether a bootstrap interval is worth showing.

    If all values are equal its width is zero, and with few problems it is far too narrow: neither means
    that the mean is known precisely. `problems`: their number; None if unknown.
    """
    return low != high and (problems is None or problems >= FEWEST)


def half_interval(values: Sequence[float], level: float = 0.95) -> float:
    """Half the width of Student's t interval of the mean of independent values, such as those of seeds.

    nan for fewer than two values, or if one of them is nan.
    """
    if len(values) < 2 or any(math.isnan(value) for value in values):
        return math.nan
    from scipy.special import stdtrit  # 0.2 s, which only an interval over seeds needs

    df = len(values) - 1
    return float(stdtrit(df, (1 + level) / 2)) * stdev(values) / math.sqrt(len(values))
