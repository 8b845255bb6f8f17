"""Decides whether letters in a text are products of names, mgh or nRT, or words."""

from __future__ import annotations

import re

from rlvr.verify.tokens import MAX_LETTERS

_RUN = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_VOWEL = re.compile("[aeiouy]", re.IGNORECASE)
_PRODUCT_SIGN = re.compile(r"[-+*/^=_()\\\d]")


def are_symbols(written: str) -> bool:
    """Whether the letters in a text cannot be words: no vowel, or a capital inside."""
    runs = _RUN.findall(written)
    formula = (len(runs) == 1 and runs[0] == written) or bool(_PRODUCT_SIGN.search(written))
    return formula and bool(runs) and all(_is_symbolic(run, run == written) for run in runs)


def _is_symbolic(run: str, alone: bool) -> bool:
    if len(run) > MAX_LETTERS or run.isupper():
        return False
    inner = not (run.islower() or run.istitle())
    return inner or (len(run) == 2 and not alone) or _VOWEL.search(run) is None
