"""`rlvr verify FILE.jsonl`: check every answer in a file, in worker processes that can be killed."""

from __future__ import annotations

import argparse
import gzip
import io
import json
import math
import os
import sys
import time
import zlib
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rlvr.base.settings import out_of_range
from rlvr.rewards.config import RewardConfig

if TYPE_CHECKING:  # numpy and the verifier wait until the arguments are known to be right
    from rlvr.types import Problem, Verdict

DESCRIPTION = """\
Check answers. Every line of FILE is {"id", "gold", "prediction"}: gold is the reference answer, prediction
the completion to check. A line without an id gets its line number as id; blank lines are skipped.
Every line of VERDICTS is {"id", "status", "seconds", "extracted", "rule", "explanation"}, in the order of
FILE; the status is correct, wrong, unparseable, timeout or crashed. The last line of standard output is a
JSON object: how many of each, the seconds it took, and the seconds per answer (latency: p50, p99, max).
"""
EXIT_CODES = """\
A malformed line is reported with its number and counted (bad_lines); the other lines are still checked.
exit codes: 0 every line has its verdict, 2 bad lines or wrong arguments, 3 an error ended the check,
            130 stopped by Ctrl-C
"""
STRICTNESS = ("rounding_digits", "relative_tolerance", "require_units", "evaluated", "extraction")
_KEYS_SHOWN = 8


def main(arguments: Sequence[str]) -> int:
    """Run `rlvr verify`; the exit code (see EXIT_CODES). Raises SystemExit on wrong arguments and --help."""
    started = time.perf_counter()
    parser = _parser()
    options = parser.parse_args(arguments)
    given = {name: getattr(options, name) for name in STRICTNESS if hasattr(options, name)}
    # unlike the math reward, this command only compares answers: it does not ask for evaluated numbers
    strictness = {"evaluated": False, **given}
    config = RewardConfig(
        {"math": {"_target_": "rlvr.rewards.math.math_reward", **strictness}},
        deadline=options.deadline,
        workers=options.workers,
    )
    for message in out_of_range(config):
        parser.error(message)
    if given:
        from rlvr.verify.settings import VerifySettings

        try:
            VerifySettings(**strictness)
        except ValueError as error:
            parser.error(str(error))

    from rlvr.types import DataError, RlvrError

    try:
        with ExitStack() as stack:
            answers = Answers(_open(options.file, stack), options.file)
            out = _open_out(options.out, options.file, stack)
            tally = _verify(answers, config, out)
    except KeyboardInterrupt:
        print("rlvr verify: stopped; all verdicts written so far are complete lines", file=sys.stderr)
        return 130
    except (RlvrError, OSError) as error:
        print(f"rlvr verify: {error}", file=sys.stderr)
        return 2 if isinstance(error, DataError) else 3
    tally.bad_lines = answers.bad_lines
    try:
        print(json.dumps(tally.summary(time.perf_counter() - started)), flush=True)
    except OSError as error:  # a closed pipe, or a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would try again at exit
        print(f"rlvr verify: the summary could not be printed: {error}", file=sys.stderr)
        return 3
    return 2 if answers.bad_lines else 0


class Answers:
    """The answers of a JSON Lines file, plain or gzipped, read lazily.

    `items` skips bad lines, which are reported on standard error and counted in `bad_lines`. It appends the
    id of every item to `ids`; the reader of verdicts, which arrive in the same order, pops it from the left.
    """

    def __init__(self, file: io.BufferedIOBase, name: str) -> None:
        self.file, self.name = file, name
        self.ids: deque[Any] = deque()
        self.bad_lines = 0

    def items(self) -> Iterator[tuple[Problem, str]]:
        """(Problem without a text, completion) for each good line."""
        from rlvr.types import Problem

        for number, line in self._lines():
            try:
                identity, gold, prediction = _read(line, number)
            except (ValueError, RecursionError) as error:
                self._report(
                    number, "it is nested too deeply" if isinstance(error, RecursionError) else error
                )
                continue
            self.ids.append(identity)
            yield Problem(f"{identity}"[:80], "", gold), prediction

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        """The number and content of every line that is not blank, until the end or a read error."""
        number = 0
        while True:
            number += 1
            try:
                line = self.file.readline()
            except (EOFError, OSError, zlib.error) as error:
                self._report(number, f"the file cannot be read from here on ({error}): get it again")
                return
            if not line:
                return
            if line.strip():
                yield number, line

    def _report(self, number: int, fault: object) -> None:
        self.bad_lines += 1
        print(f"{self.name}:{number}: {fault}", file=sys.stderr, flush=True)


