"""Text for terminals and Markdown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, head first, readable as text: the first column is left-aligned, the others right.

    Pipes are escaped; line breaks become spaces; control characters are left out.
    """
    rows = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        for row in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def _cell(text: str) -> str:
    line = " ".join(text.splitlines())
    shown = "".join(character for character in line if unicodedata.category(character) != "Cc")
    return re.sub(r"(?<!\\)\|", r"\\|", shown)  # one that is escaped already stays as it is


def one_line(text: str, longest: int = 300) -> str:
    """The lines of a message joined by "; ", and cut off after `longest` characters."""
    line = "; ".join(part.strip() for part in text.splitlines() if part.strip())
    return line if len(line) <= longest else f"{line[:longest]}…"
