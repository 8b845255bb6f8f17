"""Rollout workers that answer when a test says so, without Ray and without an engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from groups import rollout

from rlvr.base.processes import Whereabouts
from rlvr.rollout.actor import Progress
from rlvr.rollout.engine import Request
from rlvr.types import Rollout


def requests(problem: str, samples: int = 2) -> list[Request]:
    """One group."""
    return [Request(problem, 3, sample, 0, [1], 1.0, 8) for sample in range(samples)]


def answer(request: Request, version: int = 3) -> Rollout:
    return rollout(request.sample, name=request.problem_id, version=version)


@dataclass(eq=False)
class Call:
    """Stands for an `ObjectRef`."""

    actor: FakeActor
    method: str
    arguments: tuple[Any, ...]
    result: Any = None  # an exception is raised


@dataclass(eq=False)
class FakeActor:
    """`call` is the newest but for `pause`, which is counted. `running` are requests without an answer."""

    number: int = 0
    running: list[Request] = field(default_factory=list)
    version: int = -1
    pauses: int = 0
    call: Call | None = None

    def __getattr__(self, method: str) -> SimpleNamespace:
        return SimpleNamespace(remote=lambda *arguments: self._begin(method, arguments))

    def _begin(self, method: str, arguments: tuple[Any, ...]) -> Call | None:
        if method == "pause":
            self.pauses += 1
            return None
        self.call = Call(self, method, arguments)
        if method == "advance":
            self.running += arguments[0]
        return self.call

    def answer(self, answers: int = 0, steps: int = 1, memory: float = 0.0) -> Call:
        """Let the call end; of an `advance` with so many of the oldest requests' rollouts."""
        assert self.call is not None
        if self.call.method == "ready":
            self.call.result = Whereabouts("node", 1000 + self.number, 5)
        elif self.call.method == "receive_weights":
            self.version = self.call.arguments[1]
        else:
            done, self.running = self.running[:answers], self.running[answers:]
            rollouts = [answer(request, self.version) for request in done]
            self.call.result = Progress(rollouts, steps, memory)
        return self.call

    def fail(self, error: Exception) -> Call:
        """Let the call end with an error."""
        assert self.call is not None
        self.call.result = error
        return self.call


class FakeRay:
    """What a pool uses of Ray and of the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.actors: list[FakeActor] = []  # all that were started
        self.killed: list[FakeActor] = []

    def monotonic(self) -> float:
        return self.now

    def get(self, call: Call) -> Any:
        if isinstance(call.result, Exception):
            raise call.result
        return call.result

    def kill(self, actor: FakeActor) -> None:
        self.killed.append(actor)

    def start(self, place: int) -> FakeActor:
        self.actors.append(FakeActor(len(self.actors)))
        return self.actors[-1]
