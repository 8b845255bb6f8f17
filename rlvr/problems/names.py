"""What to say about a name that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def known_names(name: str, known: Iterable[str]) -> str:
    """One sentence with the names there are and, where one is close to `name`, which was meant.

    >>> known_names("awnser", ["answer", "level"])
    "there are: answer, level; did you mean 'answer'?"
    """
    names = [str(other) for other in known]
    close = difflib.get_close_matches(name, names, n=1)
    listed = f"there are: {', '.join(names)}" if names else "there are none"
    return f"{listed}; did you mean {close[0]!r}?" if close else listed
