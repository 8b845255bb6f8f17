"""Packed sequences against the same sequences alone: plans, attention of many models, and real learners."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from learner_worker import MAX_LENGTH, Case, Result, RunCases
from test_learner import (
    HUGE,
    MANY_TERMS,
    MIDDLE,
    SHAPES,
    SIZES,
    TINY,
    VALUE,
    WEIGHTS,
    Reference,
    error,
    full_likelihood,
    in_full,
    learner_config,
    likelihood,
    load,
    logprobs,
    make_batch,
    many_terms,
    near_policy,
    only,
    train,
    train_critic,
    with_returns,
)
from transformers import AutoConfig, AutoModelForCausalLM

from rlvr.algorithms.objective import supervised
from rlvr.learner.batching import collate, plan_micro_batches
from rlvr.learner.models import make_scratch_model
from rlvr.learner.modules import Policy
from rlvr.learner.packing import Layout, use_packed_attention
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.types import ConfigError, TrainingBatch

pytestmark = pytest.mark.slow  # its models and runs

CPU = torch.device("cpu")

# ---------------------------------------------------------------- plans


@given(
    st.lists(st.integers(2, 60), max_size=40),
    st.integers(1, 300),
    st.integers(1, 4),
    st.integers(1, 3),
    st.booleans(),
)
def test_a_plan_keeps_units_whole_and_in_order(
    lengths: list[int], budget: int, workers: int, unit: int, packing: bool
) -> None:
    lengths = lengths[: len(lengths) // unit * unit]
    plan = plan_micro_batches(lengths, budget, workers, unit, packing)
    assert len(plan) == workers
    assert sorted(i for rank in plan for rows in rank for i in rows) == list(range(len(lengths)))
    assert len({len(rank) for rank in plan}) == 1
    for rows in (rows for rank in plan for rows in rank):
        for start in range(0, len(rows), unit):
            assert rows[start] % unit == 0
            assert rows[start : start + unit] == list(range(rows[start], rows[start] + unit))
        own = [lengths[i] for i in rows]
        tokens = sum(own) if packing else len(own) * max(own, default=0)
        assert tokens <= budget or len(rows) == unit
    assert sum(not rows for rank in plan for rows in rank) < workers


@given(st.lists(st.integers(2, 60), min_size=2, max_size=40), st.integers(60, 300))
def test_packed_micro_batches_have_no_room_for_each_other(lengths: list[int], budget: int) -> None:
    (plan,) = plan_micro_batches(lengths, budget, 1, packing=True)
    filled = sorted(sum(lengths[i] for i in rows) for rows in plan)
    assert len(filled) == 1 or filled[0] + filled[1] > budget


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=6), st.data())
def test_a_packed_row_holds_the_rows_one_after_another(
    sizes: list[tuple[int, int]], data: st.DataObject
) -> None:
    batch = small_batch(sizes, 20)
    rows = data.draw(st.lists(st.sampled_from(range(len(sizes))), min_size=1, unique=True))
    micro, padded = (collate(batch, rows, CPU, packing) for packing in (True, False))
    packed = micro.packed
    assert packed is not None
    assert padded.packed is None
    assert packed.layout.families == ((0, tuple(len(batch.tokens[i]) - 1 for i in rows)),)
    assert torch.equal(micro.mask, padded.mask)  # the objective sees the same
    assert packed.tokens.tolist() == [[t for i in rows for t in batch.tokens[i][:-1].tolist()]]
    assert packed.positions.tolist() == [[p for i in rows for p in range(len(batch.tokens[i]) - 1)]]
    # what is predicted at the kept places, row by row, are the masked tokens
    places = [(row, p) for row, i in enumerate(rows) for p in np.flatnonzero(batch.mask[i]).tolist()]
    starts = np.cumsum([0, *(len(batch.tokens[i]) - 1 for i in rows)])
    assert micro.kept.tolist() == [int(starts[row]) + p - 1 for row, p in places]
    flat = padded.tokens[:, padded.first : -1].flatten()  # what stands where they are predicted
    assert flat[padded.kept].tolist() == packed.tokens[0, micro.kept].tolist()
    for each in (micro, padded):
        assert each.rows.tolist() == [row for row, _ in places]
        assert each.targets.tolist() == [int(batch.tokens[rows[row]][p]) for row, p in places]


@pytest.mark.parametrize("unit", [1, 2])
def test_an_empty_micro_batch_is_one_unit_of_nothing(unit: int) -> None:
    micro = collate(replace(small_batch([(2, 3)] * 2, 20), unit=unit), [], CPU, packing=True)
    assert micro.tokens.shape == (unit, 2)
    assert not micro.mask.any()
    assert micro.packed is not None
    assert micro.packed.layout.families == ((0, (1,) * unit),)
    assert micro.kept.tolist() == micro.rows.tolist() == []


def small_batch(sizes: list[tuple[int, int]], vocabulary: int) -> TrainingBatch:
    """Of (prompt, answer) sizes, at temperatures of their own."""
    random = np.random.default_rng(len(sizes))
    masks = [np.arange(p + a) >= p for p, a in sizes]
    tokens = [random.integers(3, vocabulary, len(m)).astype(np.int32) for m in masks]
    for row, own in enumerate(tokens):
        own[0] = 3 + row  # no two prompts are the same
    return TrainingBatch(
        tokens=tokens,
        mask=masks,
        columns={"advantages": [mask.astype(np.float32) for mask in masks]},
        temperatures=random.uniform(0.7, 1.3, len(sizes)).tolist(),
        scales=[1.0] * len(sizes),
        live=[True] * len(sizes),
        groups=list(range(len(sizes))),
    )


# ---------------------------------------------------------------- models

WINDOWS = ["sliding_attention", "full_attention", "sliding_attention"]
KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen2": {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    "qwen3": {"head_dim": 8},
    "mistral": {"head_dim": 8, "sliding_window": 4},
    "phi3": {"sliding_window": 5},
    "gemma3_text": {"head_dim": 8, "sliding_window": 6, "layer_types": WINDOWS},
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4},
    "qwen3_moe": {"head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "gemma2": ({"head_dim": 8}, "Gemma2Attention is not plain causal attention .softcap"),
    "gpt_oss": ({"head_dim": 8, "num_local_experts": 2, "num_experts_per_tok": 1}, "s_aux"),
    "lfm2": ({"layer_types": ["conv", "full_attention", "conv"]}, "layers of conv"),
    "stablelm": ({}, "StableLmAttention is not told where sequences begin"),
    "rwkv": ({}, "sequences of RwkvForCausalLM influence each other"),
}
# several of one length, some longer than every window, and one of a single input token
PACKED = [(4, 6), (5, 5), (9, 6), (1, 2), (1, 1), (3, 5)]


def made(kind: str, sizes: dict[str, Any], seed: int = 0) -> transformers.PreTrainedModel:
    common = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    common |= {"num_key_value_heads": 2, "intermediate_size": 48, "max_position_embeddings": 64}
    common |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.2}
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **common | sizes)
    config.use_cache = False
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_packed_models_say_and_learn_what_they_do_of_each_alone(kind: str) -> None:
    model = made(kind, KINDS[kind])
    batch = small_batch(PACKED, 40)
    alone = [Policy(model)(collate(batch, [row], CPU)) for row in range(len(PACKED))]
    weights = torch.rand(len(PACKED), dtype=torch.float64).tolist()
    total = sum(weight * out["logprobs"].sum() for weight, out in zip(weights, alone, strict=True))
    expected = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
    use_packed_attention(model)
    micro = collate(batch, range(len(PACKED)), CPU, packing=True)
    outputs = Policy(model)(micro)
    for row, out in enumerate(alone):
        ours = outputs["logprobs"][row][micro.mask[row]]
        torch.testing.assert_close(ours, out["logprobs"][0], rtol=0, atol=1e-5)
        ours = outputs["entropy"][row][micro.mask[row]]
        torch.testing.assert_close(ours, out["entropy"][0], rtol=0, atol=1e-5)
    total = (torch.tensor(weights)[:, None] * outputs["logprobs"]).sum()
    gradients = torch.autograd.grad(total, list(model.parameters()), allow_unused=True)
    scale = max(float(g.abs().max()) for g in expected if g is not None)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5 * scale)


ROUNDING = 1e-5  # of log-probabilities: other kernels, or the same at other shapes, sum in another order


@pytest.mark.parametrize("kind", KINDS)
def test_no_sequence_sees_another(kind: str) -> None:
    """Within rounding, which no processor promises to be the same; a leak is a thousand times as much."""
    model = made(kind, KINDS[kind])
    use_packed_attention(model)
    batch = small_batch(PACKED, 40)

    def moved(changed: int, apart: bool) -> list[float]:
        """How far each row's log-probabilities move with the tokens of one; `apart`: under the masks."""
        # all prompts stay different, so that the row is laid out in the same way
        tokens = [(t + 8) % 40 if i == changed else t for i, t in enumerate(batch.tokens)]
        found = []
        for each in (batch, replace(batch, tokens=tokens)):
            micro = collate(each, range(len(PACKED)), CPU, packing=True)
            assert micro.packed is not None
            if not apart:
                whole = Layout([(0, [micro.packed.tokens.shape[1]])])
                micro = replace(micro, packed=replace(micro.packed, layout=whole))
            with torch.no_grad():
                found.append(Policy(model)(micro)["logprobs"])
        return (found[0] - found[1]).abs().amax(1).tolist()  # type: ignore[no-any-return]

    for changed in range(len(PACKED)):
        own = moved(changed, apart=True)
        assert own.pop(changed) > 1000 * ROUNDING
        assert max(own) < ROUNDING
        if changed + 1 < len(PACKED):  # what this test would see of a leak
            assert moved(changed, apart=False)[changed + 1] > 1000 * ROUNDING


