"""Checkpoints that declare dropout: what is learned from is the policy that drew, with a ratio of 1."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from learner_worker import Case, Result, RunCases
from test_learner import SHAPES, WEIGHTS, learner_config, make_batch
from transformers import AutoConfig, AutoModelForCausalLM

from rlvr.learner.config import LearnerConfig, LoraConfig
from rlvr.problems.generated import ALPHABET

pytestmark = pytest.mark.slow  # its models and runs

VOCABULARY = 4 + len(ALPHABET)
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64}
OPT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "ffn_dim": 48,
    "word_embed_proj_dim": 32,
    "max_position_embeddings": 64,
}
FALCON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
PHIMOE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 24,
    "num_local_experts": 2,
    "max_position_embeddings": 64,
}
# modules, functions with a rate of their own in each layer, skipped layers, rates that are read in each
# forward pass, noise at the routers
MODELS: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "gpt2": (GPT2, {"attn_pdrop": 0.1, "resid_pdrop": 0.1, "embd_pdrop": 0.1}),
    "opt": (OPT, {"dropout": 0.1, "attention_dropout": 0.1, "layerdrop": 0.5}),
    "falcon": (FALCON, {"hidden_dropout": 0.1, "attention_dropout": 0.1}),
    "phimoe": (PHIMOE, {"router_jitter_noise": 0.3, "attention_dropout": 0.1}),
}
LEARNERS: dict[str, LearnerConfig] = {
    "plain": learner_config(),
    "checkpointed": learner_config(gradient_checkpointing=True),
    "adapters": replace(learner_config(gradient_checkpointing=True), lora=LoraConfig(rank=2, seed=1)),
}
CASES = [
    ("gpt2", "plain"),
    ("gpt2", "checkpointed"),
    ("opt", "adapters"),
    ("falcon", "adapters"),
    ("phimoe", "plain"),
]


@pytest.fixture(scope="module")
def results(learners: RunCases, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    folder = tmp_path_factory.mktemp("noise")
    for name, (sizes, rates) in MODELS.items():
        torch.manual_seed(0)
        config = AutoConfig.for_model(
            name, vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=0, **sizes, **rates
        )
        AutoModelForCausalLM.from_config(config).save_pretrained(folder / name)
    batch = make_batch(0, [1.0] * len(WEIGHTS), SHAPES)
    cases = [
        Case(f"{name}-{kind}", folder / name, [batch], LEARNERS[kind], save=folder / f"{name}-{kind}")
        for name, kind in CASES
    ]
    (found,) = learners(folder / "cases", cases, 1)
    for name, kind in CASES:
        saved = AutoConfig.from_pretrained(folder / f"{name}-{kind}" / "model")
        # a checkpoint declares what it came with
        assert {rate: getattr(saved, rate) for rate in MODELS[name][1]} == MODELS[name][1]
    return found


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_the_update_learns_from_the_policy_that_drew(
    results: dict[str, Result], name: str, kind: str
) -> None:
    result = results[f"{name}-{kind}"]
    assert not result.error
    for before, during in zip(result.logprobs, result.kept["logprobs"], strict=True):
        assert np.abs(before).max() > 1.0
        assert np.array_equal(before, during)
