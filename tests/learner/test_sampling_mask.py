"""Sampling masks: everything the learner computes is that of the softmax over each token's set."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import test_learner
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_worker import MAX_LENGTH, Case, RunCases
from test_head import chunks_of, example, made
from test_learner import (
    HUGE,
    MIDDLE,
    SHAPES,
    SIZES,
    TINY,
    WEIGHTS,
    Row,
    error,
    in_full,
    learner_config,
    make_batch,
    near_policy,
    train,
)
from torch import Tensor

from rlvr.algorithms import objective
from rlvr.algorithms.kl import full, k2
from rlvr.algorithms.losses import ppo_clip
from rlvr.learner.batching import collate
from rlvr.learner.head import over_sets, token_statistics
from rlvr.learner.models import make_scratch_model
from rlvr.learner.modules import Policy
from rlvr.learner.packing import use_packed_attention
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.types import SamplingMask, TrainingBatch

VOCABULARY = len(character_tokenizer(ALPHABET).get_vocab())


def sets_of(seed: int, targets: Tensor, vocabulary: int, everything: bool = False) -> Tensor:
    """Random sets [K, V] bool, each with its target, some with nothing else."""
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(len(targets), 1, generator=generator) * 1.4 - 0.2
    inside = torch.rand(len(targets), vocabulary, generator=generator) < share
    inside |= torch.tensor(everything)
    return inside.scatter(1, targets[:, None], torch.ones(1, 1, dtype=torch.bool).expand(len(targets), 1))


def padded(inside: Tensor) -> Tensor:
    """The ids of sets [K, V] bool, [K, M] with −1 behind the shorter ones."""
    ids = [torch.tensor([0])[:0], *(own.nonzero()[:, 0] for own in inside)]
    return torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-1)[1:]


def by_token(logits: Tensor, inside: Tensor) -> list[Tensor]:
    """Log-probabilities of each token's set alone, [size] each."""
    return [row[own].log_softmax(0) for row, own in zip(logits, inside, strict=True)]


# ---------------------------------------------------------------- the mathematics


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.integers(0, 9),
    st.integers(1, 4),
    st.integers(2, 9),
    st.integers(1, 90),
    st.sampled_from(["both", "logprob", "no entropy"]),
)
def test_statistics_and_gradients_are_those_of_the_softmax_over_the_set(
    seed: int, tokens: int, hidden: int, vocabulary: int, chunk: int, kind: str
) -> None:
    states, weight, targets, temperatures = example(seed, tokens, hidden, vocabulary)
    inside = sets_of(seed, targets, vocabulary)
    every = by_token(states @ weight.T / temperatures[:, None], inside)
    place = [int(own[:target].sum()) for own, target in zip(inside, targets.tolist(), strict=True)]
    nothing = [torch.zeros(0, dtype=torch.float64)]
    logprobs = torch.cat([*nothing, *(row[i, None] for row, i in zip(every, place, strict=True))])
    entropy = torch.cat([*nothing, *(-(row.exp() * row).sum()[None] for row in every)])
    with chunks_of(chunk):
        ours = token_statistics(
            states,
            weight,
            targets,
            temperatures,
            kind != "no entropy",
            sampling_mask=padded(inside),
        )
        torch.testing.assert_close(ours[:, 0], logprobs)
        if kind != "no entropy":
            torch.testing.assert_close(ours[:, 1], entropy)
        total = (ours[:, 0] ** 2).sum() + (ours[:, 1].sin().sum() if kind == "both" else 0)
        expected = (logprobs**2).sum() + (entropy.sin().sum() if kind == "both" else 0)
        gradients = torch.autograd.grad(total, [states, weight])
    theirs = torch.autograd.grad(expected + 0 * (states.sum() + weight.sum()), [states, weight])
    for one, other in zip(gradients, theirs, strict=True):
        torch.testing.assert_close(one, other)


