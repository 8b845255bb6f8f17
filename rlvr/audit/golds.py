"""Reference answers, as the audit reads them: their kind, and what the catalogue knows of them."""

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

Answer = tuple[str, str]  # what was done to a reference, and the answer that came of it

NUMBERS = (Kind.INTEGER, Kind.DECIMAL, Kind.FRACTION)
# of which another reference is surely another answer, if its data differ
_TOLD_APART = (
    *NUMBERS, Kind.PERCENT, Kind.MONEY, Kind.DATE, Kind.TIME, Kind.DURATION, Kind.RANGE, Kind.RATIO,
    Kind.IDENTIFIER, Kind.CHOICE, Kind.YES_NO, Kind.TEXT,
)  # fmt: skip
_ORDERED = re.compile(r"\border|increasing|decreasing|ascending|descending|respectively", re.IGNORECASE)


@dataclass(frozen=True)
class Gold:
    """A reference answer, as it would stand in a box.

    `doubt` says what its text leaves open about its kind, "" for nothing. `data` is what `entry` of the
    catalogue reads in it.
    """

    text: str
    kind: Kind
    doubt: str
    entry: Entry
    data: Data


def stated_kind(problem: Problem, functions: Mapping[str, Mapping[str, Any]]) -> Kind | None:
    """The kind of the problem's reference that the configuration of a reward states: its setting `kind`,
    or the column of that name where it asks for it. None where nothing is stated."""
    for settings in functions.values():
        column = problem.columns.get("kind") if "kind" in (settings.get("columns") or ()) else None
        if stated := column or settings.get("kind"):
            return Kind(str(stated))
    return None


def read_gold(answer: str, kind: Kind | None = None) -> Gold:
    """The reference `answer`, of the `kind` that is stated or of the one that its text shows.

    Raises DataError where it cannot be read as the kind that is stated, and never otherwise.
    """
    text = bare(answer)
    reference = read_reference(text, kind)
    if reference.doubt:  # what is right and wrong depends on what cannot be told
        entry, data = read_as_text(reference.kind, text)
    else:
        entry, data = read_data(reference.kind, text)
    return Gold(text, reference.kind, reference.doubt, entry, data)


def rewritings(gold: Gold, question: str) -> list[Answer]:
    """Rewritings of `gold` that mean the same to everybody.

    A list is permuted unless the question speaks of an order.
    """
    found = dict(_written(gold, keeps=True))
    if gold.data.text != gold.text:
        found["usual form"] = gold.data.text
    if isinstance(gold.data, Items) and gold.kind is Kind.LIST and not _ORDERED.search(question):
        found |= {f"{name} list": answer for name, answer in _permuted(gold)}
    return list(found.items())


def near_misses(gold: Gold, others: Sequence[Gold]) -> list[Answer]:
    """Wrong answers near to `gold`, those of its kind.

    `others` are reference answers of other problems, in random order: the first one of the same kind
    that differs is taken for an answer as well. Of what is not understood there are no others.
    """
    found = _written(gold, keeps=False)
    if gold.kind in _TOLD_APART and not gold.doubt:
        another = (other for other in others if _differs(gold, other))
        found += [("answer of another problem", other.text) for other in another][:1]
    return [(name, answer) for name, answer in found if "".join(answer.split()) != "".join(gold.text.split())]


def _written(gold: Gold, keeps: bool) -> list[Answer]:
    found = []
    for rewriting in gold.entry.rewritings():
        if rewriting.keeps == keeps:
            answer = rewriting.write(gold.data, Random(f"{gold.text} {rewriting.name}"))
            if answer is not None and answer != gold.text:
                found.append((rewriting.name, answer))
    return found


def _permuted(gold: Gold) -> list[Answer]:
    """What may be done to the order of a set."""
    writers = CATALOGUE[Kind.SET].keeps
    names = ("rotated", "shuffled")
    written = [(name, writers[name](gold.data, Random(f"{gold.text} {name}"))) for name in names]
    return [(name, found.text) for name, found in written if found is not None and not isinstance(found, str)]


def _differs(gold: Gold, other: Gold) -> bool:
    same_reader = type(other.data) is type(gold.data) and other.kind is gold.kind and not other.doubt
    return same_reader and other.data.value != gold.data.value
