"""The numbers of an evaluation, against enumeration and closed forms."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, combinations_with_replacement
from statistics import stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.evaluation.metrics import (
    Tally,
    evaluation_metrics,
    majority,
    majority_at_k,
    mean_at_k,
    pass_at_k,
    sound_share,
    sound_shares,
    tally,
)
from rlvr.statistics.change import paired_difference
from rlvr.statistics.intervals import bootstrap_interval, half_interval
from rlvr.types import Group, Problem, Status, Verdict


def verdict(status: Status) -> Verdict:
    return Verdict(status, float(status == Status.CORRECT) if status.reached else None, "")


def group(*statuses: Status) -> Group:
    return Group(Problem("p", "", ""), [], [verdict(status) for status in statuses])


RIGHT, WRONG, NONE = Status.CORRECT, Status.WRONG, Status.TIMEOUT


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_that_hold_a_correct_sample(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            subsets = list(combinations(range(n), k))
            hits = sum(min(subset) < c for subset in subsets)
            assert pass_at_k(n, c, k) == hits / len(subsets)


@given(n=st.integers(1, 400), data=st.data())
def test_pass_at_k_is_the_rounded_exact_value(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    all_wrong = math.prod((Fraction(n - c - i, n - i) for i in range(k)), start=Fraction(1))
    assert pass_at_k(n, c, k) == float(1 - max(all_wrong, Fraction(0)))


def test_pass_at_k_keeps_its_digits_where_the_textbook_form_loses_them() -> None:
    assert pass_at_k(10**9, 1, 1) == 1e-9  # 1 − (1 − 1e−9) is off in the eighth digit
    assert pass_at_k(3000, 1500, 1500) == 1.0  # both binomials are beyond float


def test_pass_at_k_is_unbiased() -> None:
    p, n, k = 0.3, 6, 4
    expected = sum(math.comb(n, c) * p**c * (1 - p) ** (n - c) * pass_at_k(n, c, k) for c in range(n + 1))
    assert expected == pytest.approx(1 - (1 - p) ** k, abs=1e-14)


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, -1, 1), (4, 2, 0), (4, 2, 5), (0, 0, 1)])
def test_pass_at_k_outside_its_domain(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="must hold"):
        pass_at_k(n, c, k)


def test_unreached_verdicts_leave_the_denominator_and_are_counted() -> None:
    statuses = [RIGHT, WRONG, Status.TIMEOUT, Status.UNPARSEABLE, Status.CRASHED, RIGHT]
    assert tally([verdict(status) for status in statuses]) == Tally(reached=4, correct=2, unreached=2)


def test_mean_at_k_weighs_problems_alike() -> None:
    tallies = [Tally(4, 1), Tally(2, 2, unreached=2), Tally(0, 0, unreached=4)]
    assert mean_at_k(tallies) == (0.25 + 1.0) / 2
    assert math.isnan(mean_at_k([Tally(0, 0, unreached=1)]))


def test_a_tally_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="is not valid"):
        Tally(reached=2, correct=3)


def test_evaluation_metrics() -> None:
    groups = [group(RIGHT, WRONG, WRONG), group(RIGHT, RIGHT, NONE), group(NONE, NONE, NONE)]
    metrics = evaluation_metrics(groups, ks=(1, 3))
    assert metrics["pass@1"] == pytest.approx((1 / 3 + 1) / 2)
    assert metrics["pass@1"] == mean_at_k([tally(each.verdicts) for each in groups])
    assert metrics["pass@3"] == 1.0  # only the first problem has three verdicts
    assert (metrics["problems"], metrics["unreached"]) == (3, 4)
    assert metrics["pass@1_low"] == pytest.approx(1 / 3)
    assert metrics["pass@1_high"] == 1.0
    nothing = evaluation_metrics([group(NONE)])
    assert all(math.isnan(nothing[f"pass@1{end}"]) for end in ("", "_low", "_high"))


def test_interval_matches_the_exact_bootstrap_distribution() -> None:
    """Of 0/1 values the bootstrap mean is binomial, so its quantiles are known."""
    n, c = 50, 20
    cdf = np.cumsum([math.comb(n, i) * 0.4**i * 0.6 ** (n - i) for i in range(n + 1)])
    low, high = bootstrap_interval([1.0] * c + [0.0] * (n - c), level=0.9)
    assert low == np.searchsorted(cdf, 0.05) / n
    assert high == np.searchsorted(cdf, 0.95) / n


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_interval_does_not_depend_on_the_order_of_problems(values: list[float], random: object) -> None:
    interval = bootstrap_interval(values, seed=3, resamples=200)
    shuffled = list(values)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert bootstrap_interval(shuffled, seed=3, resamples=200) == interval
    assert min(values) - 1e-12 <= interval[0] <= interval[1] <= max(values) + 1e-12


def test_interval_follows_its_seed_and_level() -> None:
    values = np.random.default_rng(0).random(40)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)
    narrow, wide = bootstrap_interval(values, level=0.5), bootstrap_interval(values, level=0.99)
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    trials, covered, p = 400, 0, 0.6
    for trial in range(trials):
        # Problems of unequal difficulty with four samples each: E[mean] is p.
        difficulty = rng.beta(3, 2, size=100)
        low, high = bootstrap_interval(rng.binomial(4, difficulty) / 4, seed=trial, resamples=1000)
        covered += low <= p <= high
    assert 0.91 <= covered / trials <= 0.98


@pytest.mark.parametrize(("values", "level"), [([], 0.95), ([1.0], 0.0), ([1.0], 1.0)])
def test_interval_of_nothing(values: list[float], level: float) -> None:
    with pytest.raises(ValueError, match="no interval"):
        bootstrap_interval(values, level)


def test_paired_difference_compares_each_problem_with_itself() -> None:
    first = {"a": 0.0, "b": 0.5, "c": 1.0, "only first": 1.0, "no verdict": math.nan}
    second = {"c": 1.0, "b": 1.0, "a": 0.25, "only second": 0.0, "no verdict": 1.0}
    found = paired_difference(first, second)
    assert found is not None
    assert (found.mean, found.pairs, found.changed) == (0.25, 3, 2)
    assert (found.low, found.high) == bootstrap_interval([0.25, 0.5, 0.0])
    assert paired_difference(dict(reversed(first.items())), second) == found
    assert paired_difference({"a": 1.0}, {"b": 1.0}) is None
    assert paired_difference({"a": math.nan}, {"a": 1.0}) is None


def test_paired_interval_is_blind_to_how_hard_the_problems_are() -> None:
    rng = np.random.default_rng(0)
    hardness, gains = rng.random(60) * 0.5, rng.random(60) * 0.06
    first = {str(i): float(hardness[i]) for i in range(60)}
    second = {str(i): float(hardness[i] + gains[i]) for i in range(60)}
    found = paired_difference(first, second)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(bootstrap_interval(gains), abs=1e-12)
    assert found.low > 0  # while the intervals of the two means overlap
    assert bootstrap_interval(list(first.values()))[1] > bootstrap_interval(list(second.values()))[0]


def test_student_t_against_closed_forms() -> None:
    for level in (0.5, 0.9, 0.95, 0.99):
        # s/√n is 1 for both
        assert half_interval([-1.0, 1.0], level) == pytest.approx(math.tan(math.pi * level / 2))  # Cauchy
        three = [-math.sqrt(3), 0.0, math.sqrt(3)]
        assert half_interval(three, level) == pytest.approx(level * math.sqrt(2 / (1 - level**2)))


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 8, 9, 30, 101])
def test_half_an_interval_inverts_the_integral_of_students_density(df: int) -> None:
    values = [float(number) for number in range(df + 1)]
    quantile = half_interval(values) / stdev(values) * math.sqrt(df + 1)
    t = np.linspace(0, quantile, 200_001)
    scale = math.exp(math.lgamma((df + 1) / 2) - math.lgamma(df / 2)) / math.sqrt(df * math.pi)
    density = scale * (1 + t * t / df) ** (-(df + 1) / 2)
    assert 2 * np.trapezoid(density, t) == pytest.approx(0.95, abs=1e-8)


def test_half_interval() -> None:
    # three values: t = 4.3027, s = 1, n = 3
    assert half_interval([1.0, 2.0, 3.0]) == pytest.approx(4.30265273 / math.sqrt(3), abs=1e-8)
    assert half_interval([5.0, 5.0]) == 0
    assert math.isnan(half_interval([1.0]))
    assert math.isnan(half_interval([1.0, math.nan, 2.0]))


# --- majority votes ----------------------------------------------------------------------------------


def by_enumeration(labels: list[int | None], k: int) -> Fraction:
    """maj@k of samples by going through all subsets; 0 is the right answer, None is no answer."""
    subsets = list(combinations(labels, k))
    total = Fraction(0)
    for subset in subsets:
        votes = Counter(label for label in subset if label is not None)
        most = max(votes.values(), default=0)
        winners = [label for label, count in votes.items() if count == most]
        total += Fraction(0 in winners, max(len(winners), 1))
    return total / len(subsets)


def maj(labels: list[int | None], k: int) -> float | None:
    statuses = [RIGHT if label == 0 else WRONG if label else Status.UNPARSEABLE for label in labels]
    return majority(statuses, labels, k)


@pytest.mark.parametrize("n", range(1, 7))
def test_majority_is_the_mean_over_all_subsets_for_every_profile_of_answers(n: int) -> None:
    for labels in combinations_with_replacement([0, 1, 2, 3, None], n):
        for k in range(1, n + 1):
            assert maj(list(labels), k) == float(by_enumeration(list(labels), k))


LABELS = st.lists(st.sampled_from([0, 0, 1, 1, 2, 3, 4, None]), min_size=1, max_size=12)


@given(LABELS, st.data())
def test_majority_of_more_samples_against_all_subsets_in_any_order(
    labels: list[int | None], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(labels)))
    assert maj(labels, k) == float(by_enumeration(labels, k))
    assert maj(data.draw(st.permutations(labels)), k) == maj(labels, k)


@given(LABELS, st.data())
def test_majority_of_one_is_the_mean_and_no_majority_is_beyond_pass_at_k(
    labels: list[int | None], data: st.DataObject
) -> None:
    n, right = len(labels), labels.count(0)
    k = data.draw(st.integers(1, n))
    assert maj(labels, 1) == right / n
    found = maj(labels, k)
    assert found is not None
    assert 0 <= found <= pass_at_k(n, right, k)
    # one answer more that is right, in place of a wrong one, cannot hurt
    if wrong := [place for place, label in enumerate(labels) if label]:
        better = list(labels)
        better[wrong[0]] = 0
        assert (maj(better, k) or 0) >= found


def test_majority_by_hand() -> None:
    assert maj([0, 0, 1], 3) == 1
    assert maj([0, 1, 2], 3) == pytest.approx(1 / 3)  # a tie of three
    assert maj([0, 0, 1, 1, 2], 5) == 0.5
    assert maj([0, None, None], 3) == 1  # who says nothing votes for nothing
    assert maj([None, None], 2) == 0
    assert maj([1, 1, 0], 2) == pytest.approx((0 + 0.5 + 0.5) / 3)


def test_a_sample_without_a_verdict_has_no_vote_and_leaves_the_number_of_samples() -> None:
    statuses = [RIGHT, WRONG, NONE, NONE]
    assert majority(statuses, [0, 1, 1, 1], 2) == 0.5
    assert majority(statuses, [0, 1, 1, 1], 3) is None


def test_majority_of_hundreds_of_samples_needs_no_subsets() -> None:
    # every sample says something else: the right one wins by a tie, or was not drawn
    assert majority_at_k(1, (1,) * 255, 0, 16) == pytest.approx(1 / 256)
    assert majority_at_k(200, (30, 20, 6), 0, 255) == 1.0


@pytest.mark.parametrize(
    ("right", "wrong", "silent", "k"), [(1, (1,), 0, 3), (1, (), 0, 0), (-1, (4,), 0, 1)]
)
def test_majority_outside_its_domain(right: int, wrong: tuple[int, ...], silent: int, k: int) -> None:
    with pytest.raises(ValueError, match="not defined"):
        majority_at_k(right, wrong, silent, k)


def test_evaluation_metrics_with_votes() -> None:
    groups = [group(RIGHT, WRONG, WRONG), group(RIGHT, RIGHT, NONE)]
    votes: list[list[int | None]] = [[0, 1, 1], [0, 0, None]]
    metrics = evaluation_metrics(groups, ks=(1, 2), votes=votes)
    # of the first: (right, wrong) twice, which is a tie, and (wrong, wrong)
    assert metrics["maj@2"] == pytest.approx((1 / 3 + 1) / 2)
    assert metrics["maj@2_low"] == pytest.approx(1 / 3)
    assert "maj@1" not in metrics
    unknown: list[list[int | None]] = [[None] * 3, [None] * 3]  # a reward that does not say what it read
    assert "maj@2" not in evaluation_metrics(groups, ks=(1, 2), votes=unknown)
    silent = [group(Status.UNPARSEABLE, Status.UNPARSEABLE)]
    assert evaluation_metrics(silent, ks=(2,), votes=[[None, None]])["maj@2"] == 0


def with_steps(*verdicts: tuple[Status, bool | None]) -> Group:
    """A problem with samples of these statuses, whose steps are true, false or not there."""
    made = group(*(status for status, _ in verdicts))
    made.verdicts = [
        replace(own, true_steps=steps) for own, (_, steps) in zip(made.verdicts, verdicts, strict=True)
    ]
    return made


def test_right_with_true_steps_is_a_share_of_all_that_were_judged() -> None:
    statuses = [RIGHT, RIGHT, RIGHT, WRONG, NONE]
    assert sound_share(statuses, [True, False, None, True, None]) == 1 / 4
    assert sound_share([NONE], [None]) is None
    groups = [
        with_steps((RIGHT, True), (RIGHT, False), (WRONG, True), (RIGHT, None)),
        with_steps((RIGHT, True), (NONE, None)),
        with_steps((NONE, None)),
    ]
    assert sound_shares([each.verdicts for each in groups]) == [1 / 4, 1.0, None]
    metrics = evaluation_metrics(groups)
    assert metrics["true_steps"] == pytest.approx((1 / 4 + 1) / 2)
    assert metrics["true_steps_low"] == 1 / 4
    assert metrics["true_steps"] < metrics["pass@1"] == pytest.approx((3 / 4 + 1) / 2)


def test_without_a_checkable_step_there_is_no_share_of_true_steps() -> None:
    groups = [with_steps((RIGHT, None), (WRONG, None)), with_steps((RIGHT, None))]
    assert sound_shares([each.verdicts for each in groups]) is None
    assert not any("true_steps" in name for name in evaluation_metrics(groups))
    groups.append(with_steps((WRONG, False)))  # where there is one, even a false one, it is 0
    assert evaluation_metrics(groups)["true_steps"] == 0.0
