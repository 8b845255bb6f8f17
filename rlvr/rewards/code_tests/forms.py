"""Reads the supported formats of unit tests."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rlvr.rewards.code_tests import pure
from rlvr.rewards.code_tests.compiler import AsksNothing, Compiled, Refused, compile_test
from rlvr.rewards.code_tests.link import Failed, Iterator, Run, send
from rlvr.rewards.sandbox.wire import distinct
from rlvr.types import DataError


@dataclass(frozen=True)
class Script:
    """A script's standard input and expected output."""

    given: str
    expected: str


@dataclass(frozen=True)
class Beside:
    """A test that runs in the program's process: its source, and the function in it to call, if any."""

    source: str
    function: str | None


Test = Script | Compiled | Beside


def read_tests(tests: Any, entry_point: str | None, in_process: bool) -> list[Test]:
    """The tests in a column, in any of the formats that `code_reward` describes.

    Raises DataError for any other format, and unless `in_process` is set also for a test that cannot be
    evaluated outside of the program's process.
    """
    if hasattr(tests, "tolist"):  # a column of a Parquet file
        tests = tests.tolist()
    if isinstance(tests, str) and tests.lstrip().startswith(("[", "{")):
        with suppress(ValueError):  # otherwise it is Python code that begins with a bracket
            tests = json.loads(tests)
    if isinstance(tests, str):
        return _sources([tests], entry_point, in_process)
    if isinstance(tests, Mapping) and {"inputs", "outputs"} <= set(tests):
        inputs, outputs = list(tests["inputs"]), list(tests["outputs"])
        if len(inputs) != len(outputs):
            raise DataError(f"tests has {len(inputs)} inputs, but {len(outputs)} outputs")
        name = tests.get("fn_name") or tests.get("func_name")
        tests = [{"input": one, "output": other} for one, other in zip(inputs, outputs, strict=True)]
        if name and tests:
            return [_call(number, test, str(name)) for number, test in enumerate(tests, 1)]
    if isinstance(tests, Sequence) and tests:
        if all(isinstance(test, str) for test in tests):
            return _sources(tests, entry_point, in_process)
        if all(isinstance(test, Mapping) and {"input", "output"} <= set(test) for test in tests):
            return [_case(number, test, entry_point) for number, test in enumerate(tests, 1)]
    raise DataError(
        f"tests is {str(tests)[:80]!r}, but must be Python code, a list of such, a list of "
        '{"input": …, "output": …}, or {"inputs": […], "outputs": […]}'
    )


def _case(number: int, test: Mapping[str, Any], entry_point: str | None) -> Test:
    metadata = test.get("metadata")
    with suppress(TypeError, ValueError):
        metadata = json.loads(metadata)  # type: ignore[arg-type]
    if isinstance(metadata, Mapping) and metadata.get("func_name"):
        return _call(number, test, str(metadata["func_name"]))
    if entry_point is not None and test.get("testtype") == "functional":
        return _call(number, test, entry_point)
    if isinstance(test["input"], str) and isinstance(test["output"], str):
        return Script(test["input"], test["output"])
    if entry_point is not None:
        return _call(number, test, entry_point)
    raise DataError(
        f"test {number} is a call, since its input and output are no texts, but the function is not named: "
        "give fn_name beside the inputs, or the column with its name, as in columns: [entry_point]"
    )


