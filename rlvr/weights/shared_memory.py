"""The receiving end of a weight update on one CPU host: a back-end for vLLM's weight transfer.

vLLM loads `register` in each of its processes (entry point `vllm.general_plugins` in setup.cfg).
This is the only module of the package that imports vLLM.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from vllm.distributed.weight_transfer import WeightTransferEngineFactory
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload

BACKEND = "rlvr_shared_memory"
MEMORY = "rlvr-weights"  # name of the memory that the learner fills


@dataclass
class SharedMemoryInitInfo(WeightTransferInitInfo):
    """Nothing to agree on beforehand."""


@dataclass
class SharedMemoryUpdateInfo(WeightTransferUpdateInfo):
    """Where the tensors lie. All lists have one entry per tensor."""

    path: str  # of the memory, as this process can open it
    names: list[str]
    dtypes: list[str]  # torch's names, without `torch.`
    shapes: list[list[int]]
    offsets: list[int]  # in bytes


class SharedMemoryEngine(WeightTransferEngine[SharedMemoryInitInfo, SharedMemoryUpdateInfo]):
    """Loads weights from memory that the learner filled, without copying them on the way."""

    init_info_cls = SharedMemoryInitInfo
    update_info_cls = SharedMemoryUpdateInfo

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tensors: list[tuple[str, torch.Tensor]] = []  # of the last update, in the learner's memory
        self.memory = torch.empty(0, dtype=torch.uint8)
        self.mapped: tuple[int, int] | None = None  # device and inode of that memory's file

    @property
    def checksums(self) -> dict[str, int]:
        """CRC-32 of what was last sent, by checkpoint name. They take longer than the update's copies do,
        so they are made when somebody asks."""
        return {name: checksum(tensor) for name, tensor in self.tensors}

    def init_transfer_engine(self, init_info: SharedMemoryInitInfo) -> None:
        pass

    def start_weight_update(self) -> None:
        # loading into packed layers needs their unpacked form back first
        initialize_layerwise_reload(self.model)

    def receive_weights(self, update_info: SharedMemoryUpdateInfo) -> None:
        """Load every tensor.

        Raises:
            RuntimeError: a parameter of the model got no value; it would silently stay the old one.
        """
        if not os.readlink(update_info.path).startswith(f"/memfd:{MEMORY} "):
            raise RuntimeError(f"{update_info.path} is not the learner's memory: both must be on one host")
        expected = {name for name, _ in self.model.named_parameters(remove_duplicate=False)}
        self._map(update_info)
        self.tensors = [
            (name, tensor_at(self.memory, offset, getattr(torch, dtype), shape))
            for name, dtype, shape, offset in zip(
                update_info.names, update_info.dtypes, update_info.shapes, update_info.offsets, strict=True
            )
        ]
        loaded = self.model.load_weights(iter(self.tensors))
        if loaded is not None and (missing := expected - loaded):
            raise RuntimeError(
                f"the weight update leaves parameters at old values: {', '.join(sorted(missing))}"
            )

    def _map(self, update_info: SharedMemoryUpdateInfo) -> None:
        """Map the learner's memory, if it is not that of the last update: the first touch of a page costs."""
        file = os.stat(update_info.path)
        if self.mapped != (file.st_dev, file.st_ino):
            size = update_info_size(update_info)
            self.memory = torch.from_file(update_info.path, shared=True, size=size, dtype=torch.uint8)
            self.mapped = file.st_dev, file.st_ino

    def finish_weight_update(self) -> None:
        finalize_layerwise_reload(self.model, self.model_config)

    def shutdown(self) -> None:
        pass


def update_info_size(info: SharedMemoryUpdateInfo) -> int:
    """Bytes up to the end of the last tensor."""
    last = getattr(torch, info.dtypes[-1]).itemsize * int(np.prod(info.shapes[-1]))
    return info.offsets[-1] + last


def tensor_at(memory: torch.Tensor, offset: int, dtype: torch.dtype, shape: list[int]) -> torch.Tensor:
    """The tensor of this type and shape that begins at byte `offset` of `memory` (uint8)."""
    size = dtype.itemsize * int(np.prod(shape))
    return memory[offset : offset + size].view(dtype).view(shape)


def checksum(tensor: torch.Tensor) -> int:
    """CRC-32 of the tensor's bytes."""
    return zlib.crc32(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)


def register() -> None:
    """Make the back-end known to vLLM; once per process, however often vLLM calls it."""
    if BACKEND not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine(BACKEND, SharedMemoryEngine)
