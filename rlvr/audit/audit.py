"""Judges probes with the reward, through the service that training uses, and with a second verifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rlvr.audit.catalogue.reading import bare
from rlvr.audit.config import AuditConfig
from rlvr.audit.golds import NUMBERS, Gold, read_gold, stated_kind
from rlvr.audit.probes import draw_problems, make_probes
from rlvr.audit.rates import Outcome, judge_outcomes
from rlvr.audit.rollouts import Item, Rejudged, draw_rollouts
from rlvr.base.keys import key
from rlvr.base.settings import refuse
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.data_checks import data_messages
from rlvr.rewards.functions import say_unused_columns, validate_reward
from rlvr.rewards.service import RewardService
from rlvr.types import FinishReason, Problem, Rollout, Verdict
from rlvr.verify.kinds import Kind

SECOND = {"math_verify": {"_target_": "rlvr.audit.second.math_verify_reward"}}
_SECOND_FAMILIES = ("gold", "rewriting", "near miss")
_SECOND_KINDS = (
    *NUMBERS, Kind.EXPRESSION, Kind.EQUATION, Kind.LIST, Kind.SET, Kind.TUPLE, Kind.INTERVAL,
)  # fmt: skip


@dataclass(frozen=True)
class Audit:
    """The results. `planned` counts all probes; fewer outcomes mean that the audit ended early."""

    problems: Sequence[Problem]
    golds: Sequence[Gold]  # the problems' reference answers
    planned: int
    outcomes: list[Outcome]
    second: list[tuple[Outcome, Verdict]]  # our outcome and math-verify's verdict, if both checks finished
    rollouts: list[Rejudged]


def run_audit(config: AuditConfig, problems: Sequence[Problem]) -> Audit:
    """Audit `config.reward` on a random draw of `problems`.

    Raises:
        ConfigError: the reward or the marks are configured wrongly.
        DataError: audit.rollouts has no rollouts, or a reference is not of its stated kind.
    """
    drawn = draw_problems(problems, config.audit.samples, config.seed)
    shared = set.intersection(*(set(problem.columns) for problem in drawn))
    columns = set().union(*(problem.columns for problem in drawn))
    refuse(validate_reward(config.reward, columns, shared))
    refuse(data_messages(config.reward, drawn))
    say_unused_columns(config.reward, columns)
    written = draw_rollouts(config.audit.rollouts, problems, config.seed) if config.audit.rollouts else []
    golds = [read_gold(problem.answer, stated_kind(problem, config.reward.functions)) for problem in drawn]
    probes = make_probes(drawn, golds, config.audit.marks, config.problems.prompt)
    items = [(probe.problem, probe.completion) for probe in probes]
    verdicts = score_completions(config.reward, items, config.audit.max_unreached)
    outcomes = judge_outcomes(probes[: len(verdicts)], verdicts)
    second = _second_opinions(config, outcomes)
    return Audit(drawn, golds, len(probes), outcomes, second, _rejudge(config, written))


def score_completions(reward: RewardConfig, items: Sequence[Item], max_unreached: int) -> list[Verdict]:
    """The verdicts on `items` in order. Ends early once more than `max_unreached` checks did not finish: a
    function that hangs then costs only that many deadlines, not one per completion."""
    verdicts: list[Verdict] = []
    unreached = 0
    rollouts = ((problem, make_rollout(problem, text, place)) for place, (problem, text) in enumerate(items))
    with RewardService(reward) as service:
        for verdict in service.stream(rollouts):
            verdicts.append(verdict)
            unreached += not verdict.status.reached
            if unreached > max_unreached:
                break
    return verdicts


def _second_opinions(config: AuditConfig, outcomes: Sequence[Outcome]) -> list[tuple[Outcome, Verdict]]:
    """math-verify's verdicts on a keyed draw of the outcomes that it supports."""
    if not config.audit.second_opinions:
        return []
    supported = [
        (place, outcome)
        for place, outcome in enumerate(outcomes)
        if outcome.passed is not None and outcome.probe.family in _SECOND_FAMILIES
        if _for_second((outcome.probe.problem, outcome.probe.completion))
    ]
    supported.sort(key=lambda item: key("second opinion", config.seed, item[0]))
    drawn = [outcome for _, outcome in supported[: config.audit.second_opinions]]
    verdicts = _ask_second(config, [(outcome.probe.problem, outcome.probe.completion) for outcome in drawn])
    judged = zip(drawn, verdicts, strict=False)
    return [(outcome, verdict) for outcome, verdict in judged if verdict.status.reached]


def _rejudge(config: AuditConfig, written: Sequence[Item]) -> list[Rejudged]:
    if not written:
        return []
    verdicts = score_completions(config.reward, written, config.audit.max_unreached)
    places = [place for place in range(len(verdicts)) if _for_second(written[place])]
    places = places[: config.audit.second_opinions]
    opinions = dict(zip(places, _ask_second(config, [written[place] for place in places]), strict=False))
    rejudged = []
    for place, verdict in enumerate(verdicts):
        opinion = opinions.get(place)
        reached = opinion if opinion and opinion.status.reached else None
        rejudged.append(Rejudged(*written[place], verdict, reached))
    return rejudged


def _ask_second(config: AuditConfig, items: Sequence[Item]) -> list[Verdict]:
    """math-verify's verdicts on `items`; fewer if it hangs too often."""
    if not items:
        return []
    service = RewardConfig(SECOND, deadline=config.reward.deadline, workers=config.reward.workers)
    asked = [(replace(problem, answer=bare(problem.answer)), text) for problem, text in items]
    return score_completions(service, asked, config.audit.max_unreached)


def _for_second(item: Item) -> bool:
    problem, completion = item
    # with the antlr version that Hydra needs, math-verify's parser drops percent signs
    if "%" in problem.answer + completion:
        return False
    gold = read_gold(problem.answer)
    return gold.kind in _SECOND_KINDS and not gold.doubt


def make_rollout(problem: Problem, completion: str, place: int) -> Rollout:
    """The completion as rollout number `place`. There is no tokenizer: the tokens are bytes."""
    data = completion.encode(errors="replace")
    tokens = np.frombuffer(data, dtype=np.uint8).astype(np.int32)
    return Rollout(
        problem_id=problem.id,
        step=0,
        sample=place,
        seed=0,
        tokens=tokens,
        sampled=np.ones(len(tokens), dtype=np.bool_),
        logprobs=np.zeros(len(tokens), dtype=np.float32),
        versions=np.zeros(len(tokens), dtype=np.int32),
        text=completion,
        finish_reason=FinishReason.STOP,
        temperature=1.0,
    )
