"""Whom a pool gives what, which weights its workers have, and what happens when they die or are late."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from fake_actors import FakeActor, FakeRay, requests
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.exceptions import RayActorError, RayTaskError

from rlvr.base.processes import DEATHS, LOOK, START_DEADLINE
from rlvr.rollout.pool import RolloutPool
from rlvr.types import RlvrError, Rollout, StallError, WorkerDied

DEADLINE = 60.0
FAILED = RayTaskError("advance", "ValueError: broken", ValueError("broken"))
WHERE = {"path": "here"}


@contextmanager
def fake_ray() -> Iterator[FakeRay]:
    """The pool's module sees this and no Ray."""
    fake = FakeRay()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rlvr.rollout.pool.ray", fake)
        patch.setattr("rlvr.rollout.pool.time", fake)
        patch.setattr("rlvr.rollout.pool.stacks", lambda process: f"(stacks of {process})")
        yield fake


@pytest.fixture
def fake() -> Iterator[FakeRay]:
    with fake_ray() as there:
        yield there


def pool_of(fake: FakeRay, workers: int = 1, stands: bool = True, **options: bool) -> RolloutPool:
    """Decodes four sequences at a time, and can replace its workers."""
    actors = [fake.start(place) for place in range(workers)]
    pool = RolloutPool(actors, 4, DEADLINE, start=fake.start, **options)
    if stands:
        for actor in actors:
            pool.collect(actor.answer())
    return pool


def submit(pool: RolloutPool, *problems: str, samples: int = 2) -> None:
    for problem in problems:
        pool.submit(requests(problem, samples))


def given_to(actor: FakeActor) -> list[str]:
    """The problems of what its newest call brought, one for each sample."""
    assert actor.call is not None
    assert actor.call.method == "advance"
    return [request.problem_id for request in actor.call.arguments[0]]


def method(actor: FakeActor) -> str | None:
    return actor.call and actor.call.method


# ---------------------------------------------------------------- who gets what


def test_nobody_gets_work_before_it_stands(fake: FakeRay) -> None:
    pool = pool_of(fake, stands=False)
    submit(pool, "a")
    pool.dispatch()
    (actor,) = fake.actors
    assert method(actor) == "ready"
    assert pool.starting
    assert pool.calls == [actor.call]
    assert pool.collect(actor.answer()) == []
    assert not pool.starting
    assert not pool.calls
    pool.dispatch()
    assert given_to(actor) == ["a", "a"]


def test_a_lone_worker_is_given_everything_at_once(fake: FakeRay) -> None:
    pool = pool_of(fake)
    submit(pool, *"abcdefghij")
    pool.dispatch()
    assert given_to(fake.actors[0]) == [name for name in "abcdefghij" for _ in range(2)]


def test_groups_go_to_whoever_has_least(fake: FakeRay) -> None:
    pool = pool_of(fake, workers=2)
    submit(pool, "a", samples=3)
    submit(pool, "b", "c", "d", samples=1)
    pool.dispatch()
    assert [given_to(actor) for actor in fake.actors] == [["a"] * 3, ["b", "c", "d"]]


def test_several_have_twice_what_they_decode_at_a_time_and_are_topped_up(fake: FakeRay) -> None:
    pool = pool_of(fake, workers=2)
    submit(pool, *(f"p{i:02}" for i in range(10)))
    pool.dispatch()
    first, second = fake.actors
    assert [len(first.running), len(second.running)] == [8, 8]
    pool.dispatch()  # nobody is idle
    assert [len(first.running), len(second.running)] == [8, 8]
    pool.collect(first.answer(answers=1))
    pool.dispatch()
    assert given_to(first) == []  # a group does not fit
    pool.collect(first.answer(answers=1))
    pool.dispatch()
    assert given_to(first) == ["p08", "p08"]


def test_a_group_that_is_too_large_for_anybody_is_for_who_has_nothing(fake: FakeRay) -> None:
    pool = pool_of(fake, workers=2)
    submit(pool, "a", samples=20)
    pool.dispatch()
    assert len(fake.actors[0].running) == 20


def test_a_worker_in_a_call_has_its_share_kept_for_it(fake: FakeRay) -> None:
    pool = pool_of(fake, workers=2)
    submit(pool, "a", samples=1)
    pool.dispatch()
    first, second = fake.actors
    assert given_to(first) == ["a"]
    submit(pool, "b", "c", "d", samples=1)
    pool.dispatch()
    assert given_to(second) == ["b", "c"]
    pool.collect(first.answer(answers=1))
    pool.dispatch()
    assert given_to(first) == ["d"]


def test_a_share_is_kept_for_those_alone_that_stand(fake: FakeRay) -> None:
    pool = pool_of(fake, workers=2, stands=False)
    submit(pool, "a", "b")
    pool.collect(fake.actors[1].answer())
    pool.dispatch()
    assert given_to(fake.actors[1]) == ["a", "a", "b", "b"]


