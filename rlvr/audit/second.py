"""math-verify 0.9.0 as a reward function: the second opinion of an audit."""

from __future__ import annotations

from math_verify import parse, verify  # type: ignore[import-untyped]

from rlvr.types import Status, Verdict


def math_verify_reward(completion: str, answer: str) -> Verdict:
    """What math-verify says of `completion`, 1 or 0.

    Its own time-outs are switched off: they are alarm signals, which cannot interrupt one long operation.
    The process that this runs in is killed at its deadline instead.
    """
    gold = parse(rf"\boxed{{{answer}}}", parsing_timeout=None)
    found = parse(completion, parsing_timeout=None)
    if not gold or not found:
        unread = "reference" if not gold else "completion"
        return Verdict(Status.UNPARSEABLE, 0.0, f"no answer in the {unread}")
    equal = verify(gold, found, timeout_seconds=None)
    status = Status.CORRECT if equal else Status.WRONG
    return Verdict(status, float(equal), "equal" if equal else "not equal")
