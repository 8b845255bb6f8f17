"""Settings of the stages, of the model they start from, and of the machine they run on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.learner.config import OptimizerConfig
from rlvr.settings import setting


@dataclass
class ScratchModelConfig:
    """A Llama-shaped model with random weights and one token per character."""

    hidden_size: int = setting(128, ge=8)
    layers: int = setting(3, ge=1)
    heads: int = setting(4, ge=1)
    kv_heads: int = setting(2, ge=1)
    intermediate_size: int = setting(384, ge=8)
    tie_embeddings: bool = setting(True)


@dataclass
class ModelConfig:
    """Exactly one of the two: a checkpoint to start from, or a model to make from nothing."""

    path: str | None = setting(None, "Hugging Face folder or hub name")
    scratch: ScratchModelConfig | None = setting(None, "make a small model with random weights")
    max_length: int = setting(1024, "longest sequence, prompt and answer, in tokens", ge=8)


@dataclass
class ClusterConfig:
    address: str | None = setting(None, "`auto` or host:port joins a running Ray cluster; unset starts one")
    cpus: int | None = setting(None, "cores of this machine that the run may use; unset is all", ge=1)


@dataclass
class SftConfig:
    steps: int = setting(100, "optimizer steps", ge=1)
    batch_size: int = setting(64, "solutions per optimizer step", ge=1)
    optimizer: OptimizerConfig = setting(factory=lambda: OptimizerConfig(lr=1e-5))
    checkpoint_every: int = setting(100, "steps; the last step always makes one", ge=1)


@dataclass
class SelectConfig:
    """Which problems are worth training on, found out with the model at hand before it trains."""

    samples: int = setting(8, "answers per candidate problem", ge=2)
    filters: dict[str, Any] = setting(
        factory=lambda: {"uniform_lengths": {"_target_": "rlvr.algorithms.filters.uniform_lengths"}},
        help="name → {_target_: group filter, …}; a problem is kept if all of them keep its group",
    )
    chunk: int = setting(256, "problems that are sampled at a time; a stopped run goes on after them", ge=1)


@dataclass
class GrpoConfig:
    steps: int = setting(100, "training steps, each with rollouts of its own", ge=1)
    problems_per_step: int = setting(32, "groups per step", ge=1)
    group_size: int = setting(8, "G: rollouts per problem", ge=1)
    updates_per_step: int = setting(1, "optimizer steps that share the rollouts of a step", ge=1)
    max_staleness: int = setting(0, "policy versions that rollouts may lie behind; 0 is on-policy", ge=0)
    optimizer: OptimizerConfig = setting(factory=OptimizerConfig)
    evaluate_every: int = setting(50, "steps; the first and the last are always evaluated", ge=1)
    checkpoint_every: int = setting(50, "steps; the last step always makes one", ge=1)
    check_every: int = setting(
        20, "steps between comparisons of vLLM's and the learner's log-probabilities", ge=1
    )
    max_logprob_gap: float = setting(1e-3, "mean absolute gap per token beyond which the run stops", gt=0)
