"""Generated problems: short and regular enough for a model trained from scratch.

Every answer is a whole number, and every worked solution ends with `#` and the answer, similar to
GSM8K's `#### 72`: the answer follows the last run of `#`.

    arithmetic          17+25+8=?           17+25=42 ⏎ 42+8=50 ⏎ #50
    linear equations    3x+5=20, x=?        3x=15 ⏎ x=5 ⏎ #5

A level is a finite product of choices (`ARITHMETIC_LEVELS`, `LINEAR_LEVELS`), and no text is in
two levels. The hash of a problem's text decides its split: one in five is held out, for every seed and
level, so training and held-out sets never overlap. The seed decides the order of the problems within a
split: a larger `n` only adds problems at the end.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rlvr.base.keys import key
from rlvr.base.targets import known_names
from rlvr.types import ConfigError, DataError, Problem

ALPHABET = "0123456789+-=()x,?# \n"
"""Every character of the generated texts and solutions."""

Axes = Sequence[Sequence[Any]]  # the parameters of a level, each with its possible values

_ONE_DIGIT, _TWO_DIGITS = range(10), range(10, 100)
_SIGNED = (*range(-20, 0), *range(1, 21))

ARITHMETIC_LEVELS: Mapping[int, Axes] = {  # the signs between the operands, then the operands
    1: (["+"], _ONE_DIGIT, _ONE_DIGIT),
    2: (["++"], _ONE_DIGIT, _ONE_DIGIT, _ONE_DIGIT),
    3: (["++++"], *[_ONE_DIGIT] * 5),
    4: (["+"], _TWO_DIGITS, _TWO_DIGITS),
    5: (["++"], _TWO_DIGITS, _TWO_DIGITS, _TWO_DIGITS),
    6: (["+-", "-+", "--"], _TWO_DIGITS, _TWO_DIGITS, _TWO_DIGITS),
    7: (["++-", "+-+", "-++", "+--", "-+-", "--+"], *[_TWO_DIGITS] * 4),
}

LINEAR_LEVELS: Mapping[int, Axes] = {  # the arguments of `_write_linear`: the form, the root x, a, b, c
    1: (["ax+b=c"], range(10), range(2, 10), range(1, 10)),
    2: (["ax+b=c"], range(-20, 21), range(2, 10), (*range(-99, -9), *range(10, 100))),
    3: (["ax+b=cx+d"], range(-9, 10), range(2, 10), _SIGNED, range(2, 10)),
    4: (["a(x+b)=c"], range(-20, 21), range(2, 10), _SIGNED),
}


@dataclass(frozen=True)
class _Family:
    name: str
    levels: Mapping[int, Axes]
    write: Callable[..., tuple[str, int, str]]  # parameter values → text, answer and worked lines


def arithmetic(split: str, n: int, level: int | Sequence[int], seed: int = 0) -> list[Problem]:
    """`n` sums of 2 to 5 operands, with the running results as their worked solution.

    `split` is "train" or "heldout". Several levels alternate, problem by problem. Raises
    DataError if a level has too few problems in that split, ConfigError for other arguments.
    """
    return _generate(_Family("arithmetic", ARITHMETIC_LEVELS, _write_arithmetic), split, n, level, seed)


def linear_equations(split: str, n: int, level: int | Sequence[int], seed: int = 0) -> list[Problem]:
    """`n` linear equations in x with an integer root, solved in one step per line; see `arithmetic`."""
    return _generate(_Family("linear", LINEAR_LEVELS, _write_linear), split, n, level, seed)


def _write_arithmetic(signs: str, *operands: int) -> tuple[str, int, str]:
    """Text, answer and worked lines."""
    total, text, lines = operands[0], str(operands[0]), []
    for sign, operand in zip(signs, operands[1:], strict=True):
        result = total + operand if sign == "+" else total - operand
        lines.append(f"{total}{sign}{operand}={result}")
        total, text = result, f"{text}{sign}{operand}"
    return f"{text}=?", total, "\n".join(lines)


def _write_linear(form: str, x: int, a: int, b: int, c: int = 0) -> tuple[str, int, str]:
    """Text, answer and worked lines. If x is on both sides, its coefficients are a + c on the left and c
    on the right, so that the remaining coefficient a is never 0."""
    if form == "a(x+b)=c":
        return f"{a}(x{b:+d})={a * (x + b)}, x=?", x, f"x{b:+d}={x + b}\nx={x}"
    lines = f"{a}x={a * x}\nx={x}"
    constant = a * x + b
    if form == "ax+b=c":
        return f"{a}x{b:+d}={constant}, x=?", x, lines
    right = f"{c}x{constant:+d}" if constant else f"{c}x"
    return f"{a + c}x{b:+d}={right}, x=?", x, f"{a}x{b:+d}={constant}\n{lines}"


def _generate(family: _Family, split: str, n: int, level: int | Sequence[int], seed: int) -> list[Problem]:
    levels = [level] if isinstance(level, int) else list(level)
    if split not in ("train", "heldout"):
        raise ConfigError(f"{family.name}: no split {split!r}; {known_names(split, ['train', 'heldout'])}")
    if n < 1:
        raise ConfigError(f"{family.name}: n is {n}, but must be ≥ 1")
    if not levels or len(set(levels)) < len(levels):
        raise ConfigError(f"{family.name}: level is {levels}, but must name at least one level, each once")
    by_level = []
    for turn, one in enumerate(levels):
        if one not in family.levels:
            raise ConfigError(
                f"{family.name}: no level {one!r}; {known_names(str(one), map(str, family.levels))}"
            )
        wanted = len(range(turn, n, len(levels)))
        by_level.append(list(islice(_problems(family, one, split, seed), wanted)))
        if len(by_level[-1]) < wanted:
            raise DataError(
                f"{family.name}: level {one} has {len(by_level[-1])} problems in split {split}, but {wanted} "
                "were asked for: lower n, or name more levels"
            )
    return [by_level[place % len(levels)][place // len(levels)] for place in range(n)]


def _problems(family: _Family, level: int, split: str, seed: int) -> Iterator[Problem]:
    """All problems of one level in `split`, in an order keyed by `seed`."""
    axes = family.levels[level]
    size = math.prod(len(axis) for axis in axes)
    for index in shuffled_numbers(size, key(family.name, level, seed)):
        choice, rest = [], index
        for axis in axes:
            rest, place = divmod(rest, len(axis))
            choice.append(axis[place])
        text, answer, lines = family.write(*choice)
        if side_of(text) == split:
            yield Problem(
                id=f"{family.name}-{level}-{index}",
                text=text,
                answer=str(answer),
                solution=f"{lines}\n#{answer}",
                columns={"level": level},
            )


def side_of(text: str) -> str:
    """ "heldout" for one text in five, else "train": by its hash alone, for every source and seed."""
    return "heldout" if key("heldout", text) % 5 == 0 else "train"


def shuffled_numbers(size: int, seed: int) -> Iterator[int]:
    """The numbers below `size` in random order, one by one: a lazy Fisher–Yates shuffle that
    stores only moved entries, since the largest level has over 3·10⁸ problems."""
    draw = random.Random(seed).random  # the only method with a stream that is stable across Python versions
    moved: dict[int, int] = {}
    for place in range(size):
        other = place + int(draw() * (size - place))
        yield moved.get(other, other)
        moved[other] = moved.pop(place, place)
