"""The reward service with real processes: what hangs, dies or misbehaves touches nothing else."""

from __future__ import annotations

import itertools
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlvr.rewards.actor import RewardActor
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.pool import RewardPool
from rlvr.rewards.service import AHEAD, RewardService
from rlvr.rewards.workers import processes
from rlvr.rewards.workers.worker import SPARE_CPU
from rlvr.types import ConfigError, DataError, FinishReason, Group, Problem, RlvrError, Rollout, Status

USER_MODULE = '''
import os, time

def hostile(completion, flavour="plain"):
    """What the completion asks for."""
    if completion == "hang":
        while True:
            pass
    while completion == "wait":
        time.sleep(1.0)
    if completion == "integer":
        return len(str(7 ** 10 ** 9))
    if completion == "memory":
        hoard = []
        while True:
            hoard.append(bytearray(1 << 24))
    if completion == "exit":
        os._exit(3)
    if completion == "sys.exit":
        raise SystemExit(4)
    if completion == "abort":
        os.abort()
    if completion == "raise":
        raise ValueError("no such thing")  # the line to name
    if completion == "write":
        with open("written", "w") as file:
            file.write("x" * 10)
    if completion == "orphan":
        import subprocess
        subprocess.Popen(["sleep", "301"], start_new_session=True)
        return 1.0
    if completion == "fork":
        if os.fork() == 0:
            os.setsid()
            time.sleep(302)
        time.sleep(302)
    if completion == "child":
        import subprocess
        subprocess.Popen(["sleep", "300"])
        while True:
            pass
    return {"text": "0.5", "none": None, "nan": float("nan"), "true": True}.get(completion, 1.0)

def long_message(completion):
    raise ValueError("bad\\nthing " + "z" * 5000)

def pid(completion, finish_reason, tokens, level, spare=2.0):
    return os.getpid() + 0 * len(tokens) if finish_reason == "stop" and level == 3 else None

def together(completions):
    for completion in completions:
        while completion == "hang":
            pass
        if completion == "exit":
            os._exit(3)
    return [len(completions)] * len(completions)

def cpu_limit(completion):
    import resource
    most, hard = resource.getrlimit(resource.RLIMIT_CPU)
    spent = time.process_time()
    if completion == "lower":
        resource.setrlimit(resource.RLIMIT_CPU, (int(spent) + 1, hard))
    while completion == "lower":
        pass
    return most - spent

loaded = False
def loads_at_first_use(completion):
    global loaded
    began = time.monotonic()
    while not loaded and time.monotonic() < began + 0.6:
        time.sleep(0.01)
    loaded = True
    return 1.0

class Meeting:
    """Ends for nobody before all `size` are there."""
    def __init__(self, size):
        self.size, self.there, self.all = size, 0, None
    async def __call__(self, completion):
        import asyncio
        self.all = self.all or asyncio.Event()
        if completion == "stay away":
            await asyncio.Event().wait()
        while completion == "block":
            pass
        self.there += 1
        if self.there >= self.size:
            self.all.set()
        await self.all.wait()
        return 1.0

class Sized:
    def __init__(self, unit):
        self.unit = unit
    def __call__(self, completion, answer):
        return len(completion) * self.unit
'''


@pytest.fixture(autouse=True)
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "my_rewards.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("my_rewards", None)


def config(
    target: str = "my_rewards.hostile", deadline: float = 1.0, workers: int = 1, **more: Any
) -> RewardConfig:
    return RewardConfig(
        {"user": {"_target_": target, **more}}, deadline=deadline, workers=workers, memory_gib=0.25
    )


