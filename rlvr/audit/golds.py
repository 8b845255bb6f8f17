"""Reference answers ("golds"), as the audit reads them: their kind, and their value by the catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from rlvr.audit.catalogue import CATALOGUE
from rlvr.audit.catalogue import Gold as Data
from rlvr.audit.catalogue.entry import Entry
from rlvr.audit.catalogue.reading import bare, read_as_text, read_data
from rlvr.audit.catalogue.several import Items
from rlvr.types import Problem
from rlvr.verify.kinds import Kind
from rlvr.verify.reference import read_reference

Answer = tuple[str, str]  # the name of a change to a reference, and the changed answer

NUMBERS = (Kind.INTEGER, Kind.DECIMAL, Kind.FRACTION)
# kinds in which two references with different data are certainly different answers
_DISTINCT = (
    *NUMBERS, Kind.PERCENT, Kind.MONEY, Kind.DATE, Kind.TIME, Kind.DURATION, Kind.RANGE, Kind.RATIO,
    Kind.IDENTIFIER, Kind.CHOICE, Kind.YES_NO, Kind.TEXT,
)  # fmt: skip
_ORDERED = re.compile(r"\border|increasing|decreasing|ascending|descending|respectively", re.IGNORECASE)


@dataclass(frozen=True)
class Gold:
    """A reference answer, as it would be written in a box.

    `doubt` says how its kind is ambiguous, "" if it is not. `data` is what the catalogue's `entry` reads
    from it.
    """

    text: str
    kind: Kind
    doubt: str
    entry: Entry
    data: Data


def stated_kind(problem: Problem, functions: Mapping[str, Mapping[str, Any]]) -> Kind | None:
    """The kind of the problem's reference, as stated by a reward's configuration: its setting `kind`, or
    the problem's column `kind` if the reward reads it. None if no kind is stated."""
    for settings in functions.values():
        column = problem.columns.get("kind") if "kind" in (settings.get("columns") or ()) else None
        if stated := column or settings.get("kind"):
            return Kind(str(stated))
    return None


def read_gold(answer: str, kind: Kind | None = None) -> Gold:
    """Reads the reference `answer` as the stated `kind`, or as the kind that its text suggests.

    Raises DataError only if it cannot be read as the stated kind.
    """
    text = bare(answer)
    reference = read_reference(text, kind)
    if reference.doubt:  # which changes are right or wrong depends on the ambiguous kind
        entry, data = read_as_text(reference.kind, text)
    else:
        entry, data = read_data(reference.kind, text)
    return Gold(text, reference.kind, reference.doubt, entry, data)


def rewritings(gold: Gold, question: str) -> list[Answer]:
    """Rewritings of `gold` with undisputedly the same meaning.

    A list is permuted unless the question mentions an order.
    """
    answers = dict(_written(gold, keeps=True))
    if gold.data.text != gold.text:
        answers["usual form"] = gold.data.text
    if isinstance(gold.data, Items) and gold.kind is Kind.LIST and not _ORDERED.search(question):
        answers |= {f"{name} list": answer for name, answer in _permuted(gold)}
    return list(answers.items())


def near_misses(gold: Gold, others: Sequence[Gold]) -> list[Answer]:
    """Wrong answers that are similar to `gold`, by its kind.

    `others` are reference answers of other problems, in random order: the first one of the same kind
    with a different value is included, if the kind allows to compare values.
    """
    misses = _written(gold, keeps=False)
    if gold.kind in _DISTINCT and not gold.doubt:
        another = (other for other in others if _differs(gold, other))
        misses += [("answer of another problem", other.text) for other in another][:1]
    return [
        (name, answer) for name, answer in misses if "".join(answer.split()) != "".join(gold.text.split())
    ]


def _written(gold: Gold, keeps: bool) -> list[Answer]:
    answers = []
    for rewriting in gold.entry.rewritings():
        if rewriting.keeps == keeps:
            answer = rewriting.write(gold.data, Random(f"{gold.text} {rewriting.name}"))
            if answer is not None and answer != gold.text:
                answers.append((rewriting.name, answer))
    return answers


def _permuted(gold: Gold) -> list[Answer]:
    """The permutations that the catalogue makes of a set."""
    writers = CATALOGUE[Kind.SET].keeps
    names = ("rotated", "shuffled")
    written = [(name, writers[name](gold.data, Random(f"{gold.text} {name}"))) for name in names]
    return [(name, data.text) for name, data in written if data is not None and not isinstance(data, str)]


def _differs(gold: Gold, other: Gold) -> bool:
    same_reader = type(other.data) is type(gold.data) and other.kind is gold.kind and not other.doubt
    return same_reader and other.data.value != gold.data.value