@pytest.mark.parametrize("kind", REFUSED)
def test_models_that_cannot_be_packed_are_refused_in_words(kind: str) -> None:
    sizes, words = REFUSED[kind]
    with pytest.raises(ConfigError, match=rf"learner\.packing: .*{words}.*learner\.packing=false"):
        use_packed_attention(made(kind, sizes))


# ---------------------------------------------------------------- learners

STAGES = [0, 1, 2, 3]


@dataclass
class Runs:
    ranks: dict[int, list[dict[str, Result]]]
    references: dict[str, Reference]
    batches: list[TrainingBatch]
    folder: Path

    def __call__(self, world_size: int, name: str) -> Result:
        result = self.ranks[world_size][0][name]
        assert result.error == ""
        return result


def packed(stage: int = 0, micro_batch_tokens: int = MIDDLE, checkpointing: bool = False) -> Any:
    return learner_config(stage, micro_batch_tokens, gradient_checkpointing=checkpointing, packing=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, learners: RunCases) -> Runs:
    folder = tmp_path_factory.mktemp("packing")
    tokenizer = character_tokenizer(ALPHABET)
    model, other = folder / "model", folder / "other"
    for seed, path in enumerate((model, other)):
        make_scratch_model(path, tokenizer, MAX_LENGTH, seed, tie_word_embeddings=False, **SIZES)
    batches = [near_policy(model, make_batch(seed, WEIGHTS, SHAPES)) for seed in (1, 2)]
    full = [in_full(batch) for batch in batches]
    lone = [only(batch, [5]) for batch in batches]
    learned = [with_returns(batch) for batch in batches]

    def cases(world_size: int) -> list[Case]:
        result = []
        for stage in STAGES:
            many = {"loss": MANY_TERMS, "reference": other}
            value = {"loss": VALUE, "critic": True}
            result += [
                Case(f"plain-{stage}", model, batches, packed(stage)),
                Case(
                    f"many-{stage}", model, full, packed(stage, [TINY, MIDDLE, HUGE, MIDDLE][stage]), **many
                ),
                Case(f"lone-{stage}", model, lone, packed(stage)),
                Case(f"critic-{stage}", model, learned, packed(stage), **value),
            ]
        return [
            *result,
            Case("tiny", model, batches, packed(3, TINY)),
            Case("huge", model, batches, packed(2, HUGE), save=folder / f"{world_size}"),
            Case("checkpointing", model, batches, packed(2, checkpointing=True)),
            Case("nll", model, full_likelihood(full), packed(), loss=supervised),
            Case("padded", model, batches, learner_config()),
            Case("bf16", model, full_likelihood(full), replace(packed(2), dtype="bfloat16"), loss=supervised),
        ]

    references = {
        "plain": train(model, batches),
        "many": train(model, full, loss=many_terms, reference=other),
        "lone": train(model, lone),
        "nll": train(model, full, loss=likelihood),
        "critic": train_critic(model, learned),
    }
    ranks = {size: learners(folder / f"ranks-{size}", cases(size), size) for size in (2, 1)}
    return Runs(ranks, references, batches, folder)


