"""The learning rate as a function of the step alone, so that a resumed run needs no state for it."""

from __future__ import annotations

import math

from rlvr.learner.config import OptimizerConfig


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """Rate of optimizer step `step` (0 … steps−1): linear warm-up to the peak, then the decay.

    The first warm-up step already has a rate above zero, the last has the peak; the decay ends
    at `final_lr_ratio` of the peak with the last step.
    """
    warmup = config.warmup_steps or round(config.warmup_ratio * steps)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.decay == "constant":
        return config.lr
    remaining = steps - 1 - warmup
    progress = (step - warmup) / remaining if remaining > 0 else 1.0
    shape = 1 - progress if config.decay == "linear" else (1 + math.cos(math.pi * progress)) / 2
    return config.lr * (config.final_lr_ratio + (1 - config.final_lr_ratio) * shape)
