"""The learner of all stages: a DeepSpeed engine that updates a model on batches with an objective.

Every data-parallel rank has a `Learner` and gets the same whole batch. Each computes the same plan and does
its own share, so the ranks need not communicate about it.

Not included, on purpose: learning-rate schedulers (the caller passes the rate), loss normalization
(the batch has its scales), data loading (the stages determine the order of the data).
"""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import deepspeed
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from rlvr.algorithms.objective import Objective
from rlvr.learner.batching import MicroBatch, collate, plan_micro_batches, prompts_of
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.learner.modules import TokenModel, recompute_activations, signal_to_noise
from rlvr.types import FloatArray, RlvrError, TrainingBatch

Totals = dict[str, Tensor]  # name → sum and number of its terms, [2] float64


def join_ranks(
    rank: int, world_size: int, address: str, port: int, gpu: bool, listening: int | None = None
) -> torch.device:
    """Make this process rank `rank` of the learner. Returns the device that it computes on.

    The ranks connect to `port` of rank 0. `listening` is the file descriptor of rank 0's socket, if it
    listens there already.
    """
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK="0",  # an actor sees its own GPU only
        WORLD_SIZE=str(world_size),
        MASTER_ADDR=address,
        MASTER_PORT=str(port),
    )
    if not gpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
        # gloo is fast enough on one host; this kernel would be compiled for half a minute at first use,
        # and there may be no compiler
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    backend = "nccl" if gpu else "gloo"
    if not dist.is_initialized():  # in a replay one process acts as each rank in turn
        store = dist.TCPStore(  # type: ignore[attr-defined]
            address, port, world_size, rank == 0, master_listen_fd=listening, use_libuv=False
        )  # libuv cannot take over a socket
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    deepspeed.init_distributed(dist_backend=backend, verbose=False)
    return torch.device("cuda" if gpu else "cpu")


def deepspeed_config(config: LearnerConfig) -> dict[str, Any]:
    """The settings of `deepspeed.initialize`. Gradients accumulate until `step()`, and losses are divided by
    their denominators before the backward pass.

    With stages 0 and 1 gradients accumulate on each rank and are reduced once, in `step()`. With 2 and 3 a
    rank keeps only the gradients of its own partition, so they are reduced after every micro-batch."""
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        # without ZeRO the engine does not return the norm, so `_clip` clips instead
        "gradient_clipping": config.max_grad_norm if config.zero_stage else 0.0,
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {"stage": config.zero_stage, "overlap_comm": False},
        "bf16": {"enabled": config.dtype == "bfloat16"},
        "data_types": {"grad_accum_dtype": "fp32"},
        "steps_per_print": None,
    }


@torch.no_grad()
def token_outputs(
    module: nn.Module, name: str, batch: TrainingBatch, config: LearnerConfig, device: torch.device
) -> list[FloatArray]:
    """An output of a model for the masked tokens: N × [T] float32, 0 outside the mask.

    Every rank computes its share under the token budget; all return the whole result.
    """
    if not batch.tokens:
        return []
    batch = replace(batch, columns={})  # models do not read them
    lengths = [len(tokens) for tokens in batch.tokens]
    starts = token_starts(batch)
    flat = torch.zeros(starts[-1], device=device)
    workers, packing = dist.get_world_size(), config.packing
    prompts = prompts_of(batch.tokens, batch.mask)
    plan = plan_micro_batches(lengths, config.micro_batch_tokens, workers, packing=packing, prompts=prompts)
    for rows in plan[dist.get_rank()]:
        micro = collate(batch, rows, device, packing)
        into_place(flat, starts, micro, rows, module(micro)[name])
    dist.all_reduce(flat)
    return np.split(flat.cpu().numpy(), starts[1:-1])


def token_starts(batch: TrainingBatch) -> list[int]:
    """Start of each of the concatenated sequences, and the end of the last: N + 1 numbers."""
    return [0, *accumulate(len(tokens) for tokens in batch.tokens)]


def into_place(
    flat: Tensor, starts: Sequence[int], micro: MicroBatch, rows: Sequence[int], values: Tensor
) -> None:
    """Copy a micro-batch's values [B, L−1−first], 0 outside the mask, to its rows in `flat`."""
    masked = values * micro.mask
    for row, i in enumerate(rows):
        end = starts[i + 1] - starts[i] - micro.first - 1
        flat[starts[i] + micro.first + 1 : starts[i + 1]] = masked[row, :end]


def live_rows(batch: TrainingBatch) -> list[int]:
    """All rows of the units that have a live row."""
    starts = range(0, len(batch.live), batch.unit)
    units = (range(start, start + batch.unit) for start in starts)
    return [row for rows in units if any(batch.live[row] for row in rows) for row in rows]


