"""The reward of a Python program that passes its unit tests, which run in a sandbox.

What is and is not prevented is in `rlvr.rewards.sandbox`.
"""

from __future__ import annotations

import ast
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rlvr.rewards.sandbox.run import Limits, Report, SandboxError, how_it_ended, run_script, run_tests
from rlvr.types import DataError, Status, Verdict

MAX_PROGRAM = 1 << 16  # characters
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([^\s`]*)[^\n]*$", re.MULTILINE)
_PYTHON = ("python", "py", "python3")
_LOOKS_LIKE_CODE = re.compile(
    r"(?:import|def|class|async def|for|while|if|with|try|print)\b|from [\w.]+ import\b|[@#]"
    r"|[\w, ]{1,80}=[^=]"
)


def code_reward(
    completion: str,
    tests: Any,
    entry_point: str | None = None,
    correct: float = 1.0,
    wrong: float = 0.0,
    partial: bool = False,
    cpu_seconds: int = 4,
    wall_seconds: float = 10.0,
    memory_mib: int = 1024,
    confine_reads: bool = True,
) -> Verdict:
    """`correct` when the completion's program passes all `tests`, else `wrong`.

    `partial` gives the share of tests passed instead, between `wrong` and `correct`. The program is what
    `extract_program` finds. `tests`, a column of the problems, is one of (or one of them as JSON text):

    - [{"input": "2 3\\n", "output": "5\\n"}, …] or {"inputs": […], "outputs": […]}: standard input and what
      must be printed, compared but for spaces at ends of lines and empty lines at the end;
    - ["assert add(2, 3) == 5", …]: each a piece of Python that fails by raising;
    - one piece of Python. The functions `test_…` that it defines are a test each; or it defines
      `check`, which is called with what the program calls `entry_point` (a column too); or it asserts.

    Tests in Python run in another process than the program, whose functions they call from there (see
    `rlvr.rewards.sandbox.checker`): exiting early, printing, patching and objects that equal everything pass
    no test. What is left: a program can tell what a test hands it, so a test that hands over the expected
    value, or compares by a helper of the program's, can be fooled.

    CPU time is counted for all tests together, and using it up is wrong, however busy the machine.
    Running past `wall_seconds` otherwise is a timeout; keep the service's deadline above it. A sandbox that
    cannot be made is crashed: no reward. Without Landlock in the kernel that takes `confine_reads: false`.

    Raises DataError for tests that are none of these, or that never use the program.
    """
    pairs, sources = read_tests(tests)
    program = extract_program(completion)
    if program is None:
        return Verdict(Status.UNPARSEABLE, wrong, "the completion has no Python code")
    if len(program) > MAX_PROGRAM:
        return Verdict(Status.WRONG, wrong, f"the program has {len(program)} characters, over {MAX_PROGRAM}")
    program = program.encode(errors="replace").decode()  # no lone surrogates
    limits = Limits(cpu_seconds, memory_mib, confine_reads)
    deadline = time.monotonic() + wall_seconds
    fault: str | None = None
    try:
        if pairs:
            reports = _run_pairs(program, pairs, limits, deadline)
        else:
            fault, reports = run_tests(program, sources, entry_point, limits, deadline)
    except (SandboxError, OSError) as error:
        return Verdict(Status.CRASHED, None, f"there is no sandbox: {error}", program)
    if fault is not None:
        return Verdict(
            Status.WRONG, wrong, f"the program does not load: {fault}", program, rule="no test run"
        )
    return _judge(reports, program, correct, wrong, partial)


def _judge(reports: Sequence[Report], program: str, correct: float, wrong: float, partial: bool) -> Verdict:
    outcomes = [report.outcome for report in reports]
    for number, report in enumerate(reports, 1):
        if report.outcome in ("unused", "unsendable"):
            raise DataError(f"test {number}: {report.reason}")
    passed = outcomes.count("passed")
    rule = f"{passed} of {len(reports)} tests passed"
    if passed == len(reports):
        return Verdict(Status.CORRECT, correct, rule, program, rule=rule)
    first = next(number for number, outcome in enumerate(outcomes) if outcome != "passed")
    reason = f"test {first + 1} of {len(reports)}: {reports[first].reason}"
    if "deadline" in outcomes:
        return Verdict(Status.TIMEOUT, None, reason, program, rule=rule)
    reward = wrong + (correct - wrong) * passed / len(reports) if partial else wrong
    return Verdict(Status.WRONG, reward, reason, program, rule=rule)


def extract_program(completion: str) -> str | None:
    """The last fenced block marked as Python after the last `</think>`; without one, the last unmarked block.

    A block that is never closed reaches to the end. A completion without any fence is the program
    itself if it begins like one. None when there is no code.
    """
    text = completion.rpartition("</think>")[2]
    blocks: list[tuple[str, str]] = []
    opening: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opening is None:
            opening = fence
        elif fence[1].startswith(opening[1]) and not fence[2]:
            blocks.append((opening[2].lower(), text[opening.end() + 1 : fence.start()]))
            opening = None
    if opening is not None:
        blocks.append((opening[2].lower(), text[opening.end() + 1 :]))
    marked = [block for language, block in blocks if language in _PYTHON]
    plain = [block for language, block in blocks if not language]
    if marked or plain:
        return (marked or plain)[-1]
    return text.strip() if not blocks and _LOOKS_LIKE_CODE.match(text.strip()) else None


def read_tests(tests: Any) -> tuple[list[tuple[str, str]], list[tuple[str, str | None]]]:
    """(input, output) pairs, or (source, name of the function to call) pairs; one of both is empty.

    Raises DataError when `tests` has none of the forms that `code_reward` names.
    """
    if hasattr(tests, "tolist"):  # a column of a Parquet file
        tests = tests.tolist()
    if isinstance(tests, str) and tests.lstrip().startswith(("[", "{")):
        with suppress(ValueError):  # or it is Python that begins with a bracket
            tests = json.loads(tests)
    if isinstance(tests, str):
        return [], _functions(tests)
    if isinstance(tests, Mapping) and {"inputs", "outputs"} <= set(tests):
        inputs, outputs = list(tests["inputs"]), list(tests["outputs"])
        if len(inputs) != len(outputs):
            raise DataError(f"tests has {len(inputs)} inputs, but {len(outputs)} outputs")
        tests = [{"input": one, "output": other} for one, other in zip(inputs, outputs, strict=True)]
    if isinstance(tests, Sequence) and tests:
        if all(isinstance(test, str) for test in tests):
            return [], [pair for test in tests for pair in _functions(test)]
        if all(isinstance(test, Mapping) and {"input", "output"} <= set(test) for test in tests):
            pairs = [(test["input"], test["output"]) for test in tests]
            if all(isinstance(text, str) for pair in pairs for text in pair):
                return pairs, []
    raise DataError(
        f"tests is {str(tests)[:80]!r}, but must be Python code, a list of such, a list of "
        '{"input": text, "output": text}, or {"inputs": […], "outputs": […]}'
    )


def _functions(source: str) -> list[tuple[str, str | None]]:
    """The tests in `source`: its functions test_… without parameters, or itself."""
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError) as error:
        raise DataError(f"a test is no Python: {error}") from error
    named = [
        node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    return [(source, name) for name in named] or [(source, None)]


def _run_pairs(
    program: str, pairs: Sequence[tuple[str, str]], limits: Limits, deadline: float
) -> list[Report]:
    """A process for each input. The limit of CPU time is for all of them together."""
    reports: list[Report] = []
    left = float(limits.cpu_seconds)
    for given, expected in pairs:
        if left <= 0:
            reports.append(Report("cpu", "there was no CPU time left"))
            continue
        rest = Limits(math.ceil(left), limits.memory_mib, limits.confine_reads)
        outcome = run_script(program, given, rest, deadline)
        left -= outcome.cpu
        if outcome.ending == "deadline":
            reports += [Report("deadline", "the program was still running")] * (len(pairs) - len(reports))
            return reports
        if outcome.ending == "output":
            reports.append(Report("failed", "the program printed too much"))
        elif outcome.ending != "exit" or outcome.code != 0:
            last = outcome.errors.strip().rpartition("\n")[2]
            reports.append(Report("failed", last[:300] or f"the program {how_it_ended(outcome)}"))
        else:
            reports.append(_compare(outcome.output.decode(errors="replace"), expected))
    return reports


def _compare(printed: str, expected: str) -> Report:
    lines, wanted = ([line.rstrip() for line in text.rstrip().split("\n")] for text in (printed, expected))
    if lines == wanted:
        return Report("passed", "")
    for number, (line, want) in enumerate(zip(lines, wanted, strict=False), 1):
        if line != want:
            return Report("failed", f"line {number} is {line[:80]!r}, but must be {want[:80]!r}")
    return Report("failed", f"{len(lines)} lines were printed, but must be {len(wanted)}")
