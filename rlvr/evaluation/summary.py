"""The results of one problem set, from the outcome of every sample. Pure functions: no engine, no files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rlvr.evaluation.metrics import TRUE_STEPS, beside, majority, pass_at_k, sound_share, votes_are_known
from rlvr.statistics.intervals import bootstrap_interval
from rlvr.types import FinishReason, Group, Status

Votes = Sequence[int | None]


@dataclass(frozen=True)
class Outcome:
    """The samples [n] of one problem, in their order."""

    id: str
    columns: Mapping[str, Any]  # of the problem
    statuses: Sequence[Status]
    true_steps: Sequence[bool | None]  # see `Verdict`
    votes: Votes  # samples with the same answer have the same number: `rlvr.evaluation.votes`
    lengths: Sequence[int]  # sampled tokens
    cut: Sequence[bool]  # whether the sample ended at the token limit

    @property
    def reached(self) -> list[Status]:
        return [status for status in self.statuses if status.reached]


def outcomes(groups: Iterable[Group], votes: Iterable[Votes]) -> list[Outcome]:
    return [
        Outcome(
            id=group.problem.id,
            columns=group.problem.columns,
            statuses=[verdict.status for verdict in group.verdicts],
            true_steps=[verdict.true_steps for verdict in group.verdicts],
            votes=given,
            lengths=[rollout.num_sampled for rollout in group.rollouts],
            cut=[rollout.finish_reason is FinishReason.LENGTH for rollout in group.rollouts],
        )
        for group, given in zip(groups, votes, strict=True)
    ]


def default_ks(samples: int) -> list[int]:
    """The powers of two up to `samples`, and `samples` itself."""
    return sorted({2**i for i in range(samples.bit_length())} | {samples})


def summarize(problems: Sequence[Outcome], ks: Sequence[int], by: Sequence[str] = ()) -> dict[str, Any]:
    """The entry of a problem set in results.json.

    `problems` [P]: their ids. `values` [P]: the share of a problem's samples that are correct, among those
    whose check finished; None without any. `samples`: k, the largest number of samples of a problem.
    `metrics`: avg@k, pass@k and maj@k, each with its `value`, the ends of its 95% bootstrap interval over
    problems (`low`, `high`), the number of problems (`over`), and its `values` [P], None for a problem with
    fewer than k finished checks. maj@k is left out if no verdict reports the extracted answer. true_steps
    (`rlvr.evaluation.metrics.sound_share`) is included if an answer has a checkable step; `with_steps` counts
    these answers. `by`: avg@k split by the values of each of these problem columns that exists.
    `samples_by_status`, `unreached`, `mean_tokens` and `truncated` (a share) are over all samples.
    """
    values = [_share(problem.reached) for problem in problems]
    samples = max((len(problem.statuses) for problem in problems), default=0)
    per_problem: dict[str, list[float | None]] = {f"avg@{samples}": values}
    for k in ks:
        per_problem[f"pass@{k}"] = [_pass(problem.reached, k) for problem in problems]
    voted = [(problem.statuses, problem.votes) for problem in problems]
    if votes_are_known([each for each, _ in voted], [votes for _, votes in voted]):
        for k in ks:
            if k > 1:
                per_problem[f"maj@{k}"] = [majority(*each, k) for each in voted]
    with_steps = sum(steps is not None for problem in problems for steps in problem.true_steps)
    if with_steps:
        per_problem[TRUE_STEPS] = [sound_share(each.statuses, each.true_steps) for each in problems]
    statuses = Counter(status for problem in problems for status in problem.statuses)
    lengths = [length for problem in problems for length in problem.lengths]
    cut = [one for problem in problems for one in problem.cut]
    return {
        "problems": [problem.id for problem in problems],
        "values": values,
        "samples": samples,
        "metrics": {name: _estimate(each) | {"values": each} for name, each in per_problem.items()},
        "by": {column: split for column in by if (split := _split(problems, values, column))},
        "samples_by_status": {str(status): statuses[status] for status in Status},
        "with_steps": with_steps,
        "unreached": sum(count for status, count in statuses.items() if not status.reached),
        "mean_tokens": sum(lengths) / len(lengths) if lengths else None,
        "truncated": sum(cut) / len(cut) if cut else None,
    }


def all_sets(results: Mapping[str, Any]) -> dict[str, Any]:
    """The sets of an evaluation (name → `summarize`), each followed by its true_steps variant if it has one.

    The variant, named by `rlvr.evaluation.metrics.beside`, exists if answers have checkable steps; its
    `values` are those of true_steps.
    """
    sets = {}
    for name, result in results.items():
        sets[name] = result
        if steps := result.get("metrics", {}).get(TRUE_STEPS):
            sets[beside(name)] = result | {"values": steps["values"]}
    return sets


def _share(reached: Sequence[Status]) -> float | None:
    return reached.count(Status.CORRECT) / len(reached) if reached else None


def _pass(reached: Sequence[Status], k: int) -> float | None:
    return pass_at_k(len(reached), reached.count(Status.CORRECT), k) if len(reached) >= k else None


def _estimate(values: Sequence[float | None]) -> dict[str, Any]:
    """The mean of the values that are not None, and its interval."""
    known = [value for value in values if value is not None]
    if not known:
        return {"value": None, "low": None, "high": None, "over": 0}
    low, high = bootstrap_interval(known)
    return {"value": math.fsum(known) / len(known), "low": low, "high": high, "over": len(known)}


def _split(problems: Sequence[Outcome], values: Sequence[float | None], column: str) -> dict[str, Any]:
    """avg@k of the problems with each value of a column, in the order of the values."""
    parts: dict[str, list[float | None]] = {}
    for problem, value in zip(problems, values, strict=True):
        if problem.columns.get(column) is not None:
            parts.setdefault(str(problem.columns[column]), []).append(value)
    return {name: _estimate(parts[name]) for name in sorted(parts, key=_natural)}


def _natural(name: str) -> tuple[bool, float, str]:
    """Sort key: numbers by size, then other names alphabetically."""
    try:
        return False, float(name), name
    except ValueError:
        return True, 0.0, name
