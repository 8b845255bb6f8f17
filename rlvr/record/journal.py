"""Every rollout with its verdict, on disk: one Parquet file per step and kind.

`journal/train/step_000012.parquet` holds the rollouts that step 12 learned from, and
`journal/heldout/step_000012.parquet` those of the evaluation after it. Reading returns exactly
what was written, bits and dtypes, so that anything can be recomputed from the journal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.base.files import atomic_write, remove_unfinished
from rlvr.record.sinks import truncate_metrics
from rlvr.types import (
    DataError,
    FinishReason,
    Group,
    Problem,
    Rollout,
    SamplingMask,
    Status,
    UpdateRecord,
    Verdict,
)

KINDS = ("train", "heldout")

# One row per rollout. Rows of one `group` are adjacent, in the group's order. The columns from
# `status` on are null if there was no verdict yet; `reward` also if the check was not completed.
SCHEMA = pa.schema(
    [
        pa.field("group", pa.int32()),  # index of the rollout's group in the step
        pa.field("step", pa.int32()),  # the step that the rollout was generated for
        pa.field("problem_id", pa.string()),
        pa.field("problem", pa.string()),
        pa.field("answer", pa.string()),
        pa.field("solution", pa.string()),
        pa.field("columns", pa.string()),  # the problem's further columns, as JSON
        pa.field("sample", pa.int32()),
        pa.field("seed", pa.int64()),
        pa.field("text", pa.string()),
        pa.field("tokens", pa.list_(pa.int32())),
        pa.field("sampled", pa.list_(pa.bool_())),
        pa.field("logprobs", pa.list_(pa.float32())),
        pa.field("versions", pa.list_(pa.int32())),
        pa.field("finish_reason", pa.string()),
        pa.field("temperature", pa.float64()),
        pa.field("prompt_end", pa.string()),  # null in older journals
        # `rlvr.types.SamplingMask`; null where tokens were sampled from the whole vocabulary
        pa.field("sampling_mask_ids", pa.list_(pa.int32())),
        pa.field("sampling_mask_sizes", pa.list_(pa.int32())),
        pa.field("status", pa.string()),
        pa.field("reward", pa.float64()),
        pa.field("reason", pa.string()),
        pa.field("extracted", pa.string()),
        pa.field("parts", pa.map_(pa.string(), pa.float64())),
        pa.field("check_seconds", pa.float64()),
        pa.field("rule", pa.string()),
        pa.field("true_steps", pa.bool_()),  # null: no checkable step, or not checked
        pa.field("advantage", pa.float64()),  # mean over its tokens; null if it has none
        # How the update used it (`rlvr.types.UpdateRecord`); null if unknown.
        pa.field("left_out", pa.string()),
        pa.field("advantages", pa.list_(pa.float32())),
        pa.field("learner_logprobs", pa.list_(pa.float32())),
        pa.field("entropies", pa.list_(pa.float32())),
        pa.field("corrections", pa.list_(pa.float32())),
    ]
)
LEARNED = ("left_out", "advantages", "learner_logprobs", "entropies", "corrections")
MASK = ("sampling_mask_ids", "sampling_mask_sizes")
LATER = ("prompt_end", *MASK, "true_steps")  # columns that older journals lack
ARRAYS = {"tokens": np.int32, "sampled": np.bool_, "logprobs": np.float32, "versions": np.int32}


def journal_path(run_path: Path, kind: str, step: int) -> Path:
    """The journal file of a step; `kind` is train or heldout, `run_path` a stage's folder."""
    if kind not in KINDS:
        raise ValueError(f"there is no journal of kind {kind!r}, only: {', '.join(KINDS)}")
    return run_path / "journal" / kind / f"step_{step:06d}.parquet"


