"""Components of vector expressions, so that a × b differs from b × a, and |a||b| from |a · b|."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rlvr.verify.rational import Budget, NotComparable
from rlvr.verify.tree import MINUS_ONE, Node, add, call, mul, name, number

Vector = tuple[Node, Node, Node]

_ACCENTS = ("vec(", "hat(")
_BASIS = {"i": 0, "j": 1, "k": 2, "x": 0, "y": 1, "z": 2}
_ZERO = number(0)


def is_vector(node: Node) -> bool:
    """Whether a name with an arrow or a hat occurs."""
    return any(part.head == "name" and part.name.startswith(_ACCENTS) for part in node.walk())


def in_vectors(node: Node) -> bool:
    """Whether vectors occur for certain; a hat alone may also mark an estimate."""
    return any(part.name == "cross" or part.name.startswith("vec(") for part in node.walk())


def components(left: Node, right: Node, budget: Budget) -> list[tuple[Node, Node]]:
    """The pairs of components that must agree. Raises NotComparable if a number is combined with a vector."""
    sides = [_value(side, budget) for side in (left, right)]
    if isinstance(sides[0], Node) != isinstance(sides[1], Node):
        sides = [(side, side, side) if side == _ZERO else side for side in sides]
    one, other = sides
    if isinstance(one, Node) and isinstance(other, Node):
        return [(one, other)]
    if isinstance(one, Node) or isinstance(other, Node):
        raise NotComparable("a number is not a vector")
    return list(zip(one, other, strict=True))


def _value(node: Node, budget: Budget) -> Node | Vector:
    budget.spend(5)
    if node.head == "name":
        return _named(node)
    if node.head in ("number", "bind"):
        return node
    args = [_value(arg, budget) for arg in node.args]
    if node.head == "add":
        return _sum(args)
    if node.head == "mul":
        result = args[0]
        for factor in args[1:]:
            result = _product(result, factor, budget)
        return result
    if node.name == "cross":
        one, other = args
        if isinstance(one, Node) or isinstance(other, Node):
            raise NotComparable("a cross product of numbers")
        return _cross(one, other)
    if node.name == "abs" and not isinstance(args[0], Node):
        return call("sqrt", _dot(args[0], args[0]))
    if node.head == "pow" and not isinstance(args[0], Node) and args[1] == number(2):
        return _dot(args[0], args[0])
    scalars = tuple(arg for arg in args if isinstance(arg, Node))
    if len(scalars) < len(args):
        raise NotComparable("a function of a vector")
    return replace(node, args=scalars)


def _named(node: Node) -> Node | Vector:
    if not node.name.startswith(_ACCENTS):
        return node
    accent, letter = node.name.rstrip(")").split("(", 1)
    if letter == "0":
        return _ZERO, _ZERO, _ZERO
    if accent == "hat" and letter in _BASIS:
        x, y, z = (number(int(place == _BASIS[letter])) for place in range(3))
        return x, y, z
    x, y, z = (name(f"{node.name}.{axis}") for axis in "xyz")
    return x, y, z


def _sum(terms: Sequence[Node | Vector]) -> Node | Vector:
    terms = [term for term in terms if term != _ZERO] or [_ZERO]
    scalars = [term for term in terms if isinstance(term, Node)]
    vectors = [term for term in terms if not isinstance(term, Node)]
    if scalars and vectors:
        raise NotComparable("a sum of numbers and vectors")
    if scalars:
        return add(*scalars)
    x, y, z = (add(*parts) for parts in zip(*vectors, strict=True))
    return x, y, z


def _product(one: Node | Vector, other: Node | Vector, budget: Budget) -> Node | Vector:
    budget.spend(20)
    if isinstance(one, Node) and isinstance(other, Node):
        return mul(one, other)
    if isinstance(one, Node):
        one, other = other, one
    assert not isinstance(one, Node)
    if isinstance(other, Node):
        x, y, z = (mul(part, other) for part in one)
        return x, y, z
    return _dot(one, other)


def _dot(one: Vector, other: Vector) -> Node:
    return add(*(mul(a, b) for a, b in zip(one, other, strict=True)))


def _cross(one: Vector, other: Vector) -> Vector:
    (a, b, c), (d, e, f) = one, other
    return _minus(b, f, c, e), _minus(c, d, a, f), _minus(a, e, b, d)


def _minus(a: Node, b: Node, c: Node, d: Node) -> Node:
    return add(mul(a, b), mul(MINUS_ONE, c, d))