class Tally:
    """Counts of verdicts, and how long each took."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.seconds = array("d")
        self.bad_lines = 0

    def add(self, verdict: Verdict) -> None:
        self.statuses[verdict.status] += 1
        self.seconds.append(verdict.seconds)

    def summary(self, seconds: float) -> dict[str, Any]:
        """The last line of output. `seconds` is the total wall-clock time; latencies are per answer."""
        from rlvr.types import Status

        ordered = sorted(self.seconds)
        latency = {
            name: ordered[math.ceil(share * len(ordered)) - 1] if ordered else None
            for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
        }
        return {
            "n": len(ordered),
            **{str(status): self.statuses[status] for status in Status},
            "bad_lines": self.bad_lines,
            "seconds": seconds,
            "latency": latency,
        }


def _verify(answers: Answers, config: RewardConfig, out: io.BufferedIOBase | None) -> Tally:
    """Check all `answers`, and write the verdicts in order, each as soon as possible."""
    from rlvr.rewards.service import RewardService

    tally = Tally()
    with RewardService(config) as service:
        for verdict in service.stream(answers.items()):
            tally.add(verdict)
            line = {
                "id": answers.ids.popleft(),
                "status": str(verdict.status),
                "seconds": verdict.seconds,
                "extracted": verdict.extracted,
                "rule": verdict.rule,
                "explanation": verdict.reason.removeprefix("math: "),
            }
            if out:
                out.write(json.dumps(line).encode() + b"\n")
                out.flush()
    return tally


def _read(line: bytes, number: int) -> tuple[Any, str, str]:
    """Id, gold and prediction of one line. Raises ValueError, whose message says what is wrong with it."""
    try:
        # Files contain lone surrogates both encoded as bytes and escaped.
        text = line.decode("utf-8-sig" if number == 1 else "utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (byte {error.start + 1}): save the file as UTF-8") from None
    try:
        row = json.loads(text)
        json.dumps(row.get("id") if isinstance(row, dict) else None, allow_nan=False)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"not JSON ({error.msg}, column {error.colno}): write one object on one line"
        ) from None
    except ValueError as error:  # an integer with too many digits, an infinity
        raise ValueError(f"not JSON ({error}): write such a value as a string") from None
    if not isinstance(row, dict):
        raise ValueError(f'a {_kind(row)} instead of an object: write {{"id", "gold", "prediction"}}')
    for key in ("gold", "prediction"):
        if key not in row:
            keys = ", ".join(name[:40] for name in list(row)[:_KEYS_SHOWN])
            raise ValueError(f'no "{key}" (its keys: {keys or "none"}): add this key')
        if not isinstance(row[key], str):
            raise ValueError(f'"{key}" is a {_kind(row[key])}: write it as a string')
    return row.get("id", number), row["gold"], row["prediction"]


def _kind(value: object) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "truth value", type(None): "null"}
    return names.get(type(value), "number")


def _open(path: str, stack: ExitStack) -> io.BufferedIOBase:
    """The file at `path` (standard input for "-"), decompressed if it starts with gzip's magic number."""
    from rlvr.types import DataError

    stdin = path == "-"
    try:
        file = open(0 if stdin else path, "rb", closefd=not stdin)  # noqa: SIM115 (the stack closes it)
        stack.enter_context(file)
        zipped = file.peek(2)[:2] == b"\x1f\x8b"
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror}: name a JSON Lines file (or - for standard input)"
        ) from error
    return stack.enter_context(gzip.GzipFile(fileobj=file)) if zipped else file


def _open_out(path: str | None, source: str, stack: ExitStack) -> io.BufferedIOBase | None:
    from rlvr.types import DataError

    if path is None:
        return None
    if source != "-" and os.path.exists(path) and os.path.samefile(path, source):
        raise DataError(f"--out {path} is the input file: name another one")
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        return stack.enter_context(open(path, "wb"))
    except OSError as error:
        raise DataError(f"--out {path}: {error.strerror}: name a file that can be written") from error


def _parser() -> argparse.ArgumentParser:
    defaults = RewardConfig()
    parser = argparse.ArgumentParser(
        "rlvr verify",
        description=DESCRIPTION,
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("file", metavar="FILE", help="JSON Lines, plain or gzipped; - is standard input")
    add("--out", metavar="VERDICTS", help="write the verdicts to this file (overwritten); unset: only counts")
    add("--deadline", type=float, default=defaults.deadline, metavar="SECONDS",
        help="time limit for one answer, after which its verdict is timeout (%(default)s)")  # fmt: skip
    add("--workers", type=int, default=defaults.workers, metavar="N", help="processes (%(default)s)")
    strict = parser.add_argument_group("strictness", "the settings of rlvr.verify.VerifySettings")
    add = strict.add_argument
    # Defaults are suppressed: they are the verifier's own, and importing it here would take time.
    add("--rounding-digits", type=int, default=argparse.SUPPRESS, metavar="N",
        help="a decimal with this many significant digits equals the number that it rounds; "
        "0: exact (6)")  # fmt: skip
    add("--relative-tolerance", type=float, default=argparse.SUPPRESS, metavar="X",
        help="additional tolerance between real numbers, relative to the reference (0)")  # fmt: skip
    add("--require-units", action="store_true", default=argparse.SUPPRESS,
        help="the answer must name the unit that the reference names")  # fmt: skip
    add("--evaluated", action="store_true", default=argparse.SUPPRESS,
        help="if the reference is a number, the answer must be one too, not an unevaluated "
        "expression")  # fmt: skip
    add("--extraction", choices=("strict", "normal", "lenient"), default=argparse.SUPPRESS,
        help="strict: only an explicitly marked answer; normal: also the answer in the last sentence; "
        "lenient: also the last number (normal)")  # fmt: skip
    return parser
