"""The forms of parsed answers, as plain data: quantity, expression, collection, relation, word."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from rlvr.verify.calendar import Clock, Date
from rlvr.verify.codes import Code
from rlvr.verify.exact import Quantity
from rlvr.verify.spans import Congruence, Dimensions, Score, Span
from rlvr.verify.tree import INFINITY, Node, negative, number

Kind = Literal["tuple", "set", "list", "matrix", "union", "intersection", "difference", "ratio"]
Joint = Literal["", "and", "or"]


@dataclass(frozen=True)
class Expression:
    tree: Node
    text: str
    unit: str = ""  # as `Quantity` has it, with its scale
    scale: Fraction = Fraction(1)


@dataclass(frozen=True)
class Text:
    text: str  # without spaces and capitals
    written: str = field(default="", compare=False)


@dataclass(frozen=True)
class Items:
    """A tuple (ordered), a set, or answers listed without brackets; a matrix holds rows."""

    kind: Kind
    items: tuple[Value, ...]
    joint: Joint = ""  # the word between listed answers; "" for commas, or both words


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
    operators: tuple[str, ...]  # =, <, >, le, ge, ne, in (if its left side is not a name), notin
    names: tuple[bool, ...]  # for each side, whether it is only the name of a variable or a function


@dataclass(frozen=True)
class Given:
    """An answer and the condition that is written behind it."""

    value: Value
    condition: Value


@dataclass(frozen=True)
class Said:
    """A special answer in words, by its name: "no solution", "yes"."""

    what: str

    def same(self, gold: Said) -> bool:
        return self.what == gold.what


Typed = Date | Clock | Code | Span | Score | Dimensions | Congruence | Said  # equal only to the same type
Value = Quantity | Expression | Text | Items | Interval | Relation | Given | Typed

REALS = Interval(Expression(negative(INFINITY), "-oo"), Expression(INFINITY, "oo"), True, True)

WRAPPED = re.compile(r"\\(?:text|mathrm|textbf|textit|mbox|textrm|mathbf)\s*\{([^{}]*)\}")


def as_text(text: str) -> Text:
    words = WRAPPED.sub(r"\1", text).split()
    return Text("".join(words).casefold(), " ".join(words))


def without_condition(value: Value) -> Value:
    return value.value if isinstance(value, Given) else value


def tree_of(value: Value) -> Node | None:
    if isinstance(value, Quantity):
        return number(value.value, value.digits)
    return value.tree if isinstance(value, Expression) else None
