"""Problems from files and from Hugging Face data sets, with the same columns and the same checks.

No row is skipped or repaired: the first invalid row raises a DataError that says where it is. Only blank
lines are skipped.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from rlvr.base.targets import known_names
from rlvr.problems.prompts import MESSAGES, checked_messages, text_of
from rlvr.types import ConfigError, DataError, Problem

Row = tuple[str, Mapping[str, Any]]  # where it is ("file:line"), and its columns

_OURS = ("id", "text", "answer", "solution")
_TEXT_COLUMNS = ("problem", "question", "text", "prompt")
_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


def from_file(
    path: str,
    columns: Mapping[str, str] | None = None,
    format: str | None = None,
    limit: int | None = None,
    answer_pattern: str | None = None,
) -> list[Problem]:
    """The problems of a JSON Lines, CSV (both also as .gz) or Parquet file.

    path: relative to the working directory.
    columns: maps our names (id, text, answer, solution) to the file's. Without an entry, id, answer and
        solution are the columns of that name, and text is the only column called problem, question,
        text or prompt. Without an id column, ids are the file's name and the row number, from 1. All
        other columns go to `Problem.columns`. A text that is a list of messages {role, content} is a
        chat: it goes to the column `prompt_messages`, and `Problem.text` is what the user asks
        (`rlvr.problems.prompts.text_of`).
    format: "jsonl", "csv" or "parquet"; by default, from the extension.
    limit: use only the first `limit` rows.
    answer_pattern: a regular expression with one group, which extracts the final answer from the answer
        column; the last match counts. For GSM8K: `#### (.+)`.

    Raises DataError (file and line) for errors in the data, ConfigError for the other arguments.
    """
    rows, stem = file_rows(path, format)
    return _problems(list(islice(rows, _checked_limit(limit))), path, stem, columns, answer_pattern)


def file_rows(path: str, format: str | None = None) -> tuple[Iterator[Row], str]:
    """The rows of a file, as `from_file` reads them, and the file's name without extensions."""
    file = Path(path)
    suffixes = [suffix.lower() for suffix in file.suffixes]
    zipped = suffixes[-1:] == [".gz"]
    extension = "".join(suffixes[-2:-1] if zipped else suffixes[-1:])
    if format is None:
        format = _FORMATS.get(extension)
    elif format not in _FORMATS.values():
        raise ConfigError(
            f"{path}: no format {format!r}; {known_names(format, dict.fromkeys(_FORMATS.values()))}"
        )
    if format is None:
        raise DataError(
            f"{path}: unknown extension {extension or '(none)'!r}; {known_names(extension, _FORMATS)} "
            "(or set format: jsonl, csv or parquet)"
        )
    if format == "parquet" and zipped:
        raise DataError(f"{path}: a gzipped Parquet file cannot be read: unpack it with gunzip")
    if not file.is_file():
        raise DataError(f"{path}: no such file (relative paths start at {Path.cwd()})")
    stem = file.name[: len(file.name) - len("".join(file.suffixes[-2:] if zipped else file.suffixes[-1:]))]
    return {"jsonl": _json_rows, "csv": _csv_rows, "parquet": _parquet_rows}[format](file), stem


def from_hub(
    name: str,
    split: str,
    config_name: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    answer_pattern: str | None = None,
    revision: str | None = None,
) -> list[Problem]:
    """The problems of a Hugging Face data set: one on the hub, or a local folder of data files.

    `split`, `config_name` and `revision` are passed to `datasets.load_dataset`; the rest is as for
    `from_file`. Raises DataError if the data set cannot be loaded.
    """
    import datasets

    source = f"{name}[{split}]"
    try:
        data = datasets.load_dataset(name, config_name, split=split, revision=revision)
    except (OSError, RuntimeError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{source}: the data set cannot be loaded ({type(error).__name__}: {error}): check its name, "
            "config_name and split; without a network, use from_file on a downloaded file"
        ) from error
    rows = ((f"{source}:row {number}", row) for number, row in enumerate(data, 1))
    stem = f"{Path(name).name}-{split}"
    return _problems(list(islice(rows, _checked_limit(limit))), source, stem, columns, answer_pattern)


def as_row(problem: Problem) -> dict[str, Any]:
    """A problem as a row of a file, which `from_file` reads as the same problem."""
    named = {"id": problem.id, "problem": problem.text, "answer": problem.answer}
    if problem.solution is not None:
        named["solution"] = problem.solution
    return {**{name: value for name, value in problem.columns.items() if name not in named}, **named}


def _checked_limit(limit: int | None) -> int | None:
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}, but must be ≥ 1 (or null for all rows)")
    return limit


