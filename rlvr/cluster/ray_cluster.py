"""The Ray cluster of a run, joined or started."""

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
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    on_terminate = signal.getsignal(signal.SIGTERM)
    try:
        if config.address is None:
            # a cluster of this run's own, whatever other one RAY_ADDRESS or a file that it left names
            cores = len(usable_cores(config))
            ray.init(address="local", num_cpus=cores, _temp_dir=_short_folder(os.environ), **quiet)
        else:
            ray.init(address=config.address, **quiet)
    except ConnectionError as error:
        raise ConfigError(f"cluster.address={config.address}: {error}") from error
    # Ray takes this signal for itself, and would end the process before anything is saved
    signal.signal(signal.SIGTERM, on_terminate)


def _short_folder(environment: Mapping[str, str]) -> str | None:
    """A folder for Ray's sockets, whose paths have at most 107 bytes, where TMPDIR is too long for them."""
    named = environment.get("RAY_TMPDIR") or environment.get("TMPDIR") or ""
    return "/tmp/ray" if len(named.encode()) > LONGEST_FOLDER else None
