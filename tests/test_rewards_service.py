"""The reward service with real processes: what hangs, dies or misbehaves touches nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.service import RewardService
from rlvr.types import ConfigError, FinishReason, Group, Problem, Rollout, Status, Verdict

USER_MODULE = '''
import os, time

def hostile(completion, flavour="plain"):
    """What the completion asks for."""
    if completion == "hang":
        while True:
            pass
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
    if completion == "child":
        import subprocess
        subprocess.Popen(["sleep", "300"])
        while True:
            pass
    return {"text": "0.5", "none": None, "nan": float("nan"), "true": True}.get(completion, 1.0)

def pid(completion, finish_reason, tokens, level, spare=2.0):
    return os.getpid() + 0 * len(tokens) if finish_reason == "stop" and level == 3 else None

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
    with RewardService(config(workers=workers)) as service:
        verdicts = service.score([item(text, index) for index, text in enumerate(texts)])
        counters = service.counters()
        again = service.score([item("ok")])[0]
    found = dict(zip(texts, verdicts, strict=True))
    assert [verdicts[0].reward, verdicts[3].reward, found["true"].reward, again.reward] == [1.0] * 4
    assert found.pop("hang").status is Status.TIMEOUT
    assert "sample 1" in verdicts[1].reason
    assert "deadline of 1 s" in verdicts[1].reason
    assert "user" in verdicts[1].reason
    del found["ok"], found["true"]
    assert {verdict.status for verdict in found.values()} == {Status.CRASHED}
    assert all(verdict.reward is None for verdict in found.values())
    said = {
        "memory": "MemoryError", "exit": "status 3", "sys.exit": "status 4", "abort": "SIGABRT",
        "raise": "ValueError: no such thing", "text": "'0.5'", "nan": "nan", "write": "OSError",
    }  # fmt: skip
    for text, words in said.items():
        assert words in found[text].reason
        assert f"sample {texts.index(text)}" in found[text].reason
    line = USER_MODULE.split("\n").index('        raise ValueError("no such thing")  # the line to name') + 1
    assert f"my_rewards.py:{line}" in found["raise"].reason
    assert (user_module / "written").read_bytes() == b""
    assert counters["checks"] == 13
    assert counters["timeout"] == 1
    assert counters["crashed"] == 9
    assert counters["correct"] == 3
    assert counters["respawns"] == 4


def test_order_of_verdicts_is_that_of_the_items() -> None:
    with RewardService(config("my_rewards.Sized", workers=2, unit=0.5)) as service:
        verdicts = service.score([item("x" * length) for length in (5, 0, 9, 1, 7, 3, 3, 8)])
    assert [verdict.reward for verdict in verdicts] == [2.5, 0.0, 4.5, 0.5, 3.5, 1.5, 1.5, 4.0]


def test_a_worker_is_replaced_without_importing_again(user_module: Path) -> None:
    with RewardService(config(deadline=0.2)) as service:
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
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
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
        r"so \boxed{\frac{84}{2}}",
    ]
    with RewardService(math) as service:
        verdicts = service.score([item(text) for text in texts])
    assert [verdict.reward for verdict in verdicts] == [1.0, -1.0, -1.0, -1.0, 1.0]


def test_the_actor_scores_groups(ray_cluster: None) -> None:
    import ray

    from rlvr.rewards.actor import RewardActor

    math = RewardConfig({"math": {"_target_": "rlvr.rewards.math.math_reward"}})
    actor = RewardActor.options(num_cpus=0).remote(math)
    problem, right = item("#42")
    groups = [Group(problem, [right, item("#41", 1)[1]]), Group(problem, [item("none", 0)[1]])]
    scored: list[list[Verdict]] = ray.get(actor.score.remote(groups))
    statuses = [[verdict.status for verdict in group] for group in scored]
    assert statuses == [[Status.CORRECT, Status.WRONG], [Status.WRONG]]
    assert ray.get(actor.counters.remote())["checks"] == 3
    ray.get(actor.close.remote())
