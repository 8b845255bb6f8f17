"""Intervals of means, and of paired differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Difference:
    """How much better the second of two policies is on the problems that both were tried on."""

    mean: float  # second − first, −1 to 1
    low: float  # ends of its bootstrap interval
    high: float
    problems: int  # that both have a value for
    changed: int  # of these, those whose value differs


def paired_difference(
    first: Mapping[str, float], second: Mapping[str, float], level: float = 0.95, seed: int = 0
) -> Difference | None:
    """The mean over problems of second − first, with its bootstrap interval; None without a common problem.

    Both map a problem's id to its value (nan: it has none, and is left out). Each problem is compared with
    itself, so how hard the problems are drops out, and the interval is much narrower than those of the two
    means.
    """
    shared = [
        (first[name], second[name])
        for name in sorted(first.keys() & second.keys())
        if not math.isnan(first[name] + second[name])
    ]
    if not shared:
        return None
    differences = [b - a for a, b in shared]
    low, high = bootstrap_interval(differences, level, seed)
    return Difference(
        math.fsum(differences) / len(differences), low, high, len(shared), sum(a != b for a, b in shared)
    )


def student_t_quantile(level: float, df: int) -> float:
    """The t that |T| stays below with probability `level`, T of Student's distribution with df ≥ 1.

    By bisection of the finite series in θ = atan(t/√df) (Abramowitz and Stegun, 26.7.3 and 26.7.4).
    """
    if not 0 < level < 1 or df < 1:
        raise ValueError(f"no quantile of level {level} with {df} degrees of freedom")
    low, high = 0.0, math.pi / 2
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if student_t_inside(middle, df) < level else (low, middle)
    return math.tan(low) * math.sqrt(df)


def student_t_inside(theta: float, df: int) -> float:
    """P(|T| < √df · tan θ)."""
    odd = df % 2
    term = math.cos(theta) if odd else 1.0
    series = 0.0 if df == 1 else term
    for power in range(2 + odd, df - 1, 2):
        term *= (power - 1) / power * math.cos(theta) ** 2
        series += term
    series *= math.sin(theta)
    return 2 / math.pi * (theta + series) if odd else series


def half_interval(values: Sequence[float], level: float = 0.95) -> float:
    """Half the width of the interval of the mean of independent values (of seeds, say), by Student's t.

    nan for fewer than two values, or if one of them is nan.
    """
    if len(values) < 2 or any(math.isnan(value) for value in values):
        return math.nan
    return student_t_quantile(level, len(values) - 1) * stdev(values) / math.sqrt(len(values))
