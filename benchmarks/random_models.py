"""Llama-shaped models with random weights, which end an answer with about one token in 84."""

from __future__ import annotations

import string
from pathlib import Path

SIZES = {  # hidden size, layers, attention heads, feed-forward size
    "0.6M": (128, 3, 4, 384),
    "1M": (128, 6, 4, 384),
    "10M": (384, 6, 6, 1024),
    "100M": (768, 16, 12, 2048),
    "500M": (1536, 20, 24, 4096),
}
ALPHABET = string.digits + string.ascii_letters + "+-=()#,.?! \n/*:;%_"  # 80 characters, 84 tokens
MAX_LENGTH = 512


def make_model(path: Path, size: str) -> float:
    """Write a checkpoint; its number of parameters in millions."""
    from rlvr.learner.models import make_scratch_model
    from rlvr.problems.tokenizer import character_tokenizer

    hidden, layers, heads, intermediate = SIZES[size]
    make_scratch_model(
        path,
        character_tokenizer(ALPHABET),
        MAX_LENGTH,
        0,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(heads // 3, 2),
        intermediate_size=intermediate,
        tie_word_embeddings=True,
    )
    return number_of_parameters(path)


def number_of_parameters(path: Path) -> float:
    """Of a checkpoint, in millions."""
    from transformers import AutoModelForCausalLM

    return float(AutoModelForCausalLM.from_pretrained(path).num_parameters()) / 1e6
