"""The learner of a policy: adds weights by name, a reference model, and Hugging Face checkpoints."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from torch import Tensor, nn

from rlvr.learner.batching import MicroBatch
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.learner.learner import Learner, token_outputs
from rlvr.learner.lora import inject, parts, switched_off
from rlvr.learner.models import (
    checkpoint_weights,
    load_model,
    persistent_buffers,
    save_model,
    tied_names,
)
from rlvr.learner.modules import Policy
from rlvr.types import ConfigError, FloatArray, TrainingBatch


class PolicyLearner(Learner):
    """One rank of a policy.

    The reference model is a frozen whole model on every rank. With LoRA, if it is the initial model, it is
    the policy itself with its adapters switched off. Published and saved weights have the adapters merged.
    """

    def __init__(
        self,
        model_path: str,
        max_length: int,
        config: LearnerConfig,
        optimizer: OptimizerConfig,
        device: torch.device,
    ) -> None:
        self.model_path, self.max_length = model_path, max_length
        self.model = load_model(model_path, config.dtype, max_length, packing=config.packing)
        self.input_embedding, self.tied_head = tied_names(self.model)
        self.scaling = 0.0  # of the adapters
        if config.lora.rank is not None:
            self.scaling = config.lora.alpha / config.lora.rank
            inject(self.model, config.lora)
        self.reference: Policy | None = None
        self.reference_is_own = False  # was reset: differs from the checkpoint it was loaded from
        super().__init__(Policy(self.model), config, optimizer, device)

    def add_reference(self, model_path: str) -> None:
        """Load this checkpoint as the frozen reference; not needed with LoRA if it is the initial model.

        Raises:
            ConfigError: it cannot be loaded, or has a vocabulary of another size than the policy.
        """
        if self.config.lora.rank is not None and model_path == self.model_path:
            return
        config = self.config
        model = load_model(
            model_path, config.dtype, self.max_length, packing=config.packing, key="algorithm.kl.reference"
        )
        sizes = [m.config.get_text_config().vocab_size for m in (model, self.model)]
        if sizes[0] != sizes[1]:
            raise ConfigError(
                f"algorithm.kl.reference={model_path} has a vocabulary of {sizes[0]} tokens, but the policy "
                f"{self.model_path} one of {sizes[1]}: use a reference with the policy's tokenizer"
            )
        self.reference = Policy(model).to(self.device).eval().requires_grad_(False)

    def reset_reference(self) -> None:
        """Make the current policy the reference, and reset the policy's optimizer.

        Source: ProRL, arXiv 2505.24864, on reference policy resets.
        """
        assert self.reference is not None
        kept = self.reference.model.state_dict()
        for name, weight in self.whole_weights():
            kept[name].copy_(weight)
        self.reference_is_own = True
        self.forget_moments()

    def reference_logprobs(self, batch: TrainingBatch) -> list[FloatArray]:
        """Log-probabilities of the masked tokens under the reference: N × [T] float32."""
        with self._as_reference() as reference:
            return token_outputs(reference, "logprobs", batch, self.config, self.device)

    def _outputs(self, micro: MicroBatch) -> dict[str, Tensor]:
        if not micro.reference_logits:
            return super()._outputs(micro)
        with torch.no_grad(), self._as_reference() as reference:
            logits = reference(micro)["logits"]
        return super()._outputs(micro) | {"reference_logits": logits}

    @contextmanager
    def _as_reference(self) -> Iterator[nn.Module]:
        """The reference model, for the duration of the block."""
        if self.reference is not None:
            yield self.reference
            return
        assert self.config.lora.rank is not None
        with switched_off(self.model):
            yield self.engine

    def named_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Every whole weight as a checkpoint has it (`checkpoint_weights`); all ranks must iterate together.

        A tied output layer is yielded twice, as input and as output embedding: an engine with its own copy of
        it would keep the old one otherwise.
        """
        for name, weight in self.whole_weights():
            yield from self._published(name, weight)

    def whole_weights(self) -> Iterator[tuple[str, Tensor]]:
        """Every whole weight with its name in the model, a tied one once; all ranks must iterate together.

        Adapters are merged into their weights and have no names here.
        """
        for part in parts(self.model):
            with deepspeed.zero.GatheredParameters(part.parameters, enabled=self.config.zero_stage == 3):
                yield part.name, part.merged(self.scaling)
        yield from persistent_buffers(self.model)

    def _published(self, name: str, weight: Tensor) -> Iterator[tuple[str, Tensor]]:
        yield from checkpoint_weights(self.model, name, weight)
        if name == self.input_embedding and self.tied_head is not None:
            yield self.tied_head, weight

    def weight_shapes(self) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
        """Name, dtype and whole shape of everything that `named_weights` yields, in the same order."""
        whole = [
            (part.name, part.base.dtype, getattr(part.base, "ds_shape", part.base.shape))
            for part in parts(self.model)
        ]
        whole += [(name, buffer.dtype, buffer.shape) for name, buffer in persistent_buffers(self.model)]
        return [
            (published, empty.dtype, tuple(empty.shape))
            for name, dtype, shape in whole
            for published, empty in self._published(name, torch.empty(shape, dtype=dtype, device="meta"))
        ]

    def _layout(self) -> dict[str, Any]:
        lora = self.config.lora
        if lora.rank is None:
            return super()._layout()
        return super()._layout() | {
            "learner.lora.rank": lora.rank,
            "learner.lora.alpha": lora.alpha,
            "learner.lora.target_modules": lora.target_modules,
        }

    def weight_checksums(self) -> dict[str, int]:
        """CRC-32 of every weight's bytes, by checkpoint name; empty on ranks other than 0."""
        weights = ((name, weight.cpu().contiguous().view(-1)) for name, weight in self.named_weights())
        sums = {name: zlib.crc32(weight.view(torch.uint8).numpy().data) for name, weight in weights}
        return sums if self.rank == 0 else {}

    def save(self, folder: Path) -> None:
        """Write `model/` (Hugging Face format), `optimizer/`, and `reference/` if that was reset."""
        state = {name: weight.clone().cpu() for name, weight in self.whole_weights()}
        if self.rank == 0:
            save_model(self.model, folder / "model", state)
            if self.reference is not None and self.reference_is_own:
                save_model(self.reference.model, folder / "reference")
        self.save_state(folder, "optimizer")
        dist.barrier()

    def load(self, folder: Path) -> None:
        """Load what `save` wrote (see `load_state`), including the reference if it was reset.

        Raises:
            RlvrError: the checkpoint is not complete, or was written with other settings.
        """
        self.load_state(folder, "optimizer")
        if self.reference is not None and (folder / "reference").exists():
            self.add_reference(str(folder / "reference"))
            self.reference_is_own = True
