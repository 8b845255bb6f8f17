"""Tests of differences: against closed forms, brute force, and how often they are wrong."""

from __future__ import annotations

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rlvr.statistics.change import (
    Change,
    Difference,
    corrected,
    difference_over_seeds,
    findings,
    how_tested,
    p_text,
    paired_difference,
)
from rlvr.statistics.intervals import bootstrap_interval, half_interval
from rlvr.statistics.tests import holm, paired_t_test, sign_flip_test

quarters = st.integers(-4, 4).map(lambda whole: whole / 4)


@pytest.mark.parametrize("t", [0.0, 0.3, -1.0, 2.5, 40.0])
def test_p_value_has_its_closed_form_for_one_and_two_degrees_of_freedom(t: float) -> None:
    one, two = [t - 1, t + 1], [t - math.sqrt(3), t, t + math.sqrt(3)]  # s/√n is 1
    assert paired_t_test(one) == pytest.approx(1 - 2 / math.pi * math.atan(abs(t)), abs=1e-14)
    assert paired_t_test(two) == pytest.approx(1 - abs(t) / math.sqrt(2 + t * t), abs=1e-14)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 10, 31, 102])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_p_value_is_the_inverse_of_the_interval(count: int, level: float) -> None:
    values = np.random.default_rng(count).normal(size=count)
    values -= values.mean()
    at_the_end = [float(value) for value in values + half_interval(list(values), level)]
    assert paired_t_test(at_the_end) == pytest.approx(1 - level, abs=1e-12)


def test_p_value_of_many_degrees_of_freedom_is_the_normal_s() -> None:
    values = np.tile([-1.0, 1.0], 50_000)
    values += 1.7 * values.std(ddof=1) / math.sqrt(len(values))
    assert paired_t_test(list(values)) == pytest.approx(math.erfc(1.7 / math.sqrt(2)), abs=1e-5)


@settings(max_examples=60)
@given(st.lists(st.integers(-1000, 1000), min_size=2, max_size=12).filter(lambda all: len(set(all)) > 1))
def test_t_tests_and_intervals_are_those_of_scipy(wholes: list[int]) -> None:
    values = [whole / 1000 for whole in wholes]
    expected = stats.ttest_1samp(values, 0.0)
    low, high = expected.confidence_interval(0.95)
    assert paired_t_test(values) == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-14)
    assert half_interval(values) == pytest.approx((high - low) / 2, rel=1e-9)


def test_paired_t_test_of_a_textbook_s_numbers() -> None:
    """t = mean / (s / √n) = 2 / (√2.5 / √5) = 2.828 with 4 degrees of freedom."""
    assert paired_t_test([0.0, 1.0, 2.0, 3.0, 4.0]) == pytest.approx(2 * stats.t.sf(math.sqrt(8), 4))
    assert paired_t_test([0.0, 1.0, 2.0, 3.0, 4.0]) == pytest.approx(0.0474, abs=5e-5)


def test_paired_t_test_without_spread() -> None:
    assert paired_t_test([0.0, 0.0, 0.0]) == 1.0
    # equal but for rounding, which would otherwise make p about 1e-16
    assert math.isnan(paired_t_test([0.3 - 0.2, 0.2 - 0.1, 0.1]))
    assert math.isnan(paired_t_test([0.1]))
    assert math.isnan(paired_t_test([0.1, math.nan, 0.2]))


@settings(max_examples=60)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_the_interval_holds_zero_where_p_is_above_five_per_cent(values: list[float]) -> None:
    p, half = paired_t_test(values), half_interval(values)
    if math.isnan(p) or abs(p - 0.05) < 1e-9:
        return
    assert (abs(math.fsum(values) / len(values)) < half or not any(values)) == (p > 0.05)


def test_t_intervals_and_tests_are_wrong_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    for seeds in (3, 5, 10):
        trials = 1500
        draws = rng.normal(size=(trials, seeds))
        covered = np.mean([abs(row.mean()) <= half_interval(list(row)) for row in draws])
        rejected = np.mean([paired_t_test(list(row)) < 0.05 for row in draws])
        assert covered == pytest.approx(0.95, abs=0.02)
        assert covered == pytest.approx(1 - rejected, abs=1e-12)


