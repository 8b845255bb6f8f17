"""Tiny checkpoints of every family, and a bench that measures whether vLLM and the learner agree on them.

The checkpoints have random weights, and the configurations of real ones but for sizes: windows and the
lengths at which a RoPE changes are a few dozen tokens. `docs/models.py` makes docs/models.md with the bench.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray import cloudpickle
from tokenizers import AddedToken
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast

from rlvr.algorithms.objective import supervised
from rlvr.learner.actor import LearnerRank
from rlvr.learner.config import LearnerConfig, LoraConfig, OptimizerConfig
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.rollout.actor import RolloutWorker
from rlvr.rollout.config import RolloutConfig
from rlvr.rollout.engine import Request
from rlvr.rollout.shape import model_shape
from rlvr.stages.batches import rollout_batch
from rlvr.types import FinishReason, Rollout, TrainingBatch

MAX_LENGTH = 96
ORIGINAL = 32  # positions that a model was first trained on, before its RoPE was scaled
WINDOW = 16
ENDS = ["<end of text>", "<end of turn>"]  # end tokens that only generation_config.json names
VOCABULARY = 40  # 27 tokens, padded
RATE = 2e-2  # of the one update: it moves every weight, and log-probabilities by several nats
ROWS = 24

Sizes = dict[str, Any]

SIZES: Sizes = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "tie_word_embeddings": False,
}
TIED = {"tie_word_embeddings": True}
NARROW = {"hidden_size": 64, "head_dim": 32}  # heads wider than the hidden states
ALIKE = {"num_key_value_heads": 4}  # every head has its own keys
MIXED = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": ORIGINAL}
YARN = {"factor": 4.0, "original_max_position_embeddings": ORIGINAL}


def rope(kind: str, theta: float, **scaling: Any) -> Sizes:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": theta, **scaling}}


def longrope(pairs: int, **others: Any) -> Sizes:
    """With factors of `pairs` frequencies, as far apart as those of Phi."""
    short = [1.0 + 0.1 * place for place in range(pairs)]
    long = [1.0 + 2.0 * place for place in range(pairs)]
    parameters = rope("longrope", 1e4, short_factor=short, long_factor=long, **others)
    return parameters | {"original_max_position_embeddings": ORIGINAL}


@dataclass(frozen=True)
class Family:
    name: str
    kind: str  # its model_type
    sizes: Sizes = field(default_factory=dict)  # what differs from SIZES
    like: str = ""  # checkpoints that are like it
    packing: bool = True
    note: str = ""
    max_length: int = MAX_LENGTH


FAMILIES = [
    Family("Llama 3.1", "llama", NARROW | rope("llama3", 5e5, factor=8.0, **LLAMA3)),
    Family("Llama 3.2", "llama", NARROW | TIED | rope("llama3", 5e5, factor=32.0, **LLAMA3)),
    Family("Llama, dynamic NTK", "llama", rope("dynamic", 1e4, factor=4.0)),
    Family(
        "Qwen2.5",
        "qwen2",
        TIED
        | {"hidden_size": 224, "num_attention_heads": 7, "num_key_value_heads": 1}
        | rope("default", 1e6),
    ),
    Family("Qwen2.5, YaRN", "qwen2", rope("yarn", 1e6, **YARN)),
    Family("Qwen3", "qwen3", NARROW | TIED | rope("default", 1e6)),
    Family(
        "Qwen3-MoE",
        "qwen3_moe",
        NARROW
        | {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": True}
        | rope("default", 1e6),
        note="experts have no adapters",
    ),
    Family("Phi-3, window", "phi3", ALIKE | {"sliding_window": WINDOW}, like="Phi-3-mini-4k"),
    Family("Phi-3, LongRoPE", "phi3", ALIKE | longrope(16), like="Phi-3-mini-128k, Phi-3.5-mini"),
    Family(
        "Phi-4-mini",
        "phi3",
        TIED | {"hidden_size": 192, "num_attention_heads": 6} | longrope(12, partial_rotary_factor=0.75),
        note="long factors, as model.max_length is above the original length",
    ),
    Family(
        "Phi-4-mini, short",
        "phi3",
        TIED | {"hidden_size": 192, "num_attention_heads": 6} | longrope(12, partial_rotary_factor=0.75),
        note="short factors, as model.max_length is not above the original length",
        max_length=ORIGINAL,
    ),
    Family(
        "Gemma 2",
        "gemma2",
        NARROW
        | TIED
        | MIXED
        | {"query_pre_attn_scalar": 32, "attn_logit_softcapping": 5.0, "final_logit_softcapping": 30.0},
        packing=False,
        note="soft caps: attention of transformers' own (eager)",
    ),
    Family(
        "Gemma 3",
        "gemma3_text",
        NARROW
        | TIED
        | MIXED
        | {
            "num_key_value_heads": 1,
            "query_pre_attn_scalar": 32,
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
            },
        },
        like="Gemma 3 1B, and the language models of the larger ones",
    ),
    Family("Mistral", "mistral", NARROW | {"sliding_window": WINDOW}, like="Mistral 7B, Nemo, Small"),
    Family(
        "Mixtral", "mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2, "router_jitter_noise": 0.1}
    ),
    Family("SmolLM3", "smollm3", TIED | {"no_rope_layers": [1, 0]} | rope("default", 5e6)),
    Family("OLMo 2", "olmo2", ALIKE | rope("default", 5e5)),
    Family("OLMo 3", "olmo3", ALIKE | MIXED | rope("yarn", 5e5, **YARN)),
    Family(
        "OLMoE",
        "olmoe",
        ALIKE | {"num_experts": 4, "num_experts_per_tok": 2},
        note="experts have no adapters",
    ),
    Family(
        "Granite",
        "granite",
        TIED
        | {"embedding_multiplier": 12.0, "logits_scaling": 4.0, "residual_multiplier": 0.5}
        | {"attention_multiplier": 0.1, "attention_dropout": 0.1},
        like="Granite 3",
    ),
    Family("GLM-4", "glm4", NARROW | rope("default", 1e4, partial_rotary_factor=0.5)),
    Family("EXAONE 4", "exaone4", TIED | MIXED | rope("llama3", 1e6, factor=16.0, **LLAMA3)),
    Family(
        "Cohere 2",
        "cohere2",
        TIED | MIXED | {"sliding_window": MAX_LENGTH, "logit_scale": 0.25},
        like="Command R7B",
        note="model.max_length up to the sliding window; above it vLLM's window is one token longer",
    ),
    Family(
        "StarCoder 2",
        "starcoder2",
        TIED | {"sliding_window": WINDOW, "residual_dropout": 0.1, "embedding_dropout": 0.1},
    ),
]

# for docs/models.md only: more families than the tests have time for
FURTHER = [
    Family("Arcee", "arcee"),
    Family("Cohere", "cohere", TIED | {"logit_scale": 0.25, "use_qk_norm": True}, like="Command R"),
    Family("ERNIE 4.5", "ernie4_5", {"head_dim": 32}),
    Family("Falcon", "falcon", {"multi_query": True}),
    Family("Gemma", "gemma", NARROW | TIED | {"num_key_value_heads": 1}),
    Family("GPT-2", "gpt2", {"n_embd": 128, "n_layer": 2, "n_head": 4, "n_positions": 128}),
    Family("GraniteMoE", "granitemoe", TIED | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    Family("Hunyuan", "hunyuan_v1_dense", {"head_dim": 32}),
    Family("Ministral", "ministral", NARROW | MIXED),
    Family("Nemotron", "nemotron", {"head_dim": 32}),
    Family("Phi-2", "phi", {"partial_rotary_factor": 0.5}),
    Family("Seed-OSS", "seed_oss", {"head_dim": 32, "attention_bias": True}),
    Family("StableLM", "stablelm"),
]

ROUTED = {"num_local_experts": 4, "num_experts_per_tok": 2}
IMAGES = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 96}

# what a run that samples and learns refuses before anything starts, and the words that say why
REFUSED: list[tuple[Family, str]] = [
    (
        Family("Cohere 2, beyond its window", "cohere2", MIXED | TIED),
        "its sliding window is 16 tokens in transformers, and one more in vLLM: set model.max_length=16",
    ),
    (
        Family(
            "Qwen2, window in some layers",
            "qwen2",
            {"use_sliding_window": True, "max_window_layers": 1, "sliding_window": WINDOW},
        ),
        "vLLM cannot run Qwen2 with a sliding window in some layers only",
    ),
    (Family("Phi-3.5-MoE", "phimoe", ROUTED), "vLLM and transformers read Phi-3.5-MoE differently"),
    (Family("gpt-oss", "gpt_oss", NARROW | ROUTED | MIXED), "vLLM cannot update its experts"),
    (
        Family("GLM-4.5", "glm4_moe", NARROW | {"n_routed_experts": 4, "num_experts_per_tok": 2}),
        "vLLM cannot update its routers' biases",
    ),
    (
        Family("Qwen2-MoE", "qwen2_moe", {"num_experts": 4, "num_experts_per_tok": 2}),
        "vLLM cannot update its shared experts' gates",
    ),
    (
        Family(
            "Phi-3, LongRoPE with a factor of its own", "phi3", ALIKE | longrope(16, attention_factor=1.7)
        ),
        "its rope_parameters have attention_factor, which vLLM and transformers read differently",
    ),
    (
        Family(
            "Gemma 3 with images",
            "gemma3",
            {"text_config": SIZES | NARROW | MIXED, "vision_config": IMAGES | {"image_size": 28}},
        ),
        "gemma3 reads more than text",
    ),
    (Family("T5", "t5", {"d_model": 64}), "t5 has an encoder"),
    (
        Family("Llama, quantized", "llama", {"quantization_config": {"quant_method": "fp8"}}),
        "its weights are quantized, which cannot be trained",
    ),
    (
        Family("Llama, heads of 16 on the CPU", "llama", {"hidden_size": 64}),
        "it has attention heads of size 16; vLLM on the CPU has kernels for 32, 64, 80",
    ),
]


def family_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = character_tokenizer(ALPHABET)
    # as the tokenizers of chat models have them: not among their `all_special_ids`
    tokenizer.add_tokens([AddedToken(end, special=True) for end in ENDS], special_tokens=True)
    return tokenizer


def family_config(family: Family) -> Any:
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return AutoConfig.for_model(family.kind, **SIZES | special | family.sizes)


def make_checkpoint(family: Family, path: Path) -> None:
    """Weights are so large that a wrong position, window or norm changes what the model says."""
    tokenizer = family_tokenizer()
    ends = [tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(ENDS)]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(family_config(family)).float()
    with torch.no_grad():
        for parameter in model.parameters():
            width = parameter.shape[-1] if parameter.dim() > 1 else 25
            parameter.add_(torch.randn_like(parameter) / width**0.5)
    model.generation_config = GenerationConfig(eos_token_id=ends, bos_token_id=1, pad_token_id=0)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)


# ---------------------------------------------------------------- the bench


@dataclass
class Findings:
    """Of one family. Gaps are the largest differences of a token's log-probability, in nats."""

    architecture: str = ""
    engine: str = ""  # vLLM's class
    before: float = 0.0  # vLLM and the learner on live rollouts
    mean: float = 0.0  # the mean of these differences
    after: float = 0.0  # the same after a weight update
    moved: float = 0.0  # by that update, on the first rollouts
    alone: float = 0.0  # the learner, each row alone or with neighbours
    packed: float = 0.0  # the learner, packed or padded, before and after an update
    recomputed: float = 0.0  # the learner, with or without gradient checkpointing, after an update
    adapters: float = 0.0  # vLLM and the learner after an update of adapters
    adapted: float = 0.0  # by that update, on the first rollouts
    reloaded: float = 0.0  # vLLM after that update, and vLLM with the saved checkpoint
    same_shape: bool = False  # the checkpoint that was saved has the settings and tensors of the one loaded
    unnoticed: list[str] = field(default_factory=list)  # weights that may stay old without a gap
    refusal: str = ""  # of packing
    unadapted: str = ""  # why it has no adapters
    rollouts: list[Rollout] = field(default_factory=list)


