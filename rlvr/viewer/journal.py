"""The journal of one stage, ready for questions.

The columns that filters and tables need are gathered from the Parquet files into a compressed table in
memory, newest step first, by a thread of its own; until it is done, answers are about what it has. The
lists, a value per token, stay on disk: a rollout that is opened is read from its file. The thread goes on
looking for files that are new, changed or gone, so that a run can be watched.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from rlvr.record.journal import for_duckdb
from rlvr.types import DataError
from rlvr.viewer.filters import Filter, Sort, order, where

PAUSE = 2.0  # seconds between two looks at the folder
FIRST, BATCH = 8, 64  # files gathered at once, at first and then
TEXT_BYTES = 2 << 30  # of answers that are kept in memory; those of older steps are searched on disk
EXCERPT = 240  # characters of a text in a table

# One row per rollout of the files $files. `step` is that of the file, `row` its place in there.
_ROWS = """
    FROM read_parquet($files, union_by_name = true, filename = true, file_row_number = true)
    WHERE filename <> $template
"""
_STEP = r"regexp_extract(filename, 'step_(\d+)\.parquet$', 1)::INTEGER"
# A token that the learner gave no log-probability has 0 there.
_GAP = "list_max([if(own = 0, NULL, abs(own - logprobs[place])) for own, place in learner_logprobs])"
_COLUMNS = {
    "step": ("INTEGER", _STEP),
    "row": ("INTEGER", "file_row_number"),
    "group": ("INTEGER", '"group"'),
    "sample": ("INTEGER", "sample"),
    "problem_id": ("VARCHAR", "problem_id"),
    "finish_reason": ("VARCHAR", "finish_reason"),
    "status": ("VARCHAR", "status"),
    "reward": ("DOUBLE", "reward"),
    "extracted": ("VARCHAR", f"extracted[:{EXCERPT}]"),
    "seconds": ("DOUBLE", "check_seconds"),
    "advantage": ("DOUBLE", "advantage"),
    "left_out": ("VARCHAR", "left_out"),
    "length": ("INTEGER", "list_sum(sampled::INTEGER[])"),
    "gap": ("FLOAT", _GAP),
    "text": ("VARCHAR", f"if($held, text, text[:{EXCERPT}])"),
}
Stamp = tuple[int, int]  # when a file was changed, in ns, and its bytes


@dataclass(frozen=True)
class Gathered:
    """How far the gathering is. `changes` grows whenever rollouts came or went."""

    files: int
    gathered: int
    changes: int
    broken: dict[str, str]  # file → why it cannot be read


class Journal:
    """`folder` holds the Parquet files of the steps; `number` is its own among those of `connection`.

    `template` is a Parquet file without rows that has every column, for journals older than some.
    """

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, folder: Path, number: int, template: Path
    ) -> None:
        self.folder = folder
        self._connection = connection
        self._template = template
        self._table = f"journals.journal_{number}"
        self._parts: dict[str, str] = {}  # reward function → its column
        self._stamps: dict[int, Stamp] = {}  # step → of its file when it was gathered
        self._found: dict[int, Stamp] = {}
        self._broken: dict[int, str] = {}
        self._on_disk: set[int] = set()  # steps whose texts are not in memory
        self._text_bytes = 0
        self._changes = 0
        self._stopped = threading.Event()
        self._begun = threading.Event()
        columns = ", ".join(f'"{name}" {kind}' for name, (kind, _) in _COLUMNS.items())
        connection.execute(f"CREATE TABLE {self._table} ({columns})")
        connection.execute(f"CREATE TABLE {self._table}_problems (problem_id VARCHAR, problem VARCHAR)")
        self._thread = threading.Thread(target=self._gather, name=f"gather {folder}", daemon=True)
        self._thread.start()
        self._begun.wait()

    def close(self) -> None:
        """Stop gathering; nothing more can be asked."""
        self._stopped.set()
        self._thread.join()

    def gathered(self) -> Gathered:
        broken = {str(self._path(step)): why for step, why in sorted(self._broken.items())}
        return Gathered(len(self._found), len(self._stamps), self._changes, broken)

    def parts(self) -> list[str]:
        return list(self._parts)

    # ------------------------------------------------------------ gathering, in the thread

    def _gather(self) -> None:
        cursor = self._connection.cursor()
        try:
            while not self._stopped.is_set():
                self._update(cursor)
                self._begun.set()
                self._stopped.wait(PAUSE)
        finally:
            self._begun.set()

    def _update(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """One look at the folder: take in what is new or changed, forget what is gone."""
        self._found = dict(sorted(self._look().items(), reverse=True))
        gone = [step for step in self._stamps if step not in self._found]
        if gone:
            self._forget(cursor, gone)
            self._changes += 1
        new = [step for step, stamp in self._found.items() if self._stamps.get(step) != stamp]
        size = FIRST
        while new and not self._stopped.is_set():
            batch, new = new[:size], new[size:]
            try:
                self._take_in(cursor, batch)
            except duckdb.Error:
                for step in batch:
                    self._take_in_alone(cursor, step)
            self._stamps |= {step: self._found[step] for step in batch}
            self._changes += 1
            self._begun.set()
            size = BATCH

    def _look(self) -> dict[int, Stamp]:
        found = {}
        for path in self.folder.glob("step_*.parquet"):
            try:
                status = path.stat()
                found[int(path.stem.removeprefix("step_"))] = (status.st_mtime_ns, status.st_size)
            except (FileNotFoundError, ValueError):  # a resumed run took it away; not a step
                continue
        return found

    def _take_in_alone(self, cursor: duckdb.DuckDBPyConnection, step: int) -> None:
        try:
            self._take_in(cursor, [step])
        except duckdb.Error as error:
            self._broken[step] = str(error).split("\n")[0]

    def _take_in(self, cursor: duckdb.DuckDBPyConnection, steps: Sequence[int]) -> None:
        """The rollouts of these steps in place of what was there of them, all or none."""
        given = {"files": self._files(steps), "template": str(self._template)}
        held = self._text_bytes < TEXT_BYTES
        cursor.begin()
        try:
            self._forget(cursor, steps)
            parts = self._with_new_parts(cursor, given)
            values = {name: value for name, (_, value) in _COLUMNS.items()}
            names = {f"name_{column}": name for name, column in parts.items()}
            values |= {column: f"element_at(parts, $name_{column})[1]" for column in parts.values()}
            chosen = ", ".join(f'{value} AS "{name}"' for name, value in values.items())
            cursor.execute(
                f"INSERT INTO {self._table} BY NAME SELECT {chosen} {_ROWS}", given | names | {"held": held}
            )
            cursor.execute(
                f"""INSERT INTO {self._table}_problems (SELECT problem_id, problem {_ROWS}
                EXCEPT SELECT problem_id, problem FROM {self._table}_problems)""",
                given,
            )
            cursor.commit()
        except duckdb.Error:
            cursor.rollback()
            raise
        self._parts = parts
        if held:
            texts = f"SELECT coalesce(sum(strlen(text)), 0) FROM {self._table} WHERE step IN $steps"
            ((size,),) = cursor.execute(texts, {"steps": list(steps)}).fetchall()
            self._text_bytes += size
        else:
            self._on_disk |= set(steps)

    def _with_new_parts(self, cursor: duckdb.DuckDBPyConnection, given: dict[str, Any]) -> dict[str, str]:
        """The reward functions and their columns, with those that these files are the first to have."""
        parts = dict(self._parts)
        found = cursor.execute(f"SELECT DISTINCT unnest(map_keys(parts)) {_ROWS}", given).fetchall()
        for name in sorted(name for (name,) in found if name not in parts):
            parts[name] = f"part_{len(parts)}"
            cursor.execute(f"ALTER TABLE {self._table} ADD COLUMN {parts[name]} DOUBLE")
        return parts

    def _forget(self, cursor: duckdb.DuckDBPyConnection, steps: Sequence[int]) -> None:
        cursor.execute(f"DELETE FROM {self._table} WHERE step IN $steps", {"steps": list(steps)})
        for step in steps:
            self._stamps.pop(step, None)
            self._broken.pop(step, None)
            self._on_disk.discard(step)

    def _path(self, step: int) -> Path:
        return self.folder / f"step_{step:06d}.parquet"

    def _files(self, steps: Sequence[int]) -> list[str]:
        return [str(self._template), *(for_duckdb(self._path(step)) for step in steps)]

    # ------------------------------------------------------------ questions

    def rollouts(
        self, wanted: Filter, sort: Sort, descending: bool, offset: int, limit: int
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """How many there are, their mean reward and the share that is correct; and a page of them."""
        condition, given = self._condition(wanted)
        key = "" if sort in ("step", "reward") else f", {sort}"
        found = self._ask(
            # One pass over the texts, whatever is asked of the rows that it finds.
            f"""WITH hits AS MATERIALIZED (SELECT rowid AS hit, step, row, reward, status{key}
            FROM {self._table} WHERE {condition}),
            totals AS (SELECT count(*) AS total, avg(reward) AS mean,
            avg((status = 'correct')::INTEGER) AS share FROM hits),
            page AS (SELECT hit FROM hits {order(sort, descending)} LIMIT $limit OFFSET $offset),
            rows AS (SELECT * FROM {self._table} AS whole WHERE whole.rowid IN (SELECT hit FROM page))
            SELECT totals.*, rows.* REPLACE (text[:{EXCERPT}] AS text), {self._problem("rows")}
            FROM totals LEFT JOIN rows ON true {order(sort, descending)}""",
            given | {"limit": limit, "offset": offset},
        )
        names = {"total": "count", "mean": "reward", "share": "correct"}
        totals = {name: found[0][column] for column, name in names.items()}
        rows = [{name: value for name, value in row.items() if name not in names} for row in found]
        return totals, [self._with_parts(row) for row in rows if row["step"] is not None]

    def groups(self, wanted: Filter, offset: int, limit: int) -> tuple[int, list[dict[str, Any]]]:
        """The groups that have a rollout as wanted, newest step first, each with all its rollouts."""
        condition, given = self._condition(wanted)
        matching = f'SELECT DISTINCT step, "group" FROM {self._table} WHERE {condition}'
        count = self._ask(f"SELECT count(*) AS count FROM ({matching})", given)[0]["count"]
        page = self._ask(
            f"""WITH page AS ({matching} ORDER BY step DESC, "group" LIMIT $limit OFFSET $offset),
            groups AS (SELECT step, "group", any_value(problem_id) AS problem_id, count(*) AS count,
            avg(reward) AS reward, avg((status = 'correct')::INTEGER) AS correct,
            avg(length) AS length, max(gap) AS gap,
            list({{'row': row, 'status': status, 'reward': reward}} ORDER BY row) AS rollouts
            FROM {self._table} JOIN page USING (step, "group") GROUP BY step, "group")
            SELECT groups.*, {self._problem("groups")} FROM groups ORDER BY step DESC, groups."group" """,
            given | {"limit": limit, "offset": offset},
        )
        return count, page

    def values(self) -> dict[str, Any]:
        """What there is to choose from: verdicts, finish reasons, reasons to leave out, steps."""
        return self._ask(
            f"""SELECT min(step) AS first, max(step) AS last, list(DISTINCT status) AS status,
            list(DISTINCT finish_reason) AS finish, list(DISTINCT left_out) AS left_out FROM {self._table}"""
        )[0]

    def steps(self) -> list[dict[str, Any]]:
        """Of every step, the means over its rollouts."""
        return self._ask(
            f"""SELECT step, count(*) AS count, avg(reward) AS reward,
            avg((status = 'correct')::INTEGER) AS correct, avg(length) AS length, max(gap) AS gap
            FROM {self._table} GROUP BY step ORDER BY step"""
        )

    def problems(self) -> dict[str, dict[str, Any]]:
        """Of every problem: its text, how many rollouts it has, their mean reward, and its steps."""
        found = self._ask(
            f"""WITH found AS (SELECT problem_id, count(*) AS count, avg(reward) AS reward,
            list(DISTINCT step ORDER BY step DESC) AS steps FROM {self._table} GROUP BY problem_id)
            SELECT found.*, {self._problem("found")} FROM found ORDER BY problem_id"""
        )
        return {row.pop("problem_id"): row for row in found}

    def rollout(self, step: int, row: int) -> dict[str, Any]:
        """All columns of one rollout, lists included, from its file; DataError if it is not there."""
        found = self._ask(
            f"SELECT * EXCLUDE (filename, file_row_number) {_ROWS} AND file_row_number = $row",
            {"files": self._files([step]), "template": str(self._template), "row": row},
        )
        if not found:
            raise DataError(f"{self._path(step)} has no rollout {row}")
        return found[0]

    def _problem(self, of: str) -> str:
        """The beginning of the problem's text, for a query over `of`."""
        problems = f"{self._table}_problems"
        same = f"{problems}.problem_id = {of}.problem_id"
        return f"(SELECT min(problem)[:{EXCERPT}] FROM {problems} WHERE {same}) AS problem"

    def _condition(self, wanted: Filter) -> tuple[str, dict[str, Any]]:
        condition, given = where(wanted, self._table, self._parts)
        if wanted.text is None:
            return condition, given
        given["text"] = wanted.text
        has_text = "contains(lower(text), lower($text))"
        if not self._on_disk:
            return f"{condition} AND {has_text}", given
        given |= {"files": self._files(sorted(self._on_disk)), "template": str(self._template)}
        on_disk = f"SELECT ({_STEP}, file_row_number::INTEGER) {_ROWS} AND {has_text}"
        return f"{condition} AND ({has_text} OR (step, row) IN ({on_disk}))", given

    def _ask(self, sql: str, given: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        cursor = self._connection.cursor()
        try:
            found = cursor.execute(sql, given or {})
        except (duckdb.IOException, duckdb.InvalidInputException) as error:  # a file is gone or broken
            raise DataError(f"{self.folder}: {str(error).splitlines()[0]}") from error
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def _with_parts(self, row: dict[str, Any]) -> dict[str, Any]:
        parts = {name: row.pop(column, None) for name, column in self._parts.items()}
        return row | {"parts": parts}
