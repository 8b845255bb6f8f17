"""Random keys: a stable hash of what the randomness is for, instead of a position in a stream."""

from __future__ import annotations

import hashlib
import operator


def key(*parts: int | str) -> int:
    """A number in [0, 2³¹) that depends on `parts` alone: on their values, types and order.

    The same in every process, on every platform and Python version, and small enough for every
    generator's seed. Use it as `key(seed, step, problem.id, sample)`: then a random choice does
    not depend on which work came before it. A part that is neither a whole number nor a string
    raises TypeError.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        tag, text = ("s", part) if isinstance(part, str) else ("i", str(operator.index(part)))
        data = text.encode()
        digest.update(f"{tag}{len(data)}:".encode() + data)
    return int.from_bytes(digest.digest(), "big") >> 33
