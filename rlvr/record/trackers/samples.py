"""Which rollouts of a step are shown, and how a text becomes a cell."""

from __future__ import annotations

from collections.abc import Sequence

from rlvr.record.trackers import Sample
from rlvr.types import Group

LONGEST = 2000  # characters of a cell


def pick_samples(groups: Sequence[Group], count: int) -> list[Sample]:
    """`count` rollouts of `groups`, or all if there are fewer, evenly over the groups and then over each."""
    drawn = max((len(group.rollouts) for group in groups), default=0)
    # every group's first rollout, every group's second, …
    turns = [(group, turn) for turn in range(drawn) for group in groups if turn < len(group.rollouts)]
    if count < len(groups):
        turns = [turns[number * len(groups) // count] for number in range(count)]
    return [_row(group, turn) for group, turn in turns[:count]]


def _row(group: Group, turn: int) -> Sample:
    verdict = group.verdicts[turn] if group.verdicts else None
    return Sample(
        problem=cell(group.problem.text),
        answer=cell(group.rollouts[turn].text),
        gold=cell(group.problem.answer),
        verdict=str(verdict.status) if verdict else "",
        reward=verdict.reward if verdict else None,
    )


def cell(text: str) -> str:
    """`text`, cut in its middle to `LONGEST` characters, as what every tracker can encode."""
    if len(text) > LONGEST:
        half = (LONGEST - 3) // 2
        text = f"{text[:half]} … {text[-half:]}"
    # half a surrogate pair, as JSON may hold it, is no character
    return text.encode("utf-8", "replace").decode("utf-8")
