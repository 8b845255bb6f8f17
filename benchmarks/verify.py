"""How often the verifier agrees with labelled answers, and how long it takes, beside math-verify.

    python benchmarks/verify.py --json report.json

Pairs: JSON Lines (gzipped) of {"id", "gold", "prediction", "expected", "category", "debatable"?,
"math_expected"?}; `math_expected` stands in for an `expected` that contradicts the mathematics, and
debatable pairs are counted apart. Both verifiers run in one process each, passes taking turns, and
nothing is remembered between pairs. math-verify 0.9.0 gets its best form: a virtual environment of its
own with the parser that it prefers (antlr 4.13.2), its own time-outs, and both sides between dollar signs
where they mark no LaTeX themselves. Ours gets the texts as they are. A latency is that of the whole
check, from two strings to a truth value. A verdict counts by majority of the passes.

Then the same pairs go through the reward service, and so do hostile ones, {"id", "gold", "prediction",
"must"}, in a folder and processes of their own: whether every `must` ("true", "false", or neither) is
met, what took over 2 s, files written, processes left, memory at most.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAIRS = ROOT.parent / "shared" / "verifier"
MATH_VERIFY = ("math-verify==0.9.0", "latex2sympy2_extended==1.11.0", "antlr4-python3-runtime==4.13.2")
WARM_UP = [  # so that no pair pays for imports and for tables that are built at the first use
    ("\\frac{1}{2}", "$0.5$"),
    ("[1, 2)", "$1 \\le x < 2$"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\boxed{\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}}"),
    ("x^2 + 2x + 1", "$(x + 1)^2$"),
    ("\\{1, \\sqrt{2}\\}", "$\\{\\sqrt{2}, 1\\}$"),
]
SLOW = 2.0  # seconds
MARK = "RLVR_BENCHMARK"  # environment variable by which our processes are found
Pair = dict[str, Any]
Timing = tuple[bool, float]  # called equal, seconds


def read_pairs(path: str | Path) -> list[Pair]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def run_ours(pairs: Sequence[Pair]) -> list[Timing]:
    from rlvr.types import Status
    from rlvr.verify.check import check_answer, forget_answers

    return timed(
        pairs, lambda gold, text: check_answer(text, gold).status is Status.CORRECT, before=forget_answers
    )


def run_theirs(pairs: Sequence[Pair]) -> list[Timing]:
    import importlib
    import logging

    math_verify = importlib.import_module("math_verify")  # of this pass's own environment, not of ours
    parse, verify = math_verify.parse, math_verify.verify

    def marked(text: str) -> str:
        return text if any(mark in text for mark in ("$", "\\boxed", "\\(", "\\[")) else f"${text}$"

    def check(gold: str, prediction: str) -> bool:
        return bool(verify(parse(marked(gold)), parse(marked(prediction))))

    logging.disable(logging.CRITICAL)
    return timed(pairs, check)


def timed(
    pairs: Iterable[Pair], check: Callable[[str, str], bool], before: Callable[[], None] = lambda: None
) -> list[Timing]:
    for gold, prediction in WARM_UP:
        check(gold, prediction)
    timings = []
    for pair in pairs:
        before()
        started = time.perf_counter()
        equal = check(pair["gold"], pair["prediction"])
        timings.append((equal, time.perf_counter() - started))
    return timings


def run_service(pairs: Sequence[Pair], workers: int, deadline: float) -> dict[str, Any]:
    """All `pairs` through one service: its verdicts, and wall-clock seconds without its start."""
    from rlvr.rewards.config import RewardConfig
    from rlvr.rewards.service import RewardService
    from rlvr.types import Problem

    functions = {"math": {"_target_": "rlvr.rewards.math.math_reward", "evaluated": False}}
    config = RewardConfig(functions, workers=workers, deadline=deadline, cache=False)
    items = [(Problem(pair["id"], "", pair["gold"]), pair["prediction"]) for pair in pairs]
    warm_up = [(Problem("warm-up", "", gold), text) for gold, text in WARM_UP] * (8 * workers)
    before = time.perf_counter()
    with RewardService(config) as service:
        service.score(warm_up)
        started = time.perf_counter()
        verdicts = service.score(items)
        ended = time.perf_counter()
    return {
        "statuses": [str(verdict.status) for verdict in verdicts],
        "seconds": [verdict.seconds for verdict in verdicts],
        "wall": ended - started,
        "start": started - before,
        "peak_gib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20,
    }


def one_pass(python: str | Path, what: str, pairs: Path, *more: str, cwd: str | None = None) -> Any:
    """Run this file once more, for one pass over `pairs`."""
    command = [str(python), __file__, "--pass", what, "--pairs", str(pairs), *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=cwd, env=os.environ | {MARK: "1"})
    return json.loads(done.stdout)


def expected(pair: Pair) -> bool:
    return bool(pair["expected"] if pair.get("math_expected") is None else pair["math_expected"])


def agreement(pairs: Sequence[Pair], passes: Sequence[Sequence[Timing]]) -> dict[str, Any]:
    """Accuracy and errors on the pairs that are not debatable, and by category."""
    called = [sum(equal for equal, _ in votes) * 2 > len(votes) for votes in zip(*passes, strict=True)]
    wrong: dict[bool, list[str]] = {True: [], False: []}  # by what the verifier said
    categories: dict[str, list[bool]] = defaultdict(list)
    debatable = []
    for pair, equal in zip(pairs, called, strict=True):
        right = equal == expected(pair)
        if pair.get("debatable"):
            debatable.append(right)
            continue
        categories[pair["category"]].append(right)
        if not right:
            wrong[equal].append(pair["id"])
    right_answers = [right for rights in categories.values() for right in rights]
    return {
        "n": len(right_answers),
        "accuracy": statistics.mean(right_answers),
        "false_positives": wrong[True],
        "false_negatives": wrong[False],
        "debatable": {"n": len(debatable), "agree": sum(debatable)},
        "by_category": {
            name: {"n": len(rights), "accuracy": statistics.mean(rights)}
            for name, rights in sorted(categories.items(), key=lambda item: -len(item[1]))
        },
    }


def latency(passes: Sequence[Sequence[Timing]]) -> dict[str, float]:
    """Milliseconds per check over all pairs: each figure is the median of the passes' figures."""
    figures = []
    for timings in passes:
        seconds = sorted(seconds for _, seconds in timings)
        p99 = seconds[int(0.99 * (len(seconds) - 1))]
        figures.append((statistics.median(seconds), statistics.mean(seconds), p99, seconds[-1]))
    columns = zip(*figures, strict=True)
    return {
        f"{name}_ms": 1e3 * statistics.median(column)
        for name, column in zip(("median", "mean", "p99", "max"), columns, strict=True)
    }


