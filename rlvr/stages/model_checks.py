"""What is wrong with the model that a run begins with."""

from __future__ import annotations

from collections.abc import Iterator

from rlvr.stages.config import ModelConfig


def model_messages(model: ModelConfig, gpus_per_worker: int) -> Iterator[str]:
    """`gpus_per_worker` is that of the rollout workers."""
    if (model.path is None) == (model.scratch is None):
        given = "neither is" if model.path is None else "both are"
        yield (
            f"model.path and model.scratch: {given} given; use model=scratch, or model=pretrained with "
            "model.path=FOLDER"
        )
    if model.scratch is None:
        return
    sizes = model.scratch
    if sizes.hidden_size % sizes.heads:
        yield f"model.scratch.hidden_size={sizes.hidden_size} must be a multiple of heads={sizes.heads}"
    if sizes.heads % sizes.kv_heads:
        yield f"model.scratch.heads={sizes.heads} must be a multiple of kv_heads={sizes.kv_heads}"
    if (size := sizes.hidden_size // sizes.heads) % 32 and gpus_per_worker == 0:
        yield f"model.scratch: hidden_size/heads is {size}; vLLM's attention on the CPU takes multiples of 32"
