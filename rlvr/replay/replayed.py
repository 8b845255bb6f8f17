"""What a step that is made again gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from rlvr.stages.collector import StepGroups
from rlvr.types import TrainingBatch, UpdateRecord

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Replayed:
    """A training step that was made again."""

    drawn: StepGroups
    batch: TrainingBatch
    metrics: dict[str, float]  # those of the step that are no times, as the run names them
    learned: list[list[UpdateRecord]]  # of every rollout of every group
    gradients: list[Tensors]  # of each update of the policy, before clipping, by parameter
    moved: float  # Euclidean length of what the step has added to the policy's weights


def length(tensors: Mapping[str, torch.Tensor]) -> float:
    """Euclidean length over all of them together."""
    return sum(float(tensor.double().square().sum()) for tensor in tensors.values()) ** 0.5
