"""samples.parquet: every sample of an evaluation with its verdict; its results can be recomputed from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.base.files import atomic_write
from rlvr.evaluation.summary import Outcome, Votes
from rlvr.record.journal import write_journal
from rlvr.types import DataError, FinishReason, Group, Status

SAMPLES = "samples.parquet"
# columns in addition to those of the journal
SET = pa.field("set", pa.string())  # the set of problems
VOTE = pa.field(
    "vote", pa.int32()
)  # equal numbers are equal answers to a problem, 0 the right one; null: no vote
READ = ["set", "group", "problem_id", "columns", "status", "vote", "finish_reason"]
STEPS = "true_steps"  # absent from older files


def write_samples(
    path: Path, sets: Mapping[str, Sequence[Group]], votes: Mapping[str, Sequence[Votes]]
) -> None:
    """Write the groups of all sets, one row per sample. Raises ValueError for a group without verdicts."""
    groups = [group for name in sets for group in sets[name]]
    if any(len(group.verdicts) != len(group.rollouts) for group in groups):
        raise ValueError("a group has no verdicts")
    names = [name for name in sets for group in sets[name] for _ in group.rollouts]
    flat = [vote for name in sets for given in votes[name] for vote in given]
    with atomic_write(path) as temporary:
        write_journal(temporary, groups)
        table = pq.read_table(temporary)
        table = table.append_column(SET, pa.array(names, SET.type))
        table = table.append_column(VOTE, pa.array(flat, VOTE.type))
        pq.write_table(table, temporary, compression="zstd")


def read_samples(path: Path) -> dict[str, list[Outcome]]:
    """Maps each set to the outcomes of its problems. Raises DataError if it is not such a file."""
    try:
        file = pq.ParquetFile(path)
        missing = [name for name in [*READ, "sampled"] if name not in file.schema_arrow.names]
        if missing:
            raise DataError(f"{path} has no samples of an evaluation: it has no column {missing[0]}")
        steps = [STEPS] if STEPS in file.schema_arrow.names else []
        table = file.read([*READ, *steps, "sampled"])
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read as Parquet: {error}") from error
    sampled = table.column("sampled").combine_chunks()
    before = np.concatenate([[0], np.cumsum(sampled.values.to_numpy(zero_copy_only=False))])
    lengths = np.diff(before[sampled.offsets.to_numpy()]).tolist()
    sets: dict[str, dict[int, list[tuple[int, dict[str, object]]]]] = {}
    for row, length in zip(table.select([*READ, *steps]).to_pylist(), lengths, strict=True):
        sets.setdefault(row["set"], {}).setdefault(row["group"], []).append((length, row))
    return {name: [_outcome(rows) for rows in groups.values()] for name, groups in sets.items()}


def _outcome(rows: Sequence[tuple[int, dict[str, object]]]) -> Outcome:
    first = rows[0][1]
    return Outcome(
        id=str(first["problem_id"]),
        columns=json.loads(str(first["columns"])),
        statuses=[Status(str(row["status"])) for _, row in rows],
        true_steps=[row.get(STEPS) for _, row in rows],  # type: ignore[misc]
        votes=[row["vote"] for _, row in rows],  # type: ignore[misc]
        lengths=[length for length, _ in rows],
        cut=[row["finish_reason"] == FinishReason.LENGTH for _, row in rows],
    )
