"""The one learner of every stage: a DeepSpeed engine that turns batches and a loss into updates.

Every data-parallel rank holds a `Learner` and is given the same whole batch; each works out the
same plan and does its own share, so nothing has to be sent about who does what.

Left out on purpose: learning-rate schedulers (the caller passes the rate), loss normalization
(the batch carries its denominator), data loading (the stages own the order of the data).
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import PreTrainedModel

from rlvr.algorithms.losses import TokenLoss
from rlvr.learner.batching import MicroBatch, collate, plan_micro_batches
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.learner.models import load_model
from rlvr.types import FloatArray, RlvrError, TrainingBatch


def join_ranks(rank: int, world_size: int, address: str, port: int, gpu: bool) -> torch.device:
    """Make this process rank `rank` of the learner and say which device it computes on."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK="0",  # an actor sees its own GPU only
        WORLD_SIZE=str(world_size),
        MASTER_ADDR=address,
        MASTER_PORT=str(port),
    )
    if not gpu:
        os.environ["DS_ACCELERATOR"] = "cpu"
        # gloo is quick enough on one host; this kernel would be compiled at first use, for half a
        # minute, and there may be no compiler
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist_backend="nccl" if gpu else "gloo", verbose=False)
    return torch.device("cuda" if gpu else "cpu")


class Policy(nn.Module):
    """A causal language model that answers with log-probabilities instead of logits."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, first: int, temperatures: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities and entropies, both [B, L−1−first] float32, of tokens first+1 … L−1.

        Args:
            tokens: [B, L], padded on the right.
            temperatures: [B]; logits are divided by it.
        """
        columns = tokens.shape[1] - 1 - first
        logits = self.model(input_ids=tokens[:, :-1], logits_to_keep=columns).logits
        logits = logits.float() / temperatures[:, None, None]
        targets = tokens[:, first + 1 :]
        logprobs = -nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        with torch.no_grad():
            probabilities = logits.softmax(-1)
            entropy = logits.logsumexp(-1) - (probabilities * logits).sum(-1)
        return logprobs.view_as(targets), entropy


def deepspeed_config(config: LearnerConfig) -> dict[str, Any]:
    """The settings of `deepspeed.initialize`. Every backward pass is ours, so `step()` alone ends
    the accumulation, and losses arrive already divided by their denominators."""
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        # without ZeRO the engine clips but does not tell the norm: `_clip` does both then
        "gradient_clipping": config.max_grad_norm if config.zero_stage else 0.0,
        "zero_allow_untested_optimizer": True,
        "zero_optimization": {"stage": config.zero_stage, "overlap_comm": False},
        "bf16": {"enabled": config.dtype == "bfloat16"},
        "data_types": {"grad_accum_dtype": "fp32"},
        "steps_per_print": None,
    }


