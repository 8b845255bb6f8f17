"""`rlvr verify` on real files, with real workers."""

from __future__ import annotations

import codecs
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rlvr.commands.verify import main
from rlvr.verify.settings import VerifySettings

KEYS = ["id", "status", "seconds", "extracted", "rule", "explanation"]
SUMMARY_KEYS = [
    "n", "correct", "wrong", "unparseable", "timeout", "crashed", "bad_lines", "seconds", "latency",
]  # fmt: skip
RUN = "import sys; from rlvr.commands.verify import main; sys.exit(main(sys.argv[1:]))"


def answer(identity: Any, gold: str = "42", prediction: str = "\\boxed{42}") -> dict[str, Any]:
    return {"id": identity, "gold": gold, "prediction": prediction}


def lines(*rows: Any) -> bytes:
    """JSON Lines; what is bytes stays as it is."""
    return b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)


def verdicts(path: Path) -> list[dict[str, Any]]:
    content = path.read_bytes()
    assert content == b"" or content.endswith(b"\n")
    return [json.loads(line) for line in content.decode().splitlines()]


class Run:
    """One run in this process: exit code, summary, verdicts, what was said."""

    def __init__(self, folder: Path, capfd: Any, content: bytes, *options: str) -> None:
        source, out = folder / "answers.jsonl", folder / "new" / "folder" / "verdicts.jsonl"
        source.write_bytes(content)
        self.code = main([str(source), "--out", str(out), *options])
        said = capfd.readouterr()
        self.summary = json.loads(said.out.splitlines()[-1])
        self.errors = said.err.replace(str(folder), "")
        self.verdicts = verdicts(out)


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    return lambda content, *options: Run(tmp_path, capfd, content, *options)


def test_a_verdict_per_line_and_a_summary(run: Any) -> None:
    done = run(
        lines(answer("a"), answer("b", "1/2", "The answer is 0.5"), answer("c", "41"), answer("d", "1", ""))
    )
    assert done.code == 0
    assert done.errors == ""
    assert [list(verdict) for verdict in done.verdicts] == [KEYS] * 4
    assert [verdict["id"] for verdict in done.verdicts] == ["a", "b", "c", "d"]
    assert [verdict["status"] for verdict in done.verdicts] == ["correct", "correct", "wrong", "unparseable"]
    assert done.verdicts[0]["extracted"] == "42"
    assert done.verdicts[3]["extracted"] is None
    assert all(verdict["rule"] for verdict in done.verdicts[:3])
    assert done.verdicts[2]["explanation"].startswith("42 (from the box) ≠ 41")
    assert list(done.summary) == SUMMARY_KEYS
    assert {key: done.summary[key] for key in SUMMARY_KEYS[:7]} == {
        "n": 4, "correct": 2, "wrong": 1, "unparseable": 1, "timeout": 0, "crashed": 0, "bad_lines": 0,
    }  # fmt: skip
    seconds = sorted(verdict["seconds"] for verdict in done.verdicts)
    assert done.summary["latency"] == {"p50": seconds[1], "p99": seconds[3], "max": seconds[3]}
    assert done.summary["seconds"] > sum(seconds)


def test_bad_lines_are_named_and_the_rest_is_done(run: Any) -> None:
    deep = b'{"id": ' + b"[" * 100_000
    content = lines(
        answer(1), b"{not json", [1, 2], {"id": 4, "answer": "1", "prediction": "1"},
        {"id": 5, "gold": 42, "prediction": "42"}, {"id": 6, "gold": "42", "prediction": None},
        b'{"id": 7, "gold": "\xff", "prediction": ""}', b'{"id": NaN, "gold": "", "prediction": ""}',
        b'{"id": 1' + b"0" * 5000 + b', "gold": "", "prediction": ""}', deep, b"", b"   ", answer(13),
    )  # fmt: skip
    done = run(content)
    assert done.code == 2
    assert [verdict["id"] for verdict in done.verdicts] == [1, 13]
    assert done.summary["n"] == done.summary["correct"] == 2
    assert done.summary["bad_lines"] == 9
    reports = done.errors.splitlines()
    assert [report.split(":")[1] for report in reports] == [str(number) for number in range(2, 11)]
    assert all(report.startswith("/answers.jsonl:") for report in reports)
    for report, expected in zip(
        reports,
        [
            "not JSON", "a list instead of an object", 'no "gold" (its keys: id, answer, prediction)',
            '"gold" is a number', '"prediction" is a null', "not UTF-8", "not JSON", "not JSON", "nested",
        ],
        strict=True,
    ):  # fmt: skip
        assert expected in report


