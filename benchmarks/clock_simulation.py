"""The training loop on a simulated clock: real scheduling, and processes that only say how long they take.

`RolloutPool`, `RewardPool`, `RolloutBuffer` and `RolloutCollector` are the loop's own. What they see of Ray
and of the time is simulated: a call is done at a moment that is known when it is made, and waiting for it
moves the clock there. A rollout worker decodes as vLLM does: one token of all its sequences per engine step.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from rlvr.base.processes import Whereabouts
from rlvr.cluster import waiting as calls
from rlvr.pipeline.config import RunConfig
from rlvr.rewards import pool as reward_pool
from rlvr.rewards.counts import ServiceCounts
from rlvr.rollout import pool as rollout_pool
from rlvr.rollout.actor import Progress
from rlvr.rollout.engine import Request
from rlvr.stages import buffer as rollout_buffer
from rlvr.stages.collector import RolloutCollector
from rlvr.stages.config import RlConfig
from rlvr.types import FinishReason, Group, IntArray, Problem, Rollout, Status, Verdict

NEVER = 10**9  # steps between evaluations and checks, which are not simulated
TOKENS = np.zeros(2**17, np.int32)
Curve = Sequence[tuple[float, float]]  # (size, seconds), sizes increasing


@dataclass(frozen=True)
class Costs:
    """Seconds that things take."""

    decode: Curve  # (sequences decoded together, an engine step), increasing
    prefill: float = 0.0  # a token of a prompt, or of an answer so far after a weight update
    learn: float = 0.0  # a token, of one learner rank
    send: float = 0.0  # the learner's part of a weight update
    receive: float = 0.0  # that of every rollout worker
    verdict: float = 0.0
    call: Curve = ((1, 0.0),)  # (workers, of the driver for every call that comes back)
    record: float = 0.0  # of the driver, for every rollout of a step: metrics and journal


def at(curve: Curve, size: float) -> float:
    """Linear between the points of a curve, and in proportion beyond the last."""
    place = bisect_left(curve, (size,))
    if place == 0:
        return curve[0][1]
    if place == len(curve):
        return curve[-1][1] * size / curve[-1][0]
    (low, before), (high, after) = curve[place - 1], curve[place]
    return before + (after - before) * (size - low) / (high - low)


@dataclass(frozen=True)
class Setup:
    """What is simulated: how many of each, and how long the answers are."""

    workers: int
    staleness: int
    groups: int  # of a step
    steps: int  # that are counted
    warmup: int  # steps before them
    lengths: IntArray  # tokens of answers, to draw from
    group_size: int = 8
    prompt: int = 16  # tokens
    learners: int = 1  # ranks that share a step's tokens
    verdicts: int = 2**31  # that are made at a time
    max_num_seqs: int = 256
    seed: int = 0


@dataclass(eq=False)
class Call:
    """A simulated `ObjectRef`."""

    due: float
    result: Any = None


@dataclass
class Clock:
    """The time, and what the driver uses of Ray: it waits for calls, and needs a while to take each."""

    call_cost: float
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def wait(
        self, pending: Sequence[Call], num_returns: int = 1, timeout: float | None = None
    ) -> tuple[list[Call], list[Call]]:
        """Those that are done, once there is one, however long it takes; a time-out of 0 looks and is all."""
        if timeout != 0:
            self.now = max(self.now, min(call.due for call in pending))
        ready = sorted((call for call in pending if call.due <= self.now), key=lambda call: call.due)
        done = ready[:num_returns]
        return done, list(set(pending) - set(done))

    def get(self, call: Call) -> Any:
        assert call.due <= self.now
        self.now += self.call_cost
        return call.result

    @contextmanager
    def runs_the_loop(self) -> Iterator[None]:
        """The loop's own modules see this clock, and no Ray, for as long as this lasts."""
        with ExitStack() as stack:
            for module in (rollout_pool, reward_pool, rollout_buffer, calls):
                stack.enter_context(patch.object(module, "ray", self))
                stack.enter_context(patch.object(module, "time", self))
            yield


def remote(function: Callable[..., Call | None]) -> SimpleNamespace:
    """What Ray makes of an actor's method."""
    return SimpleNamespace(remote=function)


class Active(NamedTuple):
    """A sequence that is decoded. Tokens are counted per engine: it makes one of each sequence in a step."""

    end: int  # the token that is its last
    place: int  # in the order of admission
    start: int  # the token before its first
    version: int  # of the weights that it began with
    request: Request


