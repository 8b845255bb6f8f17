"""The supervisor of reward workers by itself: what it is given comes back, judged or to be given again."""

from __future__ import annotations

import select
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.functions import Sample
from rlvr.rewards.tasks import Task
from rlvr.rewards.workers.supervisor import Judged, Supervisor
from rlvr.types import DataError, Problem, Status

USER_MODULE = '''
import os, signal

def act(completion):
    """What the completion asks for."""
    while completion == "hang":
        pass
    if completion == "exit":
        os._exit(3)
    if completion == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    return 1.0
'''


@pytest.fixture(autouse=True)
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "supervised_rewards.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("supervised_rewards", None)


@pytest.fixture
def supervisor(request: pytest.FixtureRequest) -> Iterator[Supervisor]:
    """One worker, with a deadline of `param` seconds."""
    functions = {"user": {"_target_": "supervised_rewards.act"}}
    supervisor = Supervisor(RewardConfig(functions, deadline=getattr(request, "param", 30.0)), niceness=0)
    yield supervisor
    supervisor.close()


def tasks(*texts: str, **columns: Any) -> list[Task]:
    problem = Problem("p1", "6 · 7?", "42", columns=columns)
    return [Task(ticket, Sample(problem, ticket, text, "stop"), 0.0) for ticket, text in enumerate(texts)]


def events(supervisor: Supervisor, number: int, others_wait: bool = False) -> list[Judged | Task]:
    found: list[Judged | Task] = []
    while len(found) < number:
        found += supervisor.turn(wait=True, others_wait=others_wait)
    return found


def verdicts(found: list[Judged | Task]) -> list[tuple[int, Status]]:
    return [(event.task.ticket, event.verdict.status) for event in found if isinstance(event, Judged)]


def test_a_worker_is_idle_again_once_its_batch_is_judged(supervisor: Supervisor) -> None:
    (worker,) = supervisor.idle()
    assert not worker.used
    supervisor.give(worker, tasks("a", "b"))
    assert supervisor.idle() == []
    assert verdicts(events(supervisor, 2)) == [(0, Status.CORRECT), (1, Status.CORRECT)]
    while not supervisor.idle():
        assert supervisor.turn(wait=True, others_wait=False) == []
    assert supervisor.idle() == [worker]
    assert worker.used


def test_what_a_worker_had_not_begun_comes_back_when_it_ends(supervisor: Supervisor) -> None:
    (worker,) = supervisor.idle()
    given = tasks("exit", "a", "b")
    supervisor.give(worker, given)
    found = events(supervisor, 3)
    assert verdicts(found) == [(0, Status.CRASHED)]
    assert [event for event in found if isinstance(event, Task)] == given[1:]
    (other,) = supervisor.idle()
    assert other.pid != worker.pid
    assert not other.used


def test_a_task_whose_worker_was_killed_comes_back_to_be_tried_alone(supervisor: Supervisor) -> None:
    (given,) = tasks("killed")
    supervisor.give(supervisor.idle()[0], [given])
    assert events(supervisor, 1) == [given._replace(alone=True, killed=True)]
    assert supervisor.counts.retried == 1


def test_a_slow_check_is_put_off_only_while_others_wait(supervisor: Supervisor) -> None:
    (given,) = tasks("hang")
    supervisor.give(supervisor.idle()[0], [given])
    assert events(supervisor, 1, others_wait=True) == [given._replace(put_off=True)]
    assert supervisor.counts.put_off == 1


@pytest.mark.parametrize("supervisor", [0.6], indirect=True)
def test_a_slow_check_has_its_deadline_while_no_other_waits(supervisor: Supervisor) -> None:
    supervisor.give(supervisor.idle()[0], tasks("hang"))
    assert verdicts(events(supervisor, 1)) == [(0, Status.TIMEOUT)]
    assert supervisor.counts.put_off == 0


def test_the_rest_of_a_batch_comes_back_while_a_check_takes_long(supervisor: Supervisor) -> None:
    given = tasks("hang", "a", "b")
    supervisor.give(supervisor.idle()[0], given)
    assert events(supervisor, 2) == given[1:]


def test_what_cannot_be_sent_comes_back_and_its_worker_stays_idle(supervisor: Supervisor) -> None:
    (worker,) = supervisor.idle()
    given = tasks("a", level=lambda: None)
    with pytest.raises(DataError, match="problem 'p1', sample 0"):
        supervisor.give(worker, given)
    assert supervisor.turn(wait=True, others_wait=False) == given
    assert supervisor.idle() == [worker]


def test_a_used_worker_is_renewed_and_a_new_one_is_not(supervisor: Supervisor) -> None:
    (worker,) = supervisor.idle()
    supervisor.renew(worker)
    assert supervisor.idle() == [worker]
    supervisor.give(worker, tasks("a"))
    while not supervisor.idle():
        supervisor.turn(wait=True, others_wait=False)
    supervisor.renew(worker)
    while not supervisor.idle():
        supervisor.turn(wait=True, others_wait=False)
    (other,) = supervisor.idle()
    assert other.pid != worker.pid
    assert supervisor.counts.recycled == 1


@pytest.mark.parametrize("supervisor", [0.1], indirect=True)
def test_a_worker_that_ended_in_time_is_not_missed_by_a_caller_who_comes_back_late(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    (worker,) = supervisor.idle()
    supervisor.give(worker, tasks("hang"))
    found = []
    while worker.end is None:
        found += supervisor.turn(wait=False, others_wait=False)
    if not found:  # it has been told to end, and the caller is away until it has
        assert select.select([supervisor._processes.control], [], [], 30.0)[0]
        monkeypatch.setattr("rlvr.rewards.workers.supervisor.GONE", 0.0)
        found += supervisor.turn(wait=True, others_wait=False)
    assert verdicts(found) == [(0, Status.TIMEOUT)]
    assert supervisor.counts.restarts == 0


@pytest.mark.parametrize("supervisor", [0.1], indirect=True)
@pytest.mark.parametrize("text", ["exit", "killed"])
def test_a_worker_that_ended_by_itself_was_not_late_though_the_caller_is(
    supervisor: Supervisor, text: str
) -> None:
    (given,) = tasks(text)
    supervisor.give(supervisor.idle()[0], [given])
    assert select.select([supervisor._processes.control], [], [], 30.0)[0]  # it has ended
    threading.Event().wait(0.2)  # longer than the deadline
    (event,) = events(supervisor, 1)
    if text == "killed":
        assert event == given._replace(alone=True, killed=True)
    else:
        assert verdicts([event]) == [(0, Status.CRASHED)]
