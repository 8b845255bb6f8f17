"""The Ray cluster of a run, joined or started.

A signal to a whole process group, as from Ctrl-C, `timeout` or `kill -- -GROUP`, is for the driver. It ends
by itself, and needs Ray for that, so Ray's processes are in groups of their own. They still end with the
driver, whatever ends it: Ray has the kernel see to that.
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

LONGEST_FOLDER = 36  # bytes of the folder that Ray makes its own in
QUIET = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}


@contextmanager
def ray_cluster(config: ClusterConfig) -> Iterator[None]:
    """A connection to Ray for the time of the block; a cluster that was started ends with it."""
    # workers import the user's own functions from where the user's command found them
    os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    _connect(config)
    try:
        yield
    finally:
        ray.shutdown()


def revive(config: ClusterConfig) -> None:
    """Start a cluster of this run's own again, if nothing of it lives."""
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
    """A cluster of this process's own, whatever other one RAY_ADDRESS or a file that it left names."""
    with _signals_apart():
        ray.init(address="local", num_cpus=cores, _temp_dir=_short_folder(os.environ), **QUIET)


def join_ray(address: str) -> None:
    """Raises ConnectionError if there is no cluster."""
    with _signals_apart():
        ray.init(address=address, **QUIET)


@contextmanager
def _signals_apart() -> Iterator[None]:
    """For the time of the block, what is started gets a process group of its own.

    SIGTERM waits for the block's end, as Ray takes it for itself, and would end the process before anything
    is saved. After the block it is handled as before.
    """
    on_terminate = signal.getsignal(signal.SIGTERM)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    starting = True

    def leave_group() -> None:
        if starting:
            os.setpgid(0, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    # Ray offers nothing for this, but has Python code of its own run before each of its programs, and so this
    os.register_at_fork(after_in_child=leave_group)
    try:
        yield
    finally:
        starting = False
        signal.signal(signal.SIGTERM, on_terminate)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _short_folder(environment: Mapping[str, str]) -> str | None:
    """A folder for Ray's sockets, whose paths have at most 107 bytes, where TMPDIR is too long for them."""
    named = environment.get("RAY_TMPDIR") or environment.get("TMPDIR") or ""
    return "/tmp/ray" if len(named.encode()) > LONGEST_FOLDER else None