def test_a_worker_without_work_is_not_called_and_a_pool_with_none_is_not_busy(fake: FakeRay) -> None:
    pool = pool_of(fake)
    assert not pool.busy
    submit(pool, "a")
    assert pool.busy
    pool.dispatch()
    (actor,) = fake.actors
    assert [r.sample for r in pool.collect(actor.answer(answers=1, memory=2.5))] == [0]
    assert pool.busy
    pool.dispatch()
    assert [r.sample for r in pool.collect(actor.answer(answers=1, memory=1.5))] == [1]
    assert not pool.busy
    pool.dispatch()
    assert not pool.calls
    assert pool.peak_memory == 2.5


# ---------------------------------------------------------------- weights


def test_new_weights_come_between_two_calls_and_before_further_work(fake: FakeRay) -> None:
    pool = pool_of(fake, workers=2)
    submit(pool, "a")
    pool.dispatch()
    first, second = fake.actors
    pool.update(WHERE, 1)
    assert (first.pauses, second.pauses) == (1, 0)
    assert pool.updating
    assert not pool.reading
    submit(pool, "b")
    pool.dispatch()
    assert second.call is not None
    assert (second.call.method, second.call.arguments) == ("receive_weights", (WHERE, 1))
    assert pool.reading
    pool.collect(second.answer())
    assert pool.updating
    pool.dispatch()
    assert given_to(second) == ["b", "b"]
    pool.collect(first.answer(answers=1))
    pool.dispatch()
    assert method(first) == "receive_weights"
    pool.collect(first.answer())
    assert not pool.updating
    pool.dispatch()
    assert given_to(first) == []  # goes on with what it has
    assert len(pool.collect(first.answer(answers=1))) == 1


def test_while_weights_change_nobody_begins_to_read_them_and_the_others_go_on(fake: FakeRay) -> None:
    pool = pool_of(fake, workers=2)
    pool.update(WHERE, 1)
    pool.dispatch()
    first, second = fake.actors
    pool.collect(first.answer())
    pool.collect(second.fail(RayActorError()))  # whoever comes now has the first weights only
    pool.hold()
    third = fake.actors[2]
    pool.collect(third.answer())
    submit(pool, "a", "b")
    pool.dispatch()
    assert given_to(first) == ["a", "a"]
    assert method(third) == "ready"
    assert pool.updating
    pool.update(WHERE, 2)
    pool.dispatch()
    assert method(third) == "receive_weights"


def test_who_is_being_started_is_not_waited_for_and_gets_the_present_weights_first(fake: FakeRay) -> None:
    pool = pool_of(fake, stands=False)
    pool.update(WHERE, 5)
    assert not pool.updating
    submit(pool, "a")
    (actor,) = fake.actors
    pool.collect(actor.answer())
    assert pool.updating
    pool.dispatch()
    assert method(actor) == "receive_weights"
    pool.collect(actor.answer())
    assert not pool.updating
    pool.dispatch()
    assert given_to(actor) == ["a", "a"]


def test_weights_that_reach_workers_by_themselves_are_not_sent(fake: FakeRay) -> None:
    pool = pool_of(fake)
    pool.hold()
    pool.update({}, 1)
    assert not pool.updating
    submit(pool, "a")
    pool.dispatch()
    assert given_to(fake.actors[0]) == ["a", "a"]


