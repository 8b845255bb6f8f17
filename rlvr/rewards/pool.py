"""Many reward actors behind one queue, on as many nodes as there are."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from rlvr.base.processes import DEATHS, Whereabouts, stacks
from rlvr.rewards.counts import ServiceCounts
from rlvr.types import Group, RlvrError, StallError

SERVICE_START = 180.0  # seconds that a reward service may take to start its processes
# Deadlines that one rollout may take: for plain, per-batch and `async` functions each, and twice
# where it had to be tried again alone.
DEADLINES = 6


@dataclass
class _Call:
    actor: int
    groups: list[Group]
    heard: float  # time.monotonic() when it began, or was last found to have reached verdicts
    asked: float  # when it was last asked for them
    question: ray.ObjectRef | None = None  # that has no answer yet
    reached: int = -1  # verdicts, by its last answer
    process: Whereabouts | None = None  # by the same


class RewardPool:
    """Divides groups evenly among `actors` (`RewardActor`); a verdict does not depend on which.

    An actor that dies is replaced by what `start` makes for its place, and its groups are scored again.
    """

    def __init__(
        self,
        actors: Sequence[Any],
        deadline: float,
        start: Callable[[int], Any] | None = None,
    ) -> None:
        self.actors = list(actors)
        self.deadline = deadline
        self.start = start
        self.deaths = [0] * len(self.actors)  # without a verdict between
        self.replaced = 0  # actors, so far
        self.queue: list[Group] = []
        self.calls: dict[ray.ObjectRef, _Call] = {}
        self._counts = ServiceCounts()

    def submit(self, group: Group) -> None:
        """Queue one group, whose rollouts are complete. `dispatch` sends it on its way."""
        self.queue.append(group)

    def dispatch(self) -> None:
        """Share what waits among the actors that have nothing to do, in one call each."""
        idle = sorted(set(range(len(self.actors))) - {call.actor for call in self.calls.values()})
        for place, actor in enumerate(idle):
            share = -(-len(self.queue) // (len(idle) - place))
            groups, self.queue = self.queue[:share], self.queue[share:]
            if groups:
                call = self.actors[actor].score.remote(groups)
                now = time.monotonic()
                self.calls[call] = _Call(actor, groups, heard=now, asked=now)

    def collect(self, call: ray.ObjectRef) -> list[Group]:
        """The groups of a finished call, which have their verdicts now.

        Raises:
            RlvrError: the service failed, or its process died again and again; the message has its words.
        """
        made = self.calls.pop(call)
        try:
            scored = ray.get(call)
        except RayTaskError as error:
            if isinstance(error.cause, RlvrError):
                raise error.cause from None
            raise RlvrError(f"reward actor {made.actor} failed: {error}") from error
        except RayError as error:
            self._replace(made, f"died: {error}", hopeless=getattr(error, "actor_init_failed", False))
            return []
        self.deaths[made.actor] = 0
        self._counts.add(scored.counts)
        for group, verdicts in zip(made.groups, scored.verdicts, strict=True):
            group.verdicts = verdicts
        return made.groups

    def _replace(self, made: _Call, why: str, hopeless: bool = False) -> None:
        """Another actor in the place of one that is dead or stuck; its groups come first in the queue."""
        if hopeless or self.start is None or self.deaths[made.actor] == DEATHS:
            tried = f"; its place was tried {DEATHS} times in a row" if self.deaths[made.actor] else ""
            raise RlvrError(f"reward actor {made.actor} {why}{tried}")
        self.queue = made.groups + self.queue
        print(
            f"\nrlvr: reward actor {made.actor} {why.splitlines()[0].rstrip('.')}. Replaced; "
            f"{len(made.groups)} groups are judged again",
            file=sys.stderr,
        )
        ray.kill(self.actors[made.actor])
        self.actors[made.actor] = self.start(made.actor)
        self.deaths[made.actor] += 1
        self.replaced += 1

    def counters(self) -> dict[str, float]:
        """`ServiceCounts.summary` over all actors, since the last call."""
        counts, self._counts = self._counts, ServiceCounts()
        return counts.summary()

    def check_progress(self) -> None:
        """Replace actors that have reached no verdict for longer than any check may take.

        Raises:
            StallError: the same, of one that cannot be replaced; it names process and first problem.
        """
        # a service kills every stuck check by itself; beyond this it is the service that is stuck
        limit = DEADLINES * self.deadline + SERVICE_START
        for reference, call in list(self.calls.items()):
            now = time.monotonic()
            self._ask(call, now, limit / 4)
            if now - call.heard <= limit:
                continue
            checks = sum(len(group.rollouts) for group in call.groups)
            message = (
                f"rewards: actor {call.actor} ({call.process or 'no process yet'}) has reached no verdict "
                f"for {now - call.heard:.0f} s (reward.deadline={self.deadline:g}); it has {checks} "
                f"rollouts, the first of problem {call.groups[0].problem.id!r}"
            )
            if call.process is not None:
                message += f". Its stacks:\n{stacks(call.process)}"
            if self.start is None or self.deaths[call.actor] == DEATHS:
                raise StallError(message)
            print(f"\nrlvr: {message}", file=sys.stderr)
            del self.calls[reference]
            self._replace(call, "was stuck")

    def _ask(self, call: _Call, now: float, every: float) -> None:
        """Find out whether an actor has got on, where it answers; one that died is met by `collect`."""
        if call.question is None:
            if now - call.asked >= every:
                call.question, call.asked = self.actors[call.actor].progress.remote(), now
        elif ray.wait([call.question], timeout=0)[0]:
            with suppress(RayError):
                call.process, reached = ray.get(call.question)
                call.heard = now if reached != call.reached else call.heard
                call.reached = reached
            call.question = None
