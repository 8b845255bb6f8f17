"""Tiny checkpoints of every family, with random weights and their real configurations but for the sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast

from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer

MAX_LENGTH = 96
ORIGINAL = 32  # positions that a model was trained on before its RoPE was scaled
WINDOW = 16
ENDS = ["<end of text>", "<end of turn>"]  # end tokens that the tokenizer does not call its end
VOCABULARY = 40  # 25 + 2 tokens, padded

SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}
HEAD = {"head_dim": 32}
MIXED = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}


def rope(kind: str, theta: float, **scaling: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **scaling}}


def longrope(pairs: int, theta: float = 10_000.0, **others: Any) -> dict[str, Any]:
    """Factors of `pairs` frequencies, apart as those of Phi are."""
    short = [1.0 + 0.1 * place for place in range(pairs)]
    long = [1.0 + 2.0 * place for place in range(pairs)]
    return rope("longrope", theta, short_factor=short, long_factor=long, **others) | {
        "original_max_position_embeddings": ORIGINAL
    }


@dataclass(frozen=True)
class Family:
    name: str
    kind: str  # model_type
    sizes: dict[str, Any] = field(default_factory=dict)
    ends: int = 3  # number of its end tokens


LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": ORIGINAL}

FAMILIES = [
    Family("Llama 3.1", "llama", HEAD | rope("llama3", 5e5, factor=8.0, **LLAMA3)),
    Family("Llama 3.2", "llama", HEAD | rope("llama3", 5e5, factor=32.0, **LLAMA3) | {"tie_word_embeddings": True}),
    Family("Llama, linear RoPE", "llama", HEAD | rope("linear", 1e4, factor=4.0)),
    Family("Llama, dynamic RoPE", "llama", HEAD | rope("dynamic", 1e4, factor=4.0)),
    Family("Qwen2.5", "qwen2", {"hidden_size": 224, "num_attention_heads": 7, "num_key_value_heads": 1, "tie_word_embeddings": True} | rope("default", 1e6)),
    Family("Qwen2.5, YaRN", "qwen2", {"hidden_size": 128} | rope("yarn", 1e6, factor=4.0, original_max_position_embeddings=ORIGINAL)),
    Family("Qwen2, window", "qwen2", {"hidden_size": 128, "use_sliding_window": True, "max_window_layers": 1, "sliding_window": WINDOW} | rope("default", 1e6)),
    Family("Qwen3", "qwen3", HEAD | rope("default", 1e6) | {"tie_word_embeddings": True}),
    Family("Qwen3-MoE", "qwen3_moe", HEAD | rope("default", 1e6) | {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": True}),
    Family("Phi-3, window", "phi3", {"hidden_size": 128, "num_key_value_heads": 4, "sliding_window": WINDOW} | rope("default", 1e4)),
    Family("Phi-3, LongRoPE", "phi3", {"hidden_size": 128, "num_key_value_heads": 4} | longrope(16)),
    Family("Phi-4-mini", "phi3", {"hidden_size": 192, "num_attention_heads": 6, "tie_word_embeddings": True} | longrope(12, partial_rotary_factor=0.75)),
    
    Family("Gemma", "gemma", HEAD | {"tie_word_embeddings": True, "num_key_value_heads": 1}),
    Family("Gemma 2", "gemma2", HEAD | MIXED | {"tie_word_embeddings": True, "query_pre_attn_scalar": 32, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}),
    Family("Gemma 3", "gemma3_text", HEAD | MIXED | {"tie_word_embeddings": True, "num_key_value_heads": 1, "query_pre_attn_scalar": 32, "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}, "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}}),
    Family("Mistral", "mistral", HEAD | {"sliding_window": WINDOW}),
    Family("SmolLM3", "smollm3", {"hidden_size": 128, "tie_word_embeddings": True, "no_rope_layers": [1, 0]} | rope("default", 5e6)),
    Family("OLMo 2", "olmo2", {"hidden_size": 128, "num_key_value_heads": 4} | rope("default", 5e5)),
    Family("OLMo 3", "olmo3", {"hidden_size": 128, "num_key_value_heads": 4} | MIXED | rope("yarn", 5e5, factor=4.0, original_max_position_embeddings=ORIGINAL)),
    Family("Granite", "granite", {"hidden_size": 128, "tie_word_embeddings": True, "embedding_multiplier": 12.0, "logits_scaling": 8.0, "residual_multiplier": 0.22, "attention_multiplier": 0.0156}),
    Family("GLM-4", "glm4", HEAD | rope("default", 1e4, partial_rotary_factor=0.5)),
    Family("Cohere 2", "cohere2", HEAD | MIXED | {"hidden_size": 128, "tie_word_embeddings": True, "logit_scale": 0.25}),
    Family("Mixtral", "mixtral", HEAD | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    Family("Exaone 4", "exaone4", {"hidden_size": 128, "tie_word_embeddings": True} | MIXED | rope("llama3", 1e6, factor=16.0, **LLAMA3)),
    Family("StarCoder 2", "starcoder2", {"hidden_size": 128, "sliding_window": WINDOW, "tie_word_embeddings": True}),
    Family("OLMoE", "olmoe", {"hidden_size": 128, "num_experts": 8, "num_experts_per_tok": 2}),
    Family("gpt-oss", "gpt_oss", HEAD | MIXED | {"num_local_experts": 4, "num_experts_per_tok": 2} | rope("yarn", 1.5e5, factor=4.0, beta_fast=32.0, beta_slow=1.0, truncate=False, original_max_position_embeddings=ORIGINAL)),
]


def family_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = character_tokenizer(ALPHABET)
    tokenizer.add_special_tokens({"additional_special_tokens": ENDS})
    return tokenizer


def make(family: Family, path: Path) -> None:
    tokenizer = family_tokenizer()
    ends = [tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(ENDS)][: family.ends]
    config = AutoConfig.for_model(
        family.kind,
        **SIZES
        | {"bos_token_id": 1, "pad_token_id": 0, "eos_token_id": ends[0]}
        | family.sizes,
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            width = parameter.shape[-1] if parameter.dim() > 1 else 25
            parameter.add_(torch.randn_like(parameter) / width**0.5)
    model.generation_config = GenerationConfig(eos_token_id=ends, bos_token_id=1, pad_token_id=0)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
