"""How fast the learner is beside a bare PyTorch loop, and what packing brings on heavy-tailed lengths.

    python benchmarks/learner.py --json report.json                        # on the CPU, float32
    python benchmarks/learner.py --case gpu --json report.json             # on a GPU, bfloat16

One model made from nothing, of about 10M parameters on the CPU and 0.5B with a vocabulary of 152k on a GPU;
for every objective a batch of sequences whose lengths are log-normal. The bare loop has the same
micro-batches, ready as tensors, and does nothing but forward, loss, backward, AdamW (on float32 copies where
weights are bfloat16): no collecting of rows, no metrics, no clipping of gradients. All variants of
an objective take turns, update by update, so that whatever slows the machine slows them alike. Speeds are
tokens of the sequences, prompts included and padding not, per second; figures are medians over the
counted updates, and shares medians of the shares of each turn.

`rounding` is what each variant's first update makes of the batch, beside the same weights in float32 one
sequence at a time: log-probabilities of the answers' tokens, loss and gradient norm.
"""

from __future__ import annotations

import argparse
import gc
import json
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, logsigmoid
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel

from rlvr.algorithms import objective, preference
from rlvr.algorithms.aggregation import scales
from rlvr.algorithms.losses import ppo_clip, reinforce
from rlvr.learner.batching import MicroBatch, collate, plan_micro_batches
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.learner.learner import join_ranks
from rlvr.learner.models import load_model
from rlvr.learner.policy import PolicyLearner
from rlvr.record.run_folder import versions
from rlvr.stages.batches import preference_batch, supervised_batch
from rlvr.types import TrainingBatch

LR = 1e-9  # so that all updates are alike
BETA = 0.1


@dataclass(frozen=True)
class Case:
    """A model, and the sequences that it learns from."""

    sizes: dict[str, Any]  # LlamaConfig's names
    learner: LearnerConfig
    answer: int  # tokens; half of the answers are shorter, one in 50 is eight times as long
    max_length: int
    sequences: int
    objectives: tuple[str, ...]


