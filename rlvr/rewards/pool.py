"""Reward actors behind one queue, spread over the nodes of the cluster."""

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

SERVICE_START = 180.0  # seconds that a reward service has to start its processes
# A rollout may take this many times the deadline: once each for plain, per-batch and `async` functions, and
# twice that if it has to be repeated alone.
DEADLINES = 6


@dataclass
class _Call:
    actor: int
    groups: list[Group]
    heard: float  # time.monotonic() of its start, or when new verdicts were last noticed
    asked: float  # time of the last progress request
    question: ray.ObjectRef | None = None  # unanswered progress request
    reached: int = -1  # number of verdicts in the last answer
    process: Whereabouts | None = None  # from the last answer


class RewardPool:
    """Divides groups evenly among `actors` (`RewardActor`); verdicts do not depend on the actor.

    An actor that dies is replaced by the one that `start(place)` returns, and its groups are judged again.
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
        self.deaths = [0] * len(self.actors)  # consecutive deaths by place, without a verdict in between
        self.replaced = 0  # number of actors replaced so far
        self.queue: list[Group] = []
        self.calls: dict[ray.ObjectRef, _Call] = {}
        self._counts = ServiceCounts()

    def submit(self, group: Group) -> None:
        """Queue one group, whose rollouts must be complete. `dispatch` sends it to an actor."""
        self.queue.append(group)

    def dispatch(self) -> None:
        """Divide the queued groups among the idle actors, in one call each."""
        idle = sorted(set(range(len(self.actors))) - {call.actor for call in self.calls.values()})
        for place, actor in enumerate(idle):
            share = -(-len(self.queue) // (len(idle) - place))
            groups, self.queue = self.queue[:share], self.queue[share:]
            if groups:
                call = self.actors[actor].score.remote(groups)
                now = time.monotonic()
                self.calls[call] = _Call(actor, groups, heard=now, asked=now)

    def collect(self, call: ray.ObjectRef) -> list[Group]:
        """The groups of a finished call, with their verdicts set; none if the actor died.

        Raises:
            RlvrError: the service failed, or its process died repeatedly; the message has its error.
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
        """Replace a dead or stuck actor, and put its groups at the head of the queue."""
        if hopeless or self.start is None or self.deaths[made.actor] == DEATHS:
            tried = f"; it was replaced {DEATHS} times in a row already" if self.deaths[made.actor] else ""
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
        """Replace actors without a new verdict for longer than any check may take.

        Raises:
            StallError: such an actor cannot be replaced; the message names process and first problem.
        """
        # a service kills stuck checks itself; beyond this limit the service must be stuck
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
        """Ask an actor for its progress, and read its answer; `collect` handles actors that died."""
        if call.question is None:
            if now - call.asked >= every:
                call.question, call.asked = self.actors[call.actor].progress.remote(), now
        elif ray.wait([call.question], timeout=0)[0]:
            with suppress(RayError):
                call.process, reached = ray.get(call.question)
                call.heard = now if reached != call.reached else call.heard
                call.reached = reached
            call.question = None
