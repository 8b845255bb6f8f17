"""The result of a replayed step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from rlvr.stages.collector import StepGroups
from rlvr.types import TrainingBatch, UpdateRecord

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Replayed:
    """The result of a replayed training step."""

    drawn: StepGroups
    batch: TrainingBatch
    metrics: dict[str, float]  # the step's metrics except times, named as in the run
    learned: list[list[UpdateRecord]]  # for every rollout of every group
    gradients: list[Tensors]  # for each update of the policy, before clipping, by parameter
    moved: float  # Euclidean norm of the change of the policy's weights


def length(tensors: Mapping[str, torch.Tensor]) -> float:
    """Euclidean norm over all tensors together."""
    return sum(float(tensor.double().square().sum()) for tensor in tensors.values()) ** 0.5
