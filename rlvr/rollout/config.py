"""Settings of sampling and of the rollout workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.base.settings import setting


@dataclass
class SamplingConfig:
    """How training rollouts are drawn. Truncation is evaluation's: the learner's log-probabilities
    are those of the untruncated softmax, so a truncated sampler would bias every ratio."""

    temperature: float = setting(1.0, "temperature, or where the schedule starts", ge=0.01, le=2)
    schedule: dict[str, Any] = setting(
        factory=dict,
        help="import path of a function (step, steps, temperature) → temperature; empty: constant",
    )
    max_tokens: int = setting(256, "token limit of an answer", ge=1)


@dataclass
class RolloutConfig:
    """The vLLM engines. Unset values are vLLM's own defaults."""

    workers: int = setting(1, "number of vLLM engines, each in its own Ray actor", ge=1, neutral=True)
    gpus_per_worker: int = setting(
        0, "GPUs of one engine (tensor parallel); 0 runs on the CPU", ge=0, neutral=True
    )
    dtype: str = setting("float32", "data type of weights and activations", choices=("float32", "bfloat16"))
    max_num_seqs: int = setting(
        256, "sequences that an engine decodes at the same time, at most", ge=1, neutral=True
    )
    max_num_batched_tokens: int = setting(
        8192, "tokens that an engine processes in one step, at most", ge=1, neutral=True
    )
    kv_cache_gib: float = setting(1.0, "KV cache of an engine on the CPU, in GiB", gt=0, neutral=True)
    keep_stale_cache: bool = setting(
        False,
        "after a weight update, continue unfinished answers with the old weights' KV cache",
    )
    gpu_memory_utilization: float = setting(
        0.5, "share of a GPU's memory for an engine", gt=0, le=1, neutral=True
    )
    enforce_eager: bool = setting(
        True, "do not compile: starts faster, decodes more slowly on GPUs", neutral=True
    )
    deadline: float = setting(
        600.0, "seconds without an engine step after which a worker is replaced", gt=0, neutral=True
    )


@dataclass
class EndpointConfig:
    """A model behind an OpenAI-compatible endpoint, such as the server of vLLM."""

    base_url: str = setting("", "for example http://127.0.0.1:8000/v1", neutral=True)
    model: str = setting("", "name of the model at the endpoint")
    api_key_env: str | None = setting(None, "environment variable that holds the key", neutral=True)
    concurrency: int = setting(32, "requests at the same time, at most", ge=1, neutral=True)
    requests_per_minute: float | None = setting(
        None, "rate limit, retries included; unset: none", gt=0, neutral=True
    )
    timeout: float = setting(600.0, "time limit of a request, in seconds", gt=0, neutral=True)
    retries: int = setting(5, "retries of a failed request", ge=0, neutral=True)
    backoff: float = setting(
        1.0, "seconds before the first retry; doubled for each further one", ge=0, neutral=True
    )
    max_failed: float = setting(
        0.0,
        "share of the requests that may fail for good, such as refusals; with more the run stops",
        ge=0,
        lt=1,
        neutral=True,
    )
    extra_body: dict[str, Any] = setting(
        factory=dict, help="fields to add to each request; null removes one, as in {seed: null}"
    )