def item(text: str, sample: int = 0) -> tuple[Problem, Rollout]:
    nothing = np.zeros(2, np.int32)
    rollout = Rollout(
        "p1",
        0,
        sample,
        0,
        nothing,
        nothing > 0,
        nothing.astype(np.float32),
        nothing,
        text,
        FinishReason.STOP,
        1.0,
    )
    return Problem("p1", "6 · 7?", "42", columns={"level": 3}), rollout


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for_end(pid: int, seconds: float = 5.0) -> bool:
    """Whether the process ends in time (it need not be our child)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    import select

    with os.fdopen(descriptor):
        return bool(select.select([descriptor], [], [], seconds)[0]) or not alive(pid)


@pytest.mark.parametrize("workers", [1, 2])
def test_failures_stay_with_their_sample(
    user_module: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(user_module)
    texts = [
        "ok",
        "hang",
        "memory",
        "ok",
        "exit",
        "sys.exit",
        "abort",
        "raise",
        "text",
        "none",
        "nan",
        "write",
        "true",
    ]
    # little memory, so that even a busy machine fills it well before the deadline
    with RewardService(replace(config(workers=workers, deadline=4.0), memory_gib=0.0625)) as service:
        verdicts = service.score([item(text, index) for index, text in enumerate(texts)])
        counters = service.counters()
        after = service.score([item("ok")])[0]
    found = dict(zip(texts, verdicts, strict=True))
    assert [verdicts[0].reward, verdicts[3].reward, found["true"].reward, after.reward] == [1.0] * 4
    assert found.pop("hang").status is Status.TIMEOUT
    assert "sample 1" in verdicts[1].reason
    assert "deadline of 4 s" in verdicts[1].reason
    assert "user" in verdicts[1].reason
    del found["ok"], found["true"]
    assert {verdict.status for verdict in found.values()} == {Status.CRASHED}
    assert all(verdict.reward is None for verdict in found.values())
    said = {
        "memory": "MemoryError", "exit": "status 3", "sys.exit": "status 4", "abort": "SIGABRT",
        "raise": "ValueError: no such thing", "text": "'0.5'", "nan": "nan", "write": "PermissionError",
    }  # fmt: skip
    for text, words in said.items():
        assert words in found[text].reason
        assert f"sample {texts.index(text)}" in found[text].reason
    line = USER_MODULE.split("\n").index('        raise ValueError("no such thing")  # the line to name') + 1
    assert f"my_rewards.py:{line}" in found["raise"].reason
    assert not (user_module / "written").exists()
    assert counters["checks"] == 13
    assert counters["timeout"] == 1
    assert counters["crashed"] == 9
    assert counters["correct"] == 3
    # four end their worker; on a slow machine, what takes its time (to fill the memory, say) is put off once
    again = counters["put_off"] + counters["retried"] + counters["recycled"]
    assert counters["respawns"] - again == 4
    assert counters["retried"] == 1  # the one that a signal ended


def test_order_of_verdicts_is_that_of_the_items() -> None:
    with RewardService(config("my_rewards.Sized", workers=2, unit=0.5)) as service:
        verdicts = service.score([item("x" * length) for length in (5, 0, 9, 1, 7, 3, 3, 8)])
    assert [verdict.reward for verdict in verdicts] == [2.5, 0.0, 4.5, 0.5, 3.5, 1.5, 1.5, 4.0]


def test_a_worker_is_replaced_without_importing_again(user_module: Path) -> None:
    with RewardService(config(deadline=1.0)) as service:
        (user_module / "my_rewards.py").write_text("raise RuntimeError('imported a second time')")
        assert [v.status for v in service.score([item("hang"), item("ok")])] == [
            Status.TIMEOUT,
            Status.CORRECT,
        ]


def test_no_process_is_left_after_close() -> None:
    with RewardService(config("my_rewards.pid", workers=2)) as service:
        pids = {int(verdict.reward or 0) for verdict in service.score([item("a"), item("b")])}
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)
    service.close()


def test_what_a_killed_worker_started_is_killed_with_it() -> None:
    with RewardService(config(deadline=0.5)) as service:
        before = _sleepers()
        assert service.score([item("child")])[0].status is Status.TIMEOUT
        assert all(wait_for_end(pid) for pid in _sleepers() - before)


def _sleepers() -> set[int]:
    lines = [(path, path / "cmdline") for path in Path("/proc").iterdir() if path.name.isdigit()]
    found = set()
    for path, command in lines:
        try:
            if command.read_bytes() == b"sleep\x00300\x00" and alive(int(path.name)):
                found.add(int(path.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


# A script without a __main__ guard, as users write them. It prints its workers' process ids.
SCRIPT = """
import sys, test_rewards_service as tests
from rlvr.rewards.service import RewardService
service = RewardService(tests.config("my_rewards.pid", workers=2))
print(*{int(v.reward) for v in service.score([tests.item("a"), tests.item("b")])}, flush=True)
sys.stdin.read()
"""


def test_no_process_is_left_when_the_parent_is_killed(user_module: Path) -> None:
    script = user_module / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    path = os.pathsep.join(map(str, (Path(__file__).parent, *Path(__file__).parents[1:3])))
    child = subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert child.stdout
    pids = [int(pid) for pid in child.stdout.readline().split()]
    assert pids
    assert all(alive(pid) for pid in pids)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert all(wait_for_end(pid) for pid in pids)


def test_workers_do_not_see_the_interrupt_of_the_terminal() -> None:
    with RewardService(config("my_rewards.pid")) as service:
        pid = int(service.score([item("a")])[0].reward or 0)
        os.kill(pid, signal.SIGINT)
        os.kill(os.getpgid(pid), signal.SIGINT)
        assert int(service.score([item("a")])[0].reward or 0) == pid
        assert os.getsid(pid) != os.getsid(0)


@pytest.mark.parametrize("niceness", [0, 5])
def test_workers_are_as_nice_as_was_said(niceness: int) -> None:
    with RewardService(config("my_rewards.pid"), niceness) as service:
        pid = int(service.score([item("a")])[0].reward or 0)
        ours = os.getpriority(os.PRIO_PROCESS, 0)
        assert os.getpriority(os.PRIO_PROCESS, pid) == min(ours + niceness, 19)


def test_a_wrong_import_path_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="did you mean 'hostile'"):
        RewardService(config("my_rewards.hostil"))


def test_a_closed_service_says_so() -> None:
    service = RewardService(config())
    service.close()
    with pytest.raises(Exception, match="closed"):
        service.score([item("ok")])


def test_hostile_answers_neither_hang_nor_crash_the_math_reward(tmp_path: Path) -> None:
    math = RewardConfig({"math": {"_target_": "rlvr.rewards.math.math_reward", "wrong": -1.0}}, deadline=5.0)
    texts = [
        r"\boxed{42}",
        r"\boxed{9^{9^{9^{9}}}}",
        r"\boxed{((10!)!)!}",
        "#" * 50_000,
        r"so \boxed{42.0}",
    ]
    with RewardService(math) as service:
        verdicts = service.score([item(text) for text in texts])
    assert [verdict.reward for verdict in verdicts] == [1.0, -1.0, -1.0, -1.0, 1.0]


def test_neighbours_in_a_batch_do_not_wait_for_a_stuck_one() -> None:
    texts = ["ok", "hang", *["ok"] * 14]
    with RewardService(config(workers=2, deadline=1.5)) as service:
        verdicts = service.score([item(text, index) for index, text in enumerate(texts)])
        counters = service.counters()
    assert [verdict.status for verdict in verdicts] == [
        Status.TIMEOUT if text == "hang" else Status.CORRECT for text in texts
    ]
    assert counters["queue_max"] < 1.4  # all began before the deadline
    assert counters["latency_max"] >= 1.5
    assert counters["latency_p50"] < 0.5
    assert (counters["checks"], counters["timeout"]) == (16, 1)
    assert counters["respawns"] - counters["put_off"] == 1


def test_a_stuck_check_is_put_off_until_nothing_else_waits() -> None:
    texts = ["wait", "ok", "wait", *["ok"] * 30]
    with RewardService(config(workers=1, deadline=1.5)) as service:
        verdicts = service.score([item(text, index) for index, text in enumerate(texts)])
        counters = service.counters()
    assert [verdict.status for verdict in verdicts] == [
        Status.TIMEOUT if text == "wait" else Status.CORRECT for text in texts
    ]
    # 31 of 33 began before the first deadline: the only worker did not wait for it
    assert counters["queue_p50"] < 1.4
    assert sum(verdict.seconds >= 1.5 for verdict in verdicts) == 2
    assert counters["put_off"] >= 2  # each stuck one, and whatever else was slow
    assert counters["respawns"] - counters["put_off"] == 2  # each was killed at its deadline


@pytest.mark.parametrize(("text", "puts_off"), [("hang", 0), ("wait", 1)])
def test_a_check_that_gets_no_core_is_not_put_off(
    text: str, puts_off: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that would run and has not run for long yet: to begin its check again would not help."""
    monkeypatch.setattr(processes, "_TICKS", 10**9)  # so that no CPU time seems to have been used
    with RewardService(config(workers=1, deadline=1.0)) as service:
        verdicts = service.score([item(text, index) for index, text in enumerate([text, *["ok"] * 30])])
        counters = service.counters()
    assert [verdict.status for verdict in verdicts] == [Status.TIMEOUT, *[Status.CORRECT] * 30]
    assert (counters["put_off"], counters["respawns"]) == (puts_off, puts_off + 1)


