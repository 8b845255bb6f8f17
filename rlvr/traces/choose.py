"""Selects the traces that SFT and mid-training learn from."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from rlvr.traces.config import TraceConfig
from rlvr.traces.criteria import NOT_DROPPED, Criterion, bounds, check, drawn_by, in_order, listed, sift
from rlvr.traces.traces import Trace
from rlvr.types import DataError, Status


def choose(
    traces: Sequence[Trace], settings: TraceConfig, seed: int = 0
) -> tuple[list[Trace], dict[str, int]]:
    """The traces that `settings` select, ordered by problem, source and sample; and counts of the others.

    The counts map each criterion to the number of traces that it excluded; criteria apply in order, and a
    trace counts for the first. The limits (per problem, per domain, in all) take the first trace of every
    problem before any problem's second. They take problems in a random order, keyed by `seed` and the
    problem, which depends neither on the order of `traces` nor on the other problems.

    Raises:
        ConfigError: the settings are out of range or contradict one another.
        DataError: no trace is left; it names the criterion that excluded most, and what to do.
    """
    check(settings)
    criteria = list(_criteria(settings))
    kept, left_out = sift(traces, criteria)
    if not kept:
        raise DataError(_nothing_left(len(traces), criteria, left_out))
    kept = _ranked(kept, settings.prefer, seed)
    limits: list[tuple[str, int | None, Callable[[Trace], str]]] = [
        ("per_problem", settings.per_problem, lambda trace: trace.problem.id),
        ("per_domain", settings.per_domain, lambda trace: trace.domain),
        ("limit", settings.limit, lambda trace: ""),
    ]
    for name, most, kind in limits:
        if most is not None:
            taken = _first_of_each(kept, most, kind)
            left_out[name] = len(kept) - len(taken)
            kept = taken
    return sorted(kept, key=in_order), left_out


def _criteria(settings: TraceConfig) -> list[Criterion]:
    criteria = [
        NOT_DROPPED,
        Criterion(
            "not correct",
            "use a better teacher, easier problems or more answers",
            lambda trace: trace.status is Status.CORRECT,
        ),
    ]
    if not settings.unfinished:
        remedy = "sample with a larger max_tokens, or set unfinished"
        criteria.append(Criterion("cut off", remedy, lambda trace: trace.finished))
    criteria += bounds(settings)
    least = settings.min_reward
    if least is not None:
        criteria.append(
            Criterion("min_reward", "lower it", lambda t: t.reward is not None and t.reward >= least)
        )
    most = settings.max_repetition
    if most is not None:
        criteria.append(Criterion("max_repetition", "raise it", lambda trace: trace.repetition <= most))
    return criteria


def _nothing_left(total: int, criteria: Sequence[Criterion], left_out: dict[str, int]) -> str:
    if not total:
        return "there are no traces to choose from"
    most = max(criteria, key=lambda criterion: left_out[criterion.name])
    return (
        f"none of {total:,} traces is left to train on; left out: {listed(left_out)}. "
        f"{most.name!r} left out most: {most.remedy}"
    )


def _ranked(traces: Sequence[Trace], prefer: str, seed: int) -> list[Trace]:
    """The most preferred trace of every problem, then the second of every problem, …; in random order."""

    def preference(trace: Trace) -> int:
        if prefer == "random":
            return drawn_by(seed, "prefer", trace)
        return trace.length if prefer == "shortest" else trace.sample

    by_problem: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        by_problem[trace.problem.id].append(trace)
    ranked: list[tuple[int, int, Trace]] = []
    for own in by_problem.values():
        own.sort(key=lambda trace: (preference(trace), in_order(trace)))
        ranked += [(rank, drawn_by(seed, "choose", trace), trace) for rank, trace in enumerate(own)]
    return [trace for *_, trace in sorted(ranked, key=lambda item: (*item[:2], in_order(item[2])))]


def _first_of_each(traces: Sequence[Trace], most: int, kind: Callable[[Trace], str]) -> list[Trace]:
    taken: Counter[str] = Counter()
    kept: list[Trace] = []
    for trace in traces:
        if taken[kind(trace)] < most:
            taken[kind(trace)] += 1
            kept.append(trace)
    return kept