@dataclass
class Decoding:
    """What an engine has before it and has done."""

    waiting: deque[Request] = field(default_factory=deque)
    active: list[Active] = field(default_factory=list)  # a heap
    tokens: int = 0  # of each sequence that was there from the beginning
    admitted: int = 0
    version: int = 0  # of the weights
    again: int = 0  # tokens to be computed again since the weights changed
    decoded: int = 0  # tokens of all sequences together
    steps: int = 0
    seconds: float = 0.0  # at work

    def copy(self) -> Decoding:
        return replace(self, waiting=deque(self.waiting), active=list(self.active))

    def run(self, costs: Costs, room: int, seconds: float) -> tuple[float, list[Active]]:
        """Engine steps until `seconds` are over (one at least) or all is done: how long, and what ended."""
        took = 0.0
        ended: list[Active] = []
        while self.active or self.waiting:
            took += costs.prefill * (self.again + self._admit(room))
            self.again = 0
            one = at(costs.decode, len(self.active))
            until_end = self.active[0].end - self.tokens
            steps = min(until_end, max(math.ceil((seconds - took) / one - 1e-9), 1))
            took += steps * one
            self.steps += steps
            self.tokens += steps
            self.decoded += steps * len(self.active)
            while self.active and self.active[0].end == self.tokens:
                ended.append(heappop(self.active))
            if took >= seconds - 1e-9:
                break
        self.seconds += took
        return took, ended

    def _admit(self, room: int) -> int:
        """Begin as many answers as there is room for; the tokens of their prompts."""
        prompts = 0
        while self.waiting and len(self.active) < room:
            request = self.waiting.popleft()
            self.admitted += 1
            end = self.tokens + request.max_tokens
            heappush(self.active, Active(end, self.admitted, self.tokens, self.version, request))
            prompts += len(request.prompt)
        return prompts

    def take_weights(self, version: int) -> None:
        """All keys and values so far have to be computed anew."""
        self.version = version
        self.again = sum(len(a.request.prompt) + self.tokens - a.start for a in self.active)


class SimulatedWorker:
    """A rollout worker with an engine that only knows how long it takes."""

    def __init__(self, clock: Clock, costs: Costs, room: int) -> None:
        self.clock, self.costs, self.room = clock, costs, room
        self.state = Decoding()
        self.call = Call(0.0)  # the last `advance`
        self.began, self.before = 0.0, self.state
        self.receiving = 0.0  # seconds
        self.ready = remote(lambda: Call(clock.now, Whereabouts("", 0, 0)))
        self.advance, self.pause = remote(self._advance), remote(self._pause)
        self.receive_weights = remote(self._receive)

    def _advance(self, requests: Sequence[Request], seconds: float) -> Call:
        self.state.waiting.extend(requests)
        self.began, self.before = self.clock.now, self.state.copy()
        self.call = self._run(Call(0.0), seconds)
        return self.call

    def _pause(self) -> None:
        """End the call that is under way with its present engine step."""
        if self.call.due > self.clock.now:
            self.state = self.before.copy()
            self._run(self.call, self.clock.now - self.began)

    def _run(self, call: Call, seconds: float) -> Call:
        took, ended = self.state.run(self.costs, self.room, seconds)
        call.due = self.began + took
        finished = [self._rollout(active) for active in ended]
        call.result = Progress(finished, self.state.steps - self.before.steps, 0.0)
        return call

    def _rollout(self, active: Active) -> Rollout:
        """Its tokens are zeros, but as many as it has; `versions` is the oldest alone."""
        request = active.request
        tokens = TOKENS[: len(request.prompt) + request.max_tokens]
        return Rollout(
            request.problem_id,
            request.step,
            request.sample,
            request.seed,
            tokens,
            sampled=TOKENS[:0].astype(bool),
            logprobs=TOKENS[:0].astype(np.float32),
            versions=np.array([active.version], np.int32),
            text="",
            finish_reason=FinishReason.STOP,
            temperature=1.0,
        )

    def _receive(self, weights: dict[str, Any], version: int) -> Call:
        self.state.take_weights(version)
        self.receiving += self.costs.receive
        return Call(self.clock.now + self.costs.receive)


def reward_actor(clock: Clock, costs: Costs, at_a_time: int) -> SimpleNamespace:
    """A reward service that makes so many verdicts at a time; all are the same."""
    verdict = Verdict(Status.CORRECT, 1.0, "")

    def score(groups: Sequence[Group]) -> Call:
        verdicts = [[verdict] * len(group.rollouts) for group in groups]
        rounds = math.ceil(sum(map(len, verdicts)) / at_a_time)
        scored = SimpleNamespace(verdicts=verdicts, counts=ServiceCounts())
        return Call(clock.now + rounds * costs.verdict, scored)

    return SimpleNamespace(score=remote(score))