def test_where_every_worker_is_slow_at_first_its_checks_are_not_put_off_for_ever() -> None:
    with RewardService(config("my_rewards.loads_at_first_use", deadline=10.0)) as service:
        verdicts = service.score([item("ok", index) for index in range(40)])
        counters = service.counters()
    assert {verdict.reward for verdict in verdicts} == {1.0}
    assert 0 < counters["put_off"] < 20


def test_workers_may_all_end_at_once() -> None:
    with RewardService(config(workers=4, deadline=30.0)) as service:
        verdicts = service.score([item("exit", index) for index in range(40)])
        assert service.counters()["respawns"] == 40
    assert all("exited with status 3" in verdict.reason for verdict in verdicts)
    assert [f"sample {index})" in verdict.reason for index, verdict in enumerate(verdicts)] == [True] * 40


def test_counters_are_those_since_the_last_call() -> None:
    with RewardService(config(workers=1, deadline=1.0)) as service:
        service.score([item("hang"), item("exit"), item("ok")])
        first, second = service.counters(), service.counters()
    assert (first["checks"], first["timeout"], first["crashed"], first["correct"]) == (3, 1, 1, 1)
    assert first["respawns"] - first["put_off"] == 2
    assert 0 < first["respawn_mean"] <= first["respawn_max"] < 5
    assert first["queue_p50"] <= first["queue_p99"] <= first["queue_max"]
    assert set(second.values()) == {0}
    assert second.keys() == first.keys()


