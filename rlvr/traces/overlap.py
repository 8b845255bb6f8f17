r"""Decontamination: which problems and answers share n-grams of words with an evaluation set.

A text overlaps an evaluation problem if they share n consecutive words, as in the analysis of GPT-3
(arXiv 2005.14165, appendix C, where n is at most 13). Words are those of the repetition reward, after
`normalized`: runs of letters, single digits and single signs. Unlike GPT-3's analysis, signs are kept,
because 2 + 3 is not 2 − 3. As a consequence, a problem with `$x$` and its copy with `\(x\)` share
only the words between such places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rlvr.rewards.repetition import words_of
from rlvr.traces.duplicates import normalized
from rlvr.traces.traces import Trace
from rlvr.types import Problem


@dataclass(frozen=True)
class NgramIndex:
    """The n-grams of the evaluation problems, and the problems that they come from."""

    n: int  # words
    owners: Mapping[str, tuple[str, str]]  # n words, or all of a shorter problem → (set, problem id)
    vocabulary: frozenset[str]  # the words of all problems; n-grams with other words need no look-up


@dataclass(frozen=True, order=True)
class Overlap:
    """The evaluation problem that a text overlaps; of several with these words, the first by set and id."""

    name: str  # of the evaluation set
    id: str  # of its problem
    words: str  # the first shared n-gram


def ngram_index(sets: Mapping[str, Sequence[Problem]], n: int = 13) -> NgramIndex:
    """The n-grams of the problems of evaluation sets (name → problems). Raises ValueError unless n ≥ 1.

    Memory is proportional to n times the number of words in the evaluation sets.
    """
    if n < 1:
        raise ValueError(f"n is {n}, but must be ≥ 1")
    owners: dict[str, tuple[str, str]] = {}
    vocabulary: set[str] = set()
    for name, problems in sets.items():
        for problem in problems:
            words = words_of(normalized(problem.text))
            vocabulary.update(words)
            for gram in _ngrams(words, n):
                owners[gram] = min(owners.get(gram, (name, problem.id)), (name, problem.id))
    return NgramIndex(n, owners, frozenset(vocabulary))


def _ngrams(words: Sequence[str], n: int) -> Iterator[str]:
    """All n-grams; a text with fewer than n words is one n-gram."""
    width = min(n, len(words))
    for end in range(max(1, width), len(words) + 1):
        yield " ".join(words[end - width : end])


def find_overlap(text: str, index: NgramIndex) -> Overlap | None:
    """The first overlap of `text` with an evaluation problem, in time linear in its length.

    A text of fewer than n words overlaps only a problem with exactly the same words.
    """
    words = words_of(normalized(text))
    width = min(index.n, len(words))
    known = 0  # consecutive words up to this one that are in the vocabulary
    for end, word in enumerate(words, 1):
        known = known + 1 if word in index.vocabulary else 0
        if known >= width:
            gram = " ".join(words[end - width : end])
            if gram in index.owners:
                return Overlap(*index.owners[gram], gram)
    return None


def mark_overlaps(
    traces: Sequence[Trace], index: NgramIndex, answers: bool = False
) -> tuple[list[Trace], dict[str, Overlap]]:
    """The traces in their order, with a reason in `dropped` if they overlap; and the overlaps by problem id.

    If a problem overlaps, all its traces are dropped; with `answers`, each answer that overlaps is dropped
    as well. The overlap of a problem id is that of the problem, or the smallest of its answers. Traces
    that were dropped earlier keep their reason.
    """
    problems = {trace.problem.id: trace.problem for trace in traces}
    own = {name: find_overlap(problem.text, index) for name, problem in problems.items()}
    overlaps = {name: overlap for name, overlap in own.items() if overlap is not None}
    marked: list[Trace] = []
    for trace in traces:
        name = trace.problem.id
        overlap = own[name]
        if overlap is None and answers:
            overlap = find_overlap(trace.text, index)
            if overlap is not None:
                overlaps[name] = min(overlaps.get(name, overlap), overlap)
        if overlap is not None and trace.dropped is None:
            trace = replace(trace, dropped=f"overlaps {overlap.name}")
        marked.append(trace)
    return marked, overlaps
