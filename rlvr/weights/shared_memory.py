"""The receiving end of a weight update on one CPU host: a back-end for vLLM's weight transfer.

vLLM loads `register` in each of its processes (entry point `vllm.general_plugins` in setup.cfg).
This is the only module of the package that imports vLLM.
"""

from __future__ import annotations

import os
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from vllm.distributed.weight_transfer import WeightTransferEngineFactory
from vllm.distributed.weight_transfer.base import (
    WeightTransferEngine,
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.model_executor.layers.attention import is_deferred_attention_layer
from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload
from vllm.model_executor.model_loader.reload.layerwise import get_layerwise_info

BACKEND = "rlvr_shared_memory"
HEAD = "lm_head.weight"  # name of the output layer
MEMORY = "rlvr-weights"  # name of the learner's memory file


@dataclass
class SharedMemoryInitInfo(WeightTransferInitInfo):
    """Empty: no handshake is needed."""


@dataclass
class SharedMemoryUpdateInfo(WeightTransferUpdateInfo):
    """The location of the tensors. All lists have one entry per tensor."""

    path: str  # of the memory, openable by this process
    names: list[str]
    dtypes: list[str]  # torch's names, without `torch.`
    shapes: list[list[int]]
    offsets: list[int]  # in bytes


class SharedMemoryEngine(WeightTransferEngine[SharedMemoryInitInfo, SharedMemoryUpdateInfo]):
    """Loads weights from the learner's memory, without an intermediate copy."""

    init_info_cls = SharedMemoryInitInfo
    update_info_cls = SharedMemoryUpdateInfo

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tensors: list[tuple[str, torch.Tensor]] = []  # of the last update, in the learner's memory
        self.memory = torch.empty(0, dtype=torch.uint8)
        self.mapped: tuple[int, int] | None = None  # device and inode of that memory's file
        # names of one and the same parameter; updates will make it several
        self.tied = tied_names(dict(self.model.named_parameters(remove_duplicate=False)))

    @property
    def checksums(self) -> dict[str, int]:
        """CRC-32 of the last update, by checkpoint name. Computed on request only: it takes longer than the
        update itself."""
        return {name: checksum(tensor) for name, tensor in self.tensors}

    def init_transfer_engine(self, init_info: SharedMemoryInitInfo) -> None:
        pass

    def start_weight_update(self) -> None:
        # packed layers must be unpacked before loading
        initialize_layerwise_reload(self.model)
        for layer in self.model.modules():
            method: Any = getattr(layer, "quant_method", None)
            if getattr(method, "moe_kernel", None) is not None:
                # vLLM packs experts for the CPU only as it makes their kernel, so it has to make a new one
                method.moe_kernel = None

    def receive_weights(self, update_info: SharedMemoryUpdateInfo) -> None:
        """Load every tensor from the learner's memory, or from the folder of a checkpoint.

        Raises:
            RuntimeError: a parameter of the model got no value and would silently keep the old one, or vLLM
                has no way to update it.
        """
        owners = parameter_owners(self.model)
        if os.path.isdir(update_info.path):
            self.tensors = []  # the copy of a checkpoint's tensors is not kept
            tensors = checkpoint_tensors(Path(update_info.path), self.tied)
        else:
            self._map(update_info)
            self.tensors = [
                (name, tensor_at(self.memory, offset, getattr(torch, dtype), shape))
                for name, dtype, shape, offset in zip(
                    update_info.names,
                    update_info.dtypes,
                    update_info.shapes,
                    update_info.offsets,
                    strict=True,
                )
            ]
            # some models, such as Gemma 2, have no output layer: they read the input embedding
            tensors = [entry for entry in self.tensors if entry[0] != HEAD or hasattr(self.model, "lm_head")]
        loaded = self.model.load_weights(iter(tensors))
        done = {owners[name] for name in (owners if loaded is None else loaded) if name in owners}
        if missing := [name for name, owner in owners.items() if owner not in done]:
            raise RuntimeError(
                f"the weight update leaves parameters at old values: {', '.join(sorted(missing))}"
            )
        # a model's own way of loading can pass by the loaders that an update waits for
        if passed := [name for name, layer in self.model.named_modules() if not is_loaded(layer)]:
            raise RuntimeError(
                f"vLLM cannot update the weights of {', '.join(passed)} in {type(self.model).__name__}: it "
                "loads them at its start only"
            )

    def _map(self, update_info: SharedMemoryUpdateInfo) -> None:
        """Map the learner's memory unless it is mapped already: the first access to each page is slow."""
        if not os.readlink(update_info.path).startswith(f"/memfd:{MEMORY} "):
            raise RuntimeError(
                f"{update_info.path} is not the learner's memory: worker and learner must be on one host"
            )
        file = os.stat(update_info.path)
        if self.mapped != (file.st_dev, file.st_ino):
            size = update_info_size(update_info)
            self.memory = torch.from_file(update_info.path, shared=True, size=size, dtype=torch.uint8)
            self.mapped = file.st_dev, file.st_ino

    def finish_weight_update(self) -> None:
        finalize_layerwise_reload(self.model, self.model_config)

    def shutdown(self) -> None:
        pass


def is_loaded(layer: torch.nn.Module) -> bool:
    """Whether the parameters of a layer's own, if any, have got values in this update."""
    info = get_layerwise_info(layer)
    own = any(True for _ in layer.parameters(recurse=False))
    return not own or not info.can_load() or bool(info.load_numel) or is_deferred_attention_layer(layer)


def parameter_owners(model: torch.nn.Module) -> dict[str, tuple[int, str]]:
    """The module that has each parameter, and its name there: equal for the names of a module with several.

    A tied output layer is a module of its own and must be loaded too; a router inside its experts is not.
    """
    return {
        f"{prefix}.{name}" if prefix else name: (id(module), name)
        for prefix, module in model.named_modules(remove_duplicate=False)
        for name, _ in module.named_parameters(recurse=False, remove_duplicate=False)
    }


def tied_names(parameters: Mapping[str, torch.Tensor]) -> list[set[str]]:
    """The names of every parameter that has several, as a tied output layer has."""
    names: defaultdict[int, set[str]] = defaultdict(set)
    for name, parameter in parameters.items():
        names[id(parameter)].add(name)
    return [same for same in names.values() if len(same) > 1]


def checkpoint_tensors(folder: Path, tied: Sequence[set[str]]) -> list[tuple[str, torch.Tensor]]:
    """All tensors of a checkpoint's safetensors files, a tied one under each of its names.

    The files have it under one name only, and layers that are packed one by one would keep the other old.
    """
    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(file)
    for names in tied:
        for name in names & tensors.keys():
            tensors |= dict.fromkeys(names, tensors[name])
    return list(tensors.items())


def update_info_size(info: SharedMemoryUpdateInfo) -> int:
    """Size in bytes up to the end of the last tensor."""
    last = getattr(torch, info.dtypes[-1]).itemsize * int(np.prod(info.shapes[-1]))
    return info.offsets[-1] + last


def tensor_at(memory: torch.Tensor, offset: int, dtype: torch.dtype, shape: list[int]) -> torch.Tensor:
    """A view of `memory` (uint8) as the tensor of this dtype and shape at byte `offset`."""
    size = dtype.itemsize * int(np.prod(shape))
    return memory[offset : offset + size].view(dtype).view(shape)


def checksum(tensor: torch.Tensor) -> int:
    """CRC-32 of the tensor's bytes."""
    return zlib.crc32(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)


def register() -> None:
    """Register the back-end with vLLM; further calls in a process do nothing."""
    if BACKEND not in WeightTransferEngineFactory._registry:
        WeightTransferEngineFactory.register_engine(BACKEND, SharedMemoryEngine)
