"""Which groups a step draws, in how many rounds; the buffer answers from a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from groups import group, rollout, verdict

from rlvr.base.keys import key
from rlvr.base.stopping import StopRequest
from rlvr.pipeline.config import RunConfig
from rlvr.problems.curriculum import PassRate
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.rollout.engine import Request
from rlvr.stages.buffer import JudgedBatch, RolloutBuffer
from rlvr.stages.collector import RolloutCollector, apply_filters, group_requests, heldout_decoding
from rlvr.stages.stage import StageInput
from rlvr.types import Group, Problem, RlvrError

FILTERS = "rlvr.algorithms.filters"
Table = Callable[[str, int], float | None]  # (problem, sample) → reward


class Answers:
    """Stands in for the buffer: takes requests, and gives their groups with the table's verdicts."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.submitted: list[tuple[int, list[list[Request]]]] = []
        self.waiting: dict[int, tuple[Sequence[Problem], Sequence[list[Request]]]] = {}

    def submit(self, step: int, problems: Sequence[Problem], groups: Sequence[list[Request]]) -> None:
        assert step not in self.waiting, "the round before was not taken yet"
        assert len({problem.id for problem in problems}) == len(problems)
        self.submitted.append((step, list(groups)))
        self.waiting[step] = (problems, groups)

    def take(self, step: int) -> JudgedBatch:
        return JudgedBatch(
            [self.answered(*pair) for pair in zip(*self.waiting.pop(step), strict=True)], 2.0, 0.5
        )

    def answered(self, problem: Problem, requests: Sequence[Request]) -> Group:
        rollouts = [rollout(request.sample, name=problem.id) for request in requests]
        return Group(problem, rollouts, [verdict(self.table(problem.id, r.sample)) for r in rollouts])

    def samples(self, number: int) -> dict[str, list[int]]:
        """Problem → samples that the given round asked for."""
        return {
            requests[0].problem_id: [r.sample for r in requests] for requests in self.submitted[number][1]
        }


def collector(table: Table, problems: int = 12, **algorithm: Any) -> tuple[RolloutCollector, Answers]:
    """Four problems per step, groups of two; filtered by `informative` unless said otherwise."""
    config = RunConfig()
    config.rl.problems_per_step, config.rl.group_size, config.rl.steps = 4, 2, 10
    config.algorithm.filters = {"informative": {"_target_": f"{FILTERS}.informative"}}
    for name, value in algorithm.items():
        setattr(config.algorithm, name, value)
    made = [Problem(f"p{i}", "1+1=?", "2") for i in range(problems)]
    stage = StageInput(
        config.for_stages(),
        Path(),
        "",
        made,
        [],
        character_tokenizer("0123456789+=?"),
        cast(StopRequest, None),
        {},
        config.rl,
    )
    buffer = Answers(table)
    return RolloutCollector(stage, cast(RolloutBuffer, buffer)), buffer


def mixed(problem: str, sample: int) -> float:
    return 1.0 if sample % 2 else -1.0


def never(problem: str, sample: int) -> float:
    return -1.0


# ---------------------------------------------------------------- rounds


def test_a_step_whose_groups_are_kept_is_one_round() -> None:
    draw, buffer = collector(mixed, max_rounds=5)
    draw.submit_ready(0)
    drawn = draw.take(1)
    assert (drawn.rounds, len(buffer.submitted)) == (1, 1)
    assert [g.problem.id for g in drawn.kept] == [g.problem.id for g in drawn.groups] == [*buffer.samples(0)]
    assert len(drawn.groups) == 4
    assert drawn.dropped == {"informative": []}
    assert (drawn.generate_seconds, drawn.reward_seconds) == (2.0, 0.5)


def test_missing_groups_are_made_up_for_by_other_problems_until_the_step_is_full() -> None:
    first: list[str] = []
    draw, buffer = collector(lambda p, s: -1.0 if p in first[:3] else mixed(p, s), max_rounds=5)
    first += [draw.stage.problems[i].id for i in draw.order.choose(0, 4)]
    draw.submit_ready(0)
    drawn = draw.take(1)
    assert drawn.rounds == 2
    assert [*buffer.samples(0)] == first
    assert len(buffer.samples(1)) == 3
    assert not set(buffer.samples(1)) & set(first)
    assert [g.problem.id for g in drawn.groups] == [*first, *buffer.samples(1)]
    assert [g.problem.id for g in drawn.kept] == [first[3], *buffer.samples(1)]
    assert drawn.dropped == {"informative": first[:3]}
    assert (drawn.generate_seconds, drawn.reward_seconds) == (4.0, 1.0)


