"""Splits an answer at separators outside of brackets."""

from __future__ import annotations

import re

_OPEN = re.compile(r"\\[{}]|\\.|[()\[\]{}]", re.DOTALL)


def split(text: str, separator: re.Pattern[str]) -> list[str]:
    """`text` split at the separators outside of brackets."""
    parts, start = [], 0
    for match in top_level(text, separator):
        parts.append(text[start : match.start()])
        start = match.end()
    return [*parts, text[start:]]


def top_level(text: str, separator: re.Pattern[str]) -> list[re.Match[str]]:
    depth = position = 0
    found = []
    following = separator.search(text)  # the next one, if no bracket is open
    while following:
        token = _OPEN.search(text, position)
        if depth == 0:
            if following.start() < position:
                following = separator.search(text, position)
                continue
            if token is None or following.start() <= token.start():
                found.append(following)
                position = following.end()
                continue
        if token is None:
            break
        if text.startswith((r"\begin", r"\end"), token.start()):
            depth += 1 if text[token.start() + 1] == "b" else -1
        depth += (token.group() in ("(", "[", "{", r"\{")) - (token.group() in (")", "]", "}", r"\}"))
        position = token.end()
    return found


def encloses(text: str) -> bool:
    """Whether the bracket that opens `text` is closed by the one that ends it."""
    depth = 0
    for match in _OPEN.finditer(text):
        token = match.group()
        depth += (token in ("(", "[", "{", r"\{")) - (token in (")", "]", "}", r"\}"))
        if depth == 0:
            return match.end() == len(text)
    return False
