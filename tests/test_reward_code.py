"""Programs that a model wrote: what passes, what cannot be fooled, and what cannot be reached."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.rewards.code import code_reward, extract_program, read_tests
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.sandbox import jail, wire
from rlvr.rewards.sandbox.run import Limits, Outcome, run_script
from rlvr.rewards.service import RewardService
from rlvr.types import DataError, FinishReason, Problem, Rollout, Status

LIMITS = Limits(cpu_seconds=1, memory_mib=512, confine_reads=True)


def fenced(code: str) -> str:
    return f"Here it is:\n```python\n{textwrap.dedent(code)}\n```\nThat is all."


def script(code: str, stdin: str = "", limits: Limits = LIMITS, seconds: float = 5.0) -> Outcome:
    return run_script(textwrap.dedent(code), stdin, limits, time.monotonic() + seconds)


ADD = fenced("def add(a, b):\n    return a + b")
ADD_TESTS = ["assert add(2, 3) == 5", "assert add('a', 'b') == 'ab'", "assert add([1], [2]) == [1, 2]"]


class TestExtraction:
    @pytest.mark.parametrize(
        ("completion", "program"),
        [
            ("```python\nx = 1\n```", "x = 1\n"),
            ("```py\nold()\n```\nno:\n```python\nnew()\n```", "new()\n"),
            ("```\nplain()\n```", "plain()\n"),
            ("```python\ncode()\n```\nprints\n```\n5\n```", "code()\n"),
            ("```python\ncode()\n```\n```text\n5\n```", "code()\n"),
            ("```python\ncut(", "cut("),
            ("<think>```python\ndraft()\n```</think>```python\nfinal()\n```", "final()\n"),
            ("def f():\n    return 1\n", "def f():\n    return 1"),
            ("from math import pi\nprint(pi)", "from math import pi\nprint(pi)"),
            ("n = int(input())", "n = int(input())"),
            ("~~~python\nx = '```'\n~~~", "x = '```'\n"),
            ("From the problem we see that it is 5.", None),
            ("```json\n{}\n```", None),
            ("<think>```python\ndraft()\n```</think>I do not know.", None),
            ("", None),
        ],
    )
    def test_program(self, completion: str, program: str | None) -> None:
        assert extract_program(completion) == program

    @given(st.text(alphabet="`~ \n\tpython=x(", max_size=400))
    def test_any_text(self, completion: str) -> None:
        program = extract_program(completion)
        assert program is None or program in completion


class TestForms:
    PAIRS = (("1\n", "2\n"), ("2", "3"))

    @pytest.mark.parametrize(
        "tests",
        [
            [{"input": "1\n", "output": "2\n"}, {"input": "2", "output": "3"}],
            {"inputs": ["1\n", "2"], "outputs": ["2\n", "3"]},
            json.dumps({"inputs": ["1\n", "2"], "outputs": ["2\n", "3"]}),
            np.array([{"input": "1\n", "output": "2\n"}, {"input": "2", "output": "3"}]),
        ],
    )
    def test_pairs(self, tests: Any) -> None:
        assert read_tests(tests) == (list(self.PAIRS), [])

    def test_sources(self) -> None:
        source = "def test_a():\n    assert f(1)\ndef test_b():\n    assert f(2)"
        assert read_tests(source) == ([], [(source, "test_a"), (source, "test_b")])
        assert read_tests(["assert f(1)"]) == ([], [("assert f(1)", None)])
        assert read_tests("[f(x) for x in y]")[1] == [("[f(x) for x in y]", None)]

    @pytest.mark.parametrize(
        "tests",
        [[], 5, None, [1], ["assert ("], {"inputs": [""], "outputs": []}, [{"input": 1, "output": 2}]],
    )
    def test_others_are_named(self, tests: Any) -> None:
        with pytest.raises(DataError, match="test"):
            read_tests(tests)

    def test_a_test_that_uses_nothing_is_a_fault_of_the_data(self) -> None:
        with pytest.raises(DataError, match="test 1: the test asks nothing"):
            code_reward(ADD, "def unused():\n    assert add(1, 1) == 3")
        with pytest.raises(DataError, match="test 1: a test hands the program a Node"):
            code_reward(ADD, "class Node: pass\nassert add(Node(), 1)")


class TestAssertions:
    def test_all_pass(self) -> None:
        verdict = code_reward(ADD, ADD_TESTS)
        assert (verdict.status, verdict.reward, verdict.rule) == (Status.CORRECT, 1.0, "3 of 3 tests passed")

    def test_first_failure_is_named_and_partial_credit_is_the_share(self) -> None:
        wrong = fenced("def add(a, b):\n    if a == 2: return 5\n    return b + a")
        verdict = code_reward(wrong, ADD_TESTS, correct=1.0, wrong=-1.0)
        assert (verdict.status, verdict.reward) == (Status.WRONG, -1.0)
        assert verdict.reason == "test 2 of 3: AssertionError"
        partial = code_reward(wrong, ADD_TESTS, correct=1.0, wrong=-1.0, partial=True)
        assert partial.reward == pytest.approx(-1 + 2 / 3)

    def test_whole_sources(self) -> None:
        check = "def check(candidate):\n    for n in range(20):\n        assert candidate(n, n) == 2 * n"
        assert code_reward(ADD, check, "add").status is Status.CORRECT
        cases = (
            "from solution import add\n"
            "def test_one():\n    assert add(1, 1) == 2\n"
            "def test_two():\n    assert add(1, 1) == 3"
        )
        verdict = code_reward(ADD, cases)
        assert verdict.rule == "1 of 2 tests passed"
        assert code_reward(fenced("def sub(a, b): return 0"), check, "add").status is Status.WRONG

    def test_objects_exceptions_callbacks_and_changes_in_place(self) -> None:
        program = fenced("""
            import math
            from fractions import Fraction
            class Full(ValueError):
                pass
            class Stack:
                def __init__(self, most): self.items, self.most = [], most
                def push(self, item):
                    if len(self.items) == self.most:
                        raise Full(f"{self.most} items")
                    self.items.append(item)
                def __len__(self): return len(self.items)
                def __eq__(self, other): return self.items == other.items
                def __add__(self, other):
                    both = Stack(9)
                    both.items = self.items + getattr(other, "items", [other])
                    return both
            def sort(items): items.sort()
            def rows(m): m[0], m[1] = m[1], m[0]
            def count():
                n = 0
                while True:
                    yield n
                    n += 1
            def twice(f, x): return f(f(x))
            def half(x): return Fraction(x, 2)
            def big(): return 10 ** 5000
            def fail(): raise KeyError("x")
        """)
        tests = """
            import itertools
            s = Stack(2); s.push(1)
            assert len(s) == 1 and s.items == [1] and isinstance(s, Stack) and not isinstance(3, Stack)
            s.push(2)
            try:
                s.push(3)
                assert False
            except Full as error:
                assert str(error) == "2 items" and isinstance(error, ValueError)
            t = Stack(2); t.push(1)
            assert s != t and t + 2 == s and t + t != s
            a = [3, 1, 2]; sort(a); assert a == [1, 2, 3]
            m = [[1], [2]]; rows(m); assert m == [[2], [1]]
            assert list(itertools.islice(count(), 3)) == [0, 1, 2]
            assert twice(lambda x: x * 3, 2) == 18
            assert half(1) + half(1) == 1
            assert big() == 10 ** 5000
            assert math.sqrt(4) == 2
            try:
                fail()
                assert False
            except KeyError:
                pass
        """
        verdict = code_reward(program, textwrap.dedent(tests))
        assert verdict.status is Status.CORRECT, verdict.reason

    @pytest.mark.parametrize(
        ("program", "reason"),
        [
            ("def f(x)\n    return x", "does not load: SyntaxError: expected ':'"),
            ("import numpy", "does not load: ModuleNotFoundError"),
            ("y = 1\n1 / 0", r"ZeroDivisionError: division by zero \(line 2\)"),
            ("def g(x): return x", "NameError: name 'f' is not defined"),
            ("def f(x): return f(x)", "RecursionError"),
            ("def f(x): return 'x' * 10 ** 10", "MemoryError"),
            ("while True: pass", "the program ran out of CPU time before the tests"),
            ("import os\nos._exit(0)", "the program exited with status 0 before the tests"),
        ],
    )
    def test_reasons(self, program: str, reason: str) -> None:
        verdict = code_reward(fenced(program), ["assert f(1) == 2"], cpu_seconds=1)
        assert verdict.status is Status.WRONG
        assert re.search(reason, verdict.reason)

    def test_a_program_that_dies_in_one_test_is_there_for_the_next(self) -> None:
        program = fenced("import os\ndef f(x):\n    if x == 1: os._exit(7)\n    return x")
        verdict = code_reward(
            program, ["assert f(0) == 0", "assert f(1) == 1", "assert f(2) == 2"], partial=True
        )
        assert verdict.reward == pytest.approx(2 / 3)
        assert verdict.reason == "test 2 of 3: the program exited with status 7 during the test"


HACKS = {
    "exits": "import sys\nsys.exit(0)",
    "exits at once": "import os\nos._exit(0)",
    "exits when asked": "import os\ndef f(x): os._exit(0)",
    "raises SystemExit when asked": "def f(x): raise SystemExit(0)",
    "prints": "print('1 of 1 tests passed'); print('OK')\ndef f(x): return 0",
    "equals everything": "class A:\n    def __eq__(self, o): return True\ndef f(x): return A()",
    "is a float that equals everything": """
        class A(float):
            def __eq__(self, o): return True
        def f(x): return A()""",
    "computes as wished": """
        class A:
            def __sub__(self, o): return 0.0
            __rsub__ = __lt__ = __abs__ = __sub__
            def __lt__(self, o): return True
        def f(x): return A()""",
    "patches": """
        import builtins, math
        builtins.AssertionError = None
        builtins.abs = builtins.len = lambda *a: 0
        builtins.all = builtins.isinstance = lambda *a: True
        math.isclose = lambda *a, **k: True
        def f(x): return 0""",
    "defines built-ins": """
        def abs(x): return 0
        def all(x): return True
        def len(x): return 2
        def f(x): return 0""",
    "patches the test's own helper": "def check_it(a, b): return True\ndef f(x): return 0",
    "reads the frames": """
        import sys, gc
        def f(x):
            frame = sys._getframe()
            while frame:
                for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
                    if value == 1234.5: return value
                frame = frame.f_back
            return next((o for o in gc.get_objects() if o == 1234.5), None)""",
    "writes to every descriptor": """
        import os, struct
        def f(x):
            for data in (b'[0, "passed", ""]\\n', struct.pack("!I", 4) + b"true"):
                for fd in range(64):
                    try: os.write(fd, data)
                    except OSError: pass""",
    "answers before it is asked": """
        import os, json, struct
        data = json.dumps(["names", [["value", "f", ["reference", [0, True]]]]]).encode()
        for fd in range(3, 20):
            try: os.write(fd, struct.pack("!I", len(data)) + data)
            except OSError: pass
        def f(x): return 0""",
    "floods standard error": "import sys\nwhile True: sys.stderr.write('x' * 10000)",
    "raises what cannot be written": "def f(x): raise UnicodeEncodeError('utf-8', '\\ud800', 0, 1, 'x')",
    "floods with names": "globals().update({f'x{i}': [[[]] * 9] * 9 for i in range(10 ** 5)})",
    "floods": "import os\ndef f(x): return [0] * 10 ** 8",
    "nests": "def f(x):\n    y = []\n    for _ in range(10 ** 5): y = [y]\n    return y",
    "never ends": "def f(x):\n    while True: yield 1",
}  # fmt: skip


@pytest.mark.parametrize("hack", HACKS)
def test_hacks_pass_no_test(hack: str) -> None:
    tests = [
        "assert f(617.25) == 1234.5",
        "import math\nassert math.isclose(f(617.25), 1234.5)",
        "assert abs(f(617.25) - 1234.5) < 1e-9",
        "def check_it(a, b): return a == b\nassert check_it(f(617.25), 1234.5)",
        "assert all(y == 2 * x for x, y in [(617.25, f(617.25))]) and len([f(0)]) == 1",
    ]
    verdict = code_reward(fenced(HACKS[hack]), tests, partial=True, cpu_seconds=1)
    assert (verdict.status, verdict.reward) == (Status.WRONG, 0.0), verdict
    assert verdict.reason.encode().decode() == verdict.reason
    honest = code_reward(fenced("def f(x): return 2 * x"), tests)
    assert honest.status is Status.CORRECT, honest


class TestScripts:
    TESTS = ({"input": "2 3\n", "output": "5\n"}, {"input": "4 5", "output": "9"})

    def test_right_but_for_white_space(self) -> None:
        program = fenced(
            "a, b = map(int, input().split())\nif __name__ == '__main__':\n    print(a + b, '\\n')"
        )
        assert code_reward(program, self.TESTS).status is Status.CORRECT

    @pytest.mark.parametrize(
        ("program", "reason"),
        [
            ("print(5)", "test 2 of 2: line 1 is '5', but must be '9'"),
            ("print(5)\nprint(6)", "test 1 of 2: 2 lines were printed, but must be 1"),
            ("print(int(input()))", "test 1 of 2: ValueError: invalid literal"),
            ("import sys\nprint(5)\nsys.exit(1)", "test 1 of 2: the program exited with status 1"),
            ("import os\nos._exit(0)", "test 1 of 2: line 1 is '', but must be '5'"),
            ("while True: print('x' * 1000)", "test 1 of 2: the program printed too much"),
            ("while True: pass", "test 1 of 2: the program ran out of CPU time"),
            ("import ctypes\nctypes.string_at(0)", "test 1 of 2: the program was ended by SIGSEGV"),
            ("print(", "test 1 of 2: SyntaxError: '(' was never closed"),
        ],
    )
    def test_wrong(self, program: str, reason: str) -> None:
        verdict = code_reward(fenced(program), self.TESTS, cpu_seconds=1)
        assert verdict.status is Status.WRONG
        assert verdict.reason.startswith(reason)

    def test_cpu_time_is_counted_over_all_tests(self) -> None:
        started = time.monotonic()
        verdict = code_reward(fenced("while True: pass"), self.TESTS * 10, cpu_seconds=1)
        assert verdict.reason == "test 1 of 20: the program ran out of CPU time"
        assert time.monotonic() - started < 4

    def test_waiting_is_a_timeout_and_no_reward(self) -> None:
        sleeper = fenced("import time\ntime.sleep(100)\ndef f(): pass")
        for tests in (self.TESTS, ["assert f() is None"]):
            verdict = code_reward(sleeper, tests, wall_seconds=0.5)
            assert (verdict.status, verdict.reward) == (Status.TIMEOUT, None)

    def test_no_code_and_too_much(self) -> None:
        assert code_reward("I do not know.", self.TESTS, wrong=-1.0).status is Status.UNPARSEABLE
        verdict = code_reward(fenced("#" * 70000), self.TESTS)
        assert verdict.status is Status.WRONG
        assert "over 65536" in verdict.reason


class TestJail:
    @pytest.mark.parametrize(
        "attempt",
        [
            "import socket; socket.socket()",
            "import socket; socket.socket(socket.AF_UNIX)",
            "import socket; socket.socketpair(type=socket.SOCK_DGRAM)",
            "import os; os.fork()",
            "import subprocess; subprocess.run(['true'])",
            "import os; os.execv('/bin/true', ['true'])",
            "import os; os.kill(os.getppid(), 0)",
            "import os; os.kill(os.getpid(), 0)",
            "import fcntl; fcntl.fcntl(0, fcntl.F_SETOWN, 1)",
            "import os; os.setsid()",
            "import os; os.memfd_create('x')",
            "import os; os.mkdir('/tmp/made-by-a-tested-program')",
            "import os; os.unlink('/tmp/x')",
            "import os; os.chmod('/tmp', 0o777)",
            "open('/tmp/made-by-a-tested-program', 'w')",
            "open('/dev/shm/made-by-a-tested-program', 'w')",
            "open('/dev/null', 'r+')",
            "open('/etc/passwd')",
            "import os; open(f'/proc/{os.getppid()}/environ')",
            "import os; os.listdir('.')",
            "import multiprocessing; multiprocessing.Lock()",
            "import os; os.sched_setaffinity(os.getppid(), [0])",
        ],
    )  # fmt: skip
    def test_refused(self, attempt: str) -> None:
        outcome = script(attempt)
        assert (outcome.ending, outcome.code) == ("exit", 1)
        assert "PermissionError" in outcome.errors

    @pytest.mark.parametrize(
        "program",
        [
            "import threading\nt = threading.Thread(target=lambda: print('done'))\nt.start(); t.join()",
            "import asyncio\nasync def f(): await asyncio.sleep(0); print('done')\nasyncio.run(f())",
            "import sys, threading\nthreading.stack_size(1 << 27)\nsys.setrecursionlimit(10 ** 6)\n"
            "def f(n): return f(n - 1) + 1 if n else 0\n"
            "t = threading.Thread(target=lambda: f(20000) == 20000 and print('done'))\nt.start(); t.join()",
            "import collections, decimal, random, re, heapq, json, zoneinfo, statistics\nprint('done')",
            "import os\nassert set(os.environ) <= {'PYTHONHASHSEED', 'LC_CTYPE'}\nprint('done')",
            "import ctypes\nlibc = ctypes.CDLL(None)\nassert libc.prctl(1, 0, 0, 0, 0) == -1\nprint('done')",
            "import resource\nfor kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU):\n"
            "    try: resource.setrlimit(kind, (-1, -1))\n    except ValueError: print('done', end='')",
            "import signal\nsignal.signal(signal.SIGALRM, lambda *a: print('done'))\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.01)\nsignal.pause()",
        ],
    )  # fmt: skip
    def test_computing_is_not(self, program: str) -> None:
        outcome = script(program)
        assert outcome.output.startswith(b"done"), outcome.errors

    def test_limits(self) -> None:
        assert script("x = bytearray(600 << 20)").errors.endswith("MemoryError\n")
        ignoring = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
        assert script(ignoring).ending == "cpu"
        assert script("import os\nwhile True: os.dup(0)").errors.endswith("Too many open files\n")

    def test_reading_is_confined_by_landlock(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("s3cret")
        program = f"print(open({str(tmp_path / 'secret')!r}).read())"
        assert script(program).output == b""
        assert script(program, limits=Limits(1, 512, confine_reads=False)).output == b"s3cret\n"

    def test_no_sandbox_is_no_reward(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """With a table of system calls for another machine only, as on one that is not supported."""
        monkeypatch.setattr(jail, "_AUDIT_ARCH", {})
        with pytest.raises(jail.JailError, match="no system call table"):
            jail.seccomp_filter("x86_64")
        for tests in ([{"input": "", "output": ""}], ["assert f() is None"]):
            monkeypatch.setattr(sys, "executable", "/bin/false")
            verdict = code_reward(fenced("def f(): pass"), tests)
            assert (verdict.status, verdict.reward) == (Status.CRASHED, None)
            assert "no sandbox" in verdict.reason

    def test_system_call_numbers(self) -> None:
        headers = (
            Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
            Path("/usr/include/asm-generic/unistd.h"),
        )
        if not all(header.exists() for header in headers):
            pytest.skip("the kernel's headers are not installed")
        for column, header in enumerate(headers):
            text = header.read_text()
            numbers = {
                name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)
            }
            numbers |= {"newfstatat": numbers.get("fstatat", 262)} if column else {}
            table = {name: both[column] for name, both in [*jail.ALLOWED.items(), *jail.CHECKED.items()]}
            assert {
                name: number
                for name, number in table.items()
                if number is not None and numbers.get(name) != number
            } == {}
        assert not {"socket", "connect", "execve", "fork", "kill", "ptrace", "sendmsg", "io_uring_setup"} & {
            *jail.ALLOWED, *jail.CHECKED
        }  # fmt: skip

    def test_it_dies_with_its_caller(self, tmp_path: Path) -> None:
        """A caller that is killed leaves no process, whatever the program is doing."""
        caller = textwrap.dedent("""
            import sys, time
            from rlvr.rewards.code import code_reward
            code_reward("```python\\nwhile True: pass\\n```", ["assert f()"], cpu_seconds=60, wall_seconds=60)
        """)
        process = subprocess.Popen([sys.executable, "-c", caller])
        confined: list[str] = []
        limit = time.monotonic() + 20
        while len(confined) < 2 and time.monotonic() < limit:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            confined = [pid for pid in children if "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()]
        descriptors = [os.pidfd_open(int(pid)) for pid in confined]
        assert len(descriptors) == 2
        process.send_signal(signal.SIGKILL)
        process.wait()
        for descriptor in descriptors:
            assert select.select([descriptor], [], [], 5)[0], "a sandboxed process outlived its caller"
            os.close(descriptor)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.fractions() | st.dates() | st.datetimes() | st.timedeltas() | st.complex_numbers(allow_nan=False)
    | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
    | st.frozensets(st.integers()) | st.sets(st.text()),
    max_leaves=10,
)  # fmt: skip


class TestWire:
    @given(plain)
    def test_plain_data_comes_back(self, value: Any) -> None:
        sent = json.loads(json.dumps(wire.encode(value, lambda other: pytest.fail(f"{other!r} is plain"))))
        back = wire.decode(sent, lambda reference: None)
        assert back == value
        assert type(back) is type(value)

    @pytest.mark.parametrize(
        "data", [["made", ["os", "system", ["true"]]], ["made", ["builtins", "eval", ["1"]]], ["x", 1], {}]
    )
    def test_nothing_else_is_made(self, data: Any) -> None:
        with pytest.raises(wire.WireError):
            wire.decode(data, lambda reference: None)


def test_in_the_reward_service() -> None:
    """Under the service's own limits, and beside a program that must be killed with its worker."""
    config = RewardConfig(
        {"code": {"_target_": "rlvr.rewards.code.code_reward", "wall_seconds": 30}}, deadline=1.5
    )
    nothing = np.zeros(2, np.int32)
    completions = [ADD, fenced("import time\ntime.sleep(60)"), fenced("def add(a, b): return 0"), ADD]

    def rollout(sample: int) -> Rollout:
        return Rollout(
            "p", 0, sample, 0, nothing, nothing > 0, nothing.astype(np.float32), nothing, completions[sample],
            FinishReason.STOP, 1.0,
        )  # fmt: skip

    problem = Problem("p", "Add.", "", columns={"tests": ADD_TESTS})
    with RewardService(config) as service:
        verdicts = service.score([(problem, rollout(sample)) for sample in range(4)])
    assert [v.status for v in verdicts] == [Status.CORRECT, Status.TIMEOUT, Status.WRONG, Status.CORRECT]


def test_no_network_even_to_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        outcome = script(f"import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}')")
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
    assert "Operation not permitted" in outcome.errors
