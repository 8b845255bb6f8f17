"""The groups of a training step: which problems, in how many rounds, and which groups the filters keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hydra.utils import instantiate

from rlvr.algorithms.config import AlgorithmConfig
from rlvr.algorithms.filters import accuracy
from rlvr.base.keys import key
from rlvr.rollout.engine import Request
from rlvr.stages.batches import judged
from rlvr.stages.buffer import RolloutBuffer
from rlvr.stages.config import RlConfig
from rlvr.stages.stage import StageInput
from rlvr.types import DataError, Group, Problem, RlvrError

Filter = Callable[[Group, np.random.Generator], Group | None]


@dataclass
class StepGroups:
    """The groups that were generated for one step, before and after the filters."""

    groups: list[Group] = field(default_factory=list)  # all groups, in the order they were submitted
    kept: list[Group] = field(default_factory=list)  # after the filters, same order
    dropped: dict[str, list[str]] = field(default_factory=dict)  # filter → ids of the problems it removed
    rounds: int = 0
    generate_seconds: float = 0.0
    reward_seconds: float = 0.0


class RolloutCollector:
    """Submits requests to the buffer and takes complete groups from it.

    Step t is submitted once the policy version allows it (see `rlvr.stages.rl`). Its first round has
    `rl.problems_per_step` groups. While the filters keep fewer groups than that, up to
    `algorithm.max_rounds` rounds are run. A further round takes as many other problems as groups are
    missing, and generates more rollouts for groups without a correct one where
    `algorithm.max_group_size` allows.
    """

    def __init__(self, stage: StageInput, buffer: RolloutBuffer) -> None:
        self.stage, self.config, self.settings = stage, stage.config, stage.settings
        self.buffer = buffer
        self.submitted = 0
        self.chosen: dict[int, list[int]] = {}  # unfinished step → problem indices of its first round
        algorithm, sampling = self.config.algorithm, self.config.sampling
        # passing the problems to `instantiate` would convert them to settings, which takes seconds
        order = instantiate(self.config.order, _partial_=True)
        self.order = order(problems=stage.problems, seed=self.config.seed)
        self.filters = filters_of(algorithm)
        self.schedule = instantiate(sampling.schedule, _partial_=True) if sampling.schedule else None

    def submit_ready(self, version: int) -> None:
        """Submit every step that the policy version allows, in order."""
        for step in self._choose_ready(version):
            self._submit(step, [(self.stage.problems[i], 0) for i in self.chosen[step]])

    def _choose_ready(self, version: int) -> list[int]:
        """Choose the problems of all steps that the version allows and that are not submitted yet.

        Returns those steps.
        """
        ready = []
        while self.submitted < self.settings.steps:
            newest_only = any(
                self.submitted % every == 0
                for every in (self.settings.evaluate_every, self.settings.check_every)
            )
            if version < self.submitted - (0 if newest_only else self.settings.max_staleness):
                break
            self.submitted += 1
            if self.submitted not in self.chosen:
                self.chosen[self.submitted] = self.order.choose(
                    self.submitted - 1, self.settings.problems_per_step
                )
            ready.append(self.submitted)
        return ready

    def pass_over(self, step: int, groups: Sequence[Group]) -> None:
        """Skip a step that an earlier process completed, making the same random choices as it did."""
        self._choose_ready(step - 1)
        self.order.observe(groups)
        del self.chosen[step]
        self.submitted = step

    def take(self, step: int) -> StepGroups:
        """Wait for the step's groups, over as many rounds as are needed.

        Raises:
            Interrupted: the user asked to stop.
            RlvrError: none of the rollouts has a verdict; the message quotes one reason.
        """
        drawn = StepGroups()
        while True:
            taken = self.buffer.take(step)
            drawn.rounds += 1
            drawn.generate_seconds += taken.generate_seconds
            drawn.reward_seconds += taken.reward_seconds
            _merge(drawn.groups, taken.groups)
            filter_groups(drawn, self.filters, self.config.seed, step)
            if drawn.rounds == self.config.algorithm.max_rounds or not self._submit_further(drawn, step):
                break
        del self.chosen[step]
        if not judged(drawn.groups):
            reason = drawn.groups[0].verdicts[0].reason
            raise RlvrError(f"no verdict was reached for any rollout of step {step}: {reason}")
        return drawn

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to choose the same problems; off-policy, some are chosen ahead."""
        return {"order": self.order.state(), "chosen": self.chosen}

    def load(self, state: Mapping[str, Any], version: int) -> None:
        """Continue after step `version`, with the value of `state` at that step."""
        self.submitted = version
        self.order.load(state["order"])
        self.chosen = {int(step): chosen for step, chosen in state["chosen"].items()}

    def _submit(self, step: int, asked: Sequence[tuple[Problem, int]]) -> None:
        """Submit one group per problem; its samples are numbered from the given number on."""
        temperature, size = self.temperature(step), self.settings.group_size
        groups = [
            group_requests(self.stage, problem, "train", step, range(first, first + size), temperature)
            for problem, first in asked
        ]
        self.buffer.submit(step, [problem for problem, _ in asked], groups)

    def temperature(self, step: int) -> float:
        """Sampling temperature for the rollouts of `step`."""
        constant = self.config.sampling.temperature
        if self.schedule is None:
            return constant
        return float(self.schedule(step=step - 1, steps=self.settings.steps, temperature=constant))

    def _submit_further(self, drawn: StepGroups, step: int) -> bool:
        """Submit another round if the step lacks groups. Returns whether one was submitted."""
        growing, count = further_round(drawn, self.settings, self.config.algorithm.max_group_size)
        seen = {group.problem.id for group in drawn.groups}
        exclude = {index for index, problem in enumerate(self.stage.problems) if problem.id in seen}
        others = self.order.choose(step - 1, count, exclude) if count else []
        asked = [(group.problem, len(group.rollouts)) for group in growing]
        asked += [(self.stage.problems[index], 0) for index in others]
        if asked:
            self._submit(step, asked)
        return bool(asked)


