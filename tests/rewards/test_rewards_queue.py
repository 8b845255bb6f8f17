"""Which task of the reward service is next. No processes."""

from __future__ import annotations

import pytest

from rlvr.rewards.functions import Sample
from rlvr.rewards.queue import TaskQueue
from rlvr.rewards.tasks import Task
from rlvr.types import Problem


def task(ticket: int, **tried: bool) -> Task:
    return Task(ticket, Sample(Problem("p1", "6 · 7?", "42"), ticket, "42", "stop"), 0.0, **tried)


def queue_of(*tasks: Task, batch: int = 4) -> TaskQueue:
    queue = TaskQueue(batch)
    for each in tasks:
        queue.add(each)
    return queue


def batches(queue: TaskQueue, workers: int = 1) -> list[list[int]]:
    """The tickets of all batches, as one after the other is taken."""
    found = []
    while tasks := queue.take(workers):
        found.append([each.ticket for each in tasks])
    return found


def first(queue: TaskQueue) -> int | None:
    """The ticket of the task that is next."""
    return None if queue.first is None else queue.first.ticket


def test_tasks_are_taken_in_the_order_of_their_tickets_at_most_a_batch_at_once() -> None:
    assert batches(queue_of(*map(task, range(10)))) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize(("workers", "sizes"), [(2, [3, 2, 1]), (3, [2, 2, 1, 1]), (9, [1] * 6)])
def test_a_batch_is_an_even_share_of_what_waits(workers: int, sizes: list[int]) -> None:
    assert [len(batch) for batch in batches(queue_of(*map(task, range(6))), workers)] == sizes


def test_a_task_that_comes_back_is_before_those_that_came_after_it() -> None:
    queue = queue_of(*map(task, range(8)))
    first = queue.take(1)
    for each in reversed(first[1:3]):
        queue.add(each)
    assert batches(queue) == [[1, 2, 4, 5], [6, 7]]


@pytest.mark.parametrize("place", [0, 1, 3])
def test_a_task_that_must_be_alone_is_a_batch_by_itself(place: int) -> None:
    queue = queue_of(*(task(ticket, alone=ticket == place) for ticket in range(4)))
    assert batches(queue) == [each for each in ([*range(place)], [place], [*range(place + 1, 4)]) if each]


def test_what_was_put_off_comes_one_by_one_after_all_others() -> None:
    queue = queue_of(task(2, put_off=True), task(0, put_off=True), *map(task, (1, 3, 4)))
    assert queue.pressing
    assert [each.ticket for each in queue.take(1)] == [1, 3, 4]
    assert not queue.pressing
    assert [each.ticket for each in queue.take(1)] == [2]
    queue.add(task(5))
    assert queue.pressing
    assert batches(queue) == [[5], [0]]


def test_what_was_put_off_makes_no_share_of_the_others_larger() -> None:
    queue = queue_of(task(0), task(1), *(task(ticket, put_off=True) for ticket in range(2, 9)))
    assert batches(queue, workers=2)[:2] == [[0], [1]]


@pytest.mark.parametrize("put_off", [False, True])
def test_a_discarded_task_is_not_taken_and_may_come_again(put_off: bool) -> None:
    queue = queue_of(task(0, put_off=put_off), task(1, put_off=put_off), task(2, put_off=put_off))
    queue.discard([0, 7])  # the last does not wait
    assert first(queue) == 1
    queue.discard([1])
    queue.add(task(1, put_off=put_off))
    assert sorted(ticket for batch in batches(queue) for ticket in batch) == [1, 2]
    assert first(queue) is None
    assert not queue.pressing


def test_the_first_task_is_the_one_that_the_next_batch_begins_with() -> None:
    queue = queue_of(task(3, put_off=True), task(2, fresh=True), task(1))
    for ticket in (1, 2, 3):
        assert first(queue) == ticket
        queue.discard([ticket])
    assert queue.take(1) == []
