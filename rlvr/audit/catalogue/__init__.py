"""The catalogue: for every kind of answer, ways to write it anew that keep its value, and that change it."""

from __future__ import annotations

from collections.abc import Mapping

from rlvr.audit.catalogue import (
    amounts,
    expressions,
    intervals,
    names,
    numbers,
    pairs,
    relations,
    several,
    sizes,
    times,
    words,
)
from rlvr.audit.catalogue.entry import Entry, Gold, Rewriting
from rlvr.verify.kinds import Kind

CATALOGUE: Mapping[Kind, Entry] = {
    entry.kind: entry
    for module in (
        numbers,
        amounts,
        times,
        pairs,
        sizes,
        names,
        words,
        several,
        intervals,
        relations,
        expressions,
    )
    for entry in module.ENTRIES
}

__all__ = ["CATALOGUE", "Entry", "Gold", "Rewriting"]
