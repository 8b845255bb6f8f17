"""Settings of sampling and of the rollout workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rlvr.base.settings import setting

STOPS = ("stop", "stop_token_ids", "include_stop_str_in_output")  # what ends an answer
# penalty → its value without effect
PENALTIES = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
BOUND = 512  # top_k of truncated training rollouts where it is unset: the most ids in a recorded set


@dataclass
class DecodingConfig:
    """How a token is drawn and where an answer ends, beside temperature, top_p and length. Names and meanings
    are those of vLLM's `SamplingParams`; unset changes nothing."""

    top_k: int | None = setting(None, "draw from this many most likely tokens; 0: from all", ge=0)
    min_p: float | None = setting(
        None, "draw from tokens that are at least this many times as likely as the likeliest", ge=0, le=1
    )
    min_tokens: int | None = setting(None, "an answer has at least this many tokens before it ends", ge=0)
    stop: list[str] | None = setting(None, "strings that end an answer")
    stop_token_ids: list[int] | None = setting(None, "ids of tokens that end an answer, beside the model's")
    include_stop_str_in_output: bool | None = setting(
        None, "keep the stop string or stop token in the text that is judged; unset: no"
    )
    repetition_penalty: float | None = setting(
        None, "divides logits of tokens in prompt or answer that are positive, multiplies others", gt=0
    )
    presence_penalty: float | None = setting(
        None, "subtracted from the logits of tokens in the answer", ge=-2, le=2
    )
    frequency_penalty: float | None = setting(
        None, "subtracted from the logits of tokens in the answer, for each time they occur", ge=-2, le=2
    )


def decoding_messages(decoding: DecodingConfig, section: str, max_tokens: int) -> Iterator[str]:
    """What is wrong with settings that any vLLM engine is to follow; `section` ends in a dot, or is empty."""
    if decoding.min_tokens is not None and decoding.min_tokens > max_tokens:
        yield f"{section}min_tokens={decoding.min_tokens} is more than max_tokens={max_tokens}"
    if "" in (decoding.stop or ()):
        yield f"{section}stop has an empty string, which would end every answer before it begins"


def token_messages(decoding: DecodingConfig, section: str, highest: int) -> Iterator[str]:
    """What is wrong with token ids, of a tokenizer whose `highest` id that is."""
    for token in decoding.stop_token_ids or ():
        if not 0 <= token <= highest:
            yield f"{section}stop_token_ids names {token}, but the tokenizer's ids are 0 to {highest}"


@dataclass
class SamplingConfig(DecodingConfig):
    """How training rollouts are drawn. Where top_p, top_k, min_p or min_tokens truncate the distribution, the
    set that each token is drawn from is recorded, and the learner renormalizes over it. To bound the sets,
    top_k is then 512 where it is unset."""

    temperature: float = setting(1.0, "temperature, or where the schedule starts", ge=0.01, le=2)
    top_p: float | None = setting(
        None, "nucleus sampling: probability mass of the tokens to draw from; unset: 1", gt=0, le=1
    )
    schedule: dict[str, Any] = setting(
        factory=dict,
        help="import path of a function (step, steps, temperature) → temperature; empty: constant",
    )
    max_tokens: int = setting(256, "token limit of an answer", ge=1)

    @property
    def truncates(self) -> bool:
        """Whether some tokens have probability 0 that the model gives more."""
        return bool((self.top_p or 1) < 1 or self.top_k or self.min_p or self.min_tokens)


def sampling_messages(sampling: SamplingConfig, gpus_per_worker: int) -> Iterator[str]:
    """What is wrong with the settings of training rollouts."""
    yield from decoding_messages(sampling, "sampling.", sampling.max_tokens)
    if sampling.include_stop_str_in_output and not (sampling.stop or sampling.stop_token_ids):
        yield "sampling.include_stop_str_in_output has no effect without sampling.stop or stop_token_ids"
    for name, without in PENALTIES.items():
        if getattr(sampling, name) not in (None, without):
            yield (
                f"sampling.{name} cannot be set: a penalty changes logits by what was written before, which "
                "the learner does not repeat, so every ratio would be biased. Penalize repetition in the "
                f"reward, or set evaluation.{name}"
            )
    if sampling.truncates and gpus_per_worker:
        yield (
            "sampling.top_p, top_k, min_p and min_tokens truncate the distribution; which tokens are left is "
            "recorded by engines on the CPU only: leave them unset with rollout.gpus_per_worker"
        )


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
