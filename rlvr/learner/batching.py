"""How a batch is cut into micro-batches: under a token budget, padded or packed, the same for all ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rlvr.types import TrainingBatch


def plan_micro_batches(
    lengths: Sequence[int], budget: int, workers: int, unit: int = 1, packing: bool = False
) -> list[list[list[int]]]:
    """Share sequences out as rank → micro-batches → indices into `lengths`.

    Padded, sequences of similar length go together: rows × longest ≤ `budget`. Packed, they go where
    there is room: the sum of their lengths ≤ `budget`. A single one that is longer goes alone. Each
    `unit` neighbours stay together, in their order. Every rank gets the same number of micro-batches
    (collectives would wait for ever otherwise), an empty one where it has less to do, and about the
    same number of tokens, padding included.
    """
    units = [range(start, start + unit) for start in range(0, len(lengths), unit)]
    cut = _packed(lengths, units, budget) if packing else _padded(lengths, units, budget)
    micro_batches = [[i for rows in chosen for i in rows] for chosen in cut]

    def tokens(micro_batch: list[int]) -> int:
        own = [lengths[i] for i in micro_batch]
        return sum(own) if packing else len(own) * max(own)

    plan: list[list[list[int]]] = [[] for _ in range(workers)]
    load = [0] * workers
    rounds = -(-len(micro_batches) // workers)
    for micro_batch in sorted(micro_batches, key=tokens, reverse=True):
        rank = min((r for r in range(workers) if len(plan[r]) < rounds), key=lambda r: (load[r], r))
        plan[rank].append(micro_batch)
        load[rank] += tokens(micro_batch)
    for rank_plan in plan:
        rank_plan.extend([] for _ in range(rounds - len(rank_plan)))
    return plan


def _padded(lengths: Sequence[int], units: Sequence[range], budget: int) -> list[list[range]]:
    """By falling length, each next unit to the last micro-batch if it still fits."""
    longest = [max(lengths[i] for i in rows) for rows in units]
    micro_batches: list[list[range]] = []
    widest = 0
    for place in sorted(range(len(units)), key=lambda place: (-longest[place], place)):
        rows = units[place]
        if micro_batches and (len(micro_batches[-1]) + 1) * len(rows) * widest <= budget:
            micro_batches[-1].append(rows)
        else:
            micro_batches.append([rows])
            widest = longest[place]
    return micro_batches


def _packed(lengths: Sequence[int], units: Sequence[range], budget: int) -> list[list[range]]:
    """By falling length, each unit to the first micro-batch that has room for it."""
    total = [sum(lengths[i] for i in rows) for rows in units]
    micro_batches: list[list[range]] = []
    room: list[int] = []
    for place in sorted(range(len(units)), key=lambda place: (-total[place], place)):
        found = next((i for i, left in enumerate(room) if left >= total[place]), len(room))
        if found == len(room):
            micro_batches.append([])
            room.append(budget)
        micro_batches[found].append(units[place])
        room[found] -= total[place]
    return micro_batches


@dataclass
class PackedRow:
    """The rows of a micro-batch one after another, S tokens; each lacks its last, which predicts nothing."""

    tokens: Tensor  # [1, S] int64
    positions: Tensor  # [1, S] int64, every row's from 0
    lengths: tuple[int, ...]  # B, of the rows; their sum is S
    kept: Tensor  # [K] int64: where in S the K masked tokens are predicted, row by row
    rows: Tensor  # [K] int64: the row of each


@dataclass
class MicroBatch:
    """B sequences padded on the right to L tokens; predictions start at column `first`.

    Column c of the [B, L−1−first] tensors belongs to the token at position first+1+c, which the
    model predicts from position first+c. Everything before `first` is prompt in every row. With
    `packed` the model reads that in place of `tokens`; the objective sees the same columns.
    """

    tokens: Tensor  # [B, L] int64
    first: int
    mask: Tensor  # [B, L−1−first] bool
    columns: dict[str, Tensor]  # name → [B, L−1−first] float32
    temperatures: Tensor  # [B] float32
    scales: Tensor  # [B] float32
    unit: int  # rows i·unit … (i+1)·unit − 1 belong together
    reference_logits: bool  # whether the objective reads those
    packed: PackedRow | None


def collate(
    batch: TrainingBatch, rows: Sequence[int], device: torch.device, packing: bool = False
) -> MicroBatch:
    """Pad the rows of a batch together. No rows give one unit of two tokens that nothing is trained on.

    Padding on the right needs no attention mask: a causal model never looks at it.
    """
    length = max((len(batch.tokens[i]) for i in rows), default=2)
    shape = (len(rows) or batch.unit, length)
    tokens = np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=bool)
    columns = {name: np.zeros(shape, dtype=np.float32) for name in batch.columns}
    temperatures = np.ones(shape[0], dtype=np.float32)
    scales = np.zeros(shape[0], dtype=np.float32)
    for row, i in enumerate(rows):
        end = len(batch.tokens[i])
        tokens[row, :end] = batch.tokens[i]
        mask[row, :end] = batch.mask[i]
        for name, column in columns.items():
            column[row, :end] = batch.columns[name][i]
        temperatures[row] = batch.temperatures[i]
        scales[row] = batch.scales[i]
    trained_columns = np.flatnonzero(mask.any(axis=0))
    first = int(trained_columns[0]) - 1 if trained_columns.size else length - 2

    def predictions(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array[:, first + 1 :]).to(device)

    return MicroBatch(
        tokens=torch.from_numpy(tokens).to(device),
        first=first,
        mask=predictions(mask),
        columns={name: predictions(column) for name, column in columns.items()},
        temperatures=torch.from_numpy(temperatures).to(device),
        scales=torch.from_numpy(scales).to(device),
        unit=batch.unit,
        reference_logits=batch.reference_logits,
        packed=_pack(tokens, mask, [len(batch.tokens[i]) for i in rows], device) if packing else None,
    )


def _pack(tokens: np.ndarray, mask: np.ndarray, lengths: Sequence[int], device: torch.device) -> PackedRow:
    """The same rows, given as padded arrays [B, L], without their padding."""
    inputs = np.array(lengths or [tokens.shape[1]] * tokens.shape[0]) - 1
    there = np.arange(tokens.shape[1]) < inputs[:, None]
    starts = np.cumsum(inputs) - inputs
    rows, places = np.nonzero(mask)

    def tensor(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device)

    return PackedRow(
        tokens=tensor(tokens[there])[None],
        positions=tensor(np.nonzero(there)[1])[None],
        lengths=tuple(inputs.tolist()),
        kept=tensor(starts[rows] + places - 1),
        rows=tensor(rows),
    )
