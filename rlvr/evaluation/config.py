"""Settings of evaluation, and messages for those that are invalid or have no effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rlvr.base.settings import setting
from rlvr.rollout.config import DecodingConfig, decoding_messages


@dataclass
class EvaluationConfig(DecodingConfig):
    samples: int = setting(1, "k: answers per problem; pass@1 is their mean (avg@k)", ge=1)
    ks: list[int] = setting(
        factory=lambda: [1], help="values of k for pass@k and maj@k, up to `samples`; 1 is always included"
    )
    temperature: float = setting(1.0, "0 is greedy decoding", ge=0, le=2)
    top_p: float = setting(1.0, "nucleus sampling: probability mass of the tokens to draw from", gt=0, le=1)
    max_tokens: int | None = setting(None, "token limit of an answer; unset: that of training", ge=1)
    every_stage: bool = setting(
        False,
        "evaluate the model after every stage, on problems.heldout and benchmarks; the results make a table",
    )


def evaluation_messages(
    evaluation: EvaluationConfig, max_tokens: int, section: str = "evaluation."
) -> Iterator[str]:
    """What is wrong with the settings of an evaluation, whose answers have at most `max_tokens`."""
    yield from decoding_messages(evaluation, section, max_tokens)
    samples = f"{section}samples={evaluation.samples}"
    if evaluation.temperature == 0 and evaluation.samples > 1:
        yield f"{samples} has no effect with temperature 0: all samples would be equal"
    if wrong := [k for k in evaluation.ks if not 1 <= k <= evaluation.samples]:
        yield f"{section}ks names {wrong[0]}, but must be 1 to {samples}"
    if evaluation.temperature == 0:
        truncation = {"top_p": evaluation.top_p < 1, "top_k": evaluation.top_k, "min_p": evaluation.min_p}
        for name in [name for name, given in truncation.items() if given]:
            yield f"{section}{name}={getattr(evaluation, name)} has no effect with temperature 0"