both_sizes = pytest.mark.parametrize("world_size", [1, 2])


@both_sizes
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("case", ["plain", "many", "lone", "critic"])
def test_updates_are_those_of_a_plain_loop(runs: Runs, world_size: int, case: str, stage: int) -> None:
    """The policy's with an entropy bonus, the value model's, and those in which a rank has nothing to do."""
    result, reference = runs(world_size, f"{case}-{stage}"), runs.references[case]
    assert error(result.weights, reference) < (3e-5 if case == "critic" else 1e-5)
    assert [m["loss"] for m in result.metrics] == pytest.approx(reference.losses, rel=1e-4, abs=1e-9)
    assert [m["grad_norm"] for m in result.metrics] == pytest.approx(reference.norms, rel=1e-4)


@both_sizes
@pytest.mark.parametrize("case", ["tiny", "huge", "checkpointing", "nll"])
def test_updates_do_not_depend_on_how_the_work_is_cut(runs: Runs, world_size: int, case: str) -> None:
    reference = runs.references["nll" if case == "nll" else "plain"]
    assert error(runs(world_size, case).weights, reference) < 1e-5


@both_sizes
@pytest.mark.parametrize("case", ["plain-0", "plain-3", "tiny", "huge"])
def test_metrics_are_those_of_padded_rows(runs: Runs, world_size: int, case: str) -> None:
    """Among them entropy and the signal of the groups."""
    pairs = zip(runs(world_size, case).metrics, runs(1, "padded").metrics, strict=True)
    for ours, theirs in pairs:
        assert ours.keys() == theirs.keys()
        assert ours["padding"] == 0 < theirs["padding"]
        for name in ours.keys() - {"padding"}:
            assert ours[name] == pytest.approx(theirs[name], rel=1e-3, abs=1e-6), name
    ours, theirs = runs(world_size, case).kept, runs(1, "padded").kept
    assert ours.keys() == theirs.keys() == {"logprobs", "entropy"}
    for name, values in ours.items():
        np.testing.assert_allclose(np.concatenate(values), np.concatenate(theirs[name]), atol=1e-5)


