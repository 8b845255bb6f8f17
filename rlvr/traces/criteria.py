"""Filters traces by a sequence of criteria, and counts how many each criterion left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rlvr.base.keys import key
from rlvr.base.settings import out_of_range, refuse
from rlvr.traces.config import PairConfig, TraceConfig, contradictions
from rlvr.traces.traces import Trace


@dataclass(frozen=True)
class Criterion:
    name: str  # for logs and messages
    remedy: str  # what to do if it leaves out too much
    keeps: Callable[[Trace], bool]


NOT_DROPPED = Criterion(
    "dropped",
    "they are duplicates or overlap an evaluation set; use other problems",
    lambda t: not t.dropped,
)


def sift(traces: Iterable[Trace], criteria: Sequence[Criterion]) -> tuple[list[Trace], dict[str, int]]:
    """The traces that pass all criteria, and for each criterion the number of traces that fail it first."""
    left_out = {criterion.name: 0 for criterion in criteria}
    kept: list[Trace] = []
    for trace in traces:
        failed = next((criterion.name for criterion in criteria if not criterion.keeps(trace)), None)
        if failed is None:
            kept.append(trace)
        else:
            left_out[failed] += 1
    return kept, left_out


def bounds(settings: TraceConfig | PairConfig) -> Iterator[Criterion]:
    """The criteria on pass rate and length that are set."""
    low, high, longest = settings.min_pass_rate, settings.max_pass_rate, settings.max_length
    if low is not None:
        yield Criterion("min_pass_rate", "lower it", lambda t: t.pass_rate is not None and t.pass_rate >= low)
    if high is not None:
        yield Criterion(
            "max_pass_rate", "raise it", lambda t: t.pass_rate is not None and t.pass_rate <= high
        )
    if longest is not None:
        yield Criterion("max_length", "raise it", lambda t: t.length <= longest)


def check(settings: TraceConfig | PairConfig) -> None:
    """Raise ConfigError for settings that are out of range or contradict one another."""
    refuse([*out_of_range(settings), *contradictions(settings)])


def listed(left_out: Mapping[str, int]) -> str:
    """The counts of what was left out as text, largest first; for a log or a message."""
    ordered = sorted(left_out.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} {name}" for name, count in ordered if count) or "none"


def in_order(trace: Trace) -> tuple[str, str, int, str]:
    """Sort key that does not depend on the input order: problem, source, sample and text."""
    return trace.problem.id, trace.source, trace.sample, trace.text


def drawn_by(seed: int, purpose: str, *traces: Trace) -> int:
    """A random number keyed by these traces, independent of all others."""
    parts = [part for trace in traces for part in (trace.source, trace.sample)]
    return key(seed, purpose, traces[0].problem.id, *parts)
