"""Reference answers of a data set, read for the catalogue."""

from __future__ import annotations

import re

from rlvr.audit.catalogue import CATALOGUE
from rlvr.audit.catalogue.entry import MATH, WORDS, Entry, Gold, Text
from rlvr.verify.kinds import Kind

_BOX = re.compile(r"^\\(?:boxed|fbox)\s*\{(.*)\}$", re.DOTALL)
_IN_WORDS = (Kind.TEXT, Kind.DATE, Kind.TIME, Kind.DURATION, Kind.RANGE, Kind.RATIO, Kind.IDENTIFIER)


def bare(answer: str) -> str:
    """`answer` as it would stand in a box: without one, without dollars around and a period at its end."""
    text = answer.strip()
    if boxed := _BOX.match(text):
        text = boxed.group(1).strip()
    if len(text) > 1 and text[0] == text[-1] == "$" and "$" not in text[1:-1]:
        text = text.strip("$").strip()
    return text.removesuffix(".")


def read_data(kind: Kind, text: str) -> tuple[Entry, Gold]:
    """The typed data of `text`, with its entry; of what the catalogue cannot read, the text alone."""
    found = CATALOGUE[kind].read(text)
    return (CATALOGUE[kind], found) if found is not None else read_as_text(kind, text)


def read_as_text(kind: Kind, text: str) -> tuple[Entry, Gold]:
    """A text that is not understood any further, and what may be done to it if it is of `kind`."""
    entry = Entry(
        kind,
        draw=lambda rng: Text(""),
        read=Text,
        keeps=WORDS if kind in _IN_WORDS else {**MATH, "\\dfrac for \\frac": _dfrac},
        changes={
            # exponents and indices may be those of a unit or a name
            "first digit changed": lambda gold, rng: re.sub(
                r"(?<![\^_{])\d", lambda digit: str(int(digit[0]) % 9 + 1), gold.text, count=1
            )
        },
    )
    return entry, Text(text)


def _dfrac(gold: Gold, rng: object) -> str:
    return gold.text.replace(r"\frac", r"\dfrac")
