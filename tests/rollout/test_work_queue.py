"""Who has which requests, and what is drawn again: no worker is needed for that."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from fake_actors import answer, requests
from hypothesis import given
from hypothesis import strategies as st

from rlvr.rollout.engine import Request
from rlvr.rollout.work_queue import WorkQueue
from rlvr.types import Rollout

A, B, C = requests("a"), requests("b"), requests("c")


def queue_of(*groups: list[Request], exact: bool = False) -> WorkQueue:
    work = WorkQueue(exact)
    for group in groups:
        work.submit(group)
    return work


def assign_all(work: WorkQueue) -> list[list[Request]]:
    """Everything that waits, to worker 0."""
    return [work.assign(0) for _ in range(len(work.waiting))]


def finish(work: WorkQueue, place: int, done: Sequence[Request]) -> list[tuple[str, int]]:
    """What comes out: problem, sample."""
    return names(work.complete(place, [answer(request) for request in done]))


def names(items: Sequence[Request | Rollout]) -> list[tuple[str, int]]:
    return [(item.problem_id, item.sample) for item in items]


def test_groups_are_assigned_whole_and_in_order() -> None:
    work = queue_of(A, B, C)
    assert [work.assign(0), work.assign(1), work.assign(0)] == [A, B, C]
    assert [work.load(place) for place in (0, 1, 2)] == [4, 2, 0]
    assert work.size == 6
    assert not work.waiting


def test_rollouts_leave_in_any_order_and_the_oldest_request_is_known() -> None:
    work = queue_of(A, B)
    assign_all(work)
    assert work.oldest(0) == A[0]
    assert finish(work, 0, [B[1], A[0]]) == [("b", 1), ("a", 0)]
    assert work.oldest(0) == A[1]
    assert finish(work, 0, [A[1], B[0]]) == [("a", 1), ("b", 0)]
    assert work.oldest(0) is None
    assert work.size == 0


@pytest.mark.parametrize("exact", [False, True])
def test_nothing_is_drawn_again_of_a_worker_that_has_nothing_to_do(exact: bool) -> None:
    work = queue_of(A, B, exact=exact)
    work.assign(0)
    finish(work, 0, A)
    assert work.requeue(0) == 0
    assert list(work.waiting) == [B]


def test_what_was_not_finished_waits_again_before_all_others() -> None:
    work = queue_of(A, B, C)
    work.assign(0)
    work.assign(0)
    finish(work, 0, [A[1]])
    assert work.requeue(0) == 3
    assert list(work.waiting) == [[A[0]], B, C]
    assert work.load(0) == 0


def test_a_group_of_which_all_is_finished_is_not_drawn_again() -> None:
    work = queue_of(A, B)
    assign_all(work)
    finish(work, 0, A)
    assert work.requeue(0) == 2
    assert list(work.waiting) == [B]


def test_other_workers_keep_what_they_have() -> None:
    work = queue_of(A, B)
    work.assign(0)
    work.assign(1)
    work.requeue(0)
    assert work.load(1) == 2
    assert finish(work, 1, B) == [("b", 0), ("b", 1)]


def test_an_exact_repetition_is_of_all_since_the_worker_was_idle_and_nothing_comes_twice() -> None:
    work = queue_of(A, B, C, exact=True)
    work.assign(0)
    finish(work, 0, A)  # idle: A is over
    assign_all(work)
    assert finish(work, 0, [B[0], B[1], C[1]]) == [("b", 0), ("b", 1), ("c", 1)]
    assert work.requeue(0) == 4
    assert assign_all(work) == [B, C]
    assert finish(work, 0, [B[0], C[0], B[1], C[1]]) == [("c", 0)]
    assert work.size == 0


def test_an_exact_repetition_may_be_repeated_itself() -> None:
    work = queue_of(A, B, exact=True)
    for delivered, expected in (([A[0]], [("a", 0)]), ([A[0]], []), ([B[0], A[0]], [("b", 0)]), ([], [])):
        assert assign_all(work) == [A, B]
        assert finish(work, 0, delivered) == expected
        assert work.requeue(0) == 4
    assign_all(work)
    assert finish(work, 0, [*A, *B]) == [("a", 1), ("b", 1)]


def test_the_same_request_may_come_again_later() -> None:
    """A problem of one step is drawn for training and for an evaluation."""
    work = queue_of(A, exact=True)
    work.assign(0)
    finish(work, 0, A[:1])
    work.requeue(0)
    work.assign(0)
    assert finish(work, 0, A) == [("a", 1)]
    work.submit(A)
    work.assign(0)
    assert finish(work, 0, A) == [("a", 0), ("a", 1)]


@given(st.data(), st.booleans(), st.integers(1, 3))
def test_whoever_dies_when_every_request_comes_out_once(
    data: st.DataObject, exact: bool, workers: int
) -> None:
    work = WorkQueue(exact)
    submitted: list[tuple[str, int]] = []
    came: list[tuple[str, int]] = []
    for number in range(data.draw(st.integers(0, 40))):
        event = data.draw(st.sampled_from(["submit", "assign", "finish", "die"]))
        place = data.draw(st.integers(0, workers - 1))
        running = list(work.assigned[place].running.values())
        if event == "submit":
            group = requests(f"p{number}", data.draw(st.integers(1, 3)))
            work.submit(group)
            submitted += names(group)
        elif event == "assign" and work.waiting:
            work.assign(place)
        elif event == "finish" and running:
            came += finish(work, place, data.draw(st.lists(st.sampled_from(running), unique_by=id)))
        elif event == "die":
            work.requeue(place)
        assert set(submitted) - set(came) <= {key[1:] for key in _inside(work)}
    while work.size:
        for place in range(workers):
            if work.waiting:
                work.assign(place)
            came += finish(work, place, list(work.assigned[place].running.values()))
    assert sorted(came) == sorted(submitted)
    assert not work.repeated


def _inside(work: WorkQueue) -> set[tuple[int, str, int]]:
    waiting = {(r.step, r.problem_id, r.sample) for group in work.waiting for r in group}
    return waiting.union(*(assignment.running for assignment in work.assigned.values()))


@given(st.lists(st.tuples(st.sampled_from(["submit", "assign", "finish", "die"]), st.integers(1, 3))))
def test_a_lone_workers_successor_gets_exactly_what_that_was_assigned(
    events: list[tuple[str, int]],
) -> None:
    """As its batches are made of that: all groups since the worker was last idle, in the same order."""
    work = WorkQueue(exact=True)
    since_idle: list[list[Request]] = []
    for number, (event, count) in enumerate(events):
        if event == "submit":
            work.submit(requests(f"p{number}", count))
        elif event == "assign" and work.waiting:
            since_idle.append(work.assign(0))
        elif event == "finish":
            finish(work, 0, list(work.assigned[0].running.values())[:count])
            since_idle = since_idle if work.load(0) else []
        elif event == "die":
            assert work.requeue(0) == sum(map(len, since_idle))
            assert [work.assign(0) for _ in since_idle] == since_idle
