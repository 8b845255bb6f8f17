"""Which rollouts are looked for, and in which order, as SQL with parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rlvr.types import DataError

NONE = "none"  # stands for a missing value: no verdict; not left out

Sort = Literal["step", "reward", "length", "gap", "seconds", "advantage"]


@dataclass(frozen=True)
class Filter:
    """All that is given must hold; bounds are inclusive."""

    step_min: int | None = None
    step_max: int | None = None
    group: int | None = None
    problem_id: str | None = None  # exactly
    problem: str | None = None  # within its id or its text, whatever the case
    status: str | None = None
    finish: str | None = None
    left_out: str | None = None
    part: str | None = None  # a reward function; None: `part_min` and `part_max` are of the whole reward
    part_min: float | None = None
    part_max: float | None = None
    text: str | None = None  # within the answer, whatever the case


def where(wanted: Filter, table: str, parts: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """The condition on the rows of a journal's `table`, and its parameters.

    `parts` maps a reward function to its column. The condition on the text needs texts that are not in
    the table, and so is not among these. Raises DataError for a reward function that is not there.
    """
    if wanted.part is not None and wanted.part not in parts:
        there = ", ".join(parts) or "none"
        raise DataError(f"there is no reward function {wanted.part!r} here; there are: {there}")
    value = "reward" if wanted.part is None else parts[wanted.part]
    problems = (
        f"problem_id IN (SELECT problem_id FROM {table}_problems WHERE "
        "contains(lower(problem_id), lower($problem)) OR contains(lower(problem), lower($problem)))"
    )
    conditions: dict[str, str] = {
        "step_min": "step >= $step_min",
        "step_max": "step <= $step_max",
        "group": '"group" = $group',
        "problem_id": "problem_id = $problem_id",
        "problem": problems,
        "status": "status = $status",
        "finish": "finish_reason = $finish",
        "left_out": "left_out = $left_out",
        "part_min": f"{value} >= $part_min",
        "part_max": f"{value} <= $part_max",
    }
    given = {name: getattr(wanted, name) for name in conditions if getattr(wanted, name) is not None}
    sql = [conditions[name] for name in given]
    for name in ("status", "left_out"):
        if given.get(name) == NONE:
            sql.remove(conditions[name])
            sql.append(f"{name} IS NULL")
            del given[name]
    return " AND ".join(sql) or "true", given


def order(sort: Sort, descending: bool) -> str:
    """Rollouts without the value come last; equal ones in the order of the journal, newest step first."""
    first = f"{sort} {'DESC' if descending else 'ASC'} NULLS LAST"
    return f"ORDER BY {first}, step DESC, row"
