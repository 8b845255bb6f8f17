"""Functions of rational numbers with rational values, with bounds on the size of results."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction

from rlvr.verify.tree import MINUS_ONE, Node

MAX_BITS = 40_000  # of an exact number, or of the exponent of an inexact one
MAX_FACTORIAL = 2_500
MAX_WORK = 200_000  # of one comparison, in about microseconds


class NotComparable(Exception):
    """The expression is too large to evaluate, or has an unsupported part."""


class Exhausted(NotComparable):
    """The comparison has used up its budget."""


class Undefined(NotComparable):
    """No case of a function by cases holds here. Unlike a pole, this makes it differ from other functions."""


class Budget:
    """The work that one comparison may do, so that every comparison is fast."""

    def __init__(self, work: int = MAX_WORK) -> None:
        self.left = work
        self.stop = 0

    def spend(self, work: int) -> None:
        self.left -= work
        if self.left < 0:
            raise Exhausted("too much work to compare")
        if self.left < self.stop:
            raise NotComparable("too much work for one of many points")

    @contextmanager
    def at_most(self, work: int) -> Iterator[None]:
        """Raise NotComparable, but not Exhausted, if the block spends more than `work`."""
        before, self.stop = self.stop, max(self.stop, self.left - work)
        try:
            yield
        finally:
            self.stop = before


def of_rationals(function: str, args: Sequence[Fraction]) -> Fraction | None:
    """The value of a function of rational numbers if it is rational, else None."""
    x = args[0]
    if function in ("abs", "max", "min"):
        return abs(x) if function == "abs" else (max if function == "max" else min)(args)
    if function in ("floor", "ceil"):
        return Fraction(math.floor(x) if function == "floor" else math.ceil(x))
    if function == "sgn":
        return Fraction((x > 0) - (x < 0))
    if any(arg.denominator != 1 or arg < 0 for arg in args):
        return None
    if function in ("factorial", "double factorial"):
        if x > MAX_FACTORIAL:
            raise NotComparable("a factorial too large to compute")
        step = 1 if function == "factorial" else 2
        return Fraction(math.prod(range(int(x), 0, -step)))
    if function == "binom":
        top, bottom = (int(arg) for arg in args)
        if min(bottom, abs(top - bottom)) * top.bit_length() > MAX_BITS:
            raise NotComparable("a number too large to compute")
        return Fraction(math.comb(top, bottom))
    return None


def exact_root(base: Fraction, degree: int) -> Fraction | None:
    """The rational root of a rational number, if there is one."""
    if (base < 0 and degree % 2 == 0) or degree > 64:
        return None
    parts = []
    for part in (abs(base.numerator), base.denominator):
        root = math.isqrt(part) if degree == 2 else round(part ** (1 / degree)) if part < 1 << 52 else -1
        if root < 0 or root**degree != part:
            return None
        parts.append(root)
    return Fraction(parts[0] if base >= 0 else -parts[0], parts[1])


def monomial(node: Node) -> tuple[Fraction, Counter[Node]]:
    """A product as its positive rational factor and its other factors with their multiplicity."""
    if node.head == "number":
        return (Fraction(1) if node.digits else abs(node.value)), Counter()  # decimals share no divisor
    if node.head == "mul":
        coefficient, factors = Fraction(1), Counter[Node]()
        for arg in node.args:
            other, more = monomial(arg)
            coefficient, factors = coefficient * other, factors + more
        return coefficient, factors
    if node.head == "pow" and node.args[1].head == "number" and node.args[1].value in range(1, 50):
        coefficient, factors = monomial(node.args[0])
        times = int(node.args[1].value)
        return coefficient**times, Counter({factor: times * count for factor, count in factors.items()})
    if (
        node.head == "pow"
        and node.args[0].head == "number"
        and node.args[1] == MINUS_ONE
        and node.args[0].value
    ):
        return abs(1 / node.args[0].value), Counter()
    return Fraction(1), Counter([node])


def gcd(a: Fraction, b: Fraction) -> Fraction:
    """The largest rational number of which both are integer multiples."""
    common = math.gcd(a.numerator * b.denominator, b.numerator * a.denominator)
    return Fraction(common, a.denominator * b.denominator)


def lcm(a: Fraction, b: Fraction) -> Fraction:
    return a * b / gcd(a, b) if a and b else Fraction(0)