def test_ids_come_back_as_they_were(run: Any) -> None:
    identities = ["x", 7, 1.5, None, True, [1, {"a": "ü"}], {"b": []}, "\ud800", 10**30, ""]
    unnamed = {"gold": "42", "prediction": "42"}
    done = run(lines(*map(answer, identities), unnamed), "--workers", "2")
    assert [verdict["id"] for verdict in done.verdicts] == [*identities, len(identities) + 1]
    assert type(done.verdicts[4]["id"]) is bool
    assert done.summary["correct"] == len(identities) + 1


def test_any_text_is_an_answer(run: Any) -> None:
    texts = [
        "\0",
        "\ud800\\boxed{\udfff}",
        "\\boxed{4\0" + "2}",
        "a\u2028b\x85c \\boxed{42}",
        "🤖",
        "x" * 5_000_000,
    ]
    rows = [answer(number, "42", text) for number, text in enumerate(texts)]
    raw = b'{"id": "raw surrogate", "gold": "42", "prediction": "\xed\xa0\x80 \\\\boxed{42}"}'
    done = run(codecs.BOM_UTF8 + lines(*rows, raw), "--deadline", "60")
    assert done.code == 0
    assert [verdict["id"] for verdict in done.verdicts] == [*range(len(texts)), "raw surrogate"]
    assert done.verdicts[3]["status"] == "correct"
    assert done.verdicts[-1]["status"] == "correct"
    assert done.summary["timeout"] == done.summary["crashed"] == 0


def test_gzip_is_known_by_its_content(run: Any) -> None:
    content = lines(*map(answer, range(50)))
    assert run(gzip.compress(content)).verdicts[49]["id"] == 49


def test_what_a_broken_gzip_file_still_gives_is_done(run: Any) -> None:
    content = lines(
        *(answer(number, prediction=f"{os.urandom(99).hex()} \\boxed{{42}}") for number in range(50))
    )
    done = run(gzip.compress(content)[:-2000])
    assert done.code == 2
    assert 0 < done.summary["n"] < 50
    assert done.summary["n"] == done.summary["correct"]
    assert done.summary["bad_lines"] == 1
    assert f"answers.jsonl:{done.summary['n'] + 1}: the file cannot be read" in done.errors


def test_settings_reach_the_verifier(run: Any) -> None:
    content = lines(
        answer("rounded", "1/3", "\\boxed{0.33}"), answer("unmarked", "42", "we have 7 and then 42 of them")
    )
    assert [verdict["status"] for verdict in run(content).verdicts] != ["correct", "correct"]
    done = run(content, "--relative-tolerance", "0.02", "--extraction", "lenient")
    assert [verdict["status"] for verdict in done.verdicts] == ["correct", "correct"]


# The math reward cannot be made to hang, so workers get one that does; it is read at the start of a process.
HANGING = """
import functools, os
import rlvr.rewards.math as module
real = module.math_reward

@functools.wraps(real)
def math_reward(completion, answer, **settings):
    while completion == "hang":
        pass
    if completion == "abort":
        os.abort()
    return real(completion, answer, **settings)

module.math_reward = math_reward
"""


def test_checks_that_hang_or_die_hold_no_other_up(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANGING)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    rows = [
        answer(1),
        answer("stuck", prediction="hang"),
        answer(2),
        answer("dead", prediction="abort"),
        answer(3),
    ]
    done = run(lines(*rows), "--deadline", "0.5")
    assert done.code == 0
    assert [verdict["id"] for verdict in done.verdicts] == [1, "stuck", 2, "dead", 3]
    statuses = [verdict["status"] for verdict in done.verdicts]
    assert statuses == ["correct", "wrong", "correct", "crashed", "correct"]
    for name, status in (("stuck", "deadline of 0.5 s"), ("dead", "SIGABRT")):
        verdict = next(verdict for verdict in done.verdicts if verdict["id"] == name)
        assert verdict["extracted"] is None
        assert verdict["rule"] == ("deadline" if name == "stuck" else None)
        if name == "dead":  # no verdict was reached: which sample it was is said
            assert name in verdict["explanation"]
        assert status in verdict["explanation"]
    assert [done.summary[status] for status in ("correct", "wrong", "crashed")] == [3, 1, 1]
    assert done.summary["latency"]["max"] == done.verdicts[1]["seconds"] >= 0.5


