"""The rollouts of a stage for questions about all of them: light columns of each, all columns of a few.

A journal may hold a million rollouts and billions of tokens. DuckDB reads of each rollout a few numbers, and
of its tokens only how many were drawn; everything else is read for the rows that are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from rlvr.record.journal import for_duckdb, journal_path
from rlvr.types import DataError, Status

Key = tuple[int, int]  # the step of the file, the row in it

# `step` is that of the file. `sampled` is the cheapest of the columns that have an entry per token.
_LIGHT = r"""
    CREATE OR REPLACE TABLE {table} AS SELECT
        regexp_extract(filename, 'step_(\d+)\.parquet$', 1)::INTEGER AS step,
        file_row_number::INTEGER AS row,
        status, reward, advantage, check_seconds AS seconds,
        coalesce(rule, left(reason, 200), '') AS why,
        {left_out} AS left_out,
        {true_steps} AS true_steps,
        finish_reason = 'length' AS truncated,
        list_sum(sampled)::INTEGER AS length
    FROM read_parquet($files, filename=true, file_row_number=true, union_by_name={union})
"""


@dataclass(frozen=True)
class Reason:
    """Why verdicts came out as they did: those of one status and one rule."""

    status: str
    why: str  # the rule, or the reason where a verdict names no rule
    count: int
    example: str  # a reason in full


class Journal:
    """Rollouts of one kind, in memory some 150 bytes each. `query` sees them as the table `rollouts`."""

    def __init__(self, folder: Path, kind: str) -> None:
        """Read them. Files that are no Parquet are left out, and named in `broken`.

        `folder` is that of a stage. No journal is an empty one.
        """
        self._folder, self._kind = folder, kind
        kept = journal_path(folder, kind, 0).parent
        self.files = sorted(kept.glob("step_*.parquet"))
        self.broken: list[str] = []
        self._connection = _connect()
        self._load()

    def _load(self) -> None:
        if not self.files:
            return
        try:
            self._read(self.files, "rollouts")
        except DataError:
            self.files = [file for file in self.files if self._is_readable(file)]
            if self.files:
                self._read(self.files, "rollouts")

    def _read(self, files: Sequence[Path], table: str) -> None:
        # A run that was resumed by a newer version has files of two kinds. Finding that out file by file
        # takes time and memory.
        first, last = self._columns(files[0]), self._columns(files[-1])
        sql = _LIGHT.format(
            table=table,
            left_out="left_out" if "left_out" in first | last else "NULL::VARCHAR",
            true_steps="true_steps" if "true_steps" in first | last else "NULL::BOOLEAN",
            union="false" if first == last else "true",
        )
        self._execute(sql, {"files": [for_duckdb(file) for file in files]})

    def _execute(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except duckdb.Error as error:
            said = str(error).splitlines()[0]
            raise DataError(f"the journal cannot be read: {said}") from error

    def _is_readable(self, file: Path) -> bool:
        try:
            self._read([file], "probe")
        except DataError as error:
            self.broken.append(f"{file.name} of the journal is left out: {error}")
            return False
        return True

    def query(self, sql: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a query on `rollouts`; none where there is no journal."""
        return self._execute(sql, parameters) if self.files else []

    @property
    def size(self) -> int:
        return int(self.query("SELECT count(*) FROM rollouts")[0][0]) if self.files else 0

    def statuses(self) -> dict[str, dict[int, int]]:
        """Status → step → how many rollouts have it, for every status and step."""
        counted = self.query(
            "SELECT status, step, count(*) FROM rollouts WHERE status IS NOT NULL GROUP BY ALL"
        )
        steps = sorted({step for _, step, _ in counted})
        found = {str(status): dict.fromkeys(steps, 0) for status in Status}
        for status, step, count in counted:
            found.setdefault(status, dict.fromkeys(steps, 0))[step] = count
        return found

    def reasons(self, most: int = 12) -> list[Reason]:
        """The commonest reasons of verdicts, by their rule, each with that of the newest rollout."""
        counted = self.query(
            """
            SELECT status, why, count(*) AS count, max((step, row)) AS newest FROM rollouts
            WHERE status IS NOT NULL GROUP BY ALL ORDER BY count DESC, status, why LIMIT $most
            """,
            {"most": most},
        )
        said = self.rows([newest for *_, newest in counted], ("reason",))
        return [
            Reason(status, why, count, (said[newest]["reason"] or "")[:300])
            for status, why, count, newest in counted
        ]

    def left_out(self) -> list[tuple[str, int]]:
        """Why rollouts were not learned from, commonest first; nothing of a journal that does not say."""
        counted = self.query(
            """
            SELECT left_out, count(*) AS count FROM rollouts WHERE left_out IS NOT NULL
            GROUP BY ALL ORDER BY count DESC, left_out
            """
        )
        return [(why, count) for why, count in counted]

    def has(self, column: str) -> bool:
        """Whether the last file has the column."""
        return bool(self.files) and column in self._columns(self.files[-1])

    def rows(self, keys: Iterable[Key], names: Sequence[str] | None = None) -> dict[Key, dict[str, Any]]:
        """Some rows as they are on disk: of the columns `names`, or of all but those of single tokens."""
        wanted: dict[int, list[int]] = {}
        for step, row in keys:
            wanted.setdefault(step, []).append(row)
        found: dict[Key, dict[str, Any]] = {}
        for step, rows in wanted.items():
            file = self._file(step)
            chosen = names or [name for name, kind in self._columns(file).items() if not kind.endswith("[]")]
            columns = ", ".join(["file_row_number", *(f'"{name}"' for name in chosen)])
            read = self._execute(
                f"SELECT {columns} FROM read_parquet($file, file_row_number=true) "
                "WHERE list_contains($rows, file_row_number)",
                {"file": for_duckdb(file), "rows": rows},
            )
            for number, *values in read:
                found[step, number] = dict(zip(chosen, values, strict=True))
        return found

    def all_rows(self, step: int, names: Sequence[str]) -> dict[Key, dict[str, Any]]:
        """Those columns of every rollout of one step; nothing where its file does not have them."""
        rows = self.query("SELECT row FROM rollouts WHERE step = $step", {"step": step})
        if not rows or not self._columns(self._file(step)).keys() >= set(names):
            return {}
        return self.rows([(step, row) for (row,) in rows], names)

    def _columns(self, file: Path) -> dict[str, str]:
        """Name → DuckDB's type."""
        described = self._execute("DESCRIBE SELECT * FROM read_parquet($file)", {"file": for_duckdb(file)})
        return {name: kind for name, kind, *_ in described}

    def _file(self, step: int) -> Path:
        return journal_path(self._folder, self._kind, step)


def _connect() -> duckdb.DuckDBPyConnection:
    # nothing is fetched, whatever DuckDB would like to have
    offline = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    connection = duckdb.connect(config={**offline, "memory_limit": "2GB"})
    connection.execute("SET enable_progress_bar = false")
    return connection
