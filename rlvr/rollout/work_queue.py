"""Requests on their way to rollouts: which ones wait, which worker has which, and which are drawn again."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from rlvr.rollout.engine import Request
from rlvr.types import Rollout

Key = tuple[int, str, int]  # step, problem, sample


@dataclass
class _Assignment:
    """What one worker has."""

    running: dict[Key, Request] = field(default_factory=dict)  # without a rollout yet, the oldest first
    groups: list[list[Request]] = field(default_factory=list)  # that are drawn again if the worker dies now


class WorkQueue:
    """Groups of requests. A worker, known by its place, is assigned a group as a whole.

    Every request yields one rollout, whoever dies. What a dead worker had not finished waits again, before
    all other groups. With `exact` this is all that the worker was assigned since it last had nothing to do:
    whoever gets that at once computes the same batches, so that results are the same to the bit. Rollouts
    that had come before are held back when they come again.
    """

    def __init__(self, exact: bool = False) -> None:
        self.exact = exact
        self.waiting: deque[list[Request]] = deque()
        self.assigned: defaultdict[int, _Assignment] = defaultdict(_Assignment)  # by place
        self.repeated: set[Key] = set()  # drawn again, though their rollouts have come before

    @property
    def size(self) -> int:
        """Requests that wait or run."""
        running = sum(len(assignment.running) for assignment in self.assigned.values())
        return running + sum(map(len, self.waiting))

    def load(self, place: int) -> int:
        """Requests that run on a worker."""
        return len(self.assigned[place].running)

    def oldest(self, place: int) -> Request | None:
        """The request that has run on a worker for longest, if any does."""
        return next(iter(self.assigned[place].running.values()), None)

    def submit(self, group: list[Request]) -> None:
        """Let one group wait, behind all others."""
        self.waiting.append(group)

    def assign(self, place: int) -> list[Request]:
        """The group that has waited longest, which runs on this worker now."""
        group = self.waiting.popleft()
        assignment = self.assigned[place]
        assignment.groups.append(group)
        assignment.running |= {_key(request): request for request in group}
        return group

    def complete(self, place: int, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Those of a worker's finished rollouts that have not come before."""
        assignment = self.assigned[place]
        keys = {_key(rollout) for rollout in rollouts}
        for key in keys:
            del assignment.running[key]
        if not (self.exact and assignment.running):
            left = [[r for r in group if _key(r) in assignment.running] for group in assignment.groups]
            assignment.groups = [group for group in left if group]
        new = [rollout for rollout in rollouts if _key(rollout) not in self.repeated]
        self.repeated -= keys
        return new

    def requeue(self, place: int) -> int:
        """Take a worker's requests away, to be drawn again; how many these are."""
        lost = self.assigned.pop(place, _Assignment())
        self.repeated |= {_key(r) for group in lost.groups for r in group} - lost.running.keys()
        self.waiting.extendleft(reversed(lost.groups))
        return sum(map(len, lost.groups))


def _key(item: Request | Rollout) -> Key:
    return item.step, item.problem_id, item.sample
