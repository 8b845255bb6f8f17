"""Splits a problem source into a training and a held-out part, such as a file of 50 to 200 problems."""

from __future__ import annotations

import math

from rlvr.base.keys import key
from rlvr.base.targets import known_names
from rlvr.types import ConfigError, DataError, Problem

PARTS = ("train", "heldout")


def part(problems: list[Problem], part: str = "train", share: float = 0.25, seed: int = 0) -> list[Problem]:
    """The problems of one part of a split, in their order: a problem source that wraps another one.

        _target_: rlvr.problems.split.part
        part: heldout
        share: 0.25
        problems: {_target_: rlvr.problems.files.from_file, path: mine.jsonl}

    share: the held-out share of all problems; the number is exact, up to rounding.
    seed: selects the held-out problems by a hash of (seed, text), so order and ids do not matter.

    Problems whose texts differ only in white space are in the same part; if this makes the exact number
    impossible, fewer are held out. With the same source, share and seed, every problem is in exactly one of
    "train" and "heldout". Raises ConfigError for arguments out of range, DataError if a part would be empty.
    """
    if part not in PARTS:
        raise ConfigError(f"no part {part!r}; {known_names(part, PARTS)}")
    if not 0 < share < 1:
        raise ConfigError(f"share is {share}, but must be above 0 and below 1")
    texts = [" ".join(problem.text.split()) for problem in problems]
    heldout: set[str] = set()
    sizes: dict[str, int] = {}
    for text in texts:
        sizes[text] = sizes.get(text, 0) + 1
    room = wanted = math.floor(share * len(problems) + 0.5)
    for text in sorted(sizes, key=lambda text: (key("part", seed, text), text)):
        if sizes[text] <= room:
            heldout.add(text)
            room -= sizes[text]
    if not 0 < wanted - room < len(problems):
        raise DataError(
            f"a share of {share} holds out {wanted - room} of {len(problems)} problems ({len(sizes)} "
            "different texts), which leaves a part empty: change the share, or add problems"
        )
    return [
        problem
        for problem, text in zip(problems, texts, strict=True)
        if (text in heldout) == (part == "heldout")
    ]