def test_an_empty_file_has_a_summary_too(run: Any) -> None:
    done = run(b"")
    assert done.code == 0
    assert done.summary["n"] == 0
    assert done.summary["latency"] == {"p50": None, "p99": None, "max": None}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: No such file"),
        (["."], "Is a directory"),
        (["answers.jsonl", "--out", "answers.jsonl"], "is the input file"),
        (["answers.jsonl", "--out", "answers.jsonl/verdicts"], "--out answers.jsonl/verdicts"),
    ],
)
def test_files_that_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("answers.jsonl").write_bytes(lines(answer(1)))
    assert main(arguments) == 2
    assert message in capfd.readouterr().err
    assert verdicts(Path("answers.jsonl")) == [answer(1)]


@pytest.mark.parametrize(
    "option",
    [
        ["--deadline", "0"], ["--deadline", "nan"], ["--workers", "0"], ["--rounding-digits", "-1"],
        ["--relative-tolerance", "2"], ["--extraction", "guess"], ["--dead", "3"],
    ],
)  # fmt: skip
def test_wrong_arguments_end_before_anything_is_written(
    tmp_path: Path, capfd: Any, option: list[str]
) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(SystemExit) as stop:
        main([os.devnull, "--out", str(out), *option])
    assert stop.value.code == 2
    assert "usage: rlvr verify" in capfd.readouterr().err
    assert not out.exists()


def test_an_operation_counts_unless_it_must_be_evaluated(run: Any) -> None:
    content = lines(answer("sum", "42", "\\boxed{40+2}"), answer("chain", "42", "\\boxed{40+2=42}"))
    assert [verdict["status"] for verdict in run(content).verdicts] == ["correct", "correct"]
    assert [verdict["status"] for verdict in run(content, "--evaluated").verdicts] == ["wrong", "correct"]


def test_help_is_quick_and_names_the_real_defaults() -> None:
    command = (
        "import atexit, sys, time; began = time.perf_counter()\n"
        "atexit.register(lambda: print(time.perf_counter() - began, sorted(sys.modules), file=sys.stderr))\n"
        "from rlvr.commands.verify import main\nmain(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    words = " ".join(done.stdout.split())
    defaults = VerifySettings()
    assert f"number that it rounds; 0: exact ({defaults.rounding_digits})" in words
    assert f"relative to the reference ({defaults.relative_tolerance:g})" in words
    assert f"also the last number ({defaults.extraction})" in words
    assert not defaults.require_units
    assert not defaults.evaluated
    seconds, _, modules = done.stderr.partition(" ")
    assert float(seconds) < 0.3
    for heavy in ("numpy", "torch", "ray", "hydra", "sympy"):
        assert f"'{heavy}'" not in modules


def test_standard_input_and_an_interrupt(tmp_path: Path) -> None:
    """Verdicts are written as they come, and Ctrl-C leaves whole lines and no process."""
    out = tmp_path / "verdicts.jsonl"
    command = [sys.executable, "-c", RUN, "-", "--out", str(out)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdin
    assert child.stdout
    written = 0
    child.stdin.write(lines(*map(answer, range(1000))))
    child.stdin.flush()
    until = time.monotonic() + 60
    while written < 500 and time.monotonic() < until:
        written = out.read_bytes().count(b"\n") if out.exists() else 0
        time.sleep(0.01)  # between looks at a file that another process writes
    assert written >= 500
    child.send_signal(signal.SIGINT)
    printed, errors = child.communicate(timeout=30)
    assert child.returncode == 130
    assert printed == b""
    assert b"stopped" in errors
    assert [verdict["id"] for verdict in verdicts(out)] == list(range(len(verdicts(out))))


def test_a_hundred_hostile_answers_among_good_ones(run: Any) -> None:
    hostile = [
        "\\boxed{9^{9^{9^{9}}}}", "\\boxed{((10!)!)!}", "\\boxed{" + "{" * 20_000 + "42" + "}" * 20_000 + "}",
        "__import__('os').system('touch HACKED')", "\\boxed{1e999999999}", "\\boxed{" * 5000,
        "the answer is " * 20_000, "(" * 50_000, "\\frac" * 20_000, "1," * 50_000,
    ]  # fmt: skip
    rows = [answer(number, "43", hostile[number % 10]) for number in range(100)]
    content = lines(*(row for pair in zip(rows, map(answer, range(100, 200)), strict=True) for row in pair))
    done = run(content, "--workers", "2")
    assert done.code == 0
    assert [verdict["status"] for verdict in done.verdicts[1::2]] == ["correct"] * 100
    assert done.summary["correct"] == 100
    assert not Path("HACKED").exists()
