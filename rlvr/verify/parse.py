"""The text of an answer → what it says: a quantity, an expression, a collection, a relation, a word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import sympy

from rlvr.verify.exact import Quantity, read_quantity
from rlvr.verify.latex import parse_expression
from rlvr.verify.normalize import normalize

MAX_ANSWER = 2_000  # characters; longer answers are compared as strings only
MAX_ITEMS = 60  # of one collection
MAX_DEPTH = 6  # of collections in collections


@dataclass(frozen=True)
class Expression:
    tree: sympy.Expr
    text: str


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Items:
    """A tuple (ordered), a set, or answers listed without brackets; `matrix` holds rows."""

    kind: Literal["tuple", "set", "list", "matrix", "union"]
    items: tuple[Value, ...]


@dataclass(frozen=True)
class Interval:
    low: Value
    high: Value
    low_open: bool
    high_open: bool


@dataclass(frozen=True)
class Relation:
    """sides[0] operators[0] sides[1] …"""

    sides: tuple[Value, ...]
    operators: tuple[str, ...]
    names: tuple[bool, ...]  # which sides are nothing but the name of a variable or a function


Value = Quantity | Expression | Text | Items | Interval | Relation

_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}", re.DOTALL)
_OPERATOR = re.compile(r"\\(?:le|ge|ne|approx|in)(?![A-Za-z])|[=<>]")
_LIST = re.compile(r",|;|(?:\\text\{\s*|(?<![A-Za-z\\]))(?:and|or)(?:\s*\}|(?![A-Za-z]))")
_COMMA = re.compile(r"[,;]")
_ROW = re.compile(r"\\\\")
_CELL = re.compile(r"&")
_UNION = re.compile(r"\\cup(?![A-Za-z])")
_NAME = re.compile(
    r"(?:\\?[A-Za-z]+|\\text\{[A-Za-z ]+\})(?:_\{?\w+\}?)?'?(?:\(\s*[a-z](?:\s*,\s*[a-z])*\s*\))?"
    r"|\(\s*[A-Za-z](?:\s*,\s*[A-Za-z])+\s*\)"
)
_BUILDER = re.compile(r"\s*[a-z]\s*[|:]\s*(\S.*)", re.DOTALL)  # {x | condition}
_WRAPPED_TEXT = re.compile(r"\\(?:text|mathrm|textbf|mbox)\s*\{([^{}]*)\}")
_OPEN = re.compile(r"\\[{}]|\\.|[()\[\]{}]", re.DOTALL)


def read_answer(text: str) -> Value:
    """What `text` says. Whatever is not understood is a Text, equal only to the same text."""
    if len(text) > MAX_ANSWER:
        return Text(text)
    return _read(normalize(text), 0)


def _read(text: str, depth: int) -> Value:
    text = text.strip()
    if depth > MAX_DEPTH:
        return _text(text)
    quantity = read_quantity(text)
    if quantity is not None:
        return quantity
    if match := _MATRIX.fullmatch(text):
        return _matrix(match.group(2), depth)
    if match := _WRAPPED_TEXT.fullmatch(text):
        return _read(match.group(1), depth + 1)
    for read in (_listed, _relation, _union, _bracketed):
        value = read(text, depth)
        if value is not None:
            return value
    if r"\pm" in text or r"\mp" in text:
        return _plus_minus(text, depth)
    tree = parse_expression(text)
    return _text(text) if tree is None else Expression(tree, text)


def _listed(text: str, depth: int) -> Value | None:
    parts = _split(text, _LIST)
    parts = [part.strip() for part in parts if part.strip()]
    if len(parts) < 2 or len(parts) > MAX_ITEMS:
        return None
    return _collection("list", parts, depth)


def _relation(text: str, depth: int) -> Value | None:
    parts = _split(text, _OPERATOR)
    if len(parts) < 2 or len(parts) > 6 or not all(part.strip() for part in parts):
        return None
    operators = tuple(match.group().strip("\\") for match in _top_level(text, _OPERATOR))
    if "approx" in operators:  # what is written before an approximation is exact
        first = list(_top_level(text, _OPERATOR))[operators.index("approx")]
        return _read(text[: first.start()], depth + 1)
    if operators == ("in",):
        return _read(parts[1], depth + 1)
    sides = tuple(_read(part, depth + 1) for part in parts)
    names = tuple(bool(_NAME.fullmatch(part.strip())) for part in parts)
    return Relation(sides, operators, names)


def _union(text: str, depth: int) -> Value | None:
    parts = _split(text, _UNION)
    return _collection("union", parts, depth) if 2 <= len(parts) <= MAX_ITEMS else None


def _bracketed(text: str, depth: int) -> Value | None:
    """(…), […), \\{…\\}: a tuple, an interval, a set, or brackets around one answer."""
    opening, closing = (
        text[:2] if text[:2] == r"\{" else text[:1],
        text[-2:] if text[-2:] == r"\}" else text[-1:],
    )
    if opening not in ("(", "[", r"\{", "{") or closing not in (")", "]", r"\}", "}") or not _encloses(text):
        return None
    inside = text[len(opening) : -len(closing)]
    parts = _split(inside, _COMMA)
    if not inside.strip() or len(parts) > MAX_ITEMS:
        return None
    if opening == r"\{" and (builder := _BUILDER.fullmatch(inside)):
        return _read(builder.group(1), depth + 1)
    if opening in (r"\{", "{"):
        return (
            _collection("set", parts, depth)
            if opening == r"\{" or len(parts) > 1
            else _read(inside, depth + 1)
        )
    if len(parts) == 1:
        return _read(inside, depth + 1)
    if len(parts) == 2 and (opening, closing) != ("(", ")"):
        low, high = (_read(part, depth + 1) for part in parts)
        return Interval(low, high, opening == "(", closing == ")")
    return _collection("tuple", parts, depth)


def _encloses(text: str) -> bool:
    """Whether the bracket that opens `text` is closed by the one that ends it."""
    depth = 0
    for match in _OPEN.finditer(text):
        token = match.group()
        depth += (token in ("(", "[", "{", r"\{")) - (token in (")", "]", "}", r"\}"))
        if depth == 0:
            return match.end() == len(text)
    return False


def _matrix(body: str, depth: int) -> Value:
    rows = [row for row in _split(body, _ROW) if row.strip()]
    cells = [_split(row, _CELL) for row in rows]
    if sum(len(row) for row in cells) > MAX_ITEMS:
        return _text(body)
    return Items("matrix", tuple(_collection("tuple", row, depth + 1) for row in cells))


def _plus_minus(text: str, depth: int) -> Value:
    upper = text.replace(r"\pm", "+").replace(r"\mp", "-")
    lower = text.replace(r"\pm", "-").replace(r"\mp", "+")
    return _collection("list", [upper.removeprefix("+"), lower.removeprefix("+")], depth)


def _collection(kind: Literal["tuple", "set", "list", "union"], parts: list[str], depth: int) -> Items:
    """The parts as values; lists in a list or a set (±, say) are taken apart."""
    values: list[Value] = []
    for part in parts:
        value = _read(part, depth + 1)
        if kind in ("list", "set") and isinstance(value, Items) and value.kind == "list":
            values.extend(value.items)
        else:
            values.append(value)
    return Items(kind, tuple(values))


def _text(text: str) -> Text:
    bare = _WRAPPED_TEXT.sub(r"\1", text)
    return Text("".join(bare.split()).casefold())


def _split(text: str, separator: re.Pattern[str]) -> list[str]:
    """`text` cut at the separators that no bracket encloses."""
    parts, start = [], 0
    for match in _top_level(text, separator):
        parts.append(text[start : match.start()])
        start = match.end()
    return [*parts, text[start:]]


def _top_level(text: str, separator: re.Pattern[str]) -> list[re.Match[str]]:
    depth = position = 0
    found = []
    while position < len(text):
        if depth == 0 and (match := separator.match(text, position)):
            found.append(match)
            position = match.end()
            continue
        token = _OPEN.match(text, position)
        if token is None:
            position += 1
            continue
        if text.startswith((r"\begin", r"\end"), position):
            depth += 1 if text[position + 1] == "b" else -1
        depth += (token.group() in ("(", "[", "{", r"\{")) - (token.group() in (")", "]", "}", r"\}"))
        position = token.end()
    return found