def write_journal(
    path: Path, groups: Sequence[Group], learned: Sequence[Sequence[UpdateRecord]] | None = None
) -> None:
    """Write the groups of one step atomically, replacing an existing file.

    `learned` has a record for each rollout of each group. Values in a problem's columns that JSON does not
    support (a date, say) are written as text. A group without rollouts has no rows, so is not read back.
    """
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    columns: dict[str, Any] = {
        name: _lists([getattr(rollout, name) for rollout in rollouts], dtype)
        for name, dtype in ARRAYS.items()
    }
    rows = list(_rows(groups, learned))
    for field in SCHEMA:
        if field.name not in ARRAYS:
            columns[field.name] = pa.array([row[field.name] for row in rows], type=field.type)
    table = pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


def _rows(
    groups: Sequence[Group], learned: Sequence[Sequence[UpdateRecord]] | None
) -> Iterator[dict[str, Any]]:
    for index, group in enumerate(groups):
        problem = group.problem
        verdicts: Sequence[Verdict | None] = group.verdicts or [None] * len(group.rollouts)
        made: Sequence[UpdateRecord | None] = learned[index] if learned else [None] * len(group.rollouts)
        further = json.dumps(dict(problem.columns), default=_plain, ensure_ascii=False)
        for rollout, verdict, own in zip(group.rollouts, verdicts, made, strict=True):
            yield {
                "group": index,
                "step": rollout.step,
                "problem_id": rollout.problem_id,
                "problem": problem.text,
                "answer": problem.answer,
                "solution": problem.solution,
                "columns": further,
                "sample": rollout.sample,
                "seed": rollout.seed,
                "text": rollout.text,
                "finish_reason": str(rollout.finish_reason),
                "temperature": rollout.temperature,
                "prompt_end": rollout.prompt_end,
                "sampling_mask_ids": rollout.sampling_mask and rollout.sampling_mask.ids,
                "sampling_mask_sizes": rollout.sampling_mask and rollout.sampling_mask.sizes,
                "status": verdict and str(verdict.status),
                "reward": verdict and verdict.reward,
                "reason": verdict and verdict.reason,
                "extracted": verdict and verdict.extracted,
                "parts": verdict and list(verdict.parts.items()),
                "check_seconds": verdict and verdict.seconds,
                "rule": verdict and verdict.rule,
                "true_steps": verdict and verdict.true_steps,
                "advantage": own and _mean_advantage(own, rollout),
                "left_out": own and own.left_out,
                "advantages": own and own.advantages,
                "learner_logprobs": own and own.logprobs,
                "entropies": own and own.entropies,
                "corrections": own and own.corrections,
            }


def _mean_advantage(learned: UpdateRecord, rollout: Rollout) -> float | None:
    if learned.advantages is None or not rollout.sampled.any():
        return None
    return float(learned.advantages[rollout.sampled].mean())


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def _lists(arrays: list[npt.NDArray[Any]], dtype: type[np.generic]) -> pa.Array:
    """One list per array, without a Python object per token."""
    offsets = np.cumsum([0, *(len(array) for array in arrays)], dtype=np.int32)
    values = np.concatenate(arrays) if arrays else np.empty(0, dtype)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, type=pa.from_numpy_dtype(dtype)))


def read_journal(run_path: Path, kind: str = "train", step: int | None = None) -> list[Group]:
    """The groups of one step, or of all steps in order, as they were written.

    Raises DataError when there are none, or when a file is not a journal.
    """
    if step is None:
        paths = [path for _, path in _files(run_path, kind)]
    else:
        paths = [journal_path(run_path, kind, step)]
    if not paths or not paths[0].exists():
        at = "" if step is None else f" of step {step}"
        raise DataError(
            f"{run_path} has no {kind} journal{at}; it must be the folder of a stage (runs/NAME/rl) "
            "whose run had record.journal: true"
        )
    groups = []
    for path in paths:
        try:
            groups += _read(path)
        except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path} cannot be read as a journal: it is damaged ({error})") from error
    return groups


