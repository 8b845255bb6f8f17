"""How fast the learner is beside a bare PyTorch loop, and what packing brings on heavy-tailed lengths.

    python benchmarks/learner.py --json report.json

One model of about 10M parameters, made from nothing; for every objective a batch of 128 sequences whose
lengths are log-normal. The bare loop has the same micro-batches, ready as tensors, and does nothing but
forward, loss, backward, AdamW: no collecting of rows, no metrics, no clipping of gradients. All variants of
an objective take turns, update by update, so that whatever slows the machine slows them alike. Speeds are
tokens of the sequences, prompts included and padding not, per second; figures are medians over the
counted updates, and shares medians of the shares of each turn.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import string
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, logsigmoid
from transformers import PreTrainedModel

from rlvr.algorithms import objective, preference
from rlvr.algorithms.aggregation import scales
from rlvr.algorithms.losses import ppo_clip, reinforce
from rlvr.learner.batching import MicroBatch, collate, plan_micro_batches
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.learner.learner import join_ranks
from rlvr.learner.models import load_model, make_scratch_model
from rlvr.learner.policy import PolicyLearner
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.record.run_folder import versions
from rlvr.stages.batches import preference_batch, supervised_batch
from rlvr.types import TrainingBatch

SIZES = {
    "hidden_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "intermediate_size": 1024,
    "tie_word_embeddings": True,
}
ALPHABET = string.digits + string.ascii_letters + "+-=()#,.?! \n/*:;%_"  # 80 characters, 84 tokens
MAX_LENGTH = 1024
LR = 1e-9  # so that all updates are alike
BETA = 0.1

# ---------------------------------------------------------------- batches


def lengths(count: int, random: np.random.Generator) -> list[tuple[int, int]]:
    """Prompts of 16 to 48 tokens; log-normal answers, half of them under 60 tokens, one in 50 over 450."""
    answers = np.exp(random.normal(np.log(60), 1.0, count)).astype(int).clip(4, MAX_LENGTH - 64)
    return list(zip(random.integers(16, 48, count).tolist(), answers.tolist(), strict=True))


def examples(
    sizes: Sequence[tuple[int, int]], random: np.random.Generator
) -> list[tuple[list[int], list[int]]]:
    def draw(n: int) -> list[int]:
        return [int(t) for t in random.integers(4, 4 + len(ALPHABET), n)]

    return [(draw(prompt), draw(answer)) for prompt, answer in sizes]


def batches(count: int) -> dict[str, TrainingBatch]:
    """One of each objective, all of the same lengths; old log-probabilities are those of a random policy."""
    random = np.random.default_rng(0)
    drawn = examples(lengths(count, random), random)
    supervised = supervised_batch(drawn)
    whole = supervised_batch([(prompt[:1], prompt[1:] + answer) for prompt, answer in drawn])
    near = [(-4.4 * mask).astype(np.float32) for mask in supervised.mask]
    pairs = [(drawn[i], (drawn[i][0], drawn[i + 1][1])) for i in range(0, count, 2)]
    paired = preference_batch(pairs)
    advantages = [(mask * random.normal()).astype(np.float32) for mask in supervised.mask]
    columns = {"sampler_logprobs": near, "old_logprobs": near, "advantages": advantages}
    return {
        "mid_training": whole,
        "sft": supervised,
        "dpo": replace(
            paired,
            columns={"reference_logprobs": [(-4.4 * mask).astype(np.float32) for mask in paired.mask]},
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
    teacher: PreTrainedModel
    micro_batches: list[MicroBatch]
    loss: Callable[[Bare, MicroBatch], Tensor]

    def __post_init__(self) -> None:
        self.adamw = torch.optim.AdamW(self.model.parameters(), lr=LR, fused=True)

    def update(self) -> None:
        self.adamw.zero_grad()
        for micro in self.micro_batches:
            self.loss(self, micro).backward()  # type: ignore[no-untyped-call]
        self.adamw.step()


def logits_of(model: PreTrainedModel, micro: MicroBatch) -> Tensor:
    logits: Tensor = model(input_ids=micro.tokens[:, :-1], logits_to_keep=micro.mask.shape[1]).logits
    return logits


def nll_of(logits: Tensor, micro: MicroBatch) -> Tensor:
    targets = micro.tokens[:, micro.first + 1 :]
    return cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)


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


# ---------------------------------------------------------------- the measurement


def measure(name: str, batch: TrainingBatch, path: str, budget: int, updates: int) -> dict[str, Any]:
    """Tokens per second of every variant, and the shares that are of interest."""
    device = torch.device("cpu")
    sizes = [len(tokens) for tokens in batch.tokens]
    plan = plan_micro_batches(sizes, budget, 1, batch.unit)[0]
    naive = in_drawn_order(batch, budget)
    variants: dict[str, Callable[[], Any]] = {}
    for variant, packing in (("learner", False), ("learner_packed", True)):
        config = LearnerConfig(micro_batch_tokens=budget, packing=packing)
        learner = PolicyLearner(path, MAX_LENGTH, config, OptimizerConfig(), device)
        if batch.reference_logits:
            learner.add_reference(path)
        variants[variant] = partial(learner.update, batch, OBJECTIVES[name], LR)
    for variant, rows in (("bare", plan), ("bare_drawn_order", naive)):
        models = [load_model(path, "float32", MAX_LENGTH).train() for _ in range(2)]
        micro_batches = [collate(batch, each, device) for each in rows]
        variants[variant] = Bare(models[0], models[1], micro_batches, LOSSES[name]).update
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for turn in range(updates + 1):
        for variant, update in variants.items():
            began = time.monotonic()
            update()
            if turn:  # the first is a warm-up
                seconds[variant].append(time.monotonic() - began)

    def share(one: str, other: str) -> float:
        """Speed of one as a share of the other's."""
        return statistics.median(b / a for a, b in zip(seconds[one], seconds[other], strict=True))

    tokens = sum(sizes)
    padded = {
        rows: sum(len(r) * max(sizes[i] for i in r) for r in cut)
        for rows, cut in (("plan", plan), ("drawn", naive))
    }
    return {
        "tokens": tokens,
        "micro_batches": len(plan),
        "padding": {"plan": 1 - tokens / padded["plan"], "drawn_order": 1 - tokens / padded["drawn"]},
        "tokens_per_second": {v: tokens / statistics.median(times) for v, times in seconds.items()},
        "learner_share_of_bare": share("learner", "bare"),
        "packed_share_of_bare": share("learner_packed", "bare"),
        "packed_over_padded": share("learner_packed", "learner"),
        "packed_over_drawn_order": share("learner_packed", "bare_drawn_order"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--objectives", nargs="+", choices=OBJECTIVES, default=list(OBJECTIVES))
    parser.add_argument("--updates", type=int, default=9, help="counted updates of each variant")
    parser.add_argument("--sequences", type=int, default=128, help="of a batch; an even number")
    parser.add_argument("--tokens", type=int, default=2048, help="of a micro-batch")
    parser.add_argument("--quick", action="store_true", help="a few sequences, one update: does it run?")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.updates, arguments.sequences = 1, 16
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    join_ranks(0, 1, "127.0.0.1", port, gpu=False)
    with tempfile.TemporaryDirectory() as folder:
        make_scratch_model(Path(folder), character_tokenizer(ALPHABET), MAX_LENGTH, 0, **SIZES)
        parameters = load_model(folder, "float32", MAX_LENGTH).num_parameters()
        results = {
            name: measure(name, batch, folder, arguments.tokens, arguments.updates)
            for name, batch in batches(arguments.sequences).items()
            if name in arguments.objectives
        }
    report = {
        "machine": versions(),
        "threads": torch.get_num_threads(),
        "million_parameters": parameters / 1e6,
        "sequences": arguments.sequences,
        "micro_batch_tokens": arguments.tokens,
        **results,
    }
    text = json.dumps(report, indent=2)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