@both_sizes
def test_bfloat16_follows_float32_from_afar(runs: Runs, world_size: int) -> None:
    result, reference = runs(world_size, "bf16"), runs.references["nll"]
    assert [m["loss"] for m in result.metrics] == pytest.approx(reference.losses, rel=0.02)
    assert [m["grad_norm"] for m in result.metrics] == pytest.approx(reference.norms, rel=0.05)


@both_sizes
@pytest.mark.parametrize("case", ["plain-0", "plain-2", "plain-3", "tiny", "huge"])
def test_logprobs_are_those_of_transformers(runs: Runs, world_size: int, case: str) -> None:
    model, batch = load(runs.folder / "model"), runs.batches[0]
    for i, computed in enumerate(runs(world_size, case).logprobs):
        with torch.no_grad():
            expected = logprobs(model, batch.tokens[i], batch.temperatures[i]).numpy()
        np.testing.assert_allclose(computed, np.where(batch.mask[i], expected, 0), atol=1e-5)


@both_sizes
def test_a_checkpoint_is_an_ordinary_model_folder(runs: Runs, world_size: int) -> None:
    folder = runs.folder / f"{world_size}" / "model"
    assert "rlvr" not in (folder / "config.json").read_text()
    assert json.loads((folder / "config.json").read_text())["model_type"] == "llama"
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.config._attn_implementation == "sdpa"
    weights = runs(world_size, "huge").weights
    for key, weight in model.named_parameters():
        np.testing.assert_array_equal(weight.detach().numpy(), weights.pop(key), err_msg=key)
    assert not weights
