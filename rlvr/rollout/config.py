"""Settings of sampling and of the rollout workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.settings import setting


@dataclass
class SamplingConfig:
    """How training rollouts are drawn. Truncation is evaluation's: the learner's log-probabilities
    are those of the untruncated softmax, so a truncated sampler would bias every ratio."""

    temperature: float = setting(
        1.0, "constant temperature, or the schedule's start; vLLM's limits", ge=0.01, le=2
    )
    schedule: dict[str, Any] = setting(
        factory=dict, help="import path of (step, steps, temperature) → temperature; constant when empty"
    )
    max_tokens: int = setting(256, "longest answer, in tokens", ge=1)


@dataclass
class RolloutConfig:
    """The vLLM engines. Unset values are vLLM's own defaults."""

    workers: int = setting(1, "engines, each in its own Ray actor", ge=1)
    gpus_per_worker: int = setting(0, "GPUs of one engine (tensor parallel); 0 runs on the CPU", ge=0)
    dtype: str = setting("float32", "of weights and activations", choices=("float32", "bfloat16"))
    max_num_seqs: int = setting(256, "sequences an engine decodes at a time", ge=1)
    max_num_batched_tokens: int = setting(8192, "tokens an engine takes in one step", ge=1)
    kv_cache_gib: float = setting(1.0, "KV cache of an engine on the CPU, in GiB", gt=0)
    gpu_memory_utilization: float = setting(0.5, "share of a GPU's memory for an engine", gt=0, le=1)
    enforce_eager: bool = setting(True, "start faster, without compiled graphs")
    deadline: float = setting(600.0, "seconds without one finished rollout before the run stops", gt=0)
