"""Pairs a correct and an incorrect answer to one problem, for Rollout DPO; uses answers that SFT rejects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from rlvr.traces.config import PairConfig
from rlvr.traces.criteria import NOT_DROPPED, Criterion, bounds, check, drawn_by, in_order, listed, sift
from rlvr.traces.traces import Trace
from rlvr.types import DataError, Status


@dataclass(frozen=True)
class Pair:
    """Two answers to the same problem."""

    chosen: Trace  # correct and finished, with at least `min_reward` if that is set
    rejected: Trace  # its check finished, but it is not correct or has less than `min_reward`


def pairs(traces: Sequence[Trace], settings: PairConfig, seed: int = 0) -> tuple[list[Pair], dict[str, int]]:
    """The pairs of every problem that has right and wrong answers, and counts of what was left out.

    Source: stage 3 of Phi-4-Mini-Reasoning, arXiv 2504.21233. Pairs are ordered by problem, and within a
    problem by `settings.pairing`: at random, keyed by `seed`, problem and the two answers; the most similar
    in length first; or the shortest correct answer first. The counts are answers left out, by criterion, and
    problems without a pair, by reason. The order of `traces` does not matter.

    Raises:
        ConfigError: the settings are out of range or contradict one another.
        DataError: no pair is left; it says why, and what to do.
    """
    check(settings)
    criteria = list(_criteria(settings))
    kept, left_out = sift(traces, criteria)
    by_problem: dict[str, list[Trace]] = defaultdict(list)
    for trace in sorted(kept, key=in_order):
        by_problem[trace.problem.id].append(trace)
    paired: list[Pair] = []
    only = {"only right": 0, "only wrong": 0, "only pairs above max_length_ratio": 0}
    for own in by_problem.values():
        right = [trace for trace in own if _is_preferred(trace, settings)]
        wrong = [trace for trace in own if not _is_preferred(trace, settings)]
        own_pairs = _pairs(right, wrong, settings, seed)
        if not wrong:
            only["only right"] += 1
        elif not right:
            only["only wrong"] += 1
        elif not own_pairs:
            only["only pairs above max_length_ratio"] += 1
        paired += own_pairs
    if not paired:
        problems = len({trace.problem.id for trace in traces})
        raise DataError(_nothing_left(problems, len(by_problem), only, criteria, left_out))
    return paired, left_out | {f"problems with {name}": count for name, count in only.items()}


def _is_preferred(trace: Trace, settings: PairConfig) -> bool:
    if trace.status is not Status.CORRECT:
        return False
    least = settings.min_reward
    return least is None or (trace.reward is not None and trace.reward >= least)


def _criteria(settings: PairConfig) -> list[Criterion]:
    criteria = [
        NOT_DROPPED,
        Criterion("without a verdict", "raise the reward's deadline", lambda trace: trace.status.reached),
    ]
    if not settings.truncated:
        remedy = "sample with a larger max_tokens, or set truncated"
        criteria.append(Criterion("cut off", remedy, lambda trace: trace.finished))
    else:
        criteria.append(
            Criterion(
                "correct, but cut off",
                "sample with a larger max_tokens",
                lambda trace: trace.finished or trace.status is not Status.CORRECT,
            )
        )
    if not settings.unparseable:
        criteria.append(
            Criterion("unparseable", "set unparseable", lambda trace: trace.status is not Status.UNPARSEABLE)
        )
    return [*criteria, *bounds(settings)]


def _pairs(right: Sequence[Trace], wrong: Sequence[Trace], settings: PairConfig, seed: int) -> list[Pair]:
    """The pairs of one problem, chosen greedily: an answer's best partner may be used already."""

    def preference(pair: Pair) -> tuple[Any, ...]:
        first = {
            "random": 0.0,
            "closest_length": _ratio(pair),
            "shortest_chosen": float(pair.chosen.length),
        }
        draw = drawn_by(seed, "pair", pair.chosen, pair.rejected)
        return first[settings.pairing], draw, in_order(pair.chosen), in_order(pair.rejected)

    ratio = settings.max_length_ratio
    possible = [Pair(*two) for two in product(right, wrong)]
    possible = [pair for pair in possible if ratio is None or _ratio(pair) <= ratio]
    taken: list[Pair] = []
    used: set[int] = set()  # by object id: equal answers that are not marked as duplicates count separately
    for pair in sorted(possible, key=preference):
        if len(taken) == settings.per_problem:
            break
        members = {id(pair.chosen), id(pair.rejected)}
        if settings.reuse or not members & used:
            taken.append(pair)
            used |= members
    return taken


def _ratio(pair: Pair) -> float:
    """Length of the longer answer divided by that of the shorter; an empty answer counts as one token."""
    shorter, longer = sorted((pair.chosen.length, pair.rejected.length))
    return max(longer, 1) / max(shorter, 1)


def _nothing_left(
    problems: int, usable: int, only: dict[str, int], criteria: Sequence[Criterion], left_out: dict[str, int]
) -> str:
    if not problems:
        return "there are no traces to pair"
    counts = ", ".join(f"{count:,} with {name}" for name, count in only.items())
    most = max(criteria, key=lambda criterion: left_out[criterion.name])
    remedies = ["sample more answers per problem"]
    if only["only pairs above max_length_ratio"]:
        remedies.append("raise max_length_ratio")
    if left_out[most.name]:
        remedies.append(f"{most.remedy} ({most.name!r} left out most answers)")
    return (
        f"no pair is left of {problems:,} problems: {counts}, {problems - usable:,} without any answer that "
        f"may be used; answers left out: {listed(left_out)}. To get pairs: {'; or '.join(remedies)}"
    )