def compare(path: Path, passes: int, folder: Path) -> dict[str, Any]:
    """Both verifiers and the service on the labelled pairs."""
    pairs = read_pairs(path)
    print("installing math-verify in an environment of its own", file=sys.stderr)
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", *MATH_VERIFY], check=True, stdout=sys.stderr)
    timings: dict[str, list[list[Timing]]] = {"ours": [], "math_verify": []}
    served: dict[int, list[dict[str, Any]]] = {1: [], 2: []}
    for number in range(1, passes + 1):
        print(f"pass {number} of {passes}", file=sys.stderr)
        timings["ours"].append(one_pass(sys.executable, "ours", path))
        timings["math_verify"].append(one_pass(python, "math_verify", path))
        for workers, done in served.items():
            done.append(one_pass(sys.executable, "service", path, "--workers", str(workers)))
    report: dict[str, Any] = {
        name: {**agreement(pairs, done), "latency": latency(done)} for name, done in timings.items()
    }
    ours, theirs = (report[name]["latency"] for name in timings)
    report["mean_ratio"] = theirs["mean_ms"] / ours["mean_ms"]
    report["service"] = service_figures(served, ours["mean_ms"], len(pairs))
    freeze = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True)
    report["math_verify_environment"] = freeze.stdout.split()
    return report


