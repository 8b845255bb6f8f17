"""Many rollout workers behind one queue: whoever has least to do gets the next group."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from rlvr.base.processes import DEATHS, LOOK, require_nodes, stacks
from rlvr.rollout.actor import Progress
from rlvr.rollout.engine import Request
from rlvr.rollout.work_queue import WorkQueue
from rlvr.rollout.worker_handle import Idle, Receiving, Starting, Weights, WorkerHandle
from rlvr.types import RlvrError, Rollout, StallError, WorkerDied

SLICE = 0.5  # seconds of engine steps per call: the delay of new requests


class RolloutPool:
    """Keeps `workers` fed by load. A group stays on one worker, which computes its prompt once.

    A lone worker is given everything at once and in order, so that its batches (and with them
    the last bits of its results) do not depend on timing; several are topped up as they finish.

    A worker that dies, or makes no engine step for `deadline` seconds, is replaced by what `start` makes for
    its place. The new one gets the present weights, and what the old one had not finished is drawn again,
    `exact` or not as in `WorkQueue`: this is for a lone worker that empties between two updates.
    """

    def __init__(
        self,
        workers: Sequence[Any],
        max_num_seqs: int,
        deadline: float,
        start: Callable[[int], Any] | None = None,
        exact: bool = False,
    ) -> None:
        now = time.monotonic()
        self.workers = [WorkerHandle(actor, now) for actor in workers]  # by place
        self.capacity = 2 * max_num_seqs if len(self.workers) > 1 else 2**31
        self.deadline = deadline
        self.start = start
        self.work = WorkQueue(exact)
        self.weights = Weights(version=-1, location=None)
        self.looked = now  # when the cluster was, while a worker starts
        self.replaced = 0  # workers, so far
        self.peak_memory = 0.0  # GiB, of the one with most

    @property
    def actors(self) -> list[Any]:
        return [worker.actor for worker in self.workers]

    @property
    def calls(self) -> list[ray.ObjectRef]:
        """Those that are outstanding; `collect` each once it is done."""
        return [worker.call for worker in self.workers if worker.call is not None]

    @property
    def busy(self) -> bool:
        return self.work.size > 0

    @property
    def starting(self) -> bool:
        return any(isinstance(worker.state, Starting) for worker in self.workers)

    @property
    def updating(self) -> bool:
        """Whether a worker that stands does not have the present weights yet."""
        return any(worker.version != self.weights.version for worker in self._standing)

    @property
    def reading(self) -> bool:
        """Whether a worker is reading the weights."""
        return any(isinstance(worker.state, Receiving) for worker in self.workers)

    @property
    def _standing(self) -> list[WorkerHandle]:
        return [worker for worker in self.workers if not isinstance(worker.state, Starting)]

    def submit(self, group: list[Request]) -> None:
        """Queue one group. `dispatch` sends it on its way."""
        self.work.submit(group)

    def hold(self) -> None:
        """The memory with the weights is about to change: nobody may begin to read it."""
        self.weights = Weights(self.weights.version, location=None)

    def update(self, location: dict[str, Any], version: int) -> None:
        """Have every worker take these weights after its present engine step; empty: they have them."""
        self.weights = Weights(version, location)
        for worker in self.workers:
            if location:
                worker.pause()
            else:
                worker.version = version

    def dispatch(self) -> None:
        """Have every idle worker take the present weights, if it lacks them, or else generate."""
        self._send_weights()
        self._generate()

    def _send_weights(self) -> None:
        if self.weights.location is None:
            return
        for worker in self.workers:
            if isinstance(worker.state, Idle) and worker.version != self.weights.version:
                worker.receive(self.weights, time.monotonic())

    def _generate(self) -> None:
        """Assign groups to the idle workers with least to do, and let those that have requests make steps.

        Nobody is given more than an equal share among those that stand, but for the rest of a group: those
        that are in a call take theirs once it is done.
        """
        requests: dict[int, list[Request]] = {
            place: []
            for place, worker in enumerate(self.workers)
            if isinstance(worker.state, Idle) and worker.version == self.weights.version
        }
        if not requests:
            return
        share = self.work.size / len(self._standing)
        while self.work.waiting:
            place = min(requests, key=self.work.load)
            load = self.work.load(place)
            if load and (load >= share or load + len(self.work.waiting[0]) > self.capacity):
                break
            requests[place] += self.work.assign(place)
        for place in requests:
            if self.work.load(place):
                self.workers[place].generate(requests[place], SLICE, time.monotonic())

    def collect(self, call: ray.ObjectRef) -> list[Rollout]:
        """What a finished call brought.

        Raises:
            WorkerDied: a worker died, and cannot be replaced while the others live, or lacks the weights.
            RlvrError: a worker failed, or died again and again; the message has its words.
        """
        place = next(place for place, worker in enumerate(self.workers) if worker.call == call)
        worker = self.workers[place]
        try:
            result = ray.get(call)
        except RayTaskError as error:
            if isinstance(worker.state, Receiving):
                self.hold()  # they are in pieces, and the learner that has them may be gone
                self._replace(place, "could not take the weights")
                raise WorkerDied(f"weight update: {error}") from error
            raise RlvrError(f"rollout worker {place} failed: {error}") from error
        except RayError as error:
            self._replace(place, f"died: {error}")
            return []
        worker.finish(result)
        if not isinstance(result, Progress):
            return []
        self.peak_memory = max(self.peak_memory, result.peak_memory)
        return self.work.complete(place, result.rollouts)

    def check_progress(self) -> None:
        """Replace workers of which nothing was heard for too long, after saying where they stand.

        Raises:
            StallError: the same, of one that cannot be replaced; it names worker, sample and process.
            WorkerDied: a worker cannot start, as the cluster is gone.
        """
        now = time.monotonic()
        for place, worker in enumerate(self.workers):
            if isinstance(worker.state, Starting) and now - self.looked > LOOK:
                require_nodes(f"rollout worker {place}")
                self.looked = now
            late = worker.late(self.deadline, now)
            if late is None:
                continue
            message = self._describe(place, late)
            if self.start is None or worker.deaths == DEATHS:
                raise StallError(message)
            print(f"\nrlvr: {message}", file=sys.stderr)
            self._replace(place, "was stuck")

    def _describe(self, place: int, late: str) -> str:
        """A worker that is late: its process, its requests, and where it stands."""
        process, oldest = self.workers[place].process, self.work.oldest(place)
        sample = f"problem {oldest.problem_id!r}, sample {oldest.sample}" if oldest else "nothing"
        message = (
            f"generation: rollout worker {place} ({process or 'no process yet'}) {late} "
            f"(rollout.deadline={self.deadline:g}); it has {self.work.load(place)} rollouts under way, "
            f"the oldest being {sample}"
        )
        return f"{message}. Its stacks:\n{stacks(process)}" if process else message

    def _replace(self, place: int, why: str) -> None:
        """Another worker in the place of one that is dead or stuck; its work is at the head of the queue."""
        worker = self.workers[place]
        name = f"rollout worker {place}" + (f" ({worker.process})" if worker.process else "")
        if self.start is None:
            raise WorkerDied(f"{name} {why}")
        if worker.deaths == DEATHS:
            raise RlvrError(f"{name} {why}; its place was tried {DEATHS} times in a row")
        again = self.work.requeue(place)
        words = why.splitlines()[0].rstrip(".")
        print(f"\nrlvr: {name} {words}. Replaced; {again} rollouts are drawn again", file=sys.stderr)
        ray.kill(worker.actor)
        self.replaced += 1
        self.workers[place] = WorkerHandle(self.start(place), time.monotonic(), worker.deaths + 1)
