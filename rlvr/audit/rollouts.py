"""Judges a model's completions again, to find where the reward and math-verify disagree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr.base.keys import key
from rlvr.base.targets import known_names
from rlvr.problems.files import file_rows
from rlvr.record.journal import read_rows
from rlvr.types import DataError, Problem, Status, Verdict
from rlvr.verify.thoughts import opened_by

Item = tuple[Problem, str]  # a problem and a completion

_MOST = 2000  # rollouts that are judged again
_COLUMNS = ("problem_id", "problem", "answer", "columns", "text", "prompt_end")


@dataclass(frozen=True)
class Rejudged:
    """A completion with the reward's verdict and math-verify's (`second`; None if not available)."""

    problem: Problem
    completion: str
    verdict: Verdict
    second: Verdict | None

    @property
    def strangeness(self) -> int:
        """3: only the reward says correct; 2: only math-verify does; 1: the check did not finish; else 0."""
        if not self.verdict.status.reached:
            return 1
        if self.second is None:
            return 0
        ours, theirs = (v.status == Status.CORRECT for v in (self.verdict, self.second))
        return 3 if ours and not theirs else 2 if theirs and not ours else 0


def draw_rollouts(path: str, problems: Sequence[Problem], seed: int) -> list[Item]:
    """A keyed draw of the rollouts at `path`, at most 2,000.

    `path` is a JSON Lines file of {"id": of a problem, "completion": text}, or the folder of a stage,
    whose training journal is read. Raises DataError, naming the line, if it is neither.
    """
    rollouts = list(_journal(Path(path)) if Path(path).is_dir() else _lines(Path(path), problems))
    if not rollouts:
        raise DataError(f"audit.rollouts={path} has no rollouts")
    order = sorted(range(len(rollouts)), key=lambda place: key("rollouts", seed, place))
    return [rollouts[place] for place in sorted(order[:_MOST])]


def _lines(path: Path, problems: Sequence[Problem]) -> Iterator[Item]:
    known = {problem.id: problem for problem in problems}
    for where, row in file_rows(str(path), "jsonl")[0]:
        if not isinstance(row.get("completion"), str) or "id" not in row:
            raise DataError(f'{where} must be {{"id": …, "completion": "…"}}')
        if str(row["id"]) not in known:
            near = known_names(str(row["id"]), list(known)[:20])
            raise DataError(f"{where}: problems.train has no problem {row['id']!r}; {near}")
        yield known[str(row["id"])], row["completion"]


def _journal(path: Path) -> Iterator[Item]:
    for file in sorted(path.glob("journal/train/*.parquet")):
        for row in read_rows(file, _COLUMNS):
            columns = json.loads(row["columns"])
            problem = Problem(row["problem_id"], row["problem"], row["answer"], columns=columns)
            yield problem, opened_by(row["prompt_end"] or "") + row["text"]
