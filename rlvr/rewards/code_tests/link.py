"""Requests of tests to a program, and the values that it returns."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rlvr.rewards.sandbox.run import Clock, Session
from rlvr.rewards.sandbox.wire import NotPlain, WireError, encode, received

MAX_ITEMS = 100_000  # most items of an iterator that the program returned


class Failed(Exception):
    """The test failed. The message says why."""


class Raised(Exception):
    """The program raised an exception: the names of its class and base classes, and its message."""

    def __init__(self, names: list[str], message: str) -> None:
        super().__init__(f"{names[0]}: {message}" if message else names[0])
        self.names, self.message = names, message


class Kept:
    """An object in the program's process. A test can only pass it back to the program."""

    def __init__(self, number: int) -> None:
        self.number = number


class Iterator:
    """An iterator in the program's process, from where its items are fetched."""

    def __init__(self, link: Link, number: int) -> None:
        self.link, self.number = link, number

    def take(self, count: int) -> list[Any]:
        """The next items, at most `count`."""
        kind, content = self.link.reply(["take", [self.number, count]])
        items, _ = content
        if kind != "items" or not isinstance(items, list) or len(items) > count:
            raise Failed("the program sent what is no value")
        return [received(item) for item in items]

    def rest(self) -> list[Any]:
        items = self.take(MAX_ITEMS + 1)
        if len(items) > MAX_ITEMS:
            raise Failed(f"what the program returned goes on after {MAX_ITEMS} items")
        return items


class Link:
    """Sends requests to a program. Methods raise Raised, Failed, and the exceptions of `Session.request`."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def reply(self, request: Any) -> tuple[str, Any]:
        try:
            kind, content = self.session.request(request)
            if kind == "raised":
                names, message = content
                raise Raised([str(name) for name in names], str(message))
            if kind == "not plain":
                raise Failed(f"the program returned {content}")
            return str(kind), content
        except NotPlain as error:
            raise Failed(f"the test hands the program {error}") from None
        except (TypeError, ValueError, IndexError) as error:  # not a valid reply
            raise Failed(f"the program sent what is no value: {error}") from None

    def ask(self, keep: bool, tree: Any, shared: list[Any]) -> tuple[Any, list[Any]]:
        """Evaluate a tree: its value, kept there or as a plain value, and the new values of `shared`."""
        kind, content = self.reply(["keep" if keep else "value", [tree, [send(value) for value in shared]]])
        try:
            result, changes = content
            after = [received(change) for change in changes]
            if len(after) != len(shared):
                raise Failed("the program sent what is no value")
            if kind == "kept":
                return Kept(int(result)), after
            return (Iterator(self, int(result)) if kind == "iterator" else received(result)), after
        except (TypeError, ValueError) as error:
            raise Failed(f"the program sent what is no value: {error}") from None
        except WireError as error:
            raise Failed(f"the program returned {error}") from None


def send(value: Any) -> Any:
    """A value of a test as data. Raises Failed if it cannot be sent."""
    try:
        return encode(value, _handed_back)
    except NotPlain as error:
        raise Failed(f"the test hands the program {error}") from None


def _handed_back(value: Any) -> Any:
    if isinstance(value, Kept | Iterator):
        return ["kept", value.number]
    raise NotPlain(f"a {type(value).__name__}")


class Run:
    """The state of a running test.

    Results are compared with the values that arguments had before the program changed them in place
    (`before`): otherwise emptying `x` would pass `assert sort(x) == sorted(x)`.
    """

    def __init__(self, link: Link, clock: Clock) -> None:
        self.link, self.clock = link, clock
        self.before = False
        self.originals: dict[
            int, tuple[Any, Any]
        ] = {}  # id of a changed value → the value, its original content

    def step(self) -> None:
        """Check the time limit. To be called wherever the work depends on return values of the program."""
        if self.clock.left() <= 0:
            raise Failed("it takes too long to check what the program returned")

    def change(self, value: Any, new: Any) -> None:
        """Apply the program's in-place change to `value`, an argument that it was given."""
        if new is None or type(new) is not type(value):
            return
        self.originals.setdefault(id(value), (value, copy.deepcopy(value)))
        if isinstance(value, list | bytearray):
            value[:] = new
        elif isinstance(value, dict | set):
            value.clear()
            value.update(new)

    def original(self, value: Any) -> Any:
        """`value` as it was before the program changed it or its items."""
        if id(value) in self.originals:
            return self.originals[id(value)][1]
        if type(value) in (list, tuple):
            return type(value)(self.original(item) for item in value)
        if type(value) is dict:
            return {key: self.original(item) for key, item in value.items()}
        return value


@dataclass
class Frame:
    """The variables of a test, or of a function in it."""

    run: Run
    outer: Frame | None = None
    names: dict[str, Any] = field(default_factory=dict)
    original: dict[str, Any] = field(default_factory=dict)  # their values without the program's changes

    def read(self, name: str) -> Any:
        frame: Frame | None = self
        while frame is not None:
            if name in frame.names:
                if self.run.before and self.run.originals:
                    return frame.original.get(name, self.run.original(frame.names[name]))
                return frame.names[name]
            frame = frame.outer
        raise Failed(f"NameError: {name} has no value")

    def write(self, name: str, value: Any) -> None:
        self.names[name] = value
        self.original.pop(name, None)


Code = Callable[[Frame], Any]
