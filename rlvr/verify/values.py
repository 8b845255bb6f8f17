"""Helpers of comparison: predicates on parsed answers, and rewritings of them."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rlvr.verify import identity
from rlvr.verify.exact import Quantity, read_quantity
from rlvr.verify.forms import Expression, Interval, Items, Relation, Text, Value
from rlvr.verify.latex import read_expression
from rlvr.verify.sets import tree
from rlvr.verify.symbols import are_symbols
from rlvr.verify.tokens import MAX_LETTERS
from rlvr.verify.tree import MINUS_ONE, Node, add, in_radians, mul, name, names, rename

_MIRRORED = {"<": ">", ">": "<", "le": "ge", "ge": "le"}
PARAMETERS = frozenset("klmn")  # of the solutions of a periodic equation, x = πk
_ARTICLE = re.compile(r"^(?:the|an?)\s+(?=\w{3})", re.IGNORECASE)
_LETTERS = re.compile(r"\\?[A-Za-z]+")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]+")
_PAIRED = re.compile(r"\\.*|(?:([a-z])\1)+")
_SHORT_WORDS = re.compile(
    "am|an|as|at|be|by|do|go|he|if|in|is|it|me|my|no|of|ok|on|or|pm|so|to|uk|up|us|we", re.IGNORECASE
)
_WORDS_ONLY = re.compile(r"[^\W\d_](?:[^\W\d_]|[-()\[\].:,'’\"\s])*")
_DRESS = re.compile(r"[()\[\].:,'’\"\s]|(?<=[^\W\d_]{2})-(?=[^\W\d_]{2})")
_QUOTES = re.compile(r"[’\"\s]|^'|'$|(?<!\d)[.,:]|[.,:](?!\d)")  # beside signs and digits, brackets matter
_YES, _NO = frozenset(["yes", "true"]), frozenset(["no", "false"])


_FAMILIES = {
    word: family
    for family, words in {
        "trigonometric": ("sin", "cos", "tan", "cot", "sec", "csc", "cis"),
        "angle": ("asin", "acos", "atan", "acot", "asec", "acsc", "arg"),
        "hyperbolic": ("sinh", "cosh", "tanh", "coth", "sech", "csch"),
        "logarithm": ("ln", "log", "lg", "asinh", "acosh", "atanh", "acoth", "asech", "acsch"),
        "rounding": ("floor", "ceil", "mod"),
        "divisor": ("gcd", "lcm"),
        "order": ("max", "min"),
        "counting": ("factorial", "double factorial", "binom"),
        "part": ("abs", "sgn", "re", "im", "conjugate"),
        **{form: (form,) for form in ("sum", "prod", "int", "lim", "diff")},
    }.items()
    for word in words
}


def is_operation(answer: Value, gold: Value) -> bool:
    """Whether the answer is an unevaluated operation and not a value.

    If the reference is a number, everything except a number is an operation: 84/2 for 42, but not 2/4 for
    1/2. If it is an expression, an operation is a function of constants, a sum, an integral or a common
    divisor of a family that the reference does not have: sin 60° for √3/2, but not 3 ln 2 for ln 8. Roots
    and powers are values.
    """
    if isinstance(gold, Quantity) and isinstance(answer, Quantity):
        return answer.quotient and gold.value.denominator == 1
    if isinstance(gold, Quantity) and isinstance(answer, Expression):
        radians = gold.unit == "degree" and any(part.name == "pi" for part in answer.tree.walk())
        return answer.tree.head not in ("name", "number") and not radians
    if not (isinstance(answer, Expression) and isinstance(gold, Expression)):
        return False
    known = {_family(part) for part in gold.tree.walk()}
    if any(part.name == "e" for part in gold.tree.walk()):
        known |= {"hyperbolic", "trigonometric"}  # e^{iπ/5} is cos 36° + i sin 36°
    return any(
        family not in known and (part.head == "bind" or family == "divisor" or not names(part))
        for part in answer.tree.walk()
        if (family := _family(part))
    )


def _family(part: Node) -> str:
    return _FAMILIES.get(part.head if part.head == "mod" else part.name, "") if part.head != "name" else ""


def same_words(answer: Value, gold: Value) -> bool:
    left, right = _bare(answer), _bare(gold)
    if any({left, right} <= words for words in (_YES, _NO)):
        return True
    one, other = _written(answer), _written(gold)
    if left != right and not (len(right) > 3 and _stem(left) == _stem(right) and not _A_PATH.search(other)):
        return False
    if len(one) > 1 and (isinstance(answer, Expression) or isinstance(gold, Expression)):
        return _LETTERS.findall(one) == _LETTERS.findall(other)
    return _same_capitals(one, other) and _same_gaps(one, other)


_A_PATH = re.compile(r"\S[/.\\_]\S|[/\\]\S")  # a file has the name that it has


def _without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _stem(text: str) -> str:
    """Text without accents, and longer words without a plural "s"."""
    bare = _without_accents(text)
    return bare[:-1] if len(bare) > 5 and bare[-1] == "s" and bare[-2].isalpha() and bare[-2] != "s" else bare


def _written(value: Value) -> str:
    """The text of an answer; a single letter is the same as a symbol and as a choice."""
    if isinstance(value, Text):
        return _ARTICLE.sub("", value.written or value.text)
    return value.text.strip("()[].: ") if isinstance(value, Expression) else repr(value)


def _bare(value: Value) -> str:
    text = _written(value).casefold()
    if isinstance(value, Text):
        return (_DRESS if _WORDS_ONLY.fullmatch(text) else _QUOTES).sub("", text)
    return text


def _same_capitals(one: str, other: str) -> bool:
    """Whether capitals match. Words may begin with, or be in, capitals; in symbols, case matters."""
    words = _LETTERS.findall(one), _LETTERS.findall(other)
    if "".join(words[0]) == "".join(words[1]):
        return True
    pairs = zip(*words, strict=False)
    return all(left == right or (_is_word(left) and _is_word(right)) for left, right in pairs)


def _is_word(letters: str) -> bool:
    """Whether letters look like a word, and not like a symbol (ma, AB), a command or a genotype (AaBb)."""
    shaped = letters.islower() or letters.istitle() or letters.isupper()
    long = len(letters) > 2 or len(letters) == 1 or _SHORT_WORDS.fullmatch(letters) is not None
    return shaped and long and _PAIRED.fullmatch(letters.casefold()) is None


def _same_gaps(one: str, other: str) -> bool:
    """Whether spaces match, as they separate words: now here, nowhere. They may be missing between single
    letters, and instead of a hyphen."""
    if not (_WORDS_ONLY.fullmatch(one) and _WORDS_ONLY.fullmatch(other)):
        return True
    parted = [
        [_word_lengths(text.replace("-", hyphen)) for hyphen in ("", " ")]
        for text in map(_without_accents, (one, other))
    ]
    if any(set(lengths) == {1} for side in parted for lengths in side):
        return True
    return any(lengths in parted[1] for lengths in parted[0])


def _word_lengths(text: str) -> list[int]:
    return [len(word) for word in _LATIN.findall(text.replace("'", "").replace("\u2019", ""))]


def by_name(items: Sequence[Value]) -> Sequence[Value]:
    """y = 2, x = 1 as the tuple (x, y), with the names in alphabetical order."""
    if not all(isinstance(item, Relation) and item.operators == ("=",) for item in items):
        return items
    return sorted(items, key=lambda item: str(item.sides[0]) if isinstance(item, Relation) else "")


def rows(value: Value) -> tuple[Value, ...] | None:
    """The rows of a matrix, or of nested brackets."""
    if isinstance(value, Items) and value.kind == "matrix":
        return tuple(Items("tuple", row.items) for row in value.items if isinstance(row, Items))
    brackets: tuple[Value, ...] = (value.low, value.high) if isinstance(value, Interval) else ()
    if isinstance(value, Items) and value.kind == "tuple":
        brackets = value.items
    rows = [
        Items("tuple", (row.low, row.high) if isinstance(row, Interval) else row.items)
        for row in brackets
        if isinstance(row, Interval) or (isinstance(row, Items) and row.kind == "tuple")
    ]
    return tuple(rows) if rows and len(rows) == len(brackets) else None


def vector(value: Value) -> tuple[Value, ...]:
    """The elements of a tuple, or of a matrix of one row or column."""
    assert isinstance(value, Items)
    if value.kind != "matrix":
        return value.items
    rows = [row.items for row in value.items if isinstance(row, Items)]
    return rows[0] if len(rows) == 1 else tuple(row[0] for row in rows if len(row) == 1)


def as_vector(value: Value) -> Value:
    """A tuple of up to three components as a sum over unit vectors."""
    if not isinstance(value, Items) or len(value.items) > 3:
        return value
    axes = zip(value.items, "ijk", strict=False)
    return Expression(add(*(mul(tree(part), name(f"hat({axis})")) for part, axis in axes)), "")


def flat(items: Sequence[Value], others: Sequence[Value]) -> Sequence[Value]:
    """p = 5, q = 2; p = 7, q = 2 as four equations, if the other side lists them like this."""
    grouped = all(isinstance(item, Items) and item.kind == "tuple" for item in items)
    if not grouped or any(isinstance(other, Items) for other in others):
        return items
    flat = [part for item in items if isinstance(item, Items) for part in item.items]
    return flat if all(isinstance(part, Relation) for part in flat) else items


def has_value(side: Value) -> bool:
    """Whether `side` can be evaluated: not a limit, or f(2)."""
    return not isinstance(side, Expression) or not any(
        part.head == "bind" or part.name.startswith("unknown ") for part in side.tree.walk()
    )


def is_label(side: Value) -> bool:
    """Whether a side names the wanted quantity: cos θ, |z|; or a + b, mn, with several names."""
    if not isinstance(side, Expression) or not has_value(side):
        return False
    applied = side.tree.head == "call" and all(arg.head == "name" for arg in side.tree.args)
    return bool(names(side.tree)) and (applied or len(names(side.tree)) > 1)


def is_applied(side: Value) -> bool:
    """Whether a side is a known function of a name: cos θ."""
    return is_label(side) and isinstance(side, Expression) and side.tree.head == "call"


def with_unit_as_factor(answer: Value, gold: Value) -> tuple[Node, Node]:
    """Both as expressions; 5h next to "5 hours" is a number and its unit."""
    if isinstance(answer, Expression) and isinstance(gold, Quantity):
        answer = _as_quantity(answer, gold.unit)
    elif isinstance(gold, Expression) and isinstance(answer, Quantity):
        gold = _as_quantity(gold, answer.unit)
    if isinstance(answer, Quantity) and isinstance(gold, Quantity) and answer.unit == gold.unit != "degree":
        answer, gold = answer.converted(), gold.converted()
    return tree(answer), tree(gold)


_NUMBER_AND_LETTERS = re.compile(r"(.*\d)\s?([A-Za-zµΩ]{1,3}(?:\^\{?[23]\}?)?)")


def _as_quantity(written: Expression, unit: str) -> Expression | Quantity:
    """5h as five hours, if the other side is a time."""
    match = _NUMBER_AND_LETTERS.fullmatch(written.text.strip()) if unit else None
    found = read_quantity(" ".join(match.groups())) if match else None
    return found if found is not None and found.unit == unit else written


def same_angles(left: Node, right: Node) -> tuple[Node, Node]:
    """Compares degrees as a unit, unless the other side has a π and so is in radians."""
    with_pi, with_degrees = (
        [any(part.name == word for part in side.walk()) for side in (left, right)]
        for word in ("pi", "degrees")
    )
    if with_pi[1] and with_degrees == [True, False]:
        return in_radians(left), right
    if with_pi[0] and with_degrees == [False, True]:
        return left, in_radians(right)
    return left, right


def rename_parameter(answer: Node, gold: Node) -> Node:
    """Renames the parameter: x = πn and x = πk are the same solutions."""
    left, right = names(answer), names(gold)
    new, old = right - left, left - right
    if new == {"C"} and old == {"c"}:  # the constant of an integral
        return rename(answer, "c", "C")
    periodic = any(part.name in ("pi", "degrees") for part in gold.walk())
    if (
        len(left) == len(right) == len(new) == 1
        and new | old <= PARAMETERS
        and periodic
        and _linear(gold, *new)
    ):
        return rename(answer, old.pop(), new.pop())
    return answer


def _linear(node: Node, word: str) -> bool:
    """Whether the name occurs only as a factor in terms of a sum."""
    if node.head == "add":
        return all(_linear(term, word) for term in node.args)
    if node.head == "mul":
        with_it = [factor for factor in node.args if word in names(factor)]
        return not with_it or (len(with_it) == 1 and _linear(with_it[0], word))
    return node.name == word or word not in names(node)


_INDEXED_CONSTANT = re.compile(r"[Cc]_?\{?\d\}?")
_CONSTANT = re.compile(r"[ABCDKck]|[ABCKck]_?\{?\d\}?")
_ARGUMENTS = frozenset(["x", "t", "n", "theta"])
MAX_CONSTANTS = 3


def with_constants_of(gold: Node, answer: Node) -> Iterator[Node]:
    """The answer with its constants of integration named as in the reference, in any order.

    Constants are C_1, C_2, …, or C, if each is added to a function of x or a factor in one of its terms.
    """
    wanted, found = names(gold), names(answer)
    indexed = [word for word in wanted if _INDEXED_CONSTANT.fullmatch(word)]
    constants = sorted(indexed) or sorted(wanted & {"C"})
    own = sorted(found - (wanted - set(constants)))
    if not 0 < len(constants) == len(own) <= MAX_CONSTANTS or not all(map(_CONSTANT.fullmatch, own)):
        return
    if not all(_is_arbitrary(gold, word) for word in constants):
        return
    for order in itertools.permutations(constants):
        renamed = answer
        for place, old in enumerate(own):
            renamed = rename(renamed, old, f"constant {place}")
        for place, new in enumerate(order):
            renamed = rename(renamed, f"constant {place}", new)
        if renamed != answer:
            yield renamed


def _is_arbitrary(node: Node, word: str) -> bool:
    """Whether a name is only added to a function, or a factor of one (of an exponential, for a single C)."""
    with_it = [part for part in node.args if word in names(part)]
    if len(with_it) != 1 or not names(node) & _ARGUMENTS:
        return False
    if node.head == "add":
        return with_it[0].name == word or _is_arbitrary(with_it[0], word)
    if node.head != "mul":
        return False
    if with_it[0].name != word:
        return with_it[0].head == "add" and any(
            part.name == word or _is_arbitrary(part, word) for part in with_it[0].args
        )
    others = [part for part in node.args if part is not with_it[0] and names(part) & _ARGUMENTS]
    return bool(others) and (word != "C" or any(map(_is_exponential, others)))


def _is_exponential(node: Node) -> bool:
    return node.name in ("exp", "sin", "cos") or (node.head == "pow" and bool(names(node.args[1])))


_FUNCTION_OF = re.compile(r"([A-Za-z])(?:\(([a-z])\)|_\{?([i-nr])\}?)")


def _is_function_of(name: str, applied: str) -> bool:
    """Whether `applied` is `name` of variables: y and y(x)."""
    return bool(name) and re.fullmatch(rf"{re.escape(name)}\([a-z](?:,[a-z])*\)", applied) is not None


def rename_argument(answer: Relation, gold: Relation) -> Relation:
    """f(x) = 2x and f(n) = 2n define the same function, a_n = 2n and a_k = 2k the same sequence.

    So do f(x) = 2x and y = 2x, y(x) = 2x and y = 2x.
    """
    left = answer.sides[0], gold.sides[0]
    texts = ["".join(side.text.split()) if isinstance(side, Expression) else "" for side in left]
    if _is_function_of(*texts) or _is_function_of(*texts[::-1]):
        return replace(answer, sides=(gold.sides[0], *answer.sides[1:]), names=(True, *answer.names[1:]))
    found = [_FUNCTION_OF.fullmatch(text) for text in texts]
    functions = [match for match in found if match and match.group(2) == "x" and match.group(1) in "fgh"]
    if sorted(texts)[-1] == "y" and functions and len(answer.sides) == len(gold.sides) == 2:
        return replace(answer, sides=(gold.sides[0], *answer.sides[1:]), names=(True, *answer.names[1:]))
    if not all(found) or found[0].group(1) != found[1].group(1):  # type: ignore[union-attr]
        return answer
    old, new = (match.group(2) or match.group(3) for match in found if match)
    sides = tuple(
        Expression(rename(side.tree, old, new), side.text) if isinstance(side, Expression) else side
        for side in answer.sides[1:]
    )
    return replace(answer, sides=(gold.sides[0], *sides), names=(True, *answer.names[1:]))


def is_asked(side: Value) -> bool:
    """Whether a side only names the wanted quantity: f(2), P(X > 3)."""
    if isinstance(side, Text):
        return _PROBABILITY.fullmatch(side.written) is not None
    return isinstance(side, Expression) and side.tree.name.startswith("unknown ")


def variable(relation: Relation) -> str | None:
    """The one name that an inequality bounds."""
    found = [side for side, named in zip(relation.sides, relation.names, strict=True) if named]
    return found[0].tree.name if len(found) == 1 and isinstance(found[0], Expression) else None


def comparable_zeros(relation: Relation) -> bool:
    """Whether a relation is determined by the zeros of the difference of its sides.

    It is not without a free name, since any two constants have the same zeros, nor with units.
    """
    if len(relation.sides) != 2:
        return False
    plain = all(isinstance(side, Quantity | Expression) and not side.unit for side in relation.sides)
    return plain and bool(names(difference(relation)))


def is_written_out(number: Quantity) -> bool:
    """Whether a number is written with all its digits: 1.25 or 125, but not 5/4, or 0.333… for 1/3."""
    return not number.quotient and identity.terminates(number.value)


def values_of_one_name(items: Sequence[Value]) -> bool:
    """Whether listed answers are values of the same name, so that "and" and "or" mean the same."""
    if any(isinstance(item, Text) or (isinstance(item, Expression) and _is_symbol(item)) for item in items):
        return False
    named = [item.sides[0] for item in items if isinstance(item, Relation)]
    return len({side.text.split("_")[0] if isinstance(side, Expression) else "" for side in named}) < 2


def _is_symbol(written: Expression) -> bool:
    return written.tree.head == "name" and bool(names(written.tree))


_PROBABILITY = re.compile(r"(?:\\mathbb\s*)?\{?[PE]\}?\s*[(\[].+[)\]]")


def as_product(value: Value, other: Value) -> Expression | None:
    """Text as a product of letters, if they are not a word or the other side writes out the product.

    mgh, qE and nRT are not words; ma is m · a if the other side is "m a", "a \\cdot m" or "a m + 0".
    """
    if isinstance(value, Expression):
        return value
    if not isinstance(value, Text) or not (are_symbols(value.written) or _spelled(value.written, other)):
        return None
    tree = read_expression(value.written, letters=True)
    return None if tree is None else Expression(tree, value.written)


def _spelled(written: str, other: Value) -> bool:
    """Whether the other side is an expression in the letters of a short word, with signs or in order."""
    if not (isinstance(other, Expression) and written.isalpha() and len(written) <= MAX_LETTERS):
        return False
    letters = "".join(other.text.split())
    return letters == written or not letters.isalpha()


def mirror(operators: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_MIRRORED.get(operator, operator) for operator in operators)


def difference(relation: Relation) -> Node:
    left, right = (tree(side) for side in relation.sides)
    return add(left, mul(MINUS_ONE, right))
