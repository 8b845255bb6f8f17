"""Programs that a model wrote: what passes, what cannot be fooled, and what cannot be reached."""

# ruff: noqa: E501 (a program or a test is one line of a table)

from __future__ import annotations

import json
import os
import re
import resource
import select
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

from rlvr.rewards.code import code_reward
from rlvr.rewards.code_tests.blocks import extract_program
from rlvr.rewards.code_tests.forms import Script, Test, read_tests
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.data_checks import data_messages
from rlvr.rewards.functions import validate_reward
from rlvr.rewards.sandbox import jail, run, wire
from rlvr.rewards.sandbox.run import Clock, Limits, Outcome, run_script
from rlvr.rewards.service import RewardService
from rlvr.types import DataError, FinishReason, Problem, Rollout, Status

LIMITS = Limits(cpu_seconds=1, memory_mib=512, confine_reads=True)


def fenced(code: str) -> str:
    return f"Here it is:\n```python\n{textwrap.dedent(code)}\n```\nThat is all."


def script(code: str, stdin: str = "", limits: Limits = LIMITS, seconds: float = 5.0) -> Outcome:
    return run_script(textwrap.dedent(code), stdin, limits, Clock(seconds))


ADD = fenced("def add(a, b):\n    return a + b")
ADD_TESTS = ["assert add(2, 3) == 5", "assert add('a', 'b') == 'ab'", "assert add([1], [2]) == [1, 2]"]


def read(tests: Any, entry_point: str | None = None) -> list[Test]:
    return read_tests(tests, entry_point, False)


def passes(program: str, *tests: str, **settings: Any) -> bool:
    """Whether the program passes all of them; if not, it must be found wrong."""
    verdict = code_reward(fenced(program), [textwrap.dedent(test) for test in tests], **settings)
    assert verdict.status in (Status.CORRECT, Status.WRONG), verdict
    return verdict.status is Status.CORRECT


SOLVE = "def f(x):\n    return 2 * x\n"
WRONG = "def f(x):\n    return 0\n"


class TestExtraction:
    """Which code is the program, for tests that call f."""

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
            ("<think>```python\ndef f(x): return 2 * x\n```", None),
            ("", None),
        ],
    )
    def test_program(self, completion: str, program: str | None) -> None:
        assert extract_program(completion, ["f"]) == program

    @pytest.mark.parametrize(
        ("pieces", "program"),
        [
            ([SOLVE, "print(f(2))"], SOLVE),
            ([SOLVE, ">>> f(2)\n4"], SOLVE),
            ([SOLVE, "assert f(2) == 4\nx = f(3)"], SOLVE),
            ([WRONG, SOLVE], SOLVE),
            ([SOLVE, WRONG], WRONG),  # the last version counts, whichever is right
            ([SOLVE, "def f(x)\n    return 0"], "def f(x)\n    return 0\n"),
            (["import math\n", "def f(x): return math.floor(2 * x)\n"], "import math\n\ndef f(x): return math.floor(2 * x)\n"),
            (["def g(x): return x\n", "def f(x): return g(2 * x)\n", "f(1)"], "def g(x): return x\n\ndef f(x): return g(2 * x)\n"),
            (["def f(x): return g(2 * x)\n", "def g(x): return x\n"], "def g(x): return x\n\ndef f(x): return g(2 * x)\n"),
            (["def g(x): return 9\n", "def g(x): return x\n", "def f(x): return g(2 * x)\n"], "def g(x): return x\n\ndef f(x): return g(2 * x)\n"),
            (["class Solution:\n    def f(self, x): return 2 * x\n", "Solution().f(2)"], "class Solution:\n    def f(self, x): return 2 * x\n"),
            (["f = lambda x: 2 * x\n", "x = 1"], "f = lambda x: 2 * x\n"),
        ],
    )  # fmt: skip
    def test_of_several_blocks(self, pieces: list[str], program: str) -> None:
        completion = "\n".join(f"So:\n```python\n{piece.rstrip()}\n```" for piece in pieces)
        assert extract_program(completion, ["f"]) == program

    @pytest.mark.parametrize(
        ("pieces", "chosen"),
        [
            (["n = int(input())\nprint(n)", "5"], [0]),
            (["def main():\n    print(input())\nmain()", "main()  # prints 5"], [0]),
            (["def solve():\n    print(input())", "solve()"], [0, 1]),
            (
                ["import sys", "def solve(n): return n", "print(solve(sys.stdin.read()))", "solve(5)"],
                [0, 1, 2],
            ),
            (["print(input())", "print(int(input()))"], [1]),
            (["print('always this')"], [0]),
        ],
    )
    def test_of_a_script(self, pieces: list[str], chosen: list[int]) -> None:
        completion = "\n".join(f"So:\n```python\n{piece}\n```" for piece in pieces)
        assert extract_program(completion) == "\n".join(pieces[number] + "\n" for number in chosen)

    def test_other_fences(self) -> None:
        indented = (
            "1. So:\n   ```py\n   def f(x):\n       return 1\n   ```\n2. Run it:\n   ```bash\n   f=1\n   ```"
        )
        assert extract_program(indented, ["f"]) == "def f(x):\n    return 1\n"
        unmarked = "```\ndef f(x): return 1\n```\n```\n$ python f.py\n```\n```output\nf = 5\n```"
        assert extract_program(unmarked, ["f"]) == "def f(x): return 1\n"

    @given(st.text(alphabet="`~ \n\tpython=x(", max_size=400))
    def test_any_text(self, completion: str) -> None:
        program = extract_program(completion, ["x"])
        assert program is None or all(line.strip() in completion for line in program.split("\n"))


