"""Processes of the cluster: how often a dead one is replaced, and the stack traces of a stuck one.

A process that calls `answer_for_stacks` writes the stack traces of all its threads into an anonymous memory
file whenever it gets a signal. That needs neither the interpreter's lock nor its cooperation, and leaves no
file on disk.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import time
from dataclasses import dataclass

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rlvr.types import WorkerDied

SIGNAL = signal.SIGUSR1
DEATHS = 3  # deaths in one place without progress between, after which there is no restart
START_DEADLINE = 900.0  # seconds; loading a large checkpoint from a slow disk takes minutes
LOOK = 5.0  # seconds between checks that the cluster is alive, while something starts
MEMORY = "rlvr-stacks"
PATIENCE = 10.0  # seconds that a node may take to answer


def has_nodes() -> bool:
    """Whether any node of the cluster is alive; without one, whatever is started would wait for ever."""
    return any(node["Alive"] for node in ray.nodes())


def require_nodes(what: str) -> None:
    """Raises WorkerDied, naming the waiting task `what`, if no node of the cluster is alive."""
    if not has_nodes():
        raise WorkerDied(f"{what}: Ray has lost its last node (its process raylet ended).")


@dataclass(frozen=True)
class Whereabouts:
    """A process of the cluster."""

    node: str  # Ray's id of its node
    pid: int
    file: int  # its descriptor of the memory file for its stack traces

    def __str__(self) -> str:
        return f"process {self.pid}"


def peak_memory() -> float:
    """Peak resident memory of this process in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def answer_for_stacks() -> Whereabouts:
    """Make this process answer `stacks` from now on."""
    file = os.memfd_create(MEMORY)
    faulthandler.register(SIGNAL, file=file, all_threads=True)
    return Whereabouts(ray.get_runtime_context().get_node_id(), os.getpid(), file)


def stacks(process: Whereabouts) -> str:
    """The stack traces of all threads of a process, innermost call first; or why there are none."""
    strategy = NodeAffinitySchedulingStrategy(process.node, soft=False)
    look = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=strategy)(_stacks_here)
    try:
        return str(ray.get(look.remote(process), timeout=PATIENCE))
    except (ray.exceptions.RayError, TimeoutError) as error:
        return f"(no stacks: its node does not answer: {error})"


def _stacks_here(process: Whereabouts) -> str:
    path = f"/proc/{process.pid}/fd/{process.file}"
    try:
        if not os.readlink(path).startswith(f"/memfd:{MEMORY} "):
            return "(no stacks: the process is gone, and another one has its number)"
        with open(path) as memory:
            memory.seek(0, os.SEEK_END)
            os.kill(process.pid, SIGNAL)
            end = time.monotonic() + PATIENCE / 2
            written, size = "", 0
            while time.monotonic() < end:
                written += memory.read()
                # complete once nothing more comes: the handler writes it in many small pieces
                if written and len(written) == size:
                    return written
                size = len(written)
                time.sleep(0.05)
    except OSError as error:
        return f"(no stacks: {error})"
    return written or "(no stacks: the process is stopped, or waits inside of the kernel)"
