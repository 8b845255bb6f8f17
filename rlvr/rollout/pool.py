"""Many rollout workers behind one queue: whoever has least to do gets the next group."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from rlvr.base.processes import DEATHS, LOOK, START_DEADLINE, Whereabouts, require_nodes, stacks
from rlvr.rollout.engine import Request
from rlvr.types import RlvrError, Rollout, StallError, WorkerDied

SLICE = 0.5  # seconds of engine steps per call: the delay of new requests
UPDATE_DEADLINE = 300.0  # seconds for taking new weights

Key = tuple[int, str, int]  # step, problem, sample


@dataclass
class _Worker:
    actor: Any
    process: Whereabouts | None = None  # None until it has started
    version: int = -1  # of the weights it has; −1 are those that it was started with
    call: ray.ObjectRef | None = None  # the one that is outstanding
    doing: str = ""  # what that call is
    since: float = 0.0  # time.monotonic() of the last sign of life
    looked: float = field(default_factory=time.monotonic)  # when the cluster was, while it starts
    under_way: dict[Key, Request] = field(default_factory=dict)
    handed: list[list[Request]] = field(default_factory=list)  # groups, since it last had nothing to do
    deaths: int = 0  # without progress between


class RolloutPool:
    """Keeps `workers` fed by load. A group stays on one worker, which computes its prompt once.

    A lone worker is given everything at once and in order, so that its batches (and with them
    the last bits of its results) do not depend on timing; several are topped up as they finish.

    A worker that dies, or makes no engine step for `deadline` seconds, is replaced by what `start` makes for
    its place. The new one gets the present weights, and what the old one had not finished is drawn again.
    With `exact` (for a lone worker that empties between two updates) that is all that it was handed since
    it was last idle, so that the new one makes the same batches, and results are the same to the bit.
    """

    def __init__(
        self,
        workers: Sequence[Any],
        max_num_seqs: int,
        deadline: float,
        start: Callable[[int], Any] | None = None,
        exact: bool = False,
    ) -> None:
        self.workers = [_Worker(actor) for actor in workers]
        self.capacity = 2 * max_num_seqs if len(self.workers) > 1 else 2**31
        self.deadline = deadline
        self.start = start
        self.exact = exact
        self.queue: deque[list[Request]] = deque()
        self.weights: dict[str, Any] | None = None  # where the present ones lie; None while they change
        self.version = -1
        self.came: set[Key] = set()  # finished before their worker died, and drawn again
        self.replaced = 0  # workers, so far
        self.peak_memory = 0.0  # GiB, of the one with most
        for worker in self.workers:
            self._call(worker, "start", worker.actor.ready.remote())

    @property
    def actors(self) -> list[Any]:
        return [worker.actor for worker in self.workers]

    @property
    def busy(self) -> bool:
        return bool(self.queue) or any(worker.under_way for worker in self.workers)

    @property
    def starting(self) -> bool:
        return any(worker.process is None for worker in self.workers)

    @property
    def updating(self) -> bool:
        """Whether a worker that stands does not have the present weights yet."""
        return any(worker.process and worker.version != self.version for worker in self.workers)

    @property
    def reading(self) -> bool:
        """Whether a worker is reading the weights."""
        return any(worker.call is not None and worker.doing == "update" for worker in self.workers)

    @property
    def calls(self) -> list[ray.ObjectRef]:
        """Those that are outstanding; `collect` each once it is done."""
        return [worker.call for worker in self.workers if worker.call is not None]

    def submit(self, group: list[Request]) -> None:
        """Queue one group. `dispatch` sends it on its way."""
        self.queue.append(group)

    def hold(self) -> None:
        """The memory with the weights is about to change: nobody may begin to read it."""
        self.weights = None

    def update(self, weights: dict[str, Any], version: int) -> None:
        """Have every worker take these weights after its present engine step; empty: they have them."""
        self.weights, self.version = weights, version
        for worker in self.workers:
            if not weights:
                worker.version = version
            elif worker.call is not None and worker.doing == "advance":
                worker.actor.pause.remote()

    def dispatch(self) -> None:
        """Give queued groups to the workers with least to do, and let every idle worker work.

        Nobody is given more than an equal share among those that stand, but for the rest of a group: those
        that are in a call take theirs once it is done.
        """
        idle = [worker for worker in self.workers if worker.call is None]
        for worker in idle:
            if worker.version != self.version and self.weights is not None:
                call = worker.actor.receive_weights.remote(self.weights, self.version)
                self._call(worker, "update", call)
        idle = [worker for worker in idle if worker.call is None and worker.version == self.version]
        handed: dict[int, list[Request]] = {id(worker): [] for worker in idle}
        share = self._share() if self.queue and idle else 0.0
        while self.queue and idle:
            worker = min(idle, key=lambda worker: len(worker.under_way))
            load = len(worker.under_way)
            if load and (load >= share or load + len(self.queue[0]) > self.capacity):
                break
            group = self.queue.popleft()
            worker.handed.append(group)
            handed[id(worker)] += group
            worker.under_way |= {_key(request): request for request in group}
        for worker in idle:
            if worker.under_way:
                requests = handed[id(worker)]
                call = worker.actor.advance.remote(requests, SLICE)
                self._call(worker, "advance", call, new=len(requests) == len(worker.under_way))

    def _share(self) -> float:
        """Rollouts for each worker that stands, if all had equally many."""
        standing = [worker for worker in self.workers if worker.process is not None]
        rollouts = sum(len(worker.under_way) for worker in standing) + sum(map(len, self.queue))
        return rollouts / len(standing)

    def _call(self, worker: _Worker, doing: str, call: ray.ObjectRef, new: bool = True) -> None:
        """`new`: it is no more of the same, so that time without a sign of life counts from now."""
        worker.call, worker.doing = call, doing
        if new:
            worker.since = time.monotonic()

    def collect(self, call: ray.ObjectRef) -> list[Rollout]:
        """What a finished call brought.

        Raises:
            WorkerDied: a worker died, and cannot be replaced while the others live, or lacks the weights.
            RlvrError: a worker failed, or died again and again; the message has its words.
        """
        worker = next(worker for worker in self.workers if worker.call == call)
        doing, worker.call = worker.doing, None
        try:
            brought = ray.get(call)
        except RayTaskError as error:
            if doing == "update":  # its weights are in pieces, and the learner that has them may be gone
                self.hold()
                self._replace(worker, "could not take the weights")
                raise WorkerDied(f"weight update: {error}") from error
            raise RlvrError(f"rollout worker {self.workers.index(worker)} failed: {error}") from error
        except RayError as error:
            self._replace(worker, f"died: {error}")
            return []
        worker.since = time.monotonic() if doing != "advance" or brought.steps else worker.since
        if doing == "start":
            worker.process = brought
        elif doing == "update":
            worker.version = self.version
        else:
            worker.deaths = 0 if brought.steps else worker.deaths
            self.peak_memory = max(self.peak_memory, brought.peak_memory)
            return self._finished(worker, brought.rollouts)
        return []

    def _finished(self, worker: _Worker, rollouts: Sequence[Rollout]) -> list[Rollout]:
        for rollout in rollouts:
            del worker.under_way[_key(rollout)]
        new = [rollout for rollout in rollouts if _key(rollout) not in self.came]
        self.came -= {_key(rollout) for rollout in rollouts}
        if not self.exact:
            worker.handed = [g for g in worker.handed if any(_key(r) in worker.under_way for r in g)]
        elif not worker.under_way:
            worker.handed = []
        return new

    def _replace(self, worker: _Worker, why: str) -> None:
        """Another worker in the place of one that is dead or stuck; its work is at the head of the queue."""
        place = self.workers.index(worker)
        name = f"rollout worker {place}" + (f" ({worker.process})" if worker.process else "")
        if self.start is None:
            raise WorkerDied(f"{name} {why}")
        if worker.deaths == DEATHS:
            raise RlvrError(f"{name} {why}; its place was tried {DEATHS} times in a row")
        again = [group for group in worker.handed if self.exact or self._left(worker, group)]
        if not self.exact:
            again = [self._left(worker, group) for group in again]
        self.came |= {_key(r) for group in again for r in group} - worker.under_way.keys()
        self.queue.extendleft(reversed(again))
        count = sum(map(len, again))
        words = why.splitlines()[0].rstrip(".")
        print(f"\nrlvr: {name} {words}. Replaced; {count} rollouts are drawn again", file=sys.stderr)
        ray.kill(worker.actor)
        self.replaced += 1
        self.workers[place] = new = _Worker(self.start(place), deaths=worker.deaths + 1)
        self._call(new, "start", new.actor.ready.remote())

    def _left(self, worker: _Worker, group: Sequence[Request]) -> list[Request]:
        return [request for request in group if _key(request) in worker.under_way]

    def check_progress(self) -> None:
        """Replace workers of which nothing was heard for too long, after saying where they stand.

        Raises:
            StallError: the same, of one that cannot be replaced; it names worker, sample and process.
        """
        now = time.monotonic()
        for place, worker in enumerate(self.workers):
            if worker.doing == "start" and now - worker.looked > LOOK:
                require_nodes(f"rollout worker {place}")
                worker.looked = now
            limits = {"start": START_DEADLINE, "update": UPDATE_DEADLINE, "advance": self.deadline}
            if worker.call is None or now - worker.since <= limits[worker.doing]:
                continue
            oldest = next(iter(worker.under_way.values()), None)
            sample = f"problem {oldest.problem_id!r}, sample {oldest.sample}" if oldest else "nothing"
            waited = {
                "start": "has not started",
                "update": "has not taken new weights",
                "advance": "made no engine step",
            }[worker.doing]
            message = (
                f"generation: rollout worker {place} ({worker.process or 'no process yet'}) {waited} for "
                f"{now - worker.since:.0f} s (rollout.deadline={self.deadline:g}); it has "
                f"{len(worker.under_way)} rollouts under way, the oldest being {sample}"
            )
            if worker.process is not None:
                message += f". Its stacks:\n{stacks(worker.process)}"
            if self.start is None or worker.deaths == DEATHS:
                raise StallError(message)
            print(f"\nrlvr: {message}", file=sys.stderr)
            self._replace(worker, "was stuck")


def _key(item: Request | Rollout) -> Key:
    return item.step, item.problem_id, item.sample
