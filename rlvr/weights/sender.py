"""The sending end of a weight update: the learner's weights to all rollout workers.

All learner ranks take part. On a CPU host the weights go through anonymous shared memory, which is freed
even after a crash; on GPUs through vLLM's own engines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from mmap import mmap
from typing import Any, Protocol

import numpy as np
import ray
import torch

ALIGNMENT = 64  # bytes, for fast vector loads


class WeightSource(Protocol):
    """The weights of a learner rank; all ranks must iterate together, since ZeRO-3 gathers each one."""

    rank: int

    def named_weights(self) -> Iterator[tuple[str, torch.Tensor]]: ...
    def weight_shapes(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]: ...


class SharedMemorySender:
    """Copies the weights into one block of memory that every worker of this host maps.

    The driver calls `receive_weights(info, version)` of the workers that have started.
    """

    def __init__(self, source: WeightSource) -> None:
        self.source = source
        self.shapes = source.weight_shapes()
        self.offsets: list[int] = []
        end = 0
        for _, dtype, shape in self.shapes:
            self.offsets.append(end)
            end += -(-dtype.itemsize * int(np.prod(shape)) // ALIGNMENT) * ALIGNMENT
        if source.rank == 0:
            self.file = os.memfd_create("rlvr-weights")
            os.ftruncate(self.file, end)
            self.memory = torch.frombuffer(mmap(self.file, end), dtype=torch.uint8)

    def send(self, version: int) -> dict[str, Any]:
        """Fill the memory. Returns what a worker needs to read it on rank 0, an empty dict on other ranks."""
        for offset, (_, weight) in zip(self.offsets, self.source.named_weights(), strict=True):
            if self.source.rank == 0:
                flat = weight.contiguous().view(-1).view(torch.uint8)
                self.memory[offset : offset + flat.numel()].copy_(flat)
        if self.source.rank:
            return {}
        return {
            "path": f"/proc/{os.getpid()}/fd/{self.file}",
            "names": [name for name, _, _ in self.shapes],
            "dtypes": [str(dtype).removeprefix("torch.") for _, dtype, _ in self.shapes],
            "shapes": [list(shape) for _, _, shape in self.shapes],
            "offsets": self.offsets,
        }


class Receivers:
    """The rollout workers as vLLM's trainer side sees them (its `VLLMWeightSyncClient`).

    A worker loads a whole update in one call, between two engine steps. So the update starts and finishes
    there, and the protocol's own start and finish do nothing.
    """

    def __init__(self, workers: Sequence[Any], gpus_per_worker: int) -> None:
        self.workers = workers
        self.gpus_per_worker = gpus_per_worker
        self.version = 0

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        offset = init_info.get("rank_offset", 0)
        calls = []
        for index, worker in enumerate(self.workers):
            ranks = {"rank_offset": offset + index * self.gpus_per_worker} if offset else {}
            calls.append(worker.init_weight_transfer.remote(init_info | ranks))
        ray.get(calls)

    def start_weight_update(self) -> None:
        pass

    def update_weights(self, update_info: dict[str, Any]) -> None:
        ray.get([worker.receive_weights.remote(update_info, self.version) for worker in self.workers])

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        pass


class GpuSender:
    """vLLM's own transfer engines: NCCL from learner rank 0's GPU to those of the workers, or, where worker i
    has the same GPU as rank i, CUDA IPC handles of the weights."""

    def __init__(
        self, source: WeightSource, receivers: Receivers, address: tuple[str, int], same_gpus: bool
    ) -> None:
        from vllm.distributed.weight_transfer import base, factory, ipc_engine, nccl_engine

        class Weights(base.WeightSource):
            def metadata(self) -> list[base.ParamMeta]:
                return [base.ParamMeta(*entry) for entry in source.weight_shapes()]

            def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
                return source.named_weights()

        self.receivers = receivers
        if same_gpus:
            info: base.TrainerInitInfo = ipc_engine.IPCTrainerInitInfo(rank=source.rank)
        else:
            world_size = 1 + len(receivers.workers) * receivers.gpus_per_worker
            info = nccl_engine.NCCLTrainerInitInfo(
                rank=source.rank, master_address=address[0], master_port=address[1], world_size=world_size
            )
        self.engine = factory.WeightTransferTrainerFactory.trainer_init(
            info, client=receivers, source=Weights()
        )

    def send(self, version: int) -> dict[str, Any]:
        """Send the weights. Returns an empty dict: workers need nothing further."""
        self.receivers.version = version
        self.engine.send_weights()
        return {}
