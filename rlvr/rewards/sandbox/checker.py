"""The tests' side: test code runs here, and everything of the program's is asked of its process.

So the program never sees an expected value, and cannot touch the interpreter that compares. An
object of the program's own that is no plain data (`Remote`) equals no plain value, whatever its
`__eq__` says; only two of them are compared by the program.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
import sys
import types

from rlvr.rewards.sandbox.wire import Pipes, WireError, decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class ProgramEnded(BaseException):
    """The program's process is gone, so nothing more can be asked of it."""


class Unsendable(BaseException):
    """A test hands the program what cannot be sent: a fault of the tests."""


class Link:
    """Requests to the program. `requests` counts them."""

    def __init__(self, pipes: Pipes) -> None:
        self.pipes = pipes
        self.requests = 0
        self.callbacks: list[Callable[..., Any]] = []
        self.exceptions: dict[str, type[BaseException]] = {}

    def receive(self) -> Any:
        try:
            return self.pipes.receive()
        except EOFError:
            raise ProgramEnded("the program ended") from None

    def send(self, message: Any) -> None:
        try:
            self.pipes.send(message)
        except BrokenPipeError:
            raise ProgramEnded("the program ended") from None

    def request(self, operation: str, target: Remote, *arguments: Any, **keywords: Any) -> Any:
        """What the program's process finds. Raises what the program raised."""
        self.requests += 1
        given = [encode(value, self._refer) for value in arguments]
        named = {name: encode(value, self._refer) for name, value in keywords.items()}
        self.send([operation, target._number, given, named])
        while True:
            kind, *content = self.receive()
            if kind == "callback":
                self._call_back(*content)
            elif kind == "error":
                self._raise(*content)
            else:
                value, changes = content
                for argument, change in zip(arguments, changes, strict=True):
                    _update(argument, decode(change, self.resolve))
                return decode(value, self.resolve)

    def _call_back(self, number: int, arguments: Sequence[Any]) -> None:
        try:
            result = self.callbacks[number](*(decode(argument, self.resolve) for argument in arguments))
            reply = ["returned", encode(result, self._refer)]
        except Exception as error:  # noqa: BLE001 - it is raised again where the program called
            name = type(error).__name__
            reply = ["raised", name if hasattr(builtins, name) else "RuntimeError", str(error)[:1000]]
        self.send(reply)

    def _raise(self, name: str, base: str, message: str) -> None:
        kind = self.exceptions.get(name) or self.exception(name, base)
        try:
            error = kind(message)
        except TypeError:  # UnicodeEncodeError and its like want more than a message
            error = type(name, (_Own, kind), {})(message)
        raise error

    def exception(self, name: str, base: str) -> type[BaseException]:
        """A class for the program's exceptions of this name; a built-in one is itself."""
        known = getattr(builtins, str(base), Exception)
        if not (isinstance(known, type) and issubclass(known, BaseException)):
            known = Exception
        if name != base:
            known = self.exceptions[name] = type(str(name), (_Own, known), {})
        return known

    def _refer(self, value: Any) -> Any:
        if isinstance(value, Remote):
            return ["yours", value._number]
        if not callable(value) or isinstance(value, type):
            raise Unsendable(f"a test hands the program a {type(value).__name__}, which cannot be sent")
        self.callbacks.append(value)
        return ["callback", len(self.callbacks) - 1]

    def resolve(self, reference: Any) -> Remote:
        number, can_be_called = reference
        return (RemoteCallable if can_be_called else Remote)(self, int(number))


class _Own(Exception):
    """So that any message does as the argument of a class whose built-in base wants more."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)

    def __str__(self) -> str:
        return str(self.args[0])


def _update(mine: Any, theirs: Any) -> None:
    """Make a list, dict, set or bytearray of the test's what the program made of its copy."""
    if theirs is None or type(mine) is not type(theirs):
        return
    if isinstance(mine, list | bytearray):
        mine[:] = theirs
    elif isinstance(mine, dict | set):
        mine.clear()
        mine.update(theirs)


