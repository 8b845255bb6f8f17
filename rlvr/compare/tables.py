"""The comparison as CSV: a row for each arm, and a row for each run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence

from rlvr.compare.curves import Curve
from rlvr.compare.results import ArmResult
from rlvr.compare.text import held_seconds
from rlvr.pipeline.status import State
from rlvr.statistics.change import Difference

Cell = str | int | float


def arms_csv(results: Sequence[ArmResult], baseline: int, metric: str) -> str:
    """A row for each arm. Values are fractions, not percent; unknown ones are empty."""
    return _csv([_arm(result, index == baseline, metric) for index, result in enumerate(results)])


def runs_csv(results: Sequence[ArmResult], metric: str) -> str:
    """A row for each run, used or not."""
    return _csv([_run(result, curve, metric) for result in results for curve in result.curves])


def _arm(result: ArmResult, is_baseline: bool, metric: str) -> dict[str, Cell]:
    row: dict[str, Cell] = {
        "arm": result.label,
        "settings": result.arm.settings,
        "baseline": int(is_baseline),
        "begun": sum(bool(curve.found.record.stages) for curve in result.curves),
        **{str(state).replace(" ", "_"): result.count(state) for state in State},
        "used": len(result.used),
        "seeds": " ".join(str(curve.found.seed) for curve in result.used),
        "metric": metric,
        "mean": result.value.mean,
        "low": result.value.low,
        "high": result.value.high,
        "interval_over": result.over,
        "best": result.best,
    }
    found = result.difference if isinstance(result.difference, Difference) else None
    row |= {
        "difference": found.mean if found else math.nan,
        "difference_low": found.low if found else math.nan,
        "difference_high": found.high if found else math.nan,
        "pairs": found.pairs if found else 0,
        "paired_over": found.over if found else "",
        "p": found.p if found else math.nan,
        "p_holm": found.p_holm if found else math.nan,
        "not_compared": "" if isinstance(result.difference, Difference) else result.difference,
    }
    held = held_seconds(result)
    moment = result.reached
    return row | {
        "steps": result.cost.steps,
        "seconds": result.cost.seconds,
        "tokens_sampled": result.cost.sampled,
        "tokens_trained": result.cost.trained,
        "gpu_seconds": held.get("GPU", math.nan),
        "cpu_seconds": held.get("CPU", math.nan),
        "reached_steps": moment.cost.steps if moment else math.nan,
        "reached_seconds": moment.cost.seconds if moment else math.nan,
        "reached_tokens_sampled": moment.cost.sampled if moment else math.nan,
    }


def _run(result: ArmResult, curve: Curve, metric: str) -> dict[str, Cell]:
    return {
        "run": str(curve.found.folder),
        "arm": result.label,
        "seed": curve.found.seed,
        "state": str(curve.state),
        "used": int(any(curve is other for other in result.used)),
        "metric": metric,
        "final": curve.final,
        "final_step": curve.points[-1].step if curve.points else math.nan,
        "steps": curve.cost.steps,
        "seconds": curve.cost.seconds,
        "tokens_sampled": curve.cost.sampled,
        "tokens_trained": curve.cost.trained,
    }


def _csv(rows: Sequence[dict[str, Cell]]) -> str:
    def plain(row: dict[str, Cell]) -> Iterator[Cell]:
        for value in row.values():
            yield "" if isinstance(value, float) and math.isnan(value) else value

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows(plain(row) for row in rows)
    return text.getvalue()
