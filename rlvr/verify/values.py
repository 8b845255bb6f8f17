"""What a comparison needs to know of the values it compares: pure questions and rewritings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rlvr.verify.exact import Quantity
from rlvr.verify.parse import Expression, Interval, Items, Relation, Text, Value
from rlvr.verify.sets import tree
from rlvr.verify.tree import MINUS_ONE, Node, add, in_radians, mul, name, names, number, power

_MIRRORED = {"<": ">", ">": "<", "le": "ge", "ge": "le"}
_PARAMETERS = frozenset("klmn")  # of the solutions of a periodic equation, x = πk
_YES, _NO = frozenset(["yes", "true"]), frozenset(["no", "false"])


def is_operation(answer: Value, gold: Quantity) -> bool:
    """Whether the answer is a way to a number and not that number; 84/2 is none for 42, 2/4 is for 1/2."""
    if isinstance(answer, Quantity):
        return answer.quotient and gold.value.denominator == 1
    return isinstance(answer, Expression) and answer.tree.head not in ("name", "number")


def same_words(answer: Value, gold: Value) -> bool:
    left, right = _as_text(answer), _as_text(gold)
    return left == right or any({left, right} <= words for words in (_YES, _NO))


def _as_text(value: Value) -> str:
    """A lone letter reads as a symbol and as a choice; both are the same answer."""
    if isinstance(value, Text):
        return re.sub(r"^(?:the|an?)(?=\w{4})|[-()\[\].:,'’\"\s]", "", value.text)
    return value.text.strip("()[].: ").casefold() if isinstance(value, Expression) else repr(value)


def by_name(items: Sequence[Value]) -> Sequence[Value]:
    """y = 2, x = 1 as the tuple (x, y), whose names are in the order of the alphabet."""
    if not all(isinstance(item, Relation) and item.operators == ("=",) for item in items):
        return items
    return sorted(items, key=lambda item: str(item.sides[0]) if isinstance(item, Relation) else "")


def rows(value: Value) -> tuple[Value, ...] | None:
    """The rows of a matrix, or of brackets in brackets."""
    if isinstance(value, Items) and value.kind == "matrix":
        return tuple(Items("tuple", row.items) for row in value.items if isinstance(row, Items))
    brackets: tuple[Value, ...] = (value.low, value.high) if isinstance(value, Interval) else ()
    if isinstance(value, Items) and value.kind == "tuple":
        brackets = value.items
    rows = [
        Items("tuple", (row.low, row.high) if isinstance(row, Interval) else row.items)
        for row in brackets
        if isinstance(row, Interval) or (isinstance(row, Items) and row.kind == "tuple")
    ]
    return tuple(rows) if rows and len(rows) == len(brackets) else None


def vector(value: Value) -> tuple[Value, ...]:
    """The elements of a tuple, or of a matrix of one row or column."""
    assert isinstance(value, Items)
    if value.kind != "matrix":
        return value.items
    rows = [row.items for row in value.items if isinstance(row, Items)]
    return rows[0] if len(rows) == 1 else tuple(row[0] for row in rows if len(row) == 1)


def flat(items: Sequence[Value], others: Sequence[Value]) -> Sequence[Value]:
    """p = 5, q = 2; p = 7, q = 2 as four equations where the other side lists them so."""
    grouped = all(isinstance(item, Items) and item.kind == "tuple" for item in items)
    if not grouped or any(isinstance(other, Items) for other in others):
        return items
    flat = [part for item in items if isinstance(item, Items) for part in item.items]
    return flat if all(isinstance(part, Relation) for part in flat) else items


def has_value(side: Value) -> bool:
    """Whether the rules here know what `side` is worth: not so for a limit, or f(2)."""
    return not isinstance(side, Expression) or not any(
        part.head == "bind" or part.name.startswith("unknown ") for part in side.tree.walk()
    )


def is_label(side: Value) -> bool:
    """Whether a side says what is asked for: cos θ, |z|; or a + b, mn, of several names."""
    if not isinstance(side, Expression) or not has_value(side):
        return False
    applied = side.tree.head == "call" and all(arg.head == "name" for arg in side.tree.args)
    return bool(names(side.tree)) and (applied or len(names(side.tree)) > 1)


def is_applied(side: Value) -> bool:
    """Whether a side is a known function of a name: cos θ."""
    return is_label(side) and isinstance(side, Expression) and side.tree.head == "call"


def with_unit_as_factor(answer: Value, gold: Value) -> tuple[Node, Node]:
    """Both as expressions; 5h beside "5 hours" is a number and its unit."""
    left, right = tree(answer), tree(gold)
    if isinstance(answer, Expression) and isinstance(gold, Quantity):
        return left, _times_unit(right, gold.unit, left)
    if isinstance(gold, Expression) and isinstance(answer, Quantity):
        return _times_unit(left, answer.unit, right), right
    return left, right


def _times_unit(value: Node, unit: str, other: Node) -> Node:
    match = re.fullmatch("([A-Za-z]{1,2})([23]?)", unit)
    if match is None or names(other) != set(match.group(1)):
        return value
    *before, last = (name(letter) for letter in match.group(1))
    return mul(value, *before, power(last, number(int(match.group(2) or 1))))


def same_angles(left: Node, right: Node) -> tuple[Node, Node]:
    """Degrees are a unit, unless the other side is in radians, which shows by its π."""
    with_pi, with_degrees = (
        [any(part.name == word for part in side.walk()) for side in (left, right)]
        for word in ("pi", "degrees")
    )
    if with_pi == [False, True] and with_degrees == [True, False]:
        return in_radians(left), right
    if with_pi == [True, False] and with_degrees == [False, True]:
        return left, in_radians(right)
    return left, right


def _rename(node: Node, old: str, new: str) -> Node:
    if node.head == "name" and node.name == old:
        return replace(node, name=new)
    return replace(node, args=tuple(_rename(arg, old, new) for arg in node.args)) if node.args else node


def rename_parameter(answer: Node, gold: Node) -> Node:
    """x = πn and x = πk are the same solutions: a whole number may have any usual name."""
    left, right = names(answer), names(gold)
    new, old = right - left, left - right
    if new == {"C"} and old == {"c"}:  # the constant of an integral
        return _rename(answer, "c", "C")
    periodic = any(part.name in ("pi", "degrees") for part in gold.walk())
    if (
        len(left) == len(right) == len(new) == 1
        and new | old <= _PARAMETERS
        and periodic
        and _linear(gold, *new)
    ):
        return _rename(answer, old.pop(), new.pop())
    return answer


def _linear(node: Node, word: str) -> bool:
    """Whether the name is but a factor in terms of a sum."""
    if node.head == "add":
        return all(_linear(term, word) for term in node.args)
    if node.head == "mul":
        with_it = [factor for factor in node.args if word in names(factor)]
        return not with_it or (len(with_it) == 1 and _linear(with_it[0], word))
    return node.name == word or word not in names(node)


_FUNCTION_OF = re.compile(r"([A-Za-z])\(([a-z])\)")


def rename_argument(answer: Relation, gold: Relation) -> Relation:
    """f(x) = 2x and f(n) = 2n define the same function."""
    texts = [side.text if isinstance(side, Expression) else "" for side in (answer.sides[0], gold.sides[0])]
    found = [_FUNCTION_OF.fullmatch("".join(text.split())) for text in texts]
    if not all(found) or found[0].group(1) != found[1].group(1):  # type: ignore[union-attr]
        return answer
    old, new = (match.group(2) for match in found if match)
    sides = tuple(
        Expression(_rename(side.tree, old, new), side.text) if isinstance(side, Expression) else side
        for side in answer.sides[1:]
    )
    return replace(answer, sides=(gold.sides[0], *sides))


def variable(relation: Relation) -> str | None:
    """The one name that an inequality bounds."""
    found = [side for side, named in zip(relation.sides, relation.names, strict=True) if named]
    return found[0].tree.name if len(found) == 1 and isinstance(found[0], Expression) else None


def mirror(operators: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_MIRRORED.get(operator, operator) for operator in operators)


def difference(relation: Relation) -> Node:
    left, right = (tree(side) for side in relation.sides)
    return add(left, mul(MINUS_ONE, right))