class SimulatedCollector(RolloutCollector):
    """Draws answers whose lengths are known: they stand in `max_tokens`, where no engine goes on."""

    def __init__(self, setup: Setup, buffer: rollout_buffer.RolloutBuffer) -> None:
        loop = RlConfig(
            # the last that is counted has others behind it, as all have
            steps=setup.warmup + setup.steps + setup.staleness + 1,
            problems_per_step=setup.groups,
            group_size=setup.group_size,
            max_staleness=setup.staleness,
            evaluate_every=NEVER,
            check_every=NEVER,
        )
        problems = [Problem(f"p{i}", "", "") for i in range(setup.groups)]
        stage: Any = SimpleNamespace(config=RunConfig().for_stages(), settings=loop, problems=problems)
        super().__init__(stage, buffer)
        self.setup = setup
        self.prompt = [0] * setup.prompt

    def _submit(self, step: int, asked: Sequence[tuple[Problem, int]]) -> None:
        random = np.random.default_rng([self.setup.seed, step])
        size = self.setup.group_size
        lengths = random.choice(self.setup.lengths, (len(asked), size)).tolist()
        groups = [
            [Request(problem.id, step, i, 0, self.prompt, 1.0, lengths[place][i]) for i in range(size)]
            for place, (problem, _) in enumerate(asked)
        ]
        self.buffer.submit(step, [problem for problem, _ in asked], groups)


@dataclass(frozen=True)
class Outcome:
    """What a simulated run came to; times and tokens are of the steps after the warm-up."""

    ends: list[float]  # when each step was over
    step_seconds: float  # of a counted step, on average
    tokens_per_second: float
    decoding: float  # share of the workers' time at work on tokens
    receiving: float  # … with taking weights
    learning: float  # share of the time that the learner works
    batch: float  # tokens of an engine step, on average
    oldest: list[int]  # of each step's rollouts: how many versions the oldest lay behind


class _Learner:
    """Stands for the learner where `RolloutBuffer.publish` asks it for weights."""

    def __init__(self, clock: Clock, costs: Costs) -> None:
        self.clock, self.costs = clock, costs

    def call(self, method: str, version: int) -> list[Call]:
        return [Call(self.clock.now + self.costs.send, {"version": version})]


def simulate(costs: Costs, setup: Setup) -> Outcome:
    """Run the loop, in the order of `rlvr.stages.rl.ReinforcementLearning.step`."""
    clock = Clock(at(costs.call, setup.workers))
    with clock.runs_the_loop():
        return _simulate(clock, costs, setup)


def _simulate(clock: Clock, costs: Costs, setup: Setup) -> Outcome:
    workers = [SimulatedWorker(clock, costs, setup.max_num_seqs) for _ in range(setup.workers)]
    pool = rollout_pool.RolloutPool(workers, setup.max_num_seqs, math.inf)
    rewards = reward_pool.RewardPool([reward_actor(clock, costs, setup.verdicts)], math.inf)
    buffer = rollout_buffer.RolloutBuffer(
        pool, rewards, shares_cores=setup.staleness == 0, interrupted=lambda: False
    )
    collector = SimulatedCollector(setup, buffer)
    learner: Any = _Learner(clock, costs)
    buffer.start()
    buffer.publish(learner, 0)
    ends, oldest = [], []
    tokens, learning = 0, 0.0
    before = _totals(clock, workers)
    for step in range(1, setup.warmup + setup.steps + 1):
        collector.submit_ready(step - 1)
        groups = collector.take(step).kept
        rollouts = [rollout for group in groups for rollout in group.rollouts]
        oldest.append(step - 1 - min(int(rollout.versions[0]) for rollout in rollouts))
        learns = costs.learn * sum(len(rollout.tokens) for rollout in rollouts) / setup.learners
        update: Any = [Call(clock.now + learns)]
        buffer.wait("update", update, math.inf)
        buffer.publish(learner, step)
        collector.submit_ready(step)
        pool.dispatch()
        clock.now += costs.record * len(rollouts)
        ends.append(clock.now)
        if step == setup.warmup:
            before = _totals(clock, workers)
        if step > setup.warmup:
            tokens += sum(len(rollout.tokens) - setup.prompt for rollout in rollouts)
            learning += learns + costs.send
    seconds, decoding, receiving, decoded, steps = _totals(clock, workers) - before
    return Outcome(
        ends,
        seconds / setup.steps,
        tokens / seconds,
        decoding / seconds / setup.workers,
        receiving / seconds / setup.workers,
        learning / seconds,
        decoded / max(steps, 1),
        oldest,
    )


def _totals(clock: Clock, workers: Sequence[SimulatedWorker]) -> np.ndarray[Any, Any]:
    """The time, and sums over the workers: seconds at work, seconds with weights, tokens, engine steps."""
    rows = [(w.state.seconds, w.receiving, w.state.decoded, w.state.steps) for w in workers]
    return np.array([clock.now, *np.sum(rows, axis=0)])
