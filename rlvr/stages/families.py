"""What is known of families of checkpoints before anything starts: what vLLM or the learner cannot do.

docs/models.md has the families that were measured; where vLLM and the learner differ, it is said here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rlvr.base.settings import refuse
from rlvr.types import ConfigError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# weights that vLLM 0.32 loads at its start, but cannot update on the CPU
NOT_UPDATED = {"gpt_oss": "experts", "glm4_moe": "routers' biases", "qwen2_moe": "shared experts' gates"}
# sizes of an attention head that vLLM 0.32 has kernels for on the CPU
CPU_HEADS = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)


def check_checkpoint(
    path: str,
    max_length: int | None,
    *,
    samples: bool,
    learns: bool = False,
    updates: bool = False,
    on_cpu: bool,
    key: str = "model.path",
) -> None:
    """Check a checkpoint by its config.json, for a run that samples from it with vLLM on the CPU or on GPUs,
    that trains it, or that does both with weight updates. `key` is the setting that the messages name.

    Raises:
        ConfigError: transformers does not know it, or vLLM or the learner cannot do what the run needs.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(path)
        messages = list(_kind_messages(config, learns))
        if not messages and samples:
            messages += _sampler_messages(config, on_cpu)
        if not messages and samples and learns:
            messages += _difference_messages(config, max_length, updates)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key}={path} is no model that transformers knows: {error}") from error
    except (TypeError, ArithmeticError, LookupError, AttributeError, StrictDataclassError) as error:
        raise ConfigError(
            f"{key}={path}: its config.json has wrong or missing values ({type(error).__name__}: {error}); "
            "take the one that the model came with"
        ) from error
    refuse([f"{key}={path}: {message}" for message in messages])


def longrope_original(config: PretrainedConfig) -> int | None:
    """The length up to which a model with LongRoPE has its short factors; None for other models."""
    lengths = [rope["original_max_position_embeddings"] for rope in _ropes(config) if _is_longrope(rope)]
    return lengths[0] if lengths else None


def _kind_messages(config: PretrainedConfig, learns: bool) -> Iterator[str]:
    if config.get_text_config() is not config:
        yield (
            f"{config.model_type} reads more than text, and rlvr runs text models only: save its language "
            "model as a checkpoint of its own"
        )
    if config.is_encoder_decoder:
        yield f"{config.model_type} has an encoder; rlvr runs models that only decode"
    if learns and getattr(config, "quantization_config", None):
        yield "its weights are quantized, which cannot be trained: take a checkpoint in bfloat16"


def _sampler_messages(config: PretrainedConfig, on_cpu: bool) -> Iterator[str]:
    kinds = set(getattr(config, "layer_types", None) or ())
    if config.model_type == "qwen2" and len(kinds) > 1:
        yield (
            "vLLM cannot run Qwen2 with a sliding window in some layers only: with model.max_length up to "
            f"{config.sliding_window} no window is needed; set use_sliding_window to false in its config.json"
        )
    heads = getattr(config, "num_attention_heads", None)
    size = getattr(config, "head_dim", None) or (config.hidden_size // heads if heads else None)
    latent = hasattr(config, "kv_lora_rank")  # the size is another one then
    if on_cpu and size is not None and size not in CPU_HEADS and not latent:
        sizes = ", ".join(map(str, CPU_HEADS))
        yield f"it has attention heads of size {size}; vLLM on the CPU has kernels for {sizes}: use a GPU"


def _difference_messages(config: PretrainedConfig, max_length: int | None, updates: bool) -> Iterator[str]:
    """Where vLLM and transformers compute different functions from the same weights."""
    kind = config.model_type
    if kind == "phimoe":
        yield "vLLM and transformers read Phi-3.5-MoE differently, so the learner would train another model"
    if kind in NOT_UPDATED and updates:
        yield f"vLLM cannot update its {NOT_UPDATED[kind]}: use stages without rl and opd"
    window = getattr(config, "sliding_window", None) or math.inf
    if kind == "cohere2" and (max_length is None or max_length > window):
        yield (
            f"its sliding window is {window} tokens in transformers, and one more in vLLM: set "
            f"model.max_length={window} or less"
        )
    for rope in filter(_is_longrope, _ropes(config)):
        original = rope["original_max_position_embeddings"]
        ratio = max(config.max_position_embeddings / original, 1.0)
        ours = {"factor": ratio, "attention_factor": math.sqrt(1 + math.log(ratio) / math.log(original))}
        others = [name for name in ("short_mscale", "long_mscale") if rope.get(name) is not None]
        others += [
            name
            for name, value in ours.items()
            if rope.get(name) is not None and not math.isclose(rope[name], value, rel_tol=1e-6)
        ]
        if others:
            yield (
                f"its rope_parameters have {', '.join(others)}, which vLLM and transformers read "
                "differently: they agree only on what follows from max_position_embeddings"
            )


def _ropes(config: PretrainedConfig) -> list[dict[str, Any]]:
    """The RoPE parameters of all layers, or of each kind of layer."""
    given = getattr(config, "rope_parameters", None) or {}
    nested = [value for value in given.values() if isinstance(value, dict)]
    return nested or [given]


def _is_longrope(rope: dict[str, Any]) -> bool:
    return rope.get("rope_type") == "longrope"
