"""Waiting for actors: every wait has a deadline, and its failure says who was waited for."""

from __future__ import annotations

from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from rlvr.types import RlvrError, StallError

START_DEADLINE = 900.0  # seconds; loading a large checkpoint from a slow disk takes minutes


def finish(what: str, calls: list[ray.ObjectRef], deadline: float = START_DEADLINE) -> Any:
    """The first call's result, once all are done.

    Raises:
        StallError: after `deadline` seconds some were not.
        RlvrError: a process died, or raised one itself.
    """
    _, pending = ray.wait(calls, num_returns=len(calls), timeout=deadline)
    if pending:
        raise StallError(
            f"{what}: {len(pending)} of {len(calls)} processes gave no answer in {deadline:.0f} s"
        )
    try:
        return ray.get(calls)[0]
    except RayActorError as error:
        raise RlvrError(f"{what}: a process died: {error}") from error
    except RayTaskError as error:
        if isinstance(error.cause, RlvrError):
            raise error.cause from None
        raise
