"""Many rollout workers behind one queue: whoever has least to do gets the next group."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from rlvr.rollout.engine import Request
from rlvr.types import RlvrError, Rollout, StallError

SLICE = 0.5  # seconds of engine steps per call: the delay of new requests and of weight updates


class RolloutPool:
    """Keeps `workers` fed by load. A group stays on one worker, which computes its prompt once.

    A lone worker is given everything at once and in order, so that its batches (and with them
    the last bits of its results) do not depend on timing; several are topped up as they finish.
    """

    def __init__(self, workers: Sequence[Any], max_num_seqs: int, deadline: float) -> None:
        self.workers = list(workers)
        self.capacity = 2 * max_num_seqs if len(self.workers) > 1 else 2**31
        self.deadline = deadline
        self.queue: deque[list[Request]] = deque()
        self.under_way: list[dict[tuple[int, str, int], Request]] = [{} for _ in self.workers]
        self.calls: dict[ray.ObjectRef, int] = {}  # outstanding call → worker
        self.last_progress = time.monotonic()

    @property
    def busy(self) -> bool:
        return bool(self.queue) or any(self.under_way)

    def submit(self, group: list[Request]) -> None:
        """Queue one group. `dispatch` sends it on its way."""
        if not self.busy:
            self.last_progress = time.monotonic()
        self.queue.append(group)

    def dispatch(self) -> None:
        """Give queued groups to the workers with least to do, and let every idle worker work."""
        idle = set(range(len(self.workers))) - set(self.calls.values())
        handed: dict[int, list[Request]] = {worker: [] for worker in idle}
        while self.queue and idle:
            worker = min(idle, key=lambda w: (len(self.under_way[w]), w))
            if self.under_way[worker] and len(self.under_way[worker]) + len(self.queue[0]) > self.capacity:
                break
            for request in self.queue.popleft():
                handed[worker].append(request)
                self.under_way[worker][(request.step, request.problem_id, request.sample)] = request
        for worker in sorted(idle):
            if self.under_way[worker]:
                call = self.workers[worker].advance.remote(handed[worker], SLICE)
                self.calls[call] = worker

    def collect(self, call: ray.ObjectRef) -> list[Rollout]:
        """What a finished call brought.

        Raises:
            RlvrError: the worker failed; the message has its words.
        """
        worker = self.calls.pop(call)
        try:
            rollouts: list[Rollout] = ray.get(call)
        except RayActorError as error:
            raise RlvrError(f"rollout worker {worker} died: {error}") from error
        except RayTaskError as error:
            raise RlvrError(f"rollout worker {worker} failed: {error}") from error
        for rollout in rollouts:
            del self.under_way[worker][(rollout.step, rollout.problem_id, rollout.sample)]
        if rollouts:
            self.last_progress = time.monotonic()
        return rollouts

    def check_progress(self) -> None:
        """Raises StallError, naming worker and sample, if nothing has finished for too long."""
        waited = time.monotonic() - self.last_progress
        if self.busy and waited > self.deadline:
            worker = max(range(len(self.workers)), key=lambda w: len(self.under_way[w]))
            oldest = next(iter(self.under_way[worker].values()), None)
            sample = f"problem {oldest.problem_id!r}, sample {oldest.sample}" if oldest else "nothing yet"
            raise StallError(
                f"generation: no rollout finished for {waited:.0f} s (rollout.deadline={self.deadline:g}); "
                f"worker {worker} has {len(self.under_way[worker])} under way, the oldest being {sample}"
            )