class Learner:
    """One data-parallel rank. `join_ranks` comes first; then all ranks make the same calls."""

    def __init__(
        self,
        model_path: str,
        max_length: int,
        config: LearnerConfig,
        optimizer: OptimizerConfig,
        device: torch.device,
    ) -> None:
        self.config = config
        self.device = device
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.model = load_model(model_path, config.dtype, max_length)
        if config.gradient_checkpointing:
            self.model.gradient_checkpointing_enable()
        self.model.train()
        policy = Policy(self.model)
        adamw = torch.optim.AdamW(
            policy.parameters(),
            lr=optimizer.lr,
            betas=(optimizer.beta1, optimizer.beta2),
            eps=optimizer.eps,
            weight_decay=optimizer.weight_decay,
            fused=True,
        )
        self.grad_norm = 0.0
        self.engine, *_ = deepspeed.initialize(model=policy, optimizer=adamw, config=deepspeed_config(config))
        if not config.zero_stage:
            adamw.register_step_pre_hook(self._clip)

    def _clip(self, *_: Any) -> None:
        norm = nn.utils.clip_grad_norm_(self.engine.module.parameters(), self.config.max_grad_norm)
        self.grad_norm = float(norm)

    def update(self, batch: TrainingBatch, loss: TokenLoss, lr: float) -> dict[str, float]:
        """One optimizer step on the gradient of Σ loss / `batch.num_tokens`.

        The result does not depend on `micro_batch_tokens`, on padding, on the number of ranks or
        on the ZeRO stage (but for rounding). Sequences without a weight cost nothing.

        Returns:
            Means over the trained tokens that were not skipped: `loss` (over all tokens of the
            batch), the loss's diagnostics, `entropy`, `logprob_gap` (|log π − log π_old|); and
            `grad_norm` before clipping, `lr`, `tokens` trained on, `padding` (share of padding).
        """
        live = [i for i, weights in enumerate(batch.weights) if weights.any()]
        lengths = [len(batch.tokens[i]) for i in live]
        plan = plan_micro_batches(lengths, self.config.micro_batch_tokens, self.world_size)
        totals: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), dtype=torch.float64))
        # with nothing to learn the optimizer still makes its step: momentum moves on
        for rows in plan[self.rank] or [[]]:
            micro = collate(batch, [live[row] for row in rows], self.device)
            self._accumulate(micro, batch.num_tokens, loss, totals)
            totals["cells"] += micro.tokens.numel() if rows else 0
            totals["filled"] += sum(lengths[row] for row in rows)
        for group in self.engine.optimizer.param_groups:
            group["lr"] = lr
        self.engine.step()
        return self._means(totals, batch.num_tokens) | {"lr": lr}

    def _accumulate(
        self, micro: MicroBatch, num_tokens: int, loss: TokenLoss, totals: dict[str, Tensor]
    ) -> None:
        logprobs, entropy = self.engine(micro.tokens, micro.first, micro.temperatures)
        # outside the mask the old log-probability means nothing: a ratio of 1 keeps it finite
        old = torch.where(micro.mask, micro.old_logprobs, logprobs.detach())
        per_token, diagnostics = loss(logprobs, old, micro.weights)
        total = (per_token * micro.mask).sum()
        # DeepSpeed averages gradients over ranks, while this loss is already a share of the total
        self.engine.backward(total * (self.world_size / num_tokens))
        with torch.no_grad():
            sums = {"loss": total, "tokens": micro.mask.sum()}
            gap = (logprobs - old).abs()
            for name, values in {**diagnostics, "entropy": entropy, "logprob_gap": gap}.items():
                sums[name] = (values * micro.mask).sum()
            for name, value in sums.items():
                totals[name] += value.double().cpu()

    def _means(self, totals: dict[str, Tensor], num_tokens: int) -> dict[str, float]:
        names = sorted(totals)
        stacked = torch.stack([totals[name] for name in names]).to(self.device)
        dist.all_reduce(stacked)
        sums = dict(zip(names, stacked.tolist(), strict=True))
        loss, tokens = sums.pop("loss"), sums.pop("tokens")
        cells, filled = sums.pop("cells"), sums.pop("filled")
        norm = self.engine.get_global_grad_norm() if self.config.zero_stage else self.grad_norm
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise RlvrError(
                f"the loss is {loss / num_tokens} and the gradient norm {float(norm)}: these weights are "
                "lost, and the run stops before they are published or saved. Look at the loss and at the "
                "learning rate, and resume from the last checkpoint"
            )
        return {
            **{name: value / max(tokens, 1) for name, value in sums.items()},
            "loss": loss / num_tokens,
            "grad_norm": float(norm),
            "tokens": tokens,
            "padding": 1 - filled / cells if cells else 0.0,
        }

    @torch.no_grad()
    def logprobs(self, batch: TrainingBatch) -> list[FloatArray]:
        """Log-probabilities of the masked tokens: N × [T] float32, 0 outside the mask.

        Each rank does all of it (ZeRO-3 gathers parameters for everybody anyway).
        """
        lengths = [len(tokens) for tokens in batch.tokens]
        (plan,) = plan_micro_batches(lengths, self.config.micro_batch_tokens, 1)
        result = [torch.zeros(length).numpy() for length in lengths]
        for rows in plan:
            micro = collate(batch, rows, self.device)
            logprobs, _ = self.engine(micro.tokens, micro.first, micro.temperatures)
            masked = (logprobs * micro.mask).cpu().numpy()
            for row, i in enumerate(rows):
                result[i][micro.first + 1 :] = masked[row, : lengths[i] - micro.first - 1]
        return result

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Every weight under its checkpoint name, whole; all ranks must go through it together.

        A tied output layer comes twice, as input and as output embedding: an engine that keeps
        its own copy of the output layer would go on with the old one otherwise.
        """
        for name, parameter in self.model.named_parameters():
            with deepspeed.zero.GatheredParameters([parameter], enabled=self.config.zero_stage == 3):
                yield name, parameter.detach()
                if self.model.config.tie_word_embeddings and name == self._input_embedding_name():
                    yield "lm_head.weight", parameter.detach()

    def _input_embedding_name(self) -> str:
        embedding = self.model.get_input_embeddings().weight
        return next(name for name, parameter in self.model.named_parameters() if parameter is embedding)

    def weight_shapes(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        """Name, type and whole shape of everything that `named_weights` yields, in its order."""
        shapes = []
        for name, parameter in self.model.named_parameters():
            shape = tuple(getattr(parameter, "ds_shape", parameter.shape))
            shapes.append((name, parameter.dtype, shape))
            if self.model.config.tie_word_embeddings and name == self._input_embedding_name():
                shapes.append(("lm_head.weight", parameter.dtype, shape))
        return shapes

    def weight_checksums(self) -> dict[str, int]:
        """CRC-32 of every weight's bytes, by checkpoint name; empty but on rank 0."""
        weights = ((name, weight.cpu().contiguous().view(-1)) for name, weight in self.named_weights())
        sums = {name: zlib.crc32(weight.view(torch.uint8).numpy().data) for name, weight in weights}
        return sums if self.rank == 0 else {}

    def save(self, folder: Path) -> None:
        """Write `model/` (Hugging Face format) and `optimizer/` (DeepSpeed's) into `folder`."""
        tied = self.model.config.tie_word_embeddings
        state = {n: w.clone().cpu() for n, w in self.named_weights() if not (tied and n == "lm_head.weight")}
        if self.rank == 0:
            self.model.save_pretrained(folder / "model", state_dict=state)
        self.engine.save_checkpoint(str(folder), tag="optimizer", save_latest=False)
        if self.rank == 0:
            (folder / "optimizer" / "layout.json").write_text(json.dumps(self._layout()))
        dist.barrier()

    def _layout(self) -> dict[str, Any]:
        """The settings that DeepSpeed's files depend on; without ZeRO every rank holds all of them."""
        config = self.config
        layout = {"learner.zero_stage": config.zero_stage, "learner.dtype": config.dtype}
        return layout | ({"learner.workers": self.world_size} if config.zero_stage else {})

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote, with the same dtype and ZeRO stage; with ZeRO, as many ranks.

        Raises:
            RlvrError: the checkpoint is not complete, or was written by another layout.
        """
        try:
            written = json.loads((folder / "optimizer" / "layout.json").read_text())
        except FileNotFoundError as error:
            raise RlvrError(f"{folder}/optimizer holds no complete checkpoint") from error
        if written != self._layout():
            there, here = (" ".join(f"{k}={v}" for k, v in x.items()) for x in (written, self._layout()))
            raise RlvrError(
                f"{folder} was written with {there}, this run has {here}: give the old values, or start "
                f"a new run with model.path={folder}/model"
            )
        path, _ = self.engine.load_checkpoint(str(folder), tag="optimizer")
        if path is None:
            raise RlvrError(f"{folder}/optimizer holds no checkpoint that DeepSpeed can read")