class Learner:
    """One data-parallel rank. Call `join_ranks` first; then all ranks must make the same calls."""

    def __init__(
        self, module: TokenModel, config: LearnerConfig, optimizer: OptimizerConfig, device: torch.device
    ) -> None:
        self.config, self.optimizer = config, optimizer
        self.device = device
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.module = module
        module.eval()  # no dropout, and no noise in routing: log-probabilities are those of what was sampled
        if config.gradient_checkpointing:
            recompute_activations(module.model)
        self.adamw = torch.optim.AdamW(
            [parameter for parameter in module.parameters() if parameter.requires_grad],
            lr=optimizer.lr,
            betas=(optimizer.beta1, optimizer.beta2),
            eps=optimizer.eps,
            weight_decay=optimizer.weight_decay,
            fused=True,
        )
        self.grad_norm = 0.0
        self.kept: dict[str, Tensor] = {}  # per-token values of the last update
        self.ends: list[int] = []  # ends of its sequences in `kept`, without the last
        self.engine, *_ = deepspeed.initialize(
            model=module, optimizer=self.adamw, config=deepspeed_config(config)
        )
        if not config.zero_stage:
            self.adamw.register_step_pre_hook(self._clip)

    def _clip(self, *_: Any) -> None:
        norm = nn.utils.clip_grad_norm_(self.engine.module.parameters(), self.config.max_grad_norm)
        self.grad_norm = float(norm)

    def update(self, batch: TrainingBatch, objective: Objective, lr: float) -> dict[str, float]:
        """One optimizer step on the gradient of Σ_i scales_i Σ_t loss_it.

        Up to rounding, the result does not depend on `micro_batch_tokens`, on padding or packing, on the
        number of ranks or on the ZeRO stage. Units without a live sequence are skipped. If no sequence is
        live, so is the step: AdamW would move the weights all the same, by its momentum and weight decay.
        All ranks get the same batch, so they skip it together.

        Returns:
            Means of the diagnostics over the trained tokens of live sequences, or over live units
            (`rlvr.algorithms.objective`). `loss` of the whole batch, `grad_norm` before clipping, `lr`,
            `padding` (share of padding), and with two or more groups the `gradient_snr`
            (`rlvr.learner.modules`). `tokens` (number trained on) and `skipped` (0 or 1); of a skipped step
            there are only these two.

        Raises:
            RlvrError: the loss or the gradient norm is not finite.
        """
        starts = token_starts(batch)
        self.kept = {name: torch.zeros(starts[-1], device=self.device) for name in batch.keep}
        self.ends = starts[1:-1]
        live = live_rows(batch)
        if not live:
            return {"tokens": 0.0, "skipped": 1.0}
        lengths = [len(batch.tokens[i]) for i in live]
        budget, packing = self.config.micro_batch_tokens, self.config.packing
        prompts = prompts_of([batch.tokens[i] for i in live], [batch.mask[i] for i in live])
        plan = plan_micro_batches(lengths, budget, self.world_size, batch.unit, packing, prompts)
        totals: Totals = defaultdict(lambda: torch.zeros(2, dtype=torch.float64, device=self.device))
        place = {group: place for place, group in enumerate(sorted(set(batch.groups)))}
        group_gradients = torch.zeros(len(place), 0, dtype=torch.float64)
        for rows in plan[self.rank]:  # some are empty where other ranks have more: all take part in each
            micro = collate(batch, [live[row] for row in rows], self.device, packing)
            of_tokens = self._accumulate(micro, objective, totals)
            for name, flat in self.kept.items():
                into_place(flat, starts, micro, [live[row] for row in rows], of_tokens[name])
            filled = sum(lengths[row] for row in rows)
            cells = filled if packing else micro.tokens.numel() if rows else 0
            totals["padding"] += torch.tensor([cells - filled, cells], device=self.device)
            group_gradients = self._add_group_gradients(
                group_gradients, [place[batch.groups[live[row]]] for row in rows]
            )
        for group in self.engine.optimizer.param_groups:
            group["lr"] = lr
        self.engine.step()
        return self._means(totals) | self._signal(group_gradients) | {"lr": lr, "skipped": 0.0}

    def _accumulate(self, micro: MicroBatch, objective: Objective, totals: Totals) -> dict[str, Tensor]:
        """Do the backward pass. Returns the diagnostics and, if the model outputs them, `logprobs`."""
        outputs = self._outputs(micro)
        logprobs = {name: outputs[name].detach() for name in outputs.keys() & {"logprobs"}}
        per_token, diagnostics = objective(outputs, micro.columns, micro.mask)
        del outputs  # frees logits that the gradient does not need
        total = (per_token.masked_fill(~micro.mask, 0).sum(1) * micro.scales).sum()
        # DeepSpeed averages gradients over ranks, but this loss is a term of the total
        self.engine.backward(total * self.world_size)
        with torch.no_grad():
            units = micro.mask.view(-1, micro.unit, micro.mask.shape[1]).flatten(1).any(1)
            for name, values in diagnostics.items():
                there = micro.mask if values.dim() == 2 else units
                totals[name] += torch.stack([(values * there).sum(), there.sum()])
            totals["loss"] += total
            totals["tokens"] += micro.mask.sum()
        return diagnostics | logprobs

    def _outputs(self, micro: MicroBatch) -> dict[str, Tensor]:
        """The model's outputs that the objective reads."""
        outputs: dict[str, Tensor] = self.engine(micro)
        return outputs

    def _add_group_gradients(self, group_gradients: Tensor, groups: Sequence[int]) -> Tensor:
        """Add the last micro-batch's gradients with respect to the hidden states to their groups' [K, H]."""
        gradient, self.module.hidden_gradient = self.module.hidden_gradient, None
        assert gradient is not None
        if not group_gradients.numel():
            group_gradients = torch.zeros(
                group_gradients.shape[0], gradient.shape[1], dtype=torch.float64, device=self.device
            )
        if groups:
            group_gradients.index_add_(0, torch.tensor(groups, device=self.device), gradient)
        return group_gradients

    def _signal(self, group_gradients: Tensor) -> dict[str, float]:
        if group_gradients.shape[0] < 2:
            return {}
        dist.all_reduce(group_gradients)
        return {"gradient_snr": signal_to_noise(group_gradients)}

    def _means(self, totals: Totals) -> dict[str, float]:
        names = sorted(totals)
        stacked = torch.stack([totals[name] for name in names])
        dist.all_reduce(stacked)
        sums = dict(zip(names, stacked.tolist(), strict=True))
        (loss, _), (tokens, _) = sums.pop("loss"), sums.pop("tokens")
        padding, cells = sums.pop("padding")
        norm = self.engine.get_global_grad_norm() if self.config.zero_stage else self.grad_norm
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise RlvrError(
                f"the loss is {loss} and the gradient norm {float(norm)}: the weights are invalid, and the "
                "run stops before they are published or saved. Check the loss and the learning rate, and "
                "resume from the last checkpoint"
            )
        return {
            **{name: total / count for name, (total, count) in sums.items() if count},
            "loss": loss,
            "grad_norm": float(norm),
            "tokens": tokens,
            "padding": padding / cells if cells else 0.0,
        }

    def kept_tokens(self) -> dict[str, list[FloatArray]]:
        """The values that the last update's `batch.keep` names: name → N × [T], 0 outside the mask and for
        skipped sequences."""
        kept = {}
        for name, own in self.kept.items():
            whole = own.clone()
            dist.all_reduce(whole)
            kept[name] = np.split(whole.cpu().numpy(), self.ends)
        return kept

    def outputs(self, name: str, batch: TrainingBatch) -> list[FloatArray]:
        """`token_outputs` of the model as it is now."""
        return token_outputs(self.engine, name, batch, self.config, self.device)

    def move_optimizer(self, to_host: bool) -> None:
        """Move the optimizer's state to host memory, or back to the device, where `update` needs it."""
        device = torch.device("cpu") if to_host else self.device
        for state in self.adamw.state.values():
            for name, value in state.items():
                if torch.is_tensor(value) and value.dim():
                    state[name] = value.to(device)
        if to_host and self.device.type == "cuda":
            torch.cuda.empty_cache()  # so that other processes can use the memory

    def forget_moments(self) -> None:
        """Reset the optimizer's state."""
        for state in self.adamw.state.values():
            for value in state.values():
                value.zero_()

    def save_state(self, folder: Path, tag: str) -> None:
        """Write weights and optimizer in DeepSpeed's format into `folder/tag`."""
        self.engine.save_checkpoint(str(folder), tag=tag, save_latest=False)
        if self.rank == 0:
            (folder / tag / "layout.json").write_text(json.dumps(self._layout()))
        dist.barrier()

    def _layout(self) -> dict[str, Any]:
        """The settings that DeepSpeed's files depend on: with ZeRO also the number of ranks."""
        config = self.config
        layout = {"learner.zero_stage": config.zero_stage, "learner.dtype": config.dtype}
        return layout | ({"learner.workers": self.world_size} if config.zero_stage else {})

    def load_state(self, folder: Path, tag: str) -> None:
        """Load what `save_state` wrote with the same dtype and ZeRO stage; with ZeRO, as many ranks.

        Raises:
            RlvrError: the checkpoint is not complete, or was written with other settings (`_layout`).
        """
        try:
            written = json.loads((folder / tag / "layout.json").read_text())
        except FileNotFoundError as error:
            raise RlvrError(f"{folder}/{tag} holds no complete checkpoint") from error
        if written != self._layout():
            there, here = (" ".join(f"{k}={v}" for k, v in x.items()) for x in (written, self._layout()))
            raise RlvrError(
                f"{folder} was written with {there}, this run has {here}: give the old values, or start "
                f"a new run with model.path={folder}/model"
            )
        path, _ = self.engine.load_checkpoint(str(folder), tag=tag)
        if path is None:
            raise RlvrError(f"{folder}/{tag} holds no checkpoint that DeepSpeed can read")
        # loading the state has also restored the settings that the optimizer was saved with
        for group in self.engine.optimizer.param_groups:
            group["betas"] = (self.optimizer.beta1, self.optimizer.beta2)
            group["eps"], group["weight_decay"] = self.optimizer.eps, self.optimizer.weight_decay