@pytest.mark.parametrize(
    ("rounds", "drawn_groups"), [(1, [4]), (2, [4, 4]), (3, [4, 4, 4]), (9, [4, 4, 4])]
)  # of twelve problems
def test_rounds_end_at_the_budget_or_when_no_problem_is_left(rounds: int, drawn_groups: list[int]) -> None:
    draw, buffer = collector(never, max_rounds=rounds)
    draw.submit_ready(0)
    drawn = draw.take(1)
    assert drawn.rounds == len(drawn_groups)
    assert [len(groups) for _, groups in buffer.submitted] == drawn_groups
    ids = [g.problem.id for g in drawn.groups]
    assert len(set(ids)) == len(ids) == sum(drawn_groups)
    assert drawn.kept == []
    assert drawn.dropped == {"informative": ids}
    assert not buffer.waiting


def test_groups_without_success_grow_and_their_samples_are_numbered_on() -> None:
    draw, buffer = collector(lambda p, s: 1.0 if s == 5 else -1.0, max_rounds=9, max_group_size=7, problems=4)
    draw.submit_ready(0)
    drawn = draw.take(1)
    # 2, 4, 6 rollouts; the sixth is right
    assert drawn.rounds == 3
    problems = {f"p{i}" for i in range(4)}
    for number in range(3):
        assert buffer.samples(number) == {p: [2 * number, 2 * number + 1] for p in problems}
    assert [len(g.rollouts) for g in drawn.kept] == [6] * 4
    for grown in drawn.groups:
        assert [r.sample for r in grown.rollouts] == list(range(6))
        assert [v.reward for v in grown.verdicts] == [-1.0] * 5 + [1.0]
    seeds = [r.seed for _, groups in buffer.submitted for requests in groups for r in requests]
    assert len(set(seeds)) == 4 * 6


def test_groups_grow_no_further_than_their_limit_and_then_others_come() -> None:
    draw, buffer = collector(never, max_rounds=3, max_group_size=5)
    draw.submit_ready(0)
    drawn = draw.take(1)
    assert set(buffer.samples(1)) == set(buffer.samples(0))
    assert all(samples == [2, 3] for samples in buffer.samples(1).values())
    assert not set(buffer.samples(2)) & set(buffer.samples(0))  # six would be more than five
    assert [len(g.rollouts) for g in drawn.groups] == [4] * 4 + [2] * 4


def test_only_groups_without_success_grow() -> None:
    """Of the first four problems one is kept, one all right, two all wrong or without a verdict."""
    first: list[str] = []

    def table(problem: str, sample: int) -> float | None:
        kinds = {1: 1.0, 2: -1.0, 3: None}
        place = first.index(problem) if problem in first else 0
        return kinds.get(place, mixed(problem, sample))

    draw, buffer = collector(table, max_rounds=2, max_group_size=8)
    first += [draw.stage.problems[i].id for i in draw.order.choose(0, 4)]
    draw.submit_ready(0)
    draw.take(1)
    second = buffer.samples(1)
    assert [*second][:2] == first[2:]
    assert [second[name] for name in first[2:]] == [[2, 3], [2, 3]]
    (other,) = set(second) - set(first)
    assert second[other] == [0, 1]


def test_no_more_groups_grow_than_are_missing() -> None:
    """What a filter keeps though nothing in it is right needs no more rollouts."""
    draw, buffer = collector(
        lambda p, s: None if p == "p0" else -1.0,
        problems=4,
        max_rounds=2,
        max_group_size=8,
        filters={"between": {"_target_": f"{FILTERS}.accuracy_between"}},
    )
    draw.submit_ready(0)
    drawn = draw.take(1)
    assert buffer.samples(1) == {"p0": [2, 3]}
    assert {g.problem.id for g in drawn.kept} == {"p1", "p2", "p3"}


