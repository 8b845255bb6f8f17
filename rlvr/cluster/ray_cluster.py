"""The Ray cluster of a run, joined or started.

A signal to a whole process group, as from Ctrl-C, `timeout` or `kill -- -GROUP`, is meant for the driver,
which needs Ray to shut down in order. So Ray's processes are in process groups of their own. They still end
with the driver, however it ends, since Ray asks the kernel for that.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ray

from rlvr.base.processes import has_nodes
from rlvr.cluster.config import ClusterConfig
from rlvr.cluster.placement import usable_cores
from rlvr.types import ConfigError

LONGEST_FOLDER = 36  # bytes, of the path of the folder in which Ray creates its own
QUIET = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}


@contextmanager
def ray_cluster(config: ClusterConfig) -> Iterator[None]:
    """A connection to Ray for the duration of the block; a cluster that was started ends with it."""
    # so that workers find the user's own modules on the same import path
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    _connect(config)
    try:
        yield
    finally:
        ray.shutdown()


def revive(config: ClusterConfig) -> None:
    """Restart the run's own cluster if it is dead."""
    if config.address is None and not has_nodes():
        ray.shutdown()
        _connect(config)


def _connect(config: ClusterConfig) -> None:
    if config.address is None:
        start_ray(len(usable_cores(config)))
        return
    try:
        join_ray(config.address)
    except ConnectionError as error:
        raise ConfigError(f"cluster.address={config.address}: {error}") from error


def start_ray(cores: int) -> None:
    """Start a new cluster, even if RAY_ADDRESS or a file left by another cluster names one."""
    with _signals_apart():
        ray.init(address="local", num_cpus=cores, _temp_dir=_short_folder(os.environ), **QUIET)


def join_ray(address: str) -> None:
    """Connect to a running cluster. Raises ConnectionError if there is none."""
    with _signals_apart():
        ray.init(address=address, **QUIET)


@contextmanager
def _signals_apart() -> Iterator[None]:
    """Processes that are started within the block get their own process group.

    SIGTERM is blocked meanwhile: Ray replaces its handler, and would end the process before anything is
    saved. After the block it is handled as before.
    """
    on_terminate = signal.getsignal(signal.SIGTERM)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    starting = True

    def leave_group() -> None:
        if starting:
            os.setpgid(0, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    # Ray has no option for this, but forks in Python before it runs each program, which calls this hook
    os.register_at_fork(after_in_child=leave_group)
    try:
        yield
    finally:
        starting = False
        signal.signal(signal.SIGTERM, on_terminate)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _short_folder(environment: Mapping[str, str]) -> str | None:
    """A folder for Ray's sockets if TMPDIR is too long: their paths may have at most 107 bytes."""
    named = environment.get("RAY_TMPDIR") or environment.get("TMPDIR") or ""
    return "/tmp/ray" if len(named.encode()) > LONGEST_FOLDER else None
