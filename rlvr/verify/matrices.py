"""Matrices and vectors of expressions: determinants, and sums over unit vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rlvr.verify.tree import Node, add, mul, negative, number

MAX_SIZE = 4  # of a determinant: it is written out as products

_AXES = {
    f"{accent}({letter})": place for accent in ("hat", "vec", "widehat") for place, letter in enumerate("ijk")
}


def determinant(cells: Sequence[Sequence[Node]]) -> Node | None:
    """The determinant of a square matrix; None if it is not square, or too large."""
    size = len(cells)
    if not 1 <= size <= MAX_SIZE or any(len(row) != size for row in cells):
        return None
    return _expanded(cells)


def _expanded(cells: Sequence[Sequence[Node]]) -> Node:
    if len(cells) == 1:
        return cells[0][0]
    terms = []
    for place, factor in enumerate(cells[0]):
        minor = [[*row[:place], *row[place + 1 :]] for row in cells[1:]]
        term = mul(factor, _expanded(minor))
        terms.append(negative(term) if place % 2 else term)
    return add(*terms)


def along_axes(tree: Node, plain_letters: bool = False) -> list[Node] | None:
    """2i − j + 3k over unit vectors as its components 2, −1, 3; None if it is not such a sum."""
    axes = _AXES | ({"i": 0, "j": 1, "k": 2} if plain_letters else {})
    found: dict[int, list[Node]] = {}
    for term in tree.args if tree.head == "add" else (tree,):
        factors = list(_factors(term))
        axis = [axes[factor.name] for factor in factors if factor.head == "name" and factor.name in axes]
        rest = [factor for factor in factors if not (factor.head == "name" and factor.name in axes)]
        if len(axis) != 1:
            return None
        found.setdefault(axis[0], []).append(mul(number(1), *rest))
    size = max(3 if 2 in found else 2, len(found))
    return [add(number(0), *found.get(place, [])) for place in range(size)]


def _factors(term: Node) -> Iterator[Node]:
    for part in term.args if term.head == "mul" else ():
        yield from _factors(part)
    if term.head != "mul":
        yield term
