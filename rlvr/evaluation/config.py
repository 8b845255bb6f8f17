"""Settings of the held-out evaluation."""

from __future__ import annotations

from dataclasses import dataclass

from rlvr.settings import setting


@dataclass
class EvaluationConfig:
    samples: int = setting(1, "k: answers per problem; pass@1 is their mean (avg@k)", ge=1)
    temperature: float = setting(1.0, "0 is greedy decoding", ge=0, le=2)
    top_p: float = setting(1.0, gt=0, le=1)
    max_tokens: int | None = setting(None, "longest answer; that of training when unset", ge=1)