def _call(number: int, test: Mapping[str, Any], name: str) -> Compiled:
    """A test that calls a function. Its arguments are a list, or a text with the JSON of one per line."""
    try:
        given, expected = test["input"], test["output"]
        if isinstance(given, str):
            given = [json.loads(line) for line in given.split("\n") if line.strip()]
        if isinstance(expected, str) and (
            isinstance(test["input"], str) or test.get("testtype") == "functional"
        ):
            expected = json.loads(expected)
    except ValueError as error:
        raise DataError(f"test {number} of {name} has an input or output that is no JSON: {error}") from None
    if hasattr(given, "tolist"):
        given = given.tolist()
    if not isinstance(given, list):
        raise DataError(f"test {number} of {name} has {given!r:.80} for its arguments, but must have a list")
    try:
        tree = ["call", [["name", name], [send(value) for value in given], {}]]
    except Failed as error:
        raise DataError(f"test {number} of {name}: {error}") from None
    wanted = [_as_json(expected)]
    if isinstance(expected, list) and len(expected) == 1:  # in APPS many outputs are a list of one
        wanted.append(_as_json(expected[0]))

    def run(run: Run) -> None:
        result, _ = run.link.ask(False, tree, [])
        if _as_json(result) not in wanted:
            raise Failed(f"AssertionError: it returned {_shown(result)}, but must return {expected!r:.100}")

    return Compiled(run, frozenset([name]))


def _as_json(value: Any) -> Any:
    """The value as in JSON: with lists for tuples, and texts for keys."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        keys = distinct(
            [key if isinstance(key, str) else json.dumps(_as_json(key), default=str) for key in value]
        )
        return dict(zip(keys, map(_as_json, value.values()), strict=True))
    return value


def _shown(value: Any) -> str:
    return "an iterator" if isinstance(value, Iterator) else f"{value!r:.100}"


def _sources(sources: Sequence[str], entry_point: str | None, in_process: bool) -> list[Test]:
    """The tests in pieces of Python: each function test_… of a piece, or the whole piece."""
    parsed: list[tuple[int, str, list[ast.stmt], str | None]] = []
    for number, source in enumerate(sources, 1):
        try:
            body = ast.parse(source).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise DataError(f"test {number} is no Python: {error}") from None
        functions: list[str | None] = [
            node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        ]
        parsed += [(number, source, body, name) for name in functions or [None]]
    own = frozenset([entry_point] if entry_point else [])
    try:
        return [_compiled(*each, entry_point, own, in_process) for each in parsed]
    except AsksNothing as error:
        name = _tested_builtin([body for _, _, body, _ in parsed])
        if name is None:
            raise DataError(f"test {error} asks nothing of the program") from None
    try:
        return [_compiled(*each, entry_point, own | {name}, in_process) for each in parsed]
    except AsksNothing as error:
        raise DataError(f"test {error} asks nothing of the program") from None


def _compiled(
    number: int, source: str, body: list[ast.stmt], function: str | None, entry_point: str | None,
    own: frozenset[str], in_process: bool,
) -> Test:  # fmt: skip
    try:
        return compile_test(body, function, entry_point, own)
    except AsksNothing:
        raise AsksNothing(f"{number}{f' ({function})' if function else ''}") from None
    except (Refused, RecursionError) as error:
        if in_process:
            return Beside(source, function)
        where = f"test {number}{f' ({function})' if function else ''}"
        raise DataError(
            f"{where} cannot be evaluated out of the program's reach: {str(error)[:300]}; rewrite it, or set "
            "in_process: true to run such tests beside the program, which can then fool them"
        ) from None


def _tested_builtin(bodies: Sequence[list[ast.stmt]]) -> str | None:
    """The builtin that all tests call first, if any: then the program defines a function of that name."""
    first: set[str | None] = set()
    for body in bodies:
        calls = [
            node
            for top in body
            for node in ast.walk(top)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        names = [call.func.id for call in calls if isinstance(call.func, ast.Name)]
        first.add(names[0] if names else None)
    name = first.pop() if len(first) == 1 else None
    return name if name in pure.BUILTINS else None


def names_asked(tests: Sequence[Test]) -> frozenset[str]:
    """The program's names that `tests` use; for tests in its process, every name that they call."""
    names: set[str] = set()
    for test in tests:
        if isinstance(test, Compiled):
            names |= test.names
        elif isinstance(test, Beside):
            calls = (node for node in ast.walk(ast.parse(test.source)) if isinstance(node, ast.Call))
            names |= {call.func.id for call in calls if isinstance(call.func, ast.Name)}
    return frozenset(names)
