"""Signals: what a command makes of them, and which of its processes get them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from transformers import GenerationConfig

import rlvr.base.stopping
from rlvr.base.stopping import StopRequest
from rlvr.cluster import ray_cluster
from rlvr.cluster.config import ClusterConfig
from rlvr.pipeline.config import RunConfig
from rlvr.pipeline.graph import Outside, build
from rlvr.pipeline.prepare import Prepared
from rlvr.pipeline.run import Pipeline
from rlvr.pipeline.status import is_done
from rlvr.pipeline.table import Done
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.record.layout import UNEVALUATED
from rlvr.stages.buffer import Interrupted, RolloutBuffer
from rlvr.types import Problem

SAYS_WHERE_IT_IS = """
import os, signal
print(os.getpgrp() == os.getpid(), signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, []), flush=True)
signal.pause()
"""


@pytest.fixture(autouse=True)
def handlers() -> Any:
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def start_as_ray_does() -> subprocess.Popen[str]:
    words = [sys.executable, "-c", SAYS_WHERE_IT_IS]
    return subprocess.Popen(words, text=True, stdout=subprocess.PIPE, preexec_fn=lambda: None)


def test_rays_processes_have_groups_of_their_own_and_the_driver_keeps_its_signals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A SIGTERM that comes while Ray starts is a stop like any other."""
    started: list[subprocess.Popen[str]] = []
    stop = StopRequest()

    def init(**settings: Any) -> None:
        started.append(start_as_ray_does())
        signal.signal(signal.SIGTERM, lambda *_: pytest.fail("this is Ray's"))
        signal.raise_signal(signal.SIGTERM)
        assert not stop

    monkeypatch.setattr(ray_cluster.ray, "init", init)
    monkeypatch.setattr(ray_cluster.ray, "shutdown", lambda: None)
    with ray_cluster.ray_cluster(ClusterConfig()):
        assert stop.signal == signal.SIGTERM
        started.append(start_as_ray_does())
    for process, own_group in zip(started, (True, False), strict=True):
        assert process.stdout is not None
        assert process.stdout.readline().split() == [str(own_group), "False"]
        process.terminate()
        assert process.wait(timeout=30) == -signal.SIGTERM
        process.stdout.close()


def test_a_signal_that_comes_twice_at_once_is_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """`timeout` sends its own to the process and then to its group."""
    now = 100.0
    monkeypatch.setattr(rlvr.base.stopping.time, "monotonic", lambda: now)
    stop = StopRequest()
    assert not stop
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert stop
    now += 1.0
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_nobody_waits_for_rollout_workers_to_start_against_the_users_will() -> None:
    pool: Any = SimpleNamespace(starting=["rollout worker 0"])
    buffer = RolloutBuffer(pool, cast(Any, None), shares_cores=False, interrupted=lambda: True)
    with pytest.raises(Interrupted):
        buffer.start()
    pool.starting.clear()
    buffer.start()


def test_a_stage_that_was_stopped_in_its_last_evaluation_is_not_done(tmp_path: Path) -> None:
    config = RunConfig(stages=["rl"])
    config.rl.steps = 4
    folder = tmp_path / "rl"
    problems = [Problem("a", "1+1=?", "2")]
    nodes = build(config, Outside(problems, {}, {}, None))
    prepared = Prepared(config, nodes, problems, {}, {}, None)
    with StopRequest() as stop, ExitStack() as stack:
        run = Pipeline(prepared, tmp_path, stop, stack)
        run.done["base"] = Done(tmp_path, "model", 0.0, new=False)
        run.tokenizer = character_tokenizer(ALPHABET)
        rl = prepared.node("rl")
        stage = run._stage(rl, folder)
        stage.checkpoints().save(4, lambda folder: GenerationConfig().save_pretrained(folder / "model"))
        (folder / UNEVALUATED).touch()
        assert not is_done(folder, 4)
        assert not run._take_done(rl)
        assert stage.result() is None
        (folder / UNEVALUATED).unlink()
        assert is_done(folder, 4)
        assert run._take_done(rl)
