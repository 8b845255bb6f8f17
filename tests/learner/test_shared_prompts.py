"""Prompts that several sequences share, computed once: plans, layouts, attention, models, and real learners.

The learners also make logits by chunks, and say what they send each other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from learner_worker import MAX_LENGTH, Case, Result, RunCases
from test_learner import (
    HUGE,
    MANY_TERMS,
    MIDDLE,
    SIZES,
    TINY,
    VALUE,
    Reference,
    error,
    full_likelihood,
    in_full,
    learner_config,
    likelihood,
    load,
    logprobs,
    many_terms,
    near_policy,
    train,
    train_critic,
    with_returns,
)
from test_packing import KINDS, made
from torch import Tensor, nn

from rlvr.algorithms.objective import supervised
from rlvr.learner import packing
from rlvr.learner.batching import Prompt, collate, plan_micro_batches, prompts_of
from rlvr.learner.models import make_scratch_model
from rlvr.learner.modules import Policy
from rlvr.learner.packing import Layout, packed_attention, use_packed_attention
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.types import TrainingBatch

pytestmark = pytest.mark.slow  # its runs

CPU = torch.device("cpu")

# ---------------------------------------------------------------- plans

FAMILIES = st.lists(
    st.tuples(st.integers(1, 40), st.lists(st.integers(1, 30), min_size=1, max_size=6)), max_size=12
)


def cost(rows: list[int], lengths: list[int], prompts: list[Prompt]) -> int:
    """Tokens of a micro-batch in which every prompt is there once."""
    once = {prompts[i].number: prompts[i].length for i in rows}
    return sum(once.values()) + sum(lengths[i] - prompts[i].length for i in rows)


@given(FAMILIES, st.integers(1, 300), st.integers(1, 3), st.integers(1, 2), st.randoms(use_true_random=False))
def test_a_plan_counts_a_prompt_once_and_keeps_its_rows_together(
    families: list[tuple[int, list[int]]], budget: int, workers: int, unit: int, random: Any
) -> None:
    units = [[(number, prompt, own)] * unit for number, (prompt, owns) in enumerate(families) for own in owns]
    random.shuffle(units)
    rows = [row for each in units for row in each]
    lengths, prompts = [p + own for _, p, own in rows], [Prompt(number, p) for number, p, _ in rows]
    plan = plan_micro_batches(lengths, budget, workers, unit, True, prompts)
    micro_batches = [rows for rank in plan for rows in rank if rows]
    assert sorted(i for chosen in micro_batches for i in chosen) == list(range(len(rows)))
    assert len({len(rank) for rank in plan}) == 1
    for chosen in micro_batches:
        assert cost(chosen, lengths, prompts) <= budget or len(chosen) == unit
        assert all(
            chosen[i : i + unit] == list(range(chosen[i], chosen[i] + unit))
            for i in range(0, len(chosen), unit)
        )
    for number in range(len(families)):
        own = [i for i, prompt in enumerate(prompts) if prompt.number == number]
        if cost(own, lengths, prompts) <= budget:
            assert sum(not set(own).isdisjoint(chosen) for chosen in micro_batches) == 1
    filled = sorted(cost(chosen, lengths, prompts) for chosen in micro_batches)
    assert len(filled) < 2 or filled[0] + filled[1] > budget


def groups(shapes: list[tuple[int, list[int]]], vocabulary: int, seed: int = 0) -> TrainingBatch:
    """Of each (prompt, answers) the prompt with every answer; rows of different prompts alternate."""
    random = np.random.default_rng(seed)
    rows = []
    for number, (prompt, answers) in enumerate(shapes):
        first = random.integers(4, vocabulary, prompt)
        rows += [(number, first, random.integers(4, vocabulary, answer)) for answer in answers]
    random.shuffle(rows)
    masks = [np.arange(len(p) + len(a)) >= len(p) for _, p, a in rows]
    max(masks, key=np.sum)[-2] = False  # a token that the policy did not draw
    advantages = [(mask * random.normal(0, 1)).astype(np.float32) for mask in masks]
    old = [(mask * random.uniform(-4.5, -2.5, len(mask))).astype(np.float32) for mask in masks]
    return TrainingBatch(
        tokens=[np.concatenate([p, a]).astype(np.int32) for _, p, a in rows],
        mask=masks,
        columns={"advantages": advantages, "old_logprobs": old, "sampler_logprobs": old},
        temperatures=random.uniform(0.7, 1.3, len(rows)).tolist(),
        scales=[1 / sum(int(mask.sum()) for mask in masks)] * len(rows),
        live=[True] * len(rows),
        groups=[number for number, _, _ in rows],
        keep=("logprobs", "entropy"),
    )


# one shared by answers of one token too, one by two, and two that are not shared
SHAPES = [(9, [6, 1, 12, 6, 1, 3]), (20, [25, 2]), (1, [5, 7]), (4, [13]), (2, [8])]


def test_a_layout_has_every_prompt_once() -> None:
    batch = groups(SHAPES, 40)
    order = np.random.default_rng(1).permutation(len(batch.tokens)).tolist()
    micro = collate(batch, order, CPU, packing=True)
    packed = micro.packed
    assert packed is not None
    together = sum(p + sum(a - 1 for a in answers) for p, answers in SHAPES)
    apart = sum(p + a - 1 for p, answers in SHAPES for a in answers)
    assert packed.tokens.shape == packed.positions.shape == (1, together)
    assert together < 0.7 * apart
    found = {prompt: own for prompt, own in packed.layout.families if prompt}
    assert found == {9: (11, 5, 5, 2), 20: (24, 1), 1: (6, 4)}  # the longest first, less the last token
    # what stands where a token is predicted, and how far into the sequence, is what came before it
    for row, target, kept in zip(
        micro.rows.tolist(), micro.targets.tolist(), micro.kept.tolist(), strict=True
    ):
        own = batch.tokens[order[row]]
        position = int(packed.positions[0, kept])
        assert packed.tokens[0, kept] == own[position]
        assert target == own[position + 1]
        assert batch.mask[order[row]][position + 1]
    assert len(micro.targets) == sum(int(mask.sum()) for mask in batch.mask)


def test_tokens_that_an_update_computes() -> None:
    """Eight answers of 10 to 80 tokens for each of 16 prompts of 60, under a budget of two groups or so."""
    random = np.random.default_rng(0)
    batch = groups([(60, random.integers(10, 80, 8).tolist()) for _ in range(16)], 80)
    lengths = [len(tokens) for tokens in batch.tokens]
    prompts = prompts_of(batch.tokens, batch.mask)

    def computed(prompts: list[Prompt] | None) -> int:
        (plan,) = plan_micro_batches(lengths, 1024, 1, 1, True, prompts)
        micro_batches = [collate(batch, rows, CPU, packing=True).packed for rows in plan]
        return sum(packed.tokens.numel() for packed in micro_batches if packed is not None)

    alone = sum(length - 1 for length in lengths)
    assert computed(prompts) == alone - 16 * 7 * 60
    # rows that are planned without a thought of prompts meet few of their own
    assert computed(prompts) < 0.75 * computed(None) < alone


# ---------------------------------------------------------------- attention


class Attention(nn.Module):
    is_causal = True
    num_key_value_groups = 2


def alone(q: Tensor, k: Tensor, v: Tensor, window: int | None) -> Tensor:
    """[T, heads, D] of one sequence, by the book."""
    ahead = torch.arange(len(q))[:, None] - torch.arange(len(q))
    seen = (ahead >= 0) & (ahead < (window or len(q)))
    scores = torch.einsum("qhd,khd->hqk", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("hqk,khd->qhd", scores.masked_fill(~seen, -torch.inf).softmax(-1), v)


def by_segments(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    queries: Tensor,
    keys: Tensor,
    most_queries: int,
    most_keys: int,
    *,
    scale: float | None,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> Tensor:
    """What PyTorch's `varlen_attn` computes on a GPU: causal from the end of each segment."""
    assert scale is None
    assert enable_gqa
    assert window_size[1] == 0
    assert int(keys[-1]) == len(k)
    result = []
    lengths = []
    for (start, end), (first, last) in zip(pairwise(queries.tolist()), pairwise(keys.tolist()), strict=True):
        lengths.append((end - start, last - first))
        window = window_size[0] + 1 if window_size[0] >= 0 else None
        whole = q.new_zeros(last - first, *q.shape[1:])
        whole[-(end - start) :] = q[start:end]
        spread = (x[first:last].repeat_interleave(2, 1) for x in (k, v))
        result.append(alone(whole, *spread, window)[-(end - start) :])
    assert (most_queries, most_keys) == tuple(max(each) for each in zip(*lengths, strict=True))
    return torch.cat(result)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.lists(st.integers(1, 25), max_size=5)), min_size=1, max_size=4),
    st.sampled_from([1, 20, 128]),
    st.none() | st.integers(1, 20),
)
def test_every_sequence_sees_its_prompt_and_itself(
    families: list[tuple[int, list[int]]], few: int, window: int | None
) -> None:
    families = [(prompt, own) for prompt, own in families if prompt or own]
    assume(families)
    tokens = sum(prompt + sum(own) for prompt, own in families)
    generator = torch.Generator().manual_seed(tokens)
    q, k, v = (
        torch.randn(1, heads, tokens, 4, generator=generator, dtype=torch.float64) for heads in (4, 2, 2)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "FEW", few)
        layout = Layout(families)
    for _ in range(2):  # the second time with the masks of the first
        result, _ = packed_attention(Attention(), q, k, v, None, packed_layout=layout, sliding_window=window)
    with pytest.MonkeyPatch.context() as patch:  # the kernel runs on GPUs alone
        patch.setattr(packing, "takes_varlen", lambda *_: True)
        patch.setattr(packing, "varlen_attn", by_segments)
        at_once, _ = packed_attention(Attention(), q, k, v, None, packed_layout=layout, sliding_window=window)
    torch.testing.assert_close(at_once, result)
    rows = [x[0].transpose(0, 1) for x in (q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1))]
    start = 0
    for prompt, own in families:
        before, end = torch.arange(start, start + prompt), start + prompt
        for length in own:
            places = torch.cat([before, torch.arange(end, end + length)])
            expected = alone(*(x[places] for x in rows), window)
            torch.testing.assert_close(result[0, places], expected)
            end += length
        torch.testing.assert_close(result[0, before], alone(*(x[before] for x in rows), window))
        start = end
    assert start == tokens


