"""The functions that a test may apply to plain values; their running time is bounded by argument size."""

from __future__ import annotations

import collections
import copy
import datetime
import decimal
import fractions
import functools
import itertools
import math
import operator
import re
import string
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rlvr.rewards.code_tests.link import Failed, Iterator, Raised
from rlvr.rewards.sandbox.wire import distinct

_MAX_LENGTH = 1_000_000  # of a sequence that is created from a number
_MAX_TEXT = 1 << 24  # characters
_MAX_BITS = 1 << 18  # of an integer


def items_of(value: Any) -> list[Any]:
    """The items of an iterable. Raises TypeError for other values."""
    return value.rest() if isinstance(value, Iterator) else _bounded(value)


def _bounded(values: Iterable[Any]) -> list[Any]:
    items = list(itertools.islice(values, _MAX_LENGTH + 1))
    if len(items) > _MAX_LENGTH:
        raise Failed(f"over {_MAX_LENGTH} items")
    return items


def arithmetic(name: str, left: Any, right: Any) -> Any:
    """The operator of Python's `ast` module applied to plain values."""
    if name == "Mod" and isinstance(left, str | bytes):
        raise Failed("TypeError: a text has no remainder here")
    if name == "Mult":
        for many, times in ((left, right), (right, left)):
            if isinstance(times, int) and hasattr(many, "__len__") and len(many) * times > _MAX_LENGTH:
                raise Failed(f"over {_MAX_LENGTH} items")
        if isinstance(left, int) and isinstance(right, int):
            _check_bits(left, right)
    if name == "Pow":
        return _power(left, right)
    if name == "LShift" and (right > _MAX_BITS or left.bit_length() + right > _MAX_BITS):
        raise Failed(f"an integer of over {_MAX_BITS} bits")
    return OPERATORS[name](left, right)


def _check_bits(*numbers: int) -> None:
    if sum(number.bit_length() for number in numbers) > 2 * _MAX_BITS:
        raise Failed(f"an integer of over {2 * _MAX_BITS} bits")


def _least_multiple(*numbers: int) -> int:
    _check_bits(*numbers)
    return math.lcm(*numbers)


def _power(left: Any, right: Any, modulus: int | None = None) -> Any:
    if modulus is not None:
        if abs(right).bit_length() * modulus.bit_length() ** 2 > _MAX_BITS**2:
            raise Failed("a power of integers that are too large")
        return pow(left, right, modulus)
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * abs(right) > _MAX_BITS:
        raise Failed(f"an integer of over {_MAX_BITS} bits")
    if not isinstance(left, int | float | complex) or not isinstance(right, int | float | complex):
        raise Failed("TypeError: only numbers have powers here")
    return left**right


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
    "Pow": _power,
    "LShift": operator.lshift,
    "RShift": operator.rshift,
    "BitAnd": operator.and_,
    "BitOr": operator.or_,
    "BitXor": operator.xor,
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "In": lambda item, values: item in (values.rest() if isinstance(values, Iterator) else values),
    "NotIn": lambda item, values: item not in (values.rest() if isinstance(values, Iterator) else values),
    "Is": operator.is_,
    "IsNot": operator.is_not,
}


class Approximately:
    """`pytest.approx`: equal to numbers within a tolerance, also in lists, tuples and dicts."""

    def __init__(self, expected: Any, rel: float = 1e-6, abs: float = 1e-12, nan_ok: bool = False) -> None:
        self.expected, self.rel, self.abs, self.nan_ok = expected, rel, abs, nan_ok

    def __eq__(self, other: object) -> bool:
        return self._near(other, self.expected)

    __hash__ = None  # type: ignore[assignment]

    def _near(self, value: Any, expected: Any) -> bool:
        if isinstance(expected, dict):
            return (
                isinstance(value, dict)
                and value.keys() == expected.keys()
                and all(self._near(value[name], expected[name]) for name in expected)
            )
        if isinstance(expected, list | tuple):
            return (
                isinstance(value, list | tuple)
                and len(value) == len(expected)
                and all(map(self._near, value, expected))
            )
        if isinstance(expected, bool) or not isinstance(expected, int | float | complex | decimal.Decimal):
            return bool(value == expected)
        if isinstance(value, bool) or not isinstance(value, int | float | complex | decimal.Decimal):
            return False
        if value == expected or (self.nan_ok and value != value and expected != expected):
            return True
        value, expected = (
            float(side) if isinstance(side, decimal.Decimal) else side for side in (value, expected)
        )
        return bool(abs(value - expected) <= max(self.rel * abs(expected), self.abs) < math.inf)


