"""What waits for a worker, and what is next. Knows nothing of processes."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from rlvr.rewards.tasks import Task


class TaskQueue:
    """Tasks in the order of their tickets; those put off, one by one, when no other waits.

    So a task that comes back, because its worker ended or gave it up, is among the first again.
    A batch has at most `batch` tasks.
    """

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._waiting: dict[int, Task] = {}  # by ticket
        self._order: list[int] = []  # a heap of their tickets, and of some that were discarded
        self._put_off: dict[int, Task] = {}  # by ticket; the first is next

    @property
    def pressing(self) -> bool:
        """Whether a task waits that was not put off."""
        return bool(self._waiting)

    @property
    def first(self) -> Task | None:
        """The task that the next batch begins with."""
        while self._order and self._order[0] not in self._waiting:
            heapq.heappop(self._order)
        return self._waiting[self._order[0]] if self._order else next(iter(self._put_off.values()), None)

    def add(self, task: Task) -> None:
        """Queue a task, new or come back. There is one task of a ticket at a time."""
        if task.put_off:
            self._put_off[task.ticket] = task
        else:
            self._waiting[task.ticket] = task
            heapq.heappush(self._order, task.ticket)

    def discard(self, tickets: Iterable[int]) -> None:
        """Forget the tasks of these tickets, as far as they wait."""
        for ticket in tickets:
            self._waiting.pop(ticket, None)
            self._put_off.pop(ticket, None)

    def take(self, workers: int) -> list[Task]:
        """The next batch: an even share for `workers`, so that none idles while another has many.

        A task that must be alone, or was put off, is a batch by itself. Empty if nothing waits.
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