class Remote:
    """An object of the program's."""

    _link: Link
    _number: int

    def __init__(self, link: Link, number: int) -> None:
        object.__setattr__(self, "_link", link)
        object.__setattr__(self, "_number", number)

    def __getattr__(self, name: str) -> Any:
        return self._link.request("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.request("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._link.request("delattr", self, name)

    def __getitem__(self, key: Any) -> Any:
        return self._link.request("getitem", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._link.request("setitem", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self._link.request("delitem", self, key)

    def __iter__(self) -> Any:
        return self._link.request("iter", self)

    def __next__(self) -> Any:
        return self._link.request("next", self)

    def __reversed__(self) -> Any:
        return self._link.request("reversed", self)

    def __len__(self) -> int:
        return int(self._link.request("len", self))

    def __bool__(self) -> bool:
        return bool(self._link.request("bool", self))

    def __str__(self) -> str:
        return str(self._link.request("str", self))

    def __repr__(self) -> str:
        return str(self._link.request("repr", self))

    def __hash__(self) -> int:
        return 0  # equality is the program's to decide

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, Remote) and bool(self._link.request("isinstance", instance, self))

    def __subclasscheck__(self, kind: Any) -> bool:
        return isinstance(kind, Remote) and bool(self._link.request("issubclass", kind, self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Remote) and self._link.request("eq", self, other) is True


class RemoteCallable(Remote):
    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._link.request("call", self, *arguments, **keywords)


def _comparison(name: str) -> Callable[[Remote, Any], Any]:
    def compare(self: Remote, other: Any) -> Any:
        return self._link.request(name, self, other) if isinstance(other, Remote) else NotImplemented

    return compare


def _arithmetic(name: str) -> Callable[[Remote, Any], Any]:
    def compute(self: Remote, other: Any) -> Any:
        result = self._link.request(name, self, other)
        # `abs(f(x) - 2.5) < 1e-9` tells the program the 2.5: plain data is not taken for an answer to it
        return result if isinstance(other, Remote) or isinstance(result, Remote) else NotImplemented

    return compute


for _name in ("lt", "le", "gt", "ge"):
    setattr(Remote, f"__{_name}__", _comparison(_name))
for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "matmul"):
    setattr(Remote, f"__{_name.rstrip('_')}__", _arithmetic(_name))


class Checker:
    """Runs tests against a program and reports: `report` is called with one JSON value for each."""

    def __init__(self, pipes: Pipes, entry_point: str | None, report: Callable[[Any], None]) -> None:
        self.link, self.entry_point, self.report = Link(pipes), entry_point, report
        self.names: dict[str, Any] = {}

    def load(self, program: str) -> None:
        """Have the program run, and make stand-ins for its names. ProgramEnded if it ends instead."""
        self.link.send(program)
        kind, *content = self.link.receive()
        if kind == "error":
            self.link._raise(*content)
        for what, name, value in content[0]:
            if what == "module" and value.partition(".")[0] in sys.stdlib_module_names:
                self.names[name] = importlib.import_module(value)
            elif what == "exception":
                self.names[name] = self.link.exception(*value)
            elif what == "value" and (name == self.entry_point or not hasattr(builtins, name)):
                self.names[name] = decode(value, self.link.resolve)
        module = types.ModuleType("solution")
        module.__dict__.update(self.names)
        sys.modules["solution"] = module

    def run(self, number: int, source: str, function: str | None) -> bool:
        """Report [number, "passed" | "failed" | "unused" | "unsendable" | "ended", reason].

        False when the program has ended, so that there is nothing left to test.
        """
        before = self.link.requests
        outcome, reason = "passed", ""
        try:
            names = {**self.names, "__name__": "tests"}
            exec(compile(source, "tests", "exec"), names)
            if function is not None:
                names[function]()
            elif self.entry_point is not None and "check" in names:
                names["check"](names[self.entry_point])
        except ProgramEnded as error:
            outcome, reason = "ended", str(error)
        except Unsendable as error:
            outcome, reason = "unsendable", str(error)
        except WireError as error:
            outcome, reason = "failed", str(error)
        except BaseException as error:  # noqa: BLE001 - a failed test may raise whatever the program chose
            outcome, reason = "failed", describe(error)
        if outcome == "passed" and self.link.requests == before:
            outcome, reason = "unused", "the test asks nothing of the program"
        self.report([number, outcome, reason[:1000]])
        return outcome != "ended"


def describe(error: BaseException) -> str:
    message = str(error) if not isinstance(error, Remote) else ""
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def check(job: bytes, pipes: Pipes, reports: int) -> None:
    """Report lines of JSON, then one for each test.

    ["loaded"] | ["unloaded", why] | ["ended"] | ["no program"]: it was never there.
    """

    def report(line: Any) -> None:
        data = memoryview(json.dumps(line).encode() + b"\n")
        while data:
            data = data[os.write(reports, data) :]

    todo = json.loads(job)
    checker = Checker(pipes, todo["entry_point"], report)
    try:
        checker.link.receive()
    except ProgramEnded:
        report(["no program"])
        return
    try:
        checker.load(todo["program"])
    except ProgramEnded:
        report(["ended"])
        return
    except BaseException as error:  # noqa: BLE001 - what the program raised, or nonsense that it sent
        report(["unloaded", describe(error)])
        return
    report(["loaded"])
    for number, source, function in todo["tests"]:
        if not checker.run(number, source, function):
            return
