"""Traces made by hand and at random, for the tests of what is done with them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from rlvr.traces.traces import Trace
from rlvr.types import FinishReason, Problem, Status

RIGHT, WRONG, UNREAD = Status.CORRECT, Status.WRONG, Status.UNPARSEABLE
TIMEOUT, CRASHED = Status.TIMEOUT, Status.CRASHED
STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH


def trace(problem: str | Problem = "p", sample: int = 0, status: Status = RIGHT, **fields: Any) -> Trace:
    """A finished answer of length 10 to the problem, or to one of that id; `fields` are of the trace."""
    if isinstance(problem, str):
        problem = Problem(problem, f"text of {problem}", "7")
    return Trace(
        **{
            "problem": problem,
            "sample": sample,
            "text": f"answer {sample} to {problem.id}",
            "tokens": None,
            "finish_reason": STOP,
            "status": status,
            "reward": (1.0 if status is RIGHT else -1.0) if status.reached else None,
            "reason": "",
            "pass_rate": 0.5,
            "domain": "",
            "length": 10,
            "repetition": 0.0,
            "source": "teacher",
        }
        | fields
    )


@st.composite
def many_traces(draw: st.DrawFn, most: int = 24) -> list[Trace]:
    """Answers to a few problems, of all kinds; no two with the same problem, source and sample."""
    names = st.tuples(st.sampled_from("abcd"), st.integers(0, 7), st.sampled_from(["one", "two"]))
    return [
        trace(
            problem,
            sample,
            draw(st.sampled_from(Status)),
            source=source,
            length=draw(st.integers(0, 5)),
            finish_reason=draw(st.sampled_from(FinishReason)),
            pass_rate=draw(st.sampled_from([None, 0.0, 0.25, 0.5, 1.0])),
            repetition=draw(st.sampled_from([0.0, 0.5])),
            domain=draw(st.sampled_from(["", "algebra"])),
            dropped=draw(st.sampled_from([None, None, None, "duplicate answer"])),
        )
        for problem, sample, source in draw(st.lists(names, unique=True, max_size=most))
    ]
