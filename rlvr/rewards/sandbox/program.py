"""The tested program's side: it loads the program and evaluates the tests' requests, one at a time.

It never gets the expected results. Whatever the program does to this process, it can send only values.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
import types

from rlvr.rewards.sandbox.wire import LENGTH_BYTES, MAX_REPLY, NotPlain, decode, encode, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# LeetCode imports these, and programs in its format rely on that.
_IMPORTED = """\
import bisect, collections, functools, heapq, itertools, math, operator, random, re, string
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import ceil, comb, factorial, floor, gcd, inf, isqrt, lcm, log, log2, pi, sqrt
from typing import *
"""


class Program:
    """Answers requests until the pipe is closed. `objects` are kept here for later requests."""

    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink = source, sink
        self.module = types.ModuleType("solution")
        self.objects: list[Any] = []

    def live(self) -> None:
        """Load the program, which is the first message, then answer requests (`answer`).

        The reply to the program is ["loaded", null] or ["raised", [names of classes, message]].
        """
        try:
            program = self._receive()
            self._send(["loaded", None] if (error := self._load(program)) is None else error)
            while True:
                request = self._receive()
                try:
                    reply = packed(self.answer(request), MAX_REPLY)
                except NotPlain as error:
                    reply = packed(["not plain", str(error)[:1000]], MAX_REPLY)
                except BaseException as error:  # noqa: BLE001 - whatever the program raises is its result
                    reply = packed(_raised(error), MAX_REPLY)
                self._write(reply)
        except (EOFError, BrokenPipeError):
            os._exit(0)

    def _load(self, source: str) -> Any:
        sys.modules["solution"] = self.module
        try:
            if "class Solution" in source:
                exec(_IMPORTED, self.module.__dict__)
            code = compile(source, "solution.py", "exec", dont_inherit=True)
            exec(code, self.module.__dict__)  # untrusted code, hence the jail
        except BaseException as error:  # noqa: BLE001 - whatever the program raises is its result
            return _raised(error, "" if isinstance(error, SyntaxError) else _line(error))
        return None

    def answer(self, request: Any) -> Any:
        """The reply to one request.

        ["value", [tree, shared]] → ["value", [data, changes]] or ["iterator", [number, changes]]
        ["keep", [tree, shared]] → ["kept", [number, changes]]
        ["take", [number, count]] → ["items", [items, whether these were the last]]
        ["beside", [test, function]] → ["passed", null]: a test that runs here

        A tree is data as in `wire`, with additional tags. `shared` are values that a tree refers to by
        number, and `changes` are their new values after the program ran (null if unchanged).
        """
        kind, content = request
        if kind == "take":
            return self._take(*content)
        if kind == "beside":
            return self._beside(*content)
        tree, shared = content
        values = [decode(data) for data in shared]
        result = self._evaluate(tree, values)
        after = [encode(value, self._keep_reference) for value in values]
        changes = [None if now == before else now for now, before in zip(after, shared, strict=True)]
        if kind == "keep":
            return ["kept", [self._keep(result), changes]]
        try:
            return ["value", [encode(result), changes]]
        except NotPlain:
            iterable = any("__iter__" in base.__dict__ for base in type(result).__mro__)
            if iterable and not isinstance(result, list | tuple | dict | set | frozenset):
                return ["iterator", [self._keep(iter(result)), changes]]
            raise

    def _keep(self, value: Any) -> int:
        self.objects.append(value)
        return len(self.objects) - 1

    def _keep_reference(self, value: Any) -> Any:
        raise NotPlain(f"an argument into which a {type(value).__name__} was put, which is no plain value")

    def _take(self, number: int, count: int) -> Any:
        items: list[Any] = []
        for _ in range(count):
            try:
                items.append(encode(next(self.objects[number])))
            except StopIteration:
                return ["items", [items, True]]
        return ["items", [items, False]]

    def _evaluate(self, tree: Any, shared: list[Any]) -> Any:
        def special(tag: str, content: Any) -> Any:
            if tag == "name":
                return self._look_up(content)
            if tag == "shared":
                return shared[content]
            if tag == "kept":
                return self.objects[content]
            if tag == "builtin":
                return getattr(builtins, content)
            if tag == "lambda":
                return eval(content, self.module.__dict__)
            if tag == "attribute":
                return getattr(decode(content[0], special), content[1])
            if tag == "imported":
                module = __import__(content[0], fromlist=["*"])
                return getattr(module, content[1])
            if tag == "awaited":
                import asyncio

                return asyncio.run(decode(content, special))
            if tag == "call":
                function, arguments, keywords = content
                called = decode(function, special)
                given = [decode(argument, special) for argument in arguments]
                return called(*given, **{name: decode(value, special) for name, value in keywords.items()})
            raise ValueError(f"there is no {tag}")

        return decode(tree, special)

    def _look_up(self, name: str) -> Any:
        """The value of a global name of the program, or a method of its class `Solution`."""
        names = self.module.__dict__
        if name in names:
            return names[name]
        solution = names.get("Solution")
        if solution is not None and hasattr(solution, name):
            return getattr(solution(), name)
        raise NameError(f"name {name!r} is not defined")

    def _beside(self, source: str, function: str | None, entry_point: str | None) -> Any:
        names = {**self.module.__dict__, "__name__": "tests"}
        exec(compile(source, "tests", "exec", dont_inherit=True), names)
        if function is not None:
            names[function]()
        elif entry_point is not None and "check" in names:
            names["check"](self._look_up(entry_point))
        return ["passed", None]

    def _send(self, message: Any) -> None:
        self._write(packed(message, MAX_REPLY))

    def _write(self, data: bytes) -> None:
        waiting = memoryview(data)
        while waiting:
            waiting = waiting[os.write(self.sink, waiting) :]

    def _receive(self) -> Any:
        return json.loads(self._read(int.from_bytes(self._read(LENGTH_BYTES))))

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = os.read(self.source, min(size - len(data), 1 << 16))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)


def _raised(error: BaseException, where: str = "") -> Any:
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - its __str__ is the program's
        message = ""
    return ["raised", [[base.__name__ for base in type(error).__mro__], (message + where)[:1000]]]


def _line(error: BaseException) -> str:
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "solution.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {line})" if line else ""