def test_a_step_without_any_verdict_says_why() -> None:
    draw, _ = collector(lambda p, s: None)
    draw.submit_ready(0)
    with pytest.raises(RlvrError, match=r"no verdict was reached .* step 1: check ran 5 s"):
        draw.take(1)


# ---------------------------------------------------------------- requests


def test_requests_are_keyed_by_seed_step_problem_and_sample() -> None:
    draw, buffer = collector(mixed)
    draw.submit_ready(0)
    draw.take(1)
    draw.submit_ready(1)
    (_, first), (step, second) = buffer.submitted
    assert step == 2
    for requests, at in ((first, 1), (second, 2)):
        for request in (r for one in requests for r in one):
            assert request.step == at
            assert request.seed == key(0, "train", at, request.problem_id, request.sample)
            assert (request.temperature, request.top_p, request.max_tokens) == (1.0, 1.0, 256)
    assert not {r.problem_id for one in first for r in one} & {r.problem_id for one in second for r in one}


@pytest.mark.parametrize(
    ("settings", "recorded"),
    [
        ({"top_p": 0.9}, True),
        ({"top_k": 5}, True),
        ({"min_p": 0.1}, True),
        ({"min_tokens": 2}, True),
        ({"top_p": 1.0, "top_k": 0, "min_p": 0.0, "min_tokens": 0, "stop": ["#"]}, False),
    ],
)
def test_requests_are_truncated_and_recorded_as_the_settings_say(
    settings: dict[str, Any], recorded: bool
) -> None:
    draw, buffer = collector(mixed)
    draw.config.sampling = replace(draw.config.sampling, **settings)
    draw.config.evaluation.top_k = 7  # of evaluations alone
    draw.submit_ready(0)
    ((_, groups),) = buffer.submitted
    for request in (r for one in groups for r in one):
        assert request.sampling_mask is recorded
        asked = {"top_p": request.top_p, **asdict(request.decoding)}
        assert asked | settings == asked | {"top_k": settings.get("top_k")}


def test_evaluations_end_answers_as_training_does_unless_they_say_otherwise() -> None:
    draw, _ = collector(mixed)
    config = draw.config
    config.sampling = replace(config.sampling, stop=["#"], stop_token_ids=[5], top_k=3, min_tokens=2)
    config.evaluation = replace(config.evaluation, stop_token_ids=[], top_k=7)
    found = heldout_decoding(config)
    assert (found.stop, found.stop_token_ids, found.top_k, found.min_tokens) == (["#"], [], 7, None)
    stage = draw.stage
    (request,) = group_requests(stage, stage.problems[0], "heldout", 0, range(1), 0.5, 0.8, found)
    assert request.sampling_mask is False
    assert (request.temperature, request.top_p, request.decoding) == (0.5, 0.8, found)


def test_steps_are_submitted_as_the_policy_version_allows() -> None:
    draw, buffer = collector(mixed)
    draw.settings.max_staleness = 2
    draw.settings.evaluate_every, draw.settings.check_every = 4, 20

    def ready(version: int) -> list[int]:
        before = len(buffer.submitted)
        draw.submit_ready(version)
        return [step for step, _ in buffer.submitted[before:]]

    assert ready(0) == [1, 2, 3]
    assert ready(1) == [4]
    assert ready(3) == []  # step 5 follows an evaluation: it waits for the newest policy
    assert ready(4) == [5, 6, 7]
    assert ready(9) == [8, 9, 10]
    assert ready(10) == []


def test_the_temperature_of_a_step_is_that_of_the_schedule() -> None:
    draw, buffer = collector(mixed)
    assert draw.temperature(7) == 1.0
    draw.config.sampling.schedule = {"_target_": "rlvr.rollout.schedules.linear", "final": 0.5}
    draw = RolloutCollector(draw.stage, cast(RolloutBuffer, buffer))
    assert [draw.temperature(step) for step in (1, 2, 6, 10)] == pytest.approx([1.0, 0.9, 0.5, 0.5])
    draw.submit_ready(0)
    assert {r.temperature for requests in buffer.submitted[-1][1] for r in requests} == {1.0}


def test_the_order_of_problems_is_given_the_problems_themselves() -> None:
    draw, _ = collector(mixed)
    assert draw.order.problems is draw.stage.problems


# ---------------------------------------------------------------- filters


