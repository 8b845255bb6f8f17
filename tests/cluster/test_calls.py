"""Calls that belong together: who fails for want of another process is told from who fails by itself."""

from __future__ import annotations

import os
import signal

import pytest

from rlvr.cluster.waiting import result
from rlvr.types import RlvrError, WorkerDied


@pytest.mark.parametrize("dies", [True, False])
def test_who_fails_beside_a_process_that_died_did_not_fail(ray_cluster: None, dies: bool) -> None:
    import ray

    @ray.remote(num_cpus=0, max_retries=0)
    def fail() -> None:
        raise RuntimeError("connection closed by peer")

    @ray.remote(num_cpus=0, max_retries=0)
    def other() -> None:
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    group = [fail.remote(), other.remote()]
    ray.wait(group[:1])
    with pytest.raises(RlvrError, match="connection closed by peer") as raised:
        result("update", group[0], group)
    assert isinstance(raised.value, WorkerDied) == dies
