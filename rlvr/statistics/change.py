"""When a difference is statistically significant: the rule for all tables and texts that compare.

Two-sided tests at 5%, after Holm's correction over all comparisons of one table: a sign-flip permutation
test over problems, Student's paired t test over seeds. The interval is always shown.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, TypeVar

from rlvr.statistics.intervals import bootstrap_interval, half_interval
from rlvr.statistics.tests import holm, paired_t_test, sign_flip_test

ALPHA = 0.05
TESTS = {
    "problems": "permutation test that flips the signs of the problems' differences",
    "seeds": "paired t test",
}
Key = TypeVar("Key", bound=Hashable)


class Change(StrEnum):
    """The conclusion from a difference of a metric where higher is better."""

    BETTER = "improves"
    UNCLEAR = "no clear change"
    WORSE = "worse"


@dataclass(frozen=True)
class Difference:
    """The paired difference of two models: second minus first."""

    mean: float
    low: float  # ends of its 95% interval; nan where there is none
    high: float
    pairs: int  # problems or seeds for which both have a value
    changed: int  # pairs whose two values differ
    over: Literal["problems", "seeds"]
    p: float  # two-sided, of this comparison alone; nan if there is no test
    p_holm: float = math.nan  # after Holm's correction; nan until `corrected`
    family: int = 0  # number of comparisons in Holm's correction

    @property
    def change(self) -> Change:
        """A significant change over problems takes at least six that changed: five give p ≥ 2/2⁵ = 0.06."""
        if not self.p_holm < ALPHA:  # nan as well
            return Change.UNCLEAR
        return Change.BETTER if self.mean > 0 else Change.WORSE

    @property
    def points(self) -> str:
        """A difference of shares as text: percentage points, 95% CI, corrected p."""
        mean, low, high = (f"{100 * x:+.1f}" for x in (self.mean, self.low, self.high))
        p = p_text(self.p_holm)
        return f"{mean} points, 95% CI {low} to {high}, p {p.replace('<', '< ') if '<' in p else f'= {p}'}"


def paired_difference(
    first: Mapping[str, float], second: Mapping[str, float], seed: int = 0
) -> Difference | None:
    """The mean over problems of second − first, with its bootstrap interval; None without a common problem.

    Both map a problem's id to its value; problems with nan are left out. Each problem is compared with
    itself, so the differences in difficulty cancel, and the interval is much narrower than those of the two
    means.
    """
    shared = [
        (first[name], second[name])
        for name in sorted(first.keys() & second.keys())
        if not math.isnan(first[name] + second[name])
    ]
    if not shared:
        return None
    gains = [b - a for a, b in shared]
    low, high = bootstrap_interval(gains, seed=seed)
    changed = sum(a != b for a, b in shared)
    mean = math.fsum(gains) / len(gains)
    return Difference(mean, low, high, len(gains), changed, "problems", sign_flip_test(gains))


def difference_over_seeds(gains: Sequence[float]) -> Difference:
    """The mean of each seed's gain, with its interval by Student's t; `gains` holds at least one."""
    mean, half = math.fsum(gains) / len(gains), half_interval(gains)
    changed = sum(gain != 0 for gain in gains)
    return Difference(mean, mean - half, mean + half, len(gains), changed, "seeds", paired_t_test(gains))


def corrected(family: Mapping[Key, Difference]) -> dict[Key, Difference]:
    """The differences of one table, each with its p after Holm's correction over all of them."""
    p_values = [difference.p for difference in family.values()]
    tests = sum(not math.isnan(p) for p in p_values)
    return {
        key: replace(difference, p_holm=p, family=tests)
        for (key, difference), p in zip(family.items(), holm(p_values), strict=True)
    }


def how_tested(family: Iterable[Difference]) -> Iterator[str]:
    """A sentence on how a table's p values were computed; none if there are no p values."""
    tested = [difference for difference in family if not math.isnan(difference.p)]
    if tested:
        many = f", after Holm's correction for all {len(tested)} gains in this table" * (len(tested) > 1)
        yield (
            f"p values are from the {TESTS[tested[0].over]}{many}. A change is statistically significant "
            f"if p < {ALPHA}."
        )


def findings(p_holm: Mapping[str, float]) -> str:
    """Which of a table's comparisons (name → corrected p, not nan) are statistically significant."""
    count = len(p_holm)
    why = (
        f"With {count} comparisons, some p falls below {ALPHA} by chance up to "
        f"{min(count * ALPHA, 1):.0%} of the time, so p is adjusted for their number (Holm): "
        if count > 1
        else "With one comparison: "
    )
    significant = [name for name, p in p_holm.items() if p < ALPHA]
    if not significant:
        return f"{why}no difference is statistically significant at {ALPHA:.0%}."
    rest = "; the others are not" if len(significant) < count else ""
    return f"{why}statistically significant at {ALPHA:.0%}: {', '.join(significant)}{rest}."


def p_text(p: float) -> str:
    if math.isnan(p):
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.2f}" if p >= 0.1 else f"{p:.3f}"
