"""Compares two parsed answers, and names the rule that decided."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from rlvr.verify import identity
from rlvr.verify.calendar import Clock
from rlvr.verify.codes import Code
from rlvr.verify.exact import Quantity
from rlvr.verify.forms import (
    Expression,
    Given,
    Interval,
    Items,
    Relation,
    Text,
    Typed,
    Value,
    without_condition,
)
from rlvr.verify.rational import Budget, NotComparable
from rlvr.verify.sets import as_interval, same_numbers, tree
from rlvr.verify.settings import DEFAULT, VerifySettings
from rlvr.verify.sketch import MAX_SLACK, Sketch, apart, sketch
from rlvr.verify.spans import Score
from rlvr.verify.tree import divide, mul, number
from rlvr.verify.values import (
    as_product,
    as_vector,
    by_name,
    comparable_zeros,
    difference,
    flat,
    has_value,
    is_applied,
    is_asked,
    is_label,
    is_operation,
    is_written_out,
    mirror,
    rename_argument,
    rename_parameter,
    rows,
    same_angles,
    same_words,
    values_of_one_name,
    variable,
    vector,
    with_constants_of,
    with_unit_as_factor,
)
from rlvr.verify.vectors import in_vectors

_UNORDERED = ("set", "list", "union", "intersection")
_SETS = ("union", "intersection", "difference")


def _is_set(value: Value) -> bool:
    return isinstance(value, Items) and value.kind == "set"


@dataclass(frozen=True)
class Comparison:
    equal: bool
    rule: str  # which rule decided, in words
    decided: bool = True  # False if a side was not understood, so that only texts were compared


def compare(answer: Value, gold: Value, settings: VerifySettings = DEFAULT) -> Comparison:
    """Whether `answer` equals `gold`. Never raises: answers that cannot be compared are not equal."""
    return _Comparer(settings).compare(answer, gold)


class _Comparer:
    def __init__(self, settings: VerifySettings, budget: Budget | None = None) -> None:
        self.settings = settings
        self.budget = budget or Budget()

    def compare(self, answer: Value, gold: Value) -> Comparison:
        try:
            return self._compare(answer, gold)
        except NotComparable as error:
            return Comparison(answer == gold, f"not comparable beyond its text: {error}", decided=False)

    def same(self, left: Value, right: Value) -> bool:
        return left == right or (self.budget.left > 0 and self.compare(left, right).equal)

    def _compare(self, answer: Value, gold: Value) -> Comparison:
        if isinstance(answer, Given) or isinstance(gold, Given):
            return self.under_conditions(answer, gold)
        if self.settings.evaluated and is_operation(answer, gold):
            return Comparison(False, "an operation that was not carried out")
        if isinstance(answer, Quantity) and isinstance(gold, Quantity):
            return self.quantities(answer, gold)
        if isinstance(answer, Typed) or isinstance(gold, Typed):
            return self.typed(answer, gold)
        if (left := rows(answer)) and (right := rows(gold)):
            return Comparison(self.in_order(left, right), "rows of a matrix, in order")
        if isinstance(answer, Text) or isinstance(gold, Text):
            return self.texts(answer, gold)
        if isinstance(answer, Relation) or isinstance(gold, Relation):
            return self.relations(answer, gold)
        if any(isinstance(side, Items) and side.kind in _SETS for side in (answer, gold)):
            return self.sets(answer, gold)
        if isinstance(answer, Interval) or isinstance(gold, Interval):
            return self.intervals(answer, gold)
        if isinstance(answer, Items) or isinstance(gold, Items):
            return self.items(answer, gold)
        return self.expressions(answer, gold)

    def typed(self, answer: Value, gold: Value) -> Comparison:
        """Dates, times, codes, ranges and so on: equal only to a value of the same type."""
        if isinstance(answer, Clock) and answer.colon and isinstance(gold, Items) and gold.kind == "ratio":
            if answer.seconds // 60 % 60 < 10:
                return Comparison(False, "a time is no ratio")
            terms = [Quantity(Fraction(part)) for part in divmod(answer.seconds // 60, 60)]
            return self.ratios(terms, gold.items)
        if isinstance(gold, Clock) and gold.colon and isinstance(answer, Items) and answer.kind == "ratio":
            written = [Quantity(Fraction(part)) for part in divmod(gold.seconds // 60, 60)]
            equal = list(answer.items) == written and gold.seconds // 60 % 60 >= 10
            return Comparison(equal, "a ratio with the same terms")
        for score, ratio in ((answer, gold), (gold, answer)):
            if isinstance(score, Score) and isinstance(ratio, Items) and ratio.kind == "ratio":
                terms = [Quantity(Fraction(points)) for points in score.points[0]]
                return self.ratios(terms, ratio.items)
        for clock, other in ((answer, gold), (gold, answer)):
            if (
                isinstance(clock, Clock)
                and not clock.half
                and isinstance(other, Quantity)
                and other.unit == "second"
            ):
                return Comparison(clock.seconds == other.in_base, "a time as a duration")
        if isinstance(answer, Code) and isinstance(gold, Code):
            return Comparison(answer.same(gold), "written alike")
        equal = type(answer) is type(gold) and answer.same(gold)  # type: ignore[union-attr, arg-type]
        return Comparison(equal, f"equality as {type(gold).__name__.lower()}")

    def texts(self, answer: Value, gold: Value) -> Comparison:
        if same_words(answer, gold):
            return Comparison(True, "equality of text", decided=False)
        left, right = as_product(answer, gold), as_product(gold, answer)
        if left is not None and right is not None:
            return replace(self.expressions(left, right), rule="products of letters")
        for relation, other in ((answer, gold), (gold, answer)):
            if isinstance(relation, Relation) and (found := as_product(other, relation.sides[-1])):
                return self.relations(*((relation, found) if relation is answer else (found, relation)))
        return Comparison(False, "equality of text", decided=False)

    def under_conditions(self, answer: Value, gold: Value) -> Comparison:
        """Compares answers with conditions: ignored if one side has none, or one is not understood."""
        if isinstance(answer, Given) and isinstance(gold, Given):
            conditions = answer.condition, gold.condition
            comparable = isinstance(conditions[0], Text) == isinstance(conditions[1], Text)
            if comparable and not self.same(*conditions):
                return Comparison(False, "the condition behind it")
        return self.compare(without_condition(answer), without_condition(gold))

    def quantities(self, answer: Quantity, gold: Quantity) -> Comparison:
        same_scale = answer.scale == gold.scale or not (answer.unit and gold.unit)
        if answer.unit and gold.unit:
            if answer.clashes(gold):
                return Comparison(False, f"units {answer.unit!r} and {gold.unit!r} differ")
            answer, gold = answer.converted(), gold.converted()
        as_written = same_scale and is_written_out(answer) and is_written_out(gold)
        if gold.unit and not answer.unit and self.settings.require_units:
            return Comparison(False, f"the unit {gold.unit!r} is missing")
        if answer.value == gold.value:
            return Comparison(True, "exact rational numbers")
        gap = abs(answer.value - gold.value)
        if gap <= abs(gold.value) * Fraction(self.settings.relative_tolerance):
            return Comparison(True, "numbers within the relative tolerance")
        enough = 0 if as_written else self.settings.rounding_digits
        if enough and any(
            decimal.digits >= enough and identity.covers(decimal.value, decimal.digits, other.value)
            for decimal, other in ((answer, gold), (gold, answer))
        ):
            return Comparison(True, "a decimal rounded to the digits that it has")
        return Comparison(False, "exact rational numbers")

    def expressions(self, answer: Value, gold: Value) -> Comparison:
        units = {value.unit for value in (answer, gold) if isinstance(value, Quantity | Expression)} - {""}
        if len(units) == 2 and units != {"degree", "radian"}:
            return Comparison(False, f"units {' and '.join(sorted(units))} differ")
        scales = [
            value.scale for value in (answer, gold) if isinstance(value, Quantity | Expression) and value.unit
        ]
        if len(scales) == 2 and scales[0] != scales[1]:
            answer, gold = (Expression(mul(number(value.scale), tree(value)), "") for value in (answer, gold))  # type: ignore[union-attr]
        left, right = same_angles(*with_unit_as_factor(answer, gold))
        if any(
            part.name == "infinity" for side in (left, right) for part in side.walk() if part.head == "name"
        ) and not any(part.head == "bind" for side in (left, right) for part in side.walk()):
            return Comparison(left == right, "infinities as written")
        settings = self.settings
        left = rename_parameter(left, right)
        equal = any(
            identity.same_function(
                form, right, settings.relative_tolerance, settings.rounding_digits, self.budget
            )
            for form in itertools.chain([left], with_constants_of(right, left))
        )
        return Comparison(equal, "values of both expressions at random points")

    def items(self, answer: Value, gold: Value) -> Comparison:
        left: Sequence[Value] = answer.items if isinstance(answer, Items) else (answer,)
        right: Sequence[Value] = gold.items if isinstance(gold, Items) else (gold,)
        if isinstance(answer, Items) and answer.kind == "list" and self.repeats_one(left) and len(right) < 2:
            return self.compare(left[0], gold)  # one answer, given twice
        kinds = [value.kind for value in (answer, gold) if isinstance(value, Items)]
        if len(kinds) == 2 and "ratio" in kinds:
            if set(kinds) != {"ratio"}:
                return Comparison(False, f"a {kinds[0]} is not a {kinds[1]}")
            return self.ratios(left, right)
        expression = gold if isinstance(answer, Items) else answer
        if kinds == ["tuple"] and isinstance(expression, Expression) and in_vectors(expression.tree):
            return self.expressions(*(as_vector(side) for side in (answer, gold)))
        if kinds == ["ratio"]:
            return self.ratio_as_number(answer, gold)
        if len(kinds) == 2 and sorted(kinds) == ["matrix", "tuple"]:
            return Comparison(self.in_order(vector(answer), vector(gold)), "elements of a vector, in order")
        joints = {value.joint for value in (answer, gold) if isinstance(value, Items)} - {""}
        if "or" in joints and "tuple" in kinds:
            return Comparison(False, "alternatives are no tuple")
        if len(joints) == 2 and not (values_of_one_name(left) and values_of_one_name(right)):
            return Comparison(False, "'and' is not 'or'")
        left, right = flat(left, right), flat(right, left)
        if "matrix" in kinds and len(set(kinds)) == 2 and len(left if kinds[0] != "matrix" else right) == 1:
            inner, matrix = (left[0], gold) if kinds[0] != "matrix" else (answer, right[0])
            return self.compare(inner, matrix)
        if sorted(kinds) == ["list", "tuple"]:
            left, right = by_name(left), by_name(right)
        unordered = all(kind in _UNORDERED for kind in kinds)
        if not unordered and len(set(kinds) - {"list"}) != 1:
            return Comparison(False, f"a {kinds[0]} is not a {kinds[-1]}")
        if len(kinds) == 1 and not unordered:
            return Comparison(False, f"one side is a {kinds[0]}")
        if not unordered:
            if kinds[0] != kinds[-1] and len(left) != len(right):
                return Comparison(False, f"one side is a {kinds[0]}")
            return Comparison(self.in_order(left, right), f"elements of a {kinds[-1]}, in order")
        is_set = isinstance(gold, Items) and gold.kind == "set"
        equal = self.in_any_order(left, self.distinct(right) if is_set else right)
        return Comparison(equal, "elements in any order")

    def in_order(self, left: Sequence[Value], right: Sequence[Value]) -> bool:
        return len(left) == len(right) and all(map(self.same, left, right))

    def in_any_order(self, left: Sequence[Value], right: Sequence[Value]) -> bool:
        if Counter(left) == Counter(right):
            return True
        remaining, items = self.distinct(right), self.distinct(left)
        if len(remaining) < len(right):  # if the reference repeats elements, so must the answer
            remaining, items = list(right), list(left)
        if len(remaining) != len(items):
            return False
        others = self.sketched(remaining)
        for item, outline in self.sketched(items):
            matches = (place for place, other in enumerate(others) if self.alike(item, outline, *other))
            match = next(matches, None)
            if match is None:
                return False
            del others[match]
        return True

    def repeats_one(self, items: Sequence[Value]) -> bool:
        (first, outline), *others = self.sketched(items)
        return all(self.alike(first, outline, *other) for other in others)

    def sketched(self, items: Sequence[Value]) -> list[tuple[Value, Sketch | None]]:
        rough = len(items) > 1 and self.settings.relative_tolerance < MAX_SLACK
        rough = rough and not 0 < self.settings.rounding_digits < 4
        return [(item, sketch(item) if rough else None) for item in items]

    def alike(self, item: Value, outline: Sketch | None, other: Value, its_outline: Sketch | None) -> bool:
        if _is_set(item) != _is_set(other):  # {1, {2}} is not {1, 2}
            return False
        return not apart(outline, its_outline) and self.same(item, other)

    def distinct(self, items: Sequence[Value]) -> list[Value]:
        found: list[tuple[Value, Sketch | None]] = []
        for item, outline in self.sketched(items):
            if not any(self.alike(item, outline, *other) for other in found):
                found.append((item, outline))
        return [item for item, _ in found]

    def ratios(self, left: Sequence[Value], right: Sequence[Value]) -> Comparison:
        if len(left) != len(right):
            return Comparison(False, "ratios of different length")
        nothing = number(Fraction(0))
        pivot = next((place for place, term in enumerate(right) if tree(term) != nothing), 0)
        scale = [
            identity.same_function(
                mul(tree(a), tree(right[pivot])), mul(tree(b), tree(left[pivot])), budget=self.budget
            )
            for a, b in zip(left, right, strict=True)
        ]
        return Comparison(all(scale) and tree(left[pivot]) != nothing, "terms of a ratio")

    def ratio_as_number(self, answer: Value, gold: Value) -> Comparison:
        sides = [
            Expression(divide(*map(tree, side.items)), "")
            if isinstance(side, Items) and len(side.items) == 2
            else side
            for side in (answer, gold)
        ]
        if any(isinstance(side, Items) or (isinstance(side, Quantity) and side.unit) for side in sides):
            return Comparison(False, "only one side is a ratio")
        return replace(self.expressions(*sides), rule="the quotient of a ratio")

    def sets(self, answer: Value, gold: Value) -> Comparison:
        kinds = [value.kind for value in (answer, gold) if isinstance(value, Items)]
        try:
            return Comparison(same_numbers(answer, gold, self.budget), "which real numbers the sets hold")
        except NotComparable:
            if not (isinstance(answer, Items) and isinstance(gold, Items)) or kinds[0] != kinds[-1]:
                return Comparison(False, "sets as written", decided=False)
        if kinds[0] == "difference":
            return Comparison(self.in_order(answer.items, gold.items), "sets as written")
        return Comparison(self.in_any_order(answer.items, gold.items), "sets as written, in any order")

    def intervals(self, answer: Value, gold: Value) -> Comparison:
        left, right = as_interval(answer), as_interval(gold)
        for bracket, other in ((answer, gold), (gold, answer)):
            closed = isinstance(bracket, Interval) and not (bracket.low_open or bracket.high_open)
            if closed and isinstance(other, Items) and other.kind == "matrix":
                assert isinstance(bracket, Interval)
                equal = self.in_order((bracket.low, bracket.high), vector(other))
                return Comparison(equal, "elements of a vector, in order")
        if left is None or right is None:
            return Comparison(False, "only one side is an interval")
        bounds = (left.low_open, left.high_open) == (right.low_open, right.high_open)
        equal = bounds and self.same(left.low, right.low) and self.same(left.high, right.high)
        return Comparison(equal, "ends of the interval")

    def relations(self, answer: Value, gold: Value) -> Comparison:
        if isinstance(answer, Relation) and isinstance(gold, Relation):
            return self.two_relations(answer, gold)
        relation, other = (answer, gold) if isinstance(answer, Relation) else (gold, answer)
        assert isinstance(relation, Relation)
        if set(relation.operators) != {"="}:
            if (isinstance(other, Items) and other.kind in ("set", *_SETS)) or other == relation.sides[-1]:
                return self.sets(answer, gold)
            return self.as_sets(relation, other)
        if isinstance(other, Items) and other.kind == "list" and relation is gold and len(other.items) > 1:
            # gold x = {1, 2}, answered by 1, 2: the last side is the answer
            return replace(self.compare(other, relation.sides[-1]), rule="sides of an assignment")
        # "x = 42", "x = y = 42", "40 + 2 = 42": every side with a value must equal the answer. The first
        # side may be what was asked for, "a + b = 40 + 2 = 42"; but "a + b = 42" is only a condition.
        label = is_label if len(relation.sides) > 2 else is_applied
        labelled = isinstance(other, Quantity) and (label(relation.sides[0]) or is_asked(relation.sides[0]))
        named = (labelled or relation.names[0], *relation.names[1:])
        values = [side for side, is_name in zip(relation.sides, named, strict=True) if not is_name]
        known = [side for side in values if has_value(side)]
        if relation is gold and not any(named) and not self.is_identity(relation):
            return Comparison(False, "only one side is an equation")
        if not values or (len(values) > 1 and values[-1] is not relation.sides[-1]):
            return Comparison(False, "an equation that gives no value")
        if not has_value(values[-1]):
            known.append(values[-1])
        before = _Comparer(replace(self.settings, evaluated=False), self.budget)
        equal = self.same(known[-1], other) and all(before.same(value, other) for value in known[:-1])
        return Comparison(equal, "sides of an assignment")

    def is_identity(self, relation: Relation) -> bool:
        return all(self.same(side, relation.sides[-1]) for side in relation.sides[:-1])

    def as_sets(self, relation: Relation, other: Value) -> Comparison:
        try:
            if as_interval(other) and not (
                isinstance(other, Items) and other.kind == "tuple" and other.items
            ):
                return Comparison(
                    same_numbers(relation, other, self.budget), "which real numbers the sets hold"
                )
        except NotComparable:
            pass
        return self.intervals(relation, other)

    def two_relations(self, answer: Relation, gold: Relation) -> Comparison:
        operators = set(answer.operators) | set(gold.operators)
        answer = rename_argument(answer, gold)
        if operators == {"="} and answer.names[0] and answer.sides[0] == gold.sides[0]:
            values = answer.sides[1:]
            equal = all(
                self.same(value, gold.sides[-1])
                for value in values
                if has_value(value) or value is values[-1]
            )
            return Comparison(equal, "values of the same name")
        if comparable_zeros(answer) and comparable_zeros(gold):
            sign = identity.constant_ratio(difference(answer), difference(gold), self.budget)
            same, mirrored = answer.operators == gold.operators, mirror(answer.operators) == gold.operators
            if sign and operators <= {"=", "ne"}:
                return Comparison(same, "both relations have the same zeros")
            if sign:
                return Comparison(same if sign > 0 else mirrored, "both inequalities have the same solutions")
        if answer.operators == gold.operators and all(map(self.same, answer.sides, gold.sides)):
            return Comparison(True, "sides of the relations")
        mirrored_sides = answer.sides[::-1]
        if mirror(answer.operators)[::-1] == gold.operators and all(
            map(self.same, mirrored_sides, gold.sides)
        ):
            return Comparison(True, "sides of the relations, mirrored")
        if operators <= {"<", ">", "le", "ge"}:
            left, right = (variable(relation) for relation in (answer, gold))
            if left is not None and left == right:
                return self.intervals(answer, gold)
        return Comparison(answer == gold, "equality of relations")
