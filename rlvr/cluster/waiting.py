"""Waiting for actors: every wait has a deadline, and its error names what was waited for."""

from __future__ import annotations

import time
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from rlvr.base.processes import LOOK, START_DEADLINE, require_nodes
from rlvr.types import RlvrError, StallError, WorkerDied

GRACE = 10.0  # seconds within which Ray notices that a process has died


def finish(what: str, calls: list[ray.ObjectRef], deadline: float = START_DEADLINE) -> Any:
    """The result of the first call, once all calls are done.

    Raises:
        StallError: some calls were not done within `deadline` seconds.
        WorkerDied: a process died.
        RlvrError: a call failed; an RlvrError that it raised is passed on.
    """
    end = time.monotonic() + deadline
    pending = list(calls)
    while pending:
        # one at a time: an error of one process must not wait for processes that wait for that one
        left = max(end - time.monotonic(), 0.0)
        ready, pending = ray.wait(pending, timeout=min(left, LOOK))
        if not ready and left > LOOK:
            require_nodes(what)
        elif not ready:
            raise StallError(
                f"{what}: {len(pending)} of {len(calls)} processes did not answer within {deadline:.0f} s"
            )
        else:
            result(what, ready[0], calls)
    return result(what, calls[0], calls)


def result(what: str, call: ray.ObjectRef, group: list[ray.ObjectRef]) -> Any:
    """The result of a call that is done.

    Raises:
        WorkerDied: its process died, or one of the `group` of calls that run together with it: in a
            collective operation the surviving processes often report an error first.
        RlvrError: the call failed; an RlvrError that it raised is passed on.
    """
    try:
        return ray.get(call)
    except RayTaskError as error:
        if isinstance(error.cause, RlvrError):
            raise error.cause from None
        if _has_dead(group):
            raise WorkerDied(f"{what}: a process died, so another one failed: {error}") from error
        raise RlvrError(f"{what}: {error}") from error
    except RayError as error:
        raise WorkerDied(f"{what}: a process died: {error}") from error


def _has_dead(group: list[ray.ObjectRef]) -> bool:
    """Whether the process of one of these calls has died, or dies within GRACE seconds."""
    done, _ = ray.wait(group, num_returns=len(group), timeout=GRACE)
    for call in done:
        try:
            ray.get(call)
        except RayTaskError:
            continue
        except RayError:
            return True
    return False