def _problems(
    rows: list[Row],
    source: str,
    stem: str,
    columns: Mapping[str, str] | None,
    answer_pattern: str | None,
) -> list[Problem]:
    pattern = _compiled(answer_pattern)
    present = list(dict.fromkeys(name for _, row in rows for name in row))
    if not rows:
        raise DataError(f"{source}: it has no rows")
    names = _mapping(columns or {}, present, source)
    problems: list[Problem] = []
    places: dict[str, str] = {}  # id → where
    for number, (where, row) in enumerate(rows, 1):
        identity = _required(row, "id", names["id"], where) if "id" in names else f"{stem}-{number}"
        if identity in places:
            raise DataError(
                f"{where}: id {identity!r} is already used at {places[identity]}; "
                "make ids unique, or remove the column"
            )
        places[identity] = where
        answer = _required(row, "answer", names["answer"], where)
        text, own = _text(row, names["text"], where)
        problems.append(
            Problem(
                id=identity,
                text=text,
                answer=answer if pattern is None else _cut(answer, pattern, where),
                solution=_cell(row, names["solution"], where) if "solution" in names else None,
                columns={name: value for name, value in row.items() if name not in names.values()} | own,
            )
        )
    return problems


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ConfigError(f"answer_pattern {pattern!r} is not a regular expression: {error}") from error
    if compiled.groups != 1:
        raise ConfigError(f"answer_pattern {pattern!r} has {compiled.groups} groups, but must have one")
    return compiled


def _mapping(columns: Mapping[str, str], present: list[str], source: str) -> dict[str, str]:
    """Maps our names to the source's columns, for those that it has; always includes text and answer."""
    for ours, theirs in columns.items():
        if ours not in _OURS:
            raise ConfigError(f"{source}: columns has no key {ours!r}; {known_names(ours, _OURS)}")
        if theirs not in present:
            raise DataError(
                f"{source}: columns maps {ours} to {theirs!r}, which is not a column; "
                f"{known_names(theirs, present)}"
            )
    names: dict[str, str] = {ours: ours for ours in ("id", "answer", "solution") if ours in present}
    names.update(columns)
    if "answer" not in names:
        raise DataError(
            f"{source}: no column 'answer'; {known_names('answer', present)} (name it in columns.answer)"
        )
    if "text" not in names:
        candidates = [name for name in _TEXT_COLUMNS if name in present and name not in names.values()]
        if len(candidates) != 1:
            several = f"{' and '.join(candidates)} could each be the problem's text"
            none = f"no column for the problem's text ({', '.join(_TEXT_COLUMNS)})"
            raise DataError(
                f"{source}: {several if candidates else none}: name its column in columns.text; "
                f"{known_names('text', present)}"
            )
        names["text"] = candidates[0]
    return names


def _text(row: Mapping[str, Any], column: str, where: str) -> tuple[str, dict[str, Any]]:
    """The problem's text and, if it is given as the messages of a chat, the column that keeps these."""
    if isinstance(row.get(column), list):
        messages = checked_messages(row[column], f"{where}: column {column!r}")
    elif row.get(MESSAGES) is not None:
        messages = checked_messages(row[MESSAGES], f"{where}: column {MESSAGES!r}")
    else:
        return _required(row, "text", column, where), {}
    for message in messages:
        _cell(message, "content", where)
    return text_of(messages), {MESSAGES: messages}


def _required(row: Mapping[str, Any], ours: str, column: str, where: str) -> str:
    value = _cell(row, column, where)
    if value is None:
        state = "is empty" if column in row else "is missing"
        raise DataError(
            f"{where}: a row without {ours}: column {column!r} {state}; fill it in or remove the row"
        )
    return value


def _cell(row: Mapping[str, Any], column: str, where: str) -> str | None:
    """The column's value as text, without surrounding white space; None if it is missing or empty."""
    value = row.get(column)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise DataError(
            f"{where}: column {column!r} is a {type(value).__name__}, but must be text or a number"
        )
    text = str(value).strip()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: column {column!r} is not valid Unicode text: {error.reason}") from error
    return text or None


def _cut(answer: str, pattern: re.Pattern[str], where: str) -> str:
    matches = [(match.group(1) or "").strip() for match in pattern.finditer(answer)]
    if not matches or not matches[-1]:
        shown = answer if len(answer) <= 60 else f"…{answer[-60:]}"
        raise DataError(f"{where}: answer_pattern {pattern.pattern!r} finds no answer in {shown!r}")
    return matches[-1]


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines with their line ends, without a byte order mark."""
    zipped = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path) if zipped else open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"{path}:{number}: not UTF-8 (byte {error.start + 1} of the line): convert the file"
                    ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _json_rows(path: Path) -> Iterator[Row]:
    for number, line in _text_lines(path):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_once_each)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: broken JSON line: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: the line holds a {type(row).__name__}, but must hold one JSON object")
        yield where, row


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in _repeated(names):
        raise ValueError(f"the key {name!r} is repeated")
    return dict(pairs)


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _csv_rows(path: Path) -> Iterator[Row]:
    reader = csv.reader((line for _, line in _text_lines(path)), strict=True)
    header: list[str] | None = None
    while True:
        where = f"{path}:{reader.line_num + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{where}: broken CSV row: {error}") from error
        if cells is None:
            return
        if not cells:
            continue
        if header is None:
            header = cells
            for name in _repeated(header):
                raise DataError(f"{where}: the column {name!r} is repeated")
        elif len(cells) != len(header):
            raise DataError(f"{where}: {len(cells)} cells, but the header names {len(header)} columns")
        else:
            yield where, dict(zip(header, cells, strict=True))


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(path)
        for name in _repeated(file.schema_arrow.names):
            raise DataError(f"{path}: the column {name!r} is repeated")
        rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
        for number, row in enumerate(rows, 1):
            yield f"{path}:row {number}", row
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: cannot be read as a Parquet file: {error}") from error
