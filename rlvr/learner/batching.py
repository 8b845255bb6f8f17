"""How a batch is cut into micro-batches: by length, under a token budget, the same for all ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rlvr.types import TrainingBatch


def plan_micro_batches(lengths: Sequence[int], budget: int, workers: int) -> list[list[list[int]]]:
    """Share sequences out as rank → micro-batches → indices into `lengths`.

    Sequences of similar length go together, so that padding is small: rows × longest ≤ `budget`,
    or one row where a single sequence is longer than that. Every rank gets the same number of
    micro-batches (collectives would wait for ever otherwise), an empty one where it has less to
    do, and about the same number of padded tokens.
    """
    by_length = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    micro_batches: list[list[int]] = []
    for index in by_length:
        rows = len(micro_batches[-1]) + 1 if micro_batches else 0
        if rows and rows * lengths[micro_batches[-1][0]] <= budget:
            micro_batches[-1].append(index)
        else:
            micro_batches.append([index])

    def padded_tokens(micro_batch: list[int]) -> int:
        return len(micro_batch) * lengths[micro_batch[0]]

    plan: list[list[list[int]]] = [[] for _ in range(workers)]
    load = [0] * workers
    rounds = -(-len(micro_batches) // workers)
    for micro_batch in sorted(micro_batches, key=padded_tokens, reverse=True):
        rank = min((r for r in range(workers) if len(plan[r]) < rounds), key=lambda r: (load[r], r))
        plan[rank].append(micro_batch)
        load[rank] += padded_tokens(micro_batch)
    for rank_plan in plan:
        rank_plan.extend([] for _ in range(rounds - len(rank_plan)))
    return plan


@dataclass
class MicroBatch:
    """B sequences padded on the right to L tokens; predictions start at column `first`.

    Column c of the [B, L−1−first] tensors belongs to the token at position first+1+c, which the
    model predicts from position first+c. Everything before `first` is prompt in every row.
    """

    tokens: Tensor  # [B, L] int64
    first: int
    mask: Tensor  # [B, L−1−first] bool
    columns: dict[str, Tensor]  # name → [B, L−1−first] float32
    temperatures: Tensor  # [B] float32
    scales: Tensor  # [B] float32


def collate(batch: TrainingBatch, rows: Sequence[int], device: torch.device) -> MicroBatch:
    """Pad the rows of a batch together. No rows give one token that nothing is trained on.

    Padding on the right needs no attention mask: a causal model never looks at it.
    """
    length = max((len(batch.tokens[i]) for i in rows), default=2)
    shape = (max(len(rows), 1), length)
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
    )
