"""Splits a problem source into a training and a held-out part, such as a file of 50 to 200 problems."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import islice

from rlvr.base.keys import key
from rlvr.base.targets import known_names
from rlvr.types import ConfigError, DataError, Problem

PARTS = ("train", "heldout")


def part(
    problems: list[Problem],
    part: str = "train",
    share: float = 0.25,
    seed: int = 0,
    overlap_words: int | None = None,
) -> list[Problem]:
    """The problems of one part of a split, in their order: a problem source that wraps another one.

        _target_: rlvr.problems.split.part
        part: heldout
        share: 0.25
        problems: {_target_: rlvr.problems.files.from_file, path: mine.jsonl}

    share: the held-out share of all problems; the number is exact, up to rounding.
    seed: selects the held-out problems by a hash of (seed, text), so order and ids do not matter.
    overlap_words: problems that share this many words in a row are in the same part, and so are all that such
        problems connect; all numbers are one word. For sets with variants of a text, such as SVAMP: a
        held-out problem would otherwise be half known from training.

    Problems whose texts differ only in white space are in the same part. If what must stay together makes the
    exact number impossible, fewer are held out. With the same source and arguments, every problem is in
    exactly one of "train" and "heldout". Raises ConfigError for arguments out of range, DataError if a part
    would be empty.
    """
    if part not in PARTS:
        raise ConfigError(f"no part {part!r}; {known_names(part, PARTS)}")
    if not 0 < share < 1:
        raise ConfigError(f"share is {share}, but must be above 0 and below 1")
    if overlap_words is not None and (not isinstance(overlap_words, int) or overlap_words < 1):
        raise ConfigError(f"overlap_words is {overlap_words!r}, but must be a whole number of at least 1")
    texts = [" ".join(problem.text.split()) for problem in problems]
    names = texts if overlap_words is None else _connected(texts, overlap_words)
    heldout: set[str] = set()
    sizes: dict[str, int] = {}
    for name in names:
        sizes[name] = sizes.get(name, 0) + 1
    room = wanted = math.floor(share * len(problems) + 0.5)
    for name in sorted(sizes, key=lambda name: (key("part", seed, name), name)):
        if sizes[name] <= room:
            heldout.add(name)
            room -= sizes[name]
    if not 0 < wanted - room < len(problems):
        raise DataError(
            f"a share of {share} holds out {wanted - room} of {len(problems)} problems ({len(sizes)} "
            "groups that stay together), which leaves a part empty: change the share, or add problems"
        )
    return [
        problem
        for problem, name in zip(problems, names, strict=True)
        if (name in heldout) == (part == "heldout")
    ]


def _connected(texts: Sequence[str], n: int) -> list[str]:
    """For each text the first, in alphabetical order, of the texts that shared runs of n words connect to it.

    Case, punctuation and the values of numbers do not count; a text of fewer than n words is one run.
    """
    parents = {text: text for text in texts}

    def root(text: str) -> str:
        while parents[text] != text:
            parents[text] = parents[parents[text]]
            text = parents[text]
        return text

    owners: dict[tuple[str, ...], str] = {}
    for text in parents:
        words = re.findall(r"\w+", re.sub(r"\d+(?:[.,]\d+)*", "0", text.casefold()))
        width = min(n, len(words))
        for run in zip(*(islice(words, start, None) for start in range(width)), strict=False):
            one, other = sorted((root(text), root(owners.setdefault(run, text))))
            parents[other] = one
    return [root(text) for text in texts]
