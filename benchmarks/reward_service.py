"""What hostile rollouts cost the others: 1,000 of them through the reward service, 5% hostile.

    python benchmarks/reward_service.py --json report.json

The reward is the math reward, save that a completion with a mark makes it loop forever, allocate without
end, or abort its process: a bug that a completion can trigger. Some hostile completions have no mark but
an answer that is costly for a careless verifier. Every check notes when it began and ended, by the clock
that all processes share, so that the figures do not rest on what the service says of itself:

- the seconds from the first normal check to the end of the last one, with and without the hostile rollouts;
- `kept`: how long a worker was taken from others by one hostile rollout, that is from the end of the
  check before it to the begin of the check after it, with one worker and one sample at a time. Of a hang,
  that is the deadline and what comes on top: noticing, killing, a new worker, its first message;
- `respawn`: the same for one that aborts, where no deadline is waited for: from the death of a worker to
  the first check of its successor;
- `idle`: seconds in which a worker was at no check, on average over the workers: the price of replacing them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rlvr.record.run_folder import versions
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.math import math_reward
from rlvr.rewards.service import RewardService
from rlvr.types import Problem, Status, Verdict

Item = tuple[Problem, str]
HANG, ALLOCATE, ABORT = "<hang>", "<allocate>", "<abort>"
COSTLY = ("\\boxed{9^{9^{9^{9}}}}", "\\boxed{((10!)!)!}", "\\boxed{" + "\\sqrt{" * 2000 + "}" * 2001)
DEADLINE = 1.0  # seconds
WORKERS = 2
N, HOSTILE = 1000, 50
REPEATS = 20  # of one hostile rollout between two normal ones


def marked_reward(completion: str, answer: str) -> Verdict:
    """The math reward, with a bug. The reason is when the check began and ended, and in which process."""
    began = time.monotonic()
    if HANG in completion:
        while True:
            pass
    if ALLOCATE in completion:
        hoard = []
        while True:
            hoard.append(bytearray(1 << 24))
    if ABORT in completion:
        os.abort()
    verdict = math_reward(completion, answer)
    return replace(verdict, reason=json.dumps([began, time.monotonic(), os.getpid()]))


def normal_items(n: int, rng: random.Random) -> list[Item]:
    """Completions that end in numbers, fractions and expressions of many kinds, half of them right."""
    items = []
    for number in range(n):
        a, b = rng.randrange(2, 10**6), rng.randrange(2, 99)
        right = rng.random() < 0.5
        answer, given = [
            (f"{a}", f"{a + (not right):,}"),
            (f"\\frac{{{a}}}{{{b}}}", f"{a if right else a + 1}/{b}"),
            (f"({a}, {b})", f"\\left({a}, {b if right else -b}\\right)"),
            (f"{b}x + {a}", f"{a} + {b if right else b + 1} \\cdot x"),
            (f"{b}\\sqrt{{{a}}}", f"\\sqrt{{{a * b * b + (not right)}}}"),
        ][number % 5]
        text = (
            f"Let us think step by step. {'So we go on. ' * rng.randrange(200)}\nIt is $\\boxed{{{given}}}$."
        )
        items.append((Problem(f"normal-{number}", "", answer), text))
    return items


def hostile_items(n: int) -> list[Item]:
    """Two hangs for each allocation, abort and costly answer."""
    kinds = (HANG, ALLOCATE, HANG, ABORT, "")
    return [
        (Problem(f"hostile-{number}", "", "42"), kinds[number % 5] or COSTLY[number // 5 % len(COSTLY)])
        for number in range(n)
    ]


def config(workers: int) -> RewardConfig:
    functions = {"marked": {"_target_": "reward_service.marked_reward"}}
    return RewardConfig(functions, deadline=DEADLINE, workers=workers, memory_gib=0.5, cache=False)


def times(verdict: Verdict) -> tuple[float, float, int]:
    """Begin, end and process of a check that came to its end."""
    if not verdict.status.reached:
        raise SystemExit(f"a normal check has no verdict, measure on a quiet machine: {verdict.reason}")
    began, ended, process = json.loads(verdict.reason.removeprefix("marked: "))
    return began, ended, process


def mixed(items: Sequence[Item]) -> dict[str, Any]:
    """All `items` through the service, and how the normal ones among them fared."""
    with RewardService(config(WORKERS)) as service:
        service.score([(Problem("warm-up", "", "x+1"), f"\\boxed{{1+x+{i}}}") for i in range(64)])
        started = time.monotonic()
        verdicts = service.score(items)
        wall = time.monotonic() - started
    named = list(zip((problem.id for problem, _ in items), verdicts, strict=True))
    normal = [verdict for name, verdict in named if name.startswith("normal")]
    assert all(verdict.status.reached for verdict in normal), "a normal rollout has no verdict"
    ended = sorted(times(verdict)[1] - started for verdict in normal)
    overdue = [verdict.seconds - DEADLINE for _, verdict in named if verdict.status is Status.TIMEOUT]
    return {
        "rollouts": len(items),
        "statuses": dict(Counter(str(verdict.status) for verdict in verdicts)),
        "wall_seconds": wall,
        "verdicts_per_second": len(items) / wall,
        "normal": {
            "last_ended_after_seconds": ended[-1],
            "median_ended_after_seconds": statistics.median(ended),
            "most_seconds_without_any": max(b - a for a, b in zip([0.0, *ended], ended, strict=False)),
            "processes": len({times(verdict)[2] for verdict in normal}),
        },
        "killed_after_deadline_by_seconds": max(overdue, default=None),
        "hostile_seconds_per_worker": sum(v.seconds for name, v in named if name[0] == "h") / WORKERS,
        "idle_seconds_per_worker": wall - sum(verdict.seconds for verdict in verdicts) / WORKERS,
    }


def kept(completion: str) -> dict[str, float]:
    """Seconds that a hostile completion keeps the only worker from the next sample."""
    gaps = []
    plain, bad = (Problem("normal", "", "42"), "\\boxed{42}"), (Problem("hostile", "", "42"), completion)
    with RewardService(replace(config(workers=1), batch=1)) as service:
        for _ in range(REPEATS):
            before, _, after = service.score([plain, bad, plain])
            gaps.append(times(after)[0] - times(before)[1])
    return {"median": statistics.median(gaps), "max": max(gaps)}


def table(report: dict[str, Any]) -> str:
    lines = []
    for name in ("without", "with"):
        run = report[name]
        lines.append(
            f"{name} hostile: {run['rollouts']} rollouts in {run['wall_seconds']:.2f} s "
            f"({run['verdicts_per_second']:.0f}/s); the last normal one after "
            f"{run['normal']['last_ended_after_seconds']:.2f} s, {run['statuses']}"
        )
    run = report["with"]
    lines += [
        f"hostile rollouts kept each of the {WORKERS} workers for {run['hostile_seconds_per_worker']:.2f} s; "
        f"idle {run['idle_seconds_per_worker']:.2f} s",
        f"at most {run['normal']['most_seconds_without_any']:.2f} s passed without a normal verdict",
        f"a hang keeps a worker for the deadline of {DEADLINE:g} s and "
        f"{1e3 * (report['kept_by_a_hang']['median'] - DEADLINE):.0f} ms "
        f"(at most {1e3 * (report['kept_by_a_hang']['max'] - DEADLINE):.0f} ms)",
        f"respawn after an abort: {1e3 * report['respawn']['median']:.0f} ms "
        f"(at most {1e3 * report['respawn']['max']:.0f} ms)",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", type=Path, help="write the report there")
    options = parser.parse_args()
    rng = random.Random(0)
    normal, hostile = normal_items(N - HOSTILE, rng), hostile_items(HOSTILE)
    everything = [*normal, *hostile]
    rng.shuffle(everything)
    report: dict[str, Any] = {"deadline": DEADLINE}
    report["without"] = mixed(normal)
    report["with"] = mixed(everything)
    report["kept_by_a_hang"] = kept(HANG)
    report["respawn"] = kept(ABORT)
    report["versions"] = versions()
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))


if __name__ == "__main__":
    main()
