"""Settings of the learner that cannot work together, or would do nothing."""

from __future__ import annotations

from collections.abc import Iterator

from rlvr.learner.config import LearnerConfig, OptimizerConfig


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
