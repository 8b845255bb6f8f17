"""The models that the learner trains: a checkpoint, or a small, randomly initialized one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.core_model_loading import revert_weight_conversion
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from rlvr.base.imports import lean_imports
from rlvr.learner.packing import use_packed_attention
from rlvr.types import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def make_scratch_model(
    path: Path, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int, **sizes: Any
) -> None:
    """Write a Llama-shaped checkpoint with random weights, and its tokenizer, to `path`.

    `sizes` are arguments of LlamaConfig. (Qwen2 would not work: for it transformers always loads its own
    tokenizer, whatever the folder has.) The weights depend on `seed` only.
    """
    with lean_imports():
        import deepspeed  # noqa: F401 transformers imports it later; here it is imported lean

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **sizes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


def load_model(
    path: str,
    dtype: str,
    max_length: int,
    *,
    head: bool = True,
    packing: bool = False,
    key: str = "model.path",
) -> PreTrainedModel:
    """Load a causal language model for training; without `head`, only the part below its output layer.

    Raises:
        ConfigError: the folder has no checkpoint, its context is shorter than `max_length`, or it does not
            support packing. `key` is the setting that the messages name.
    """
    try:
        config = AutoConfig.from_pretrained(path)
        kind = AutoModelForCausalLM if head else AutoModel
        # of transformers' kinds of attention, PyTorch's leaves out a soft cap without a word
        capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
        model = kind.from_pretrained(
            path, config=config, dtype=DTYPES[dtype], attn_implementation="eager" if capped else None
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"{key}={path} cannot be loaded: {error}") from error
    context = getattr(config.get_text_config(), "max_position_embeddings", max_length)
    if context < max_length:
        raise ConfigError(
            f"model.max_length={max_length}, but {path} has a context of {context} tokens: lower it"
        )
    pin_rope(model, max_length)
    if packing:
        use_packed_attention(model)
    return model


def pin_rope(model: PreTrainedModel, max_length: int) -> None:
    """Fix the frequencies of rotary embeddings that transformers would choose anew in every forward pass.

    A model with LongRoPE (arXiv 2402.13753) has two sets of frequencies: for contexts up to the length that
    it was first trained on, and for longer ones. vLLM takes the long ones for all sequences if its context,
    `max_length`, is longer. transformers goes by the longest sequence of the forward pass, so a sequence
    would have other log-probabilities next to a long one. The configuration, which is saved, is not changed.
    """
    for module in model.modules():
        kinds = getattr(module, "rope_type", None)
        by_layer = kinds if isinstance(kinds, dict) else {None: kinds}
        for layer, kind in by_layer.items():
            if kind in ("longrope", "dynamic"):
                frequencies, _ = ROPE_INIT_FUNCTIONS[kind](
                    module.config, model.device, seq_len=max_length, layer_type=layer
                )
                name = "inv_freq" if layer is None else f"{layer}_inv_freq"
                module.register_buffer(name, frequencies, persistent=False)
                # any other name than "default" makes transformers choose again
                module.rope_type = "default" if layer is None else module.rope_type | {layer: "default"}


def save_model(model: PreTrainedModel, path: Path, state: dict[str, torch.Tensor] | None = None) -> None:
    """Write a checkpoint in Hugging Face format; `state` has its weights, if not the model's own.

    The generation settings of the model are written unchanged. transformers loads some that it refuses to
    save, such as a temperature without do_sample, which would fail at the first checkpoint.
    """
    generation, model.generation_config = model.generation_config, GenerationConfig()
    try:
        model.save_pretrained(path, state_dict=state)
    finally:
        model.generation_config = generation
    generation.to_json_file(path / "generation_config.json")


def checkpoint_weights(model: PreTrainedModel, name: str, weight: Tensor) -> Iterator[tuple[str, Tensor]]:
    """A weight under the name that a checkpoint has it by, or in the parts that a checkpoint cuts it into.

    transformers renames weights as it loads them and stacks those of experts; vLLM reads them as they are
    in a checkpoint.
    """
    yield from revert_weight_conversion(model, {name: weight}).items()


def persistent_buffers(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """The buffers that a checkpoint has, such as the biases by which some routers choose experts."""
    for prefix, module in model.named_modules():
        for name, buffer in module.named_buffers(prefix, recurse=False):
            if name.rpartition(".")[2] not in module._non_persistent_buffers_set:
                yield name, buffer


def tied_names(model: PreTrainedModel) -> tuple[str, str | None]:
    """The name of the input embedding, and a checkpoint's name of the output layer if both are one weight."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    names = {module: f"{name}.weight" for name, module in model.named_modules()}
    if head is None or head.weight is not embedding.weight:
        return names[embedding], None
    (name, _), *_ = checkpoint_weights(model, names[head], head.weight)
    return names[embedding], name
