"""Reward processes killed from outside, and reward functions that keep memory: no verdict changes."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.service import RewardService
from rlvr.rewards.workers.supervisor import RESTARTS
from rlvr.types import Problem, RlvrError, Status

# What a completion does is written in it: the file that counts how often it was begun, and what then.
# Where a function says so, files may be made, but nothing be written to them: so each begin makes one.
USER_MODULE = '''
import itertools, os, signal

kept = []

def begun(folder):
    """How often this was called, this time among them."""
    for count in itertools.count(1):
        try:
            os.close(os.open(f"{folder}/{count}", os.O_CREAT | os.O_EXCL))
            return count
        except FileExistsError:
            pass

def act(completion):
    what, _, folder = completion.partition(" ")
    count = begun(folder) if folder else 1
    if what == "killed-once" and count == 1 or what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "server-killed" and count == 1 or what == "server-always":
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
    if what == "server-stopped" and count == 1:
        os.kill(os.getppid(), signal.SIGSTOP)
        signal.pause()
    if what == "hang":
        while True:
            pass
    if what == "leak":
        kept.append(b"x" * (6 << 20))
    if what == "large":
        return float(len(bytearray(44 << 20)) > 0)
    if what == "too-large":
        return float(len(bytearray(1 << 30)) > 0)
    return float(os.getpid()) if what == "pid" else 1.0

def together(completions):
    return [act(completion) for completion in completions]

act.writes = together.writes = [os.path.dirname(__file__)]
'''


@pytest.fixture(autouse=True)
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "surviving_rewards.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("surviving_rewards", None)


def service(
    workers: int = 1, deadline: float = 30.0, target: str = "act", memory_gib: float = 0.0625
) -> RewardService:
    functions = {"user": {"_target_": f"surviving_rewards.{target}"}}
    return RewardService(
        RewardConfig(functions, workers=workers, deadline=deadline, memory_gib=memory_gib, batch=8)
    )


def items(*texts: str) -> list[tuple[Problem, str]]:
    return [(Problem("p1", "6 · 7?", "42"), text) for text in texts]


def counting(folder: Path, what: str) -> str:
    """A completion that does `what`, and leaves a file in a folder of its own each time that it is begun."""
    (folder / what).mkdir()
    return f"{what} {folder / what}"


def times(folder: Path, what: str) -> int:
    return len(list((folder / what).iterdir()))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("target", ["act", "together"])
def test_a_check_whose_process_was_killed_once_keeps_its_verdict(
    tmp_path: Path, workers: int, target: str
) -> None:
    with service(workers, target=target) as rewards:
        verdicts = rewards.score(items("ok", counting(tmp_path, "killed-once"), *["ok"] * 6))
        counts = rewards.counts()
    assert [verdict.reward for verdict in verdicts] == [1.0] * 8
    assert times(tmp_path, "killed-once") == 2
    assert counts.statuses == {Status.CORRECT: 8}
    assert counts.retried == (1 if target == "act" else counts.retried)


def test_a_check_that_kills_its_process_twice_has_crashed(tmp_path: Path) -> None:
    with service() as rewards:
        verdicts = rewards.score(items("ok", counting(tmp_path, "killed"), "ok"))
        counts = rewards.counts()
    assert [verdict.status for verdict in verdicts] == [Status.CORRECT, Status.CRASHED, Status.CORRECT]
    assert "the process was killed by SIGKILL, a second time, alone" in verdicts[1].reason
    assert times(tmp_path, "killed") == 2
    assert (counts.retried, len(counts.respawns)) == (1, 2)


def test_a_deadline_is_no_kill_from_outside(tmp_path: Path) -> None:
    with service(deadline=0.5) as rewards:
        (verdict,) = rewards.score(items(counting(tmp_path, "hang")))
        counts = rewards.counts()
    assert verdict.status is Status.TIMEOUT
    assert times(tmp_path, "hang") == 1
    assert (counts.retried, counts.recycled, counts.restarts) == (0, 0, 0)


@pytest.mark.parametrize("workers", [1, 2])
def test_another_process_takes_the_place_of_the_one_that_forks_the_workers(
    tmp_path: Path, workers: int
) -> None:
    with service(workers) as rewards:
        verdicts = rewards.score(items("ok", "ok", counting(tmp_path, "server-killed"), *["ok"] * 12))
        counts = rewards.counts()
        after = rewards.score(items("ok"))
    assert [verdict.reward for verdict in [*verdicts, *after]] == [1.0] * 16
    assert times(tmp_path, "server-killed") == 2
    assert counts.restarts == 1
    assert counts.statuses == {Status.CORRECT: 15}


def test_a_service_that_is_idle_when_its_process_is_killed_goes_on() -> None:
    with service() as rewards:
        (first,) = rewards.score(items("pid"))
        worker = int(first.reward or 0)
        parent = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
        with os.fdopen(os.pidfd_open(worker)) as ending:
            os.kill(parent, signal.SIGKILL)
            assert select.select([ending], [], [], 30.0)[0]  # it dies with the one that forked it
        (second,) = rewards.score(items("pid"))
        counts = rewards.counts()
    assert second.reward not in (None, first.reward)
    assert counts.restarts == 1


def test_another_process_takes_the_place_of_one_that_ends_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rlvr.rewards.workers.supervisor.GONE", 0.5)
    with service(deadline=0.5) as rewards:
        verdicts = rewards.score(items("ok", counting(tmp_path, "server-stopped"), "ok"))
        counts = rewards.counts()
    assert [verdict.reward for verdict in verdicts] == [1.0] * 3
    assert times(tmp_path, "server-stopped") == 2
    assert counts.restarts == 1


def test_processes_that_are_killed_again_and_again_are_an_error(tmp_path: Path) -> None:
    with service() as rewards:
        with pytest.raises(
            RlvrError, match=f"process ended unexpectedly; {RESTARTS} new ones were no better"
        ):
            rewards.score(items(counting(tmp_path, "server-always")))
        assert times(tmp_path, "server-always") == RESTARTS + 1


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("target", ["act", "together"])
def test_a_function_that_keeps_memory_fails_no_sample(workers: int, target: str) -> None:
    """Each keeps 6 of 64 MiB, so without new processes the tenth would find none left."""
    with service(workers, target=target) as rewards:
        verdicts = rewards.score(items(*["leak"] * 40))
        counts = rewards.counts()
    assert [verdict.reason for verdict in verdicts if verdict.reward != 1.0] == []
    assert counts.recycled >= 40 * 6 // 64 - workers
    # the last ones may not have ended yet
    assert 0 <= counts.recycled + counts.put_off - len(counts.respawns) <= workers


def test_what_runs_out_of_memory_behind_others_is_checked_again_in_a_new_process() -> None:
    with service() as rewards:  # 24 MiB are kept, less than half, and 44 more do not fit
        verdicts = rewards.score(items(*["leak"] * 4, "large", "too-large", "ok"))
        counts = rewards.counts()
    assert [verdict.reward for verdict in verdicts] == [*[1.0] * 5, None, 1.0]
    assert verdicts[5].status is Status.CRASHED
    assert "MemoryError" in verdicts[5].reason
    assert counts.recycled >= 2
    assert counts.summary()["recycled"] == counts.recycled
