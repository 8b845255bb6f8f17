"""Expression trees as plain data, without any evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. `head` is number, name, add, mul, pow, mod, call, bind, cases or test.

    A call has the function in `name`. A bind has its kind (sum, prod, int, lim, diff) in `name`, and
    the arguments variable, body and up to two limits. Cases alternate values and tests; a test
    has its relation in `name` (=, ne, <, le, >, ge with two sides; and, or with tests; else without
    arguments).
    """

    head: str
    args: tuple[Node, ...] = ()
    name: str = ""
    value: Fraction = Fraction(0)
    digits: int = 0  # significant digits of a number with a decimal point; 0 for an exact one

    def walk(self) -> Iterator[Node]:
        yield self
        for arg in self.args:
            yield from arg.walk()


def number(value: Fraction | int, digits: int = 0) -> Node:
    return Node("number", value=Fraction(value), digits=digits)


def name(word: str) -> Node:
    return Node("name", name=word)


def add(*terms: Node) -> Node:
    return Node("add", terms)


def mul(*factors: Node) -> Node:
    return Node("mul", factors)


def power(base: Node, exponent: Node) -> Node:
    return Node("pow", (base, exponent))


def call(function: str, *args: Node) -> Node:
    return Node("call", args, function)


MINUS_ONE = number(-1)
INFINITY = name("infinity")
CONSTANTS = frozenset(["pi", "e", "i", "infinity"])
COUNTS = frozenset("kmn")  # names of whole numbers, if a function of whole numbers occurs
DIVISORS = {"gcd": "gcd of integers", "lcm": "lcm of integers"}


def negative(node: Node) -> Node:
    return number(-node.value, node.digits) if node.head == "number" else mul(MINUS_ONE, node)


def divide(top: Node, bottom: Node) -> Node:
    return mul(top, power(bottom, MINUS_ONE))


def in_radians(node: Node) -> Node:
    """The expression with degrees replaced by multiples of π."""
    if node.name == "degrees":
        return mul(*node.args, divide(name("pi"), number(180)))
    return replace(node, args=tuple(in_radians(arg) for arg in node.args)) if node.args else node


def names(node: Node) -> set[str]:
    """The free variables."""
    if node.head == "name":
        return set() if node.name in CONSTANTS else {node.name}
    if node.head == "bind":
        variable, body, *limits = node.args
        inside = names(body) - {variable.name}
        return inside.union({variable.name} if not limits else set(), *(names(limit) for limit in limits))
    return set().union(*(names(arg) for arg in node.args))


def rename(node: Node, old: str, new: str) -> Node:
    if node.head == "name" and node.name == old:
        return replace(node, name=new)
    return replace(node, args=tuple(rename(arg, old, new) for arg in node.args)) if node.args else node


def product(factors: list[Node]) -> Node:
    return factors[0] if len(factors) == 1 else mul(*factors)


def mixed_number(whole: Node, fraction: Node) -> Node | None:
    """3\\frac{1}{2}: a whole number beside a fraction of whole numbers is their sum."""
    if whole.head != "number" or whole.digits or whole.value.denominator != 1 or fraction.head != "mul":
        return None
    if len(fraction.args) != 2 or fraction.args[0].head != "number" or fraction.args[1].head != "pow":
        return None
    top, (bottom, exponent) = fraction.args[0], fraction.args[1].args
    proper = bottom.head == "number" and exponent == MINUS_ONE and 0 < top.value < bottom.value
    return add(whole, fraction) if proper else None
