"""Splitting a batch into micro-batches under a token budget, padded or packed, identically on all ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rlvr.learner.packing import Layout
from rlvr.types import BoolArray, IntArray, TrainingBatch

Places = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Prompt:
    """The tokens of a sequence before the first one that is trained on."""

    number: int  # equal for equal tokens
    length: int  # 0 if nothing is trained on


def prompts_of(tokens: Sequence[IntArray], masks: Sequence[BoolArray]) -> list[Prompt]:
    """The prompts of sequences N × [T], numbered in order of first appearance."""
    numbers: dict[bytes, int] = {}
    prompts = []
    for row, (own, mask) in enumerate(zip(tokens, masks, strict=True)):
        length = int(mask.argmax()) if mask.any() else 0
        name = own[:length].tobytes() if length else b"alone %d" % row
        prompts.append(Prompt(numbers.setdefault(name, len(numbers)), length))
    return prompts


def plan_micro_batches(
    lengths: Sequence[int],
    budget: int,
    workers: int,
    unit: int = 1,
    packing: bool = False,
    prompts: Sequence[Prompt] | None = None,
) -> list[list[list[int]]]:
    """Distribute sequences as rank → micro-batches → indices into `lengths`.

    Padded: sequences of similar length go together, with rows × longest ≤ `budget`. Packed: they go where
    there is room, with the sum of lengths ≤ `budget`; if `prompts` are given, a shared prompt counts once,
    and its sequences go together as far as they fit. A sequence longer than the budget gets its own
    micro-batch. Every `unit` consecutive sequences stay together, in order. All ranks get the same number
    of micro-batches (otherwise collectives would deadlock), some of them empty if need be, and about the
    same number of tokens, padding included.
    """
    units = [range(start, start + unit) for start in range(0, len(lengths), unit)]
    if prompts is None:
        prompts = [Prompt(row, 0) for row in range(len(lengths))]
    cut = _packed(lengths, units, budget, prompts) if packing else _padded(lengths, units, budget)
    micro_batches = [[i for rows in chosen for i in rows] for chosen in cut]

    def tokens(micro_batch: list[int]) -> int:
        own = [lengths[i] for i in micro_batch]
        return _Room(lengths, prompts).added(micro_batch) if packing else len(own) * max(own)

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
    """In order of decreasing length, add each unit to the last micro-batch if it fits."""
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


def _packed(
    lengths: Sequence[int], units: Sequence[range], budget: int, prompts: Sequence[Prompt]
) -> list[list[range]]:
    """Pack the units of each prompt into pieces under the budget, then pack the pieces."""
    families: dict[int, list[list[range]]] = {}
    for rows in units:
        families.setdefault(prompts[rows[0]].number, []).append([rows])
    pieces = [piece for family in families.values() for piece in _first_fit(lengths, family, budget, prompts)]
    return _first_fit(lengths, pieces, budget, prompts)


def _first_fit(
    lengths: Sequence[int], pieces: Sequence[list[range]], budget: int, prompts: Sequence[Prompt]
) -> list[list[range]]:
    """In order of decreasing length, add each piece to the first micro-batch with room for it."""
    rows = [[i for unit in piece for i in unit] for piece in pieces]
    total = [_Room(lengths, prompts).added(own) for own in rows]
    micro_batches: list[list[range]] = []
    rooms: list[_Room] = []
    for place in sorted(range(len(pieces)), key=lambda place: (-total[place], place)):
        fits = (i for i, room in enumerate(rooms) if room.used + room.added(rows[place]) <= budget)
        found = next(fits, len(rooms))
        if found == len(rooms):
            micro_batches.append([])
            rooms.append(_Room(lengths, prompts))
        micro_batches[found].extend(pieces[place])
        rooms[found].take(rows[place])
    return micro_batches


class _Room:
    """The tokens of a packed micro-batch, each prompt counted once."""

    def __init__(self, lengths: Sequence[int], prompts: Sequence[Prompt]) -> None:
        self.lengths, self.prompts = lengths, prompts
        self.used = 0
        self.there: set[int] = set()  # prompts

    def added(self, rows: Sequence[int]) -> int:
        """The number of tokens that these rows would add."""
        new = {self.prompts[i].number: self.prompts[i].length for i in rows}
        behind = sum(self.lengths[i] - self.prompts[i].length for i in rows)
        return behind + sum(length for number, length in new.items() if number not in self.there)

    def take(self, rows: Sequence[int]) -> None:
        self.used += self.added(rows)
        self.there |= {self.prompts[i].number for i in rows}


@dataclass
class PackedRow:
    """The rows of a micro-batch, each without its last token, which predicts nothing, as one row of S tokens.

    Rows with a prompt of their own come first; then each shared prompt, followed by the rest of its rows.
    """

    tokens: Tensor  # [1, S] int64
    positions: Tensor  # [1, S] int64, from 0 in every row
    layout: Layout


@dataclass
class MicroBatch:
    """B sequences padded on the right to L tokens; predictions start at column `first`.

    Column c of the [B, L−1−first] tensors belongs to the token at position first+1+c, which the
    model predicts from position first+c. Everything before `first` is prompt in every row. If `packed` is
    set, the model reads it instead of `tokens`; the objective reads the same columns.
    """

    tokens: Tensor  # [B, L] int64
    first: int
    mask: Tensor  # [B, L−1−first] bool
    columns: dict[str, Tensor]  # name → [B, L−1−first] float32
    temperatures: Tensor  # [B] float32
    scales: Tensor  # [B] float32
    unit: int  # rows i·unit … (i+1)·unit − 1 belong together
    reference_logits: bool  # whether the objective reads the reference's logits
    rows: Tensor  # [K] int64: the row of each masked token, in the order of `mask.nonzero()`
    targets: Tensor  # [K] int64: these tokens
    kept: Tensor  # [K] int64: index from which each is predicted, in S or in the flattened [B, L−1−first]
    sampling_mask: Tensor | None  # [K, M] int64: the ids of each token's set, filled up with −1; None: sets
    #                               are the whole vocabulary
    packed: PackedRow | None


def collate(
    batch: TrainingBatch, rows: Sequence[int], device: torch.device, packing: bool = False
) -> MicroBatch:
    """Pad these rows of a batch to one length. Without rows, a dummy unit of two tokens, none trained on.

    Padding on the right needs no attention mask: a causal model never attends to it.
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
    of_row, places = np.nonzero(mask)
    packed, kept = None, of_row * (length - 1 - first) + places - 1 - first
    if packing:
        packed, kept = _pack(batch, rows, of_row, places, device)

    def tensor(array: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(device)

    def predictions(array: npt.NDArray[Any]) -> Tensor:
        return tensor(array[:, first + 1 :])

    return MicroBatch(
        tokens=tensor(tokens),
        first=first,
        mask=predictions(mask),
        columns={name: predictions(column) for name, column in columns.items()},
        temperatures=tensor(temperatures),
        scales=tensor(scales),
        unit=batch.unit,
        reference_logits=batch.reference_logits,
        rows=tensor(of_row),
        targets=tensor(tokens[of_row, places]),
        kept=tensor(kept),
        sampling_mask=None if batch.sampling_masks is None else tensor(_sampling_mask(batch, rows)),
        packed=packed,
    )


def _sampling_mask(batch: TrainingBatch, rows: Sequence[int]) -> Places:
    """`MicroBatch.sampling_mask` of these rows."""
    assert batch.sampling_masks is not None
    ids: list[npt.NDArray[Any]] = [np.zeros(0, np.int64)]
    sizes: list[npt.NDArray[Any]] = [np.zeros(0, np.int64)]
    for i in rows:
        mask, trained = batch.sampling_masks[i], batch.mask[i]
        ids.append(mask.ids[np.repeat(trained, mask.sizes)])
        sizes.append(mask.sizes[trained])
    of_token = np.concatenate(sizes)
    sets = np.full((len(of_token), of_token.max(initial=1)), -1)
    sets[np.arange(sets.shape[1]) < of_token[:, None]] = np.concatenate(ids)
    return sets


def _pack(
    batch: TrainingBatch, rows: Sequence[int], of_row: Places, places: Places, device: torch.device
) -> tuple[PackedRow, Places]:
    """The packed row, and for the tokens at `places` of rows `of_row` the indices that predict them."""
    inputs = [batch.tokens[i][:-1] for i in rows] or [np.zeros(1, np.int32)] * batch.unit
    families: dict[int, list[int]] = {}
    prompts = prompts_of([batch.tokens[i] for i in rows], [batch.mask[i] for i in rows])
    for row, prompt in enumerate(prompts):
        families.setdefault(prompt.number, []).append(row)
    alone = [own[0] for own in families.values() if len(own) == 1] if rows else list(range(batch.unit))
    shared = [sorted(own, key=lambda row: -len(inputs[row])) for own in families.values() if len(own) > 1]
    layout = []
    where = [np.zeros(0, np.int64)] * len(inputs)  # index of each row's tokens in the packed row
    end = 0
    for own in ([alone] if alone else []) + shared:
        length, start = 0 if own is alone else prompts[own[0]].length, end
        end += length
        behind = [len(inputs[row]) - length for row in own]
        for row, more in zip(own, behind, strict=True):
            where[row] = np.concatenate([np.arange(start, start + length), np.arange(end, end + more)])
            end += more
        layout.append((length, [more for more in behind if more]))
    tokens, positions = np.zeros((2, 1, end), np.int64)
    for row, here in enumerate(where):
        tokens[0, here], positions[0, here] = inputs[row], np.arange(len(here))
    starts = np.cumsum([0, *(len(here) for here in where)])
    row_of, place_of = (torch.from_numpy(array).to(device) for array in (tokens, positions))
    packed = PackedRow(row_of, place_of, Layout(layout))
    return packed, np.concatenate(where)[starts[of_row] + places - 1]
