"""What the end of a reward worker means for its tasks, and how long a check may take. No processes."""

from __future__ import annotations

import math
import signal
from dataclasses import replace

import pytest

from rlvr.rewards.evaluate import EVERY
from rlvr.rewards.functions import Sample
from rlvr.rewards.tasks import Task
from rlvr.rewards.workers.channel import Place, Ready
from rlvr.rewards.workers.ends import COMPUTED, Cause, End, outcomes, without_memory
from rlvr.rewards.workers.patience import IN_VAIN, LEAST, USUAL_CHECKS, Patience
from rlvr.types import Problem, Status, Verdict

DEADLINE = 4.0
READY = Ready(names=("first", "second"), asked=(), one_by_one=True, late=(False, True))


def task(ticket: int = 0) -> Task:
    return Task(ticket, Sample(Problem("p1", "6 · 7?", "42"), ticket, "42", "stop"), 0.0)


def at(position: int, function: int = 0) -> Place:
    return Place(position, function, began=10.0, until=10.0 + DEADLINE)


def end(cause: Cause | None, place: Place | None, code: int = -signal.SIGKILL, computed: float = 0.0) -> End:
    return End(cause, place, at=14.0, computed=computed, code=code, seconds=4.5)


def outcome(ended: End, tried: Task) -> Task | Verdict:
    """What becomes of a task whose worker had no other."""
    return outcomes(ended, {0: tried}, READY, DEADLINE)[0]


def test_only_the_task_at_which_the_worker_was_is_at_fault() -> None:
    owed = {1: task(1), 2: task(2), 4: task(4)}
    found = outcomes(end(None, at(2), code=3), owed, READY, DEADLINE)
    assert isinstance(found.pop(2), Verdict)
    assert found == {1: task(1), 4: task(4)}


def test_nobody_is_at_fault_if_the_task_has_its_verdict_or_went_to_others() -> None:
    owed = {3: task(3)}
    assert outcomes(end(None, at(2), code=3), owed, READY, DEADLINE) == owed


@pytest.mark.parametrize("place", [None, at(EVERY)])
@pytest.mark.parametrize("cause", [None, Cause.DEADLINE, Cause.NOT_BEGUN])
def test_where_any_of_several_may_be_at_fault_each_is_tried_alone(
    place: Place | None, cause: Cause | None
) -> None:
    found = outcomes(end(cause, place), {0: task(0), 3: task(3)}, READY, DEADLINE)
    assert found == {0: task(0)._replace(alone=True), 3: task(3)._replace(alone=True)}


@pytest.mark.parametrize(
    ("ended", "status", "reason"),
    [
        (end(Cause.DEADLINE, at(0)), Status.TIMEOUT, "first (…) was still running after its deadline of 4 s"),
        (
            end(Cause.DEADLINE, at(EVERY)),
            Status.TIMEOUT,
            "first (…) was still running after its deadline of 4 s",
        ),
        (end(Cause.NOT_BEGUN, None), Status.TIMEOUT, "its worker (…) did not begin within 60 s"),
        (end(None, at(0), -signal.SIGXCPU), Status.TIMEOUT, "first (…) used up its CPU time"),
        (end(None, at(0, 1), 3), Status.CRASHED, "second (…): the process exited with status 3"),
        (end(None, None, 0), Status.CRASHED, "its worker (…): the process exited with status 0"),
    ],
)
def test_the_verdict_says_where_and_how_the_worker_ended(ended: End, status: Status, reason: str) -> None:
    reason = reason.replace("…", "problem 'p1', sample 0")
    assert outcome(ended, task()) == Verdict(status, None, reason, seconds=4.5)


def test_a_signal_from_outside_has_the_task_tried_once_more_alone() -> None:
    again = outcome(end(None, at(0)), task())
    assert again == task()._replace(alone=True, killed=True)
    assert isinstance(again, Task)
    verdict = outcome(end(None, at(0), -signal.SIGABRT), again)
    assert isinstance(verdict, Verdict)
    assert verdict.status is Status.CRASHED
    assert verdict.reason.endswith("the process was killed by SIGABRT, a second time, alone")


def test_a_check_ended_for_others_is_put_off() -> None:
    assert outcome(end(Cause.OTHERS_WAIT, at(0)), task()) == task()._replace(put_off=True)


def test_a_deadline_is_the_answers_fault_where_the_function_says_so_and_was_at_work() -> None:
    enough = COMPUTED * DEADLINE
    late = outcome(end(Cause.DEADLINE, at(0, 1), computed=enough), task())
    assert late == task()._replace(sample=replace(task().sample, late=(1,)))
    for ended in (
        end(Cause.DEADLINE, at(0, 1), computed=0.9 * enough),  # it had no core
        end(Cause.DEADLINE, at(0, 0), computed=enough),  # another function, which does not say so
        end(None, at(0, 1), code=3, computed=enough),
    ):
        assert isinstance(outcome(ended, task()), Verdict)


def test_a_function_that_is_late_does_not_hide_that_another_was() -> None:
    tried = task()._replace(sample=replace(task().sample, late=(0,)))
    again = outcome(end(Cause.DEADLINE, at(0, 1), computed=DEADLINE), tried)
    assert isinstance(again, Task)
    assert again.sample.late == (0, 1)


def test_what_ran_out_of_memory_is_tried_alone_in_a_new_process() -> None:
    assert without_memory(task()) == task()._replace(alone=True, fresh=True)


def test_patience_is_many_usual_checks_and_never_too_short() -> None:
    patience = Patience(deadline=100.0)
    assert patience.seconds == LEAST
    for _ in range(500):
        patience.judged(0.5)
    assert patience.seconds == pytest.approx(USUAL_CHECKS * 0.5, rel=1e-3)


def test_no_check_is_put_off_where_that_would_save_little() -> None:
    assert Patience(deadline=2.1 * LEAST).seconds == LEAST
    assert Patience(deadline=1.9 * LEAST).seconds == math.inf
    slow = Patience(deadline=10.0)
    for _ in range(500):
        slow.judged(1.0)
    assert slow.seconds == math.inf


def test_a_check_counts_as_usual_for_no_more_than_its_deadline() -> None:
    held, other = Patience(deadline=1.0), Patience(deadline=1.0)
    held.judged(1.0)
    other.judged(1e6)
    assert held.seconds == other.seconds


def test_after_many_checks_put_off_in_a_row_none_is_until_there_is_a_verdict() -> None:
    patience = Patience(deadline=10.0)
    for _ in range(IN_VAIN):
        assert patience.seconds == LEAST
        patience.put_off()
    assert patience.seconds == math.inf
    patience.judged(0.0)
    assert patience.seconds == LEAST
