"""Fixtures that several test files share."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from learner_worker import Case, Result, RunCases

# the same examples each time, however slow and busy the machine is
settings.register_profile("rlvr", deadline=None, derandomize=True)
settings.load_profile("rlvr")
os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is fetched, and nobody waits for a hub that is out of reach


def pytest_configure() -> None:
    """Give parallel workers cores of their own: engines on the CPU wait for the slowest core.

    And let what the tests start hear Ctrl-C, also where these tests run in the background, which ignores it.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
        cores = sorted(os.sched_getaffinity(0))
        own = cores[place :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]
        os.sched_setaffinity(0, own or [cores[place % len(cores)]])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that parallel workers end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray cluster of this test session alone, with the session's cores."""
    import ray

    cores = len(os.sched_getaffinity(0))
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def learners() -> Iterator[RunCases]:
    """Goes through cases with real learners; a group of each size stays once it was started."""
    from learner_worker import Ranks

    groups: dict[int, Ranks] = {}

    def run_cases(folder: Path, cases: list[Case], world_size: int) -> list[dict[str, Result]]:
        group = groups.pop(world_size, None) or Ranks(world_size)
        results = group.run_cases(folder, cases)
        groups[world_size] = group  # one that failed is not used again
        return results

    yield run_cases
    for group in groups.values():
        group.kill()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Tensors of a few numbers are not worth a second thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
