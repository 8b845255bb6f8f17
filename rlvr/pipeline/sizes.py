"""Estimates of the memory and disk that a stage needs, without loading a model.

Bytes follow what PyTorch 2.13, DeepSpeed 0.19.8 and vLLM 0.32 keep for the settings that
`rlvr.learner.learner.deepspeed_config` gives. P is the number of parameters, t the number of trained ones
(with LoRA, the adapters), n the number of ranks, b the bytes per number in `learner.dtype`. Not counted:
PyTorch and CUDA themselves (some hundreds of MiB per process), fragmentation, and the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rlvr.learner.config import LearnerConfig, LoraConfig
from rlvr.rollout.config import RolloutConfig
from rlvr.stages.checkpoints import KEPT
from rlvr.stages.config import ScratchModelConfig
from rlvr.stages.scratch import llama_sizes
from rlvr.types import ConfigError

WIDTH = {"float32": 4, "bfloat16": 2}  # bytes per number
MASTER, MOMENTS = 4, 8  # bytes per trained parameter: float32 weights, and AdamW's two moments
BUCKET = 500_000_000  # numbers in DeepSpeed's gradient reduction buffer: zero's reduce_bucket_size
GATHERED = 1_000_000_000  # parameters that ZeRO-3 may gather at a time: zero's max_live_parameters
LOGIT_COPIES = 2  # float32 copies of a chunk of logits: log-softmax, and probabilities or their gradient
CHUNK = 2**25  # logits per chunk, `rlvr.learner.head.CHUNK`


@dataclass(frozen=True)
class ModelSizes:
    """The shape of a causal language model."""

    parameters: int  # all parameters; a tied head counts once
    embedding: int  # parameters of the input embedding
    tied: bool  # whether the input embedding is also the output layer
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    linear: Mapping[str, int]  # name of a linear layer below the head → inputs + outputs
    disk: int | None  # bytes of its weight files; None if they do not exist (yet)

    def adapters(self, lora: LoraConfig) -> int:
        """Parameters of LoRA's adapters: rank · (inputs + outputs) for each layer that has one."""
        ends = lora.target_modules
        widths = (
            width
            for name, width in self.linear.items()
            if ends is None or any(f".{name}".endswith(f".{end}") for end in ends)
        )
        return (lora.rank or 0) * sum(widths)


@dataclass(frozen=True)
class NotHere:
    """A model whose sizes cannot be determined on this machine."""

    reason: str


def model_sizes(source: str | ScratchModelConfig, alphabet: str | None = None) -> ModelSizes | NotHere:
    """The sizes of a model: a local folder, a hub name in the cache, or a model to make from scratch.

    The architecture is built on torch's meta device: exact, without memory, without network. `alphabet` is
    the characters of a model from scratch; unset, those of the generated problems.
    """
    from transformers import AutoConfig, LlamaConfig

    if isinstance(source, ScratchModelConfig):
        from rlvr.problems.generated import ALPHABET
        from rlvr.problems.tokenizer import character_tokenizer

        config = LlamaConfig(
            vocab_size=len(character_tokenizer(ALPHABET if alphabet is None else alphabet)),
            **llama_sizes(source),
        )
        return _sizes(config, None)
    folder = _local_folder(source)
    if folder is None:
        return NotHere(f"{source} is not a folder with a config.json and has not been downloaded yet")
    try:
        return _sizes(
            AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False),
            _weight_bytes(folder),
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        return NotHere(f"{source} is not a causal language model that transformers knows: {reason}")