def _all_close(
    left: Any, right: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """numpy.allclose for numbers and lists of equal length."""
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(
            _all_close(one, other, rtol, atol, equal_nan) for one, other in zip(left, right, strict=True)
        )
    if equal_nan and left != left and right != right:
        return True
    return bool(left == right or abs(left - right) <= atol + rtol * abs(right) < math.inf)


def _as_lists(value: Any) -> Any:
    return [_as_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _check_close(left: Any, right: Any, rtol: float = 1e-7, atol: float = 0.0) -> None:
    if not _all_close(left, right, rtol, atol):
        raise Failed("AssertionError: the values are not close")


def _zip(*values: Any, strict: bool = False) -> list[Any]:
    lengths = [len(items_of(value)) for value in values if not isinstance(value, Iterator)]
    taken = [
        value.take(min(lengths)) if isinstance(value, Iterator) and lengths else items_of(value)
        for value in values
    ]
    return list(zip(*taken, strict=strict))


def _islice(values: Any, *bounds: Any) -> list[Any]:
    if isinstance(values, Iterator):
        most = bounds[0] if len(bounds) == 1 else bounds[1]
        values = values.rest() if most is None else values.take(min(most, _MAX_LENGTH))
    return _bounded(itertools.islice(values, *bounds))


_NOTHING = object()


def _next(values: Any, default: Any = _NOTHING) -> Any:
    if not isinstance(values, Iterator):
        raise Failed("TypeError: it is no iterator")
    items = values.take(1)
    if not items and default is _NOTHING:
        raise Raised(["StopIteration", "Exception", "BaseException", "object"], "")
    return items[0] if items else default


def _text(value: Any = "", *encoding: str) -> str:
    if isinstance(value, Raised):
        return value.message
    if isinstance(value, Iterator):
        raise Failed("TypeError: an iterator has no text")
    return str(value, *encoding)


def _sum(values: Any, start: Any = 0) -> Any:
    if not isinstance(start, int | float | complex | fractions.Fraction | decimal.Decimal):
        raise Failed("TypeError: only numbers are added up here")
    return sum(items_of(values), start)


def _small(function: Callable[..., Any]) -> Callable[..., Any]:
    """Limit the arguments of a function whose results grow faster than its arguments."""

    def call(*arguments: int) -> Any:
        if any(isinstance(value, int) and abs(value) > 5000 for value in arguments):
            raise Failed("a number over 5000 is too large here")
        return function(*arguments)

    return call


def _dict(values: Any = (), /, **named: Any) -> Any:
    if isinstance(values, dict):
        return {**values, **named}
    pairs = [tuple(items_of(pair)) for pair in items_of(values)]
    distinct([key for key, _ in pairs])
    return {**dict(pairs), **named}


TYPES: dict[str, Any] = {
    "bool": bool, "int": int, "float": float, "complex": complex, "str": str, "bytes": bytes,
    "bytearray": bytearray, "list": list, "tuple": tuple, "dict": dict, "set": set, "frozenset": frozenset,
}  # fmt: skip
# Functions that return an iterator in Python return a list here.
BUILTINS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "all": lambda values: all(items_of(values)),
    "any": lambda values: any(items_of(values)),
    "bin": bin,
    "bool": bool,
    "bytes": lambda value=b"", *rest: bytes(_small(int)(value) if isinstance(value, int) else value, *rest),
    "bytearray": lambda value=b"", *rest: bytearray(value if not isinstance(value, int) else 0, *rest),
    "chr": chr,
    "complex": complex,
    "dict": _dict,
    "divmod": divmod,
    "enumerate": lambda values, start=0: list(enumerate(items_of(values), start)),
    "filter": lambda function, values: [item for item in items_of(values) if (function or bool)(item)],
    "float": float,
    "frozenset": lambda values=(): frozenset(distinct(items_of(values))),
    "hex": hex,
    "int": int,
    "iter": lambda values: values if isinstance(values, Iterator) else items_of(values),
    "len": len,
    "list": lambda values=(): items_of(values),
    "map": lambda function, *values: [function(*items) for items in _zip(*values)],
    "max": lambda *values, **named: max(
        *(items_of(value) if len(values) == 1 else value for value in values), **named
    ),
    "min": lambda *values, **named: min(
        *(items_of(value) if len(values) == 1 else value for value in values), **named
    ),
    "next": _next,
    "oct": oct,
    "ord": ord,
    "pow": _power,
    "range": lambda *bounds: _bounded(range(*bounds)),
    "repr": lambda value: repr(_text(value) if isinstance(value, str) else value),
    "reversed": lambda values: list(reversed(items_of(values))),
    "round": round,
    "set": lambda values=(): set(distinct(items_of(values))),
    "sorted": lambda values, *, key=None, reverse=False: sorted(items_of(values), key=key, reverse=reverse),
    "str": _text,
    "sum": _sum,
    "tuple": lambda values=(): tuple(items_of(values)),
    "type": type,
    "zip": _zip,
}
_MATH = (
    "isclose sqrt floor ceil isnan isinf isfinite fabs gcd exp log log2 log10 log1p expm1 sin cos tan "
    "asin acos atan atan2 hypot fsum trunc copysign isqrt dist radians degrees fmod modf pi e tau inf nan "
)
MODULES: dict[str, dict[str, Any]] = {
    "math": {
        **{name: getattr(math, name) for name in _MATH.split()},
        "pow": lambda base, exponent: math.pow(base, exponent),
        "lcm": _least_multiple,
        "factorial": _small(math.factorial),
        "comb": _small(math.comb),
        "perm": _small(math.perm),
        "prod": lambda values: functools.reduce(lambda a, b: arithmetic("Mult", a, b), items_of(values), 1),
    },
    "copy": {"copy": copy.deepcopy, "deepcopy": copy.deepcopy},
    "collections": {
        "Counter": lambda values=(): collections.Counter(
            values if isinstance(values, dict) else distinct(items_of(values))
        ),
        "deque": collections.deque,
        "OrderedDict": _dict,
        "defaultdict": lambda _=None, values=(): _dict(values),
    },
    "itertools": {
        "islice": _islice,
        "chain": lambda *values: [item for each in values for item in items_of(each)],
        "product": lambda *values, **repeat: _bounded(itertools.product(*map(items_of, values), **repeat)),
        "permutations": lambda values, size=None: _bounded(itertools.permutations(items_of(values), size)),
        "combinations": lambda values, size: _bounded(itertools.combinations(items_of(values), size)),
    },
    "fractions": {"Fraction": fractions.Fraction},
    "decimal": {"Decimal": decimal.Decimal},
    "datetime": {
        name: getattr(datetime, name) for name in ("date", "time", "datetime", "timedelta")
    },
    "string": {
        name: getattr(string, name)
        for name in ("ascii_letters", "ascii_lowercase", "ascii_uppercase", "digits", "punctuation")
    },
    "pytest": {"approx": Approximately},
    "numpy": {
        "allclose": lambda *values, **named: _all_close(*map(_as_lists, values), **named),
        "isclose": lambda *values, **named: _all_close(*values, **named),
        "array_equal": lambda left, right: bool(_as_lists(left) == _as_lists(right)),
        "array": lambda values, dtype=None: _as_lists(values),
        "pi": math.pi, "inf": math.inf, "nan": math.nan,
    },
    "numpy.testing": {
        "assert_allclose": lambda *values, **named: _check_close(*map(_as_lists, values), **named)
    },
    "asyncio": {}, "typing": {}, "unittest": {}, "re": {}, "sys": {}, "__future__": {},
}  # fmt: skip
# As arguments, these are created in the program's process: the versions here are simplified.
MADE_THERE = {
    ("collections", "OrderedDict"), ("collections", "defaultdict"), ("collections", "Counter"),
    ("numpy", "array"),
}  # fmt: skip
FUNCTIONS_FIRST = ("map", "filter")  # whose first argument is a function
_METHODS = (
    "lower upper strip lstrip rstrip split rsplit splitlines startswith endswith isdigit isalpha isalnum "
    "isupper islower isspace istitle isnumeric isdecimal title capitalize swapcase casefold replace join "
    "find rfind index rindex count partition rpartition removeprefix removesuffix encode decode hex copy "
    "sort append extend insert pop remove reverse clear get keys values items update setdefault popitem "
    "union  intersection difference symmetric_difference issubset issuperset isdisjoint add discard "
    "most_common  bit_length is_integer conjugate isoformat weekday total_seconds popleft appendleft "
)
_FIELDS = "real imag numerator denominator year month day hour minute second microsecond days seconds"
METHODS = frozenset(_METHODS.split())
_HAVE_METHODS = (
    str, bytes, bytearray, list, tuple, dict, set, frozenset, int, float, complex, collections.deque,
    datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, fractions.Fraction,
)  # fmt: skip


def method(value: Any, name: str) -> Callable[..., Any]:
    """A method of a plain value."""
    if not isinstance(value, _HAVE_METHODS):
        raise Failed(f"AttributeError: a {type(value).__name__} has no {name}")
    if isinstance(value, str | bytes | bytearray) and name in ("replace", "join"):
        return lambda *arguments: _replaced(value, name, arguments)
    found: Callable[..., Any] = getattr(value, name)
    return found


def _replaced(text: Any, name: str, arguments: Sequence[Any]) -> Any:
    """`text.replace` or `text.join`, whose result may be as large as a product."""
    put, times = (arguments[1], len(text) + 1) if name == "replace" else (text, len(items_of(arguments[0])))
    if len(put) * times > _MAX_TEXT:
        raise Failed(f"a text of over {_MAX_TEXT} characters")
    return getattr(text, name)(*arguments)


def field_of(value: Any, name: str) -> Any:
    """`value.name` for a plain value."""
    if isinstance(value, Raised) and name in ("value", "args"):
        return value if name == "value" else (value.message,)
    if isinstance(value, type) and name == "__name__":
        return value.__name__
    if isinstance(value, tuple) and name in getattr(value, "fields", ()):
        return getattr(value, name)
    if isinstance(value, _HAVE_METHODS) and name in _FIELDS.split():
        return getattr(value, name)
    raise Failed(f"AttributeError: a {type(value).__name__} has no {name}")


def matches(pattern: str, message: str) -> bool:
    return re.search(pattern, message[:1000]) is not None
