"""How long `rlvr view` takes over a journal of a million rollouts, and how much memory.

    python benchmarks/viewer.py --json report.json

A seeded journal, 1,000 steps of 1,000 rollouts with 20 to 40 drawn tokens and a text each, is written to a
temporary folder. First view: the requests of the first page (runs; curve and journal; rollouts), from the
first to the last answer, by a server that has just been started, of several servers. Filters: one request
each for a page of 50, once everything is gathered, several times. Files are in the page cache, as they
are after a run; memory is resident memory of the server, from /proc; `load_before` is the machine's load
in the minute before the benchmark.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from rlvr.record.journal import SCHEMA, journal_path
from rlvr.record.run_folder import versions

SOURCE: dict[str, Any] = {"run": 0, "stage": "rl", "kind": "train"}
GROUP = 8
PROMPT = 10  # tokens
METRICS = 60  # numbers per step, about as many as a run writes
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "steps": {"step_min": 400, "step_max": 500},
    "verdict, by time of the check": {"status": "wrong", "sort": "seconds"},
    "reward part": {"part": "format", "part_min": 0.5, "offset": 1000},
    "by largest gap": {"sort": "gap"},
    "left out": {"left_out": "no advantage", "sort": "length"},
    "problem": {"problem": "is 77"},
    "text, in few": {"text": "#2401"},
    "text, in many": {"text": "77+"},
    "text, in none": {"text": "zebra"},
}

# ---------------------------------------------------------------- the journal


def lists(values: npt.NDArray[Any], offsets: npt.NDArray[np.int32], kind: pa.DataType) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, kind))


def token_columns(step: int, count: int, random: np.random.Generator) -> dict[str, pa.Array]:
    lengths = PROMPT + random.integers(20, 41, count)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    total = int(offsets[-1])
    sampled = np.arange(total) - np.repeat(offsets[:-1], lengths) >= PROMPT
    logprobs = np.where(sampled, -random.exponential(0.3, total), 0).astype(np.float32)
    columns = {
        "tokens": random.integers(3, 60, total).astype(np.int32),
        "sampled": sampled,
        "logprobs": logprobs,
        "versions": np.where(sampled, step - 1, -1).astype(np.int32),
        "advantages": (np.repeat(random.normal(size=count), lengths) * sampled).astype(np.float32),
        "learner_logprobs": np.where(sampled, logprobs + random.normal(0, 0.01, total), 0).astype(np.float32),
        "entropies": np.where(sampled, random.exponential(0.5, total), 0).astype(np.float32),
        "corrections": sampled.astype(np.float32),
    }
    return {
        name: lists(values, offsets, SCHEMA.field(name).type.value_type) for name, values in columns.items()
    }


def step_table(step: int, count: int, lines: list[str], random: np.random.Generator) -> pa.Table:
    """`count` rollouts; those of a group have their problem in common, and 12 lines of work each."""
    correct = random.random(count) < 0.3 + 0.0004 * step
    texts = [
        "".join([lines[i] for i in picked]) + f"#{picked[0]}"
        for picked in random.integers(0, len(lines), (count, 12)).tolist()
    ]
    problems = np.repeat(random.integers(0, 5000, -(-count // GROUP)), GROUP)[:count].tolist()
    formats = random.integers(0, 2, count).tolist()
    rewards = np.where(correct, 1.0, -1.0)
    columns: dict[str, Any] = {
        "group": np.arange(count) // GROUP,
        "step": np.full(count, step),
        "problem_id": [f"problem-{i}" for i in problems],
        "problem": [f"What is {i} + {7 * i % 1000}?" for i in problems],
        "answer": [str(i + 7 * i % 1000) for i in problems],
        "solution": [None] * count,
        "columns": ['{"level": 2}'] * count,
        "sample": np.arange(count) % GROUP,
        "seed": random.integers(0, 2**31, count),
        "text": texts,
        "finish_reason": np.where(random.random(count) < 0.95, "stop", "length"),
        "temperature": np.ones(count),
        "status": np.where(correct, "correct", np.where(random.random(count) < 0.1, "unparseable", "wrong")),
        "reward": rewards,
        "reason": [f"math: {text[-4:]} (from the hash line)" for text in texts],
        "extracted": [text[-4:] for text in texts],
        "parts": [
            [("math", reward), ("format", float(form))]
            for reward, form in zip(rewards.tolist(), formats, strict=True)
        ],
        "check_seconds": random.exponential(1e-3, count),
        "rule": ["exact rational numbers"] * count,
        "advantage": random.normal(size=count),
        "left_out": [None if kept else "no advantage" for kept in random.random(count) < 0.9],
    }
    arrays = {name: pa.array(values, type=SCHEMA.field(name).type) for name, values in columns.items()}
    arrays |= token_columns(step, count, random)
    return pa.table([arrays[name] for name in SCHEMA.names], schema=SCHEMA)


def write_run(folder: Path, steps: int, count: int) -> None:
    random = np.random.default_rng(0)
    lines = [f"{a}+{b}={a + b}\n" for a, b in random.integers(1, 1000, (4096, 2)).tolist()]
    for step in range(1, steps + 1):
        path = journal_path(folder / "rl", "train", step)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(step_table(step, count, lines, random), path, compression="zstd")
    folder.joinpath("config.yaml").write_text("stages: [rl]\n")
    names = ["train/reward", *(f"learner/number_{i}" for i in range(METRICS - 1))]
    with folder.joinpath("rl", "metrics.jsonl").open("w") as file:
        for step in range(1, steps + 1):
            values = random.normal(size=METRICS).tolist()
            file.write(json.dumps({"step": step, **dict(zip(names, values, strict=True))}) + "\n")


# ---------------------------------------------------------------- the server


@contextmanager
def server(folder: Path) -> Iterator[tuple[httpx.Client, subprocess.Popen[str], float]]:
    """A client, the process, and the seconds from its start to its address."""
    code = "import sys; from rlvr.commands.view import main; sys.exit(main(sys.argv[1:]))"
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder), "--no-browser", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        started = time.perf_counter() - start
        if found is None:
            raise SystemExit("the server did not start")
        with httpx.Client(base_url=found[0], timeout=60) as client:
            yield client, process, started
    finally:
        process.terminate()
        process.wait()


def ask(client: httpx.Client, path: str, **given: Any) -> Any:
    answer = client.get(f"/api/{path}", params={**SOURCE, **given})
    answer.raise_for_status()
    return answer.json()


def first_view(client: httpx.Client) -> float:
    start = time.perf_counter()
    for path in ("runs", "curve", "journal", "rollouts"):
        ask(client, path)
    return time.perf_counter() - start


def timed(client: httpx.Client, path: str, repeats: int, **given: Any) -> list[float]:
    """Seconds of each of so many equal requests, after one that is not counted."""
    ask(client, path, **given)
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        ask(client, path, **given)
        found.append(time.perf_counter() - start)
    return found


def memory(process: subprocess.Popen[str], name: str) -> float:
    """VmRSS or VmHWM of the server, in MiB."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024, 1)