class BenchWorker(RolloutWorker):
    """A rollout worker whose engine is replaced."""

    def open(self, path: str, max_length: int, dtype: str) -> str:
        """Start an engine; the one before it ends. Returns the class of vLLM's model."""
        from vllm.distributed.parallel_state import destroy_model_parallel
        from vllm.model_executor.models.registry import ModelRegistry

        from rlvr.rollout.engine import RolloutEngine

        if hasattr(self, "engine"):
            self.engine.engine.engine_core.shutdown()
            destroy_model_parallel()
            del self.engine
        (architecture,) = json.loads((Path(path) / "config.json").read_text())["architectures"]
        known = architecture if architecture in ModelRegistry.models else "TransformersForCausalLM"
        if hasattr(model := ModelRegistry.models[known], "load_model_cls"):
            # else vLLM inspects each new class in a process of its own, for ten seconds
            ModelRegistry.register_model(known, model.load_model_cls())
        _, _, config, seed, _ = self.arguments
        self.engine = RolloutEngine(path, max_length, replace(config, dtype=dtype), seed)
        runner = self.engine.engine.model_executor.driver_worker.worker.model_runner
        return type(runner.model).__name__


class BenchRank(LearnerRank):
    """A learner rank whose model is replaced."""

    def open(self, path: str, max_length: int, config: LearnerConfig, port: int) -> str:
        """Load a learner; the one before it ends. Returns the class of the model."""
        from rlvr.weights.sender import SharedMemorySender

        if hasattr(self, "learner"):
            self.learner.engine.destroy()
        self.config = config
        # with a smaller eps, a gradient of rounding alone would move its weight by the whole rate, either way
        self.start(path, max_length, OptimizerConfig(eps=1e-4), 1, ("127.0.0.1", port))
        self.sender = SharedMemorySender(self.learner)
        return type(self.learner.model).__name__

    def logprobs_alone(self, batch: TrainingBatch) -> list[np.ndarray]:
        """With one row in a micro-batch."""
        self.learner.config = replace(self.config, micro_batch_tokens=1)
        computed = self.learner.outputs("logprobs", batch)
        self.learner.config = self.config
        return computed

    @torch.no_grad()
    def unnoticed(self, path: str, max_length: int, batch: TrainingBatch, bound: float) -> list[str]:
        """The weights (for experts, each one's) whose values in that checkpoint change no log-probability by
        more than `bound`."""
        from rlvr.learner.models import load_model

        now = np.concatenate(self.learner.outputs("logprobs", batch))
        found = []
        old = dict(load_model(path, "float32", max_length).named_parameters())
        for name, parameter in self.learner.model.named_parameters():
            for place in range(len(parameter)) if parameter.dim() == 3 else [slice(None)]:
                kept = parameter[place].clone()
                parameter[place] = old[name][place]
                then = np.concatenate(self.learner.outputs("logprobs", batch))
                if np.abs(then - now).max() <= bound:
                    found.append(f"{name}[{place}]")
                parameter[place] = kept
        return found