class TestForms:
    SCRIPTS = (Script("1\n", "2\n"), Script("2", "3"))

    @pytest.mark.parametrize(
        "tests",
        [
            [{"input": "1\n", "output": "2\n"}, {"input": "2", "output": "3"}],
            {"inputs": ["1\n", "2"], "outputs": ["2\n", "3"]},
            json.dumps({"inputs": ["1\n", "2"], "outputs": ["2\n", "3"]}),
            np.array([{"input": "1\n", "output": "2\n"}, {"input": "2", "output": "3"}]),
        ],
    )
    def test_scripts(self, tests: Any) -> None:
        assert read(tests) == list(self.SCRIPTS)

    @pytest.mark.parametrize(
        ("tests", "entry_point"),
        [
            ({"fn_name": "add", "inputs": [[2, 3], ["a", "b"]], "outputs": [5, "ab"]}, None),
            ({"fn_name": "add", "inputs": [[2, 3], ["a", "b"]], "outputs": [[5], ["ab"]]}, None),
            ({"fn_name": "add", "inputs": ["2\n3", '"a"\n"b"'], "outputs": ["5", '"ab"']}, None),
            ({"inputs": [[2, 3]], "outputs": [5]}, "add"),
            ([{"input": "[1]\n[2]", "output": "[1, 2]", "testtype": "functional"}], "add"),
            ([{"input": "2\n3", "output": "5", "metadata": '{"func_name": "add"}'}], None),
        ],
    )
    @pytest.mark.parametrize(
        "form", ["def add(a, b): return {}", "class Solution:\n    def add(self, a, b): return {}"]
    )
    def test_calls(self, tests: Any, entry_point: str | None, form: str) -> None:
        assert code_reward(fenced(form.format("a + b")), tests, entry_point).status is Status.CORRECT
        assert code_reward(fenced(form.format("b")), tests, entry_point).status is Status.WRONG

    def test_calls_compare_as_json(self) -> None:
        tests = {"fn_name": "f", "inputs": [[1]], "outputs": [{"1": [2, [3]]}]}
        assert code_reward(fenced("def f(x): return {1: (2, [3])}"), tests).status is Status.CORRECT
        for other in ("{1: (2, (3, 4))}", "{1: {2, 3}}", "None", "{'1': [2, [3]], 1: 0}"):
            assert code_reward(fenced(f"def f(x): return {other}"), tests).status is Status.WRONG

    def test_functions_and_names(self) -> None:
        source = "def test_a():\n    assert f(1)\ndef test_b():\n    assert g(2)"
        assert len(read(source)) == 2
        assert len(read("assert all([f(x) for x in [1, 2]])")) == 1

    @pytest.mark.parametrize(
        "tests",
        [[], 5, None, [1], ["assert ("], {"inputs": [""], "outputs": []}, [{"input": 1, "output": 2}],
         {"fn_name": "f", "inputs": [5], "outputs": [1]}, {"fn_name": "f", "inputs": ["x"], "outputs": ["1"]}],
    )  # fmt: skip
    def test_others_are_named(self, tests: Any) -> None:
        with pytest.raises(DataError, match="test"):
            read(tests)

    @pytest.mark.parametrize(
        ("test", "what"),
        [
            ("def unused():\n    assert add(1, 1) == 3", "asks nothing"),
            ("assert 1 + 1 == 2", "asks nothing"),
            ("class Node: pass\nassert add(Node(), 1)", "line 1: it has a ClassDef"),
            ("import random\nassert f(random.random())", "line 1: it imports random"),
            ("import os\nassert f(os.getcwd())", "line 1: it imports os"),
            ("assert f(open('/etc/passwd'))", "open is nothing that a test may use"),
            ("assert eval('f(1)') == 1", "eval is nothing"),
            ("assert f(1) is f(2)", "the same object"),
            ("p = Point(1)\np.move(2)\nassert p == 3", "p is an object of the program's"),
            ("try:\n    f(1)\nexcept AssertionError:\n    pass", "AssertionError"),
            ("setattr(f(1), 'x', 2)", "setattr is nothing"),
            ("x = [1]\nx.y = f(1)", "assigns to an Attribute"),
            ("while f(1):\n    pass", "While"),
            ("assert (lambda: f(1))()", "calls"),
            ("assert f(1).__class__.__name__ == 'x' and f(1).__eq__(2) and (1).__add__(2)", "__add__"),
            ("y = 3\nassert f(lambda x: x + y)", "lambda that uses y"),
            ("def check(candidate):\n    assert candidate(1) == 1", "columns: \\[entry_point\\]"),
            ("with open('x') as g:\n    f(g)", "not pytest.raises"),
        ],
    )
    def test_what_cannot_be_evaluated_is_refused_with_its_number(self, test: str, what: str) -> None:
        with pytest.raises(DataError, match=f"test 2 .*{what}"):
            read(["assert f(0) == 0", test])

    def test_refused_when_problems_are_loaded(self) -> None:
        config = RewardConfig({"code": {"_target_": "rlvr.rewards.code.code_reward"}})
        problems = [
            Problem("good", "?", "", columns={"tests": ["assert f(1) == 1"]}),
            Problem("odd", "?", "", columns={"tests": ["assert f(1) == 1", "import os\nassert f(os.sep)"]}),
        ]
        (message,) = data_messages(config, problems)
        assert "problem 'odd': test 2 cannot be evaluated" in message
        assert "in_process: true" in message
        config.functions["code"]["in_process"] = True
        assert list(data_messages(config, problems)) == []
        config.functions["code"]["modules"] = ["no_such_module"]
        assert "'no_such_module'" in next(iter(data_messages(config, problems)))

    def test_in_process_takes_the_risk(self) -> None:
        tests = ["import os\nassert f(os.sep) == os.sep * 2", "assert f(1) == 2"]
        assert passes(SOLVE, *tests, in_process=True)
        shadowing = "def f(x):\n    return type('A', (), {'__eq__': lambda *a: True})()"
        verdict = code_reward(fenced(shadowing), tests, in_process=True, partial=True)
        assert (verdict.reward, verdict.rule) == (0.5, "1 of 2 tests passed")


