"""An answer as training data: its text, its verdict and its labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rlvr.base.targets import known_names
from rlvr.traces.labels import domain_of, length_and_repetition, pass_rate
from rlvr.types import DataError, FinishReason, Group, Problem, Rollout, Status


@dataclass(frozen=True)
class Trace:
    """One answer to a problem, right or wrong: DPO uses the wrong ones as rejected answers.

    Traces are identified by problem, source, sample and text. Lengths are in tokens if the tokens are
    known, else in words: compare them only within one source.
    """

    problem: Problem
    sample: int  # 0 … k−1 among the k answers that were sampled together for the problem
    text: str  # the answer, without special tokens
    tokens: list[int] | None  # [T] as sampled, including the end token; None if only the text is known
    finish_reason: FinishReason
    status: Status
    reward: float | None  # None if the check did not finish
    reason: str  # of the verdict: one line for a person
    pass_rate: float | None  # share of correct among the problem's answers whose check finished, if known
    domain: str  # of the problem; "" if unknown
    length: int  # sampled tokens; words if `tokens` is None
    repetition: float  # share of the words, in [0, 1], in an 8-gram that occurred earlier in the text
    source: str  # who answered
    dropped: str | None = None  # why it must not be trained on: "duplicate answer", "overlaps NAME", …

    @property
    def finished(self) -> bool:
        return self.finish_reason is FinishReason.STOP


def traces_from_groups(groups: Sequence[Group], source: str, domain_column: str | None = None) -> list[Trace]:
    """A trace for every rollout of `groups`, whatever its verdict, in their order.

    source: a name for the model that answered.
    domain_column: the problems' column with their domain; see `domain_of` for the default.

    A problem may have several groups: its pass rate is over all of them. A rollout with empty arrays, of
    which only the text is known, has `tokens` None. Raises DataError for a group without verdicts, for
    an id that two problems share, and for a `domain_column` that no problem has.
    """
    problems: dict[str, Problem] = {}
    statuses: dict[str, list[Status]] = defaultdict(list)
    for group in groups:
        _check(group, problems.setdefault(group.problem.id, group.problem))
        statuses[group.problem.id] += [verdict.status for verdict in group.verdicts]
    columns = {name for problem in problems.values() for name in problem.columns}
    if domain_column is not None and problems and domain_column not in columns:
        near = known_names(domain_column, sorted(columns))
        raise DataError(f"no problem has the column {domain_column!r}, which was set as domain; {near}")
    rates = {name: pass_rate(each) for name, each in statuses.items()}
    traces: list[Trace] = []
    for group in groups:
        domain = domain_of(group.problem, domain_column)
        for rollout, verdict in zip(group.rollouts, group.verdicts, strict=True):
            tokens = _drawn_tokens(rollout)
            length, repetition = length_and_repetition(rollout.text, tokens)
            traces.append(
                Trace(
                    problem=group.problem,
                    sample=rollout.sample,
                    text=rollout.text,
                    tokens=tokens,
                    finish_reason=rollout.finish_reason,
                    status=verdict.status,
                    reward=verdict.reward,
                    reason=verdict.reason,
                    pass_rate=rates[group.problem.id],
                    domain=domain,
                    length=length,
                    repetition=repetition,
                    source=source,
                )
            )
    return traces


def trace_of_solution(problem: Problem) -> Trace:
    """The problem's own worked solution, assumed to be right. Raises DataError if it has none."""
    if problem.solution is None:
        raise DataError(
            f"problem {problem.id!r} has no solution to train on: map its column in columns.solution"
        )
    length, repetition = length_and_repetition(problem.solution, None)
    return Trace(
        problem=problem,
        sample=0,
        text=problem.solution,
        tokens=None,
        finish_reason=FinishReason.STOP,
        status=Status.CORRECT,
        reward=None,
        reason="the problem's own solution",
        pass_rate=None,
        domain=domain_of(problem),
        length=length,
        repetition=repetition,
        source="solutions",
    )


def without_tokens(trace: Trace) -> Trace:
    """The trace without token ids, for a student with another tokenizer; its length is then in words."""
    length, _ = length_and_repetition(trace.text, None)
    return replace(trace, tokens=None, length=length)


def _check(group: Group, first: Problem) -> None:
    problem = group.problem
    if len(group.verdicts) != len(group.rollouts):
        raise DataError(
            f"problem {problem.id!r} has {len(group.rollouts)} rollouts, but {len(group.verdicts)} verdicts: "
            "traces need a verdict on each"
        )
    if (problem.text, problem.answer) != (first.text, first.answer):
        raise DataError(f"two different problems have the id {problem.id!r}: make ids unique")


def _drawn_tokens(rollout: Rollout) -> list[int] | None:
    if not len(rollout.tokens):
        return None
    drawn = np.flatnonzero(rollout.sampled)
    if len(drawn) and drawn[-1] - drawn[0] != len(drawn) - 1:
        raise DataError(
            f"sample {rollout.sample} of {rollout.problem_id!r} has several turns: a trace needs a single one"
        )
    tokens: list[int] = rollout.tokens[drawn].tolist()
    return tokens
