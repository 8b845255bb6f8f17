"""One source in two parts: a held-out set from a file of 50 to 200 problems."""

from __future__ import annotations

import math

from rlvr.base.keys import key
from rlvr.base.targets import known_names
from rlvr.types import ConfigError, DataError, Problem

PARTS = ("train", "heldout")


def part(problems: list[Problem], part: str = "train", share: float = 0.25, seed: int = 0) -> list[Problem]:
    """The problems on one side of a split, in their order: a source around another source.

        _target_: rlvr.problems.split.part
        part: heldout
        share: 0.25
        problems: {_target_: rlvr.problems.files.from_file, path: mine.jsonl}

    share: of all problems, those held out: exactly so, rounded, and not by chance.
    seed: decides which, by a hash of (seed, text): the order and the ids of the source do not matter.

    Problems whose texts differ in white space alone are on the same side; if they do not add up to the
    share, fewer are held out. With the same source, share and seed, "train" and "heldout" share no
    problem and leave none out. Raises ConfigError for arguments out of range, DataError where a side
    would be empty.
    """
    if part not in PARTS:
        raise ConfigError(f"no part {part!r}; {known_names(part, PARTS)}")
    if not 0 < share < 1:
        raise ConfigError(f"share is {share}, but must be between 0 and 1, without either")
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
            "different texts), which leaves a side empty: change the share, or add problems"
        )
    return [
        problem
        for problem, text in zip(problems, texts, strict=True)
        if (text in heldout) == (part == "heldout")
    ]