def service_figures(served: dict[int, list[dict[str, Any]]], pure_mean_ms: float, n: int) -> dict[str, float]:
    """What the service gives, and what an answer costs beyond its check."""
    median = statistics.median
    extra = [(run["wall"] - sum(run["seconds"])) / n for run in served[1]]
    return {
        "pure_verdicts_per_second": 1e3 / pure_mean_ms,
        **{
            f"verdicts_per_second_{workers}_workers": n / median(run["wall"] for run in runs)
            for workers, runs in served.items()
        },
        "beyond_the_check_ms": 1e3 * median(extra),  # with one worker: it waits for the service alone
        "check_in_the_worker_mean_ms": 1e3 * median(statistics.mean(run["seconds"]) for run in served[1]),
        "start_seconds": median(run["start"] for run in served[2]),
    }


def hostile(path: Path, folder: Path) -> dict[str, Any]:
    """The hostile pairs through the service with two workers."""
    pairs = read_pairs(path)
    empty = folder / "empty"
    empty.mkdir()
    done = one_pass(sys.executable, "service", path, "--workers", "2", cwd=str(empty))
    unmet, slow = [], []
    for pair, status, seconds in zip(pairs, done["statuses"], done["seconds"], strict=True):
        reached = status not in ("timeout", "crashed")
        if not reached or (
            pair["must"] in ("true", "false") and (status == "correct") != (pair["must"] == "true")
        ):
            unmet.append(f"{pair['id']}: must be {pair['must']}, is {status}")
        if seconds > SLOW:
            slow.append(pair["id"])
    return {
        "n": len(pairs),
        "statuses": Counter(done["statuses"]),
        "unmet": unmet,
        "over_2_seconds": slow,
        "max_seconds": max(done["seconds"]),
        "wall_seconds": done["wall"],
        "files_written": sorted(str(file.relative_to(empty)) for file in empty.rglob("*")),
        "processes_left": marked_processes(),
        "peak_memory_gib": done["peak_gib"],
    }


def marked_processes() -> list[int]:
    """Processes that a pass started and that are still there."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}=1".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
    return found


def table(report: dict[str, Any]) -> str:
    lines = [f"{'':16}{'accuracy':>9}{'FP':>4}{'FN':>5}{'median':>9}{'mean':>9}{'p99':>9}{'max ms':>9}"]
    for name in ("ours", "math_verify"):
        one, ms = report[name], report[name]["latency"]
        errors = f"{len(one['false_positives']):4}{len(one['false_negatives']):5}"
        times = "".join(f"{ms[f'{figure}_ms']:9.2f}" for figure in ("median", "mean", "p99", "max"))
        lines.append(f"{name:16}{one['accuracy']:9.2%}{errors}{times}")
    lines.append(f"mean of math-verify / mean of ours: {report['mean_ratio']:.1f}")
    for name, figure in report["ours"]["by_category"].items():
        theirs = report["math_verify"]["by_category"][name]
        lines.append(f"  {name:28}{figure['n']:5}{figure['accuracy']:8.1%}{theirs['accuracy']:8.1%}")
    lines += [f"service: {name} {value:.4g}" for name, value in report["service"].items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=Path, default=PAIRS / "dev.jsonl.gz", help="labelled pairs")
    parser.add_argument("--hostile", type=Path, default=PAIRS / "adversarial.jsonl.gz", help="hostile pairs")
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the report there")
    parser.add_argument(
        "--pass", dest="one", choices=("ours", "math_verify", "service"), help=argparse.SUPPRESS
    )
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one == "service":
        print(json.dumps(run_service(read_pairs(options.pairs), options.workers, deadline=5.0)))
        return
    if options.one:
        run = {"ours": run_ours, "math_verify": run_theirs}[options.one]
        print(json.dumps(run(read_pairs(options.pairs))))
        return
    for path in (options.pairs, options.hostile):
        if not path.exists():
            parser.error(f"the pairs are not here: {path}: name them with --pairs and --hostile")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = compare(options.pairs.resolve(), options.passes, folder)
        report["hostile"] = hostile(options.hostile.resolve(), folder)
    from rlvr.record.run_folder import versions

    report["versions"] = versions()
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))
    print("hostile:", json.dumps(report["hostile"]))


if __name__ == "__main__":
    main()