def further_round(
    drawn: StepGroups, settings: RlConfig, max_group_size: int | None
) -> tuple[list[Group], int]:
    """Groups that get more rollouts in a further round, and how many new problems it takes (0 if none)."""
    missing = max(settings.problems_per_step - len(drawn.kept), 0)
    most = max_group_size or 0
    kept = {group.problem.id for group in drawn.kept}
    growing = [
        group
        for group in drawn.groups
        if group.problem.id not in kept
        and not accuracy(group) > 0
        and len(group.rollouts) + settings.group_size <= most
    ][:missing]
    return growing, missing - len(growing)


def group_requests(
    stage: StageInput,
    problem: Problem,
    kind: str,
    step: int,
    samples: range,
    temperature: float,
    top_p: float = 1.0,
) -> list[Request]:
    """The requests of one group.

    Seeds depend on the step only for `train`, so that evaluations compare policies with the same seeds.

    Raises:
        DataError: the prompt and the longest answer together exceed `model.max_length`.
    """
    config = stage.config
    prompt = stage.prompts.prompt(problem)
    max_tokens = config.sampling.max_tokens
    if kind == "heldout":
        max_tokens = config.evaluation.max_tokens or max_tokens
    when = step if kind == "train" else 0
    if len(prompt) + max_tokens > config.max_length:
        raise DataError(
            f"problem {problem.id!r}: {len(prompt)} tokens of prompt and {max_tokens} of answer are more "
            f"than model.max_length={config.max_length}"
        )
    seeds = [key(config.seed, kind, when, problem.id, sample) for sample in samples]
    return [
        Request(problem.id, step, sample, seed, prompt, temperature, max_tokens, top_p, stage.prompts.end)
        for sample, seed in zip(samples, seeds, strict=True)
    ]


def filters_of(algorithm: AlgorithmConfig) -> dict[str, Filter]:
    """The configured filters by name, in order."""
    return {name: instantiate(spec, _partial_=True) for name, spec in algorithm.filters.items()}


def filter_groups(drawn: StepGroups, filters: Mapping[str, Filter], seed: int, step: int) -> None:
    """Set `kept` and `dropped` of `drawn`: the filtered groups, and the problems each filter removed."""
    drawn.kept, drawn.dropped = [], {name: [] for name in filters}
    for group in drawn.groups:
        kept, by = apply_filters(group, filters, seed, step)
        if kept is not None:
            drawn.kept.append(kept)
        if by is not None:
            drawn.dropped[by].append(group.problem.id)


def apply_filters(
    group: Group, filters: Mapping[str, Filter], seed: int, step: int
) -> tuple[Group | None, str | None]:
    """Apply the filters to a group, in order: what is left of it, and the filter that removed it, if any.

    Raises:
        RlvrError: a filter returned something other than a non-empty group or None.
    """
    for name, function in filters.items():
        kept = function(group, np.random.default_rng(key(seed, name, step, group.problem.id)))
        if kept is None:
            return None, name
        if not isinstance(kept, Group) or not 0 < len(kept.rollouts) == len(kept.verdicts):
            raise RlvrError(
                f"the filter {name} returned {type(kept).__name__} for problem {group.problem.id!r}: it must "
                "return a Group with rollouts and a verdict for each, or None"
            )
        group = kept
    return group, None


def _merge(groups: list[Group], taken: Sequence[Group]) -> None:
    """Add `taken` to `groups`; rollouts of a problem that already has a group go into that group."""
    there = {group.problem.id: group for group in groups}
    for group in taken:
        if group.problem.id in there:
            there[group.problem.id].rollouts += group.rollouts
            there[group.problem.id].verdicts += group.verdicts
        else:
            groups.append(group)