@given(st.integers(1, 4000), st.lists(st.integers(1, 4000), min_size=1, max_size=40))
def test_a_prompt_is_not_copied_more_often_than_there_are_tokens(prompt: int, own: list[int]) -> None:
    own = sorted(own, reverse=True)
    calls = Layout([(prompt, own)]).calls
    outside = [call for call in calls if not call.inside]
    copied = sum(call.prompt * (1 if call.masked else len(call.own)) for call in outside)
    assert copied <= prompt + 2 * sum(own)
    assert sum(call.tokens for call in calls) == prompt + sum(own)


@pytest.mark.parametrize("few", [1, 12, 128])
@pytest.mark.parametrize("kind", KINDS)
def test_models_say_and_learn_what_they_do_of_each_alone(
    kind: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "FEW", few)
    model = made(kind, KINDS[kind])
    batch = groups(SHAPES, 40)
    rows = range(len(batch.tokens))
    weights = np.random.default_rng(2).random(len(rows)).tolist()

    def total(said: list[dict[str, Tensor]]) -> Tensor:
        parts = [
            weight * (out["logprobs"] ** 2 + 0.3 * out["entropy"]).sum()
            for weight, out in zip(weights, said, strict=True)
        ]
        return torch.stack(parts).sum()

    alone = [Policy(model)(collate(batch, [row], CPU)) for row in rows]
    expected = torch.autograd.grad(total(alone), list(model.parameters()), allow_unused=True)
    use_packed_attention(model)
    micro = collate(batch, rows, CPU, packing=True)
    outputs = Policy(model)(micro)
    for row, out in enumerate(alone):
        for name, values in outputs.items():
            ours = values[row][micro.mask[row]]
            theirs = out[name][0][torch.from_numpy(batch.mask[row])[-out[name].shape[1] :]]
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    each = [{name: values[row] for name, values in outputs.items()} for row in rows]
    gradients = torch.autograd.grad(total(each), list(model.parameters()), allow_unused=True)
    scale = max(float(g.abs().max()) for g in expected if g is not None)
    for ours, theirs in zip(gradients, expected, strict=True):
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * scale)


