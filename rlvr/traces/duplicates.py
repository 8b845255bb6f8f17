"""Deduplication: the same problem under several ids, and the same answer twice."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace

from rlvr.traces.traces import Trace
from rlvr.types import Problem

DUPLICATE_PROBLEM = "duplicate problem"
DUPLICATE_ANSWER = "duplicate answer"
_SUPERSCRIPT = re.compile("[⁰¹²³⁴-⁹ⁱⁿ]")


def normalized(text: str) -> str:
    """`text` with case, white space and Unicode variants (NFKC) normalized."""
    marked = _SUPERSCRIPT.sub(r"^\g<0>", text)  # otherwise NFKC would turn 2² into 22
    folded = unicodedata.normalize("NFKC", marked).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def duplicate_problems(problems: Iterable[Problem]) -> dict[str, str]:
    """Maps the id of every problem whose normalized text occurred earlier under another id to that id."""
    first: dict[bytes, str] = {}  # digest of a text → id; a digest takes less memory than the text
    duplicates: dict[str, str] = {}
    for problem in problems:
        text = normalized(problem.text).encode("utf-8", "surrogatepass")
        owner = first.setdefault(hashlib.blake2b(text, digest_size=16).digest(), problem.id)
        if owner != problem.id:
            duplicates[problem.id] = owner
    return duplicates


def mark_duplicates(traces: Sequence[Trace]) -> list[Trace]:
    """The traces in their order; duplicates get a reason in `dropped`.

    Of several ids with the same normalized problem text, the first is kept. Of equal answers to a problem,
    one is kept: preferably one whose check finished and which was not cut off, else the first. Traces that
    were dropped earlier are unchanged, and other traces do not count as duplicates of them.
    """
    live = [trace for trace in traces if trace.dropped is None]
    doubles = duplicate_problems({trace.problem.id: trace.problem for trace in live}.values())
    best: dict[tuple[str, str], tuple[bool, bool, int]] = {}
    for place, trace in enumerate(traces):
        if trace.dropped is None:
            answer = (trace.problem.id, trace.text)
            rank = (not trace.status.reached, not trace.finished, place)
            best[answer] = min(best.get(answer, rank), rank)
    marked: list[Trace] = []
    for place, trace in enumerate(traces):
        reason = trace.dropped
        if reason is None and trace.problem.id in doubles:
            reason = DUPLICATE_PROBLEM
        elif reason is None and best[trace.problem.id, trace.text][2] != place:
            reason = DUPLICATE_ANSWER
        marked.append(trace if reason == trace.dropped else replace(trace, dropped=reason))
    return marked
