"""The tested program's side: it holds the program's names and does what the tests ask of them.

Whatever the program does to this process, the tests see it through values that they read themselves.
"""

from __future__ import annotations

import builtins
import operator
import os
import sys
import types

from rlvr.rewards.sandbox.wire import Pipes, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BUILTIN: tuple[str, ...] = (
    "getattr",
    "setattr",
    "delattr",
    "isinstance",
    "issubclass",
    "str",
    "repr",
    "len",
    "iter",
    "next",
)
_BUILTIN += ("bool", "reversed")
_OPERATOR: tuple[str, ...] = (
    "getitem",
    "setitem",
    "delitem",
    "eq",
    "lt",
    "le",
    "gt",
    "ge",
    "add",
    "sub",
    "mul",
    "truediv",
)
_OPERATOR += ("floordiv", "mod", "pow", "and_", "or_", "xor", "matmul")
OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda function, *arguments, **keywords: function(*arguments, **keywords),
    **{name: getattr(builtins, name) for name in _BUILTIN},
    **{name: getattr(operator, name) for name in _OPERATOR},
}
_MUTABLE = (list, dict, set, bytearray)


class Program:
    """Answers requests until the other side ends. `objects` are what it was given references to."""

    def __init__(self, pipes: Pipes) -> None:
        self.pipes = pipes
        self.objects: list[Any] = []

    def load(self, source: str) -> None:
        """Run the program as a module, and tell its names: [kind, name, value]."""
        module = types.ModuleType("solution")
        sys.modules["solution"] = module
        try:
            exec(compile(source, "solution.py", "exec"), module.__dict__)  # what the jail is for
        except BaseException as error:  # noqa: BLE001 - whatever the program raises is its result
            self.pipes.send(["error", *_description(error, source)])
            return
        names = [self._name(name, value) for name, value in list(module.__dict__.items())]
        self.pipes.send(["names", [name for name in names if name]])

    def _name(self, name: str, value: Any) -> list[Any] | None:
        if not isinstance(name, str) or (name.startswith("__") and name.endswith("__")):
            return None
        if isinstance(value, types.ModuleType):
            return ["module", name, value.__name__]
        if isinstance(value, type) and issubclass(value, BaseException):
            return ["exception", name, [value.__name__, _builtin(value)]]
        try:
            return ["value", name, encode(value, self._refer)]
        except (ArithmeticError, ValueError, RecursionError, RuntimeError):
            return None

    def live(self) -> None:
        """Say that it is there, load the program that it is sent, and answer until nobody asks."""
        try:
            self.pipes.send("ready")
            self.load(self.pipes.receive())
            while True:
                self._answer(self.pipes.receive())
        except (EOFError, BrokenPipeError):
            os._exit(0)

    def _answer(self, request: Any) -> None:
        operation, target, arguments, keywords = request
        given: list[Any] = []
        try:
            given = [decode(argument, self._resolve) for argument in arguments]
            named = {name: decode(value, self._resolve) for name, value in keywords.items()}
            result = OPERATIONS[operation](self.objects[target], *given, **named)
            changed = [encode(value, self._refer) if isinstance(value, _MUTABLE) else None for value in given]
            reply = ["value", encode(result, self._refer), changed]
        except BaseException as error:  # noqa: BLE001 - it is raised again where the tests are
            reply = ["error", *_description(error)]
        self.pipes.send(reply)

    def _refer(self, value: Any) -> Any:
        self.objects.append(value)
        return [len(self.objects) - 1, callable(value)]

    def _resolve(self, reference: Any) -> Any:
        kind, number = reference
        return self.objects[number] if kind == "yours" else self._callback(number)

    def _callback(self, number: int) -> Callable[..., Any]:
        """A function that the tests passed: calling it asks them, and answers what they ask meanwhile."""

        def call(*arguments: Any) -> Any:
            self.pipes.send(["callback", number, [encode(value, self._refer) for value in arguments]])
            while True:
                message = self.pipes.receive()
                if message[0] == "returned":
                    return decode(message[1], self._resolve)
                if message[0] == "raised":
                    raise getattr(builtins, message[1])(message[2])
                self._answer(message)

        return call


def _builtin(kind: type[BaseException]) -> str:
    return next(base.__name__ for base in kind.__mro__ if getattr(builtins, base.__name__, None) is base)


def _description(error: BaseException, source: str = "") -> list[str]:
    """[name of its class, name of the built-in class that it is of, message]."""
    message = str(error)
    if source and not isinstance(error, SyntaxError):
        trace, line = error.__traceback__, 0
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "solution.py":
                line = trace.tb_lineno
            trace = trace.tb_next
        message += f" (line {line})" if line else ""
    return [type(error).__name__, _builtin(type(error)), message[:1000]]