# What tests may say, each true of a right program and false of a wrong one.
RIGHT = """
import asyncio, collections, dataclasses, datetime, decimal, enum, fractions, itertools
from collections import *
P = namedtuple('P', 'x y')
@dataclasses.dataclass
class D:
    x: int
    y: list
class E(enum.Enum): A = 1
class I(enum.IntEnum): A = 1
class Full(ValueError): pass
class Stack:
    def __init__(self, most=9): self.items, self.most = [], most
    def push(self, item):
        if len(self.items) == self.most: raise Full(f"{self.most} items")
        self.items.append(item)
    def pop(self): return self.items.pop()
    def __len__(self): return len(self.items)
    def __str__(self): return f"Stack of {self.items}"
    @property
    def top(self): return self.items[-1]
def double(x): return 2 * x
def point(x): return P(x, [x])
def data(x): return D(x, [x])
def tree(xs): return Tree(xs)
class Tree:
    def __init__(self, xs): self.xs = xs
def depth(tree): return len(tree.xs)
def count(): return itertools.count()
def few(n): yield from range(n)
def sort(items): items.sort()
def unique(items): items[:] = sorted(set(items)); return len(items)
def fail(x): raise ValueError(f"bad {x}")
def full(): raise Full("it is full")
def half(x): return x / 2
def words(s): return Counter(s.split())
def apply(g, x): return g(x)
async def later(x): return x + 1
def sum(a, b): return a + b
def enum_(): return E.A
def int_enum(): return I.A
def kinds(): return {'a': (1, 2.5, None, True, b'x', {3}, frozenset({4}), 1j), 2: [deque([1]), OrderedDict(b=1)]}
def third(): return fractions.Fraction(1, 3)
def day(): return datetime.date(2024, 2, 29)
def cent(): return decimal.Decimal('0.10')
def big(): return 10 ** 5000
def nothing(): return None
def roots(a, b): return {a, b}
def encode(s): return s[::-1]
def decode(s): return s[::-1]
"""
LANGUAGE = [
    ("assert double(2) == 4 and double('a') == 'aa' and double([1]) == [1, 1]", "assert double(2) == 5"),
    ("assert double(2) != 5 and 3 < double(2) <= 4", "assert double(2) != 4"),
    ("assert nothing() is None", "assert double(1) is None"),
    ("assert (double(2) == 4) is True and not double(0) == 1", "assert not double(1)"),
    ("assert abs(half(1) - 0.5) < 1e-9", "assert abs(half(2) - 0.5) < 1e-9"),
    ("import math\nassert math.isclose(half(1), 0.5)", "from math import isclose\nassert isclose(half(2), 0.5)"),
    ("import pytest\nassert half(1) == pytest.approx(0.5)", "from pytest import approx\nassert half(2) == approx(0.5)"),
    ("import numpy as np\nassert np.allclose([half(1)], [0.5])", "import numpy as np\nassert np.allclose([half(2)], [0.5])"),
    ("assert round(half(0.33333), 2) == 0.17", "assert round(half(0.5), 2) == 0.17"),
    ("assert sorted(roots(2, 1)) == [1, 2] and set(roots(1, 1)) == {1}", "assert len(roots(1, 2)) == 3"),
    ("assert 4 in [double(2)] and double(2) in (3, 4)", "assert double(2) in [1, 2]"),
    ("assert all([double(a) == b for a, b in [(1, 2), (2, 4)]])", "assert all(double(a) == b for a, b in [(1, 2), (2, 5)])"),
    ("for a, b in zip([1, 2], [2, 4]):\n    assert double(a) == b", "for a in [0, 1]:\n    assert double(a) == 0"),
    ("cases = {1: 2, 2: 4}\nfor a, b in cases.items():\n    assert double(a) == b, 'wrong'", "for a in range(3):\n    assert double(a) < 4"),
    ("def same(a, b):\n    if a == b:\n        return True\n    return False\nassert same(double(1), 2)", "def same(a, b): return a == b\nassert same(double(1), 3)"),
    ("assert isinstance(double(1), int) and type(double(1)) == int and type(half(1)) is float", "assert isinstance(double(1), (str, list))"),
    ("x = [3, 1, 2]\nsort(x)\nassert x == [1, 2, 3]", "x = [3, 1]\nsort(x)\nassert x == [3, 1]"),
    ("x = [3, 1]\nsort(x)\nfor a, b in zip(x, [1, 3]):\n    assert a == b\nfor i in range(len(x)):\n    assert x[i] == [1, 3][i]", "x = [3, 1]\nsort(x)\nfor v in x:\n    assert v == 3"),
    ("x = [1, 1, 2]\nk = unique(x)\nassert k == 2 and x[:k] == [1, 2]", "x = [1, 1]\nk = unique(x)\nassert x[:k] == [1, 1]"),
    ("import copy\nx = [2, 1]\nsort(copy.deepcopy(x))\nassert x == [2, 1]\nsort(x)\nassert x[0] == 1", "x = [2, 1]\nsort(list(x))\nassert x == [1, 2]"),
    ("try:\n    fail(1)\n    assert False\nexcept ValueError as error:\n    assert str(error) == 'bad 1'", "try:\n    double(1)\n    assert False\nexcept Exception:\n    pass"),
    ("import pytest\nwith pytest.raises(ValueError, match='bad') as info:\n    fail(1)\nassert '1' in str(info.value)", "import pytest\nwith pytest.raises(KeyError):\n    fail(1)"),
    ("import pytest\nwith pytest.raises((KeyError, Full)):\n    full()", "import pytest\nwith pytest.raises(ValueError):\n    double(1)"),
    ("raised = False\ntry:\n    full()\nexcept ValueError:\n    raised = True\nassert raised", "try:\n    double(1)\nexcept ValueError:\n    pass\nelse:\n    raise AssertionError('no')"),
    ("s = Stack(1)\ns.push(5)\nassert s.items == [5] and s.top == 5 and s.pop() == 5", "s = Stack()\ns.push(5)\nassert s.pop() == 6"),
    ("s = Stack()\ns.push(5)\nassert len(s) == 1 and str(s) == 'Stack of [5]'", "s = Stack()\ns.push(5)\nassert len(s) == 2"),
    ("s = Stack()\ns.items = [7]\ns.most = 2\nassert s.pop() == 7 and s.most == 2", "s = Stack()\ns.items = [7]\nassert s.pop() == 8"),
    ("r = Tree(1)\nr.xs = [Tree(2), Tree(3)]\nassert depth(r) == 2", "r = Tree(1)\nr.xs = [Tree(2)]\nassert depth(r) == 2"),
    ("assert Stack(3).most == 3 and Stack().items == []", "assert Stack(3).most == 4"),
    ("t = tree([1, 2])\nassert depth(t) == 2 and depth(tree([])) == 0", "assert depth(tree([1])) == 2"),
    ("assert decode(encode('abc')) == 'abc'", "assert encode('abc') == 'abc'"),
    ("p = point(1)\nassert p.x == 1 and p == (1, [1]) and p[1] == [1]", "assert point(1).y == 1"),
    ("assert data(1).y == [1]\nd = data(2)\nassert (d.x, d.y) == (2, [2])", "assert data(1).x == 2"),
    ("import itertools\nassert list(itertools.islice(count(), 3)) == [0, 1, 2]", "assert 7 in count()"),
    ("g = few(3)\nassert next(g) == 0 and list(g) == [1, 2] and list(few(2)) == [0, 1]", "assert few(3) == [0, 1, 2]"),
    ("assert words('a b a') == {'a': 2, 'b': 1}\nfrom collections import Counter\nassert words('a') == Counter('a')", "assert words('a')['b'] == 1"),
    ("from collections import Counter\nassert words('a b a').get('a') == 2 and Counter('aab').most_common(1) == [('a', double(1))]", "assert words('a').get('a') == 2"),
    ("assert apply(lambda x: x + 1, 2) == 3 and apply(len, [1]) == 1 and apply(double, 3) == 6", "assert apply(abs, -1) == -1"),
    ("import asyncio\nassert asyncio.run(later(1)) == 2", "import asyncio\nassert asyncio.run(later(1)) == 3"),
    ("assert int_enum() == 1", "assert enum_() == 1"),
    ("assert enum_().value == 1 and enum_().name == 'A'", "assert enum_().value == 2"),
    ("assert kinds()['a'] == (1, 2.5, None, True, b'x', {3}, frozenset({4}), 1j)\nassert kinds()[2][1] == {'b': 1}", "assert kinds()[2] == []"),
    ("from fractions import Fraction\nassert third() == Fraction(1, 3) and third() + double(1) == Fraction(7, 3)", "assert third() == 1 / 3"),
    ("import datetime\nassert day() == datetime.date(2024, 2, 29) and day().year == 2024", "from datetime import date\nassert day() > date(2024, 3, 1)"),
    ("from decimal import Decimal\nassert cent() == Decimal('0.1')", "assert cent() == 1"),
    ("assert big() == 10 ** 5000", "assert big() == 10 ** 5000 + 1"),
    ("assert double(1) == 2.0 and half(2) == 1 and double(True) == 2", "assert half(1) == 0"),
    ("import solution\nfrom solution import double as d\nassert d(1) == solution.double(1) == 2", "from solution import double as d\nassert d(1) == 3"),
    ("x = [1, 2]\nassert list(map(double, x)) == [2, 4] and max([double(1), 5], key=lambda v: -v) == 2", "assert list(map(double, [1])) == [1]"),
    ("assert sorted([point(2), point(1)], key=lambda p: p.x)[0].x == 1", "assert max(double(1), 3) == 2"),
    ("def check(candidate):\n    assert candidate(3) == 6\ncheck(double)", "def check(candidate):\n    assert candidate(3) == 7\ncheck(double)"),
    ("cases = [((1,), {}, 2)]\nfor a, k, want in cases:\n    assert double(*a, **k) == want", "assert double(*[2]) == 5"),
    ("assert f'{double(1)}!' == '2!' and ' '.join(sorted(words('b a'))) == 'a b'", "assert str(double(1)) == '3'"),
    ("assert double('ab').upper().startswith('ABA') and {**words('a')} == {'a': 1}" if False else "assert double('ab').upper().startswith('ABA')", "assert double('ab').startswith('b')"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(0, len(LANGUAGE), 10))
def test_the_language_of_tests(number: int) -> None:
    """Every right test is passed, and every wrong one fails for what it asserts."""
    right, wrong = zip(*LANGUAGE[number : number + 10], strict=True)
    verdict = code_reward(fenced(RIGHT), right)
    assert verdict.status is Status.CORRECT, verdict
    for test in wrong:
        verdict = code_reward(fenced(RIGHT), [test])
        assert verdict.status is Status.WRONG, test
        assert re.search(
            "AssertionError|did not raise|ValueError: bad|KeyError|goes on|no plain value", verdict.reason
        )


def test_a_tested_name_of_python_is_the_programs() -> None:
    assert passes(RIGHT, "assert sum(10, 15) == 25", "assert sum(1, 2) == 3")
    assert not passes(SOLVE, "assert sum(10, 15) == 25")
    assert passes(RIGHT + "def max(x): return x", "assert max(5) == 5", entry_point="max")
    assert passes(RIGHT + "def max(*x): return 0", "assert max(double(1), 5) == 5")


class TestAssertions:
    def test_all_pass(self) -> None:
        verdict = code_reward(ADD, ADD_TESTS)
        assert (verdict.status, verdict.reward, verdict.rule) == (Status.CORRECT, 1.0, "3 of 3 tests passed")

    def test_first_failure_is_named_and_partial_credit_is_the_share(self) -> None:
        wrong = fenced("def add(a, b):\n    if a == 2: return 5\n    return b + a")
        verdict = code_reward(wrong, ADD_TESTS, correct=1.0, wrong=-1.0)
        assert (verdict.status, verdict.reward) == (Status.WRONG, -1.0)
        assert verdict.reason == "test 2 of 3: AssertionError: add('a', 'b') == 'ab'"
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

    @pytest.mark.parametrize(
        ("program", "reason"),
        [
            ("def f(x)\n    return x", "does not load: SyntaxError: expected ':'"),
            ("import numpy", "does not load: ModuleNotFoundError"),
            ("y = 1\n1 / 0", r"ZeroDivisionError: division by zero \(line 2\)"),
            ("def f(x: Undefined): return 2", "NameError: name 'Undefined' is not defined"),
            ("def g(x): return x", "NameError: name 'f' is not defined"),
            ("def f(x): return f(x)", "RecursionError"),
            ("def f(x): return 'x' * 10 ** 10", "MemoryError"),
            ("def f(x): return [0] * 10 ** 6", "2 MiB|over the limit|MemoryError"),
            ("def f(x): return object()", "a object, which is no plain value"),
            ("while True: pass", "the program ran out of CPU time before the tests"),
            ("import os\nos._exit(0)", "the program exited with status 0 before the tests"),
        ],
    )
    def test_reasons(self, program: str, reason: str) -> None:
        verdict = code_reward(fenced(program), ["assert f(1) == 2"], cpu_seconds=1, wall_seconds=60)
        assert verdict.status is Status.WRONG
        assert re.search(reason, verdict.reason)

    def test_a_program_that_dies_in_one_test_is_there_for_the_next(self) -> None:
        program = fenced("import os\ndef f(x):\n    if x == 1: os._exit(7)\n    return x")
        verdict = code_reward(
            program, ["assert f(0) == 0", "assert f(1) == 1", "assert f(2) == 2"], partial=True
        )
        assert verdict.reward == pytest.approx(2 / 3)
        assert verdict.reason == "test 2 of 3: the program exited with status 7 during the test"

    def test_numpy_by_a_setting(self) -> None:
        program = "import numpy as np\ndef f(x): return np.array(x) * 2\ndef g(x): return np.float64(x).sum()"
        tests = (
            "assert f([1, 2]) == [2, 4] and g(1.5) == 1.5",
            "import numpy as np\nassert f(np.array([1])) == [2]",
        )
        assert passes(program, *tests, modules=["numpy"])
        assert not passes(program, *tests)
        assert not passes("import pandas\n" + program, *tests, modules=["numpy"])


# Programs that solve nothing: `f` should return twice its argument.
HACKS = {
    "exits": "import sys\nsys.exit(0)",
    "exits at once": "import os\nos._exit(0)",
    "exits when asked": "import os\ndef f(x): os._exit(0)",
    "raises SystemExit when asked": "def f(x): raise SystemExit(0)",
    "exits at exit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0",
    "prints": "print('1 of 1 tests passed'); print('OK')\ndef f(x): print('passed'); return 0",
    "equals everything": "class A:\n    def __eq__(self, o): return True\ndef f(x): return A()",
    "is true, orders and hashes as wished": """
        class A:
            __bool__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__ = lambda *a: True
            __hash__ = lambda self: hash(1234.5)
        def f(x): return A()""",
    "is a float that equals everything": """
        class A(float):
            def __eq__(self, o): return True
            __ne__ = __bool__ = lambda *a: False
            __hash__ = lambda self: 0
        def f(x): return A()""",
    "is a text and a list that equal everything": """
        class L(list):
            __eq__ = __contains__ = lambda *a: True
        class S(str):
            __eq__ = __contains__ = lambda *a: True
        def f(x): return L([S()])""",
    "computes as wished": """
        class A:
            def __sub__(self, o): return 0.0
            __rsub__ = __lt__ = __abs__ = __round__ = __sub__
            def __lt__(self, o): return True
        def f(x): return A()""",
    "contains everything": """
        import itertools
        def f(x): return itertools.count()""",
    "contains what is asked": """
        class A(dict):
            def __contains__(self, o): return True
            def __missing__(self, k): return True
        def f(x): return A()""",
    "is infinite": "import itertools\ndef f(x): return itertools.repeat(1234.5)",
    "a metaclass that equals everything": """
        class M(type):
            __eq__ = lambda *a: True
            __hash__ = lambda self: 0
            __instancecheck__ = __subclasscheck__ = lambda *a: True
        class f(metaclass=M):
            def __init__(self, x): pass""",
    "a metaclass for all that follows": """
        class M(type):
            def __call__(cls, *a): return True
        class f(metaclass=M): pass""",
    "patches": """
        import builtins, math
        builtins.AssertionError = None
        builtins.abs = builtins.len = builtins.round = lambda *a: 0
        builtins.all = builtins.isinstance = lambda *a: True
        math.isclose = lambda *a, **k: True
        def f(x): return 0""",
    "defines built-ins": """
        def abs(x): return 0
        def all(x): return True
        def len(x): return 2
        def round(*a): return 1234.5
        def isclose(*a): return True
        def f(x): return 0""",
    "shadows built-ins with classes": """
        class all(Exception): pass
        class bool(Exception): pass
        class abs(Exception): pass
        class sum(Exception): pass
        def f(x): return 0""",
    "overwrites __builtins__": """
        __builtins__ = {"all": lambda *a: True, "abs": lambda *a: 0, "AssertionError": None}
        def f(x): return 0""",
    "sends __builtins__": """
        import sys
        def f(x):
            frame = sys._getframe()
            while frame.f_back: frame = frame.f_back
            frame.f_globals["__builtins__"] = {"abs": lambda x: 0}
            return {"__builtins__": {"abs": 0}, "__class__": 1234.5}""",
    "patches the test's own helper": "def check_it(a, b): return True\ndef f(x): return 0",
    "writes into the tests' module": """
        import sys
        for name in list(sys.modules):
            for key in ("check_it", "math", "f", "isclose", "Failed", "assertion"):
                try: setattr(sys.modules[name], key, lambda *a, **k: True)
                except Exception: pass
        def f(x): return 0""",
    "reads the frames": """
        import sys
        def f(x):
            frame = sys._getframe()
            while frame:
                for value in list(frame.f_locals.values()) + list(frame.f_globals.values()):
                    if isinstance(value, (str, bytes, list, dict)) and "1" + "234.5" in str(value): return 2469 / 2
                frame = frame.f_back""",
    "searches all objects": """
        import gc
        WANTED = 2469.0 / 2
        def f(x):
            for o in gc.get_objects():
                try: held = list(o.values()) if isinstance(o, dict) else list(o) if isinstance(o, (list, tuple)) else []
                except Exception: continue
                if any(type(v) is float and v == WANTED for v in held if v is not WANTED): return WANTED
            return 0""",
    "finds the protocol": """
        import sys
        def f(x):
            frame = sys._getframe()
            while frame:
                for value in frame.f_locals.values():
                    if type(value).__name__ == "Program":
                        value.answer = lambda request: ["passed", None]
                        value._write(b'\\0\\0\\0\\x10["passed", null]')
                frame = frame.f_back""",
    "answers each request by itself": """
        import sys
        frame = sys._getframe()
        while frame:
            if "self" in frame.f_locals and hasattr(frame.f_locals["self"], "answer"):
                program = frame.f_locals["self"]
                import json
                def live():
                    program._send(["loaded", None])
                    while True:
                        program._receive()
                        program._send(["value", [True, []]])
                live()
            frame = frame.f_back""",
    "patches its encoder": """
        import json, sys
        for name, module in list(sys.modules.items()):
            if "wire" in name or "program" in name:
                module.encode = lambda value, *a: True
        json.dumps = lambda *a, **k: '["value", [true, []]]'
        def f(x): return 0""",
    "speaks of exceptions": """
        class AssertionError(Exception): pass
        def f(x):
            error = type("Failed", (Exception,), {"__str__": lambda self: "passed"})()
            raise error""",
    "lies of its exception": """
        class Passed(BaseException):
            def __str__(self): raise SystemExit(0)
            __repr__ = __str__
        def f(x): raise Passed""",
    "writes to every descriptor": """
        import os, struct
        def f(x):
            for data in (b'[0, "passed", ""]\\n', struct.pack("!I", 16) + b'["passed", null]', b"\\0\\0\\0\\x04true"):
                for fd in range(64):
                    try: os.write(fd, data)
                    except OSError: pass""",
    "answers before it is asked": """
        import os, json, struct
        for message in (["loaded", None], ["value", [True, []]], ["value", [{"x": 1}, [1]]], ["kept", [0, []]]):
            data = json.dumps(message).encode()
            for fd in range(3, 20):
                try: os.write(fd, struct.pack("!I", len(data)) + data)
                except OSError: pass
        def f(x): return 0""",
    "sends nonsense": """
        import os
        for fd in range(3, 20):
            try: os.write(fd, b'\\0\\0\\0\\x05["a",' + b'\\0\\0\\0\\x02{}' + b'\\0\\0\\0\\x04null')
            except OSError: pass
        def f(x): return 0""",
    "sends deep JSON": """
        import os, struct
        def f(x):
            data = b"[" * 1000000
            for fd in range(3, 20):
                try: os.write(fd, struct.pack("!I", len(data)) + data)
                except OSError: pass""",
    "makes what it should not": """
        import json, os, struct
        def f(x):
            data = json.dumps(["value", [["made", ["os", "system", ["true"]]], []]]).encode()
            for fd in range(3, 20):
                try: os.write(fd, struct.pack("!I", len(data)) + data)
                except OSError: pass""",
    "announces too much": """
        import os
        def f(x):
            for fd in range(3, 20):
                try: os.write(fd, b"\\xff\\xff\\xff\\xff")
                except OSError: pass
            return 0""",
    "pickles": """
        import os
        class A:
            def __reduce__(self): return os._exit, (0,)
        def f(x): return A()""",
    "closes its pipes": "import os\ndef f(x): os.closerange(0, 64)",
    "hooks imports": """
        import sys
        class Finder:
            def find_spec(self, name, *a):
                raise SystemExit(0)
        sys.meta_path.insert(0, Finder())
        sys.path_hooks[:] = []
        def f(x): return 0""",
    "handles signals": """
        import signal
        for number in range(1, 65):
            try: signal.signal(number, lambda *a: None)
            except (OSError, ValueError): pass
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        def f(x):
            while True: signal.pause()""",
    "traces": """
        import sys, threading
        def trace(frame, event, value):
            if event == "return" and "result" in frame.f_locals: frame.f_locals["result"] = 1234.5
            return trace
        sys.settrace(trace); sys.setprofile(trace); threading.settrace(trace)
        def f(x): return 0""",
    "watches audit events": """
        import sys
        seen = []
        sys.addaudithook(lambda *a: seen.append(a))
        def f(x):
            return 2469 / 2 if "1" + "234.5" in repr(seen) else 0""",
    "reads its memory": """
        def f(x):
            try: return 1234.5 if b"12" b"34.5" in open("/proc/self/mem", "rb").read() else 0
            except OSError: pass
            return 1234.5 if "12" "34.5" in open("/proc/self/environ").read() + open("/proc/self/cmdline").read() else 0""",
    "reads its memory by ctypes": """
        import ctypes, sys
        def f(x):
            frame, wanted = sys._getframe(), ("12" + "34.5").encode()
            while frame:
                start = id(frame) & ~0xfff
                if wanted in ctypes.string_at(start, 4096): return float(wanted)
                frame = frame.f_back
            return ctypes.string_at(0)""",
    "reads the tests' source": """
        import glob, linecache
        def f(x):
            for name in ("tests", "<string>", "solution.py", "<tests>"):
                if linecache.getlines(name): return 1234.5
            return open(glob.glob("/**/problems*.jsonl", recursive=True)[0]).read()""",
    "a decoder of its own": """
        import codecs
        codecs.register(lambda name: (_ for _ in ()).throw(SystemExit(0)))
        def f(x): return "\\ud800" * 10""",
    "threads that answer": """
        import threading, os, time
        def flood():
            while True:
                for fd in range(3, 9):
                    try: os.write(fd, b"\\0\\0\\0\\x13[\\"value\\", [true,[]]]")
                    except OSError: pass
        for _ in range(3): threading.Thread(target=flood, daemon=True).start()
        def f(x): return 0""",
    "recurses in its value": "def f(x):\n    a = []\n    a.append(a)\n    return a",
    "recurses in a dict": "def f(x):\n    a = {}\n    a['a'] = [a]\n    return a",
    "changes the argument": "def f(x):\n    return x",
    "takes annotations from the harness": "def f(x: Undefined, y: also.undefined = 0) -> Nothing:\n    return 1234.5",
    "floods standard error": "import sys\nwhile True: sys.stderr.write('x' * 10000)",
    "raises what cannot be written": "def f(x): raise UnicodeEncodeError('utf-8', '\\ud800', 0, 1, 'x')",
    "floods with names": "globals().update({f'x{i}': [[[]] * 9] * 9 for i in range(10 ** 5)})\ndef f(x): return 0",
    "floods": "def f(x): return [0] * 10 ** 8",
    "nests": "def f(x):\n    y = []\n    for _ in range(10 ** 5): y = [y]\n    return y",
    "nests without a limit": """
        import sys
        sys.setrecursionlimit(10 ** 9)
        def f(x):
            y = ()
            for _ in range(10 ** 6): y = (y,)
            return y""",
    "never ends": "def f(x):\n    while True: yield 1",
    "is nowhere a number": "def f(x): return float('nan')",
    "is infinitely large": "def f(x): return float('inf')",
    "collides": "def f(x): return {i * (2 ** 61 - 1) for i in range(1000)}",
}  # fmt: skip
HACKED = [
    "assert f(617.25) == 1234.5",
    "import math\nassert math.isclose(f(617.25), 1234.5)",
    "assert abs(f(617.25) - 1234.5) < 1e-9",
    "def check_it(a, b): return a == b\nassert check_it(f(617.25), 1234.5)",
    "assert all([f(x) == y for x, y in [(617.25, 1234.5), (1, 2)]])",
    "assert 1234.5 in [f(617.25)]",
    "assert len({1234.5, f(617.25)}) == 1",
    "assert bool(f(617.25) == 1234.5) is True and round(f(617.25)) == 1234",
    "assert 2 in f([1, 2]) and f([1, 2]) == [1, 2, 1, 2]",
    "x = [3]\nassert f(x) == x * 2",
    "import pytest\nassert f(617.25) == pytest.approx(1234.5)",
]


@pytest.mark.parametrize("hack", HACKS)
def test_hacks_pass_no_test(hack: str) -> None:
    seconds = 2 if "pause" in HACKS[hack] else 60  # CPU time ends the others, also on a busy machine
    verdict = code_reward(fenced(HACKS[hack]), HACKED, partial=True, cpu_seconds=1, wall_seconds=seconds)
    assert (verdict.status, verdict.reward) == (Status.WRONG, 0.0), verdict
    assert verdict.reason.encode().decode() == verdict.reason


def test_what_the_hacks_are_tried_on_can_be_passed() -> None:
    assert passes("def f(x): return 2 * x if x != [3] else [3, 3]", *HACKED)


# Further ways in that depend on the test.
@pytest.mark.parametrize(
    ("program", "test"),
    [
        ("def f(x):\n    x.clear()\n    return x", "x = [3, 1]\nassert f(x) == sorted(x)"),
        ("def f(x):\n    x.clear()\n    return []", "x = [3, 1]\ny = f(x)\nassert y == sorted(x)"),
        ("def f(x):\n    x.clear()\n    return []", "x = [3, 1]\ny = f(x)\nz = sorted(x)\nassert y == z"),
        ("def f(x):\n    x.clear()\n    return []", "x = [3, 1]\nz = x\nassert f(x) == sorted(z)"),
        ("def f(x):\n    x.clear()\n    return []", "def a(x): return f(x)\ndef b(x): return a(x) == sorted(x)\nassert b([3, 1])"),
        ("def f(x):\n    x.clear()\n    return []", "cases = [([3, 1], 0)]\nfor case in cases:\n    x, _ = case\n    assert f(x) == sorted(case[0])"),
        ("def f(x):\n    x.clear()\n    return []", "x = [3, 1]\ny = f(x)\nfor i in range(len(x)):\n    assert y[i] == x[i]"),
        ("def f(x):\n    x.clear()\n    return []", "x = [3, 1]\ny = f(x)\nif x:\n    assert y == [1, 3]"),
        ("def f(x):\n    x.clear()\n    return []", "x = [3, 1]\nf(x)\nfor v in x:\n    assert v == 1"),
        ("def f(x): return 10 ** 70000 + x", "assert pow(f(1), f(2), f(3)) == 1"),
        ("def f(x): return [10 ** 70000 + i for i in range(50)]", "import math\nassert math.lcm(*f(1)) == math.prod(f(1))"),
        ("def f(x): return 'a' * 10 ** 6", "assert f(1).replace('a', f(1)) == 'b'"),
        ("def f(x): return 'a' * 10 ** 6", "assert f(1).join(list(f(1))) == 'b'"),
        ("def f(x):\n    x[:] = [0]\n    return 0", "x = [3, 1]\nassert abs(f(x) - sum(x) / len(x)) < 1e-9"),
        ("def f(x):\n    x.clear()\n    return []", "x = [3, 1]\nassert all(a == b for a, b in zip(f(x), sorted(x), strict=True))"),
        ("def f(x):\n    x.clear()\n    return []", "def same(a, b): return a == b\nx = [3, 1]\nassert same(f(x), sorted(x))"),
        ("class f(str):\n    def startswith(self, other): return True", "assert f('b').startswith('a')"),
        ("class f:\n    def __init__(self, x): pass\n    def startswith(self, other): return True", "assert f('b').startswith('a')"),
        ("class A:\n    def __getattr__(self, n): return lambda *a: True\ndef f(x): return A()", "assert f(1).issubset({1}) and f(1).isdigit()"),
        ("def f(x): raise type('ValueError', (Exception,), {})", "try:\n    assert f(1) == 2\nexcept KeyError:\n    pass"),
        ("def f(x): return '%999999999d'", "assert f(1) % 3 == 1"),
        ("def f(x): return 10 ** 9", "assert [0] * f(1) == [] and 2 ** f(1) == 1"),
        ("def f(x): return [i * (2 ** 61 - 1) for i in range(10 ** 5)]", "assert len(set(f(1))) == 3"),
        ("def f(x): return list(range(10 ** 5))", "assert all(a in f(1) for a in f(1) for b in f(1))"),
        ("def f(x):\n    y = []\n    for _ in range(98): y = [y]\n    return y", "y = f(1)\nassert f([[y]]) == 3"),
        ("import decimal\ndef f(x): return decimal.Decimal('1e999999')", "assert int(f(1)) == 3"),
        ("def ſ(x): return 0\ndef f(x): return 0", "assert f(1) == 2"),
    ],
)  # fmt: skip
def test_hacks_of_one_test(program: str, test: str) -> None:
    started = time.process_time()
    assert not passes(program, test, wall_seconds=2)
    assert time.process_time() - started < 3


def test_no_expected_value_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a program's process is given: its source, the arguments, and the names that it is asked for."""
    sent: list[Any] = []
    request = run.Session.request

    def record(session: run.Session, message: Any) -> Any:
        sent.append(message)
        return request(session, message)

    monkeypatch.setattr(run.Session, "request", record)
    cases = "for given, want in [(617.25, 1234.5), (2, 4)]:\n    assert f(given) == want, 'want it'"
    assert passes(SOLVE, *HACKED[:8], cases)
    assert passes(SOLVE, "def check(candidate):\n    assert candidate(617.25) == 1234.5", entry_point="f")
    calls = {"fn_name": "f", "inputs": [[617.25]], "outputs": [1234.5]}
    assert code_reward(fenced(SOLVE), calls).status is Status.CORRECT
    assert "617.25" in str(sent)
    assert not re.search("1234|want|assert", str(sent))


STYLES = {
    "solution, then example": ("Here:\n```python\ndef f(x):\n    return 2 * x\n```\nExample:\n```python\nprint(f(input()))\n```"),
    "solution, then output": ("```python\ndef f(x):\n    return 2 * x\nprint(f(2))\n```\nIt prints:\n```\n4\n```"),
    "imports, then solution": ("```python\nimport operator\n```\nand\n```python\ndef f(x):\n    return operator.mul(2, x)\n```"),
    "naive, then improved": ("```python\ndef f(x):\n    while True: pass\n```\nBetter:\n```python\ndef f(x):\n    return x * 2\n```"),
    "helper in its own block": ("```python\ndef g(x):\n    return x\n```\n```python\ndef f(x):\n    return g(x) * 2\n```"),
    "thought first": ("<think>\n```python\ndef f(x): return 3\n```\n</think>\n```python\ndef f(x): return x * 2\n```"),
    "no language": "```\ndef f(x):\n    return 2 * x\n```",
    "no fence": "def f(x):\n    return 2 * x",
    "never closed": "```py\ndef f(x):\n    return 2 * x",
    "in a list": "1. Code:\n   ```python\n   def f(x):\n       return 2 * x\n   ```\n2. Run:\n   ```bash\n   python f.py\n   ```",
    "main guard": fenced("def f(x):\n    return 2 * x\nif __name__ == '__main__':\n    print(f(int(input())))"),
    "helper classes": fenced("class H:\n    def __init__(self, x): self.x = x\n    def go(self): return self.x * 2\ndef f(x): return H(x).go()"),
    "dataclasses": fenced("from dataclasses import dataclass, field\n@dataclass(order=True)\nclass A:\n    x: object\n    y: list = field(default_factory=list)\ndef f(x): return A(x).x * 2"),
    "counter": fenced("from collections import Counter\ndef f(x):\n    if not isinstance(x, int): return x * 2\n    return Counter({'x': x, 'y': x}).total()"),
    "namedtuple": fenced("from collections import namedtuple\nP = namedtuple('P', 'x')\ndef f(x): return P(x).x * 2"),
    "generator": fenced("def g(x):\n    yield x\n    yield x\ndef f(x):\n    a, b = g(x)\n    return a + b"),
    "recursion": fenced("import sys\nsys.setrecursionlimit(10 ** 6)\ndef d(n): return 0 if n == 0 else d(n - 1)\ndef f(x):\n    d(20000)\n    return x + x"),
    "cache": fenced("from functools import lru_cache, cache\n@lru_cache(maxsize=None)\ndef g(x): return x * 2\ndef f(x): return g(tuple(x)) and x * 2 if isinstance(x, list) else g(x)"),
    "heap and bisect": fenced("import heapq, bisect\ndef f(x):\n    h = [2, 1]\n    heapq.heapify(h)\n    return x * (heapq.heappop(h) + 1)"),
    "typing": fenced("from typing import *\nT = TypeVar('T')\ndef f(x: Union[int, List[int], Optional[float]]) -> 'T':\n    return x * 2"),
    "future": fenced("from __future__ import annotations\ndef f(x: Undefined) -> list[int] | None:\n    return x * 2"),
    "class Solution": fenced("class Solution:\n    def f(self, x: List[int]) -> Optional[int]:\n        return x * int(sqrt(4)) ** pow(1, 5, 3)"),
    "lambda": fenced("f = lambda x: x * 2"),
    "operator overloading": fenced("class V:\n    def __init__(s, x): s.x = x\n    def __add__(s, o): return s.x + o.x\n    def __eq__(s, o): return s.x == o.x\ndef f(x): return V(x) + V(x)"),
    "match": fenced("def f(x):\n    match x:\n        case list(): return x + x\n        case _: return x * 2"),
    "walrus and comprehension": fenced("def f(x):\n    return [y for z in [x] if (y := z * 2) is not None][0]"),
    "decorator and closure": fenced("import functools\ndef twice(g):\n    @functools.wraps(g)\n    def h(x): return g(x) + g(x)\n    return h\n@twice\ndef f(x): return x"),
    "nonlocal and global": fenced("n = 0\ndef f(x):\n    global n\n    n += 1\n    k = x\n    def g():\n        nonlocal k\n        k = k + x\n    g()\n    return k"),
    "exceptions": fenced("def f(x):\n    try: return x.double()\n    except AttributeError: return x * 2\n    finally: pass"),
    "prints and asserts": fenced("import sys\ndef f(x):\n    print('debug', x, file=sys.stderr)\n    print(x)\n    return x * 2\nassert f(2) == 4\nprint('ok')"),
    "subclass results": fenced("class I(int): pass\nclass F(float): pass\nclass L(list): pass\ndef f(x): return I(x * 2) if isinstance(x, int) else F(x * 2) if isinstance(x, float) else L(x * 2)"),
    "abstract and protocol": fenced("from abc import ABC, abstractmethod\nclass B(ABC):\n    @abstractmethod\n    def go(self, x): ...\nclass C(B):\n    def go(self, x): return x * 2\ndef f(x): return C().go(x)"),
    "asyncio inside": fenced("import asyncio\nasync def g(x):\n    await asyncio.sleep(0)\n    return x * 2\ndef f(x): return asyncio.run(g(x))"),
    "threads": fenced("from concurrent.futures import ThreadPoolExecutor\ndef f(x):\n    with ThreadPoolExecutor(2) as pool:\n        return list(pool.map(lambda y: y * 2, [x]))[0]"),
    "random with a seed, output caught": fenced("import random, io, contextlib\ndef f(x):\n    random.seed(0)\n    with contextlib.redirect_stdout(io.StringIO()) as out:\n        print('x')\n    return x * len(out.getvalue())"),
    "enum": fenced("import enum\nclass E(enum.Enum):\n    A = 2\ndef f(x):\n    assert E(2) is E.A\n    return x * E.A.value"),
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_right_programs_in_usual_styles(style: str) -> None:
    tests = [
        "assert f(2) == 4",
        "assert abs(f(0.5) - 1) < 1e-9",
        "x = [1, 2]\nassert f(x) == [1, 2, 1, 2] and x == [1, 2]",
    ]
    verdict = code_reward(STYLES[style], tests, entry_point="f")
    assert verdict.status is Status.CORRECT, verdict


# Each sums the numbers of which the first line says how many there are.
SCRIPTS = {
    "input": "n = int(input())\nprint(sum(map(int, input().split())))",
    "loop": "n = int(input())\nt = 0\nwhile n:\n    for x in input().split():\n        t += int(x)\n        n -= 1\nprint(t)",
    "read": "import sys\nn, *xs = map(int, sys.stdin.read().split())\nprint(sum(xs))",
    "lines": "import sys\ndata = [line.split() for line in sys.stdin]\nsys.stdout.write(str(sum(map(int, data[1]))))",
    "readline": "import sys\ninput = sys.stdin.readline\nn = int(input())\nxs = list(map(int, input().split()))\nprint(f'{sum(xs)}')",
    "buffer": "import sys\ndata = sys.stdin.buffer.read().split()\nprint(sum(map(int, data[1:])))",
    "open": "n, *xs = map(int, open(0).read().split())\nprint(sum(xs))",
    "guard": "def main():\n    input()\n    print(sum(map(int, input().split())))\nif __name__ == '__main__':\n    main()",
    "class": "class Solution:\n    def solve(self, xs): return sum(xs)\ninput()\nprint(Solution().solve([int(x) for x in input().split()]))",
    "until it ends": "xs = []\ntry:\n    while True: xs += input().split()\nexcept EOFError:\n    pass\nprint(sum(map(int, xs[1:])))",
    "thread": "import sys, threading\ndef main():\n    input()\n    print(sum(map(int, input().split())))\nt = threading.Thread(target=main)\nt.start()\nt.join()",
    "exit": "import sys\ninput()\nprint(sum(map(int, input().split())))\nsys.exit()",
}  # fmt: skip


@pytest.mark.parametrize("style", SCRIPTS)
def test_right_scripts_in_usual_styles(style: str) -> None:
    tests = [{"input": "3\n1 2 3\n", "output": "6\n"}, {"input": "2\n40 2", "output": "42"}]
    verdict = code_reward(f"{fenced(SCRIPTS[style])}\nExample input:\n```\n3\n1 2 3\n```", tests)
    assert verdict.status is Status.CORRECT, verdict


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
        verdict = code_reward(fenced(program), self.TESTS, cpu_seconds=1, wall_seconds=60)
        assert verdict.status is Status.WRONG
        assert verdict.reason.startswith(reason)

    def test_cpu_time_is_counted_over_all_tests(self) -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        verdict = code_reward(fenced("while True: pass"), self.TESTS * 10, cpu_seconds=1, wall_seconds=60)
        assert verdict.reason == "test 1 of 20: the program ran out of CPU time"
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3

    @pytest.mark.parametrize(
        "program",
        [
            "import time\ntime.sleep(100)",
            "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
            "import signal\nwhile True: signal.pause()",
            "import threading\nthreading.Event().wait()",
            "import os\nos.closerange(0, 99)\nimport time\ntime.sleep(100)",
            "import os\nos.read(os.pipe()[0], 1)",
        ],
    )
    def test_waiting_is_wrong(self, program: str) -> None:
        """It is the program's own doing, so it must not be better than an honest mistake."""
        called = fenced("def f():\n" + textwrap.indent(program, "    "))
        for completion, tests in ((fenced(program), self.TESTS), (called, ["assert f() is None"])):
            verdict = code_reward(completion, tests, wall_seconds=0.3, wrong=-1.0)
            assert (verdict.status, verdict.reward) == (Status.WRONG, -1.0)
            assert "ran past its time limit of 0.3 s" in verdict.reason

    def test_dying_late_is_wrong(self) -> None:
        """Also when there is no time left to start it again."""
        dying = fenced("import os, time\ndef f():\n    time.sleep(0.29)\n    os._exit(0)")
        verdict = code_reward(dying, ["assert f() is None"] * 9, wall_seconds=0.3)
        assert verdict.status is Status.WRONG

    @pytest.mark.parametrize("tests", [TESTS, ["assert f() is None"]])
    def test_a_machine_without_a_core_is_no_fault(self, tests: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """The time that a program waits for a core is not its own; at last there is no verdict."""
        waiting = iter(range(10**6))
        monkeypatch.setattr(run, "_waited", lambda process: float(next(waiting)))
        verdict = code_reward(fenced("import time\ntime.sleep(100)"), tests, wall_seconds=0.2)
        assert (verdict.status, verdict.reward) == (Status.TIMEOUT, None)
        assert "too busy" in verdict.reason

    def test_waiting_for_a_core_is_seen(self) -> None:
        """Of processes on one core all but one wait, as the kernel counts it; one that sleeps does not."""
        core = str(min(os.sched_getaffinity(0)))
        burn = f"import os, time\nos.sched_setaffinity(0, [{core}])\nt = time.time() + 0.6\nwhile time.time() < t: pass"
        scripts = [burn, burn, burn, "import time; time.sleep(0.6)"]
        running = [subprocess.Popen([sys.executable, "-c", each]) for each in scripts]
        for process in running:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        waits = [run._waited(str(process.pid)) for process in running]
        for process in running:
            process.wait()
        if not any(waits):
            pytest.skip("the kernel does not say how long a process waited")
        assert max(waits[:3]) > 0.15
        assert waits[3] < max(waits[:3])

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

        def is_confined(pid: str) -> bool:
            try:
                return "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
                return False

        caller = textwrap.dedent("""
            from rlvr.rewards.code import code_reward
            while True:  # on a busy machine a sandbox may not have started in time
                code_reward("```python\\nwhile True: pass\\n```", ["assert f()"], cpu_seconds=60, wall_seconds=60)
        """)
        process = subprocess.Popen([sys.executable, "-c", caller])
        try:
            confined: list[str] = []
            limit = time.monotonic() + 100
            while len(confined) < 1 and time.monotonic() < limit:
                os.sched_yield()  # the caller has the same core
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
                confined = [pid for pid in children if is_confined(pid)]
            descriptors = [os.pidfd_open(int(pid)) for pid in confined]
            assert len(descriptors) == 1
        finally:
            process.kill()
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
        back = wire.received(json.loads(json.dumps(wire.encode(value))))
        assert back == value
        assert type(back) is type(value)

    @pytest.mark.parametrize(
        "data",
        [
            ["made", ["os", "system", ["true"]]],
            ["made", ["builtins", "eval", ["1"]]],
            ["made", ["decimal", "Decimal", ["1e999999"]]],
            ["made", ["fractions", "Fraction", [1, 0]]],
            ["made", ["datetime", "date", [1, 2, 3, 4]]],
            ["made", ["collections", "deque", [5, None]]],
            ["made", ["decimal", "localcontext", []]],
            ["x", 1],
            ["call", [["name", "f"], [], {}]],
            {},
            [],
            ["list", 5],
            ["list", [["list", []]], 1],
            ["dict", [[["list", []], 1]]],
            ["set", [["dict", []]]],
            ["int", "z"],
            ["int", "f" * 10**6],
            ["named", [[["list", []]], 5]],
            [["list", []], []],
            ["set", [["int", hex(i * (2**61 - 1))] for i in range(99)]],
        ],
    )
    def test_nothing_else_is_made(self, data: Any) -> None:
        with pytest.raises(wire.WireError):
            wire.received(data)

    def test_depth(self) -> None:
        value: Any = 1
        for _ in range(99):
            value = [value]
        assert wire.received(wire.encode(value)) == value
        with pytest.raises(wire.NotPlain, match="nested"):
            wire.encode([[value]])
        data: Any = 1
        for _ in range(10**4):
            data = ["list", [data]]
        with pytest.raises(wire.WireError, match="nested"):
            wire.received(data)


def test_in_the_reward_service() -> None:
    """The program's own limit is met before the service's deadline."""
    config = RewardConfig(
        {"code": {"_target_": "rlvr.rewards.code.code_reward", "wall_seconds": 1.0}}, deadline=5.0
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
    assert [v.status for v in verdicts] == [Status.CORRECT, Status.WRONG, Status.WRONG, Status.CORRECT]


def test_a_limit_beyond_the_deadline_is_refused() -> None:
    target = {"_target_": "rlvr.rewards.code.code_reward"}
    assert list(validate_reward(RewardConfig({"code": target}))) == []
    (message,) = validate_reward(RewardConfig({"code": {**target, "wall_seconds": 9.5}}, deadline=10.0))
    assert "wall_seconds is 9.5, but reward.deadline is 10" in message
    assert "raise reward.deadline to 10.5" in message


def test_no_network_even_to_this_machine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        outcome = script(f"import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{port}')")
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
    assert "Operation not permitted" in outcome.errors
