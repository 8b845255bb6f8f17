"""Whether two answers say the same, and the name of the rule that decided."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from rlvr.verify.exact import Quantity
from rlvr.verify.identity import NotComparable, constant_ratio, same_function
from rlvr.verify.latex import rational
from rlvr.verify.parse import Expression, Interval, Items, Relation, Text, Value

_MIRRORED = {"<": ">", ">": "<", "le": "ge", "ge": "le"}
_UNORDERED = ("set", "list", "union")


@dataclass(frozen=True)
class Comparison:
    equal: bool
    rule: str  # which rule decided, in words


def compare(answer: Value, gold: Value) -> Comparison:
    """Whether `answer` says what `gold` says. Never raises: what cannot be compared is not equal."""
    try:
        return _compare(answer, gold)
    except NotComparable as error:
        return Comparison(answer == gold, f"not comparable beyond its text: {error}")


def _compare(answer: Value, gold: Value) -> Comparison:
    if isinstance(answer, Quantity) and isinstance(gold, Quantity):
        if answer.unit and gold.unit and answer.unit != gold.unit:
            return Comparison(False, f"units {answer.unit!r} and {gold.unit!r} differ")
        return Comparison(answer.value == gold.value, "exact rational numbers")
    if isinstance(answer, Text) or isinstance(gold, Text):
        return Comparison(_as_text(answer) == _as_text(gold), "equality of text")
    if isinstance(answer, Relation) or isinstance(gold, Relation):
        return _relations(answer, gold)
    if isinstance(answer, Interval) or isinstance(gold, Interval):
        return _intervals(answer, gold)
    if isinstance(answer, Items) or isinstance(gold, Items):
        return _items(answer, gold)
    if any(_tree(side).has(sympy.oo, -sympy.oo) for side in (answer, gold)):
        return Comparison(_tree(answer) == _tree(gold), "infinities as written")
    return Comparison(
        same_function(_tree(answer), _tree(gold)), "values of both expressions at random points"
    )


def _as_text(value: Value) -> str:
    """A lone letter reads as a symbol and as a choice; both are the same answer."""
    if isinstance(value, Text):
        return value.text.strip("()[].:")
    return value.text.strip("()[].: ").casefold() if isinstance(value, Expression) else repr(value)


def _tree(value: Value) -> sympy.Expr:
    if isinstance(value, Quantity):
        return rational(value.value)
    if isinstance(value, Expression):
        return value.tree
    raise NotComparable(f"a {type(value).__name__.lower()} is not an expression")


def _same(left: Value, right: Value) -> bool:
    return left == right or _compare(left, right).equal


def _items(answer: Value, gold: Value) -> Comparison:
    left = answer.items if isinstance(answer, Items) else (answer,)
    right = gold.items if isinstance(gold, Items) else (gold,)
    kinds = [value.kind for value in (answer, gold) if isinstance(value, Items)]
    unordered = all(kind in _UNORDERED for kind in kinds)
    if not unordered and len(set(kinds) - {"list"}) != 1:
        return Comparison(False, f"a {kinds[0]} is not a {kinds[-1]}")
    if len(kinds) == 1 and not unordered:
        return Comparison(False, f"one side is a {kinds[0]}")
    if not unordered:
        equal = len(left) == len(right) and all(map(_same, left, right))
        return Comparison(equal, f"elements of a {kinds[-1]}, in order")
    left, right = _distinct(left), _distinct(right)
    remaining = list(right)
    for item in left:
        match = next((other for other in remaining if _same(item, other)), None)
        if match is None:
            return Comparison(False, "elements in any order")
        remaining.remove(match)
    return Comparison(not remaining, "elements in any order")


def _distinct(items: tuple[Value, ...]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(items))


def _intervals(answer: Value, gold: Value) -> Comparison:
    left, right = _as_interval(answer), _as_interval(gold)
    if left is None or right is None:
        return Comparison(False, "only one side is an interval")
    bounds = (left.low_open, left.high_open) == (right.low_open, right.high_open)
    equal = bounds and _same(left.low, right.low) and _same(left.high, right.high)
    return Comparison(equal, "ends of the interval")


def _as_interval(value: Value) -> Interval | None:
    if isinstance(value, Interval):
        return value
    if isinstance(value, Items) and value.kind == "tuple" and len(value.items) == 2:
        return Interval(value.items[0], value.items[1], True, True)
    if isinstance(value, Relation):
        return _solution_interval(value)
    return None


def _solution_interval(relation: Relation) -> Interval | None:
    """x < b, a ≤ x < b, … as the interval of x, when the relation names x alone on one side."""
    infinity = Expression(sympy.oo, r"\infty")
    minus_infinity = Expression(-sympy.oo, r"-\infty")
    sides, operators = relation.sides, relation.operators
    if operators[0] in (">", "ge") or (len(operators) == 2 and operators[1] in (">", "ge")):
        sides = sides[::-1]
        operators = tuple(_MIRRORED.get(operator, operator) for operator in operators[::-1])
    if not all(operator in ("<", "le") for operator in operators):
        return None
    is_name = [isinstance(side, Expression) and side.tree.is_Symbol for side in sides]
    if len(sides) == 2 and is_name == [True, False]:
        return Interval(minus_infinity, sides[1], True, operators[0] == "<")
    if len(sides) == 2 and is_name == [False, True]:
        return Interval(sides[0], infinity, operators[0] == "<", True)
    if len(sides) == 3 and is_name == [False, True, False]:
        return Interval(sides[0], sides[2], operators[0] == "<", operators[1] == "<")
    return None


def _relations(answer: Value, gold: Value) -> Comparison:
    if isinstance(answer, Relation) and isinstance(gold, Relation):
        return _two_relations(answer, gold)
    relation, other = (answer, gold) if isinstance(answer, Relation) else (gold, answer)
    assert isinstance(relation, Relation)
    if set(relation.operators) != {"="}:
        return _intervals(relation, other)
    # "x = 42", "x = y = 42", "40 + 2 = 42": every side but the names must be the answer.
    values = [side for side, named in zip(relation.sides, relation.names, strict=True) if not named]
    if not values or (relation is gold and not any(relation.names)):
        return Comparison(False, "only one side is an equation")
    return Comparison(all(_same(value, other) for value in values), "sides of an assignment")


def _two_relations(answer: Relation, gold: Relation) -> Comparison:
    operators = set(answer.operators) | set(gold.operators)
    if operators == {"="} and answer.names[0] and answer.sides[0] == gold.sides[0]:
        equal = all(_same(value, gold.sides[-1]) for value in answer.sides[1:])
        return Comparison(equal, "values of the same name")
    if len(answer.sides) == len(gold.sides) == 2 and not isinstance(answer.sides[1], Interval | Items):
        sign = constant_ratio(_difference(answer), _difference(gold))
        same, mirrored = answer.operators == gold.operators, _mirror(answer.operators) == gold.operators
        if sign and operators <= {"=", "ne"}:
            return Comparison(same, "both relations have the same zeros")
        if sign:
            return Comparison(same if sign > 0 else mirrored, "both inequalities have the same solutions")
    if operators <= {"<", ">", "le", "ge"}:
        return _intervals(answer, gold)
    return Comparison(answer == gold, "equality of relations")


def _mirror(operators: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_MIRRORED.get(operator, operator) for operator in operators)


def _difference(relation: Relation) -> sympy.Expr:
    left, right = (_tree(side) for side in relation.sides)
    return sympy.Add(left, sympy.Mul(sympy.S.NegativeOne, right, evaluate=False), evaluate=False)