@given(st.integers(0, 10**6), st.integers(2, 9), st.floats(0.1, 30))
def test_the_divergence_is_that_of_both_models_over_the_set(seed: int, size: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, reference = spread * torch.randn(2, 4, size, generator=generator, dtype=torch.float64)
    inside = sets_of(seed, torch.randint(size, (4,), generator=generator), size)
    logits.requires_grad_()
    ours = full(over_sets(logits, padded(inside)), over_sets(reference, padded(inside)))
    pairs = zip(by_token(logits, inside), by_token(reference, inside), strict=True)
    expected = torch.stack([(p.exp() * (p - q)).sum() for p, q in pairs])
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(each.sum(), logits, retain_graph=True)[0] for each in (ours, expected)]
    torch.testing.assert_close(*gradients)
    assert not gradients[0][~inside].any()


def test_an_own_set_of_one_token_has_probability_one_and_no_gradient() -> None:
    states, weight, targets, temperatures = example(1, 3, 4, 6)
    ours = token_statistics(states, weight, targets, temperatures, True, sampling_mask=targets[:, None])
    assert not ours.any()
    assert not any(g.any() for g in torch.autograd.grad(ours.sum(), [states, weight]))


# ---------------------------------------------------------------- models


def masked(batch: TrainingBatch, seed: int, vocabulary: int, everything: bool = False) -> TrainingBatch:
    """With a random set for each token."""
    masks = []
    for row, (tokens, mask) in enumerate(zip(batch.tokens, batch.mask, strict=True)):
        targets = torch.from_numpy(tokens.astype(np.int64))
        inside = sets_of(100 * seed + row, targets, vocabulary, everything).numpy() & mask[:, None]
        ids = inside.nonzero()[1].astype(np.int32)
        masks.append(SamplingMask(ids, inside.sum(1).astype(np.int32)))
    return replace(batch, sampling_masks=masks)


def inside_of(batch: TrainingBatch, row: int, vocabulary: int) -> Tensor:
    """The sets of a row's tokens but the first, [T − 1, V] bool."""
    assert batch.sampling_masks is not None
    mask = batch.sampling_masks[row]
    inside = torch.zeros(len(mask.sizes), vocabulary, dtype=torch.bool)
    inside[np.repeat(np.arange(len(mask.sizes)), mask.sizes), mask.ids.astype(np.int64)] = True
    return inside[1:]


@pytest.mark.parametrize("kind", ["padded", "packed", "chunks", "whole distributions", "own logits"])
def test_a_policy_renormalizes_whatever_way_it_computes(kind: str) -> None:
    """Also: of some rows, in another order, with tokens that are sampled but not trained on."""
    model = made(vocab_size=VOCABULARY)
    batch = masked(make_batch(3, WEIGHTS, SHAPES), 3, VOCABULARY)
    batch.mask = [mask.copy() for mask in batch.mask]
    batch.mask[3][:] = False
    batch.mask[5][7] = False
    batch.reference_logits = kind == "whole distributions"
    if kind == "packed":
        use_packed_attention(model)
    policy, rows = Policy(model), [6, 2, 3, 5, 1]
    if kind == "own logits":
        policy.head = None
    micro = collate(batch, rows, torch.device("cpu"), kind == "packed")
    with torch.no_grad(), chunks_of(5 * VOCABULARY) if kind == "chunks" else nullcontext():
        outputs = policy(micro)
        _, shown = objective.policy(outputs, micro.columns, micro.mask, loss=ppo_clip)
        for place, row in enumerate(rows):
            ids = torch.from_numpy(batch.tokens[row].astype(np.int64))
            logits = made(vocab_size=VOCABULARY)(input_ids=ids[None]).logits[0, :-1]
            outside = ~inside_of(batch, row, VOCABULARY)
            every = (logits / batch.temperatures[row]).masked_fill(outside, -torch.inf).log_softmax(-1)
            there = torch.from_numpy(batch.mask[row][1:])
            expected = every.gather(1, ids[1:, None])[there, 0]
            mask = micro.mask[place]
            torch.testing.assert_close(outputs["logprobs"][place][mask], expected, atol=1e-5, rtol=1e-5)
            entropy = torch.special.entr(every.exp()).sum(-1)[there]
            torch.testing.assert_close(shown["entropy"][place][mask], entropy, atol=1e-5, rtol=1e-5)


