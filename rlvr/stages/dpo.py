"""Rollout DPO: for two rollouts of one problem, the right one is preferred to the wrong one.

Source: stage 3 of Phi-4-Mini-Reasoning, arXiv 2504.21233; the losses are in `rlvr.algorithms.preference`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rlvr.algorithms import preference
from rlvr.base.settings import refuse
from rlvr.problems.order import problems_for_step
from rlvr.stages.batches import preference_batch
from rlvr.stages.config import DpoConfig
from rlvr.stages.sft import Encode, Example, encoded
from rlvr.traces.pairs import pairs
from rlvr.traces.traces import Trace
from rlvr.types import ConfigError, DataError, FloatArray, TrainingBatch

PIECE = 256  # pairs whose reference log-probabilities are computed and saved at a time
LOSSES = {"sigmoid": preference.sigmoid, "ipo": preference.ipo}


def argument_messages(loss: str = "sigmoid", beta: float = 0.1, **others: Any) -> Iterator[str]:
    """What is wrong with the arguments of `RolloutDpo`."""
    if loss not in LOSSES:
        yield f"trainer.loss is {loss!r}, but must be one of: {', '.join(LOSSES)}"
    if beta <= 0:
        yield f"trainer.beta is {beta}, but must be > 0"


class RolloutDpo:
    """A trainer (see `rlvr.stages.sft.Sft`) of pairs; `loss` is sigmoid or ipo, `beta` its strength."""

    uses_reference = True

    def __init__(
        self,
        traces: Sequence[Trace],
        encode: Encode,
        settings: DpoConfig,
        seed: int,
        max_length: int,
        loss: str = "sigmoid",
        beta: float = 0.1,
        length_normalized: bool = False,
    ) -> None:
        refuse(argument_messages(loss, beta))
        self.settings, self.seed = settings, seed
        self.objective = partial(LOSSES[loss], beta=beta, length_normalized=length_normalized)
        made, self.left_out = pairs(traces, settings.pairs, seed)
        self.pairs: list[tuple[Example, Example]] = []
        for pair in made:
            chosen = encoded(pair.chosen, encode, max_length, self.left_out)
            rejected = encoded(pair.rejected, encode, max_length, self.left_out)
            if chosen is not None and rejected is not None:
                self.pairs.append((chosen, rejected))
        if settings.batch_size > len(self.pairs) > 0:
            raise ConfigError(f"batch_size={settings.batch_size}, but there are only {self.size}: lower it")
        if not self.pairs:
            raise DataError(f"no pair is left to train on; left out: {self.left_out}")
        self.reference: list[FloatArray] = []  # log-probabilities [T] of every answer, two per pair

    @property
    def size(self) -> str:
        return f"{len(self.pairs):,} pairs"

    @property
    def steps_per_epoch(self) -> int:
        return -(-len(self.pairs) // self.settings.batch_size)

    def batch(self, step: int) -> TrainingBatch:
        chosen = problems_for_step(len(self.pairs), self.settings.batch_size, step, self.seed)
        batch = preference_batch([self.pairs[index] for index in chosen])
        column = [self.reference[2 * index + row] for index in chosen for row in (0, 1)]
        return replace(batch, columns={**batch.columns, "reference_logprobs": column})

    def pieces(self, size: int = PIECE) -> Iterator[TrainingBatch]:
        """All pairs in order, `size` at a time, to compute the reference log-probabilities."""
        for start in range(0, len(self.pairs), size):
            yield preference_batch(self.pairs[start : start + size])

    def validation(self) -> None:
        """Nothing is held back."""
