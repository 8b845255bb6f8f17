"""Waiting for actors: every wait has a deadline, and its failure says who was waited for."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from rlvr.processes import LOOK, START_DEADLINE, require_nodes
from rlvr.types import RlvrError, StallError, WorkerDied


def finish(what: str, calls: list[ray.ObjectRef], deadline: float = START_DEADLINE) -> Any:
    """The first call's result, once all are done.

    Raises:
        StallError: after `deadline` seconds some were not.
        WorkerDied: a process died.
        RlvrError: one failed, or raised one itself.
    """
    end = time.monotonic() + deadline
    pending = list(calls)
    while pending:
        # one at a time: what one process has to say must not wait for those that wait for it
        left = max(end - time.monotonic(), 0.0)
        ready, pending = ray.wait(pending, timeout=min(left, LOOK))
        if not ready and left > LOOK:
            require_nodes(what)
        elif not ready:
            raise StallError(
                f"{what}: {len(pending)} of {len(calls)} processes gave no answer in {deadline:.0f} s"
            )
        else:
            result(what, ready[0])
    return result(what, calls[0])


def result(what: str, call: ray.ObjectRef) -> Any:
    """What a call that is done returned. Raises WorkerDied if its process did, RlvrError if it failed."""
    try:
        return ray.get(call)
    except RayTaskError as error:
        if isinstance(error.cause, RlvrError):
            raise error.cause from None
        raise RlvrError(f"{what}: {error}") from error
    except RayError as error:
        raise WorkerDied(f"{what}: a process died: {error}") from error
