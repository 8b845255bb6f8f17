"""Settings of the learner and its optimizer, and messages about those that conflict or have no effect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rlvr.base.settings import setting


@dataclass
class LoraConfig:
    """Low-rank adapters of linear layers, trained in place of the model: `learner.lora.rank=8`.

    The model computes W x + alpha/rank · B A x with W frozen. Source: LoRA, arXiv 2106.09685.
    """

    rank: int | None = setting(
        None, "rank of the adapters; unset: no adapters, the whole model is trained", ge=1
    )
    alpha: float = setting(32.0, "adapters are multiplied by alpha/rank", gt=0)
    target_modules: list[str] | None = setting(
        None,
        "layers by the end of their name, such as [q_proj, v_proj]; unset: all linear layers but the head",
    )
    seed: int = setting(0, "seed of the adapters' initial values", ge=0)


@dataclass
class LearnerConfig:
    workers: int = setting(1, "data-parallel ranks, each in its own Ray actor", ge=1, neutral=True)
    gpus_per_worker: int = setting(0, "0 (CPU, gloo) or 1 (GPU, NCCL)", ge=0, le=1, neutral=True)
    zero_stage: int = setting(0, "DeepSpeed ZeRO stage", ge=0, le=3)
    dtype: str = setting(
        "float32", "data type of the model; optimizer states are float32", choices=("float32", "bfloat16")
    )
    micro_batch_tokens: int = setting(
        2048,
        "size of a micro-batch in tokens, padding included; a longer sequence has a micro-batch of its own",
        ge=1,
        neutral=True,
    )
    packing: bool = setting(
        False,
        "pack the sequences of a micro-batch into one row without padding; each attends only to itself",
        neutral=True,
    )
    gradient_checkpointing: bool = setting(
        False, "recompute activations in the backward pass: less memory, more time", neutral=True
    )
    lora: LoraConfig = setting(factory=LoraConfig)
    max_grad_norm: float = setting(1.0, "gradient clipping: largest norm", gt=0)
    deadline: float = setting(
        1800.0, "time limit of an update, in seconds; after it the run stops", gt=0, neutral=True
    )


@dataclass
class OptimizerConfig:
    """AdamW with a learning rate that is a function of the step alone."""

    lr: float = setting(1e-6, "peak learning rate", gt=0)
    warmup_steps: int = setting(0, "steps of linear warm-up", ge=0)
    warmup_ratio: float = setting(0.0, "warm-up as a share of all steps, instead of warmup_steps", ge=0, lt=1)
    decay: str = setting("constant", "decay after the warm-up", choices=("constant", "linear", "cosine"))
    final_lr_ratio: float = setting(0.0, "final learning rate as a share of the peak", ge=0, le=1)
    weight_decay: float = setting(0.0, "decoupled weight decay", ge=0)
    beta1: float = setting(0.9, "decay rate of the gradients' mean", ge=0, lt=1)
    beta2: float = setting(0.999, "decay rate of the squared gradients' mean", ge=0, lt=1)
    eps: float = setting(1e-8, "added to the denominator", gt=0)


def learner_messages(learner: LearnerConfig) -> Iterator[str]:
    if learner.dtype == "bfloat16" and learner.zero_stage == 0:
        yield (
            "learner.dtype=bfloat16 needs learner.zero_stage 1, 2 or 3: DeepSpeed keeps float32 weights and "
            "gradients beside the bfloat16 model only there"
        )
    lora = learner.lora
    if lora.rank is None and lora != type(lora)():
        yield "learner.lora has settings, but they have no effect without learner.lora.rank"
    if lora.target_modules == []:
        yield "learner.lora.target_modules is empty: name linear layers, or leave it out for all of them"


def optimizer_messages(stage: str, optimizer: OptimizerConfig, steps: int | None) -> Iterator[str]:
    """`steps` is None where they are known only once the data is."""
    key = f"{stage}.optimizer"
    if steps is not None and optimizer.warmup_steps >= steps:
        yield f"{key}.warmup_steps={optimizer.warmup_steps} never ends: the stage has {steps} optimizer steps"
    if optimizer.warmup_steps and optimizer.warmup_ratio:
        yield f"{key}.warmup_steps and warmup_ratio are both given: leave one of them out"
    if optimizer.decay == "constant" and optimizer.final_lr_ratio:
        yield f"{key}.final_lr_ratio has no effect with decay: constant; set decay to linear or cosine"
