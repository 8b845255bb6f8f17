"""The kind of a reference answer, which decides how an answer is compared with it.

A reference is read once. Where its text alone does not tell (3-1 may be a score, 6/10/2024 two dates), `sure` is
False: `rlvr audit` then asks, and a problem's column or a setting can say which kind it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache

from rlvr.verify.calendar import Clock, Date, read_clock, read_date, read_duration
from rlvr.verify.codes import Code, may_be_a_code, read_code, read_formula, seems_a_code, seems_a_formula
from rlvr.verify.exact import Quantity, read_quantity, scan_number
from rlvr.verify.plain import plain
from rlvr.verify.words import special, yes_or_no


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