@pytest.mark.parametrize(("text", "status"), [("hang", Status.TIMEOUT), ("exit", Status.CRASHED)])
def test_who_ends_a_call_for_many_shows_when_each_is_alone(text: str, status: Status) -> None:
    texts = ["a", text, "b", "c"]
    with RewardService(config("my_rewards.together", deadline=0.6)) as service:
        verdicts = service.score([item(text, index) for index, text in enumerate(texts)])
        assert service.score([item("a"), item("b")])[0].reward == 2.0
    assert [verdict.reward for verdict in verdicts] == [1.0, None, 1.0, 1.0]
    assert verdicts[1].status is status
    assert "together" in verdicts[1].reason or "user" in verdicts[1].reason
    assert "sample 1" in verdicts[1].reason


def test_async_checks_of_a_batch_run_at_once_each_with_its_own_deadline() -> None:
    with RewardService(config("my_rewards.Meeting", deadline=1.0, size=4)) as service:
        pairs = [item(text, index) for index, text in enumerate(["", "stay away", "", "", ""])]
        verdicts = service.score(pairs)
        counters = service.counters()
        again = service.score([item("")])  # the same worker, and its loop
    assert [verdict.reward for verdict in verdicts] == [1.0, None, 1.0, 1.0, 1.0]
    assert verdicts[1].status is Status.TIMEOUT
    assert "deadline of 1 s (problem 'p1', sample 1)" in verdicts[1].reason
    assert counters["respawns"] == 0
    assert again[0].reward == 1.0


def test_an_async_check_that_blocks_all_others_is_killed() -> None:
    with RewardService(config("my_rewards.Meeting", deadline=0.6, size=1)) as service:
        verdicts = service.score([item(text, index) for index, text in enumerate(["", "block", ""])])
    assert [verdict.status for verdict in verdicts] == [Status.CORRECT, Status.TIMEOUT, Status.CORRECT]


def test_the_kernel_ends_what_uses_up_its_cpu_time() -> None:
    with RewardService(config("my_rewards.cpu_limit", deadline=30.0)) as service:
        left, lowered = service.score([item("tell"), item("lower")])
    assert 2 * 2 * 30 <= (left.reward or 0) <= 2 * 2 * 30 + SPARE_CPU + 1
    assert lowered.status is Status.TIMEOUT
    assert "CPU time" in lowered.reason


def counting(taken: list[int], texts: Iterator[str]) -> Iterator[tuple[Problem, Rollout]]:
    for number, text in enumerate(texts):
        taken.append(number)
        yield item(text, number)


def test_a_stream_takes_only_what_it_needs_and_can_be_left() -> None:
    taken: list[int] = []
    with RewardService(replace(config(workers=2), batch=4)) as service:
        stream = service.stream(counting(taken, itertools.repeat("ok")))
        assert taken == []
        finished = 0
        for _ in range(100):
            assert next(stream).reward == 1.0
            finished += service.counts().statuses.total()
            assert finished <= len(taken) <= finished + AHEAD * 2 * 4
        stream.close()
        before = len(taken)
        assert [verdict.reward for verdict in service.score([item("ok"), item("nan")])] == [1.0, None]
        assert len(taken) == before


