"""Functions that are defined by cases, \\begin{cases} x & x > 0 \\\\ 0 & \\text{otherwise} \\end{cases}."""

from __future__ import annotations

import re

from rlvr.verify.brackets import split, top_level
from rlvr.verify.expression import parse
from rlvr.verify.tokens import NotAnExpression
from rlvr.verify.tree import Node, number

MAX_CASES = 12

_CASES = re.compile(
    r"\\?\{?\s*\\begin\{([dr]?cases|array|aligned)\}(?:\{[lcr|@{}\s]*\})?(.*)\\end\{\1\}", re.DOTALL
)
_ROW = re.compile(r"\\\\(?:\[[^\]]*\])?")
_CELL = re.compile(r"&")
_IF = re.compile(r"[,;]|\\text\s*\{\s*,?\s*(?=(?:if|for|when|where|otherwise|else)\b)|\b(?:if|for|when)\b")
_WORDS = re.compile(r"\\(?:text|mathrm|textrm|mbox|textnormal)\s*\{([^{}]*)\}")
_INTRODUCED = re.compile(r"^[\s,;:]*(?:and\s+)?(?:if|for|when|where|on|in case)?(?:\s+all)?[\s:]*")
_OTHERWISE = re.compile(
    r"(?:otherwise|else|elsewhere|in (?:all )?other cases|everywhere else|all other .*)\W*"
)
_OR = re.compile(r"\bor\b|\\(?:lor|vee)(?![A-Za-z])")
_AND = re.compile(r"\band\b|\\(?:land|wedge)(?![A-Za-z])|[,;]")
_RELATION = re.compile(r"\\(?:le|ge|ne)(?![A-Za-z])|[=<>]")
_IN = re.compile(r"(.*)\\in(?![A-Za-z])\s*([\[(\]])(.*)([\])\[])", re.DOTALL)
_PARITY = re.compile(r"(.*?)\s*(?:is\s+)?(?:an?\s+)?(even|odd)(?:\s+(?:number|integer))?", re.DOTALL)
_CONGRUENT = re.compile(
    r"(.*)\\equiv(?![A-Za-z])(.*?)\(?\s*\\p?mod(?![A-Za-z])\s*\{?(\w+)\}?\s*\)?", re.DOTALL
)


def read_piecewise(text: str) -> Node | None:
    """Normalized `text` as a function by cases; None if it is not, such as a system of equations."""
    match = _CASES.fullmatch(text.strip())
    if match is None:
        return None
    rows = [row.strip() for row in split(match.group(2), _ROW)]
    rows = [row for row in rows if row]
    if not 1 <= len(rows) <= MAX_CASES:
        return None
    try:
        return Node("cases", tuple(part for row in rows for part in _case(row)))
    except NotAnExpression:
        return None


def _case(row: str) -> tuple[Node, Node]:
    """One row: its value, and its test."""
    cells = [cell.strip() for cell in split(row, _CELL)]
    if len(cells) == 1 and (introduced := top_level(row, _IF)):
        at = introduced[0].start()
        cells = [row[:at], row[at:]]
    cells = [cells[0], " ".join(cells[1:])]
    value = cells[0].rstrip(" ,;")
    if not value or not cells[1] or _RELATION.match(cells[1]) or top_level(value, _RELATION):
        raise NotAnExpression("not a value and the test of a case")
    return parse(value), _test(_INTRODUCED.sub("", _WORDS.sub(r" \1 ", cells[1])).strip(" .,;:"))


def _test(text: str) -> Node:
    text = _INTRODUCED.sub("", text).strip()
    if _OTHERWISE.fullmatch(text):
        return Node("test", (), "else")
    for word, separator in (("or", _OR), ("and", _AND)):
        parts = [part for part in split(text, separator) if part.strip()]
        if len(parts) > 1:
            return Node("test", tuple(_test(part) for part in parts), word)
    if match := _IN.fullmatch(text):
        return _within(*match.groups())
    if match := _CONGRUENT.fullmatch(text):
        left, right, modulus = (parse(group.strip()) for group in match.groups())
        return Node("test", (Node("mod", (left, modulus)), Node("mod", (right, modulus))), "=")
    if match := _PARITY.fullmatch(text):
        rest = Node("mod", (parse(match.group(1).strip()), number(2)))
        return Node("test", (rest, number(int(match.group(2) == "odd"))), "=")
    operators = top_level(text, _RELATION)
    sides = [parse(side.strip()) for side in split(text, _RELATION)]
    if not operators:
        raise NotAnExpression("no relation in the test of a case")
    tests = [
        Node("test", (sides[place], sides[place + 1]), sign.group().strip("\\"))
        for place, sign in enumerate(operators)
    ]
    return tests[0] if len(tests) == 1 else Node("test", tuple(tests), "and")


def _within(inner: str, opening: str, ends: str, closing: str) -> Node:
    """x \\in [a, b), also with an infinite end."""
    parts = split(ends, _AND)
    if len(parts) != 2:
        raise NotAnExpression("no interval")
    middle = parse(inner.strip())
    tests = [
        Node("test", (parse(end.strip()), middle) if first else (middle, parse(end.strip())), sign)
        for first, end, sign in (
            (True, parts[0], "le" if opening == "[" else "<"),
            (False, parts[1], "le" if closing == "]" else "<"),
        )
        if r"\infty" not in end
    ]
    return Node("test", tuple(tests), "and")
