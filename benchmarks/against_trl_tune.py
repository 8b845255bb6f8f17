"""Which settings make a step of either side fastest, for `against_trl.py --tune`.

TRL first gets micro-batches of several sizes, then, with the best of them, its other ways to generate.
A setting that fails or is killed is in the table too.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from against_trl_cases import CASES, Case
from against_trl_sides import Side, SideFailed, our_side, prepare, trl_side

DEFAULTS: dict[str, Any] = {"ours": [], "trl": {"per_device_train_batch_size": 16}}
MINUTES = {"0.5M": 9, "3M": 10, "10M": 25, "135M": 90}  # on two quiet cores
STEPS = {  # of TRL: that do not count, that do; ours makes more
    "0.5M": (2, 5),
    "3M": (1, 2),
    "10M": (0, 1),
    "135M": (0, 1),
}
ROWS = {"0.5M": (32, 64, 128, 256), "3M": (16, 32, 64, 128), "10M": (4, 8, 16, 32, 64), "135M": (2, 4, 8, 16)}
BUDGETS = {
    "0.5M": (2048, 4096, 8192),
    "3M": (1024, 2048, 4096),
    "10M": (1024, 2048, 4096),
    "135M": (1024, 2048, 4096),
}


def generations(case: Case) -> list[dict[str, Any]]:
    """TRL's ways beside a cache that grows.

    Continuous batching as it comes takes most of the memory for its cache: it gets pages for all answers at
    once, and room for as many tokens in a pass as there are answers, or four times that.
    """
    page = 32
    pages = case.rollouts * -(-(case.max_tokens + (128 if case.chat else 16)) // page)
    return [
        {"cache_implementation": "static"},
        *(
            {
                "use_transformers_continuous_batching": True,
                "transformers_continuous_batching_config": {
                    "page_size": page,
                    "num_blocks": pages,
                    "max_batch_tokens": tokens,
                },
            }
            for tokens in (256, 1024)
        ),
    ]


def find(name: str, python: Path, checkpoint: Path | None) -> dict[str, Any]:
    """The tables of what was tried, and the `chosen` settings."""
    case, (warm_up, steps) = CASES[name], STEPS[name]
    ready = partial(prepare, case=case, checkpoint=checkpoint)
    ours: list[dict[str, Any]] = []
    trl: list[dict[str, Any]] = []

    def of_trl(settings: dict[str, Any]) -> None:
        start = partial(trl_side, python, case=case, settings=settings)
        trl.append(attempt(start, ready, warm_up, steps, settings))

    for rows in ROWS[name]:
        of_trl({"per_device_train_batch_size": rows})
    rows_alone = best(trl)
    for generation in generations(case):
        of_trl({**rows_alone, **generation})

    def of_ours(settings: list[str]) -> None:
        start = partial(our_side, case=case, settings=settings)
        ours.append(attempt(start, ready, 1, steps + 2, settings))

    for packing in ("false", "true"):
        for budget in BUDGETS[name]:
            of_ours([f"learner.packing={packing}", f"learner.micro_batch_tokens={budget}"])
    alone = best(ours)
    for workers in (["rollout.workers=2"], ["learner.workers=2"], ["rollout.workers=2", "learner.workers=2"]):
        of_ours([*alone, *workers])
    return {"ours": ours, "trl": trl, "chosen": {"ours": best(ours), "trl": best(trl)}}


def best(table: list[dict[str, Any]]) -> Any:
    """The settings of the fastest row."""
    return min(table, key=lambda row: row.get("seconds", float("inf")))["settings"]


def attempt(
    start: Callable[[Path], Side], prepare: Callable[[Path], int], warm_up: int, steps: int, settings: Any
) -> dict[str, Any]:
    row: dict[str, Any] = {"settings": settings}
    with tempfile.TemporaryDirectory(prefix="against_trl_") as place:
        folder = Path(place)
        prepare(folder)
        try:
            with start(folder) as side:
                side.wait()
                made = [side.step() for _ in range(warm_up + steps)][warm_up:]
                row["seconds"] = statistics.median(figures["wall"] for figures in made)
                row["peak_memory_gib"] = sum(side.peak_memory().values())
        except SideFailed as failure:
            row["failed"] = str(failure).strip().splitlines()[-1]
    print(f"  {row}", flush=True)
    return row
