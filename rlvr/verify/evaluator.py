"""The value of an expression at a point, within a budget of work."""

from __future__ import annotations

import math
import operator
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]

from rlvr.verify.rational import (
    MAX_BITS,
    Budget,
    NotComparable,
    Undefined,
    exact_root,
    gcd,
    lcm,
    monomial,
    of_rationals,
)
from rlvr.verify.tree import DIVISORS, Node, names

MAX_ANGLE = 300  # bits of an argument of sin and the like
MAX_TERMS = 300  # of a sum or product that is written out

Point = Mapping[str, Any]
_THREAD = threading.local()  # caches mpmath's context, which holds the precision and is slow to create


class Evaluator:
    """Evaluates trees: exactly while values are rational, otherwise with `precision` bits."""

    def __init__(self, precision: int, budget: Budget) -> None:
        self.budget = budget
        if not hasattr(_THREAD, "context"):
            _THREAD.context = mpmath.MPContext()
        self.context = _THREAD.context
        self.context.prec = precision
        self.magnitudes: list[int] = []  # of inexact parts, in bits
        self.complex = False  # whether any intermediate value was not real
        self.step = 1 + precision // 64  # the cost of visiting a node

    def value(self, node: Node, point: Point) -> Any:
        self.budget.spend(self.step)
        head = node.head
        if head == "number":
            return self.exact(node.value)
        if head == "name":
            return self.named(node.name, point)
        if head == "bind":
            return self.bound(node, point)
        if head == "cases":
            return self.case(node, point)
        if node.name in DIVISORS:
            return self.divisor(node, point)
        args = [self.value(arg, point) for arg in node.args]
        if head == "add":
            return self.sum(args)
        if head == "mul":
            return self.product(args)
        if head == "pow":
            return self.power(*args)
        if head == "mod":
            return self.modulo(*args)
        return self.call(node.name, args)

    def exact(self, number: Fraction) -> Fraction:
        bits = number.numerator.bit_length() + number.denominator.bit_length()
        self.budget.spend(bits // 50)
        if bits > MAX_BITS:
            raise NotComparable("a number too large to compute")
        return number

    def noted(self, number: Any) -> Any:
        """An inexact value whose size matters for the precision."""
        magnitude = self.context.mag(number)
        if isinstance(magnitude, int):  # else it is zero, infinity or nan
            if abs(magnitude) > MAX_BITS:
                raise NotComparable("a number too large to compute")
            self.magnitudes.append(magnitude)
        self.complex = self.complex or number.imag != 0
        return number

    def inexact(self, number: Any) -> Any:
        if isinstance(number, Fraction):
            return self.noted(self.context.mpf(number.numerator) / number.denominator)
        return number

    def named(self, word: str, point: Point) -> Any:
        if word in point:
            return point[word]
        if word == "i":
            return self.context.mpc(0, 1)
        if word in ("pi", "e"):
            return +getattr(self.context, word)
        raise NotComparable(f"{word} has no value")

    def sum(self, terms: Sequence[Any]) -> Any:
        if all(isinstance(term, Fraction) for term in terms):
            total = Fraction(0)
            for term in terms:
                total = self.exact(total + term)
            return total
        return self.context.fsum(self.inexact(term) for term in terms)

    def product(self, factors: Sequence[Any]) -> Any:
        if all(isinstance(factor, Fraction) for factor in factors):
            total = Fraction(1)
            for factor in factors:
                total = self.exact(total * factor)
            return total
        if any(factor == 0 for factor in factors):
            return Fraction(0)
        return self.noted(self.context.fprod(self.inexact(factor) for factor in factors))

    def power(self, base: Any, exponent: Any) -> Any:
        if isinstance(exponent, Fraction) and isinstance(base, Fraction):
            if exponent.denominator == 1:
                bits = base.numerator.bit_length() + base.denominator.bit_length()
                if base not in (0, 1, -1) and bits * abs(exponent) > 2 * MAX_BITS:
                    raise NotComparable("a number too large to compute")
                return self.exact(base ** int(exponent))
            if (root := exact_root(base, exponent.denominator)) is not None:
                return self.power(root, Fraction(exponent.numerator))
        if isinstance(exponent, Fraction) and exponent.denominator % 2 and exponent.denominator > 1:
            real = base if isinstance(base, Fraction) else base.real if base.imag == 0 else 0
            if real < 0:  # (−8)^(2/3) is the real number 4, not the complex principal value
                positive = self.power(-real, exponent)
                return -positive if exponent.numerator % 2 else positive
        if base == 0:
            if self.context.re(self.inexact(exponent)) > 0:
                return Fraction(0)
            raise ZeroDivisionError
        self.budget.spend(10 * self.step)
        base, exponent = self.inexact(base), self.inexact(exponent)
        if abs(exponent) * (abs(self.context.log(abs(base), 2)) + 1) > MAX_BITS:
            raise NotComparable("a number too large to compute")
        return self.noted(self.context.power(base, exponent))

    def modulo(self, a: Any, b: Any) -> Any:
        if b == 0:
            raise ZeroDivisionError
        quotient = self.call("floor", [self.product([a, self.power(b, Fraction(-1))])])
        return self.sum([a, self.product([Fraction(-1), b, quotient])])

    def bound(self, node: Node, point: Point) -> Any:
        """A sum or product over few whole numbers, written out."""
        variable, body, *limits = node.args
        ends = [self.value(limit, point) for limit in limits]
        if node.name not in ("sum", "prod") or len(ends) != 2:
            raise NotComparable(f"no rule for the value of {node.name}")
        if any(not isinstance(end, Fraction) or end.denominator != 1 for end in ends):
            raise NotComparable("limits that are not whole numbers")
        if ends[1] - ends[0] >= MAX_TERMS:
            raise NotComparable("too many terms")
        indices = range(int(ends[0]), int(ends[1]) + 1)
        terms = [self.value(body, {**point, variable.name: Fraction(index)}) for index in indices]
        return self.sum(terms) if node.name == "sum" else self.product(terms)

    def case(self, node: Node, point: Point) -> Any:
        """The value in the first case whose test holds."""
        for result, test in zip(node.args[::2], node.args[1::2], strict=True):
            if self.holds(test, point):
                return self.value(result, point)
        raise Undefined("no case holds")

    def holds(self, test: Node, point: Point) -> bool:
        if test.name == "else":
            return True
        if test.name in ("and", "or"):
            return (all if test.name == "and" else any)(self.holds(part, point) for part in test.args)
        left, right = (self.value(side, point) for side in test.args)
        if not (isinstance(left, Fraction) and isinstance(right, Fraction)):
            left, right = self.inexact(left), self.inexact(right)
            if left.imag != 0 or right.imag != 0:
                raise NotComparable("complex numbers have no order")
            if abs(left - right) <= self.context.ldexp(abs(left) + abs(right), 20 - self.context.prec):
                right = left
        return bool(_TESTS[test.name](left, right))

    def divisor(self, node: Node, point: Point) -> Any:
        """gcd and lcm of rational multiples of products; different non-rational factors count as coprime."""
        terms = []
        symbolic = bool(names(node))
        for arg in node.args:
            number = None if symbolic else self.value(arg, {})
            terms.append((abs(number), Counter[Node]()) if isinstance(number, Fraction) else monomial(arg))
        coefficients = [coefficient for coefficient, _ in terms]
        common = terms[0][1].copy()
        for _, factors in terms[1:]:
            common = common & factors if node.name == "gcd" else common | factors
        divisor = coefficients[0]
        for other in coefficients[1:]:
            divisor = self.exact(gcd(divisor, other) if node.name == "gcd" else lcm(divisor, other))
        return self.product([divisor, *(self.value(factor, point) for factor in common.elements())])

    def whole_divisor(self, function: str, args: Sequence[Any]) -> Fraction:
        if any(not isinstance(arg, Fraction) or arg.denominator != 1 for arg in args):
            raise NotComparable(f"{function} of other numbers")
        whole = [int(arg) for arg in args]
        return Fraction(math.gcd(*whole) if function == DIVISORS["gcd"] else math.lcm(*whole))

    def unknown(self, function: str, args: Sequence[Any]) -> Fraction:
        """An unknown function f(…): a pseudo-random value, the same for the same arguments."""
        self.budget.spend(40 + 15 * len(args))
        written = [self.context.nstr(self.inexact(arg), 15) for arg in args]
        return Fraction(random.Random(f"{function} {written}").randint(100, 999_999_999), 101)

    def call(self, function: str, args: list[Any]) -> Any:
        if function.startswith("unknown "):
            return self.unknown(function, args)
        if function in DIVISORS.values():
            return self.exact(self.whole_divisor(function, args))
        if all(isinstance(arg, Fraction) for arg in args):
            found = of_rationals(function, args)
            if found is not None:
                return self.exact(found)
        if function == "sqrt":
            return self.power(args[0], Fraction(1, 2))
        if function == "degrees":
            return args[0]
        self.budget.spend(20 * self.step)
        args = [self.inexact(arg) for arg in args]
        largest = 2**MAX_ANGLE if function in _BOUNDED else MAX_BITS
        if function not in _ALGEBRAIC and max(abs(arg) for arg in args) > largest:
            raise NotComparable("the argument of a function is too large")
        return self.noted(self.apply(function, args))

    def apply(self, function: str, args: list[Any]) -> Any:
        """A function of inexact values."""
        context, x = self.context, args[0]
        if function in _GAMMA and (context.prec > 800 or max(abs(arg) for arg in args) > 200):
            raise NotComparable("a factorial between whole numbers too large to compute")
        if function in ("ln", "log", "lg"):
            base = args[1] if len(args) == 2 else context.mpf(10) if function == "lg" else None
            if x == 0 or base in (0, 1):
                raise ZeroDivisionError
            return context.log(x) / (context.log(base) if base is not None else 1)
        if function in ("max", "min"):
            if any(abs(arg.imag) > 0 for arg in args):
                raise NotComparable("complex numbers have no order")
            return (max if function == "max" else min)(arg.real for arg in args)
        if function in ("floor", "ceil", "sgn", "abs"):
            known = {"floor": context.floor, "ceil": context.ceil, "sgn": context.sign, "abs": abs}
            return known[function](x)
        if function == "conjugate":
            return context.conj(x)
        if function == "cis":
            return context.expj(x)
        if function == "cbrt":
            return self.power(x, Fraction(1, 3))
        if function == "binom":
            return context.binomial(*args)
        if function in _MPMATH and len(args) == 1:
            return getattr(context, _MPMATH[function])(x)
        raise NotComparable(f"no rule for {function}")


_GAMMA = frozenset(["factorial", "double factorial", "binom"])
_ALGEBRAIC = frozenset(
    ["max", "min", "floor", "ceil", "sgn", "abs", "ln", "log", "lg", "cbrt", "re", "im", "conjugate"]
)
_BOUNDED = frozenset(
    f"{inverse}{word}" for inverse in ("", "a") for word in ("sin", "cos", "tan", "cot", "sec", "csc")
)
_MPMATH = {word: word for word in ["sin", "cos", "tan", "cot", "sec", "csc", "exp", "arg", "factorial"]}
_MPMATH |= {f"{word}h": f"{word}h" for word in ["sin", "cos", "tan", "cot", "sec", "csc"]}
_MPMATH |= {
    f"a{word}{h}": f"a{word}{h}" for word in ["sin", "cos", "tan", "cot", "sec", "csc"] for h in ("", "h")
}
_MPMATH |= {"re": "re", "im": "im", "double factorial": "fac2"}
_TESTS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "ne": operator.ne,
    "<": operator.lt,
    "le": operator.le,
    ">": operator.gt,
    "ge": operator.ge,
}
