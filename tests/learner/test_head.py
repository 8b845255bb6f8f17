"""Log-probabilities and entropies by chunks of tokens against those of all logits, which are never made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from rlvr.algorithms import objective
from rlvr.algorithms.losses import ppo_clip
from rlvr.learner import head
from rlvr.learner.batching import MicroBatch, collate
from rlvr.learner.config import LoraConfig
from rlvr.learner.head import token_statistics
from rlvr.learner.lora import inject
from rlvr.learner.modules import Policy
from rlvr.learner.packing import use_packed_attention
from rlvr.pipeline import sizes
from rlvr.types import TrainingBatch

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


@contextmanager
def chunks_of(logits: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(head, "CHUNK", logits)
        yield


def example(seed: int, tokens: int, hidden: int, vocabulary: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(tokens, hidden, generator=generator, dtype=torch.float64).requires_grad_()
    weight = torch.randn(vocabulary, hidden, generator=generator, dtype=torch.float64).requires_grad_()
    targets = torch.randint(vocabulary, (tokens,), generator=generator)
    return states, weight, targets, 0.5 + torch.rand(tokens, generator=generator, dtype=torch.float64)


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(0, 9),
    st.integers(1, 5),
    st.integers(2, 9),
    st.integers(1, 90),
    st.sampled_from(["both", "logprob", "no entropy"]),
)
def test_statistics_and_gradients_are_those_of_all_logits(
    seed: int, tokens: int, hidden: int, vocabulary: int, chunk: int, kind: str
) -> None:
    states, weight, targets, temperatures = example(seed, tokens, hidden, vocabulary)
    every = (states @ weight.T / temperatures[:, None]).log_softmax(-1)
    logprobs = every.gather(1, targets[:, None])[:, 0]
    entropy = -(every.exp() * every).sum(1)
    with chunks_of(chunk):
        ours = token_statistics(states, weight, targets, temperatures, kind != "no entropy")
        torch.testing.assert_close(ours[:, 0], logprobs)
        if kind != "no entropy":
            torch.testing.assert_close(ours[:, 1], entropy)
        # a loss that is not linear, so that gradients by the logprobs differ from token to token
        total = (ours[:, 0] ** 2).sum() + (ours[:, 1].sin().sum() if kind == "both" else 0)
        expected = (logprobs**2).sum() + (entropy.sin().sum() if kind == "both" else 0)
        gradients = torch.autograd.grad(total, [states, weight])
    for mine, theirs in zip(gradients, torch.autograd.grad(expected, [states, weight]), strict=True):
        torch.testing.assert_close(mine, theirs)


@given(st.integers(0, 2**40))
def test_the_chunk_of_a_gpu_is_a_power_of_two_that_its_memory_has_room_for(free: int) -> None:
    chunk = head.chunk_for(free)
    assert chunk.bit_count() == 1
    assert 2**25 <= chunk <= 2**28
    if chunk > 2**25:
        assert chunk * 16 <= free / 8
    if chunk < 2**28:
        assert 2 * chunk * 16 > free / 8


@pytest.mark.parametrize("chunk", [1, 10**6])
def test_a_frozen_head_gets_no_gradient(chunk: int) -> None:
    states, weight, targets, temperatures = example(0, 7, 4, 5)
    with chunks_of(chunk):
        ours = token_statistics(states, weight.detach(), targets, temperatures, False)
        (gradient,) = torch.autograd.grad(ours.sum(), states)
    assert gradient.shape == states.shape


def test_sums_over_chunks_are_not_rounded_to_bfloat16() -> None:
    states, weight, targets, temperatures = example(0, 400, 8, 6)
    half = [x.detach().bfloat16().requires_grad_() for x in (states, weight)]
    whole = [x.detach().float().requires_grad_() for x in half]
    temperatures = temperatures.float()
    errors = []
    exact = token_statistics(*whole, targets, temperatures, False)
    (expected,) = torch.autograd.grad(exact.sum(), whole[1])
    for chunk in (1, 10**6):
        with chunks_of(chunk):
            ours = token_statistics(*half, targets, temperatures, False)
            assert ours.dtype == torch.float32
            (gradient,) = torch.autograd.grad(ours.sum(), half[1])
        assert gradient.dtype == torch.bfloat16
        errors.append(float((gradient.float() - expected).norm() / expected.norm()))
    assert errors[0] < 2 * errors[1] < 0.02


# ---------------------------------------------------------------- models

VOCABULARY = 700
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 24,
    "max_position_embeddings": 64,
    "initializer_range": 0.2,
}


def made(kind: str = "llama", **sizes: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SIZES | sizes)
    config.use_cache = False
    return AutoModelForCausalLM.from_config(config).eval()


def batch_of(sizes: list[tuple[int, int]]) -> TrainingBatch:
    """Of (prompt, answer) sizes, for the policy objective."""
    random = np.random.default_rng(0)
    masks = [np.arange(p + a) >= p for p, a in sizes]
    column = [(mask * -random.random(len(mask))).astype(np.float32) for mask in masks]
    return TrainingBatch(
        tokens=[random.integers(3, VOCABULARY, len(m)).astype(np.int32) for m in masks],
        mask=masks,
        columns={"advantages": column, "sampler_logprobs": column},
        temperatures=random.uniform(0.7, 1.3, len(sizes)).tolist(),
        scales=[1.0] * len(sizes),
        live=[True] * len(sizes),
        groups=list(range(len(sizes))),
    )


SHAPES = [(3, 20), (9, 14), (4, 1), (2, 21)]
LOSS = partial(objective.policy, loss=partial(ppo_clip, clip_low=0.2, clip_high=0.3))


class Largest(TorchDispatchMode):
    """The most numbers in a tensor that was made while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        made = [x.numel() for x in tree_leaves(result) if isinstance(x, Tensor)]
        self.numbers = max([self.numbers, *made])
        return result


