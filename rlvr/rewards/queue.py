"""The queue of tasks that wait for a worker. It knows nothing of processes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from rlvr.rewards.tasks import Task


class TaskQueue:
    """Tasks in the order of their tickets; postponed tasks come last, one at a time.

    So a task that is returned, because its worker ended or gave it up, is among the first again.
    A batch has at most `batch` tasks.
    """

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._waiting: dict[int, Task] = {}  # by ticket
        self._order: list[int] = []  # a heap of their tickets, and of some discarded ones
        self._put_off: dict[int, Task] = {}  # by ticket; the first is next

    @property
    def pressing(self) -> bool:
        """Whether a task that is not postponed is waiting."""
        return bool(self._waiting)

    @property
    def first(self) -> Task | None:
        """The task that the next batch begins with."""
        while self._order and self._order[0] not in self._waiting:
            heapq.heappop(self._order)
        return self._waiting[self._order[0]] if self._order else next(iter(self._put_off.values()), None)

    def add(self, task: Task) -> None:
        """Queue a new or returned task. A ticket has at most one task in the queue."""
        if task.put_off:
            self._put_off[task.ticket] = task
        else:
            self._waiting[task.ticket] = task
            heapq.heappush(self._order, task.ticket)

    def discard(self, tickets: Iterable[int]) -> None:
        """Remove the tasks of these tickets, if they are waiting."""
        for ticket in tickets:
            self._waiting.pop(ticket, None)
            self._put_off.pop(ticket, None)

    def take(self, workers: int) -> list[Task]:
        """The next batch: an even share for `workers`, so that none is idle while another has many tasks.

        A task that must be alone, or was postponed, is a batch by itself. Empty if nothing is waiting.
        """
        if not self._waiting:
            return [self._put_off.pop(next(iter(self._put_off)))] if self._put_off else []
        size = min(self._batch, -(-len(self._waiting) // workers))
        tasks: list[Task] = []
        while self._waiting and len(tasks) < size:
            task = self._waiting.get(self._order[0])
            if task and tasks and (task.alone or tasks[0].alone):
                break
            heapq.heappop(self._order)
            if task:  # it was not discarded
                tasks.append(self._waiting.pop(task.ticket))
        return tasks
