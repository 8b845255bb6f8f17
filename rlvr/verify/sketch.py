"""Approximate values of answers, which quickly rule out most pairs before an exact comparison of lists."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from rlvr.verify.exact import Quantity
from rlvr.verify.forms import Expression, Interval, Items, Relation, Value
from rlvr.verify.points import approximate
from rlvr.verify.sets import tree
from rlvr.verify.tree import CONSTANTS, Node
from rlvr.verify.values import PARAMETERS, difference

MAX_SLACK = 1e-3  # relative, between sketches of equal values when decimals stand for roundings
_NOISE = 1e-9  # the same for exact ones
_NOTHING = 1e-6  # a smaller value may be a rounding error


@dataclass(frozen=True)
class Sketch:
    """The type of an answer, with approximate values that are the same for equal answers; nan if unknown."""

    kind: str
    numbers: tuple[float, ...]
    exact: bool  # without decimals


def sketch(value: Value) -> Sketch | None:
    """The sketch of an answer; None if there is no cheap one."""
    if isinstance(value, Quantity | Expression):
        return None if value.unit else _of_tree(tree(value))
    if isinstance(value, Relation):
        return _of_relation(value)
    if isinstance(value, Interval):
        return _joined("interval", (value.low, value.high))
    if isinstance(value, Items) and value.kind == "tuple":
        return _joined(f"tuple {len(value.items)}", value.items)
    return None


def apart(left: Sketch | None, right: Sketch | None) -> bool:
    """Whether two answers certainly differ."""
    if left is None or right is None or left.kind != right.kind:
        return False
    slack = _NOISE if left.exact and right.exact else MAX_SLACK
    return any(
        abs(one - other) > _NOTHING + slack * max(abs(one), abs(other))  # never so with nan
        for one, other in zip(left.numbers, right.numbers, strict=True)
    )


def _of_tree(node: Node) -> Sketch:
    return Sketch("number", (_at_fixed_point(node, 0), _at_fixed_point(node, 1)), _is_exact(node))


def _is_exact(node: Node) -> bool:
    return not any(part.digits for part in node.walk())


def _joined(kind: str, parts: tuple[Value, ...]) -> Sketch | None:
    sketches = [sketch(part) for part in parts]
    known = [part for part in sketches if part and part.kind == "number"]
    if len(known) < len(parts):
        return None
    numbers = tuple(number for part in known for number in part.numbers)
    return Sketch(kind, numbers, all(part.exact for part in known))


def _of_relation(relation: Relation) -> Sketch | None:
    """The sketch of a relation with two plain sides, whose difference may have any factor."""
    plain = all(isinstance(side, Expression | Quantity) and not side.unit for side in relation.sides)
    if len(relation.sides) != 2 or not plain:
        return None
    node = difference(relation)
    one, other = (_at_fixed_point(node, place) for place in (0, 2))
    if abs(one) < _NOTHING or abs(other) < _NOTHING:
        return None
    return Sketch("relation", (one / other,), _is_exact(node))


def _at_fixed_point(node: Node, place: int) -> float:
    free = {part.name for part in node.walk() if part.head == "name" and part.name not in CONSTANTS}
    return _without_cancelling(node, {word: _coordinate(word, place) for word in free})


def _coordinate(word: str, place: int) -> float:
    """A parameter may have any usual name, and be a whole number."""
    if word in PARAMETERS:
        return (7.0, 1013.0, 8.0)[place]
    if word == "c":  # the constant of an integral may be C
        word = "C"
    return 1.0 + zlib.crc32(f"{word} {place}".encode()) / 2**31


def _without_cancelling(node: Node, at: Mapping[str, float]) -> float:
    """The value in floating point; nan if a sum is much smaller than its terms, as it may be noise."""
    for part in node.walk():
        if part.head == "add":
            terms = [approximate(arg, at) for arg in part.args]
            if abs(sum(terms)) < _NOTHING * max(map(abs, terms)):
                return math.nan
    return approximate(node, at)
