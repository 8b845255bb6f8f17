"""Parses the text of an answer: a quantity, an expression, a collection, a relation, a word."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from fractions import Fraction

from rlvr.verify.brackets import encloses, split, top_level
from rlvr.verify.calendar import read_clock, read_date
from rlvr.verify.codes import is_a_code, read_code
from rlvr.verify.conditions import cut_condition, domain, in_plain_words
from rlvr.verify.exact import Quantity, read_quantity
from rlvr.verify.forms import (
    REALS,
    WRAPPED,
    Expression,
    Given,
    Interval,
    Items,
    Joint,
    Kind,
    Relation,
    Text,
    Typed,
    Value,
    as_text,
    tree_of,
    without_condition,
)
from rlvr.verify.latex import read_expression
from rlvr.verify.matrices import along_axes, determinant
from rlvr.verify.measures import Unit
from rlvr.verify.normalize import normalize
from rlvr.verify.piecewise import read_piecewise
from rlvr.verify.plain import plain
from rlvr.verify.relations import (
    between,
    bounded_names,
    distance,
    excluding,
    holds_names,
    is_name,
    is_rounding,
    is_tuple,
    of_all_that,
    with_products,
    written_as,
)
from rlvr.verify.spans import read_compound, read_congruence
from rlvr.verify.tokens import FUNCTIONS, PLAIN_CONSTANTS
from rlvr.verify.tree import INFINITY, Node, mul, negative, number
from rlvr.verify.units import NO_UNIT, read_unit

MAX_ANSWER = 2_000  # characters; longer answers are compared as strings only
MAX_ITEMS = 60  # of one collection
MAX_RATE = 60  # characters of a price for each unit
MAX_DEPTH = 6  # of collections in collections

# 32π cm^3: not c · m^3 behind a space. Single letters may be names: 2π m is read so where a length is wanted.
_PLAIN_BRACES = re.compile(r"^\{([^{}]*)\}$")
_LENGTH_BEHIND = re.compile(
    r"(?:\\pi|[})]|√\d+)\s+(?:cm|mm|km|ft|kg|mg|ml|rad|in)(?:\^\{?[23]\}?)?(?:/\w+(?:\^\{?[23]\}?)?)?$"
)
_LETTERS_OF_CONSTANTS = ("I", "i", "e")
_MATRIX = re.compile(
    r"(?:\\?[(\[]\s*)?\\begin\{([pbB]?matrix|smallmatrix|array)\}(?:\{[lcr|]*\})?((?:(?!\\end\{\1\}).)*)\\end\{\1\}(?:\s*\\?[)\]])?",
    re.DOTALL,
)
_DETERMINANT = re.compile(
    r"(?:\\det\s*\\?[(\[]?\s*|\|\s*)\\begin\{([pbB]?matrix|array)\}(?:\{[lcr|]*\})?(.*)\\end\{\1\}(?:\s*\\?[)\]|])?"
    r"|\\begin\{(vmatrix)\}(.*)\\end\{vmatrix\}",
    re.DOTALL,
)
_OPERATOR = re.compile(r"\\(?:le|ge|ne|approx|simeq|equiv|in|notin)(?![A-Za-z])|[=<>≡]")
_CONJUNCTION = r"(?:\\text\s*\{{\s*,?\s*(?:{0})\s*\}}|(?<![A-Za-z\\_{{])(?:{0})(?![A-Za-z}}]))"
_OR = re.compile(_CONJUNCTION.format("or") + r"|\\(?:lor|vee)(?![A-Za-z])")
_AND = re.compile(_CONJUNCTION.format("and") + r"|\\(?:land|wedge)(?![A-Za-z])|&")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_GROUPED = r"[-$]?\d{1,3}(?:,\d{3})*(?:\.\d+)?"
_LISTED_THOUSANDS = re.compile(  # 1,000, 2,000 and 3,000
    rf"{_GROUPED}(?:,\s+{_GROUPED})*(?:(?:,\s+|\s*(?:,\s)?(?:and|or|\\text\s*\{{\s*(?:and|or)\s*\}})\s*){_GROUPED})"
)
_MEMBER = re.compile(r"\\in(?![A-Za-z])")
_JOINTS: dict[Joint, re.Pattern[str]] = {"and": _AND, "or": _OR}
_LIST = re.compile(rf"[,;]|{_OR.pattern}|{_AND.pattern}")
_SEMICOLON = re.compile(";")
_COMMA = re.compile(r"[,;]")
_COLON = re.compile(r":|\\colon(?![A-Za-z])")
_TERM = re.compile(r"[\w\\{}.,^()\s*]+")  # of a ratio: no sum
_RATE = re.compile(r"(.*[\d$€£¥₹a-zA-Z])\s*(?:/|\bper\b|\ban?\b|\beach\b)\s*([A-Za-z]+)")
_TIME = re.compile(r"\d{1,2}:[0-5]\d(?::[0-5]\d)?|\d{1,2}(?:[:.]\d\d)?\s?[ap]\.?\s?m\.?", re.IGNORECASE)
_CONGRUENT = re.compile(r"≡|\(\s*\\?p?mod|\\pmod")
_HATS = re.compile(
    r"\\(?:hat|widehat|vec|overrightarrow|mathbf|bm|boldsymbol)\s*\{?\s*(?:\\[ij]math|[ijk](?![A-Za-z]))"
)
_CASES = re.compile(r"(?:\\?\{\s*)?\\begin\{(cases|aligned|array)\}(?:\{[lcr]*\})?(.*)\\end\{\1\}", re.DOTALL)
_ROW = re.compile(r"\\\\(?:\s*\[[\d.]+\s?[a-z]{2}\])?|\\cr(?![A-Za-z])")
_CELL = re.compile(r"&")
_SET_OPERATORS: list[tuple[Kind, re.Pattern[str]]] = [
    ("union", re.compile(r"\\(?:cup|cupdot|bigcup|sqcup)(?![A-Za-z])|(?<![A-Za-z\\])U(?![A-Za-z_])")),
    ("difference", re.compile(r"\\(?:setminus|backslash|smallsetminus)(?![A-Za-z])|(?<=\})\s*-\s*(?=\\\{)")),
    ("intersection", re.compile(r"\\(?:cap|bigcap)(?![A-Za-z])")),
]
_OUTWARD = re.compile(r"(?:^|p)\s*\]|\[\s*(?:$|\\cup)")
_SEEMS_A_SET = re.compile(r"[\[\]{}()]|\\mathbb|\\emptyset|[<>]|\\[lg]e")
_BUILDER = re.compile(
    r"\s*[A-Za-z]\w*\s*(?:\\in\s*\\mathbb\s*\{?\s*R\s*\}?\s*)?(?:\\?[|:])\s*(\S.*)", re.DOTALL
)  # {x | condition}: over the real numbers, so that {x ∈ ℤ | …} is but text
_FAMILY = re.compile(
    r"\s*((?:[^|:]|\\[|:])*[a-z](?:[^|:]|\\[|:])*)(?:\\?[|:])\s*([a-z]\s*\\in\s*\\mathbb\s*\{?\s*[NZ]\s*\}?)\s*",
    re.DOTALL,
)  # {2πk : k ∈ ℤ}
_TRAILING_TEXT = re.compile(
    r"(?:\s*(?:\\cdot|/)?\s*\\(?:text|mathrm|textbf|textrm|mbox|rm)\s*\{(?:[^{}]|\{[^{}]*\})*\}\s*(?:\^\s*(?:\{-?\d\}|\d))?)+\.?$"
)
_TRAILING_WORDS = re.compile(
    r"(?<=[\w})])\s+(?!(?:or|and|if|for|where)\b)(?:[A-Za-zµΩ]{2,}|[mgsLNJWVhl](?![A-Za-z]))[\w\s/^{}-]*$"
)
_VARIABLES = re.compile(r"[abcd]{2}|[xyzt]{2}|[kmnpq]{2}|pi|[abcxyz]{3}|[pqrst]{3}")
_ALL_REALS = re.compile(r"\\mathbb\s*\{R\}|\\mathbb R|all real(?: number)?s|\\R")
_ALL_BUT = re.compile(
    r"(?:\\text\s*\{)?\s*all\s+(?:nonzero\s+real(?:\s+numbers|s)|non-zero\s+real(?:\s+numbers|s)"
    r"|real(?:\s+numbers|s)\s+(?:except|but|other than|excluding)(?:\s+for)?\s*\}?\s*(.+?))\s*\}?"
)
_EMPTY = re.compile(r"\\(?:emptyset|varnothing)|\\\{\s*\\\}|empty set|[Nn]o solution")
_TRANSPOSED = re.compile(
    r"[(\[](.*)[)\]]\s*\^\s*\{?\s*(?:T|\\top|\\intercal|\\(?:mathrm|text)\s*\{T\})\s*\}?", re.DOTALL
)
_TRANSPOSED_MATRIX = re.compile(
    r"(.*\\end.*?)\s*\^\s*\{?\s*(?:T|\\top|\\intercal|\\(?:mathrm|text)\s*\{T\})\s*\}?", re.DOTALL
)
_SUCH_THAT = re.compile(r"[|:]")


def read_answer(text: str) -> Value:
    """Parse `text`. Text that is not understood becomes a Text, equal only to the same text."""
    return read_normalized(normalize(text)) if len(text) <= MAX_ANSWER else Text(text)


def read_normalized(text: str) -> Value:
    """`read_answer` for text that `normalize` returned."""
    return _read(text, 0)


def _read(text: str, depth: int) -> Value:
    text = text.strip()
    if depth and text.endswith("}."):
        text = text[:-1]
    if depth > MAX_DEPTH:
        return as_text(text)
    answer, condition = cut_condition(text)
    if condition:
        return _given(_read(answer, depth + 1), condition, depth)
    spoken = plain(text)
    if (typed := _typed(spoken)) is not None:
        return typed
    quantity = read_rate(spoken) or read_quantity(spoken)
    if quantity is not None:
        return quantity
    if (compound := read_compound(spoken)) is not None:
        return compound
    bare = WRAPPED.sub(r"\1", text).strip()
    if _ALL_REALS.fullmatch(bare):
        return REALS
    if (match := _ALL_BUT.fullmatch(text)) is not None:
        excluded = _read(match.group(1) or "0", depth + 1)
        return Items("difference", (REALS, _as_set(excluded)))
    if _EMPTY.fullmatch(bare):
        return Items("set", ())
    if r"\begin" in text and (cases := read_piecewise(text)):
        return Expression(cases, text)
    if (match := _CASES.fullmatch(text)) and "=" in match.group(2):  # a system of equations
        return _read(_ROW.sub("; ", match.group(2)).replace("&", " "), depth + 1)
    if match := _DETERMINANT.fullmatch(text):
        return _determinant(match.group(2) or match.group(4), text)
    if match := _MATRIX.fullmatch(text):
        return _matrix(match.group(2), depth)
    if (match := _TRANSPOSED_MATRIX.fullmatch(text)) and (inner := _MATRIX.fullmatch(match.group(1))):
        return _transposed(_matrix(inner.group(2), depth))
    if (match := _MATRIX.search(text)) and match.end() == len(text) and "=" not in text[: match.start()]:
        return _multiple(text[: match.start()], match.group(2), depth)
    if match := _TRANSPOSED.fullmatch(text):
        return _collection("tuple", split(_separated(match.group(1)), _COMMA), depth)
    if match := WRAPPED.fullmatch(text):
        return _read(match.group(1), depth + 1)
    for read in (_listed, _relation, _set_operation, _bracketed, _ratio):
        value = read(text, depth)
        if value is not None:
            return value
    if r"\pm" in text or r"\mp" in text:
        return _plus_minus(text, depth)
    if (
        text.isalpha()
        and len(text) > 1
        and not _VARIABLES.fullmatch(text)
        and text not in FUNCTIONS
        and text not in PLAIN_CONSTANTS
    ):
        return as_text(text)  # a word: its letters are not multiplied
    if _LENGTH_BEHIND.search(text) and (measured := _with_unit(text, depth)) and _unit_of(measured):
        return measured
    tree = read_expression(text)
    if tree is not None:
        if _HATS.search(text) and (components := along_axes(tree)):
            return _vector(components)
        return Expression(tree, text)
    return _with_unit(text, depth)


def read_rate(spoken: str) -> Quantity | None:
    """Plain text as money for each unit: $3.50 per hour, 3.50 dollars/h, $12 an hour, €2 per apple."""
    match = _RATE.fullmatch(spoken) if len(spoken) <= MAX_RATE else None
    money, measured = (read_quantity(match[1]), read_unit(match[2])) if match else (None, None)
    if money is None or measured is None or not (len(money.unit) == 3 and money.unit.isupper()):
        return None
    factor, per = measured
    if not per.base or per.offset or factor != 1:
        return None
    unit = f"{money.unit}/{per.base}" if per.counted else f"{money.unit}·{per.base}^-1"
    return replace(money, unit=unit, scale=money.scale / per.scale)


def _given(value: Value, condition: str, depth: int) -> Value:
    numbers = domain(condition)
    if numbers == "any":
        return value
    return Given(value, Text(numbers) if numbers else _read(in_plain_words(condition), depth + 1))


def _typed(spoken: str) -> Typed | None:
    """A date, a time, an address, a version: text that would be arithmetic if read as an expression."""
    if len(spoken) > 60 or not any(character.isdigit() for character in spoken):
        return None
    if spoken.isdigit():
        return None
    if (date := read_date(spoken)) is not None and (date.year or not date.swapped):
        return date
    if _TIME.fullmatch(spoken):
        return read_clock(spoken)
    if is_a_code(spoken):
        return read_code(spoken)
    return read_congruence(spoken) if _CONGRUENT.search(spoken) else None


def read_with_unit(text: str) -> Value:
    """Parse normalized `text` that ends with a unit: 2π m is a length, not a product."""
    return _with_unit(text, 0)


def _with_unit(text: str, depth: int) -> Value:
    """An expression and the unit behind it."""
    for pattern in (_TRAILING_TEXT, _TRAILING_WORDS):
        match = pattern.search(text)
        if match is None or not text[: match.start()].strip():
            continue
        unit = read_unit(plain(match.group()))
        if unit is None or (pattern is _TRAILING_WORDS and (unit[1].counted or unit[1] == NO_UNIT)):
            continue
        value = _read(text[: match.start()], depth + 1)
        if isinstance(value, Expression | Items | Interval) and _unit_of(value) == "":
            return _measured(value, *unit)
    return as_text(text)


def _is_infinite(tree: Node) -> bool:
    return tree in (INFINITY, negative(INFINITY))


def _unit_of(value: Value) -> str:
    return value.unit if isinstance(value, Expression | Quantity) else ""


def _measured(value: Value, factor: Fraction, unit: Unit) -> Value:
    """A value, or each member of a collection, in `unit`."""
    if isinstance(value, Expression) and not value.unit and not _is_infinite(value.tree):
        scaled = value.tree if factor == 1 else mul(number(factor), value.tree)
        return Expression(scaled, value.text, unit.base, unit.scale)
    if isinstance(value, Quantity) and not value.unit and not value.percent:
        return replace(value, value=value.value * factor).measured_in(unit)
    if isinstance(value, Interval):
        low, high = (_measured(end, factor, unit) for end in (value.low, value.high))
        return replace(value, low=low, high=high)
    if isinstance(value, Items):
        return replace(value, items=tuple(_measured(item, factor, unit) for item in value.items))
    return value


def _listed(text: str, depth: int) -> Value | None:
    """Several answers in a list; if ";" separates them, parts with "," are tuples."""
    if top_level(text, _SEMICOLON):
        parts = [part for part in split(text, _SEMICOLON) if part.strip()]
        if len(parts) < 2:
            return _read(parts[0], depth + 1) if parts else None
        values = [_read(part, depth + 1) for part in parts]
        tuples = [
            Items("tuple", value.items) if isinstance(value, Items) and value.kind == "list" else value
            for value in values
        ]
        return Items("list", tuple(tuples))
    if _LISTED_THOUSANDS.fullmatch(text):
        text = _THOUSANDS.sub("", text)
    separators = top_level(text, _LIST)
    parts = [part.strip() for part in split(text, _LIST)]
    parts = [part for part in parts if part and part != "."]
    if not separators or not parts or len(parts) > MAX_ITEMS:
        return None
    if len(parts) == 1:
        return _read(parts[0], depth + 1)
    written = [match.group().strip() for match in separators]
    words: list[Joint] = [
        word for word, sign in _JOINTS.items() if any(sign.fullmatch(separator) for separator in written)
    ]
    listed = Items("list", _collection("list", parts, depth).items, words[0] if len(words) == 1 else "")
    related = [without_condition(item) for item in listed.items]
    operators = [
        set(item.operators) if isinstance(item, Relation) else {"in" if _MEMBER.search(part) else "="}
        for item, part in zip(related, parts, strict=False)
    ]
    if operators[0] == {"ne"} and all(signs == {"="} for signs in operators[1:]):  # x ≠ 1, 2
        return excluding(listed.items[0], listed.items[1:])
    if any("=" in signs for signs in operators) or not any(isinstance(item, Relation) for item in related):
        return listed
    # an exclusion (x < 3, x ≠ 1) restricts the relation before it, and so does x > 0, y > 0
    narrowed = {"ne"} in operators or {"in"} in operators or len(bounded_names(listed)) > 1
    narrowed = (narrowed or between(listed.items)) and not any(
        _OR.fullmatch(separator) for separator in written
    )
    both = narrowed or all(_AND.fullmatch(separator) for separator in written)
    return Items("intersection" if both else "union", listed.items)


def _relation(text: str, depth: int) -> Value | None:
    operators = top_level(text, _OPERATOR)
    parts = split(text, _OPERATOR)
    if not operators or len(parts) > 6:
        return None
    if not parts[0].strip() and len(parts) == 2 and operators[0].group() in ("=", r"\approx"):
        return _read(parts[1], depth + 1)  # "= 42"
    if not all(part.strip() for part in parts):
        return None
    signs = tuple(
        {"≡": "=", "equiv": "="}.get(sign, sign) for sign in (m.group().strip("\\") for m in operators)
    )
    for rounded in ("approx", "simeq"):
        if rounded in signs:  # the side before an approximation is exact
            place = signs.index(rounded)
            if not is_rounding(_read(parts[place + 1], depth + 1), _read(parts[place], depth + 1)):
                return as_text(text)
            return _read(text[: operators[place].start()], depth + 1)
    if signs == ("in",):  # x ∈ S, the solutions; but 2 ∈ S says something of S
        member = _read(parts[0], depth + 1)
        if isinstance(member, Text) or is_name(parts[0].strip(), member):
            return _read(parts[1], depth + 1)
    sides = tuple(_read(part, depth + 1) for part in parts)
    left, right = sides[0], sides[-1]
    if signs == ("=",) and is_tuple(left) and is_tuple(right) and holds_names(left):
        assert isinstance(left, Items)
        assert isinstance(right, Items)
        if len(left.items) == len(right.items) and any("(" in written_as(item) for item in left.items):
            pairs = zip(left.items, right.items, strict=True)
            return Items("list", tuple(Relation(pair, ("=",), (True, False)) for pair in pairs))
    if len(sides) == 2 and (around := distance(left, signs[0], right)) is not None:
        return around
    written, sides = sides, with_products(sides)
    names = tuple(
        bool(is_name(part.strip(), side)) and (place == 0 or side is written[place])
        for place, (part, side) in enumerate(zip(parts, sides, strict=True))
    )
    if parts[0].strip() in _LETTERS_OF_CONSTANTS and set(signs) == {"="} and not any(names):
        names = (True, *names[1:])  # I = V/R, a current
    if signs == ("ne",) and isinstance(right, Items) and right.kind == "list":  # x ≠ ±2
        return excluding(Relation((left, right.items[0]), signs, names), right.items[1:])
    if signs == ("=",) and names[0] and r"\pm" in parts[1] and isinstance(right, Items):  # f(x) = ±x
        return Items("list", tuple(Relation((left, item), signs, names) for item in right.items))
    return Relation(sides, signs, names)


def _set_operation(text: str, depth: int) -> Value | None:
    for kind, operator in _SET_OPERATORS:
        parts = split(text, operator)
        if len(parts) == 1 and kind == "union" and _OUTWARD.search(text):  # ]0, 1] ∪ [2, 3[
            parts = operator.split(text)
        if not 2 <= len(parts) <= MAX_ITEMS or not all(_SEEMS_A_SET.search(part) for part in parts):
            continue
        return Items(kind, tuple(_as_set(_read(part, depth + 1)) for part in parts))
    return None


def _as_set(value: Value) -> Value:
    """{2} in plain braces, beside an operator on sets."""
    return value if isinstance(value, Items | Interval | Relation) else Items("set", (value,))


def _bracketed(text: str, depth: int) -> Value | None:
    """(…), […), \\{…\\}: a tuple, an interval, a set, or brackets around one answer."""
    opening, closing = (
        text[:2] if text[:2] == r"\{" else text[:1],
        text[-2:] if text[-2:] == r"\}" else text[-1:],
    )
    if opening not in ("(", "[", "]", r"\{", "{") or closing not in (")", "]", "[", r"\}", "}"):
        return None
    reversed_brackets = opening == "]" or closing == "["  # ]0, 1[
    inside = text[len(opening) : -len(closing)]
    if not inside.strip() or not (reversed_brackets or encloses(text)):
        return None
    if opening == "[" and (rows := _rows_between_semicolons(inside)):
        return Items("matrix", tuple(_collection("tuple", row, depth + 1) for row in rows))
    parts = split(_separated(inside), _COMMA)
    if len(parts) > MAX_ITEMS:
        return None
    if opening == r"\{" and (family := _FAMILY.fullmatch(inside)):
        return _given(_read(family.group(1), depth + 1), family.group(2), depth)
    if opening in (r"\{", "{") and (builder := _BUILDER.fullmatch(inside)):
        return of_all_that(_read(builder.group(1), depth + 1))
    if opening == r"\{" and top_level(inside, _SUCH_THAT):
        return as_text(_SUCH_THAT.sub("|", inside))
    if opening in (r"\{", "{"):
        if opening == "{" and len(parts) == 1:
            return _read(inside, depth + 1)
        if opening == "{":  # {{1}, {2}}: sets, as is what they are in
            parts = [_PLAIN_BRACES.sub(r"\\{\1\\}", part.strip()) for part in parts]
        return _collection("set", parts, depth)
    if len(parts) == 1:
        return _read(inside, depth + 1) if not reversed_brackets else None
    if len(parts) == 2 and (opening, closing) != ("(", ")"):
        low, high = (_read(part, depth + 1) for part in parts)
        return Interval(low, high, opening in "(]", closing in ")[")
    return None if reversed_brackets else _collection("tuple", parts, depth)


def _rows_between_semicolons(inside: str) -> list[list[str]] | None:
    """The rows of a matrix as in [1, 2; 3, 4] or [1 2; 3 4]; None for what has no such rows."""
    rows = [re.split(r"\s*,\s*|\s+", row.strip()) for row in split(inside, _SEMICOLON)]
    same = len(rows) > 1 and len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows)
    return rows if same and sum(map(len, rows)) <= MAX_ITEMS else None


def _separated(inside: str) -> str:
    """Inside brackets, commas separate, unless spaces show that only some do: (1,234, 5)."""
    spaced = re.search(r",\s", inside) is not None
    return inside if spaced else re.sub(r",(?=\S)", ", ", inside)


def _ratio(text: str, depth: int) -> Value | None:
    parts = split(text, _COLON)
    if not 2 <= len(parts) <= 6 or not all(_TERM.fullmatch(part.strip()) for part in parts):
        return None
    return _collection("ratio", parts, depth)


def _matrix(body: str, depth: int) -> Value:
    rows = [row for row in split(body, _ROW) if row.strip()]
    cells = [split(row, _CELL) for row in rows]
    if sum(len(row) for row in cells) > MAX_ITEMS:
        return as_text(body)
    return Items("matrix", tuple(_collection("tuple", row, depth + 1) for row in cells))


def _transposed(matrix: Value) -> Value:
    rows = [row.items for row in matrix.items if isinstance(row, Items)] if isinstance(matrix, Items) else []
    if len({len(row) for row in rows}) != 1:
        return matrix
    return Items("matrix", tuple(Items("tuple", column) for column in zip(*rows, strict=True)))


def _determinant(body: str, text: str) -> Value:
    cells = [split(row, _CELL) for row in split(body, _ROW) if row.strip()]
    if sum(map(len, cells)) > MAX_ITEMS:
        return as_text(text)
    trees = [[tree for cell in row if (tree := read_expression(cell))] for row in cells]
    found = determinant(trees)
    return as_text(text) if found is None else Expression(found, text)


def _multiple(factor: str, body: str, depth: int) -> Value:
    """A number times a matrix, as a matrix."""
    scale = read_expression(factor.strip().removesuffix(r"\cdot").removesuffix("*"))
    matrix = _matrix(body, depth)
    if scale is None or not isinstance(matrix, Items):
        return as_text(factor + body)
    rows = []
    for row in matrix.items:
        assert isinstance(row, Items)
        cells = [tree_of(cell) for cell in row.items]
        rows.append(Items("tuple", tuple(Expression(mul(scale, cell), "") for cell in cells if cell)))
    return Items("matrix", tuple(rows))


def _vector(components: list[Node]) -> Items:
    return Items("tuple", tuple(map(_component, components)))


def _component(node: Node) -> Value:
    """A component of a vector; −2 in i − 2j is a number, not a product."""
    value = _rational(node)
    return Expression(node, "") if value is None else Quantity(value)


def _rational(node: Node) -> Fraction | None:
    """The value of sums and products of rational numbers; None for anything else."""
    if node.head == "number":
        return node.value
    parts = [_rational(part) for part in node.args] if node.head in ("add", "mul") else [None]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    return sum(known, Fraction(0)) if node.head == "add" else math.prod(known, start=Fraction(1))


_COLUMN = re.compile(
    r"\\[dt]?binom\s*\{([^{}]+)\}\s*\{([^{}]+)\}|\(\s*([^|()]+)\|([^|()]+)\)|<([^<>]+,[^<>]+)>"
)


def read_vector(text: str, size: int) -> Items | None:
    """A vector of `size` components in notations that need a known kind: i + 2j, (3|-4), <3, -4>."""
    normalized = normalize(text)
    if match := _COLUMN.fullmatch(normalized):
        parts = [part for group in match.groups() if group for part in split(group, _COMMA)]
        return _collection("tuple", parts, 0)
    tree = read_expression(normalized)
    found = None if tree is None else along_axes(tree, plain_letters=True)
    if found is None or len(found) > size:
        return None
    return _vector(found + [number(0)] * (size - len(found)))


def read_matrix(text: str) -> Value | None:
    """A matrix in notations that need a known kind: {{1, 2}, {3, 4}} or [1, 2], [3, 4]."""
    bare = normalize(text).replace("\\{", "[").replace("\\}", "]")
    if re.match(r"\{\s*\{|\[\s*\[", bare):
        return read_normalized(bare.replace("{", "[").replace("}", "]"))
    return read_normalized(f"[{bare}]") if re.search(r"\]\s*[,;]\s*\[", bare) else None


def _plus_minus(text: str, depth: int) -> Value:
    upper = text.replace(r"\pm", "+").replace(r"\mp", "-")
    lower = text.replace(r"\pm", "-").replace(r"\mp", "+")
    return _collection("list", [upper.removeprefix("+"), lower.removeprefix("+")], depth)


def _collection(kind: Kind, parts: list[str], depth: int) -> Items:
    """Parse the parts; lists within a list or a set (such as ±) are flattened."""
    values: list[Value] = []
    for part in parts:
        value = _read(part, depth + 1)
        if kind in ("list", "set") and isinstance(value, Items) and value.kind == "list":
            values.extend(value.items)
        else:
            values.append(value)
    return Items(kind, tuple(values))