def requests(seed: int, max_length: int) -> list[Request]:
    """Prompts from three tokens up to half of the context, and answers up to its end."""
    random = np.random.default_rng(seed)
    lengths = [3, 8, max_length // 5, max_length // 2]
    return [
        Request(
            problem_id=str(row),
            step=seed,
            sample=row,
            seed=int(random.integers(2**31)),
            prompt=[1, *random.integers(4, 25, lengths[row % 4]).tolist()],
            temperature=1.0,
            max_tokens=max_length // 2 - 2,
        )
        for row in range(ROWS)
    ]


def training_batch(rollouts: Sequence[Rollout]) -> TrainingBatch:
    batch = rollout_batch(rollouts, range(len(rollouts)))
    return replace(batch, live=[True] * len(rollouts), scales=[0.01] * len(rollouts))


def differences(one: Sequence[np.ndarray], other: Sequence[np.ndarray], batch: TrainingBatch) -> np.ndarray:
    return np.concatenate([np.abs(x - y)[m] for x, y, m in zip(one, other, batch.mask, strict=True)])


def largest(one: Sequence[np.ndarray], other: Sequence[np.ndarray], batch: TrainingBatch) -> float:
    return float(differences(one, other, batch).max())


class Bench:
    """One process for engines and one for learners, on a Ray cluster that is there."""

    def __init__(self) -> None:
        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # Ray's workers do not find this module
        rollout = RolloutConfig(max_num_seqs=64, max_num_batched_tokens=256, kv_cache_gib=0.02)
        worker = ray.remote(concurrency_groups={"control": 1})(BenchWorker)
        self.worker = worker.options(num_cpus=0).remote("", MAX_LENGTH, rollout, 0, [])
        self.rank = ray.remote(BenchRank).options(num_cpus=0).remote(LearnerConfig(), 0, [])
        _, self.port = ray.get(self.rank.address.remote())

    def close(self) -> None:
        ray.kill(self.worker)
        ray.kill(self.rank)

    def draw(self, seed: int, max_length: int) -> list[Rollout]:
        drawn = ray.get(self.worker.advance.remote(requests(seed, max_length), 1e9)).rollouts
        return sorted(drawn, key=lambda rollout: rollout.sample)

    def learn(self, family: Family, path: Path, **settings: Any) -> str:
        """A new learner."""
        config = LearnerConfig(micro_batch_tokens=1024, **settings)
        return ray.get(self.rank.open.remote(str(path), family.max_length, config, self.port))

    def logprobs(self, batch: TrainingBatch) -> list[np.ndarray]:
        return ray.get(self.rank.logprobs.remote(batch))

    def update(self, batch: TrainingBatch) -> None:
        ray.get(self.rank.update.remote(batch, supervised, RATE))

    def publish(self, version: int) -> None:
        ray.get(self.worker.receive_weights.remote(ray.get(self.rank.publish.remote(version)), version))

    def agreement(self, family: Family, folder: Path, dtype: str = "float32") -> Findings:
        """vLLM against the learner on live rollouts, before and after a weight update."""
        path = folder / "model"
        make_checkpoint(family, path)
        settings = {"dtype": dtype, "zero_stage": 1} if dtype == "bfloat16" else {}
        found = Findings()
        opened = self.worker.open.remote(str(path), family.max_length, dtype)
        found.architecture = self.learn(family, path, **settings)
        found.engine = ray.get(opened)
        found.rollouts = self.draw(0, family.max_length)
        batch = training_batch(found.rollouts)
        sampled = batch.columns["sampler_logprobs"]
        gaps = differences(self.logprobs(batch), sampled, batch)
        found.before, found.mean = float(gaps.max()), float(gaps.mean())
        self.update(batch)
        self.publish(1)
        found.moved = largest(self.logprobs(batch), sampled, batch)
        later = training_batch(self.draw(1, family.max_length))
        found.after = largest(self.logprobs(later), later.columns["sampler_logprobs"], later)
        return found

    def measure(self, family: Family, folder: Path) -> Findings:
        """Everything, in float32."""
        found, path, length = self.agreement(family, folder), folder / "model", family.max_length
        batch = training_batch(found.rollouts)
        sampled = batch.columns["sampler_logprobs"]
        after = self.logprobs(batch)
        found.alone = largest(ray.get(self.rank.logprobs_alone.remote(batch)), after, batch)
        found.unnoticed = ray.get(self.rank.unnoticed.remote(str(path), length, batch, 1e-3))
        later = self.draw(1, length)
        ray.get(self.rank.save.remote(folder / "saved"))
        saved = folder / "saved" / "model"
        family_tokenizer().save_pretrained(saved)
        found.same_shape = model_shape(str(saved)) == model_shape(str(path))

        self.learn(family, path, gradient_checkpointing=True)
        self.update(batch)
        found.recomputed = largest(self.logprobs(batch), after, batch)
        try:
            self.learn(family, path, packing=True)
            before = largest(self.logprobs(batch), sampled, batch)
            self.update(batch)
            found.packed = max(before, largest(self.logprobs(batch), after, batch))
        except ray.exceptions.RayTaskError as error:
            found.refusal = str(error.cause)

        try:
            self.learn(family, path, lora=LoraConfig(rank=2))
        except ray.exceptions.RayTaskError as error:
            found.unadapted = str(error.cause)
        else:
            self.update(batch)
            self.publish(2)
            adapted = training_batch(self.draw(2, length))
            found.adapters = largest(self.logprobs(adapted), adapted.columns["sampler_logprobs"], adapted)
            found.adapted = largest(self.logprobs(batch), sampled, batch)

        ray.get(self.worker.load.remote(str(saved)))
        again = self.draw(1, length)
        assert [rollout.tokens.tolist() for rollout in again] == [each.tokens.tolist() for each in later]
        found.reloaded = max(
            float(np.abs(one.logprobs - other.logprobs).max())
            for one, other in zip(again, later, strict=True)
        )
        return found


def ends_of(rollouts: Sequence[Rollout]) -> set[int]:
    """The tokens that ended answers."""
    return {int(each.tokens[-1]) for each in rollouts if each.finish_reason is FinishReason.STOP}