def test_a_stuck_check_holds_back_the_order_and_not_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is put off while there is other work, of which there is no end but that of what may be held."""
    monkeypatch.setattr("rlvr.rewards.service.HELD", 1000)
    taken: list[int] = []
    with RewardService(replace(config(workers=2, deadline=1.0), batch=2)) as service:
        stream = service.stream(counting(taken, itertools.chain(["hang"], itertools.repeat("ok"))))
        assert next(stream).status is Status.TIMEOUT
        assert 5 * AHEAD * 2 * 2 < len(taken) <= 1000
        assert next(stream).reward == 1.0


def test_streams_of_one_service_do_not_mix() -> None:
    with RewardService(config("my_rewards.Sized", unit=1.0)) as service:
        ones, twos = (service.stream(item(text) for text in [text] * 50) for text in ("x", "xx"))
        pairs = list(zip(ones, twos, strict=True))
    assert {(one.reward, two.reward) for one, two in pairs} == {(1.0, 2.0)}


def test_a_caller_who_comes_back_late_finds_no_timeout() -> None:
    with RewardService(config(deadline=0.8)) as service:
        stream = service.stream([item("ok")] * 40)
        statuses = {next(stream).status}
        threading.Event().wait(1.0)  # longer than the deadline
        assert statuses | {verdict.status for verdict in stream} == {Status.CORRECT}
        assert service.counters()["respawns"] == 0


def test_texts_alone_will_do() -> None:
    math = RewardConfig({"math": {"_target_": "rlvr.rewards.math.math_reward"}})
    problem = Problem("p1", "6 · 7?", "42")
    with RewardService(math) as service:
        assert [v.reward for v in service.score([(problem, "#42"), (problem, "#41")])] == [1.0, 0.0]
    with RewardService(config("my_rewards.pid")) as service, pytest.raises(DataError, match="tokens"):
        service.score([(problem, "#42")])


@pytest.mark.parametrize("odd", [None, ("42", "42"), (Problem("p1", "", "42"), 42), item("ok")[0]])
def test_what_is_no_item_is_named_with_its_place(odd: Any) -> None:
    with RewardService(config()) as service, pytest.raises(DataError, match="item 1 is no pair"):
        service.score([item("ok"), odd])


def test_what_cannot_be_sent_is_named_and_the_service_goes_on() -> None:
    problem = Problem("odd", "", "42", columns={"level": lambda: None})
    with RewardService(config()) as service:
        with pytest.raises(DataError, match="problem 'odd', sample 1"):
            service.score([item("ok"), (problem, "ok"), item("ok")])
        assert service.score([item("ok")])[0].reward == 1.0


@pytest.mark.parametrize("cache", [True, False])
def test_comparisons_are_remembered_unless_the_cache_is_off(cache: bool) -> None:
    math = RewardConfig({"math": {"_target_": "rlvr.rewards.math.math_reward"}}, cache=cache)
    with RewardService(math) as service:
        service.score([item("#84/2"), item("#84/2"), item("#84/2")])
        service.score([item("#84/2")])
        counters = service.counters()
    assert (counters["cache_hits"], counters["cache_misses"]) == ((3, 1) if cache else (0, 4))


def groups_of(texts: list[list[str]]) -> list[Group]:
    return [Group(item("")[0], [item(text, index)[1] for index, text in enumerate(group)]) for group in texts]


def test_verdicts_do_not_depend_on_actors_workers_or_batches(ray_cluster: None) -> None:
    import ray

    texts = [[f"#{number}", r"\boxed{42.0}", "none", "#42"] for number in range(40, 45)]
    found = []
    for actors, workers, batch in [(1, 1, 16), (2, 2, 3)]:
        math = RewardConfig(
            {"math": {"_target_": "rlvr.rewards.math.math_reward"}}, workers=workers, batch=batch
        )
        started = [RewardActor.options(num_cpus=0).remote(math) for _ in range(actors)]
        pool = RewardPool(started, math.deadline)
        groups = groups_of(texts)
        for group in groups:
            pool.submit(group)
        pool.dispatch()
        assert len(pool.calls) == actors  # each has its share at once
        while pool.calls:
            pool.check_progress()
            (done,), _ = ray.wait(list(pool.calls), timeout=60)
            pool.collect(done)
        verdicts = [replace(verdict, seconds=0.0) for group in groups for verdict in group.verdicts]
        counters = pool.counters()
        assert counters["checks"] == len(verdicts) == 20
        assert counters["correct"] == sum(verdict.status is Status.CORRECT for verdict in verdicts) == 11
        assert pool.counters()["checks"] == 0
        found.append(verdicts)
        for actor in started:
            ray.get(actor.close.remote())
            ray.kill(actor)
    assert found[0] == found[1]


def children(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


def test_an_actor_whose_service_is_stuck_is_replaced_after_saying_where_it_stands(
    ray_cluster: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import ray

    actors = []

    def start(place: int) -> Any:
        math = RewardConfig({"math": {"_target_": "rlvr.rewards.math.math_reward"}}, deadline=60.0)
        actors.append(RewardActor.options(num_cpus=0).remote(math))
        return actors[-1]

    pool = RewardPool([start(0)], 0.1, start)
    process, reached = ray.get(actors[0].progress.remote())
    assert reached == 0
    for server in children(process.pid):
        for pid in (server, *children(server)):
            os.kill(pid, signal.SIGSTOP)
    group = groups_of([["#42", "#41"]])[0]
    monkeypatch.setattr("rlvr.rewards.pool.SERVICE_START", 1.4)
    pool.submit(group)
    pool.dispatch()
    while not pool.replaced:
        assert ray.wait(list(pool.calls), timeout=0.1)[0] == []
        pool.check_progress()
    said = capsys.readouterr().err
    assert re.search(rf"actor 0 \(process {process.pid}\) has reached no verdict for [23] s", said)
    assert "2 rollouts, the first of problem 'p1'" in said
    assert re.search(r"(?s)Its stacks:.*_turn", said)
    monkeypatch.setattr("rlvr.rewards.pool.SERVICE_START", 180.0)
    pool.dispatch()
    (call,) = pool.calls
    assert pool.collect(call) == [group]
    assert [verdict.status for verdict in group.verdicts] == [Status.CORRECT, Status.WRONG]
    ray.get(actors[1].close.remote())
    ray.kill(actors[1])


def test_what_an_actor_has_to_say_is_the_pools_error(ray_cluster: None) -> None:
    import ray

    pool = RewardPool([RewardActor.options(num_cpus=0).remote(config("my_rewards.nothing"))], 1.0)
    pool.submit(groups_of([["ok"]])[0])
    pool.dispatch()
    (call,) = pool.calls
    ray.wait([call], timeout=60)
    with pytest.raises(RlvrError, match=r"(?s)reward actor 0 died.*reward\.functions\.user"):
        pool.collect(call)


def test_a_length_reward_sees_how_many_tokens_were_drawn() -> None:
    spec = {"_target_": "rlvr.rewards.length.overlong_reward", "max_tokens": 10, "buffer": 5}
    (problem, rollout) = item("long")
    rollout.tokens = np.arange(12, dtype=np.int32)
    rollout.sampled = np.arange(12) >= 4  # a prompt of 4, an answer of 8
    with RewardService(RewardConfig(functions={"length": spec})) as service:
        assert [verdict.reward for verdict in service.score([(problem, rollout)])] == [pytest.approx(-3 / 5)]
        with pytest.raises(DataError, match="num_sampled"):
            service.score([(problem, "a text")])


def test_what_a_function_starts_in_a_session_of_its_own_ends_with_it() -> None:
    with RewardService(config(deadline=1.0)) as service:
        verdicts = service.score([item("orphan"), item("fork"), item("ok")])
    assert [verdict.status for verdict in verdicts] == [Status.CORRECT, Status.TIMEOUT, Status.CORRECT]
    alive = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "sleep 301" not in alive


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"batch": 0},
        {"deadline": 0},
        {"deadline": float("nan")},
        {"workers": 1.5},
        {"deadline": "3"},
    ],
)
def test_settings_out_of_range_are_refused_in_python_too(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"reward.{next(iter(wrong))} is"):
        RewardService(RewardConfig({"m": {"_target_": "rlvr.rewards.math.math_reward"}}, **wrong))


def test_a_long_message_does_not_hide_where_it_was_raised() -> None:
    with RewardService(config("my_rewards.long_message")) as service:
        (verdict,) = service.score([item("ok")])
    assert verdict.status is Status.CRASHED
    assert "my_rewards.py:" in verdict.reason
    assert "problem 'p1', sample 0" in verdict.reason
    assert "\n" not in verdict.reason
