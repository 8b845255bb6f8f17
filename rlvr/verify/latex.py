"""An expression as text, LaTeX or plain → its tree, or None."""

from __future__ import annotations

from rlvr.verify.expression import parse
from rlvr.verify.piecewise import read_piecewise
from rlvr.verify.tokens import NotAnExpression
from rlvr.verify.tree import Node


def read_expression(text: str, letters: bool = False) -> Node | None:
    """Normalized `text` as a tree; None if it is not an expression or out of bounds.

    With `letters`, a short run of letters is a product even if it might be a word: mgh, ma, nRT.
    """
    text = text.strip().removeprefix("+")
    if r"\begin" in text:
        return read_piecewise(text)
    try:
        return parse(text, letters)
    except NotAnExpression:
        return None
