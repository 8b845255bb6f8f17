"""Traces as a Parquet file, written without loss; reads files from other sources, too."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.base.files import atomic_write
from rlvr.base.targets import known_names
from rlvr.traces.labels import domain_of, length_and_repetition, pass_rate
from rlvr.traces.traces import Trace
from rlvr.types import DataError, FinishReason, Problem, Status

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("problem", pa.string()),
        pa.field("answer", pa.string()),
        pa.field("solution", pa.string()),
        pa.field("columns", pa.string()),  # the problem's further columns, as JSON
        pa.field("sample", pa.int32()),
        pa.field("text", pa.string()),
        pa.field("tokens", pa.list_(pa.int32())),
        pa.field("finish_reason", pa.string()),
        pa.field("status", pa.string()),
        pa.field("reward", pa.float64()),
        pa.field("reason", pa.string()),
        pa.field("pass_rate", pa.float64()),
        pa.field("domain", pa.string()),
        pa.field("length", pa.int32()),
        pa.field("repetition", pa.float64()),
        pa.field("source", pa.string()),
        pa.field("dropped", pa.string()),
    ]
)
_REQUIRED = ("problem", "answer", "text")
_CORRECT = pa.field("correct", pa.bool_())  # files from other sources may have it instead of `status`
_ROWS = 1024  # rows per batch of reading and writing


def write_traces(path: Path, traces: Sequence[Trace]) -> None:
    """Write the traces atomically, replacing the file.

    Values in a problem's columns that JSON does not support (such as dates) are written as text. Raises
    DataError for text that is not valid Unicode, which Parquet cannot store.
    """
    with atomic_write(path) as temporary, pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
        for start in range(0, len(traces), _ROWS):
            rows = [_row(trace) for trace in traces[start : start + _ROWS]]
            writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))


def _row(trace: Trace) -> dict[str, Any]:
    problem = trace.problem
    row = {field.name: getattr(trace, field.name, None) for field in SCHEMA} | {
        "id": problem.id,
        "problem": problem.text,
        "answer": problem.answer,
        "solution": problem.solution,
        "columns": json.dumps(dict(problem.columns), default=_plain, ensure_ascii=False),
        "finish_reason": str(trace.finish_reason),
        "status": str(trace.status),
    }
    for name, value in row.items():
        if isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    f"sample {trace.sample} of problem {problem.id!r}: its {name} is not valid Unicode text "
                    f"({error.reason} at character {error.start}), so it cannot be written to a file"
                ) from error
    return row


def _plain(value: object) -> object:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def read_traces(path: Path) -> list[Trace]:
    """The traces of a Parquet file, in its order: written by `write_traces`, or from another source.

    Required are the columns problem, answer and text, and the verdict: `status` (a value of `Status`) or
    `correct` (true or false). Other columns of SCHEMA are optional. Defaults: without `id`, rows with the
    same problem text are one problem; without `sample`, answers are numbered in order; without
    `finish_reason`, answers count as finished; `source` is the file's name; length, repetition and domain are
    computed. So are pass rates, unless all rows are correct: such a file was probably filtered, and its
    rates are unknown. Columns outside of SCHEMA become columns of the problem.

    Raises DataError, naming column or row, if the file does not fit.
    """
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            _check_columns(path, names)
            rows = [row for batch in file.iter_batches(_ROWS) for row in _cast(path, batch).to_pylist()]
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    traces = list(_traces(path, rows))
    if "pass_rate" not in names and any(trace.status is not Status.CORRECT for trace in traces):
        statuses: dict[str, list[Status]] = defaultdict(list)
        for trace in traces:
            statuses[trace.problem.id].append(trace.status)
        rates = {name: pass_rate(each) for name, each in statuses.items()}
        traces = [replace(trace, pass_rate=rates[trace.problem.id]) for trace in traces]
    return traces


def _check_columns(path: Path, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"{path}: the column {name!r} is repeated")
    if {"problem_id", "sampled"} <= set(names):
        raise DataError(
            f"{path} is a journal: read it with read_journal, and use traces_from_groups on its groups"
        )
    missing = [name for name in _REQUIRED if name not in names]
    if "status" not in names and "correct" not in names:
        missing.append("status (or correct)")
    if missing:
        raise DataError(
            f"{path} is not a file of traces: it has no column {', '.join(missing)}; "
            f"{known_names(missing[0], names)}"
        )
    if "status" in names and "correct" in names:
        raise DataError(f"{path} has both columns status and correct: remove one of them")


def _cast(path: Path, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Casts the columns of SCHEMA to its types."""
    columns = {name: batch.column(name) for name in batch.schema.names}
    for field in (*SCHEMA, _CORRECT):
        if field.name in columns:
            try:
                columns[field.name] = columns[field.name].cast(field.type)
            except pa.ArrowException as error:
                actual = columns[field.name].type
                raise DataError(
                    f"{path}: column {field.name!r} has type {actual}, but must have {field.type}: {error}"
                ) from error
    return pa.record_batch(columns)


