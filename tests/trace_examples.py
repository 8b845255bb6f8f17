"""Traces made by hand and at random, for the tests of what is done with them."""

from __future__ import annotations

import random
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


def random_traces(seed: int) -> list[Trace]:
    """Up to 40 answers to three problems, of all kinds; no two with the same problem, source and sample."""
    random_ = random.Random(seed)
    names = [(name, sample, source) for name in "abc" for sample in range(8) for source in ("one", "two")]
    return [
        trace(
            name,
            sample,
            random_.choice([RIGHT, RIGHT, RIGHT, WRONG, WRONG, UNREAD, TIMEOUT, CRASHED]),
            source=source,
            length=random_.randint(0, 5),
            finish_reason=random_.choice([STOP, STOP, STOP, LENGTH]),
            pass_rate=random_.choice([None, 0.0, 0.25, 0.5, 1.0]),
            repetition=random_.choice([0.0, 0.5]),
            domain=random_.choice(["", "algebra"]),
            dropped=random_.choice([None, None, None, "duplicate answer"]),
        )
        for name, sample, source in random_.sample(names, random_.randint(0, 40))
    ]


# Built from a seed, because lists that grow by one draw after the other seldom hold two pairs.
MANY_TRACES = st.integers(0, 10**6).map(random_traces)
