"""Log-probabilities of a fixed set of answers under the reference model, in pieces.

Each piece is written as soon as it is computed, under a name that is a hash of all that it depends on. A run
that was killed continues with the next piece, and a piece of other answers or of another model is never read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from rlvr.base.files import atomic_write
from rlvr.base.identity import model_fingerprint
from rlvr.types import FloatArray, TrainingBatch

FOLDER = "reference"  # in the folder of the stage


def reference_logprobs(
    folder: Path,
    model: str,
    pieces: Iterable[TrainingBatch],
    compute: Callable[[TrainingBatch], list[FloatArray]],
) -> list[FloatArray]:
    """The log-probabilities [T] of every row of all pieces: float32, on the disk until they are read.

    `model` is the path of the reference model. `compute` returns them for a piece that is not in `folder`.
    """
    fingerprint = model_fingerprint(model)
    rows: list[FloatArray] = []
    for piece in pieces:
        path = folder / f"{_name(fingerprint, piece)}.npy"
        if not path.exists():
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                np.save(file, np.concatenate(compute(piece)).astype(np.float32))
        ends = np.cumsum([len(tokens) for tokens in piece.tokens])
        rows += np.split(np.asarray(np.load(path, mmap_mode="r")), ends[:-1])
    return rows


def _name(model: str, piece: TrainingBatch) -> str:
    digest = hashlib.sha256(model.encode())
    for tokens, mask in zip(piece.tokens, piece.mask, strict=True):
        digest.update(b"%d " % len(tokens) + tokens.tobytes() + mask.tobytes())
    return digest.hexdigest()[:32]