def _read(path: Path) -> list[Group]:
    file = pq.ParquetFile(path, page_checksum_verification=True)
    table = file.read([name for name in file.schema_arrow.names if name not in LEARNED])
    _check_columns(path, table.column_names, SCHEMA.names)
    arrays: dict[str, list[Any]] = {name: _arrays(table.column(name)) for name in ARRAYS}
    arrays["sampling_mask"] = _masks(table)
    plain = table.select([name for name in table.column_names if name not in {*ARRAYS, *MASK}])
    groups: dict[int, Group] = {}
    for place, row in enumerate(plain.to_pylist(maps_as_pydicts="strict")):
        if row["group"] not in groups:
            problem = Problem(
                row["problem_id"], row["problem"], row["answer"], row["solution"], json.loads(row["columns"])
            )
            groups[row["group"]] = Group(problem, [])
        group = groups[row["group"]]
        group.rollouts.append(
            Rollout(
                problem_id=row["problem_id"],
                step=row["step"],
                sample=row["sample"],
                seed=row["seed"],
                text=row["text"],
                finish_reason=FinishReason(row["finish_reason"]),
                temperature=row["temperature"],
                prompt_end=row.get("prompt_end") or "",
                **{name: values[place] for name, values in arrays.items()},
            )
        )
        if row["status"] is not None:
            group.verdicts.append(
                Verdict(
                    status=Status(row["status"]),
                    reward=row["reward"],
                    reason=row["reason"],
                    extracted=row["extracted"],
                    parts=row["parts"],
                    seconds=row["check_seconds"],
                    rule=row["rule"],
                    true_steps=row.get("true_steps"),
                )
            )
    return list(groups.values())


def for_duckdb(path: Path) -> str:
    """The path with its special characters escaped, since DuckDB reads paths as glob patterns."""
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", str(path))


def read_rows(path: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """The columns `names` of each rollout in one file; None for columns that an older file lacks.

    Raises DataError if the file is missing, damaged, or not a journal.
    """
    try:
        # not read_table, which imports pandas, in half a second
        file = pq.ParquetFile(path, page_checksum_verification=True)
        there = set(file.schema_arrow.names)
        rows = file.read([name for name in names if name in there]).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read as a journal: {error}") from error
    _check_columns(path, there, names)
    return [dict.fromkeys(names) | row for row in rows]


def _check_columns(path: Path, there: Collection[str], names: Iterable[str]) -> None:
    missing = set(names) - {*LEARNED, *LATER} - set(there)
    if missing:
        raise DataError(f"{path} is not a journal: it has no column {', '.join(sorted(missing))}")


def _arrays(column: pa.ChunkedArray) -> list[npt.NDArray[Any]]:
    """One array per row, each with its own memory."""
    found: list[npt.NDArray[Any]] = []
    for chunk in column.chunks:
        values = chunk.values.to_numpy(zero_copy_only=False)
        offsets = chunk.offsets.to_numpy()
        found += [values[start:end].copy() for start, end in pairwise(offsets)]
    return found


def _masks(table: pa.Table) -> list[SamplingMask | None]:
    """The sampling mask of each row."""
    if not {*MASK} <= {*table.column_names}:
        return [None] * table.num_rows
    there = table.column(MASK[0]).is_valid().to_pylist()
    pairs = zip(there, *(_arrays(table.column(name)) for name in MASK), strict=True)
    return [SamplingMask(ids, sizes) if valid else None for valid, ids, sizes in pairs]


def truncate(run_path: Path, after_step: int) -> None:
    """Remove the records of steps after `after_step`, which a resumed run repeats.

    Journal files and lines of metrics.jsonl of later steps are removed, and so are incomplete files of a
    process that was killed. TensorBoard hides its later points when it is opened again (see `TensorBoard`);
    W&B keeps the lines of both attempts.

    Raises:
        DataError: metrics.jsonl has a broken line; nothing is removed.
    """
    truncate_metrics(run_path / "metrics.jsonl", after_step)
    remove_unfinished(run_path)
    for kind in KINDS:
        remove_unfinished(journal_path(run_path, kind, 0).parent)
        for step, path in _files(run_path, kind):
            if step > after_step:
                path.unlink()


def _files(run_path: Path, kind: str) -> list[tuple[int, Path]]:
    folder = journal_path(run_path, kind, 0).parent
    files = [(path.stem.removeprefix("step_"), path) for path in folder.glob("step_*.parquet")]
    return sorted((int(step), path) for step, path in files if step.isdecimal())