def _local_folder(path: str) -> Path | None:
    """The folder of the model's files: `path` itself, or in the hub's cache; None if they are not here."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    if (Path(path) / "config.json").is_file():
        return Path(path)
    try:
        found = try_to_load_from_cache(path, "config.json")
    except HFValidationError:  # not a valid hub name
        return None
    return Path(found).parent if isinstance(found, str) else None


def _weight_bytes(folder: Path) -> int | None:
    for pattern in ("*.safetensors", "*.bin"):
        files = list(folder.glob(pattern))
        if files:
            return sum(file.stat().st_size for file in files)
    return None


def _sizes(config: Any, disk: int | None) -> ModelSizes:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    text = config.get_text_config()
    embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings()
    heads = text.num_attention_heads
    return ModelSizes(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        embedding=embedding.numel(),
        tied=head.weight is embedding,
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        heads=heads,
        kv_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
        intermediate=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        vocabulary=head.weight.shape[0],
        linear={
            name: module.in_features + module.out_features
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and module is not head
        },
        disk=disk,
    )


@dataclass(frozen=True)
class Bytes:
    """A need for memory or disk by part, in bytes."""

    @property
    def total(self) -> int:
        return sum(getattr(self, part.name) for part in fields(self))


@dataclass(frozen=True)
class StateBytes(Bytes):
    """Memory of one rank for one model that it trains, during a backward pass.

    | ZeRO | weights   | gradients               | master | moments |
    | 0    | b·P       | 4t                      | 0      | 8t      |
    | 1    | b·P       | 4t, and 2t in bfloat16  | 4t/n   | 8t/n    |
    | 2    | b·P       | 4t/n                    | 4t/n   | 8t/n    |
    | 3    | b·P/n     | 4t/n                    | 4t/n   | 8t/n    |

    Gradients are accumulated in float32 (`grad_accum_dtype`), and with ZeRO DeepSpeed makes a float32 copy of
    the trained weights even where they are float32 already. Source: its runtime/zero/stage_1_and_2.py,
    stage3.py, and runtime/bf16_optimizer.py, which is stage 1 in bfloat16.
    """

    weights: int
    gradients: int
    master: int  # float32 weights that the optimizer works on
    moments: int  # AdamW's
    bucket: int  # buffer of gradients being reduced; allocated in full only on a GPU
    gathered: int  # with ZeRO-3: gathered weights, at most max_live_parameters


def state_bytes(frozen: int, trained: int, config: LearnerConfig) -> StateBytes:
    """Memory of one rank for a model with these numbers of frozen and trained parameters.

    Raises:
        ConfigError: bfloat16 without ZeRO, which DeepSpeed does not support with float32 gradients.
    """
    stage, ranks, width = config.zero_stage, config.workers, WIDTH[config.dtype]
    half = config.dtype == "bfloat16"
    if half and stage == 0:
        raise ConfigError("learner.dtype=bfloat16 needs learner.zero_stage 1, 2 or 3")
    everything = frozen + trained
    gradients = 4 * trained if stage < 2 else _share(4 * trained, ranks)
    if stage == 1 and half:
        gradients += width * trained  # of the current micro-batch, before accumulation
    bucketed = stage >= 2 or (stage == 1 and not half)
    return StateBytes(
        weights=_share(width * everything, ranks) if stage == 3 else width * everything,
        gradients=gradients,
        master=_share(MASTER * trained, ranks) if stage else 0,
        moments=_share(MOMENTS * trained, ranks) if stage else MOMENTS * trained,
        bucket=width * (BUCKET if config.gpus_per_worker else min(BUCKET, trained)) if bucketed else 0,
        gathered=width * min(everything, GATHERED) if stage == 3 and ranks > 1 else 0,
    )


def _share(number: int, ranks: int) -> int:
    return -(-number // ranks)


@dataclass(frozen=True)
class ActivationBytes(Bytes):
    """Memory of activations in a forward and backward pass over one micro-batch."""

    layers: int  # kept by all layers
    working: int  # the peak of everything else


def activation_bytes(sizes: ModelSizes, config: LearnerConfig) -> ActivationBytes:
    """Activations of a micro-batch of `micro_batch_tokens`, all trained on; a longer sequence needs more.

    For each token a gated layer keeps b·(6h + 2a + 2c + 4i) bytes, where h is the hidden size,
    a = heads · head_dim, c = kv_heads · head_dim, and i the intermediate size: input, normalized input and
    output of both norms; queries, keys, values and the output of attention; four tensors of the MLP. In
    bfloat16 norms keep their input in float32, 4h more. With gradient checkpointing a layer keeps only its
    input, b·h, and one layer at a time is computed again.

    The peak beside the layers is the larger of two. At the head: the last norm (half of what a layer's two
    norms keep), and either the logits of one chunk, LOGIT_COPIES · 4 bytes · vocabulary per token (in
    bfloat16, their gradient as well; the exact KL term needs the logits of all tokens, which is not counted),
    or afterwards the gradients in the norm. In a layer: the gradients in an MLP, b·(2i + h). Attention is
    assumed to be one kernel (SDPA), which keeps no tokens × tokens matrix. Within 6% of Llama-shaped models
    on a CPU, when there are more tokens than i.
    """
    width, tokens = WIDTH[config.dtype], config.micro_batch_tokens
    upcast = 2 * sizes.hidden if width == 2 else 0  # bytes per norm
    attention = 2 * (sizes.heads + sizes.kv_heads) * sizes.head_dim
    mlp = 4 * width * sizes.intermediate
    norm = 3 * width * sizes.hidden + upcast
    layer = 2 * norm + width * attention + mlp
    together = min(tokens * sizes.vocabulary, max(CHUNK, sizes.vocabulary))
    logits = (LOGIT_COPIES * 4 + (width if width == 2 else 0)) * together
    norm_gradients = 12 * sizes.hidden + 2 * upcast
    mlp_gradients = width * (2 * sizes.intermediate + sizes.hidden)
    in_layer = max(mlp_gradients, norm_gradients - mlp)  # the MLP is freed before its norm's backward pass
    if config.gradient_checkpointing:
        kept, in_layer = width * sizes.hidden, layer + in_layer
    else:
        kept = layer
    working = max(tokens * norm + max(logits, tokens * norm_gradients), tokens * in_layer)
    return ActivationBytes(layers=tokens * sizes.layers * kept, working=working)


@dataclass(frozen=True)
class LearnerBytes(Bytes):
    """Peak memory of one rank. Policy and value model take turns, so activations count once."""

    policy: int
    reference: int  # a frozen copy, whole on every rank; with LoRA the policy without its adapters
    value_model: int
    activations: int


def learner_bytes(
    sizes: ModelSizes, config: LearnerConfig, *, reference: bool = False, value_model: bool = False
) -> LearnerBytes:
    """Memory of one rank, that is of one device, from `state_bytes` and `activation_bytes`.

    Raises:
        ConfigError: bfloat16 without ZeRO.
    """
    lora = config.lora.rank is not None
    frozen, trained = (sizes.parameters, sizes.adapters(config.lora)) if lora else (0, sizes.parameters)
    critic = state_bytes(0, _value_parameters(sizes), config).total if value_model else 0
    return LearnerBytes(
        policy=state_bytes(frozen, trained, config).total,
        reference=WIDTH[config.dtype] * sizes.parameters if reference and not lora else 0,
        value_model=critic,
        activations=activation_bytes(sizes, config).total,
    )


def _value_parameters(sizes: ModelSizes) -> int:
    """Parameters of a value model: one number per token in place of the output layer, without LoRA."""
    head = 0 if sizes.tied else sizes.vocabulary * sizes.hidden
    return sizes.parameters - head + sizes.hidden + 1


@dataclass(frozen=True)
class RolloutBytes:
    """Memory of one engine; with tensor parallelism, of each of its devices."""

    weights: int
    per_token: int  # KV cache per token: 2 · layers · kv_heads · head_dim · bytes
    cache: int | None  # size of the KV cache; None on a GPU whose memory is not known

    @property
    def tokens(self) -> int | None:
        """Tokens that fit into the KV cache, over all running sequences."""
        return None if self.cache is None else self.cache // self.per_token


def rollout_bytes(sizes: ModelSizes, config: RolloutConfig, device: int | None = None) -> RolloutBytes:
    """Memory of an engine. On the CPU the KV cache has `kv_cache_gib`. On GPUs it has
    `gpu_memory_utilization` of the `device` bytes, minus the weights (and vLLM's own working memory, which is
    not counted here). A sliding window or layers without attention need less per token."""
    width, devices = WIDTH[config.dtype], max(config.gpus_per_worker, 1)
    weights = _share(width * sizes.parameters, devices)
    heads = max(sizes.kv_heads // devices, 1)  # replicated where there are fewer heads than devices
    cache: int | None = int(config.kv_cache_gib * 2**30)
    if config.gpus_per_worker:
        cache = None if device is None else max(int(config.gpu_memory_utilization * device) - weights, 0)
    return RolloutBytes(weights, 2 * sizes.layers * heads * sizes.head_dim * width, cache)


@dataclass(frozen=True)
class CheckpointBytes(Bytes):
    """Disk space of one checkpoint folder, without the tokenizer and other small files."""

    model: int  # Hugging Face format; with LoRA merged, without the adapters
    optimizer: int  # DeepSpeed's: weights again, float32 weights with ZeRO, moments; all ranks together
    value_model: int  # the same for the value model
    reference: int  # a reference that was reset during the run

    @property
    def kept(self) -> int:
        """Bytes of all checkpoints that a stage keeps: its newest ones."""
        return KEPT * self.total

    @property
    def peak(self) -> int:
        """Bytes of all checkpoints while one more is written, before the oldest is removed."""
        return (KEPT + 1) * self.total


def checkpoint_bytes(
    sizes: ModelSizes, config: LearnerConfig, *, value_model: bool = False, reference_reset: bool = False
) -> CheckpointBytes:
    lora = config.lora.rank is not None
    frozen, trained = (sizes.parameters, sizes.adapters(config.lora)) if lora else (0, sizes.parameters)
    model = WIDTH[config.dtype] * sizes.parameters
    return CheckpointBytes(
        model=model,
        optimizer=_saved_state(frozen, trained, config),
        value_model=_saved_state(0, _value_parameters(sizes), config) if value_model else 0,
        reference=model if reference_reset and not lora else 0,
    )


def _saved_state(frozen: int, trained: int, config: LearnerConfig) -> int:
    """Bytes of DeepSpeed's state: weights and moments; with ZeRO also float32 weights, which with ZeRO-3
    replace the trained weights."""
    weights = frozen if config.zero_stage == 3 else frozen + trained
    master = MASTER * trained if config.zero_stage else 0
    return WIDTH[config.dtype] * weights + master + MOMENTS * trained


def shown(size: int) -> str:
    """`size` bytes as text: 1.5 GiB, 12.0 MiB."""
    return f"{size / 2**30:,.1f} GiB" if size >= 0.95 * 2**30 else f"{size / 2**20:,.1f} MiB"
