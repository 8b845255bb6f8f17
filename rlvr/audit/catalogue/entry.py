"""What a kind of answer is to the catalogue: golds of typed data, and ways to write them anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal, Protocol

from rlvr.verify.kinds import Kind


class Gold(Protocol):
    """A reference answer as typed data: `text` is how it is written, `value` what it means."""

    @property
    def text(self) -> str: ...

    @property
    def value(self) -> Hashable: ...


Written = Gold | str | None
Writer = Callable[[Any, Random], Written]


@dataclass(frozen=True)
class Rewriting:
    """One way to write an answer of `kind` anew, which keeps its value or changes it."""

    name: str
    kind: Kind
    keeps: bool
    write: Callable[[Any, Random], str | None]

    @property
    def half(self) -> Literal["a", "b"]:
        """Rules may be tuned on the rewritings of half a, and are tried on those of half b."""
        return "ab"[hashlib.sha256(self.name.encode()).digest()[0] % 2]  # type: ignore[return-value]


@dataclass(frozen=True)
class Entry:
    """A kind of the catalogue.

    `draw` makes a gold; `read` reads one from the usual ways to write it, None for anything else.
    A writer returns text; a changed gold, whose text is taken if its value did change; or None
    where it does not apply.
    """

    kind: Kind
    draw: Callable[[Random], Gold]
    read: Callable[[str], Gold | None]
    keeps: Mapping[str, Writer]
    changes: Mapping[str, Writer]

    def rewritings(self) -> tuple[Rewriting, ...]:
        kept = [Rewriting(name, self.kind, True, keeping(write)) for name, write in self.keeps.items()]
        changed = [Rewriting(name, self.kind, False, changing(write)) for name, write in self.changes.items()]
        return (*kept, *changed)


def keeping(write: Writer) -> Callable[[Gold, Random], str | None]:
    """`write` as text, None where it writes nothing new. A gold of another value is a mistake in it."""

    def written(gold: Gold, rng: Random) -> str | None:
        found = write(gold, rng)
        if found is not None and not isinstance(found, str):
            assert found.value == gold.value, (gold, found)
            found = found.text
        return found if found is not None and found != gold.text else None

    return written


def changing(write: Writer) -> Callable[[Gold, Random], str | None]:
    """`write` as text, None where the value stays the same."""

    def written(gold: Gold, rng: Random) -> str | None:
        found = write(gold, rng)
        if found is not None and not isinstance(found, str):
            found = found.text if found.value != gold.value else None
        return found if found is not None and found != gold.text else None

    return written


@dataclass(frozen=True)
class Text:
    """A gold of which no more than its text is known."""

    text: str

    @property
    def value(self) -> str:
        return self.text


# --- what may be done to any answer ---------------------------------------------------------------------

# Of an answer that is mathematics.
MATH: Mapping[str, Writer] = {
    "in dollars": lambda gold, rng: f"${gold.text}$" if "$" not in gold.text else None,
    "in double dollars": lambda gold, rng: f"$${gold.text}$$" if "$" not in gold.text else None,
    "in \\( \\)": lambda gold, rng: rf"\({gold.text}\)" if "$" not in gold.text else None,
    "in \\[ \\]": lambda gold, rng: rf"\[ {gold.text} \]" if "$" not in gold.text else None,
    "in a box": lambda gold, rng: rf"\boxed{{{gold.text}}}",
    "trailing period": lambda gold, rng: f"{gold.text}.",
    "white space around": lambda gold, rng: f"  {gold.text}\n",
    "\\displaystyle": lambda gold, rng: rf"\displaystyle {gold.text}",
    "thin space before": lambda gold, rng: rf"\,{gold.text}",
}

# Of an answer that is words or signs.
WORDS: Mapping[str, Writer] = {
    "\\text": lambda gold, rng: rf"\text{{{gold.text}}}",
    "\\textbf": lambda gold, rng: rf"\textbf{{{gold.text}}}",
    "\\mathrm": lambda gold, rng: rf"\mathrm{{{gold.text}}}" if " " not in gold.text else None,
    "in a box": lambda gold, rng: rf"\boxed{{{gold.text}}}",
    "bold of Markdown": lambda gold, rng: f"**{gold.text}**",
    "\\text in dollars": lambda gold, rng: rf"$\text{{{gold.text}}}$" if "$" not in gold.text else None,
    "trailing period": lambda gold, rng: f"{gold.text}.",
    "white space around": lambda gold, rng: f"  {gold.text}\n",
}
