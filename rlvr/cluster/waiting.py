"""Waiting for actors: every wait has a deadline, and its failure says who was waited for."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from rlvr.base.processes import LOOK, START_DEADLINE, require_nodes
from rlvr.types import RlvrError, StallError, WorkerDied

GRACE = 10.0  # seconds in which Ray notices that a process has died


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
            result(what, ready[0], calls)
    return result(what, calls[0], calls)


def result(what: str, call: ray.ObjectRef, group: list[ray.ObjectRef]) -> Any:
    """What a call that is done returned.

    Raises:
        WorkerDied: its process did, or another one of the `group` that was called with it: in the middle of
            what they do together, those that live are the first to say that something is wrong.
        RlvrError: it failed, or raised one itself.
    """
    try:
        return ray.get(call)
    except RayTaskError as error:
        if isinstance(error.cause, RlvrError):
            raise error.cause from None
        if _has_dead(group):
            raise WorkerDied(
                f"{what}: a process died, and another one failed for want of it: {error}"
            ) from error
        raise RlvrError(f"{what}: {error}") from error
    except RayError as error:
        raise WorkerDied(f"{what}: a process died: {error}") from error


def _has_dead(group: list[ray.ObjectRef]) -> bool:
    """Whether one of these calls has lost its process, or does within seconds."""
    done, _ = ray.wait(group, num_returns=len(group), timeout=GRACE)
    for call in done:
        try:
            ray.get(call)
        except RayTaskError:
            continue
        except RayError:
            return True
    return False
