"""A correct and an incorrect answer to one problem, for Rollout DPO: from what SFT threw away, too."""

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

    chosen: Trace  # correct and finished, and rewarded with `min_reward` where that is set
    rejected: Trace  # with a verdict, and not that


def pairs(traces: Sequence[Trace], settings: PairConfig, seed: int = 0) -> tuple[list[Pair], dict[str, int]]:
    """The pairs of every problem that has right and wrong answers, and what was left out.

    Source: stage 3 of Phi-4-Mini-Reasoning, arXiv 2504.21233. Pairs are ordered by problem, and within
    one as `settings.pairing` takes them: at random, keyed by `seed`, problem and the two answers; the
    most equal in length first; or the shortest correct answers first. What was left out are answers by
    criterion, and problems that then have no pair. The order of `traces` does not matter.

    Raises:
        ConfigError: the settings are out of range or contradict one another.
        DataError: no pair is left; it says why, and what to do.
    """
    check(settings)
    criteria = list(_criteria(settings))
    kept, left_out = sift(traces, criteria)
    of_problem: dict[str, list[Trace]] = defaultdict(list)
    for trace in sorted(kept, key=in_order):
        of_problem[trace.problem.id].append(trace)
    found: list[Pair] = []
    only = {"only right": 0, "only wrong": 0, "only pairs above max_length_ratio": 0}
    for own in of_problem.values():
        right = [trace for trace in own if _is_preferred(trace, settings)]
        wrong = [trace for trace in own if not _is_preferred(trace, settings)]
        of_this = _pairs(right, wrong, settings, seed)
        if not wrong:
            only["only right"] += 1
        elif not right:
            only["only wrong"] += 1
        elif not of_this:
            only["only pairs above max_length_ratio"] += 1
        found += of_this
    if not found:
        problems = len({trace.problem.id for trace in traces})
        raise DataError(_nothing_left(problems, len(of_problem), only, criteria, left_out))
    return found, left_out | {f"problems with {name}": count for name, count in only.items()}


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
        remedy = "draw with a larger max_tokens, or set truncated"
        criteria.append(Criterion("cut off", remedy, lambda trace: trace.finished))
    else:
        criteria.append(
            Criterion(
                "correct, but cut off",
                "draw with a larger max_tokens",
                lambda trace: trace.finished or trace.status is not Status.CORRECT,
            )
        )
    if not settings.unparseable:
        criteria.append(
            Criterion("unparseable", "set unparseable", lambda trace: trace.status is not Status.UNPARSEABLE)
        )
    return [*criteria, *bounds(settings)]


def _pairs(right: Sequence[Trace], wrong: Sequence[Trace], settings: PairConfig, seed: int) -> list[Pair]:
    """The pairs of one problem; greedy, so that an answer's best partner may be gone."""

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
    used: set[int] = set()  # by identity: equal answers that nobody marked as duplicates are two
    for pair in sorted(possible, key=preference):
        if len(taken) == settings.per_problem:
            break
        members = {id(pair.chosen), id(pair.rejected)}
        if settings.reuse or not members & used:
            taken.append(pair)
            used |= members
    return taken


def _ratio(pair: Pair) -> float:
    """Length of the longer answer over that of the shorter; an empty one counts as one token."""
    shorter, longer = sorted((pair.chosen.length, pair.rejected.length))
    return max(longer, 1) / max(shorter, 1)


def _nothing_left(
    problems: int, usable: int, only: dict[str, int], criteria: Sequence[Criterion], left_out: dict[str, int]
) -> str:
    if not problems:
        return "there are no traces to pair"
    counts = ", ".join(f"{count:,} with {name}" for name, count in only.items())
    most = max(criteria, key=lambda criterion: left_out[criterion.name])
    remedies = ["draw more answers of every problem"]
    if only["only pairs above max_length_ratio"]:
        remedies.append("raise max_length_ratio")
    if left_out[most.name]:
        remedies.append(f"{most.remedy} ({most.name!r} left out most answers)")
    return (
        f"no pair is left of {problems:,} problems: {counts}, {problems - usable:,} without any answer that "
        f"may be used; answers left out: {listed(left_out)}. To get pairs: {'; or '.join(remedies)}"
    )
