"""The points at which two expressions are compared: some in every piece of a piecewise function.

An analytic function is determined by its values at a few points, but |x + 50|, max(x, -1000), ⌊x/1000⌋,
arctan(tan x) or √(x²) have another formula beyond a switch, which may be anywhere. Each switch has an
argument and levels (0 for |u|, whole numbers for ⌊u⌋). The crossings of these levels along lines are found
in floating point; points are chosen between neighbouring crossings, beyond the outermost ones, and at
them. Names of whole numbers take many residues, including those of the moduli in the expressions. A missed
crossing can only hide a difference: no point is assumed to be in a certain piece.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from rlvr.verify.rational import Budget
from rlvr.verify.tree import COUNTS, DIVISORS, MINUS_ONE, Node, add, mul, names, power

MAX_SWITCHES = 12
MAX_CROSSINGS = 24  # on one line
MAX_SEEDS = 24  # start positions from constants
MAX_WHOLE = 60  # points of whole numbers

_ROOTS = frozenset(["sqrt", "cbrt"])
_ROUNDING = frozenset(["floor", "ceil"])
_TRIG = frozenset(["sin", "cos", "tan", "cot", "sec", "csc"])
_INVERSE = frozenset([f"a{word}" for word in _TRIG] + ["arg"])
_DOMAINS = frozenset(["ln", "log", "lg", "acosh", "atanh", "acoth", "asech"])
_OF_INTEGERS = frozenset(["floor", "ceil", "factorial", "double factorial", "binom"])
_ZERO = (0.0,)
_WHOLE = (0.0, -1.0, 1.0, 2.0, 5.0)
_QUARTERS = tuple(math.pi / 2 * quarter for quarter in (-5, -3, -2, -1, 1, 2, 3, 5))

Point = dict[str, Fraction]


@dataclass(frozen=True)
class Switch:
    """An argument that selects the formula, by the levels between which its value is."""

    argument: Node
    levels: tuple[float, ...]
    jumps: bool = False  # whether the function at the crossing may differ from both neighbouring pieces


def usual_points(left: Node, right: Node) -> list[Point]:
    """Four random points, with all signs: enough for analytic functions."""
    free = sorted(names(left) | names(right))
    if not free:
        return [{}]
    return _usual_points(tuple(free), frozenset(whole_names([*left.walk(), *right.walk()], free)))


@lru_cache(maxsize=256)
def _usual_points(free: tuple[str, ...], whole: frozenset[str]) -> list[Point]:
    draw = random.Random(20_040_229)
    points = []
    for index in range(4):
        point = {}
        for place, word in enumerate(free):
            size = Fraction(draw.randint(100, 999), draw.randint(300, 999))
            sign = (1, -1, (-1) ** place, -((-1) ** place))[index]
            point[word] = Fraction(draw.randint(1, 9)) if word in whole else sign * size
        points.append(point)
    return points


def further_points(left: Node, right: Node, budget: Budget, everywhere: bool) -> Iterator[tuple[Point, bool]]:
    """Points in the other pieces, the nearest first; none if both sides are analytic.

    With each point comes whether it is required, as the only point of its piece.

    `everywhere` includes the ends of the domains of logarithms and inverse functions.
    """
    parts = list({part: None for side in (left, right) for part in side.walk()})
    free = sorted(names(left) | names(right))
    if not free:
        return
    whole = sorted(whole_names(parts, free))
    draw = random.Random(20_011_009)
    constants = sorted({abs(value) for part in parts if math.isfinite(value := _constant(part)) and value})
    if whole:
        others = [word for word in free if word not in whole]
        yield from ((point, False) for point in _whole_points(whole, others, constants, draw))
    switches = list(_switches(parts, everywhere))[:MAX_SWITCHES]
    real = [word for word in free if word not in whole]
    if not switches or not real:
        return
    found = [list(_on_line(line, switches, constants, budget)) for line in _lines(real, whole, draw)]
    for nearest in itertools.zip_longest(*found):
        yield from (point for point in nearest if point is not None)


def whole_names(parts: Sequence[Node], free: Iterable[str]) -> set[str]:
    """The names of whole numbers: n in n!, ⌊n/2⌋, cos nπ; any in (-1)^a, gcd(a, n), a sum up to a."""
    free = set(free)
    counts, certain = COUNTS & free, set[str]()
    usual = False
    for part in parts:
        if part.name in _OF_INTEGERS or part.head == "mod":
            usual = True
        elif part.head == "pow" and names(part.args[1]):
            base = part.args[0]
            if base.head == "number" and base.value < 0:
                certain |= names(part.args[1])
            elif base.name == "e" and {"i", "pi"} <= {inner.name for inner in part.args[1].walk()}:
                usual = True
        elif part.name in _TRIG and any(inner.name == "pi" for inner in part.walk()):
            usual = True
        elif part.name in DIVISORS.values():
            certain |= names(part)
        elif part.head == "bind" and part.name in ("sum", "prod"):
            certain |= set[str]().union(*(names(limit) for limit in part.args[2:]))
    return (certain & free) | (counts if usual else set())


def _whole_points(
    whole: Sequence[str], real: Sequence[str], constants: Sequence[float], draw: random.Random
) -> Iterator[Point]:
    """Points with many residues, also modulo the constants, and of all magnitudes; small ones first."""
    moduli = [int(constant) for constant in constants if constant.is_integer() and 1 < constant < 1e9]
    product = math.prod(moduli[:4])
    chosen = dict.fromkeys(range(1, 13))
    chosen |= dict.fromkeys((product - 1, product, product + 1) if 2 < product < 10**12 else ())
    for least in (20, 100, 1000, 10**4, 10**6):
        chosen |= dict.fromkeys(draw.randint(least, 9 * least) for _ in range(2))
    for modulus in moduli[:5]:
        for times in (1, draw.randint(3, 50)):
            shifts = (-1, 0, 1, draw.randint(2, modulus))
            chosen |= dict.fromkeys(times * modulus + shift for shift in shifts)
        chosen |= dict.fromkeys(range(1, 2 * modulus + 1) if modulus <= 20 else ())
    values = sorted(value for value in list(chosen)[:MAX_WHOLE] if value > 0)
    rows: list[tuple[int, ...]] = [(value,) for value in values]
    if len(whole) > 1:
        rows = [tuple(draw.choice(range(1, 13)) for _ in whole) for _ in range(MAX_WHOLE // 2)]
        rows += [tuple(draw.choice(values) for _ in whole) for _ in range(MAX_WHOLE // 2)]
    for row in rows:
        point = {word: Fraction(value) for word, value in zip(whole, row, strict=True)}
        for word in real:
            size = Fraction(draw.randint(100, 999), draw.randint(300, 999))
            point[word] = draw.choice((size, -size))
        yield point


def _switches(parts: Iterable[Node], everywhere: bool) -> Iterator[Switch]:
    found: dict[Switch, None] = {}
    for part in parts:
        for switch in _switches_of(part, everywhere):
            if names(switch.argument):
                found[switch] = None
    # Plain arguments first, so that others are searched in their pieces as well.
    yield from sorted(found, key=lambda switch: sum(1 for _ in switch.argument.walk()))


def _switches_of(part: Node, everywhere: bool) -> Iterator[Switch]:
    head, args = part.head, part.args
    if part.name in ("abs", "arg") or part.name == "sgn":
        yield Switch(args[0], _ZERO, part.name == "sgn")
    elif part.name in ("max", "min"):
        for one, other in itertools.islice(itertools.combinations(args, 2), 6):
            yield Switch(_difference(one, other), _ZERO)
    elif part.name in _ROUNDING:
        yield Switch(args[0], _WHOLE, jumps=True)
    elif head == "mod":
        yield Switch(mul(args[0], power(args[1], MINUS_ONE)), _WHOLE, jumps=True)
    elif head == "test" and len(args) == 2 and part.name not in ("and", "or"):
        yield Switch(_difference(*args), _ZERO, jumps=True)
    elif part.name in _ROOTS or (head == "pow" and _is_fraction(args[1])):
        yield from (Switch(factor, _ZERO) for factor in _factors(args[0]))
    elif everywhere and part.name in _DOMAINS:
        yield Switch(args[0], (0.0, 1.0))
    if part.name in _INVERSE:
        if everywhere:
            yield Switch(args[0], (-1.0, 1.0))
        for inner in args[0].walk():
            if inner.name in _TRIG:
                yield Switch(inner.args[0], _QUARTERS)
            elif inner.head == "pow" and inner.args[1].head == "number" and inner.args[1].value < 0:
                yield Switch(inner.args[0], _ZERO)


def _difference(one: Node, other: Node) -> Node:
    return add(one, mul(MINUS_ONE, other))


def _is_fraction(exponent: Node) -> bool:
    """Whether an exponent is a fraction, or a decimal that is not a whole number."""
    if exponent.head == "number":
        return exponent.value.denominator > 1
    return any(inner.head == "pow" for inner in exponent.walk())


def _factors(base: Node) -> Iterator[Node]:
    """The factors of a base that change its sign or make it zero: x and x + 1 of x²(x + 1)."""
    if base.head == "mul":
        for arg in base.args:
            yield from _factors(arg)
    elif base.head == "pow" and base.args[1].head == "number":
        yield from _factors(base.args[0])
    else:
        yield base


@dataclass(frozen=True)
class _Line:
    start: Point
    direction: Point  # of the real names; others are constant

    def at(self, t: float) -> dict[str, float]:
        return {word: float(at) + t * float(self.direction.get(word, 0)) for word, at in self.start.items()}

    def exactly(self, t: Fraction) -> Point:
        return {word: at + t * self.direction.get(word, Fraction(0)) for word, at in self.start.items()}


def _lines(real: Sequence[str], whole: Sequence[str], draw: random.Random) -> Iterator[_Line]:
    """The axis itself for one name; for several, lines into every pair of opposite quadrants of the first."""
    still = {word: Fraction(draw.randint(1, 9)) for word in whole}
    if len(real) == 1:
        yield _Line({real[0]: Fraction(0), **still}, {real[0]: Fraction(1)})
        return
    for index in range(4 if len(real) > 2 else 2):
        start = {word: Fraction(draw.randint(-99, 99), 70) for word in real}
        signs = [(1, (-1) ** place, draw.choice((1, -1)))[min(index, 2)] for place in range(len(real))]
        slopes = [sign * Fraction(draw.randint(50, 99), 70) for sign in signs]
        yield _Line({**start, **still}, dict(zip(real, slopes, strict=True)))


def _on_line(
    line: _Line, switches: Sequence[Switch], constants: Sequence[float], budget: Budget
) -> Iterator[tuple[Point, bool]]:
    """The points of a line between the switches, and whether each is the only one of its piece.

    Points far out, and points at switches where a function jumps, do not count for a piece.
    """
    seeds = _seeds(line, constants)
    crossings: dict[float, bool] = {}
    unknown = False
    at = lru_cache(maxsize=None)(line.at)
    for switch in switches:
        work = 1 + (sum(1 for _ in switch.argument.walk()) + len(line.start)) // 2

        def argument(t: float, node: Node = switch.argument, work: int = work) -> float:
            budget.spend(work)
            return approximate(node, at(t))

        grid = sorted({*seeds, *crossings})
        values = [argument(t) for t in grid]
        unknown = unknown or sum(map(math.isnan, values)) > len(values) // 2
        for level in switch.levels:
            for crossing in _crossings(argument, level, grid, values):
                crossings[crossing] = crossings.get(crossing, False) or switch.jumps
    near = sorted(sorted(crossings, key=abs)[:MAX_CROSSINGS])
    if near:
        near = [near[0] - 1 - abs(near[0]) / 8, *near, near[-1] + 1 + abs(near[-1]) / 8]
    # If an argument could not be evaluated, or crosses too often, points of all magnitudes are used instead.
    lost = unknown or len(crossings) > MAX_CROSSINGS // 2
    far = [sign * 10.0**power for power in ((-2, 1, 3, 6, 9, 12) if lost else (3,)) for sign in (1, -1)]
    chosen = {_between(low, high) for low, high in itertools.pairwise(near)}
    chosen |= {Fraction(t) for t in near[:1] + near[-1:]}
    optional = {Fraction(t) for t in far} - chosen
    optional |= {Fraction(t).limit_denominator(1000) for t in near if crossings.get(t)}
    for t in sorted(chosen | optional, key=abs):
        yield line.exactly(t), t not in optional


def _between(low: float, high: float) -> Fraction:
    """A fraction of few digits strictly between two numbers, off their middle."""
    at = low + (high - low) * 0.4375
    short = Fraction(at).limit_denominator(997)
    return short if low < short < high else Fraction(at)


def _seeds(line: _Line, constants: Sequence[float]) -> list[float]:
    """Start positions: all magnitudes, and where a name equals one of the constants."""
    powers = range(-8, 25) if len(line.direction) == 1 else range(-6, 25, 2)
    seeds = {0.0, *(sign * 10 ** (power / 2) for power in powers for sign in (1, -1))}
    for (word, slope), constant in itertools.islice(
        itertools.product(line.direction.items(), constants[:12]), MAX_SEEDS
    ):
        for value in (constant, -constant):
            t = (value - float(line.start[word])) / float(slope)
            seeds |= {t} if abs(t) < 1e15 else set()
    return sorted(seeds)


def _crossings(
    argument: Callable[[float], float], level: float, grid: Sequence[float], values: Sequence[float]
) -> Iterator[float]:
    """Where the argument crosses or touches the level, or starts or stops being real."""
    beyond = [value - level for value in values]
    found = 0
    for index, (low, high) in enumerate(itertools.pairwise(grid)):
        if found >= MAX_CROSSINGS // 2:
            return
        left, right = beyond[index], beyond[index + 1]
        if left == 0:
            found += 1
            yield low
        elif _side(left) != _side(right) and right != 0:
            found += 1
            yield _bisected(lambda t: argument(t) - level, low, high, _side(left))
        elif index and _turns(beyond[index - 1], left, right):  # does it reach the level on the way?
            before = grid[index - 1]
            lowest = _lowest(lambda t: abs(argument(t) - level), before, high)
            at = argument(lowest) - level
            if _side(at) != _side(left) and at != 0:
                found += 2
                yield _bisected(lambda t: argument(t) - level, lowest, high, _side(at))
                yield _bisected(lambda t: argument(t) - level, before, lowest, _side(left))
            elif abs(at) <= 1e-9 * abs(left):
                found += 1
                yield lowest
    if beyond[-1] == 0:
        yield grid[-1]


def _turns(before: float, at: float, after: float) -> bool:
    return _side(before) == _side(at) == _side(after) and abs(before) > abs(at) <= abs(after)


def _side(value: float) -> int:
    return 2 if math.isnan(value) else (value > 0) - (value < 0)


def _bisected(function: Callable[[float], float], low: float, high: float, side: int) -> float:
    """Where `function` changes from its side at `low`, by bisection."""
    for _ in range(60):
        middle = (low + high) / 2
        if high - low <= 1e-13 * abs(middle) or not low < middle < high:
            break
        if _side(function(middle)) == side:
            low = middle
        else:
            high = middle
    return high


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """The minimum of `function`, which has only one between `low` and `high`, by ternary search."""
    for _ in range(80):
        third = (high - low) / 3
        if function(low + third) < function(high - third):
            high -= third
        else:
            low += third
    return (low + high) / 2


def _constant(node: Node) -> float:
    return math.nan if names(node) else approximate(node, {})


def approximate(node: Node, at: Mapping[str, float]) -> float:
    """The value of an expression in floating point; nan if it is not real, or unknown."""
    try:
        return _approximate(node, at)
    except (ArithmeticError, ValueError, TypeError, KeyError):
        return math.nan


def _approximate(node: Node, at: Mapping[str, float]) -> float:
    if node.head == "number":
        return node.value.numerator / node.value.denominator
    if node.head == "name":
        return at[node.name] if node.name in at else _NAMED[node.name]
    if node.head in ("bind", "test", "cases"):
        return math.nan
    args = [_approximate(arg, at) for arg in node.args]
    if node.head == "add":
        return sum(args)
    if node.head == "mul":
        return math.prod(args)
    if node.head == "pow":
        return float(args[0] ** args[1])  # a complex number is a TypeError
    if node.head == "mod":
        return args[0] % args[1]
    return float(_FLOATS[node.name](*args))


_NAMED = {"pi": math.pi, "e": math.e}
_FLOATS: dict[str, Callable[..., float]] = {
    word: getattr(math, word)
    for word in (
        *("sqrt", "exp", "floor", "ceil", "sinh", "cosh", "tanh"),
        *("sin", "cos", "tan", "asin", "acos", "atan"),
    )
} | {
    "abs": abs,
    "max": max,
    "min": min,
    "ln": math.log,
    "lg": math.log10,
    "log": math.log,
    "sgn": lambda x: (x > 0) - (x < 0),
    "cbrt": lambda x: math.copysign(abs(x) ** (1 / 3), x),
    "cot": lambda x: 1 / math.tan(x),
    "sec": lambda x: 1 / math.cos(x),
    "csc": lambda x: 1 / math.sin(x),
}
