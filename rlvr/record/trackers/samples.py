"""Selection of the rollouts of a step that trackers show, and their texts as table cells."""

from __future__ import annotations

from collections.abc import Sequence

from rlvr.record.trackers import Sample
from rlvr.types import Group

LONGEST = 2000  # characters per cell


def pick_samples(groups: Sequence[Group], count: int) -> list[Sample]:
    """`count` rollouts of `groups`, or all if there are fewer, spread evenly over the groups."""
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
    """`text`, shortened in the middle to `LONGEST` characters, and encodable as UTF-8."""
    if len(text) > LONGEST:
        half = (LONGEST - 3) // 2
        text = f"{text[:half]} … {text[-half:]}"
    # lone surrogates, which JSON may contain, cannot be encoded
    return text.encode("utf-8", "replace").decode("utf-8")
