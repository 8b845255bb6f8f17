"""Which samples of a problem give the same answer, for majority votes.

Two answers are the same if `rlvr.verify` says so in either direction, or if both are the same as a third, so
classes do not depend on the order of the samples. All answers that were judged correct are one class, which
contains no wrong answer. Comparisons read text that a model wrote, so they run in processes that can be
killed; if a comparison does not finish, its two answers count as different, and it is counted as undecided.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.service import RewardService
from rlvr.types import Group, Problem, Status, Verdict
from rlvr.verify.check import equal_answers

COMPARISON = "rlvr.evaluation.votes.same_answer"
DEADLINE = 1.0  # seconds for one comparison
# Whole numbers with different texts are different: no comparison is needed.
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}")


def same_answer(completion: str, answer: str) -> float:
    """1 if two extracted answers are equal, in either direction; else 0. A reward function."""
    same = equal_answers(completion, answer).equal or equal_answers(answer, completion).equal
    return 1.0 if same else 0.0


@dataclass
class _Classes:
    """Union-find over the wrong answers of one problem."""

    parents: dict[str, str] = field(default_factory=dict)

    def find(self, answer: str) -> str:
        while self.parents[answer] != answer:
            answer = self.parents[answer]
        return answer

    def join(self, one: str, other: str) -> None:
        first, last = sorted((self.find(one), self.find(other)))
        self.parents[last] = first

    def pairs(self) -> Iterator[tuple[str, str]]:
        """The pairs of answers that may be the same and are not joined yet."""
        for one, other in combinations(sorted(self.parents), 2):
            apart = _WHOLE.fullmatch(one) and _WHOLE.fullmatch(other)
            if not apart and self.find(one) != self.find(other):
                yield one, other


def count_votes(groups: Sequence[Group], workers: int = 1) -> tuple[list[list[int | None]], int]:
    """The class number of each sample's answer, by group (0: the right answer), and the number of
    comparisons that did not finish.

    None, no vote, for a sample whose check did not finish, which has no readable answer, or whose verdict
    does not report the extracted answer. `workers` processes compare; none is started if texts alone decide.
    """
    classes = [
        _Classes({answer: answer for verdict in group.verdicts if (answer := _wrong(verdict)) is not None})
        for group in groups
    ]
    undecided = _compare(classes, workers) if any(next(each.pairs(), None) for each in classes) else 0
    return [
        _numbered(group.verdicts, {answer: each.find(answer) for answer in each.parents})
        for group, each in zip(groups, classes, strict=True)
    ], undecided


def _wrong(verdict: Verdict) -> str | None:
    """The wrong answer that a sample votes for."""
    if verdict.status is not Status.WRONG or verdict.extracted is None:
        return None
    return verdict.extracted.strip()


def _compare(classes: Sequence[_Classes], workers: int) -> int:
    config = RewardConfig(
        functions={"same": {"_target_": COMPARISON}},
        workers=workers,
        deadline=DEADLINE,
    )
    asked: deque[tuple[_Classes, str, str]] = deque()

    def items() -> Iterator[tuple[Problem, str]]:
        # the service draws pairs lazily, so pairs that are joined by then are skipped
        for number, each in enumerate(classes):
            for one, other in each.pairs():
                asked.append((each, one, other))
                yield Problem(f"vote {number}", "", other), one

    undecided = 0
    with RewardService(config) as service:
        for verdict in service.stream(items()):
            each, one, other = asked.popleft()
            undecided += not verdict.status.reached
            if verdict.status is Status.CORRECT:
                each.join(one, other)
    return undecided


def _numbered(verdicts: Sequence[Verdict], names: Mapping[str, str]) -> list[int | None]:
    numbers: dict[str, int] = {}
    votes: list[int | None] = []
    for verdict in verdicts:
        wrong = _wrong(verdict)
        if wrong is not None:
            votes.append(numbers.setdefault(names[wrong], len(numbers) + 1))
        else:
            votes.append(0 if verdict.status is Status.CORRECT and verdict.extracted is not None else None)
    return votes
