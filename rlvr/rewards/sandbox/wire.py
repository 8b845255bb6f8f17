"""Messages between a tested program and its tests: plain data as JSON, all else by reference.

Nothing that is read can run anything: the values are rebuilt from a closed list of types.
"""

from __future__ import annotations

import importlib
import json
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_MESSAGE = 16 << 20  # bytes
_LENGTH = struct.Struct("!I")

# Further values of the standard library: (module, class) → the arguments that make it again.
_REBUILT: dict[tuple[str, str], Callable[[Any], tuple[Any, ...]]] = {
    ("builtins", "complex"): lambda value: (value.real, value.imag),
    ("builtins", "bytes"): lambda value: (list(value),),
    ("builtins", "bytearray"): lambda value: (list(value),),
    ("builtins", "range"): lambda value: (value.start, value.stop, value.step),
    ("collections", "deque"): lambda value: (list(value), value.maxlen),
    ("fractions", "Fraction"): lambda value: (value.numerator, value.denominator),
    ("decimal", "Decimal"): lambda value: (str(value),),
    ("datetime", "date"): lambda value: (value.year, value.month, value.day),
    ("datetime", "timedelta"): lambda value: (value.days, value.seconds, value.microseconds),
    ("datetime", "datetime"): lambda value: (
        *value.timetuple()[:6],
        value.microsecond,
    ),
}
_ITERABLES: dict[str, type] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


class WireError(Exception):
    """What came is no message, or what was to be sent is too large."""


def encode(value: Any, refer: Callable[[Any], Any]) -> Any:
    """`value` as JSON data; `refer` gives what stands for a value that is not plain data.

    A subclass of a plain type travels as that type, so that no method of its own goes with it.
    """
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else ["int", hex(value)]
    for name, kind in _ITERABLES.items():
        if isinstance(value, kind):
            return [name, [encode(item, refer) for item in value]]  # type: ignore[attr-defined]
    if isinstance(value, dict):
        return ["dict", [[encode(key, refer), encode(item, refer)] for key, item in value.items()]]
    key = (type(value).__module__, type(value).__name__)
    if key in _REBUILT and getattr(value, "tzinfo", None) is None:
        return ["made", [*key, [encode(argument, refer) for argument in _REBUILT[key](value)]]]
    return ["reference", refer(value)]


def decode(data: Any, resolve: Callable[[Any], Any]) -> Any:
    """The inverse of `encode`. Raises WireError, TypeError or ValueError for what it cannot have made."""
    if not isinstance(data, list):
        if isinstance(data, dict):
            raise WireError("a JSON object is no value")
        return data
    tag, content = data
    if tag == "int":
        return int(content, 16)
    if tag in _ITERABLES:
        return _ITERABLES[tag](decode(item, resolve) for item in content)
    if tag == "dict":
        return {decode(key, resolve): decode(item, resolve) for key, item in content}
    if tag == "made":
        module, name, arguments = content
        if (module, name) not in _REBUILT:
            raise WireError(f"{module}.{name} is no value that can be sent")
        make = getattr(importlib.import_module(module), name)
        return make(*(decode(argument, resolve) for argument in arguments))
    if tag == "reference":
        return resolve(content)
    raise WireError(f"{tag!r} is no kind of value")


class Pipes:
    """JSON messages over two pipes."""

    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink = source, sink

    def send(self, message: Any) -> None:
        data = json.dumps(message).encode()
        if len(data) > MAX_MESSAGE:
            raise WireError(f"a message of {len(data)} bytes is over the limit of {MAX_MESSAGE}")
        waiting = memoryview(_LENGTH.pack(len(data)) + data)
        while waiting:
            waiting = waiting[os.write(self.sink, waiting) :]

    def receive(self) -> Any:
        """Raises EOFError when the other side has ended."""
        length = _LENGTH.unpack(self._read(_LENGTH.size))[0]
        if length > MAX_MESSAGE:
            raise WireError(f"a message of {length} bytes is over the limit of {MAX_MESSAGE}")
        return json.loads(self._read(length))

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = os.read(self.source, min(size - len(data), 1 << 16))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)