# ---------------------------------------------------------------- learners

STAGES = [0, 1, 2, 3]
TOKENS = [TINY, MIDDLE, HUGE, MIDDLE]
LOGITS = 500  # at a time: of five tokens
WORK = [(9, [6, 1, 12, 6]), (20, [25, 2, 7]), (1, [5, 7]), (4, [13, 13, 9, 30]), (2, [8]), (6, [3, 11])]


@dataclass
class Runs:
    ranks: dict[int, list[dict[str, Result]]]
    references: dict[str, Reference]
    batch: TrainingBatch
    model: Path

    def __call__(self, world_size: int, name: str) -> Result:
        result = self.ranks[world_size][0][name]
        assert result.error == ""
        return result


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, learners: RunCases) -> Runs:
    folder = tmp_path_factory.mktemp("shared")
    tokenizer = character_tokenizer(ALPHABET)
    model, tied = folder / "model", folder / "tied"
    for seed, path in enumerate((model, tied)):
        make_scratch_model(path, tokenizer, MAX_LENGTH, seed, tie_word_embeddings=path is tied, **SIZES)
    drawn = [groups(WORK, 4 + len(ALPHABET), seed) for seed in (1, 2)]
    batches = [in_full(near_policy(model, batch)) for batch in drawn]
    learned = [with_returns(batch) for batch in batches]
    many: dict[str, Any] = {"loss": MANY_TERMS, "reference": tied, "chunk": LOGITS}
    value: dict[str, Any] = {"loss": VALUE, "critic": True}
    shared = {stage: learner_config(stage, TOKENS[stage], packing=True) for stage in STAGES}
    cases = [Case(f"many-{stage}", model, batches, shared[stage], **many) for stage in STAGES]
    for stage in (0, 3):
        cases += [
            Case(f"padded-{stage}", model, batches, learner_config(stage, HUGE), **many),
            Case(f"tied-{stage}", tied, batches, shared[stage], **many),
            Case(f"critic-{stage}", model, learned, shared[stage], **value),
        ]
    again = learner_config(2, gradient_checkpointing=True, packing=True)
    cases += [
        Case("checkpointing", model, batches, again, **many),
        Case("plain", model, batches, learner_config(), **many | {"chunk": None}),
        Case("bf16", model, full_likelihood(batches), replace(shared[2], dtype="bfloat16"), loss=supervised),
    ]
    traffic = [
        Case(f"{name}-{stage}", model, batches[:1], learner_config(stage, tokens), counted=True)
        for stage in STAGES
        for name, tokens in (("several", TINY), ("one", HUGE))
    ]
    reference: dict[str, Any] = {"loss": many_terms, "reference": tied}
    references = {
        "many": train(model, batches, **reference),
        "tied": train(tied, batches, **reference),
        "critic": train_critic(model, learned),
        "nll": train(model, batches, loss=likelihood),
    }
    ranks = {
        size: learners(folder / f"ranks-{size}", more, size)
        for size, more in ((2, cases + traffic), (1, cases))
    }
    return Runs(ranks, references, batches[0], model)


