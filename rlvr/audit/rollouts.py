"""Judges a model's completions again, to find where the reward and math-verify disagree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlvr.base.keys import key
from rlvr.base.targets import known_names
from rlvr.types import DataError, Problem, Status, Verdict
from rlvr.verify.thoughts import opened_by

Item = tuple[Problem, str]  # a problem and a completion

_MOST = 2000  # rollouts that are judged again
_COLUMNS = ["problem_id", "problem", "answer", "columns", "text"]


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
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"audit.rollouts={path} cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line) if line.strip() else None
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number} is not JSON: {error}") from error
        if row is None:
            continue
        if not isinstance(row, dict) or not isinstance(row.get("completion"), str) or "id" not in row:
            raise DataError(f'{path}:{number} must be {{"id": …, "completion": "…"}}')
        if str(row["id"]) not in known:
            near = known_names(str(row["id"]), list(known)[:20])
            raise DataError(f"{path}:{number}: problems.train has no problem {row['id']!r}; {near}")
        yield known[str(row["id"])], row["completion"]


def _journal(path: Path) -> Iterator[Item]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in sorted(path.glob("journal/train/*.parquet")):
        try:
            present = set(pq.read_schema(file).names)
            rows = pq.read_table(file, columns=[*_COLUMNS, *({"prompt_end"} & present)]).to_pylist()
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(f"{file} cannot be read as a journal: {error}") from error
        for row in rows:
            columns = json.loads(row["columns"])
            problem = Problem(row["problem_id"], row["problem"], row["answer"], columns=columns)
            yield problem, opened_by(row.get("prompt_end") or "") + row["text"]
