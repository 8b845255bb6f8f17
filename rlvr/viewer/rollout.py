"""One rollout as its page shows it: what is known of every token, and the verdict."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlvr.record.latex import to_html
from rlvr.viewer.tokens import token_texts

VERDICT = (
    "status", "reward", "reason", "extracted", "rule", "true_steps", "check_seconds", "answer", "solution",
    "left_out", "advantage",
)  # fmt: skip
DRAWN = ("problem_id", "group", "sample", "temperature", "finish_reason")


def describe(row: dict[str, Any], kind: str, step: int, tokenizers: Sequence[Path]) -> dict[str, Any]:
    """The page of a rollout from its row of the journal; `step` is the one whose file it is in.

    Lists have a value per token [T], None where there is no such number. `gap` is the learner's
    log-probability less the sampler's, in nats, and `weight` its exponential: the importance weight.
    """
    sampled = row["sampled"]
    drawn = [token for token, own in zip(row["tokens"], sampled, strict=True) if own]
    return {
        **{name: row[name] for name in (*VERDICT, *DRAWN)},
        "parts": dict(row["parts"] or {}),
        "columns": json.loads(row["columns"] or "{}"),
        "seed": str(row["seed"]),  # 64 bits, more than a number of a browser holds
        "text": row["text"],
        "html": to_html(row["text"]),
        "problem": row["problem"],
        "problem_html": to_html(row["problem"]),
        "tokens": {
            "id": row["tokens"],
            "text": token_texts(row["tokens"], drawn, row["text"], tokenizers),
            **numbers(row, kind, step),
            "role": roles(row, kind),
        },
    }


def numbers(row: dict[str, Any], kind: str, step: int) -> dict[str, list[float | None]]:
    """The quantities of each token; a rollout of training at step s trains policy version s − 1."""
    sampled: list[bool] = row["sampled"]
    nothing = [None] * len(sampled)
    learner = [
        own if drawn and own != 0 else None
        for own, drawn in zip(row["learner_logprobs"] or nothing, sampled, strict=True)
    ]
    logprobs = _where(sampled, row["logprobs"])
    gaps = [
        None if own is None or sampler is None else own - sampler
        for own, sampler in zip(learner, logprobs, strict=True)
    ]
    versions = _where(sampled, row["versions"])
    return {
        "logprob": logprobs,
        "learner": learner,
        "gap": gaps,
        "weight": [None if gap is None else _exp(gap) for gap in gaps],
        "entropy": [
            value if own is not None else None
            for value, own in zip(row["entropies"] or nothing, learner, strict=True)
        ],
        "advantage": _where(sampled, row["advantages"]),
        "correction": _where(sampled, row["corrections"]),
        "version": versions,
        "staleness": [
            None if version is None or kind != "train" else step - 1 - version for version in versions
        ],
    }


def _where(sampled: list[bool], values: list[float] | None) -> list[float | None]:
    if values is None:
        return [None] * len(sampled)
    return [value if drawn else None for value, drawn in zip(values, sampled, strict=True)]


def _exp(gap: float) -> float:
    return math.exp(gap) if gap < 700 else math.inf


def roles(row: dict[str, Any], kind: str) -> list[str]:
    """What each token was to the update: prompt, inserted, trained, masked by the correction, or why not."""
    sampled: list[bool] = row["sampled"]
    first = sampled.index(True) if True in sampled else len(sampled)
    corrections = row["corrections"] or [None] * len(sampled)
    if kind != "train":
        otherwise = "held out: not trained on"
    elif row["left_out"] is not None:
        otherwise = f"left out: {row['left_out']}"
    elif row["learner_logprobs"] is None:
        otherwise = "not recorded"
    else:
        otherwise = "trained"
    return [
        ("prompt" if place < first else "inserted")
        if not drawn
        else ("masked by the correction" if otherwise == "trained" and correction == 0 else otherwise)
        for place, (drawn, correction) in enumerate(zip(sampled, corrections, strict=True))
    ]


def finite(value: Any) -> Any:
    """The same for JSON, which has no infinities: they become text, so that none is lost."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value
