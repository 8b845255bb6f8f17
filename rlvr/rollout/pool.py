"""Several rollout workers behind one queue: the least loaded one gets the next group."""

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
    """Distributes groups over `workers` by load. A group stays on one worker, which computes its prompt once.

    A single worker is given everything at once and in order, so that its batches, and with them the last
    bits of its results, do not depend on timing. Several workers get new groups as they finish.

    A worker that dies, or does no engine step for `deadline` seconds, is replaced by the actor that
    `start(place)` returns. The new one gets the current weights, and the unfinished requests of the old one
    are generated again, `exact` or not as in `WorkQueue`. `exact` is for a single worker that is idle at
    every weight update.
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
        self.looked = now  # when the cluster was last checked while a worker starts
        self.replaced = 0  # number of workers replaced so far
        self.peak_memory = 0.0  # GiB, the highest of any worker

    @property
    def actors(self) -> list[Any]:
        return [worker.actor for worker in self.workers]

    @property
    def calls(self) -> list[ray.ObjectRef]:
        """The outstanding calls; `collect` each once it is done."""
        return [worker.call for worker in self.workers if worker.call is not None]

    @property
    def busy(self) -> bool:
        return self.work.size > 0

    @property
    def starting(self) -> bool:
        return any(isinstance(worker.state, Starting) for worker in self.workers)

    @property
    def updating(self) -> bool:
        """Whether a worker that has started lacks the current weights."""
        return any(worker.version != self.weights.version for worker in self._standing)

    @property
    def reading(self) -> bool:
        """Whether a worker is reading the weights."""
        return any(isinstance(worker.state, Receiving) for worker in self.workers)

    @property
    def _standing(self) -> list[WorkerHandle]:
        return [worker for worker in self.workers if not isinstance(worker.state, Starting)]

    def submit(self, group: list[Request]) -> None:
        """Queue one group. `dispatch` sends it to a worker."""
        self.work.submit(group)

    def hold(self) -> None:
        """Keep workers from starting to read the weights: their memory is about to change."""
        self.weights = Weights(self.weights.version, location=None)

    def update(self, location: dict[str, Any], version: int) -> None:
        """Have every worker load these weights after its current engine step.

        With an empty `location` the workers have them already.
        """
        self.weights = Weights(version, location)
        for worker in self.workers:
            if location:
                worker.pause()
            else:
                worker.version = version

    def dispatch(self) -> None:
        """Have every idle worker load the current weights if it lacks them, and generate otherwise."""
        self._send_weights()
        self._generate()

    def _send_weights(self) -> None:
        if self.weights.location is None:
            return
        for worker in self.workers:
            if isinstance(worker.state, Idle) and worker.version != self.weights.version:
                worker.receive(self.weights, time.monotonic())

    def _generate(self) -> None:
        """Assign groups to the least loaded idle workers, and run engine steps on all that have requests.

        A worker gets at most an equal share of all requests, rounded up to whole groups: the rest is for
        workers that are busy now.
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
        """The rollouts that a finished call returned.

        Raises:
            WorkerDied: a worker died and cannot be replaced while the others live, or failed to load the
                weights.
            RlvrError: a worker failed, or died repeatedly; the message has its error.
        """
        place = next(place for place, worker in enumerate(self.workers) if worker.call == call)
        worker = self.workers[place]
        try:
            result = ray.get(call)
        except RayTaskError as error:
            if isinstance(worker.state, Receiving):
                self.hold()  # the weights may be incomplete, and their learner may be dead
                self._replace(place, "could not load the weights")
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
        """Replace workers that exceeded their deadline, after printing their stacks.

        Raises:
            StallError: such a worker cannot be replaced; the message names worker, sample and process.
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
        """A message about a worker that is late: its process, its requests and its stacks."""
        process, oldest = self.workers[place].process, self.work.oldest(place)
        sample = f"problem {oldest.problem_id!r}, sample {oldest.sample}" if oldest else "nothing"
        message = (
            f"generation: rollout worker {place} ({process or 'no process yet'}) {late} "
            f"(rollout.deadline={self.deadline:g}); it has {self.work.load(place)} unfinished rollouts, "
            f"the oldest being {sample}"
        )
        return f"{message}. Its stacks:\n{stacks(process)}" if process else message

    def _replace(self, place: int, why: str) -> None:
        """Replace a dead or stuck worker, and put its requests at the head of the queue."""
        worker = self.workers[place]
        name = f"rollout worker {place}" + (f" ({worker.process})" if worker.process else "")
        if self.start is None:
            raise WorkerDied(f"{name} {why}")
        if worker.deaths == DEATHS:
            raise RlvrError(f"{name} {why}; it was replaced {DEATHS} times in a row already")
        again = self.work.requeue(place)
        words = why.splitlines()[0].rstrip(".")
        print(f"\nrlvr: {name} {words}. Replaced; {again} rollouts are generated again", file=sys.stderr)
        ray.kill(worker.actor)
        self.replaced += 1
        self.workers[place] = WorkerHandle(self.start(place), time.monotonic(), worker.deaths + 1)
