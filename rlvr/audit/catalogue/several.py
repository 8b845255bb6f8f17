"""Lists, sets, tuples and matrices."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from random import Random

from rlvr.audit.catalogue.entry import MATH, Entry, Writer
from rlvr.audit.catalogue.numbers import read_decimal, read_fraction
from rlvr.audit.catalogue.spelled import decimal_text, latex_number
from rlvr.verify.kinds import Kind

Item = Fraction | str  # a number, or what is not read any further

_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True)
class Items:
    """A list, a set or a tuple: `around` stands about its items, `ordered` tells whether order matters."""

    items: tuple[Item, ...]
    around: str = "{}"
    ordered: bool = True

    @property
    def text(self) -> str:
        return self.written(", ")

    @property
    def value(self) -> tuple[str, object]:
        """Lists are compared as multisets: whether their order matters is for the question to say."""
        if self.around.startswith(r"\{"):
            return "set", frozenset(self.items)
        return ("tuple", self.items) if self.ordered else ("list", frozenset(Counter(self.items).items()))

    def written(self, joint: str, write: Callable[[Item], str] | None = None) -> str:
        return self.wrap(joint.join(map(write or item_text, self.items)))

    def wrap(self, inner: str) -> str:
        return self.around.replace("{}", inner)

    @property
    def numbers(self) -> tuple[Fraction, ...] | None:
        found = tuple(item for item in self.items if isinstance(item, Fraction))
        return found if len(found) == len(self.items) else None


def item_text(item: Item) -> str:
    return item if isinstance(item, str) else latex_number(item)


def read_item(text: str) -> Item:
    plain = text.strip()
    number = read_decimal(plain) or read_fraction(plain)
    return number.value if number and "," not in plain else plain


def split_outside_brackets(text: str, separators: str) -> list[str]:
    """Cut `text` before each of `separators` that stands in no brackets; the separator begins a part."""
    parts, depth = [""], 0
    for place, character in enumerate(text):
        depth += (character in _OPENING) - (character in _CLOSING)
        escaped = text[place - 1 : place] == "\\"
        if depth == 0 and character in separators and not escaped:
            parts.append("")
        parts[-1] += character
    return parts


def balanced(text: str) -> bool:
    open_brackets: list[str] = []
    for character in text:
        if character in _OPENING:
            open_brackets.append(character)
        elif character in _CLOSING and (
            not open_brackets or _OPENING.index(open_brackets.pop()) != _CLOSING.index(character)
        ):
            return False
    return not open_brackets


def _draw_items(rng: Random, sizes: Sequence[int], distinct: bool) -> tuple[Item, ...]:
    size, low = rng.choice(sizes), rng.choice([-12, 0])
    while True:
        found = [Fraction(rng.randrange(low, 40)) for _ in range(size)]
        if rng.random() < 0.3:
            found[rng.randrange(size)] = Fraction(rng.randrange(1, 12), rng.choice([2, 3, 4, 5]))
        if not distinct or len(set(found)) == size:
            return tuple(found)


def draw_list(rng: Random) -> Items:
    return Items(_draw_items(rng, [2, 2, 3, 3, 4, 5], distinct=True), ordered=False)


def draw_set(rng: Random) -> Items:
    return Items(_draw_items(rng, [2, 3, 3, 4, 5], distinct=True), r"\{{}\}")


_AROUND = {
    "point": "({})",
    "vector": r"\langle {} \rangle",
    "column": r"\begin{pmatrix} {} \end{pmatrix}",
}


def draw_tuple(rng: Random) -> Items:
    around = rng.choice(["point", "point", "vector", "column"])
    found = Items(_draw_items(rng, [2, 2, 3, 3, 4], distinct=False), _AROUND[around])
    return found if len(set(found.items)) > 1 else draw_tuple(rng)


def _cut(inner: str) -> tuple[Item, ...] | None:
    parts = [part.strip(" ,") for part in split_outside_brackets(inner, ",")]
    return tuple(map(read_item, parts)) if all(parts) and all(map(balanced, parts)) else None


def _plain(text: str) -> str | None:
    plain = text.replace(r"\left", "").replace(r"\right", "").replace(r"\,", " ").strip()
    return (
        None if re.search(r"\\text|\\cup|\\ldots|\\dots|\\pm|\\infty|=|[<>_|]|\\(?:le|ge)", plain) else plain
    )


def read_list(text: str) -> Items | None:
    """1, 2, 3 without brackets around."""
    plain = _plain(text)
    items = _cut(plain) if plain and not re.fullmatch(r"\d{1,3}(,\d{3})+", plain) else None
    return Items(items, ordered=False) if items and len(items) > 1 else None


def read_set(text: str) -> Items | None:
    plain = _plain(text)
    if plain is None or not (plain.startswith(r"\{") and plain.endswith(r"\}")):
        return None
    items = _cut(plain[2:-2].strip())
    return Items(items, r"\{{}\}") if items else None


def read_tuple(text: str) -> Items | None:
    """(1, 2), \\langle 1, 2 \\rangle, a matrix of one column."""
    plain = _plain(text)
    if plain is None:
        return None
    if match := re.fullmatch(r"\\langle(.*)\\rangle", plain, re.DOTALL):
        items, around = _cut(match[1].strip()), _AROUND["vector"]
    elif plain.startswith("(") and plain.endswith(")"):
        items, around = _cut(plain[1:-1]), _AROUND["point"]
    elif match := re.fullmatch(r"\\begin\{[pb]matrix\}([^&]*)\\end\{[pb]matrix\}", plain, re.DOTALL):
        rows = [row.strip() for row in match[1].split(r"\\")]
        items, around = tuple(map(read_item, rows)) if all(rows) else None, _AROUND["column"]
    else:
        return None
    return Items(items, around) if items and len(items) > 1 else None


def _joined(joint: str) -> Writer:
    return lambda gold, rng: gold.written(joint)


def _with_items(write: Callable[[Item], str]) -> Writer:
    return lambda gold, rng: gold.written(_joint(gold), write)


def _joint(gold: Items) -> str:
    return r" \\ " if "pmatrix" in gold.around else ", "


def _dfrac(item: Item) -> str:
    return item_text(item).replace(r"\frac", r"\dfrac")


def _slash(item: Item) -> str:
    return item if isinstance(item, str) else str(item)


def _decimal(item: Item) -> str:
    return (decimal_text(item) or latex_number(item)) if isinstance(item, Fraction) else item


def _last_by(word: str, comma: bool = True) -> Writer:
    def written(gold: Items, rng: Random) -> str:
        *first, last = map(item_text, gold.items)
        return f"{', '.join(first)}{',' if comma and len(first) > 1 else ''}{word}{last}"

    return written


def _each_named(name: str, joint: str) -> Writer:
    return lambda gold, rng: joint.join(
        f"{name.format(place)} = {item_text(item)}" for place, item in enumerate(gold.items, 1)
    )


def _plus_minus(gold: Items, rng: Random) -> str | None:
    numbers = gold.numbers
    if not numbers or len(numbers) != 2 or sum(numbers) != 0:
        return None
    return gold.wrap(rf"\pm {latex_number(abs(numbers[0]))}")


def _rotated(gold: Items, rng: Random) -> Items:
    return replace(gold, items=(*gold.items[1:], gold.items[0]))


def _shuffled(gold: Items, rng: Random) -> Items:
    return replace(gold, items=tuple(rng.sample(gold.items, len(gold.items))))


def _sorted(reverse: bool) -> Writer:
    def written(gold: Items, rng: Random) -> Items | None:
        numbers = gold.numbers
        return replace(gold, items=tuple(sorted(numbers, reverse=reverse))) if numbers else None

    return written


# --- what changes the items -----------------------------------------------------------------------------


def _dropped(place: int) -> Writer:
    def written(gold: Items, rng: Random) -> Items | None:
        items = list(gold.items)
        items.pop(place)
        return replace(gold, items=tuple(items)) if items else None

    return written


def _appended(gold: Items, rng: Random) -> Items:
    return replace(gold, items=(*gold.items, Fraction(rng.choice([41, 57, 98765]))))


def _one_item(change: Callable[[Fraction], Fraction]) -> Writer:
    def written(gold: Items, rng: Random) -> Items | None:
        place = rng.randrange(len(gold.items))
        item = gold.items[place]
        if isinstance(item, str):
            return None
        return replace(gold, items=(*gold.items[:place], change(item), *gold.items[place + 1 :]))

    return written


def _all_items(change: Callable[[Fraction], Fraction]) -> Writer:
    def written(gold: Items, rng: Random) -> Items | None:
        numbers = gold.numbers
        return replace(gold, items=tuple(map(change, numbers))) if numbers else None

    return written


def _one_number(value: Callable[[Sequence[Fraction]], Fraction]) -> Writer:
    return lambda gold, rng: latex_number(value(gold.numbers)) if gold.numbers else None


def _product(numbers: Sequence[Fraction]) -> Fraction:
    found = Fraction(1)
    for number in numbers:
        found *= number
    return found


_CHANGED_ITEMS: dict[str, Writer] = {
    "first item dropped": _dropped(0),
    "last item dropped": _dropped(-1),
    "further item": _appended,
    "one item + 1": _one_item(lambda item: item + 1),
    "one item − 1": _one_item(lambda item: item - 1),
    "sign of one item flipped": _one_item(lambda item: -item),
    "one item ten times": _one_item(lambda item: 10 * item),
    "one item inverted": _one_item(lambda item: 1 / item if item else item),
    "all signs flipped": _all_items(lambda item: -item),
    "all doubled": _all_items(lambda item: 2 * item),
    "all + 1": _all_items(lambda item: item + 1),
    "sum": _one_number(lambda numbers: sum(numbers, Fraction(0))),
    "product": _one_number(_product),
    "first item alone": lambda gold, rng: (
        item_text(gold.items[0]) if gold.items[0] != gold.items[-1] else None
    ),
    "last item alone": lambda gold, rng: (
        item_text(gold.items[-1]) if gold.items[0] != gold.items[-1] else None
    ),
}

LIST = Entry(
    Kind.LIST,
    draw_list,
    read_list,
    keeps={
        **MATH,
        "no spaces": lambda gold, rng: (
            gold.written(",") if all(abs(number) < 100 for number in gold.numbers or [1000]) else None
        ),
        "semicolons": _joined("; "),
        "spaces of LaTeX": _joined(r",\ "),
        "quads": _joined(r",\quad "),
        "thin spaces after commas": _joined(r",\, "),
        "and before the last": _last_by(" and "),
        "and in \\text before the last": _last_by(r" \text{ and } ", comma=False),
        "each in dollars": lambda gold, rng: ", ".join(f"${item_text(item)}$" for item in gold.items),
        "decimals": _with_items(_decimal),
        "\\dfrac": _with_items(_dfrac),
        "slashes": _with_items(_slash),
        "named": lambda gold, rng: f"x = {gold.text}",
        "each named": _each_named("x", ", "),
        "each named with an index": _each_named("x_{}", ", "),
        "minus signs of Unicode": lambda gold, rng: gold.text.replace("-", "−"),
        "plus or minus": _plus_minus,
    },
    changes=_CHANGED_ITEMS
    | {
        "range": lambda gold, rng: (
            f"[{gold.text}]"
            if len(gold.items) == 2 and gold.numbers and gold.numbers[0] < gold.numbers[1]
            else None
        ),
        "digits of neighbours exchanged": lambda gold, rng: (
            replace(gold, items=(gold.items[0] + 1, gold.items[1] - 1, *gold.items[2:]))
            if gold.numbers
            else None
        ),
        "denied": lambda gold, rng: rf"\text{{not }} {gold.text}",
        "none": lambda gold, rng: r"\text{no solution}",
    },
)

SET = Entry(
    Kind.SET,
    draw_set,
    read_set,
    keeps={
        **MATH,
        "rotated": _rotated,
        "shuffled": _shuffled,
        "descending": _sorted(reverse=True),
        "ascending": _sorted(reverse=False),
        "shuffled, decimals": lambda gold, rng: _shuffled(gold, rng).written(", ", _decimal),
        "an item twice": lambda gold, rng: (
            replace(gold, items=(*gold.items, gold.items[0])) if gold.numbers else None
        ),
        "no spaces": lambda gold, rng: (
            gold.written(",") if all(abs(number) < 100 for number in gold.numbers or [1000]) else None
        ),
        "plain braces": lambda gold, rng: f"{{{replace(gold, around='{}').text}}}",
        "sized braces": lambda gold, rng: rf"\left\{{{replace(gold, around='{}').text}\right\}}",
        "\\lbrace": lambda gold, rng: rf"\lbrace {replace(gold, around='{}').text} \rbrace",
        "spaces within": lambda gold, rng: rf"\{{ {replace(gold, around='{}').text} \}}",
        "union": lambda gold, rng: (
            rf"\{{{item_text(gold.items[0])}\}} \cup {replace(gold, items=gold.items[1:]).text}"
            if len(gold.items) > 1
            else None
        ),
        "decimals": _with_items(_decimal),
        "\\dfrac": _with_items(_dfrac),
        "slashes": _with_items(_slash),
        "minus signs of Unicode": lambda gold, rng: gold.text.replace("-", "−"),
        "plus or minus": _plus_minus,
        "named": lambda gold, rng: f"S = {gold.text}",
    },
    changes=_CHANGED_ITEMS
    | {
        "number of items": lambda gold, rng: str(len(gold.items)),
        "interval": lambda gold, rng: (
            f"[{latex_number(min(gold.numbers))}, {latex_number(max(gold.numbers))}]"
            if gold.numbers and len(gold.numbers) > 1
            else None
        ),
        "complement": lambda gold, rng: rf"\mathbb{{R}} \setminus {gold.text}",
        "set of the set": lambda gold, rng: rf"\{{{gold.text}\}}",
        "union with another": lambda gold, rng: rf"{gold.text} \cup \{{98765\}}",
        "none": lambda gold, rng: r"\emptyset",
    },
)


def _vector_only(write: Writer) -> Writer:
    return lambda gold, rng: write(gold, rng) if gold.around != _AROUND["point"] else None


def _point_only(write: Writer) -> Writer:
    return lambda gold, rng: write(gold, rng) if gold.around == _AROUND["point"] else None


def _of_base_vectors(write: str) -> Writer:
    def written(gold: Items, rng: Random) -> str | None:
        numbers = gold.numbers
        if not numbers or not 2 <= len(numbers) <= 3:
            return None
        terms = []
        for number, name in zip(numbers, "ijk", strict=False):
            size = "" if abs(number) == 1 else latex_number(abs(number))
            if number:
                terms.append(f"{'-' if number < 0 else '+'} {size}{write.replace('@', name)}")
        if not terms:
            return None
        return re.sub("^- ", "-", " ".join(terms).removeprefix("+ "))

    return written


def _columns(environment: str) -> Writer:
    return lambda gold, rng: replace(
        gold, around=rf"\begin{{{environment}}} {{}} \end{{{environment}}}"
    ).written(r" \\ ")


def _coordinates(names: str, joint: str) -> Writer:
    def written(gold: Items, rng: Random) -> str | None:
        if len(gold.items) > 3:
            return None
        pairs = zip(names, gold.items, strict=False)
        return joint.join(f"{name} = {item_text(item)}" for name, item in pairs)

    return written


def _tuple_inner(template: str) -> Writer:
    """`template` with @ for the items and commas between."""
    return lambda gold, rng: template.replace("@", ", ".join(map(item_text, gold.items)))


@dataclass(frozen=True)
class Tuple(Items):
    @property
    def text(self) -> str:
        return self.written(_joint(self))


def draw_tuples(rng: Random) -> Tuple:
    found = draw_tuple(rng)
    return Tuple(found.items, found.around)


def read_tuples(text: str) -> Tuple | None:
    found = read_tuple(text)
    return Tuple(found.items, found.around) if found else None


def _two_swapped(gold: Items, rng: Random) -> Items:
    items = list(gold.items)
    place = rng.randrange(len(items) - 1)
    items[place], items[place + 1] = items[place + 1], items[place]
    return replace(gold, items=tuple(items))


TUPLE = Entry(
    Kind.TUPLE,
    draw_tuples,
    read_tuples,
    keeps={
        **MATH,
        "sized brackets": _point_only(_tuple_inner(r"\left(@\right)")),
        "spaces within": _point_only(_tuple_inner("( @ )")),
        "no spaces": _point_only(lambda gold, rng: gold.written(",")),
        "thin spaces after commas": _point_only(lambda gold, rng: gold.written(r",\,")),
        "decimals": _with_items(_decimal),
        "\\dfrac": _with_items(_dfrac),
        "minus signs of Unicode": lambda gold, rng: gold.text.replace("-", "−"),
        "named point": _point_only(_tuple_inner("P = (@)")),
        "named coordinates": _point_only(
            lambda gold, rng: (
                f"({', '.join('xyz'[: len(gold.items)])}) = {gold.text}" if len(gold.items) < 4 else None
            )
        ),
        "coordinates": _point_only(_coordinates("xyz", ", ")),
        "coordinates with and": _point_only(
            lambda gold, rng: (
                _coordinates("xy", r" \text{ and } ")(gold, rng) if len(gold.items) == 2 else None
            )
        ),
        "angle brackets": _vector_only(_tuple_inner(r"\langle @ \rangle")),
        "sized angle brackets": _vector_only(_tuple_inner(r"\left\langle @ \right\rangle")),
        "round brackets of a vector": _vector_only(_tuple_inner("(@)")),
        "column in round brackets": _vector_only(_columns("pmatrix")),
        "column in square brackets": _vector_only(_columns("bmatrix")),
        "base vectors in bold": _vector_only(_of_base_vectors(r"\mathbf{@}")),
        "base vectors with hats": _vector_only(_of_base_vectors(r"\hat{@}")),
        "named vector": _vector_only(lambda gold, rng: rf"\vec{{v}} = {gold.text}"),
    },
    changes={
        "reversed": lambda gold, rng: replace(gold, items=gold.items[::-1]),
        "neighbours swapped": _two_swapped,
        **_CHANGED_ITEMS,
        "zeros": _all_items(lambda item: Fraction(0)),
        "half-open interval": _point_only(
            lambda gold, rng: (
                f"[{gold.written(', ')[1:]}"
                if len(gold.items) == 2 and gold.numbers and gold.numbers[0] < gold.numbers[1]
                else None
            )
        ),
        "sum of the squares": _one_number(
            lambda numbers: sum((number**2 for number in numbers), Fraction(0))
        ),
    },
)


# --- matrices -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Matrix:
    rows: tuple[tuple[Item, ...], ...]

    @property
    def text(self) -> str:
        return self.written("pmatrix")

    @property
    def value(self) -> tuple[tuple[Item, ...], ...]:
        return self.rows

    @property
    def columns(self) -> tuple[tuple[Item, ...], ...]:
        return tuple(zip(*self.rows, strict=True))

    @property
    def numbers(self) -> tuple[tuple[Fraction, ...], ...] | None:
        found = tuple(tuple(item for item in row if isinstance(item, Fraction)) for row in self.rows)
        return found if all(len(row) == len(self.columns) for row in found) else None

    def written(self, environment: str, write: Callable[[Item], str] = item_text, joint: str = " & ") -> str:
        return rf"\begin{{{environment}}} {self.inner(write, joint)} \end{{{environment}}}"

    def inner(self, write: Callable[[Item], str] = item_text, joint: str = " & ") -> str:
        return r" \\ ".join(joint.join(map(write, row)) for row in self.rows)


def draw_matrix(rng: Random) -> Matrix:
    high, wide = rng.choice([(2, 2), (2, 2), (3, 3), (2, 3), (3, 2)])
    rows = [[Fraction(rng.randrange(-9, 10)) for _ in range(wide)] for _ in range(high)]
    if rng.random() < 0.3:
        rows[rng.randrange(high)][rng.randrange(wide)] = Fraction(rng.choice([1, 3, 5]), rng.choice([2, 4]))
    return Matrix(tuple(map(tuple, rows)))


def read_matrix(text: str) -> Matrix | None:
    match = re.fullmatch(r"\\begin\{([pb])matrix\}(.*)\\end\{\1matrix\}", text.strip(), re.DOTALL)
    if match is None:
        return None
    rows = [row.split("&") for row in match[2].strip().removesuffix(r"\\").split(r"\\")]
    if len({len(row) for row in rows}) > 1 or not all(item.strip() for row in rows for item in row):
        return None
    return Matrix(tuple(tuple(map(read_item, row)) for row in rows)) if len(rows[0]) > 1 else None


def _array(opening: str, closing: str) -> Writer:
    def written(gold: Matrix, rng: Random) -> str:
        columns = "c" * len(gold.columns)
        return rf"\left{opening}\begin{{array}}{{{columns}}} {gold.inner()} \end{{array}}\right{closing}"

    return written


def _reordered(rows: Callable[[Matrix], Sequence[Sequence[Item]]]) -> Writer:
    return lambda gold, rng: Matrix(tuple(map(tuple, rows(gold))))


def _each_entry(change: Callable[[Fraction], Fraction]) -> Writer:
    return lambda gold, rng: (
        Matrix(tuple(tuple(map(change, row)) for row in gold.numbers)) if gold.numbers else None
    )


def _one_entry(change: Callable[[Fraction], Fraction]) -> Writer:
    def written(gold: Matrix, rng: Random) -> Matrix | None:
        high, wide = rng.randrange(len(gold.rows)), rng.randrange(len(gold.columns))
        item = gold.rows[high][wide]
        if isinstance(item, str):
            return None
        rows = [list(row) for row in gold.rows]
        rows[high][wide] = change(item)
        return Matrix(tuple(map(tuple, rows)))

    return written


def _bracketed(gold: Matrix, write: Callable[[Item], str]) -> str:
    return "[" + ", ".join(f"[{', '.join(map(write, row))}]" for row in gold.rows) + "]"


MATRIX = Entry(
    Kind.MATRIX,
    draw_matrix,
    read_matrix,
    keeps={
        **MATH,
        "square brackets": lambda gold, rng: gold.written("bmatrix"),
        "sized round brackets": lambda gold, rng: rf"\left({gold.written('matrix')}\right)",
        "sized square brackets": lambda gold, rng: rf"\left[{gold.written('matrix')}\right]",
        "array in round brackets": _array("(", ")"),
        "array in square brackets": _array("[", "]"),
        "small matrix": lambda gold, rng: rf"\left({gold.written('smallmatrix')}\right)",
        "no spaces": lambda gold, rng: gold.text.replace(" & ", "&").replace(r" \\ ", r"\\"),
        "one row a line": lambda gold, rng: gold.text.replace(r" \\ ", " \\\\\n"),
        "last row ended": lambda gold, rng: rf"\begin{{pmatrix}} {gold.inner()} \\ \end{{pmatrix}}",
        "decimals": lambda gold, rng: gold.written("pmatrix", _decimal),
        "\\dfrac": lambda gold, rng: gold.written("pmatrix", _dfrac),
        "slashes": lambda gold, rng: gold.written("pmatrix", _slash),
        "minus signs of Unicode": lambda gold, rng: gold.text.replace("-", "−"),
        "named": lambda gold, rng: f"A = {gold.text}",
        "nested lists": lambda gold, rng: _bracketed(gold, _slash),
    },
    changes={
        "one entry + 1": _one_entry(lambda item: item + 1),
        "one entry − 1": _one_entry(lambda item: item - 1),
        "sign of one entry flipped": _one_entry(lambda item: -item),
        "one entry zero": _one_entry(lambda item: Fraction(0)),
        "one entry ten times": _one_entry(lambda item: 10 * item),
        "transposed": _reordered(lambda gold: gold.columns),
        "rows reversed": _reordered(lambda gold: gold.rows[::-1]),
        "columns reversed": _reordered(lambda gold: [row[::-1] for row in gold.rows]),
        "last row dropped": _reordered(lambda gold: gold.rows[:-1]),
        "last column dropped": _reordered(lambda gold: [row[:-1] for row in gold.rows]),
        "last row repeated": _reordered(lambda gold: [*gold.rows, gold.rows[-1]]),
        "all signs flipped": _each_entry(lambda item: -item),
        "all doubled": _each_entry(lambda item: 2 * item),
        "all + 1": _each_entry(lambda item: item + 1),
        "one row of all": _reordered(lambda gold: [[item for row in gold.rows for item in row]]),
        "determinant": lambda gold, rng: (
            gold.written("vmatrix") if len(gold.rows) == len(gold.columns) else None
        ),
        "half of it": lambda gold, rng: (
            rf"\frac{{1}}{{2}}{gold.text}" if any(item for row in gold.rows for item in row) else None
        ),
        "first entry alone": lambda gold, rng: item_text(gold.rows[0][0]),
    },
)

ENTRIES = (LIST, SET, TUPLE, MATRIX)
