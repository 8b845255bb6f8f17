"""Intervals of means."""

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

    `per_problem_values` holds one value per problem [P], whose order does not matter. It covers what
    other problems of the same kind would have given; the luck of sampling is in it as far as it shows in
    the values. Where all values are equal it has no width, which says little for few problems.
    """
    if len(per_problem_values) == 0 or not 0 < level < 1:
        raise ValueError(f"no interval of level {level} from {len(per_problem_values)} problems")
    values, counts = np.unique(np.asarray(per_problem_values, dtype=np.float64), return_counts=True)
    problems = len(per_problem_values)
    # How often each distinct value is drawn is multinomial: the same draw without P numbers for each.
    drawn = np.random.default_rng(seed).multinomial(problems, counts / problems, size=resamples)
    means = drawn @ values / problems
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


FEWEST = 5  # problems, from which on a bootstrap over them says anything


def tells(low: float, high: float, problems: int | None = None) -> bool:
    """Whether a bootstrap interval is worth showing.

    Where all values are equal it has no width, and of few problems it is far too narrow: neither says that
    the mean is known. `problems` None: how many there are is not known.
    """
    return low != high and (problems is None or problems >= FEWEST)


def half_interval(values: Sequence[float], level: float = 0.95) -> float:
    """Half the width of the interval of the mean of independent values (of seeds, say), by Student's t.

    nan for fewer than two values, or if one of them is nan.
    """
    if len(values) < 2 or any(math.isnan(value) for value in values):
        return math.nan
    from scipy.special import stdtrit  # 0.2 s, which only an interval over seeds needs

    df = len(values) - 1
    return float(stdtrit(df, (1 + level) / 2)) * stdev(values) / math.sqrt(len(values))
