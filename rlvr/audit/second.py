"""math-verify 0.9.0 as a reward function: the second opinion of an audit."""

from __future__ import annotations

from math_verify import parse, verify  # type: ignore[import-untyped]

from rlvr.types import Status, Verdict


def math_verify_reward(completion: str, answer: str) -> Verdict:
    """math-verify's verdict on `completion`, with reward 1 or 0.

    Its own time-outs are disabled: they use alarm signals, which cannot interrupt one long operation.
    Instead, the process that runs this function is killed at its deadline.
    """
    gold = parse(rf"\boxed{{{answer}}}", parsing_timeout=None)
    parsed = parse(completion, parsing_timeout=None)
    if not gold or not parsed:
        unread = "reference" if not gold else "completion"
        return Verdict(Status.UNPARSEABLE, 0.0, f"no answer in the {unread}")
    equal = verify(gold, parsed, timeout_seconds=None)
    status = Status.CORRECT if equal else Status.WRONG
    return Verdict(status, float(equal), "equal" if equal else "not equal")
