"""The reward for a Python program that passes its unit tests, which run in a sandbox.

What is and is not prevented is in `rlvr.rewards.sandbox`;
how tests are evaluated in `rlvr.rewards.code_tests`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlvr.rewards.code_tests.blocks import extract_program
from rlvr.rewards.code_tests.compiler import Compiled
from rlvr.rewards.code_tests.forms import Beside, Script, Test, names_asked, read_tests
from rlvr.rewards.code_tests.link import Failed, Link, Raised, Run
from rlvr.rewards.data_checks import with_data_check
from rlvr.rewards.sandbox.run import (
    Clock,
    Ended,
    Limits,
    Outcome,
    SandboxError,
    Session,
    Starved,
    folder_of,
    how_it_ended,
    run_script,
)
from rlvr.rewards.sandbox.wire import WireError
from rlvr.types import DataError, Status, Verdict
from rlvr.verify.thoughts import MARKS, Marks

MAX_PROGRAM = 1 << 16  # characters


@dataclass(frozen=True)
class Report:
    """The result of one test: why it failed, or None if it passed."""

    failure: str | None = None


def check_code_tests(
    tests: Any, entry_point: str | None = None, in_process: bool = False, modules: Sequence[str] = ()
) -> None:
    """Raise DataError for tests that `code_reward` does not accept, or modules that are not installed."""
    try:
        for module in modules:
            folder_of(module)
    except SandboxError as error:
        raise DataError(str(error)) from None
    read_tests(tests, entry_point, in_process)


@with_data_check(check_code_tests)
def code_reward(
    completion: str,
    tests: Any,
    entry_point: str | None = None,
    thoughts: Marks = MARKS,
    correct: float = 1.0,
    wrong: float = 0.0,
    partial: bool = False,
    cpu_seconds: int = 4,
    wall_seconds: float = 4.0,
    memory_mib: int = 1024,
    confine_reads: bool = True,
    modules: Sequence[str] = (),
    in_process: bool = False,
) -> Verdict:
    """`correct` when the completion's program passes all `tests`, else `wrong`.

    With `partial` the value is between `wrong` and `correct`, in proportion to the tests passed. The program
    is found by `extract_program`. `tests`, a column of the problems, is one of (or one of them as JSON text):

    - [{"input": "2 3\\n", "output": "5\\n"}, …] or {"inputs": […], "outputs": […]}: standard input and what
      must be printed, ignoring spaces at ends of lines and empty lines at the end;
    - the same with "fn_name": arguments (a list, or a text with the JSON of one on each line) and the value
      that a function, or a method of the class `Solution`, must return for them; compared as JSON, which has
      no tuples;
    - ["assert add(2, 3) == 5", …]: each a piece of Python that fails by raising;
    - one piece of Python. The functions `test_…` that it defines are a test each; or it defines
      `check`, which is called with what the program calls `entry_point` (a column too); or it asserts.

    Tests in Python are evaluated here and not in the program's process, which only computes the values of
    calls and never gets the expected results. This supports a subset of Python (`rlvr.rewards.code_tests`).
    Other tests raise DataError, unless `in_process` is set: then they run in the program's process, which
    can manipulate them. Values are compared as in Python: 1 equals 1.0 and True, [1] does not equal (1,).
    For values of other types see `rlvr.rewards.sandbox.wire`.

    `modules` are packages besides the standard library that programs may import, such as [numpy].

    CPU time and `wall_seconds` are for all tests together, including the start of a process (0.03 s) for
    each input of a script, and after each test that the program does not survive. A program that exceeds
    either is wrong, also on a busy machine: the clock is stopped while the program waits for a core.
    `wall_seconds` must be a second below the service's deadline. If the sandbox cannot be created, the
    verdict is crashed, without a reward. On a kernel without Landlock, set `confine_reads: false`; then
    programs can read the files of this user, which may include the tests.
    """
    read = read_tests(tests, entry_point, in_process)
    program = extract_program(completion, names_asked(read), thoughts)
    if program is None:
        return Verdict(Status.UNPARSEABLE, wrong, "the completion has no Python code")
    if len(program) > MAX_PROGRAM:
        return Verdict(Status.WRONG, wrong, f"the program has {len(program)} characters, over {MAX_PROGRAM}")
    program = program.encode(errors="replace").decode()  # no lone surrogates
    limits = Limits(cpu_seconds, memory_mib, confine_reads, tuple(modules))
    tested = _Tested(program, entry_point, limits, Clock(wall_seconds))
    try:
        reports = [tested.test(test) for test in read]
    except (SandboxError, OSError) as error:
        return Verdict(Status.CRASHED, None, f"there is no sandbox: {error}", program)
    except Starved as error:
        return Verdict(Status.TIMEOUT, None, str(error), program)
    finally:
        tested.close()
    return _judge(reports, program, tested.fault, correct, wrong, partial)


def _judge(
    reports: Sequence[Report], program: str, fault: str | None, correct: float, wrong: float, partial: bool
) -> Verdict:
    passed = sum(report.failure is None for report in reports)
    rule = f"{passed} of {len(reports)} tests passed"
    if passed == len(reports):
        return Verdict(Status.CORRECT, correct, rule, program, rule=rule)
    number, failure = next(
        (number, report.failure) for number, report in enumerate(reports, 1) if report.failure is not None
    )
    if fault is not None and passed == 0:
        reason = f"the program does not load: {fault}"
    else:
        reason = f"test {number} of {len(reports)}: {failure}"
    reward = wrong + (correct - wrong) * passed / len(reports) if partial else wrong
    return Verdict(Status.WRONG, reward, _readable(reason), program, rule=rule)


def _readable(text: str) -> str:
    """The text without lone surrogates, which cannot be encoded."""
    return text.encode(errors="replace").decode()


class _Tested:
    """A program under test. It is restarted after a test that its process does not survive.

    All methods may raise SandboxError, OSError and Starved; `fault` is why the program could not be loaded.
    """

    def __init__(self, program: str, entry_point: str | None, limits: Limits, clock: Clock) -> None:
        self.program, self.entry_point, self.limits, self.clock = program, entry_point, limits, clock
        self.cpu_left = float(limits.cpu_seconds)
        self.session: Session | None = None
        self.fault: str | None = None

    def test(self, test: Test) -> Report:
        if self.fault is not None:
            return Report(self.fault)
        if self.cpu_left <= 0:
            return Report("there was no CPU time left")
        if self.clock.left() <= 0:
            return Report(f"the program ran past its time limit of {self.clock.seconds:g} s")
        try:
            if isinstance(test, Script):
                return self._script(test)
            session = self._loaded()
            if session is None:
                return Report(self.fault)
            if isinstance(test, Compiled):
                test.run(Run(Link(session), self.clock))
            else:
                self._beside(test, session)
            return Report()
        except Ended as ended:
            self.close()
            return Report(f"the program {self._how(ended.outcome)} during the test")
        except (Failed, Raised, WireError) as error:
            return Report(str(error)[:1000])
        # raised by Python's operators and functions for a value of a type that the test does not expect
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
            return Report(f"{type(error).__name__}: {error}"[:1000])

    def close(self) -> None:
        if self.session is not None:
            self.cpu_left -= max(self.session.close().cpu, 0.01)
            self.session = None

    def _how(self, outcome: Outcome) -> str:
        limit = f" of {self.clock.seconds:g} s" if outcome.ending == "time" else ""
        return how_it_ended(outcome) + limit

    def _limits(self) -> Limits:
        return replace(self.limits, cpu_seconds=math.ceil(self.cpu_left))

    def _loaded(self) -> Session | None:
        if self.session is None:
            try:
                self.session = Session(self.program, self._limits(), self.clock)
            except Ended as ended:
                self.fault = f"the program {self._how(ended.outcome)} before the tests"
                return None
            self.fault = self.session.rejected
        return None if self.fault is not None else self.session

    def _beside(self, test: Beside, session: Session) -> None:
        kind, _ = Link(session).reply(["beside", [test.source, test.function, self.entry_point]])
        if kind != "passed":
            raise Failed("the program sent what is no value")

    def _script(self, test: Script) -> Report:
        """Run one process for this input. The limit of CPU time is for all inputs together."""
        outcome = run_script(self.program, test.given, self._limits(), self.clock)
        self.cpu_left -= outcome.cpu
        if outcome.ending == "output":
            return Report("the program printed too much")
        if outcome.ending == "time":
            return Report(f"the program {self._how(outcome)}")
        if outcome.ending != "exit" or outcome.code != 0:
            last = outcome.errors.strip().rpartition("\n")[2] if outcome.ending != "cpu" else ""
            return Report(last[:300] or f"the program {how_it_ended(outcome)}")
        return _compare(outcome.output.decode(errors="replace"), test.expected)


def _compare(printed: str, expected: str) -> Report:
    lines, wanted = ([line.rstrip() for line in text.rstrip().split("\n")] for text in (printed, expected))
    if lines == wanted:
        return Report()
    for number, (line, want) in enumerate(zip(lines, wanted, strict=False), 1):
        if line != want:
            return Report(f"line {number} is {line[:80]!r}, but must be {want[:80]!r}")
    return Report(f"{len(lines)} lines were printed, but must be {len(wanted)}")
