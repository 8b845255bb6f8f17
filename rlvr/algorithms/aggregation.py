"""How token losses are averaged: a scale for every sequence of a batch.

The loss of a batch is Σ_i scale_i Σ_t loss_it; the scales contain the normalization over the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence

AGGREGATIONS = ("token", "sequence", "constant")


def scales(lengths: Sequence[int], aggregation: str, max_length: int) -> list[float]:
    """One scale per sequence; `lengths` are the numbers of trained tokens per sequence.

    `token`: 1 / all tokens, the mean over tokens (DAPO). `sequence`: 1 / (its tokens · sequences), the
    mean over sequences of their means (GRPO). `constant`: 1 / (max_length · sequences), a sum over
    tokens that does not favour short wrong answers (Dr. GRPO). A sequence without tokens still counts in
    the number of sequences.
    """
    if aggregation == "token":
        return [1 / max(sum(lengths), 1) for _ in lengths]
    if aggregation == "sequence":
        return [1 / (max(length, 1) * len(lengths)) for length in lengths]
    return [1 / (max_length * len(lengths)) for _ in lengths]
