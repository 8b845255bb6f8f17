"""The states of a rollout worker as the driver sees it, and the transitions between them.

    Starting ──► Idle ──► Receiving  ──► Idle      new weights
                 Idle ──► Generating ──► Idle      engine steps

There is no state for a dead or stuck worker: the pool replaces it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from rlvr.base.processes import START_DEADLINE, Whereabouts
from rlvr.rollout.engine import Request

UPDATE_DEADLINE = 300.0  # seconds for loading new weights


@dataclass(frozen=True)
class Weights:
    """A policy version, and where workers find its weights."""

    version: int  # −1: the model that workers start with
    location: dict[str, Any] | None  # argument of `receive_weights`; None: must not be read now


@dataclass(frozen=True)
class Starting:
    """The worker creates its engine."""

    call: ray.ObjectRef
    since: float


@dataclass(frozen=True)
class Idle:
    """The worker has started and waits for a call."""

    process: Whereabouts
    stalled: float | None = None  # start of the calls without an engine step; None: the last one did some


@dataclass(frozen=True)
class Receiving:
    """The worker loads weights, between two engine steps; its requests wait."""

    process: Whereabouts
    call: ray.ObjectRef
    since: float
    version: int  # of these weights


@dataclass(frozen=True)
class Generating:
    """The worker runs engine steps."""

    process: Whereabouts
    call: ray.ObjectRef
    since: float  # time of the call, or of the first in a row without an engine step


State = Starting | Idle | Receiving | Generating


class WorkerHandle:
    """Calls one actor (`RolloutWorker`), one call at a time. Times are of `time.monotonic`, in seconds."""

    def __init__(self, actor: Any, now: float, deaths: int = 0) -> None:
        self.actor = actor
        self.deaths = deaths  # consecutive deaths in this place without an engine step in between
        self.version = -1  # of its weights
        self.state: State = Starting(actor.ready.remote(), now)

    @property
    def call(self) -> ray.ObjectRef | None:
        """The outstanding call, if any; pass its result to `finish`."""
        return None if isinstance(self.state, Idle) else self.state.call

    @property
    def process(self) -> Whereabouts | None:
        """The worker's process; None until it has started."""
        return None if isinstance(self.state, Starting) else self.state.process

    def receive(self, weights: Weights, now: float) -> None:
        """Idle → Receiving."""
        assert isinstance(self.state, Idle)
        call = self.actor.receive_weights.remote(weights.location, weights.version)
        self.state = Receiving(self.state.process, call, now, weights.version)

    def generate(self, requests: Sequence[Request], seconds: float, now: float) -> None:
        """Idle → Generating, for about `seconds`, with further requests."""
        assert isinstance(self.state, Idle)
        call = self.actor.advance.remote(requests, seconds)
        since = now if self.state.stalled is None else self.state.stalled
        self.state = Generating(self.state.process, call, since)

    def pause(self) -> None:
        """Have a generating worker return after its current engine step."""
        if isinstance(self.state, Generating):
            self.actor.pause.remote()

    def finish(self, result: Any) -> None:
        """Starting, Receiving, Generating → Idle; `result` is the call's return value."""
        match self.state:
            case Starting():
                self.state = Idle(process=result)
            case Receiving(process=process, version=version):
                self.version = version
                self.state = Idle(process)
            case Generating(process=process, since=since):
                if result.steps:
                    self.deaths = 0
                self.state = Idle(process, stalled=None if result.steps else since)

    def late(self, deadline: float, now: float) -> str | None:
        """What is overdue and for how long, in words; None if nothing is.

        `deadline` is the one for an engine step, in seconds.
        """
        match self.state:
            case Idle():
                return None
            case Starting(since=since):
                limit, fault = START_DEADLINE, "has not started"
            case Receiving(since=since):
                limit, fault = UPDATE_DEADLINE, "has not loaded new weights"
            case Generating(since=since):
                limit, fault = deadline, "made no engine step"
        return f"{fault} for {now - since:.0f} s" if now - since > limit else None
