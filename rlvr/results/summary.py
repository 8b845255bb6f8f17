"""The summary table at the end of a run, from its metrics alone."""

from __future__ import annotations

from pathlib import Path

from rlvr.base.text import aligned
from rlvr.record.progress import duration
from rlvr.record.runs import stage_folder
from rlvr.record.sinks import Steps, read_metrics

HEAD = ("", "pass@1 (95% interval)", "gain", "steps", "wall-clock", "tokens")
PASS, STEPS = "heldout/pass@1", "heldout/true_steps"
STEPS_HEAD = "right, all steps true"


def summary_table(run_path: Path) -> str:
    """The results before and after RL, as a Markdown table with aligned columns.

    `run_path` is the folder of a run, or of its RL stage. The start is the held-out evaluation at RL
    step 0, the result is the last evaluation. Wall-clock time is the sum of time/step, without pauses
    before a resume and without evaluations; tokens are those trained on (SFT) and sampled (RL). Raises
    DataError without metrics.
    """
    folder = stage_folder(run_path, "rl") or run_path
    rl = read_metrics(folder / "metrics.jsonl")
    sft_folder = stage_folder(run_path, "sft")
    sft = read_metrics(sft_folder / "metrics.jsonl") if sft_folder else {}
    evaluated = [step for step, metrics in rl.items() if metrics.get(PASS) is not None]
    start = rl[0] if 0 in evaluated else {}
    end = rl[evaluated[-1]] if evaluated and evaluated[-1] > 0 else {}
    before, after = start.get(PASS), end.get(PASS)
    gain = "–" if before is None or after is None else f"{100 * (after - before):+.1f} points"
    rows: list[tuple[str, ...]] = [
        HEAD,
        ("SFT start" if sft else "start", _share(start, PASS), "", *_cost(sft, "tokens/trained")),
        ("after RL", _share(end, PASS), gain, *_cost(rl, "tokens/sampled")),
    ]
    if any(STEPS in metrics for metrics in rl.values()):
        cells = (STEPS_HEAD, _share(start, STEPS), _share(end, STEPS))
        rows = [(*row[:3], cell, *row[3:]) for row, cell in zip(rows, cells, strict=True)]
    return aligned(rows)


def _share(metrics: dict[str, float | None], name: str) -> str:
    value, low, high = (metrics.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value is None:
        return "–"
    return f"{value:.1%}" + (f" ({low:.1%} to {high:.1%})" if low is not None and high is not None else "")


def _cost(steps: Steps, tokens: str) -> tuple[str, str, str]:
    """Steps, wall-clock and tokens of a stage."""
    if not steps:
        return "–", "–", "–"
    seconds = sum(metrics.get("time/step") or 0.0 for metrics in steps.values())
    total = sum(metrics.get(tokens) or 0.0 for metrics in steps.values())
    return f"{max(steps):,}", duration(seconds), f"{total:,.0f}"