def test_sets_of_the_whole_vocabulary_change_nothing() -> None:
    policy = Policy(made(vocab_size=VOCABULARY))
    plain = make_batch(3, WEIGHTS, SHAPES)
    micros = [collate(b, range(8), torch.device("cpu")) for b in (plain, masked(plain, 0, VOCABULARY, True))]
    one, other = (policy(micro) for micro in micros)
    for name in ("logprobs", "entropy"):
        assert torch.equal(one[name], other[name])


# ---------------------------------------------------------------- the learner

MANY = partial(
    objective.policy,
    loss=partial(ppo_clip, clip_low=0.2, clip_high=0.3),
    kl=k2,
    kl_coef=0.3,
    entropy_coef=0.1,
)
EXACT = partial(objective.policy, loss=partial(ppo_clip, clip_low=0.2, clip_high=0.3), kl_coef=0.3)
WAYS = {"tiny": learner_config(2, TINY), "packed": learner_config(0, MIDDLE, packing=True)}


def many_terms(row: Row) -> Tensor:
    penalty = 0.3 * (row["new"] - row["reference_logprobs"]) ** 2 / 2
    return test_learner.ppo(row) + penalty - 0.1 * row["entropy"]


@pytest.mark.slow
def test_updates_are_those_of_a_plain_loop_however_the_work_is_cut_up(
    tmp_path: Path, learners: RunCases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PPO with an entropy bonus and a divergence, estimated or exact, from a reference over the same sets."""
    model, other = tmp_path / "model", tmp_path / "other"
    for seed, path in enumerate((model, other)):
        make_scratch_model(
            path, character_tokenizer(ALPHABET), MAX_LENGTH, seed, tie_word_embeddings=False, **SIZES
        )
    made_batches = [masked(make_batch(seed, WEIGHTS, SHAPES), seed, VOCABULARY) for seed in (1, 2)]
    sets = {
        tokens.tobytes(): inside_of(batch, row, VOCABULARY)
        for batch in made_batches
        for row, tokens in enumerate(batch.tokens)
    }

    def over_the_sets(policy: torch.nn.Module, tokens: np.ndarray, temperature: float) -> Tensor:
        ids = torch.from_numpy(tokens.astype(np.int64))
        logits = policy(input_ids=ids[None]).logits[0, :-1] / np.float64(np.float32(temperature))
        return logits.masked_fill(~sets[tokens.tobytes()], -1e9).log_softmax(-1)

    monkeypatch.setattr(test_learner, "distributions", over_the_sets)
    batches = [in_full(near_policy(model, batch)) for batch in made_batches]
    exact = [replace(batch, reference_logits=True) for batch in batches]
    cases = [Case(name, model, batches, way, loss=MANY, reference=other) for name, way in WAYS.items()]
    cases += [Case("exact", model, exact, learner_config(0, HUGE), loss=EXACT, reference=other)]
    references = {
        "many": train(model, batches, loss=many_terms, reference=other),
        "exact": train(
            model, batches, loss=lambda row: test_learner.ppo(row) + 0.3 * row["kl"], reference=other
        ),
    }
    for size in (1, 2):
        for name, result in learners(tmp_path / f"ranks-{size}", cases, size)[0].items():
            reference = references["exact" if name == "exact" else "many"]
            assert result.error == ""
            assert error(result.weights, reference) < 1e-5, (size, name)
            assert [m["loss"] for m in result.metrics] == pytest.approx(reference.losses, rel=1e-5)
            assert [m["grad_norm"] for m in result.metrics] == pytest.approx(reference.norms, rel=1e-4)