def summary(values: list[float]) -> dict[str, float]:
    return {"median": round(1000 * statistics.median(values), 1), "worst": round(1000 * max(values), 1)}


def measure(folder: Path, repeats: int) -> dict[str, Any]:
    starts, views = [], []
    for _ in range(repeats):
        with server(folder) as (client, _, started):
            starts.append(started)
            views.append(first_view(client))
    with server(folder) as (client, process, _):
        begun = time.perf_counter()
        during = []
        while (state := ask(client, "journal"))["gathered"] < state["files"]:
            during += timed(client, "rollouts", 1, status="wrong")
        gathered = time.perf_counter() - begun
        settled = memory(process, "VmRSS")
        filters = {
            name: {
                "found": ask(client, "rollouts", **given)["count"],
                **summary(timed(client, "rollouts", repeats, **given)),
            }
            for name, given in FILTERS.items()
        }
        return {
            "start_ms": summary(starts),
            "first_view_ms": summary(views),
            "gathered_s": round(gathered, 1),
            "verdict_while_gathering_ms": summary(during or [0]),
            "filters_ms": filters,
            "groups_ms": summary(timed(client, "groups", repeats, status="wrong")),
            "one_rollout_ms": summary(timed(client, "rollout", repeats, step=1, row=7)),
            "memory_mib": {
                "gathered": settled,
                "after_the_filters": memory(process, "VmRSS"),
                "most": memory(process, "VmHWM"),
            },
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rollouts", type=int, default=1000, help="per step")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where the report goes; printed in any case")
    given = parser.parse_args()
    load = round(os.getloadavg()[0], 2)
    with tempfile.TemporaryDirectory(prefix="rlvr-viewer-") as folder:
        run = Path(folder) / "run"
        write_run(run, given.steps, given.rollouts)
        size = sum(path.stat().st_size for path in run.rglob("*.parquet"))
        report = {
            "machine": versions(),
            "load_before": load,
            "rollouts": given.steps * given.rollouts,
            "steps": given.steps,
            "journal_mib": round(size / 2**20),
            "repeats": given.repeats,
            **measure(run, given.repeats),
        }
    text = json.dumps(report, indent=2)
    print(text)
    if given.json:
        given.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
