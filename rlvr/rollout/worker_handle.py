"""The life of a rollout worker, as the driver sees it: its states, and the ways between them.

    Starting ──► Idle ──► Receiving  ──► Idle      new weights
                 Idle ──► Generating ──► Idle      engine steps

A worker that is dead or stuck has no state: the pool puts another one in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from rlvr.base.processes import START_DEADLINE, Whereabouts
from rlvr.rollout.engine import Request

UPDATE_DEADLINE = 300.0  # seconds for taking new weights


@dataclass(frozen=True)
class Weights:
    """A version of the policy, for the workers to take."""

    version: int  # −1 is that of the model that workers start with
    location: dict[str, Any] | None  # where workers find them; None while nobody may begin to read them


@dataclass(frozen=True)
class Starting:
    """It makes its engine."""

    call: ray.ObjectRef
    since: float


@dataclass(frozen=True)
class Idle:
    """It stands, and waits for a call."""

    process: Whereabouts
    stalled: float | None = None  # since when its calls have made no engine step; None: the last one did


@dataclass(frozen=True)
class Receiving:
    """It takes weights, between two engine steps; its requests wait."""

    process: Whereabouts
    call: ray.ObjectRef
    since: float
    version: int  # of these weights


@dataclass(frozen=True)
class Generating:
    """It makes engine steps."""

    process: Whereabouts
    call: ray.ObjectRef
    since: float  # when it was called; or, of one that stalls, when it began to


State = Starting | Idle | Receiving | Generating


class WorkerHandle:
    """Calls one actor (`RolloutWorker`), once at a time. All times are of `time.monotonic`, in seconds."""

    def __init__(self, actor: Any, now: float, deaths: int = 0) -> None:
        self.actor = actor
        self.deaths = deaths  # of those before it in its place, without an engine step between
        self.version = -1  # of the weights that it has
        self.state: State = Starting(actor.ready.remote(), now)

    @property
    def call(self) -> ray.ObjectRef | None:
        """The one that is outstanding; `finish` takes what it returns."""
        return None if isinstance(self.state, Idle) else self.state.call

    @property
    def process(self) -> Whereabouts | None:
        """None until it has started."""
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
        """Let it come back after its present engine step, if it makes any."""
        if isinstance(self.state, Generating):
            self.actor.pause.remote()

    def finish(self, result: Any) -> None:
        """Starting, Receiving, Generating → Idle; `result` is what the call has returned."""
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
        """What it should have done long ago, and for how long it has not; None if it is in time.

        `deadline` is that for an engine step, in seconds.
        """
        match self.state:
            case Idle():
                return None
            case Starting(since=since):
                limit, fault = START_DEADLINE, "has not started"
            case Receiving(since=since):
                limit, fault = UPDATE_DEADLINE, "has not taken new weights"
            case Generating(since=since):
                limit, fault = deadline, "made no engine step"
        return f"{fault} for {now - since:.0f} s" if now - since > limit else None
