"""A randomly initialized model, as configured by `model.scratch`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlvr.stages.config import ModelConfig, ScratchModelConfig


def llama_sizes(sizes: ScratchModelConfig) -> dict[str, Any]:
    """The sizes under the names of transformers' LlamaConfig."""
    return {
        "hidden_size": sizes.hidden_size,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv_heads,
        "intermediate_size": sizes.intermediate_size,
        "tie_word_embeddings": sizes.tie_embeddings,
    }


def make_scratch(model: ModelConfig, seed: int, path: Path, alphabet: str) -> None:
    """Write a new model of the sizes in `model.scratch`, with a token for each character of `alphabet`."""
    from rlvr.learner.models import make_scratch_model
    from rlvr.problems.tokenizer import character_tokenizer

    assert model.scratch is not None
    tokenizer, sizes = character_tokenizer(alphabet), llama_sizes(model.scratch)
    make_scratch_model(path, tokenizer, model.max_length, seed, **sizes)
