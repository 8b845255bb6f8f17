"""What bfloat16 does to a ratio whose sides are computed in two ways, as by a sampler and a learner."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rlvr.algorithms.losses import gspo
from rlvr.learner.batching import collate
from rlvr.learner.models import load_model, make_scratch_model
from rlvr.learner.modules import Policy
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.types import TrainingBatch

ANSWERS, PROMPT, LENGTH = 48, 4, 36


@torch.no_grad()
def drawn(policy: Policy) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens [N, T], and log-probabilities [N, T − PROMPT] of those drawn, one at a time with a KV cache."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(4, 4 + len(ALPHABET), (ANSWERS, PROMPT), generator=generator)
    made, cache, given = [], None, tokens
    for _ in range(LENGTH - PROMPT):
        output = policy.model(input_ids=given, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        logprobs = output.logits[:, -1].float().log_softmax(-1)
        given = torch.multinomial(logprobs.exp(), 1, generator=generator)
        made.append(logprobs.gather(1, given))
        tokens = torch.cat([tokens, given], 1)
    return tokens, torch.cat(made, 1)


@torch.no_grad()
def learned(policy: Policy, tokens: torch.Tensor) -> torch.Tensor:
    """The log-probabilities [N, T − PROMPT] as the learner computes them: all tokens at once."""
    rows = [row.astype(np.int32) for row in tokens.numpy()]
    masks = [np.arange(LENGTH) >= PROMPT] * ANSWERS
    ones, groups = [1.0] * ANSWERS, list(range(ANSWERS))
    batch = TrainingBatch(rows, masks, {}, ones, ones, [True] * ANSWERS, groups)
    logprobs: torch.Tensor = policy(collate(batch, range(ANSWERS), torch.device("cpu")))["logprobs"]
    return logprobs


def clipped(logprobs: torch.Tensor, old: torch.Tensor) -> float:
    """The share of answers that GSPO clips, of equally many with each sign of advantage."""
    everywhere = torch.ones_like(logprobs, dtype=torch.bool)
    signs = torch.tensor([1.0, -1.0]).repeat(ANSWERS // 2)[:, None].expand_as(logprobs)
    _, diagnostics = gspo(logprobs, old, signs, everywhere)
    return float(diagnostics["clip_fraction"].mean())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rounding_alone_clips_sequences_unless_one_engine_computes_both_sides(
    dtype: str, tmp_path: Path
) -> None:
    """The weights are equal, so a ratio is 1 but for rounding, and nothing should be clipped."""
    tokenizer = character_tokenizer(ALPHABET)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 96}
    make_scratch_model(tmp_path, tokenizer, LENGTH, 0, initializer_range=0.1, **sizes)
    policy = Policy(load_model(str(tmp_path), dtype, LENGTH))
    tokens, sampler = drawn(policy)
    learner = learned(policy, tokens)
    assert clipped(learner, learned(policy, tokens)) == 0  # old_policy=learner
    if dtype == "float32":
        assert clipped(learner, sampler) == 0
    else:
        assert clipped(learner, sampler) > 0.1
