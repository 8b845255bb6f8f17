"""Plain values as JSON data: all that a tested program and its tests exchange.

Reading data cannot run code: values are rebuilt from a closed list of types, so that comparing them never
calls a method of the program. The program's side converts return values as follows:

- None, bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, deque, Fraction,
  Decimal, and dates and times without a time zone are sent as they are;
- objects of subclasses of these (Counter, defaultdict, IntEnum, …) are sent as their base type;
- namedtuples and dataclass objects are sent as a tuple of their fields, readable by name (`Named`);
- numpy arrays and `array.array` are sent as lists, numpy scalars as Python numbers;
- other iterables (generators, ranges, views of dicts, …) are kept there, and their items are requested;
- anything else is no plain value.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

MAX_REPLY = 2 << 20  # bytes of a program's reply
MAX_REQUEST = 64 << 20  # bytes
LENGTH_BYTES = 4  # big-endian, before each message
_MAX_DEPTH = 100  # of containers within each other
_MAX_BITS = 1 << 18  # of an integer
_MAX_FRACTION_BITS = 1 << 14  # reducing a fraction takes quadratic time
_MAX_DIGITS = 10_000  # of a Decimal, written without an exponent
_MAX_COLLISIONS = 50  # values with one hash in a set or dict; more would be an attack on the running time


class WireError(Exception):
    """The received data is no value, or a value that is too large."""


class NotPlain(Exception):
    """A value that cannot be sent."""


class Named(tuple):  # type: ignore[type-arg]
    """A tuple whose items have names, in `fields`."""

    fields: list[str]

    def __getattr__(self, name: str) -> Any:
        if name in self.__dict__.get("fields", ()):
            return self[self.fields.index(name)]
        raise AttributeError(f"there is no field {name!r}")


def _named(fields: Iterable[Any], items: Iterable[Any]) -> Named:
    value = Named(items)
    value.fields = [str(field) for field in fields]
    return value


# Values of the standard library: (module, class) → constructor arguments, as plain values.
_MADE: dict[tuple[str, str], Callable[[Any], list[Any]]] = {
    ("builtins", "complex"): lambda value: [value.real, value.imag],
    ("collections", "deque"): lambda value: [list(value), value.maxlen],
    ("fractions", "Fraction"): lambda value: [value.numerator, value.denominator],
    ("decimal", "Decimal"): lambda value: [str(value)],
    ("datetime", "date"): lambda value: [value.year, value.month, value.day],
    ("datetime", "time"): lambda value: [value.hour, value.minute, value.second, value.microsecond],
    ("datetime", "timedelta"): lambda value: [value.days, value.seconds, value.microseconds],
    ("datetime", "datetime"): lambda value: [*value.timetuple()[:6], value.microsecond],
}


def encode(value: Any, other: Callable[[Any], Any] | None = None, depth: int = _MAX_DEPTH) -> Any:
    """`value` as JSON data. `other` encodes values that are not plain; without it they raise NotPlain."""
    if value is None or value is True or value is False:
        return value
    if depth == 0:
        raise NotPlain(f"a value that is nested more than {_MAX_DEPTH} deep")
    kind = type(value)
    if issubclass(kind, float):
        return float.__pos__(value)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int):
        number = int.__index__(value)
        return number if number.bit_length() < 64 else ["int", hex(number)]
    if issubclass(kind, bytes | bytearray):
        return ["bytes" if issubclass(kind, bytes) else "bytearray", bytes(value).decode("latin-1")]
    if issubclass(kind, dict):
        return [
            "dict",
            [[encode(key, other, depth - 1), encode(item, other, depth - 1)] for key, item in value.items()],
        ]
    for name, base in _SEQUENCES.items():
        if issubclass(kind, base):
            items = [encode(item, other, depth - 1) for item in base.__iter__(value)]  # type: ignore[attr-defined]
            if base is tuple and hasattr(kind, "_fields"):
                return ["named", [list(kind._fields), items]]
            return ["named", [value.fields, items]] if kind is Named else [name, items]
    if kind.__module__ == "numpy" and hasattr(kind, "tolist"):
        return encode(value.tolist(), other, depth - 1)
    if (kind.__module__, kind.__name__) == ("array", "array"):
        return encode(list(value), other, depth - 1)
    for base in kind.__mro__:
        made = _MADE.get((base.__module__, base.__name__))
        if made is not None and getattr(value, "tzinfo", None) is None:
            arguments = [encode(item, other, depth - 1) for item in made(value)]
            return ["made", [base.__module__, base.__name__, arguments]]
    if hasattr(kind, "__dataclass_fields__"):
        fields = list(kind.__dataclass_fields__)
        return ["named", [fields, [encode(getattr(value, field), other, depth - 1) for field in fields]]]
    if other is None:
        raise NotPlain(f"a {kind.__name__}, which is no plain value")
    return other(value)


def decode(data: Any, other: Callable[[str, Any], Any] | None = None, depth: int = _MAX_DEPTH) -> Any:
    """The inverse of `encode`. `other` decodes tags that `encode` does not write.

    Raises WireError for values that are too large. Data that `encode` has not written may raise other
    exceptions: see `received`.
    """
    if not isinstance(data, list):
        if isinstance(data, dict):
            raise WireError("a JSON object is no value")
        if isinstance(data, int):
            _check_bits(data, _MAX_BITS)
        return data
    if depth == 0:
        raise WireError(f"a value that is nested more than {_MAX_DEPTH} deep")
    tag, content = data
    if tag in _SEQUENCES:
        items = [decode(item, other, depth - 1) for item in content]
        return _SEQUENCES[tag](distinct(items) if tag in ("set", "frozenset") else items)
    if tag == "dict":
        keys = distinct([decode(key, other, depth - 1) for key, _ in content])
        return dict(zip(keys, [decode(item, other, depth - 1) for _, item in content], strict=True))
    if tag == "int":
        number = int(content, 16)
        _check_bits(number, _MAX_BITS)
        return number
    if tag in ("bytes", "bytearray"):
        return {"bytes": bytes, "bytearray": bytearray}[tag](content.encode("latin-1"))
    if tag == "named":
        return _named(content[0], [decode(item, other, depth - 1) for item in content[1]])
    if tag == "made":
        module, name, arguments = content
        return _make(module, name, [decode(argument, other, depth - 1) for argument in arguments])
    if other is None:
        raise WireError(f"{tag!r} is no kind of value")
    return other(tag, content)


def received(data: Any) -> Any:
    """`decode` for untrusted data. Raises WireError if it is no value."""
    try:
        return decode(data)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        raise WireError(f"{type(error).__name__}: {error}") from None


def distinct(items: list[Any]) -> list[Any]:
    """Returns `items`, to be hashed. Raises WireError if too many different ones have the same hash."""
    if len(items) > _MAX_COLLISIONS:
        found: dict[int, list[Any]] = {}
        for item in items:
            same = found.setdefault(hash(item), [])
            if item not in same:
                same.append(item)
                if len(same) > _MAX_COLLISIONS:
                    raise WireError(f"more than {_MAX_COLLISIONS} different values with the same hash")
    return items


def _check_bits(number: int, most: int) -> None:
    if number.bit_length() > most:
        raise WireError(f"an integer of {number.bit_length()} bits is over the limit of {most}")


def _make(module: str, name: str, arguments: list[Any]) -> Any:
    if (module, name) not in _MADE:
        raise WireError(f"{module}.{name} is no value that can be sent")
    if name == "complex":
        return complex(*arguments)
    if name == "Fraction":
        for number in arguments:
            _check_bits(number, _MAX_FRACTION_BITS)
    import collections
    import datetime
    import decimal
    import fractions

    modules = {"collections": collections, "datetime": datetime, "decimal": decimal, "fractions": fractions}
    value = getattr(modules[module], name)(*arguments)
    if name == "Decimal" and (
        len(arguments[0]) > _MAX_DIGITS or (value.is_finite() and abs(value.adjusted()) > _MAX_DIGITS)
    ):
        raise WireError(f"a Decimal of over {_MAX_DIGITS} digits")
    return value


def packed(message: Any, most: int) -> bytes:
    """A message in bytes, with its length in front. Raises NotPlain if it has over `most` bytes."""
    data = json.dumps(message).encode()
    if len(data) > most:
        raise NotPlain(f"a value of {len(data)} bytes, over the limit of {most}")
    return len(data).to_bytes(LENGTH_BYTES) + data


_SEQUENCES: dict[str, type] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
