"""Low-rank adapters: injected into a model, merged into plain weights, temporarily switched off.

A linear layer with frozen weight W [out, in] computes W x + alpha/rank · B A x, and A [rank, in] and
B [out, rank] are trained. Source: LoRA, arXiv 2106.09685. The layers are peft's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from rlvr.learner.config import LoraConfig
from rlvr.types import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BASE, A, B = ".base_layer", ".lora_A.default.weight", ".lora_B.default.weight"  # peft's names


@dataclass(frozen=True)
class Part:
    """A weight with its checkpoint name, and its adapter if it has one."""

    name: str
    base: nn.Parameter
    a: nn.Parameter | None = None
    b: nn.Parameter | None = None

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters that must be gathered for `merged`."""
        return [parameter for parameter in (self.base, self.a, self.b) if parameter is not None]

    def merged(self, scaling: float) -> Tensor:
        """The weight itself, or a new W + scaling · B A, computed in float32, rounded once to W's dtype."""
        weight = self.base.detach()
        if self.a is None or self.b is None:
            return weight
        delta = self.b.detach().float() @ self.a.detach().float()
        return (weight.float() + scaling * delta).to(weight.dtype)


def inject(model: PreTrainedModel, config: LoraConfig) -> None:
    """Give linear layers adapters, in place, and freeze everything else.

    A is uniform in ±1/√in and depends on `config.seed` only; B is zero, so that the model is unchanged.

    Raises:
        ConfigError: a target module is no linear layer of the model, or is its head; or it has none.
    """
    from peft import LoraConfig as PeftConfig
    from peft import inject_adapter_in_model

    targets = target_names(model, config.target_modules)
    settings = PeftConfig(r=config.rank, lora_alpha=config.alpha, target_modules=targets)
    with torch.random.fork_rng(devices=[]):  # leaves the global random state unchanged
        torch.manual_seed(config.seed)
        inject_adapter_in_model(settings, model)


def target_names(model: PreTrainedModel, ends: Sequence[str] | None) -> list[str]:
    """Full names of the linear layers whose names end with one of `ends`; all of them if it is None.

    The head is excluded: it may be tied to the input embedding.
    """
    head = model.get_output_embeddings()
    linear = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear) and module is not head
    ]
    if not linear:
        raise ConfigError(
            f"learner.lora.rank: {type(model).__name__} has no linear layers below its head, so there is "
            "nothing to give adapters to: leave learner.lora out"
        )
    if ends is None:
        return linear
    for end in ends:
        if not any(f".{name}".endswith(f".{end}") for name in linear):
            there = ", ".join(sorted({name.rpartition(".")[2] for name in linear}))
            raise ConfigError(
                f"learner.lora.target_modules names {end!r}, but adapters are for linear layers below the "
                f"head: {there}"
            )
    return [name for name in linear if any(f".{name}".endswith(f".{end}") for end in ends)]


def parts(model: nn.Module) -> list[Part]:
    """Every weight of a model with or without adapters, in the model's order."""
    named = dict(model.named_parameters())
    result = []
    for name, parameter in named.items():
        if name.endswith((A, B)):
            continue
        layer = name.removesuffix(f"{BASE}.weight")
        adapter = (named.get(layer + A), named.get(layer + B))
        result.append(Part(name.replace(f"{BASE}.", "."), parameter, *adapter))
    return result


@contextmanager
def switched_off(model: nn.Module) -> Iterator[None]:
    """Switch the model's adapters off for the duration of the block.

    They are multiplied by zero, which is exact. Skipping their modules would change the order of the forward
    pass, which ZeRO-3 records for prefetching.
    """
    from peft.helpers import rescale_adapter_scale

    with rescale_adapter_scale(model, 0):
        yield
