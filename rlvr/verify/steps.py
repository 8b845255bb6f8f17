"""Checks one step of a worked solution: two sides and the relation between them.

Arithmetic is checked here, in exact rational numbers, because a step may be an inequality, a rounding
or a percentage, which `equal_answers` does not support. `equal_answers` checks everything else. The result
is None if a step cannot be checked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

from rlvr.verify.exact import DIGITS, read_literal
from rlvr.verify.normalize import normalize
from rlvr.verify.settings import VerifySettings

MAX_SIDE = 300  # characters
MAX_BITS = 4_000  # of an exact number
MAX_DEPTH = 20  # nested brackets

RELATIONS = ("=", "approx", "<", ">", "le", "ge", "ne")

_NUMBERS = re.compile(DIGITS)
_LONE = re.compile(rf"[-+]?\s?({DIGITS})\s?(\\?%)?")
_QUANTITY = re.compile(rf"[$€£¥]?\s?([-+]?\s?(?:{DIGITS}))(?:\s[^\d]*)?")
_TOKEN = re.compile(
    rf"\s*(?:(?P<mixed>\d+\s+\d+\s?/\s?\d+)|(?P<number>{DIGITS})"
    r"|(?P<command>\\(?:frac|sqrt|[dt]?binom)(?![A-Za-z]))|(?P<sign>\\(?:cdot|times|div)(?![A-Za-z])|\\?%|[-+*/^!()\[\]{}]))"
)
_TIMES = {"\\cdot": "*", "\\times": "*", "\\div": "/", "\\%": "%"}
_NUMERIC = re.compile(
    r"(?:[\d\s.,+\-*/^!()\[\]{}%|]"
    r"|\\(?:frac|sqrt|[dt]?binom|cdot|times|div|pi|sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|ln|circ|%"
    r"|lfloor|rfloor|lceil|rceil|log(?:\s?_\s?\{?\d+\}?)?)(?![A-Za-z]))+"
)
_BINOMIAL = re.compile(r"\\[dt]?binom\s?(?:\{\s?(\d+)\s?\}|(\d))\s?(?:\{\s?(\d+)\s?\}|(\d))")
_PAIR = re.compile(r"\(\s?\d+\s?,\s?\d+\s?\)")  # a point or a divisor, not 28,365
_PLAIN = re.compile(r"[\d+\-().]{1,300}")  # sums, which have one spelling
_BRACES = re.compile(r"[{}]")
_SHARE = re.compile(rf"(?:{DIGITS})\s?\\?%|\(?(?:\d+\s?/\s?\d+|\\frac\s?\{{\d+\}}\s?\{{\d+\}})\)?")
_LONG_EXPONENT = re.compile(r"\^(\d)(?=\d)")
_DIVIDED_NAME = re.compile(r"(?:/|\\div)[^+\-]*\\pi")
_TWO_SLASHES = re.compile(r"/[\d\s.]+/")
_MIXED_LATEX = re.compile(r"\d\s?\\frac\s?\{\s?\d+\s?\}\s?\{\s?\d+\s?\}")
_FRACTION_FACTOR = re.compile(r"/[^+\-]*[\d)}]\s?[({]")


class _Reading(NamedTuple):
    """One possible reading of ambiguous notation."""

    percent: bool  # 5% is 1/20, not 5 (of something counted in percent)
    mixed: bool  # 3\\frac{1}{2} is 7/2, not 3/2
    tight: bool  # 6/2(3) is 6/(2·3), not (6/2)·3
    nested: bool  # 6/1/30 is 6/(1/30), not (6/1)/30


_USUAL = _Reading(percent=True, mixed=True, tight=False, nested=False)


class Calculation(NamedTuple):
    """A step between rational numbers that was checked in exact arithmetic."""

    sides: tuple[str, str]  # left and right, normalized
    values: tuple[list[Fraction], list[Fraction]]  # of each side under its usual readings; at least one
    holds: bool


class Stated(NamedTuple):
    """A number as somebody wrote it."""

    text: str  # normalized, without its unit
    values: list[Fraction]  # under its usual readings; at least one

    def is_one_of(self, values: Sequence[Fraction]) -> bool:
        """Whether it is one of `values`, or a rounding of one."""
        return not set(self.values).isdisjoint(values) or _rounded(self.text, "=", values)


class _NotArithmetic(Exception):
    """The text is not arithmetic, or its value is not rational or too large."""


def step_holds(left: str, relation: str, right: str, same_names: bool = False) -> bool | None:
    """Whether `left relation right` is true; None if it is not a checkable claim.

    Checkable are relations between numbers with at least one calculation: "0 = 1", "1 < 2" and "x = 5" are
    statements or assumptions. With names, an equation that is an identity holds; any other may be a
    definition, an equation to be solved or a substitution, and is None, unless `same_names` says that
    it transforms one expression, with the same names on both sides.
    Under "=", a decimal with a point equals every value that it is a rounding or truncation of; under
    "approx", a number equals every value less than one unit of its last digit away. Percent, mixed
    numbers and a/b(c) hold if any of their usual readings does. Never raises for any text.
    """
    sides = _sides(left, right)
    if sides is None or _stated(sides, relation):
        return None
    left, right = sides
    if not (_NUMERIC.fullmatch(left) and _NUMERIC.fullmatch(right)):
        return _identity(left, relation, right, same_names)
    values, others = rational_values(left), rational_values(right)
    if values and others:
        return _holds(sides, relation, (values, others))
    equal = _equal_to_rounding(left, relation, right)
    return None if not equal and _part_of_something(left, others) else equal


def calculation(left: str, relation: str, right: str) -> Calculation | None:
    """The step `left relation right` if rational arithmetic decides it, else None.

    The result is that of `step_holds`, except that two different stated numbers are not equal: 7 = 9 is
    false, while 7 = 7.0 calculates nothing. It is fast, as nothing symbolic is tried.
    """
    sides = _sides(left, right)
    if sides is None or not all(map(_NUMERIC.fullmatch, sides)):
        return None
    values = rational_values(sides[0]), rational_values(sides[1])
    if not all(values):
        return None
    holds = _holds(sides, relation, values)
    if _stated(sides, relation) and (holds or relation != "="):
        return None
    return None if holds is None else Calculation(sides, values, holds)


def numbers_in(text: str) -> list[Fraction]:
    """The numbers in `text`, without signs, in their order; numbers longer than MAX_SIDE are left out."""
    return [_number(found) for found in _NUMBERS.findall(text) if len(found) <= MAX_SIDE]


def _number(digits: str) -> Fraction:
    # whole numbers are by far the most frequent, and Fraction parses text slowly
    return Fraction(int(digits)) if digits.isdecimal() else read_literal(digits)[0]


def stated_number(answer: str) -> Stated | None:
    """An answer that is one rational number, optionally with a unit or a currency; else None."""
    text = _normalized(answer)
    if quantity := _QUANTITY.fullmatch(text):
        text = quantity.group(1)
    values = rational_values(text)
    return Stated(text, values) if values else None


def names_in(text: str) -> frozenset[str]:
    """The letters and commands in `text` that may be names."""
    return frozenset(re.findall(r"\\[A-Za-z]+|[A-Za-z]", text)) - {
        "\\frac", "\\sqrt", "\\cdot", "\\times", "\\div", "\\pi", "\\left", "\\right", "\\dfrac", "\\tfrac",
    }  # fmt: skip


def rational_values(text: str) -> list[Fraction]:
    """The exact values of the arithmetic in normalized `text`, under its usual readings."""
    if text.isdecimal():
        return [Fraction(int(text))] if len(text) <= MAX_SIDE else []
    doubts = (_MIXED_LATEX.search(text), _FRACTION_FACTOR.search(text), _TWO_SLASHES.search(text))
    readings = [
        _Reading(*choice)
        for choice in product(
            *(
                (True, False) if doubt else (usual,)
                for doubt, usual in zip(("%" in text, *doubts), _USUAL, strict=True)
            )
        )
    ]
    values: dict[Fraction, None] = {}
    # 2^10 means 2^{10} in plain text, and 2¹·0 in LaTeX
    for spelled in dict.fromkeys((text, _LONG_EXPONENT.sub(r"^{\1}", text))):
        tokens = _tokens(spelled)
        for reading in readings:
            try:
                values[_Calculation(tokens, reading).result()] = None
            except _NotArithmetic:
                continue
    return list(values)


def _sides(left: str, right: str) -> tuple[str, str] | None:
    """Both sides, normalized; None if they claim nothing that can be checked."""
    left, right = _normalized(left), _normalized(right)
    if max(len(left), len(right)) > MAX_SIDE or not left or not right or left == right:
        return None
    if any(_PAIR.fullmatch(side) or "!!" in side for side in (left, right)):
        return None
    return left, right


def _stated(sides: tuple[str, str], relation: str) -> bool:
    """Whether nothing is calculated; a rounding counts as a calculation."""
    return relation != "approx" and all(map(_LONE.fullmatch, sides))


def _holds(
    sides: tuple[str, str], relation: str, values: tuple[list[Fraction], list[Fraction]]
) -> bool | None:
    (left, right), (own, others) = sides, values
    holds = any(_related(a, relation, b) for a, b in product(own, others))
    holds = holds or _rounded(left, relation, others) or _rounded(right, relation, own)
    return None if not holds and _part_of_something(left, others) else holds


def _normalized(text: str) -> str:
    if _PLAIN.fullmatch(text):  # saves a third of the time to check a short solution
        return text
    text = _BINOMIAL.sub(r"\\binom{\1\2}{\3\4}", normalize(text[: MAX_SIDE + 1]))
    inside = text[1:-1]
    return inside.strip() if text[:1] == "{" and text[-1:] == "}" and not _BRACES.search(inside) else text


def _part_of_something(left: str, others: Sequence[Fraction]) -> bool:
    """Whether `left` is a part of something: 1% = 50/7, or a proper fraction that "equals" more than 1."""
    if not _SHARE.fullmatch(left):
        return False
    if left.endswith("%"):
        return True
    return bool(others) and min(others) > 1 and max(rational_values(left), default=Fraction(1)) < 1


def _identity(left: str, relation: str, right: str, same_names: bool) -> bool | None:
    if relation != "=" or names_in(left) != names_in(right):
        return None
    from rlvr.verify.check import equal_answers  # steps of arithmetic do without

    comparison = equal_answers(left, right)
    if comparison.equal and comparison.decided:
        return True
    return False if same_names and comparison.decided else None


def _related(a: Fraction, relation: str, b: Fraction) -> bool:
    if relation in ("=", "approx"):
        return a == b
    return {"<": a < b, ">": a > b, "le": a <= b, "ge": a >= b, "ne": a != b}[relation]


def _literal(text: str, relation: str) -> tuple[Fraction, Fraction] | None:
    """A number by itself and the unit of its last digit; of a percentage, as a share of 1.

    After "approx", the last digit of 1,200 is the 2.
    """
    match = _LONE.fullmatch(text)
    if match is None:
        return None
    digits = match.group(1).replace(",", "")
    decimals = len(digits.partition(".")[2])
    scale = Fraction(1, 100 if match.group(2) else 1)
    value = Fraction(digits) * (-1 if text.startswith("-") else 1) * scale
    unit = Fraction(1, 10**decimals) * scale
    while relation == "approx" and decimals == 0 and value and value % (unit * 10) == 0:
        unit *= 10
    return value, unit


def _rounded(text: str, relation: str, values: Sequence[Fraction]) -> bool:
    """Whether `text` is a single number that equals or rounds one of `values`."""
    literal = _literal(text, relation)
    if literal is None or relation not in ("=", "approx"):
        return False
    written, unit = literal
    if relation == "approx":
        return any(abs(value - written) < unit for value in values)
    if unit >= 1:
        return False
    return any(
        abs(value - written) <= unit / 2 or (0 <= (abs(value) - abs(written)) < unit and value * written >= 0)
        for value in values
    )


def _equal_to_rounding(left: str, relation: str, right: str) -> bool | None:
    """For numbers that are not rational: whether they are equal, or equal to the digits of one of them."""
    if relation not in ("=", "approx"):
        return None
    from rlvr.verify.check import equal_answers  # steps of arithmetic do without

    comparison = equal_answers(left, right)
    if not comparison.decided or comparison.equal:
        return True if comparison.decided else None
    for text, other in ((left, right), (right, left)):
        literal = _literal(text, relation)
        if literal is None or not literal[0] or (relation == "=" and literal[1] >= 1):
            continue
        slack = literal[1] / (2 if relation == "=" else 1) / abs(literal[0])
        near = VerifySettings(relative_tolerance=min(0.5, float(slack) * 1.001))
        return equal_answers(other, text, near).equal
    ambiguous = _DIVIDED_NAME.search(left) or _DIVIDED_NAME.search(right)  # 6π ÷ 2π
    return False if relation == "=" and not ambiguous else None


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            return []
        token = match.group().strip()
        tokens.append(_TIMES.get(token, token))
        position = match.end()
    return tokens


class _Calculation:
    """Recursive descent over + − * / ^ ! %, brackets, fractions, roots and binomials."""

    def __init__(self, tokens: Sequence[str], reading: _Reading) -> None:
        self.tokens, self.reading = tokens, reading
        self.place = self.depth = 0

    def result(self) -> Fraction:
        value = self._sum()
        if self.place < len(self.tokens):
            raise _NotArithmetic
        return value

    @property
    def _next(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _take(self, *wanted: str) -> str:
        token = self._next
        if not token or token not in wanted:
            return ""
        self.place += 1
        return token

    def _sum(self) -> Fraction:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _NotArithmetic
        value = self._product()
        while sign := self._take("+", "-"):
            term = self._product()
            value = _bounded(value + term if sign == "+" else value - term)
        self.depth -= 1
        return value

    def _product(self) -> Fraction:
        value = self._implicit()
        while sign := self._take("*", "/"):
            factor = self._implicit()
            while sign == "/" and self.reading.nested and self._take("/"):
                factor = _quotient(factor, self._implicit())
            if sign == "/" and factor == 0:
                raise _NotArithmetic
            value = _bounded(value * factor if sign == "*" else value / factor)
            if not self.reading.tight:
                value = self._factors(value)
        return value

    def _implicit(self) -> Fraction:
        """Signs, and implicit multiplication."""
        negative = False
        while sign := self._take("+", "-"):
            negative ^= sign == "-"
        value = self._power()
        after_slash = self.place >= 2 and self.tokens[self.place - 2] == "/"
        if self.reading.tight or not after_slash:
            value = self._factors(value)
        return -value if negative else value

    def _factors(self, value: Fraction) -> Fraction:
        while (
            self._next in ("(", "[", "{")
            or self._next.startswith("\\")
            or (self._next[:1].isdigit() and self.tokens[self.place - 1] in (")", "]", "}", "!"))
        ):
            value = _bounded(value * self._power())
        return value

    def _power(self) -> Fraction:
        value = self._atom()
        while mark := self._take("!", "%"):
            if mark == "!":
                value = Fraction(math.factorial(_whole(value, 300)))
            elif self.reading.percent:
                value /= 100
        if self._take("^"):
            negative = self._take("-")
            exponent = self._power()
            value = _raised(value, -exponent if negative else exponent)
        return value

    def _atom(self) -> Fraction:
        token = self._next
        self.place += 1
        if token in ("(", "[", "{"):
            value = self._sum()
            if not self._take({"(": ")", "[": "]", "{": "}"}[token]):
                raise _NotArithmetic
            return value
        if token.startswith("\\"):
            return self._command(token)
        if not token or not (token[0].isdigit() or token[0] == "."):
            raise _NotArithmetic
        if "/" in token:  # 1 1/2
            whole, _, part = token.partition(" ")
            top, _, bottom = part.partition("/")
            return Fraction(whole) + _quotient(Fraction(top), Fraction(bottom))
        value = _number(token)
        match self.tokens[self.place : self.place + 7]:
            case ["\\frac", "{", str(top), "}", "{", str(bottom), "}"] if (
                self.reading.mixed and (token + top + bottom).isdigit()
            ):
                self.place += 7
                return value + _quotient(Fraction(top), Fraction(bottom))
        return value

    def _command(self, token: str) -> Fraction:
        if token == "\\sqrt":
            degree = Fraction(2)
            if self._next == "[":
                degree = self._atom()
            return _raised(self._atom(), 1 / degree) if degree else _raised(Fraction(0), Fraction(-1))
        first, second = self._atom(), self._atom()
        if token == "\\frac":
            return _quotient(first, second)
        return Fraction(math.comb(_whole(first, 1_000), _whole(second, 1_000)))


def _quotient(top: Fraction, bottom: Fraction) -> Fraction:
    if bottom == 0:
        raise _NotArithmetic
    return _bounded(top / bottom)


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    """base^exponent if it is rational: a root must be exact."""
    if exponent.denominator > 1:
        root = exponent.denominator
        if base < 0 or root > 64:
            raise _NotArithmetic
        top, bottom = _root(base.numerator, root), _root(base.denominator, root)
        base = Fraction(top, bottom)
    size = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(exponent.numerator) * size > MAX_BITS or (base == 0 and exponent <= 0):
        raise _NotArithmetic
    return base**exponent.numerator


def _root(value: int, degree: int) -> int:
    low, high = 0, 1 << (value.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= value else (low, middle - 1)
    if low**degree != value:
        raise _NotArithmetic
    return low


def _whole(value: Fraction, most: int) -> int:
    if value.denominator != 1 or not 0 <= value <= most:
        raise _NotArithmetic
    return int(value)


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise _NotArithmetic
    return value