CPU = Case(
    {
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "intermediate_size": 1024,
        "vocab_size": 84,
        "tie_word_embeddings": True,
    },
    LearnerConfig(micro_batch_tokens=2048),
    answer=60,
    max_length=1024,
    sequences=128,
    objectives=("mid_training", "sft", "dpo", "policy", "distillation"),
)
GPU = Case(
    {
        "hidden_size": 896,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "intermediate_size": 4864,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    LearnerConfig(gpus_per_worker=1, dtype="bfloat16", zero_stage=1, micro_batch_tokens=8192),
    answer=480,
    max_length=8192,
    sequences=128,
    objectives=("sft", "dpo", "policy"),  # the bare loop's distillation does not fit: whole distributions
)
CASES = {"cpu": CPU, "gpu": GPU}

# ---------------------------------------------------------------- batches


def examples(case: Case, count: int, random: np.random.Generator) -> list[tuple[list[int], list[int]]]:
    """Prompts of 16 to 48 tokens and log-normal answers, of random tokens."""
    most = case.max_length - 64
    answers = np.exp(random.normal(np.log(case.answer), 1.0, count)).astype(int).clip(4, most)

    def draw(n: int) -> list[int]:
        return [int(t) for t in random.integers(4, case.sizes["vocab_size"], n)]

    return [(draw(int(random.integers(16, 48))), draw(answer)) for answer in answers]


def batches(case: Case, count: int) -> dict[str, TrainingBatch]:
    """One of each objective, all of the same lengths; old log-probabilities are those of a random policy."""
    random = np.random.default_rng(0)
    drawn = examples(case, count, random)
    supervised = supervised_batch(drawn)
    whole = supervised_batch([(prompt[:1], prompt[1:] + answer) for prompt, answer in drawn])
    even = -float(np.log(case.sizes["vocab_size"]))
    near = [(even * mask).astype(np.float32) for mask in supervised.mask]
    pairs = [(drawn[i], (drawn[i][0], drawn[i + 1][1])) for i in range(0, count, 2)]
    paired = preference_batch(pairs)
    advantages = [(mask * random.normal()).astype(np.float32) for mask in supervised.mask]
    columns = {"sampler_logprobs": near, "old_logprobs": near, "advantages": advantages}
    return {
        "mid_training": whole,
        "sft": supervised,
        "dpo": replace(
            paired,
            columns={"reference_logprobs": [(even * mask).astype(np.float32) for mask in paired.mask]},
        ),
        "policy": replace(
            supervised,
            columns=columns,
            scales=scales([int(mask.sum()) for mask in supervised.mask], "sequence", 0),
        ),
        "distillation": replace(
            supervised, columns=columns | {"advantages": [0 * a for a in advantages]}, reference_logits=True
        ),
    }


OBJECTIVES: dict[str, objective.Objective] = {
    "mid_training": objective.supervised,
    "sft": objective.supervised,
    "dpo": partial(preference.sigmoid, beta=BETA),
    "policy": partial(objective.policy, loss=ppo_clip),
    "distillation": partial(objective.policy, loss=reinforce, kl_coef=1.0),
}

# ---------------------------------------------------------------- the bare loop


@dataclass
class Bare:
    """A model and AdamW, with no more around them than they need."""

    model: PreTrainedModel
    teacher: PreTrainedModel | None
    micro_batches: list[MicroBatch]
    loss: Callable[[Bare, MicroBatch], Tensor]

    def __post_init__(self) -> None:
        self.weights = list(self.model.parameters())
        # of bfloat16 a step as small as most are would leave nothing
        self.masters = [weight.detach().float() for weight in self.weights]
        self.adamw = torch.optim.AdamW(self.masters, lr=LR, fused=True)

    def gradients(self) -> Tensor:
        """The loss."""
        self.model.zero_grad()
        total = torch.zeros((), device=self.weights[0].device)
        for micro in self.micro_batches:
            loss = self.loss(self, micro)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        return total

    def update(self) -> None:
        self.gradients()
        for master, weight in zip(self.masters, self.weights, strict=True):
            assert weight.grad is not None
            master.grad = weight.grad.float()  # the same tensor where it is float32
        self.adamw.step()
        if self.masters[0].data_ptr() != self.weights[0].data_ptr():
            with torch.no_grad():
                torch._foreach_copy_(self.weights, self.masters)


def logits_of(model: PreTrainedModel, micro: MicroBatch) -> Tensor:
    logits: Tensor = model(input_ids=micro.tokens[:, :-1], logits_to_keep=micro.mask.shape[1]).logits
    return logits


def nll_of(logits: Tensor, micro: MicroBatch) -> Tensor:
    targets = micro.tokens[:, micro.first + 1 :]
    return cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none").view_as(targets)


def bare_supervised(bare: Bare, micro: MicroBatch) -> Tensor:
    nll = nll_of(logits_of(bare.model, micro), micro)
    return ((nll * micro.mask).sum(1) * micro.scales).sum()


def bare_dpo(bare: Bare, micro: MicroBatch) -> Tensor:
    nll = nll_of(logits_of(bare.model, micro), micro)
    ratios = ((-nll - micro.columns["reference_logprobs"]) * micro.mask).sum(1)
    return -(logsigmoid(BETA * (ratios[0::2] - ratios[1::2])) * micro.scales[0::2]).sum()


def bare_policy(bare: Bare, micro: MicroBatch) -> Tensor:
    nll = nll_of(logits_of(bare.model, micro), micro)
    ratio, advantages = (-nll - micro.columns["old_logprobs"]).exp(), micro.columns["advantages"]
    loss = -torch.minimum(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages)
    return ((loss * micro.mask).sum(1) * micro.scales).sum()


def bare_distillation(bare: Bare, micro: MicroBatch) -> Tensor:
    assert bare.teacher is not None
    with torch.no_grad():
        teacher = logits_of(bare.teacher, micro).log_softmax(-1)
    student = logits_of(bare.model, micro).log_softmax(-1)
    divergence = kl_div(teacher, student, reduction="none", log_target=True).sum(-1)
    return ((divergence * micro.mask).sum(1) * micro.scales).sum()


LOSSES: dict[str, Callable[[Bare, MicroBatch], Tensor]] = {
    "mid_training": bare_supervised,
    "sft": bare_supervised,
    "dpo": bare_dpo,
    "policy": bare_policy,
    "distillation": bare_distillation,
}


def in_drawn_order(batch: TrainingBatch, budget: int) -> list[list[int]]:
    """Micro-batches filled as the sequences come, as many as fit with their padding."""
    result: list[list[int]] = []
    for start in range(0, len(batch.tokens), batch.unit):
        unit = list(range(start, start + batch.unit))
        wider = [*result[-1], *unit] if result else unit
        if result and len(wider) * max(len(batch.tokens[i]) for i in wider) <= budget:
            result[-1] = wider
        else:
            result.append(unit)
    return result


# ---------------------------------------------------------------- rounding

Numbers = dict[str, Any]


def models(
    batch: TrainingBatch, path: str, case: Case, device: torch.device
) -> tuple[PreTrainedModel, PreTrainedModel | None]:
    """A model to train, and where the batch asks for one a teacher."""

    def load() -> PreTrainedModel:
        model: PreTrainedModel = load_model(path, case.learner.dtype, case.max_length).train().to(device)
        return model

    return load(), load() if batch.reference_logits else None


def exact(name: str, batch: TrainingBatch, path: str, case: Case, device: torch.device) -> Numbers:
    """Log-probabilities, loss and gradient norm of the weights that are learned from, in float32."""
    model, teacher = models(batch, path, case, device)
    rows = [list(range(start, start + batch.unit)) for start in range(0, len(batch.tokens), batch.unit)]
    micro_batches = [collate(batch, each, device) for each in rows]
    bare = Bare(model.float(), teacher and teacher.float(), micro_batches, LOSSES[name])
    logprobs = []
    with torch.no_grad():
        for micro in micro_batches:
            said = -nll_of(logits_of(bare.model, micro), micro)
            logprobs += [each[mask].cpu() for each, mask in zip(said, micro.mask, strict=True)]
    loss = bare.gradients()
    norm = torch.linalg.vector_norm(torch.stack([w.grad.norm() for w in bare.weights if w.grad is not None]))
    return {"logprobs": torch.cat(logprobs), "loss": float(loss), "grad_norm": float(norm)}


def rounding(learner: PolicyLearner, batch: TrainingBatch, name: str, reference: Numbers) -> Numbers:
    """How far the learner's log-probabilities are from the reference's; loss and norm of an update."""
    there = zip(learner.outputs("logprobs", batch), batch.mask, strict=True)
    logprobs = torch.from_numpy(np.concatenate([values[mask] for values, mask in there]))
    gaps = (logprobs - reference["logprobs"]).abs()
    made = learner.update(batch, OBJECTIVES[name], LR)
    return {
        "logprobs_mean": float(gaps.mean()),
        "logprobs_max": float(gaps.max()),
        "loss": made["loss"],
        "grad_norm": made["grad_norm"],
    }


# ---------------------------------------------------------------- the measurement


@dataclass
class Variant:
    """One way to make an update; seconds of each, and what it needs of a GPU beside what lies there."""

    update: Callable[[], Any]
    device: torch.device
    seconds: list[float] = field(default_factory=list)
    gib: float = 0.0

    def turn(self, counts: bool) -> None:
        gpu = self.device.type == "cuda"
        if gpu:
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
        began = time.monotonic()
        self.update()
        if gpu:
            torch.cuda.synchronize()
            self.gib = (torch.cuda.max_memory_allocated() - before) / 2**30
        if counts:
            self.seconds.append(time.monotonic() - began)


def measure(
    name: str, batch: TrainingBatch, path: str, case: Case, updates: int, device: torch.device
) -> dict[str, Any]:
    """Tokens per second of every variant, and the shares that are of interest."""
    sizes = [len(tokens) for tokens in batch.tokens]
    budget = case.learner.micro_batch_tokens
    plan = plan_micro_batches(sizes, budget, 1, batch.unit)[0]
    naive = in_drawn_order(batch, budget)
    reference = exact(name, batch, path, case, device)
    variants: dict[str, Variant] = {}
    gaps = {"float32": {key: reference[key] for key in ("loss", "grad_norm")}}
    for variant, packing in (("learner", False), ("learner_packed", True)):
        config = replace(case.learner, packing=packing)
        learner = PolicyLearner(path, case.max_length, config, OptimizerConfig(), device)
        if batch.reference_logits:
            learner.add_reference(path)
        gaps[variant] = rounding(learner, batch, name, reference)
        variants[variant] = Variant(partial(learner.update, batch, OBJECTIVES[name], LR), device)
    for variant, rows in (("bare", plan), ("bare_drawn_order", naive)):
        micro_batches = [collate(batch, each, device) for each in rows]
        bare = Bare(*models(batch, path, case, device), micro_batches, LOSSES[name])
        variants[variant] = Variant(bare.update, device)
    for turn in range(updates + 1):
        for each in variants.values():
            each.turn(counts=turn > 0)  # the first is a warm-up

    def share(one: str, other: str) -> float:
        """Speed of one as a share of the other's."""
        pairs = zip(variants[one].seconds, variants[other].seconds, strict=True)
        return statistics.median(b / a for a, b in pairs)

    tokens = sum(sizes)
    padded = {
        rows: sum(len(r) * max(sizes[i] for i in r) for r in cut)
        for rows, cut in (("plan", plan), ("drawn", naive))
    }
    memory = {v: each.gib for v, each in variants.items()} if device.type == "cuda" else None
    return {
        "tokens": tokens,
        "micro_batches": len(plan),
        "padding": {"plan": 1 - tokens / padded["plan"], "drawn_order": 1 - tokens / padded["drawn"]},
        "tokens_per_second": {v: tokens / statistics.median(each.seconds) for v, each in variants.items()},
        "learner_share_of_bare": share("learner", "bare"),
        "packed_share_of_bare": share("learner_packed", "bare"),
        "packed_over_padded": share("learner_packed", "learner"),
        "packed_over_drawn_order": share("learner_packed", "bare_drawn_order"),
        "rounding": gaps,
        **({"update_gib": memory} if memory else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--case", choices=CASES, default="cpu")
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES)
    parser.add_argument("--updates", type=int, default=9, help="counted updates of each variant")
    parser.add_argument("--sequences", type=int, help="of a batch; an even number")
    parser.add_argument("--tokens", type=int, help="of a micro-batch")
    parser.add_argument("--quick", action="store_true", help="a few sequences, one update: does it run?")
    arguments = parser.parse_args()
    case = CASES[arguments.case]
    if arguments.quick:
        arguments.updates, arguments.sequences = 1, 16
    if arguments.tokens:
        case = replace(case, learner=replace(case.learner, micro_batch_tokens=arguments.tokens))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    device = join_ranks(0, 1, "127.0.0.1", port, gpu=case.learner.gpus_per_worker > 0)
    sequences = arguments.sequences or case.sequences
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        model = LlamaForCausalLM(LlamaConfig(max_position_embeddings=case.max_length, **case.sizes))
        model.save_pretrained(folder)
        results = {}
        for name, batch in batches(case, sequences).items():
            if name in (arguments.objectives or case.objectives):
                results[name] = measure(name, batch, folder, case, arguments.updates, device)
                gc.collect()
                print(name, json.dumps(results[name]), flush=True)
    report = {
        "machine": versions(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "million_parameters": model.num_parameters() / 1e6,
        "dtype": case.learner.dtype,
        "sequences": sequences,
        "micro_batch_tokens": case.learner.micro_batch_tokens,
        **results,
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
