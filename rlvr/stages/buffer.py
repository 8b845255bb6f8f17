"""Groups under way: drawn by one pool, judged by another, handed out in their order.

The buffer is bounded by what the stage submits: problems of step t are submitted once the policy
version is t − 1 − max_staleness, so no more than max_staleness + 1 steps are ever inside.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray

from rlvr.cluster.waiting import finish, result
from rlvr.learner.actor import LearnerGroup
from rlvr.rewards.pool import RewardPool
from rlvr.rollout.engine import Request
from rlvr.rollout.pool import RolloutPool
from rlvr.types import Group, Problem, Rollout

CONTROL_DEADLINE = 300.0  # seconds for a weight update or a checkpoint


class Interrupted(Exception):
    """The user asked to stop; whatever was under way is given up."""


@dataclass
class _Batch:
    """One submitted batch of groups. Times are of `time.monotonic`."""

    groups: dict[str, Group]  # by problem id, in the order submitted
    size: int  # rollouts per group
    submitted: float
    generated: float = 0.0  # when the last rollout came
    scored: float = 0.0  # when the last verdict came

    @property
    def complete(self) -> bool:
        return all(len(group.verdicts) == self.size for group in self.groups.values())


@dataclass(frozen=True)
class JudgedBatch:
    """A complete batch: groups in the order submitted, rollouts in sample order."""

    groups: list[Group]
    generate_seconds: float  # from submission to the last rollout
    reward_seconds: float  # from the last rollout to the last verdict


class RolloutBuffer:
    """Moves groups from the rollout pool to the reward pool while the driver waits for something."""

    def __init__(
        self,
        pool: RolloutPool,
        rewards: RewardPool,
        shares_cores: bool,
        interrupted: Callable[[], bool],
    ) -> None:
        self.pool = pool
        self.rewards = rewards
        self.shares_cores = shares_cores  # engines and checks share cores
        self.interrupted = interrupted
        self.batches: dict[int, _Batch] = {}

    def submit(self, step: int, problems: Sequence[Problem], groups: Sequence[list[Request]]) -> None:
        """Queue one group of requests per problem, all for `step`."""
        named = {problem.id: Group(problem, []) for problem in problems}
        self.batches[step] = _Batch(named, len(groups[0]), time.monotonic())
        for group in groups:
            self.pool.submit(group)

    def take(self, step: int, seen: Callable[[int, int], None] | None = None) -> JudgedBatch:
        """Wait until every group of `step` is complete, and hand it out.

        `seen` is told meanwhile how many rollouts there are, and of how many.

        Raises:
            Interrupted: the user asked to stop.
            StallError: generation or the reward service went past its deadline.
        """
        batch = self.batches[step]
        while True:
            if self.interrupted():
                raise Interrupted
            if batch.complete:
                break
            self._advance([])
            if seen is not None:
                drawn = sum(len(group.rollouts) for group in batch.groups.values())
                seen(drawn, batch.size * len(batch.groups))
        del self.batches[step]
        return JudgedBatch(
            list(batch.groups.values()), batch.generated - batch.submitted, batch.scored - batch.generated
        )

    def wait(self, what: str, calls: list[ray.ObjectRef], deadline: float) -> Any:
        """`finish`, while generation and scoring go on."""
        end = time.monotonic() + deadline
        pending = list(calls)
        while pending and time.monotonic() < end:
            still = self._advance(pending)
            for call in pending:
                if call not in still:
                    result(what, call, calls)
            pending = still
        return finish(what, calls, max(end - time.monotonic(), 0.0))

    def start(self) -> None:
        """Wait until every rollout worker stands.

        Raises:
            Interrupted: the user asked to stop.
        """
        while self.pool.starting:
            if self.interrupted():
                raise Interrupted
            self._advance([])

    def publish(self, learner: LearnerGroup, version: int) -> None:
        """Give the learner's weights, as `version`, to the rollout workers, each between two engine steps.

        Workers go on meanwhile with what they have; one that is being started is not waited for.
        """
        # the new ones will lie where those are
        self._until(lambda: not self.pool.reading)
        self.pool.hold()
        weights = self.wait("weight update", learner.call("publish", version), CONTROL_DEADLINE)
        self.pool.update(weights, version)
        self._until(lambda: not self.pool.updating)

    def replaced(self, learners: int) -> dict[str, float]:
        """`replaced/…`: how many processes of each kind died and have a successor, where any did."""
        counts = {"learner": learners, "rollout": self.pool.replaced, "reward": self.rewards.replaced}
        return {f"replaced/{name}": count for name, count in counts.items() if count}

    def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            self._advance([])

    def _advance(self, others: list[ray.ObjectRef]) -> list[ray.ObjectRef]:
        """Wait briefly for anything to happen and deal with it; the `others` still pending."""
        self.pool.dispatch()
        # An engine on the CPU waits for its slowest core at every operation, so checks beside it
        # would cost more time than they take: they come when it has nothing left to do.
        if not (self.shares_cores and self.pool.busy):
            self.rewards.dispatch()
        pending = [*others, *self.pool.calls, *self.rewards.calls]
        done, _ = ray.wait(pending, timeout=0.5) if pending else ([], None)
        if done:  # all that are, before anybody is said to be late
            done, _ = ray.wait(pending, num_returns=len(pending), timeout=0)
        for call in done:
            if call in self.pool.calls:
                self._store(self.pool.collect(call))
            elif call in self.rewards.calls:
                for group in self.rewards.collect(call):
                    self.batches[group.rollouts[0].step].scored = time.monotonic()
        self.pool.check_progress()
        self.rewards.check_progress()
        return [call for call in others if call not in done]

    def _store(self, rollouts: list[Rollout]) -> None:
        for rollout in rollouts:
            batch = self.batches[rollout.step]
            group = batch.groups[rollout.problem_id]
            group.rollouts.append(rollout)
            batch.generated = time.monotonic()
            if len(group.rollouts) == batch.size:
                group.rollouts.sort(key=lambda r: r.sample)
                self.rewards.submit(group)
