"""Mid-training: next-token loss on the whole of packed worked answers.

Source: stage 1 of Phi-4-Mini-Reasoning, arXiv 2504.21233. A batch is a number of rows of fixed length, each
filled with as many traces as fit. The learner restricts attention to within a trace.
"""

from __future__ import annotations

from collections.abc import Sequence

from rlvr.base.keys import key
from rlvr.stages.batches import supervised_batch
from rlvr.stages.config import SftConfig
from rlvr.stages.sft import Encode, Sft
from rlvr.traces.traces import Trace
from rlvr.types import TrainingBatch


class MidTraining(Sft):
    """`batch_size` counts rows of `row_tokens` tokens (model.max_length when unset)."""

    def __init__(
        self,
        traces: Sequence[Trace],
        encode: Encode,
        settings: SftConfig,
        seed: int,
        max_length: int,
        row_tokens: int | None = None,
    ) -> None:
        super().__init__(traces, encode, settings, seed, max_length)
        # prompts are learned, too; only the first token of a sequence is not predicted
        self.examples, self.held_back = ([_whole(e) for e in es] for es in (self.examples, self.held_back))
        self.row_tokens = row_tokens or max_length
        self.batches: list[list[int]] = []  # indices of the examples of each batch, epoch after epoch
        self.first: list[int] = []  # number of each epoch's first batch
        self._pack_epoch()

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of the first epoch; others have another order, so may have one more or less."""
        return self.first[1] if len(self.first) > 1 else len(self.batches)

    def batch(self, step: int) -> TrainingBatch:
        while step >= len(self.batches):
            self._pack_epoch()
        return supervised_batch([self.examples[index] for index in self.batches[step]])

    def _pack_epoch(self) -> None:
        """Pack the examples of the next epoch into rows, in an order keyed by the epoch."""
        epoch = len(self.first)
        self.first.append(len(self.batches))
        order = sorted(range(len(self.examples)), key=lambda i: key(self.seed, "packing", epoch, i))
        rows: list[list[int]] = []
        room = 0
        for index in order:
            length = sum(map(len, self.examples[index]))
            if length > room:
                rows.append([])
                room = self.row_tokens
            rows[-1].append(index)
            room -= length
        size = self.settings.batch_size
        self.batches += [
            [index for row in rows[start : start + size] for index in row]
            for start in range(0, len(rows), size)
        ]


def _whole(example: tuple[list[int], list[int]]) -> tuple[list[int], list[int]]:
    """The example with its first token as the prompt, and all others to be learned."""
    tokens = example[0] + example[1]
    return tokens[:1], tokens[1:]