def largest(policy: Policy, micro: MicroBatch, entropy_coef: float | None) -> int:
    """Of an update's tensors, or without gradient where there is no coefficient."""
    with Largest() as seen, torch.no_grad() if entropy_coef is None else nullcontext():
        outputs = policy(micro)
        if entropy_coef is not None:
            per_token, _ = LOSS(outputs, micro.columns, micro.mask, entropy_coef=entropy_coef)
            per_token.sum().backward()
    return seen.numbers


@pytest.mark.parametrize("entropy_coef", [None, 0.0, 0.1])
@pytest.mark.parametrize("kind", ["padded", "packed", "tied", "bfloat16", "lora"])
def test_no_tensor_has_the_logits_of_all_tokens(kind: str, entropy_coef: float | None) -> None:
    model = made(tie_word_embeddings=kind == "tied")
    if kind == "bfloat16":
        model = model.bfloat16()
    if kind == "lora":
        inject(model, LoraConfig(rank=2))
    if kind == "packed":
        use_packed_attention(model)
    batch = batch_of(SHAPES)
    micro = collate(batch, range(len(SHAPES)), CPU, kind == "packed")
    tokens = len(micro.targets)
    assert tokens == sum(answer for _, answer in SHAPES)
    policy = Policy(model)
    with chunks_of(5 * VOCABULARY):
        bounded = largest(policy, micro, entropy_coef)
    assert bounded <= VOCABULARY * SIZES["hidden_size"] < tokens * VOCABULARY
    assert largest(policy, micro, entropy_coef) == tokens * VOCABULARY  # one chunk: there they are


def test_what_the_memory_of_a_stage_is_reckoned_with() -> None:
    assert sizes.CHUNK == head.CHUNK


OTHERS: dict[str, dict[str, Any]] = {
    "gemma2": {"head_dim": 8},  # soft-capping
    "cohere": {"logit_scale": 0.5},
    "phi": {},  # a bias
}


@pytest.mark.parametrize("kind", OTHERS)
def test_heads_that_are_more_than_a_product(kind: str) -> None:
    model = made(kind, **OTHERS[kind])
    bias = getattr(model.get_output_embeddings(), "bias", None)
    if bias is not None:
        torch.nn.init.normal_(bias)
    batch = batch_of(SHAPES)
    micro = collate(batch, range(len(SHAPES)), CPU)
    policy = Policy(model)
    with chunks_of(VOCABULARY):
        outputs = policy(micro)
        _, shown = LOSS(outputs, micro.columns, micro.mask)
    assert policy.head is not None
    for row, tokens in enumerate(batch.tokens):
        ids = torch.from_numpy(tokens.astype(np.int64))[None]
        logits = model(input_ids=ids).logits[0, :-1] / batch.temperatures[row]
        every = logits.log_softmax(-1)[torch.from_numpy(batch.mask[row][1:])]
        targets = ids[0, torch.from_numpy(batch.mask[row])]
        there = micro.mask[row]
        expected = every.gather(1, targets[:, None])[:, 0]
        torch.testing.assert_close(outputs["logprobs"][row][there], expected, atol=1e-5, rtol=0)
        entropy = -(every.exp() * every).sum(-1)
        torch.testing.assert_close(shown["entropy"][row][there], entropy, atol=1e-5, rtol=0)


def test_a_model_still_answers_others_with_logits() -> None:
    model = made()
    ids = torch.tensor([[4, 5, 6]])
    before = model(input_ids=ids).logits
    policy = Policy(model)
    policy(collate(batch_of(SHAPES), [0, 1], CPU))
    assert torch.equal(model(input_ids=ids).logits, before)


def test_whole_distributions_where_the_objective_reads_them() -> None:
    policy = Policy(made())
    batch = batch_of(SHAPES)
    lean = policy(collate(batch, range(4), CPU))
    batch.reference_logits = True
    micro = collate(batch, range(4), CPU)
    outputs = policy(micro)
    assert outputs.keys() == {"logprobs", "logits"}
    assert outputs["logits"].shape == (len(micro.targets), VOCABULARY)
    torch.testing.assert_close(outputs["logprobs"], lean["logprobs"])
    _, shown = LOSS(outputs, micro.columns, micro.mask)
    torch.testing.assert_close(shown["entropy"], lean["entropy"].detach())


def test_the_entropy_is_made_for_the_objective_that_reads_it() -> None:
    batch = batch_of(SHAPES)
    batch.columns = {}
    assert Policy(made())(collate(batch, range(4), CPU)).keys() == {"logprobs"}
