"""The requests of a rollout pool: which wait, which run on which worker, and which must be repeated."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from rlvr.rollout.engine import Request
from rlvr.types import Rollout

Key = tuple[int, str, int]  # step, problem, sample


@dataclass
class _Assignment:
    """The requests of one worker."""

    running: dict[Key, Request] = field(default_factory=dict)  # unfinished, the oldest first
    groups: list[list[Request]] = field(default_factory=list)  # repeated if the worker dies now


class WorkQueue:
    """Groups of requests. A worker, identified by its place (index), is assigned whole groups.

    Every request yields exactly one rollout, even if workers die. The unfinished requests of a dead worker
    go back to the head of the queue. With `exact`, so do all requests it was assigned since it was last idle:
    a worker that gets them at once computes the same batches, so results are bit-identical. Rollouts that
    were returned before are dropped the second time.
    """

    def __init__(self, exact: bool = False) -> None:
        self.exact = exact
        self.waiting: deque[list[Request]] = deque()
        self.assigned: defaultdict[int, _Assignment] = defaultdict(_Assignment)  # by place
        self.repeated: set[Key] = set()  # requeued although their rollouts were returned already

    @property
    def size(self) -> int:
        """Number of requests that wait or run."""
        running = sum(len(assignment.running) for assignment in self.assigned.values())
        return running + sum(map(len, self.waiting))

    def load(self, place: int) -> int:
        """Number of requests that run on a worker."""
        return len(self.assigned[place].running)

    def oldest(self, place: int) -> Request | None:
        """The request that has run longest on a worker, if any."""
        return next(iter(self.assigned[place].running.values()), None)

    def submit(self, group: list[Request]) -> None:
        """Append one group to the queue."""
        self.waiting.append(group)

    def assign(self, place: int) -> list[Request]:
        """Move the group that has waited longest to this worker, and return it."""
        group = self.waiting.popleft()
        assignment = self.assigned[place]
        assignment.groups.append(group)
        assignment.running |= {_key(request): request for request in group}
        return group

    def complete(self, place: int, rollouts: Sequence[Rollout]) -> list[Rollout]:
        """Mark a worker's rollouts as finished. Returns those that were not returned before."""
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
        """Put a worker's requests back into the queue. Returns their number."""
        lost = self.assigned.pop(place, _Assignment())
        self.repeated |= {_key(r) for group in lost.groups for r in group} - lost.running.keys()
        self.waiting.extendleft(reversed(lost.groups))
        return sum(map(len, lost.groups))


def _key(item: Request | Rollout) -> Key:
    return item.step, item.problem_id, item.sample
