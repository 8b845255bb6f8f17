"""Settings of evaluation that cannot work, or would do nothing."""

from __future__ import annotations

from collections.abc import Iterator

from rlvr.evaluation.config import EvaluationConfig


def evaluation_messages(evaluation: EvaluationConfig) -> Iterator[str]:
    if evaluation.temperature == 0 and evaluation.samples > 1:
        yield f"evaluation.samples={evaluation.samples} has no effect with temperature 0: all would be equal"
    if wrong := [k for k in evaluation.ks if not 1 <= k <= evaluation.samples]:
        yield f"evaluation.ks names {wrong[0]}, but must be 1 to evaluation.samples={evaluation.samples}"
    if evaluation.temperature == 0 and evaluation.top_p < 1:
        yield f"evaluation.top_p={evaluation.top_p} has no effect with temperature 0"
