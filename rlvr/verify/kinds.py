"""The kinds of reference answers."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a reference answer is."""

    INTEGER = "integer"
    DECIMAL = "decimal"
    FRACTION = "fraction"
    PERCENT = "percent"
    MONEY = "money"
    QUANTITY = "quantity"
    DATE = "date"
    TIME = "time"
    DURATION = "duration"
    RANGE = "range"
    RATIO = "ratio"  # and scores
    DIMENSIONS = "dimensions"
    IDENTIFIER = "identifier"
    FORMULA = "formula"
    CHOICE = "choice"
    YES_NO = "yes_no"
    SPECIAL = "special"  # no solution, infinity
    LIST = "list"
    SET = "set"
    TUPLE = "tuple"  # and points, and vectors
    INTERVAL = "interval"  # and inequalities, and unions
    MATRIX = "matrix"
    EQUATION = "equation"
    FUNCTION = "function"  # and piecewise ones
    EXPRESSION = "expression"
    CONGRUENCE = "congruence"
    BASE = "base"  # a number in another base than ten
    TEXT = "text"
