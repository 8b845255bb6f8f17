"""Which settings the numbers of a stage depend on."""

from __future__ import annotations

from typing import Any

# Settings that decide where and how fast something is computed, not what.
NEUTRAL = frozenset(
    """
    deadline checkpoint_every evaluate_every workers actors gpus_per_worker micro_batch_tokens packing
    gradient_checkpointing kv_cache_gib gpu_memory_utilization max_num_seqs max_num_batched_tokens
    enforce_eager base_url concurrency requests_per_minute timeout retries backoff max_failed api_key_env
    """.split()  # noqa: SIM905
)


def that_matter(value: Any) -> Any:
    """Settings without neutral and unset ones: a new setting that is off changes nothing.

    What an import path is called with stays as it is: to a user's function, names mean what it says.
    """
    if isinstance(value, dict) and "_target_" not in value:
        kept = {name: part for name, part in value.items() if name not in NEUTRAL and part is not None}
        return {name: that_matter(part) for name, part in kept.items()}
    return value