def test_a_worker_whose_weights_are_in_pieces_is_replaced_and_nobody_else_reads_them(
    fake: FakeRay, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = pool_of(fake, workers=2)
    submit(pool, "a")
    pool.dispatch()
    pool.update(WHERE, 1)
    first, second = fake.actors
    pool.dispatch()
    with pytest.raises(WorkerDied, match=r"^weight update: .*broken"):
        pool.collect(second.fail(FAILED))
    assert fake.killed == [second]
    assert "rollout worker 1 (process 1001) could not load the weights. Replaced; 0 rollouts" in (
        capsys.readouterr().err
    )
    pool.collect(first.answer())
    pool.dispatch()
    assert method(first) == "advance"  # that which has ended
    assert not pool.reading
    pool.update(WHERE, 1)
    pool.dispatch()
    assert pool.reading


# ---------------------------------------------------------------- the dead


@pytest.mark.parametrize(("exact", "again"), [(False, 3), (True, 4)])
def test_a_dead_workers_successor_draws_what_was_not_finished(
    fake: FakeRay, capsys: pytest.CaptureFixture[str], exact: bool, again: int
) -> None:
    pool = pool_of(fake, exact=exact)
    submit(pool, "a", "b")
    pool.dispatch()
    (dead,) = fake.actors
    came = pool.collect(dead.answer(answers=1))
    submit(pool, "c")
    pool.dispatch()
    assert pool.collect(dead.fail(RayActorError("it was killed.\nAnd more"))) == []
    said = capsys.readouterr().err
    again += 2  # those of "c"
    words = r"rollout worker 0 \(process 1000\) died: .*[^.]\. Replaced; "
    assert re.search(rf"^rlvr: {words}{again} rollouts are generated again$", said, re.MULTILINE)
    assert "And more" not in said
    assert fake.killed == [dead]
    assert pool.actors == [fake.actors[1]]
    assert (pool.replaced, pool.starting, pool.busy) == (1, True, True)
    pool.collect(fake.actors[1].answer())
    pool.dispatch()
    assert given_to(fake.actors[1]) == ["a", "a", "b", "b", "c", "c"][-again:]
    came += pool.collect(fake.actors[1].answer(answers=6))
    assert [(r.problem_id, r.sample) for r in came] == [(name, i) for name in "abc" for i in range(2)]
    assert not pool.busy


def test_a_dead_workers_requests_go_to_those_that_live(fake: FakeRay) -> None:
    pool = pool_of(fake, workers=2)
    submit(pool, "a", "b")
    pool.dispatch()
    first, second = fake.actors
    pool.collect(first.fail(RayActorError()))
    pool.collect(second.answer(answers=2))
    pool.dispatch()
    assert given_to(second) == ["a", "a"]


def test_a_place_in_which_nobody_gets_on_is_given_up(fake: FakeRay) -> None:
    pool = pool_of(fake, stands=False)
    submit(pool, "a")
    for number in range(DEATHS):
        pool.collect(fake.actors[number].fail(RayActorError()))
    pool.collect(fake.actors[DEATHS].answer())
    pool.dispatch()
    pool.collect(fake.actors[DEATHS].answer(steps=1))  # now that one gets on, it begins anew
    pool.dispatch()
    for number in range(DEATHS, 2 * DEATHS):
        pool.collect(fake.actors[number].fail(RayActorError()))
    with pytest.raises(RlvrError, match=rf"rollout worker 0 died: .*replaced {DEATHS} times in a row"):
        pool.collect(fake.actors[2 * DEATHS].fail(RayActorError()))
    assert pool.replaced == 2 * DEATHS


def test_who_cannot_be_replaced_ends_the_stage(fake: FakeRay) -> None:
    actor = fake.start(0)
    pool = RolloutPool([actor], 4, DEADLINE)
    pool.collect(actor.answer())
    submit(pool, "a")
    pool.dispatch()
    with pytest.raises(WorkerDied, match=r"^rollout worker 0 \(process 1000\) died: "):
        pool.collect(actor.fail(RayActorError()))


def test_a_worker_that_fails_by_itself_is_not_tried_again(fake: FakeRay) -> None:
    pool = pool_of(fake, workers=2)
    submit(pool, "a", "b")
    pool.dispatch()
    with pytest.raises(RlvrError, match=r"rollout worker 1 failed: .*broken"):
        pool.collect(fake.actors[1].fail(FAILED))
    assert pool.replaced == 0


# ---------------------------------------------------------------- the late


def to_start(pool: RolloutPool, actor: FakeActor) -> None:
    """It is starting."""


def to_receive(pool: RolloutPool, actor: FakeActor) -> None:
    pool.collect(actor.answer())
    submit(pool, "a")
    pool.dispatch()
    pool.update(WHERE, 1)
    pool.collect(actor.answer(answers=1))
    pool.dispatch()


def to_generate(pool: RolloutPool, actor: FakeActor) -> None:
    pool.collect(actor.answer())
    submit(pool, "a", "b")
    pool.dispatch()


STUCK = [
    (to_start, 900.0, r"\(no process yet\) has not started for 901 s", "0 .* nothing$"),
    (to_receive, 300.0, r"\(process 1000\) has not loaded new weights for 301 s", "1 .* 'a', sample 1"),
    (to_generate, 60.0, r"\(process 1000\) made no engine step for 61 s", "4 .* 'a', sample 0"),
]


@pytest.mark.parametrize("replaceable", [True, False])
@pytest.mark.parametrize(("come", "limit", "fault", "has"), STUCK)
def test_who_is_late_is_described_and_replaced_if_it_can_be(
    fake: FakeRay,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    come: Callable[[RolloutPool, FakeActor], None],
    limit: float,
    fault: str,
    has: str,
    replaceable: bool,
) -> None:
    monkeypatch.setattr("rlvr.rollout.pool.require_nodes", lambda what: None)
    actor = fake.start(0)
    pool = RolloutPool([actor], 4, DEADLINE, start=fake.start if replaceable else None)
    come(pool, actor)
    fake.now = limit
    pool.check_progress()
    assert not pool.replaced
    fake.now += 1
    said = rf"generation: rollout worker 0 {fault} \(rollout\.deadline=60\); it has {has}"
    if replaceable:
        pool.check_progress()
        assert pool.replaced == 1
        assert fake.killed == [actor]
        shown = capsys.readouterr().err
        assert "was stuck. Replaced; " in shown
    else:
        with pytest.raises(StallError) as stall:
            pool.check_progress()
        shown = str(stall.value)
    assert re.search(said, shown, re.MULTILINE)
    assert ("Its stacks:\n(stacks of process 1000)" in shown) == ("process 1000" in fault)


def test_a_place_in_which_all_are_stuck_is_given_up(fake: FakeRay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlvr.rollout.pool.require_nodes", lambda what: None)
    pool = pool_of(fake, stands=False)
    for _ in range(DEATHS):
        fake.now += START_DEADLINE + 1
        pool.check_progress()
    fake.now += START_DEADLINE + 1
    with pytest.raises(StallError, match="has not started for 901 s"):
        pool.check_progress()


def test_who_makes_steps_or_has_nothing_to_do_is_never_late(fake: FakeRay) -> None:
    pool = pool_of(fake)
    submit(pool, "a")
    for _ in range(5):
        pool.dispatch()
        fake.now += DEADLINE
        pool.check_progress()
        pool.collect(fake.actors[0].answer())
    pool.dispatch()
    pool.collect(fake.actors[0].answer(answers=2))
    fake.now += 1e6
    pool.check_progress()
    submit(pool, "b")
    pool.dispatch()
    pool.check_progress()
    assert pool.replaced == 0


def test_while_workers_start_the_cluster_is_looked_at_now_and_then(
    fake: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a node, they would be waited for until their deadline."""
    looks = []
    monkeypatch.setattr("rlvr.rollout.pool.require_nodes", looks.append)
    pool = pool_of(fake, stands=False)
    for seconds in (LOOK, 0.5, LOOK - 1, 2.0):
        fake.now += seconds
        pool.check_progress()
    assert looks == ["rollout worker 0"] * 2
    pool.collect(fake.actors[0].answer())
    fake.now += 10 * LOOK
    pool.check_progress()
    assert len(looks) == 2


# ---------------------------------------------------------------- whatever happens


@settings(deadline=None)
@given(st.data(), st.integers(1, 3), st.booleans())
def test_whatever_dies_when_every_request_comes_out_once(
    data: st.DataObject, workers: int, exact: bool
) -> None:
    """Workers die, get stuck and are given weights in any order; nobody draws with older ones."""
    came: list[Rollout] = []
    submitted: Counter[tuple[str, int]] = Counter()
    version = -1
    with fake_ray() as fake, pytest.MonkeyPatch.context() as patch:
        patch.setattr("rlvr.rollout.pool.DEATHS", -1)  # nobody is given up
        patch.setattr("rlvr.rollout.pool.require_nodes", lambda what: None)
        pool = pool_of(fake, workers, stands=False, exact=exact)

        def step(event: str, actor: FakeActor) -> None:
            nonlocal version
            if event == "submit":
                group = requests(f"p{len(submitted)}", data.draw(st.integers(1, 5)))
                submitted.update((request.problem_id, request.sample) for request in group)
                pool.submit(group)
            elif event == "dispatch":
                idle = [each for each in pool.actors if each.call not in pool.calls]
                pool.dispatch()
                for each in idle:
                    assert each.call not in pool.calls or method(each) != "advance" or each.version == version
            elif event == "hold" and not pool.reading:
                pool.hold()
            elif event == "update" and not pool.reading:
                version += 1
                pool.update(WHERE, version)
            elif event == "stall":
                fake.now += START_DEADLINE + 1
                pool.check_progress()
            elif actor.call in pool.calls and event == "die":
                assert pool.collect(actor.fail(RayActorError())) == []
            elif actor.call in pool.calls and event == "return":
                came.extend(pool.collect(actor.answer(data.draw(st.integers(0, 4)))))

        events = ["submit", "dispatch", "dispatch", "return", "return", "hold", "update", "die", "stall"]
        for event in data.draw(st.lists(st.sampled_from(events), max_size=60)):
            step(event, data.draw(st.sampled_from(pool.actors)))
        version += 1
        pool.update(WHERE, version)
        while pool.busy or pool.calls:
            pool.dispatch()
            assert pool.calls  # or it would be waited for ever
            for actor in pool.actors:
                if actor.call in pool.calls:
                    came.extend(pool.collect(actor.answer(answers=5)))
    assert Counter((rollout.problem_id, rollout.sample) for rollout in came) == submitted
    assert pool.replaced == len(fake.killed) == len(fake.actors) - workers