both_sizes = pytest.mark.parametrize("world_size", [1, 2])


@both_sizes
@pytest.mark.parametrize(
    "name",
    [f"many-{n}" for n in STAGES] + [f"{case}-{n}" for case in ("padded", "tied", "critic") for n in (0, 3)],
)
def test_updates_are_those_of_a_plain_loop(runs: Runs, world_size: int, name: str) -> None:
    result, case = runs(world_size, name), name.partition("-")[0]
    reference = runs.references["many" if case == "padded" else case]
    assert error(result.weights, reference) < (3e-5 if case == "critic" else 1e-5)
    assert [m["loss"] for m in result.metrics] == pytest.approx(reference.losses, rel=1e-4)
    assert [m["grad_norm"] for m in result.metrics] == pytest.approx(reference.norms, rel=1e-4)


@both_sizes
def test_recomputed_activations_change_nothing(runs: Runs, world_size: int) -> None:
    assert error(runs(world_size, "checkpointing").weights, runs.references["many"]) < 1e-5


@both_sizes
def test_bfloat16_follows_float32_from_afar(runs: Runs, world_size: int) -> None:
    result, reference = runs(world_size, "bf16"), runs.references["nll"]
    assert [m["loss"] for m in result.metrics] == pytest.approx(reference.losses, rel=0.02)
    assert [m["grad_norm"] for m in result.metrics] == pytest.approx(reference.norms, rel=0.05)


@both_sizes
@pytest.mark.parametrize("case", ["many-0", "many-3", "padded-3"])
def test_metrics_are_those_of_rows_apart(runs: Runs, world_size: int, case: str) -> None:
    """Among them entropy and the signal of the groups; and what is kept of each token."""
    ours, theirs = runs(world_size, case), runs(1, "plain")
    for mine, other in zip(ours.metrics, theirs.metrics, strict=True):
        assert mine.keys() == other.keys()
        for name in mine.keys() - {"padding"}:
            assert mine[name] == pytest.approx(other[name], rel=1e-3, abs=1e-6), name
    for name, values in ours.kept.items():
        np.testing.assert_allclose(np.concatenate(values), np.concatenate(theirs.kept[name]), atol=1e-5)


@both_sizes
@pytest.mark.parametrize("case", ["many-0", "many-2", "many-3", "padded-3"])
def test_logprobs_are_those_of_transformers(runs: Runs, world_size: int, case: str) -> None:
    model, batch = load(runs.model), runs.batch
    for i, computed in enumerate(runs(world_size, case).logprobs):
        with torch.no_grad():
            expected = logprobs(model, batch.tokens[i], batch.temperatures[i]).numpy()
        np.testing.assert_allclose(computed, np.where(batch.mask[i], expected, 0), atol=1e-5)


def test_gradients_go_between_ranks_once_an_update(runs: Runs) -> None:
    """However many micro-batches; where ranks own gradients or weights, each micro-batch sends its own."""
    assert len(runs.batch.tokens) == 16  # eight micro-batches each
    for stage in STAGES:
        several, one = (runs(2, f"{kind}-{stage}").traffic for kind in ("several", "one"))
        assert all(numbers > 0 for _, numbers in one)
        if stage < 2:
            assert several == one
        else:
            assert all(more[1] > 2 * once[1] for more, once in zip(several, one, strict=True))