def _traces(path: Path, rows: Sequence[dict[str, Any]]) -> Iterator[Trace]:
    known = {*SCHEMA.names, _CORRECT.name}
    ids: dict[str, str] = {}  # problem text → id, where there is no id
    problems: dict[str, tuple[Problem, int]] = {}  # id → the problem, and its first row
    answers: Counter[str] = Counter()
    for number, row in enumerate(rows, 1):
        where = f"{path}: row {number}"
        for name in _REQUIRED:
            if row[name] is None:
                raise DataError(f"{where} has no {name}: fill it in, or remove the row")
        identity = row.get("id")
        if identity is None:
            identity = ids.setdefault(row["problem"], f"{path.stem}-{number}")
        further = {name: value for name, value in row.items() if name not in known}
        problem = Problem(
            identity, row["problem"], row["answer"], row.get("solution"), _columns(where, row) | further
        )
        first, before = problems.setdefault(identity, (problem, number))
        if (first.text, first.answer) != (problem.text, problem.answer):
            raise DataError(f"{where}: id {identity!r} is already used for another problem, in row {before}")
        sample = row.get("sample")
        yield _trace(where, row, problem, answers[identity] if sample is None else sample, path.stem)
        answers[identity] += 1


def _columns(where: str, row: dict[str, Any]) -> dict[str, Any]:
    text = row.get("columns")
    try:
        columns = {} if text is None else json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: column 'columns' is not JSON: {error}") from error
    if not isinstance(columns, dict):
        raise DataError(
            f"{where}: column 'columns' is a JSON {type(columns).__name__}, but must be an object"
        )
    return columns


def _trace(where: str, row: dict[str, Any], problem: Problem, sample: int, source: str) -> Trace:
    def given(name: str, otherwise: Any) -> Any:
        return otherwise if row.get(name) is None else row[name]

    tokens = row.get("tokens")
    if tokens is not None and None in tokens:
        raise DataError(f"{where}: column 'tokens' contains a null")
    length, repetition = row.get("length"), row.get("repetition")
    if length is None or repetition is None:
        length, repetition = length_and_repetition(row["text"], tokens)
    return Trace(
        problem=problem,
        sample=sample,
        text=row["text"],
        tokens=tokens,
        finish_reason=_finish_reason(where, given("finish_reason", FinishReason.STOP)),
        status=_status(where, row),
        reward=row.get("reward"),
        reason=given("reason", ""),
        pass_rate=row.get("pass_rate"),
        domain=given("domain", domain_of(problem)),
        length=given("length", length),
        repetition=given("repetition", repetition),
        source=given("source", source),
        dropped=row.get("dropped"),
    )


def _status(where: str, row: dict[str, Any]) -> Status:
    value = row.get("correct") if "correct" in row else row["status"]
    if isinstance(value, bool):
        return Status.CORRECT if value else Status.WRONG
    if value not in list(Status):
        raise DataError(f"{where}: its verdict is {value!r}; {known_names(str(value), Status)}")
    return Status(value)


def _finish_reason(where: str, value: str) -> FinishReason:
    if value not in list(FinishReason):
        raise DataError(f"{where}: its finish_reason is {value!r}; {known_names(value, FinishReason)}")
    return FinishReason(value)
