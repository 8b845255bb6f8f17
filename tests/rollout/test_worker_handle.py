"""A worker's states, the ways between them, and what it means to be late in each."""

from __future__ import annotations

from typing import Any

import pytest
from fake_actors import FakeActor, requests

from rlvr.base.processes import START_DEADLINE, Whereabouts
from rlvr.rollout.actor import Progress
from rlvr.rollout.worker_handle import (
    UPDATE_DEADLINE,
    Generating,
    Idle,
    Receiving,
    Starting,
    Weights,
    WorkerHandle,
)

PROCESS = Whereabouts("node", 1000, 5)
DEADLINE = 60.0  # seconds for an engine step


def started() -> tuple[WorkerHandle, FakeActor]:
    actor = FakeActor()
    worker = WorkerHandle(actor, now=0.0)
    worker.finish(PROCESS)
    return worker, actor


def test_a_worker_starts_with_the_first_weights_and_then_has_a_process() -> None:
    actor = FakeActor()
    worker = WorkerHandle(actor, now=7.0, deaths=2)
    assert actor.call is not None
    assert actor.call.method == "ready"
    assert worker.call is actor.call
    assert worker.state == Starting(worker.call, since=7.0)
    assert worker.process is None
    worker.finish(PROCESS)
    assert worker.state == Idle(PROCESS)
    assert (worker.call, worker.process, worker.version, worker.deaths) == (None, PROCESS, -1, 2)


def test_weights_are_a_workers_own_once_it_has_taken_them() -> None:
    worker, actor = started()
    worker.receive(Weights(4, {"path": "here"}), now=1.0)
    assert actor.call is not None
    assert (actor.call.method, actor.call.arguments) == ("receive_weights", ({"path": "here"}, 4))
    assert worker.state == Receiving(PROCESS, worker.call, since=1.0, version=4)
    assert worker.version == -1
    worker.finish(None)
    assert worker.state == Idle(PROCESS)
    assert worker.version == 4


def test_a_worker_generates_for_a_while_and_is_idle_again() -> None:
    worker, actor = started()
    group = requests("a")
    worker.generate(group, 0.5, now=1.0)
    assert actor.call is not None
    assert (actor.call.method, actor.call.arguments) == ("advance", (group, 0.5))
    assert worker.state == Generating(PROCESS, worker.call, since=1.0)
    worker.finish(Progress([], 3, 0.0))
    assert worker.state == Idle(PROCESS)


def test_only_a_worker_that_generates_is_paused() -> None:
    worker, actor = started()
    worker.pause()
    worker.receive(Weights(1, {}), now=0.0)
    worker.pause()
    worker.finish(None)
    assert actor.pauses == 0
    worker.generate([], 0.5, now=0.0)
    worker.pause()
    assert actor.pauses == 1
    assert isinstance(worker.state, Generating)  # until its call comes back


def test_a_worker_has_one_call_at_a_time() -> None:
    worker, _ = started()
    worker.generate([], 0.5, now=0.0)
    with pytest.raises(AssertionError):
        worker.generate([], 0.5, now=0.0)
    with pytest.raises(AssertionError):
        worker.receive(Weights(1, {}), now=0.0)


def test_an_engine_step_forgives_the_deaths_of_those_before() -> None:
    worker = WorkerHandle(FakeActor(), now=0.0, deaths=2)
    worker.finish(PROCESS)
    worker.receive(Weights(1, {}), now=0.0)
    worker.finish(None)
    worker.generate([], 0.5, now=0.0)
    worker.finish(Progress([], 0, 0.0))
    assert worker.deaths == 2
    worker.generate([], 0.5, now=0.0)
    worker.finish(Progress([], 1, 0.0))
    assert worker.deaths == 0


@pytest.mark.parametrize(
    ("method", "arguments", "limit", "fault"),
    [
        (None, (), START_DEADLINE, "has not started for 901 s"),
        ("receive", (Weights(1, {}), 0.0), UPDATE_DEADLINE, "has not loaded new weights for 301 s"),
        ("generate", ([], 0.5, 0.0), DEADLINE, "made no engine step for 61 s"),
    ],
)
def test_every_call_has_its_deadline(
    method: str | None, arguments: tuple[Any, ...], limit: float, fault: str
) -> None:
    worker = WorkerHandle(FakeActor(), now=0.0)
    if method:
        worker.finish(PROCESS)
        assert worker.late(DEADLINE, now=1e9) is None  # nothing was asked of it
        getattr(worker, method)(*arguments)
    assert worker.late(DEADLINE, now=limit) is None
    assert worker.late(DEADLINE, now=limit + 1) == fault


def test_time_without_an_engine_step_adds_up_over_calls() -> None:
    worker, _ = started()
    for now in (0.0, 40.0):
        worker.generate([], 0.5, now)
        worker.finish(Progress([], 0, 0.0))
    worker.generate([], 0.5, now=59.0)
    assert worker.late(DEADLINE, now=60.0) is None
    assert worker.late(DEADLINE, now=61.0) == "made no engine step for 61 s"
    worker.finish(Progress([], 1, 0.0))
    worker.generate([], 0.5, now=61.0)
    assert worker.late(DEADLINE, now=121.0) is None