@settings(max_examples=80)
@given(st.lists(quarters, min_size=1, max_size=9))
def test_sign_flips_are_counted_as_brute_force_counts_them(values: list[float]) -> None:
    sums = [
        sum(s * v for s, v in zip(signs, values, strict=True))
        for signs in product((-1, 1), repeat=len(values))
    ]
    expected = np.mean([abs(total) >= abs(sum(values)) for total in sums])
    assert sign_flip_test(values) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=25)
@given(st.lists(quarters, min_size=2, max_size=9))
def test_sign_flips_are_counted_as_scipy_counts_them(values: list[float]) -> None:
    expected = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip_test(values) == pytest.approx(expected.pvalue, abs=1e-12)


@settings(max_examples=40)
@given(st.lists(quarters, min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_sign_flips_know_neither_order_nor_direction_nor_unchanged_pairs(
    values: list[float], random: object
) -> None:
    p = sign_flip_test(values)
    shuffled = [*values, 0.0, 0.0]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sign_flip_test(shuffled) == pytest.approx(p)
    assert sign_flip_test([-value for value in values]) == pytest.approx(p)
    assert 0 < p <= 1


def test_sign_flips_that_are_too_many_to_count_are_drawn() -> None:
    """Forty sizes have 2^40 outcomes; of whole numbers the sums are few, so the truth is known."""
    rng = np.random.default_rng(1)
    values = [size * (1 if rng.random() < 0.68 else -1) for size in range(1, 41)]
    ways: Counter[int] = Counter({0: 1})
    for size in range(1, 41):
        ways = Counter({t + s: sum(
            ways[u] for u in (t + s - size, t + s + size)) for t in ways for s in (-size, size)})  # fmt: skip
    expected = sum(count for total, count in ways.items() if abs(total) >= abs(sum(values))) / 2**40
    assert 0.001 < expected < 0.2
    found = sign_flip_test(values, seed=3)
    assert found == pytest.approx(expected, abs=5 * math.sqrt(expected / 100_000))
    assert found == sign_flip_test(values, seed=3)
    assert found != sign_flip_test(values, seed=4)


def test_a_drawn_p_is_never_zero() -> None:
    assert 0 < sign_flip_test([float(size) for size in range(1, 60)]) < 1e-4


def test_sign_flips_of_rounded_halves_are_one_size() -> None:
    """0.1 + 0.2 − 0.3 is not 0 in floats, and yet the two ways to get ±0.1 tie."""
    assert sign_flip_test([0.3 - 0.2, 0.2 - 0.1, -0.1]) == 1.0


def test_sign_flips_of_nothing() -> None:
    assert sign_flip_test([0.0, 0.0]) == 1.0
    assert math.isnan(sign_flip_test([]))
    assert math.isnan(sign_flip_test([0.1, math.nan]))


def test_the_permutation_test_rejects_nothing_five_times_in_a_hundred() -> None:
    rng = np.random.default_rng(2)
    ps = [sign_flip_test(list(rng.integers(-4, 5, size=60) / 4)) for _ in range(400)]
    assert 0.02 <= np.mean(np.array(ps) < 0.05) <= 0.08
    assert np.mean(ps) == pytest.approx(0.5, abs=0.06)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


def test_holm_does_not_count_what_was_not_tested() -> None:
    adjusted = holm([math.nan, 0.02, math.nan, 0.01])
    assert adjusted[1:4:2] == [0.02, 0.02]
    assert math.isnan(adjusted[0])
    assert math.isnan(adjusted[2])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(values: list[float], random: object) -> None:
    adjusted = holm(values)
    assert all(p <= a <= min(len(values) * p, 1) + 1e-15 for p, a in zip(values, adjusted, strict=True))
    in_order = sorted(zip(values, adjusted, strict=True))
    assert [a for _, a in in_order] == sorted(adjusted)
    shuffled = list(range(len(values)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert holm([values[place] for place in shuffled]) == [adjusted[place] for place in shuffled]


def test_holm_keeps_the_family_wise_error() -> None:
    """Six arms that are all like the baseline, which they share, so that the tests depend on one another."""
    rng = np.random.default_rng(3)
    trials, arms, seeds = 600, 6, 5
    false, naive = 0, 0
    for _ in range(trials):
        values = rng.normal(size=(arms + 1, seeds))
        ps = [paired_t_test(list(arm - values[0])) for arm in values[1:]]
        naive += min(ps) < 0.05
        false += min(holm(ps)) < 0.05
    assert naive / trials > 0.12  # which is what it is for
    assert false / trials <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / trials)


@pytest.mark.parametrize("problems", [30, 100, 400])
@pytest.mark.parametrize("ability", [(1, 1), (1, 4), (6, 2)])
def test_bootstrap_intervals_over_problems_cover_about_as_they_say(
    problems: int, ability: tuple[int, int]
) -> None:
    """The mean of Beta(a, b) is a / (a + b); four samples of each problem."""
    rng = np.random.default_rng(problems)
    truth = ability[0] / sum(ability)
    trials, covered = 400, 0
    for trial in range(trials):
        values = rng.binomial(4, rng.beta(*ability, size=problems)) / 4
        low, high = bootstrap_interval(values, seed=trial, resamples=800)
        covered += low <= truth <= high
    # four standard deviations of so many trials; few problems make it a little too narrow (0.94)
    assert covered / trials == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / trials))


def test_intervals_of_paired_differences_cover_the_gain() -> None:
    rng = np.random.default_rng(4)
    trials, covered = 120, 0
    for trial in range(trials):
        hard = rng.beta(2, 2, size=120) * 0.8
        before, after = (dict(enumerate(rng.binomial(8, p) / 8)) for p in (hard, hard + 0.1))
        named = [{str(name): float(value) for name, value in of.items()} for of in (before, after)]
        found = paired_difference(named[0], named[1], seed=trial)
        assert found is not None
        covered += found.low <= 0.1 <= found.high
    assert 0.89 <= covered / trials <= 0.99


# When a difference may be called one


def over_problems(gains: Sequence[float]) -> Difference:
    found = paired_difference(
        {str(n): 0.0 for n in range(len(gains))}, dict(zip(map(str, range(len(gains))), gains, strict=True))
    )
    assert found is not None
    return found


def alone(found: Difference) -> Difference:
    return corrected({"": found})[""]


gains_of_tables = st.lists(st.lists(quarters, min_size=1, max_size=16), min_size=1, max_size=5)


@settings(max_examples=60)
@given(gains_of_tables, st.booleans())
def test_a_change_is_called_one_where_the_corrected_p_is_below_five_per_cent_and_nowhere_else(
    tables: list[list[float]], seeds: bool
) -> None:
    found = [difference_over_seeds(gains) if seeds else over_problems(gains) for gains in tables]
    table = corrected(dict(enumerate(found)))
    for place, before in enumerate(found):
        after = table[place]
        assert replace(after, p_holm=math.nan, family=0) == before
        assert math.isnan(after.p_holm) if math.isnan(before.p) else before.p <= after.p_holm <= 1
        assert (after.change is Change.UNCLEAR) == (not after.p_holm < 0.05)
        if after.change is not Change.UNCLEAR:
            assert (after.change is Change.BETTER) == (after.mean > 0)
            assert alone(before).change is after.change  # more comparisons never make one clear
    assert {one.family for one in table.values()} == {sum(not math.isnan(one.p) for one in found)}


@settings(max_examples=60)
@given(st.lists(quarters, min_size=1, max_size=16))
def test_swapping_the_two_turns_the_change_round(gains: list[float]) -> None:
    round_about = {Change.BETTER: Change.WORSE, Change.WORSE: Change.BETTER, Change.UNCLEAR: Change.UNCLEAR}
    for make in (over_problems, difference_over_seeds):
        there, back = alone(make(gains)), alone(make([-gain for gain in gains]))
        assert back.change is round_about[there.change]


@given(st.lists(st.floats(-1, 1).filter(bool), max_size=5), st.integers(1, 40))
def test_fewer_than_six_changed_problems_are_never_clear(changed: list[float], same: int) -> None:
    found = alone(over_problems(changed + [0.0] * same))
    assert found.changed == len(changed)
    assert found.p >= 2 / 2**5  # however small the differences are
    assert found.change is Change.UNCLEAR


@pytest.mark.parametrize(("comparisons", "change"), [(1, Change.BETTER), (2, Change.UNCLEAR)])
def test_six_problems_are_clear_alone_and_not_beside_another_comparison(
    comparisons: int, change: Change
) -> None:
    six = over_problems([0.25] * 6)
    assert six.p == 2 / 64
    table = corrected(dict.fromkeys(range(comparisons), six))
    assert [one.change for one in table.values()] == [change] * comparisons


def test_what_was_not_tested_is_not_clear_and_not_counted() -> None:
    same, one = difference_over_seeds([0.5, 0.5, 0.5]), difference_over_seeds([0.5])
    clear = difference_over_seeds([0.50, 0.51, 0.52])
    table = corrected({"same": same, "one": one, "clear": clear})
    assert [found.change for found in table.values()] == [Change.UNCLEAR, Change.UNCLEAR, Change.BETTER]
    assert [found.family for found in table.values()] == [1, 1, 1]
    assert (same.low, same.high) == (0.5, 0.5)
    assert math.isnan(one.low)
    assert "for all" not in "".join(how_tested(table.values()))
    assert not list(how_tested([same, one]))
    assert corrected({}) == {}


def test_what_is_said_of_a_difference() -> None:
    found = corrected({"a": over_problems([0.25] * 20 + [0.0] * 20), "b": over_problems([0.25, -0.25])})
    assert found["a"].points == "+12.5 points, 95% CI +8.8 to +16.2, p < 0.001"
    assert found["b"].points == "+0.0 points, 95% CI -25.0 to +25.0, p = 1.00"
    (note,) = how_tested(found.values())
    assert note.startswith("p values are from the permutation test that flips the signs")
    assert (
        ", after Holm's correction for all 2 gains in this table. A change is statistically significant"
        in note
    )
    (note,) = how_tested([alone(difference_over_seeds([0.1, 0.2]))])
    assert note.startswith("p values are from the paired t test. A change is statistically significant")
    assert note.endswith("A change is statistically significant if p < 0.05.")
    assert [p_text(p) for p in (0.0004, 0.0421, 0.5, math.nan)] == ["<0.001", "0.042", "0.50", "–"]


def test_which_of_the_comparisons_are_significant() -> None:
    said = findings({"a": 0.01, "b": 0.3, "c": 0.05})
    assert said.startswith("With 3 comparisons, some p falls below 0.05 by chance up to 15% of the time")
    assert said.endswith("statistically significant at 5%: a; the others are not.")
    assert findings({"a": 0.01}) == "With one comparison: statistically significant at 5%: a."
    assert findings({"a": 0.05}) == "With one comparison: no difference is statistically significant at 5%."
    assert findings({"a": 0.01, "b": 0.02}).endswith("(Holm): statistically significant at 5%: a, b.")


def test_noise_is_seldom_called_a_change_in_a_table_of_several() -> None:
    rng = np.random.default_rng(5)
    tables, wrong, naive = 60, 0, 0
    for _ in range(tables):
        found = [over_problems(list(rng.integers(-4, 5, size=40) / 4)) for _ in range(6)]
        naive += any(one.p < 0.05 for one in found)
        wrong += any(one.change is not Change.UNCLEAR for one in corrected(dict(enumerate(found))).values())
    assert naive / tables > 0.12
    assert wrong / tables <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / tables)


def test_only_a_test_over_seeds_needs_scipy() -> None:
    code = "import sys\nfrom rlvr.statistics.change import difference_over_seeds, paired_difference\n"
    code += "paired_difference({'a': 1.0}, {'a': 0.5}); difference_over_seeds([0.5])\n"
    code += "print('scipy' in sys.modules)\n"
    code += "difference_over_seeds([0.1, 0.2])\nprint('scipy.stats' in sys.modules)\n"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]