def test_filters_act_one_after_the_other_and_the_first_to_drop_is_named() -> None:
    def halve(given: Group, random: np.random.Generator) -> Group:
        return Group(given.problem, given.rollouts[:2], given.verdicts[:2])

    def needs_two(given: Group, random: np.random.Generator) -> Group | None:
        return given if len(given.rollouts) == 2 else None

    given = group([1.0, -1.0, 1.0, -1.0])
    kept, by = apply_filters(given, {"halve": halve, "two": needs_two}, seed=0, step=1)
    assert kept is not None
    assert ([r.sample for r in kept.rollouts], by) == ([0, 1], None)
    assert apply_filters(given, {"two": needs_two, "halve": halve}, seed=0, step=1) == (None, "two")
    assert apply_filters(given, {}, seed=0, step=1) == (given, None)
    assert len(given.rollouts) == 4


def test_the_chance_of_a_filter_is_keyed_by_seed_name_step_and_problem() -> None:
    def drawn(seed: int = 0, name: str = "a", step: int = 1, problem: str = "p") -> float:
        seen = []

        def spy(given: Group, random: np.random.Generator) -> Group:
            seen.append(random.random())
            return given

        apply_filters(group([1.0], problem), {name: spy}, seed, step)
        return seen[0]

    assert drawn() == drawn()
    assert len({drawn(), drawn(seed=1), drawn(name="b"), drawn(step=2), drawn(problem="q")}) == 5


@pytest.mark.parametrize("returned", [True, 3, Group(Problem("p", "", ""), [])])
def test_a_filter_that_returns_no_group_is_named(returned: object) -> None:
    def wrong(given: Group, random: np.random.Generator) -> Any:
        return returned

    with pytest.raises(RlvrError, match=r"filter picky returned \w+ for problem 'q'.*must return a Group"):
        apply_filters(group([1.0], "q"), {"picky": wrong}, seed=0, step=1)


def test_a_filter_that_forgets_the_verdicts_is_named() -> None:
    given = group([1.0, -1.0])
    forgetful = {"forgetful": lambda group, random: Group(group.problem, group.rollouts, group.verdicts[:1])}
    with pytest.raises(RlvrError, match="a verdict for each"):
        apply_filters(given, forgetful, seed=0, step=1)


# ---------------------------------------------------------------- going on


@pytest.mark.parametrize("redone", [0, 1, 2])
def test_problems_that_were_chosen_ahead_are_drawn_again_after_a_resume(redone: int) -> None:
    """Off-policy, a step is chosen before the pass rates of the one before it are known. Steps after the
    checkpoint, of step 1, may come from the journal."""

    def curriculum() -> tuple[RolloutCollector, Answers]:
        draw, buffer = collector(mixed)
        draw.order = PassRate(draw.stage.problems, seed=0, hardness=4.0)
        draw.settings.max_staleness = 1
        draw.settings.check_every = draw.settings.evaluate_every = 100
        return draw, buffer

    whole, buffer = curriculum()
    whole.order.observe([Group(p, [rollout(0)], [verdict(1.0)]) for p in whole.stage.problems[::2]])
    state: dict[str, Any] = {}
    seen = {}
    for step in range(1, redone + 2):
        whole.submit_ready(step - 1)
        whole.take(step)
        rewards = [1.0 if (place + 2 * step) % 4 > 1 else -1.0 for place in range(12)]
        pairs = zip(whole.stage.problems, rewards, strict=True)
        seen[step] = [Group(problem, [rollout(0)], [verdict(reward)]) for problem, reward in pairs]
        whole.order.observe(seen[step])
        state = state or json.loads(json.dumps(whole.state()))
    assert [*state["chosen"]] == ["2"]

    resumed, again = curriculum()
    resumed.load(state, 1)
    for step in range(2, redone + 2):
        resumed.pass_over(step, seen[step])
    assert not again.submitted
    for draw in (whole, resumed):
        draw.submit_ready(redone + 1)
    asked, expected = ([[*each.samples(n)] for n in range(len(each.submitted))] for each in (again, buffer))
    assert asked == expected[-2:]
    chosen_late = [resumed.stage.problems[i].id for i in resumed.order.choose(redone + 1, 4)]
    assert asked[0] != chosen_late
