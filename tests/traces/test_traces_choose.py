"""Which traces are learned from, and which are paired: never what must not be, whatever the order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_examples import CRASHED, LENGTH, MANY_TRACES, RIGHT, TIMEOUT, UNREAD, WRONG, trace

from rlvr.base.settings import out_of_range
from rlvr.traces.choose import choose
from rlvr.traces.config import PAIRING, PREFER, PairConfig, TraceConfig, contradictions
from rlvr.traces.pairs import Pair, pairs
from rlvr.traces.traces import Trace
from rlvr.types import ConfigError, DataError

RATES = st.sampled_from([None, None, None, 0.0, 0.25, 0.5, 1.0])
COUNTS = st.sampled_from([None, None, None, 1, 2, 3, 4])
TRACE_CONFIGS = st.builds(
    TraceConfig,
    min_pass_rate=RATES,
    max_pass_rate=RATES,
    max_repetition=st.sampled_from([None, 0.2]),
    max_length=COUNTS,
    unfinished=st.booleans(),
    per_problem=COUNTS,
    prefer=st.sampled_from(PREFER),
    per_domain=COUNTS,
    limit=COUNTS,
).filter(lambda config: not list(contradictions(config)))
PAIR_CONFIGS = st.builds(
    PairConfig,
    per_problem=COUNTS,
    pairing=st.sampled_from(PAIRING),
    reuse=st.booleans(),
    min_pass_rate=RATES,
    max_pass_rate=RATES,
    max_length=COUNTS,
    max_length_ratio=st.sampled_from([None, 1.0, 2.0]),
    unparseable=st.booleans(),
    truncated=st.booleans(),
).filter(lambda config: not list(contradictions(config)))


def within(value: float | None, low: float | None, high: float | None) -> bool:
    if low is None and high is None:
        return True
    return value is not None and (low is None or value >= low) and (high is None or value <= high)


def chosen(traces: Sequence[Trace], **fields: Any) -> list[tuple[str, int]]:
    return [(each.problem.id, each.sample) for each in choose(traces, TraceConfig(**fields))[0]]


def paired(traces: Sequence[Trace], seed: int = 0, **fields: Any) -> list[tuple[int, int]]:
    found, _ = pairs(traces, PairConfig(**fields), seed)
    return [(pair.chosen.sample, pair.rejected.sample) for pair in found]


# choosing


@given(MANY_TRACES, TRACE_CONFIGS, st.integers(0, 3), st.randoms(use_true_random=False))
def test_what_is_chosen_meets_every_criterion_in_any_order(
    traces: list[Trace], config: TraceConfig, seed: int, order: random.Random
) -> None:
    may = [
        each
        for each in traces
        if each.status is RIGHT
        and each.dropped is None
        and (each.finished or config.unfinished)
        and within(each.pass_rate, config.min_pass_rate, config.max_pass_rate)
        and (config.max_length is None or each.length <= config.max_length)
        and (config.max_repetition is None or each.repetition <= config.max_repetition)
    ]
    if not may:
        with pytest.raises(DataError):
            choose(traces, config, seed)
        return
    found, left_out = choose(traces, config, seed)
    assert all(each in may for each in found)
    assert found == sorted(found, key=lambda each: (each.problem.id, each.source, each.sample))
    assert len(found) + sum(left_out.values()) == len(traces)
    assert max(Counter(each.problem.id for each in found).values()) <= (config.per_problem or 99)
    assert max(Counter(each.domain for each in found).values()) <= (config.per_domain or 99)
    assert len(found) <= (config.limit or 99)
    if (config.per_problem, config.per_domain, config.limit) == (None, None, None):
        assert len(found) == len(may)
    shuffled = order.sample(traces, len(traces))
    assert choose(shuffled, config, seed) == (found, left_out)


def test_each_trace_is_counted_by_the_first_criterion_that_it_fails() -> None:
    traces = [
        trace(sample=0),
        trace(sample=1, dropped="overlaps aime", status=WRONG),
        trace(sample=2, status=TIMEOUT, finish_reason=LENGTH),
        trace(sample=3, finish_reason=LENGTH, length=99),
        trace(sample=4, pass_rate=0.1),
        trace(sample=5, pass_rate=None),
        trace(sample=6, length=99),
        trace(sample=7, repetition=0.9),
        trace(sample=8),
        trace("q", sample=0),
    ]
    found, left_out = choose(
        traces, TraceConfig(min_pass_rate=0.2, max_length=20, max_repetition=0.5, per_problem=1, limit=1)
    )
    assert len(found) == 1
    assert left_out == {
        "dropped": 1,
        "not correct": 1,
        "cut off": 1,
        "min_pass_rate": 2,
        "max_length": 1,
        "max_repetition": 1,
        "per_problem": 1,
        "limit": 1,
    }


def test_which_of_a_problems_traces_go_first() -> None:
    traces = [trace(sample=sample, length=length) for sample, length in enumerate([5, 9, 3, 3])]
    assert chosen(traces, per_problem=1, prefer="first") == [("p", 0)]
    assert chosen(traces, per_problem=2, prefer="shortest") == [("p", 2), ("p", 3)]
    drawn = Counter(
        choose(traces, TraceConfig(per_problem=1, prefer="random"), seed)[0][0].sample for seed in range(400)
    )
    assert set(drawn) == {0, 1, 2, 3}
    assert min(drawn.values()) > 60


def test_a_draw_for_one_problem_does_not_depend_on_the_others() -> None:
    own = [trace("p", sample) for sample in range(8)]
    others = [trace(name, sample) for name in "qrs" for sample in range(8)]
    config = TraceConfig(per_problem=3, prefer="random")
    together = [each for each in choose([*own, *others], config, 5)[0] if each.problem.id == "p"]
    assert together == choose(own, config, 5)[0]


def test_limits_take_every_problem_once_before_any_twice() -> None:
    traces = [trace(name, sample) for name in "abcdef" for sample in range(10)]
    assert sorted(name for name, _ in chosen(traces, limit=6)) == list("abcdef")
    assert set(Counter(name for name, _ in chosen(traces, limit=12)).values()) == {2}
    draws = {tuple(choose(traces, TraceConfig(limit=3), seed)[0][i].problem.id for i in range(3))
             for seed in range(20)}  # fmt: skip
    assert len(draws) > 5


def test_domains_are_balanced() -> None:
    traces = [trace(f"a{i}", domain="algebra") for i in range(9)]
    traces += [trace(f"g{i}", domain="geometry") for i in range(3)]
    found, left_out = choose(traces, TraceConfig(per_domain=4))
    assert Counter(each.domain for each in found) == {"algebra": 4, "geometry": 3}
    assert left_out["per_domain"] == 5


@pytest.mark.parametrize(
    ("spoiled", "config", "named"),
    [
        ({"status": WRONG}, {}, "2 not correct.*better teacher"),
        ({"finish_reason": LENGTH}, {}, "2 cut off.*set unfinished"),
        ({"length": 99}, {"max_length": 9}, "2 max_length.*raise it"),
        ({"pass_rate": 0.1}, {"min_pass_rate": 0.5}, "2 min_pass_rate.*lower it"),
        ({"dropped": "overlaps aime"}, {}, "2 dropped.*other problems"),
    ],
)
def test_an_empty_choice_names_what_left_out_most(
    spoiled: dict[str, Any], config: dict[str, Any], named: str
) -> None:
    traces = [trace(sample=0, **spoiled), trace(sample=1, **spoiled), trace(sample=2, status=TIMEOUT)]
    if "status" in spoiled:
        traces[2] = trace(sample=2, dropped="duplicate answer")
    with pytest.raises(DataError, match=named):
        choose(traces, TraceConfig(**config))
    with pytest.raises(DataError, match="no traces"):
        choose([], TraceConfig(**config))


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (TraceConfig(min_pass_rate=0.8, max_pass_rate=0.2), "no problem is between"),
        (TraceConfig(prefer="shortest"), "prefer has no effect"),
        (TraceConfig(prefer="longest"), "first, shortest, random"),
        (TraceConfig(limit=0), "limit is 0"),
        (PairConfig(min_pass_rate=0.8, max_pass_rate=0.2), "no problem is between"),
        (PairConfig(per_problem=None, reuse=True, pairing="closest_length"), "pairing has no effect"),
        (PairConfig(max_length_ratio=0.5), "max_length_ratio is 0.5"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(config: TraceConfig | PairConfig, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        choose([trace()], config) if isinstance(config, TraceConfig) else pairs([trace()], config)


def test_defaults_are_in_range() -> None:
    for config in (TraceConfig(), PairConfig()):
        assert [*out_of_range(config), *contradictions(config)] == []


# pairing


@settings(max_examples=200)
@given(MANY_TRACES, PAIR_CONFIGS, st.integers(0, 3), st.randoms(use_true_random=False))
def test_pairs_are_sound_in_any_order(
    traces: list[Trace], config: PairConfig, seed: int, order: random.Random
) -> None:
    try:
        found, left_out = pairs(traces, config, seed)
    except DataError:
        assert not possible_pairs(traces, config)
        return
    possible = possible_pairs(traces, config)
    assert all(pair in possible for pair in found)
    names = [pair.chosen.problem.id for pair in found]
    assert names == sorted(names)
    assert len({(repr(pair.chosen), repr(pair.rejected)) for pair in found}) == len(found)
    assert {pair.chosen.problem.id for pair in found} == {pair.chosen.problem.id for pair in possible}
    for name in {pair.chosen.problem.id for pair in found}:
        own = [pair for pair in found if pair.chosen.problem.id == name]
        assert len(own) <= (config.per_problem or 99)
        if not config.reuse:
            members = [repr(each) for pair in own for each in (pair.chosen, pair.rejected)]
            assert len(set(members)) == len(members)
    assert pairs(order.sample(traces, len(traces)), config, seed) == (found, left_out)


def possible_pairs(traces: Sequence[Trace], config: PairConfig) -> list[Pair]:
    """Every two traces that may be a pair, by the words of the settings."""
    statuses = [WRONG, UNREAD] if config.unparseable else [WRONG]
    usable = [
        each
        for each in traces
        if each.dropped is None
        and within(each.pass_rate, config.min_pass_rate, config.max_pass_rate)
        and (config.max_length is None or each.length <= config.max_length)
    ]
    ratio = config.max_length_ratio
    return [
        Pair(right, wrong)
        for right in usable
        for wrong in usable
        if right.problem.id == wrong.problem.id
        and (right.status is RIGHT and right.finished)
        and wrong.status in statuses
        and (wrong.finished or config.truncated)
        and (
            ratio is None
            or max(right.length, wrong.length) <= ratio * max(1, min(right.length, wrong.length))
        )
    ]


GROUP = [trace(sample=sample, length=length) for sample, length in enumerate([50, 10, 30])] + [
    trace(sample=3 + sample, length=length, status=WRONG) for sample, length in enumerate([11, 100, 35])
]


def test_closest_lengths_are_paired_first() -> None:
    assert paired(GROUP, pairing="closest_length", per_problem=1) == [(1, 3)]
    assert paired(GROUP, pairing="closest_length", per_problem=None) == [(1, 3), (2, 5), (0, 4)]
    assert paired(GROUP, pairing="closest_length", per_problem=None, max_length_ratio=1.5) == [(1, 3), (2, 5)]


def test_shortest_correct_answers_are_paired_first() -> None:
    assert [right for right, _ in paired(GROUP, pairing="shortest_chosen", per_problem=None)] == [1, 2, 0]
    found = paired(GROUP, pairing="shortest_chosen", per_problem=4, reuse=True)
    assert [right for right, _ in found] == [1, 1, 1, 2]


def test_random_pairs_are_drawn_from_all_and_do_not_depend_on_other_problems() -> None:
    drawn = Counter(paired(GROUP, seed, per_problem=1)[0] for seed in range(900))
    assert len(drawn) == 9
    assert min(drawn.values()) > 60
    others = [trace("q", sample, status) for sample, status in enumerate([RIGHT, WRONG])]
    found, _ = pairs([*others, *GROUP], PairConfig(), seed=3)
    assert [pair for pair in found if pair.chosen.problem.id == "p"] == pairs(GROUP, PairConfig(), seed=3)[0]


def test_reuse_lets_every_pair_be_taken() -> None:
    assert sorted(paired(GROUP, per_problem=None, reuse=True)) == [
        (r, w) for r in range(3) for w in (3, 4, 5)
    ]
    assert len(paired(GROUP, per_problem=None)) == 3


def test_what_left_no_pair_is_counted() -> None:
    traces = [
        *(trace(f"right{i}", sample) for i in range(3) for sample in range(2)),
        *(trace(f"wrong{i}", status=WRONG) for i in range(2)),
        trace("late", status=TIMEOUT),
        trace("late", 1, status=CRASHED),
        trace("far", length=10),
        trace("far", 1, status=WRONG, length=90),
    ]
    message = (
        "no pair is left of 7 problems: 3 with only right, 2 with only wrong, 1 with only pairs above "
        "max_length_ratio, 1 without any answer.*2 without a verdict.*raise max_length_ratio"
    )
    with pytest.raises(DataError, match=message):
        pairs(traces, PairConfig(max_length_ratio=2))
    _, left_out = pairs(traces, PairConfig())
    assert left_out["problems with only right"] == 3
    assert left_out["problems with only wrong"] == 2
    assert left_out["without a verdict"] == 2
    with pytest.raises(DataError, match="no traces"):
        pairs([], PairConfig())


def test_right_answers_that_earned_too_little_are_no_examples() -> None:
    traces = [trace(sample=n, reward=reward) for n, reward in enumerate([0.0, 0.5, 1.0, None])]
    assert chosen(traces, min_reward=1.0) == [("p", 2)]
    assert chosen(traces, min_reward=0.5) == [("p", 1), ("p", 2)]
    assert len(chosen(traces)) == 4
    _, left_out = choose(traces, TraceConfig(min_reward=1.0))
    assert left_out["min_reward"] == 3
    with pytest.raises(DataError, match="'min_reward' left out most: lower it"):
        choose(traces, TraceConfig(min_reward=2.0))


def test_right_answers_that_earned_too_little_are_rejected_like_wrong_ones() -> None:
    traces = [trace(sample=n, reward=reward) for n, reward in enumerate([1.0, 0.0])]
    traces += [trace(sample=2, status=WRONG, reward=1.0), trace(sample=3, status=WRONG, reward=0.0)]
    every = {"per_problem": None, "reuse": True}
    assert sorted(paired(traces, min_reward=1.0, **every)) == [(0, 1), (0, 2), (0, 3)]
    assert sorted(paired(traces, **every)) == [(0, 2), (0, 3), (1, 2), (1, 3)]
    with pytest.raises(DataError, match="1 with only wrong"):
        pairs(traces, PairConfig(min_reward=2.0))
