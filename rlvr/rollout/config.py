"""Settings of sampling and of the rollout workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.base.settings import setting


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
    keep_stale_cache: bool = setting(
        False, "answers under way go on from keys and values of older weights, which are not computed again"
    )
    gpu_memory_utilization: float = setting(0.5, "share of a GPU's memory for an engine", gt=0, le=1)
    enforce_eager: bool = setting(True, "start faster, without compiled graphs")
    deadline: float = setting(
        600.0, "seconds without an engine step before a worker is taken for stuck", gt=0
    )


@dataclass
class EndpointConfig:
    """A model behind an OpenAI-compatible endpoint, such as the server of vLLM."""

    base_url: str = setting("", "as in http://127.0.0.1:8000/v1")
    model: str = setting("", "name that the endpoint knows it by")
    api_key_env: str | None = setting(None, "name of the environment variable with the key")
    concurrency: int = setting(32, "requests under way at a time", ge=1)
    requests_per_minute: float | None = setting(None, "evenly spaced, retries included; unset is any", gt=0)
    timeout: float = setting(600.0, "seconds for one request", gt=0)
    retries: int = setting(5, "further tries of a request that failed", ge=0)
    backoff: float = setting(1.0, "seconds before the first retry, doubled for each further one", ge=0)
    max_failed: float = setting(
        0.0, "share of the questions that may stay without an answer, as when it refuses them", ge=0, lt=1
    )
    extra_body: dict[str, Any] = setting(
        factory=dict, help="added to each request; null takes a key out, as in {seed: null}"
    )
