"""Model families, each a small one of random weights: what a policy says, against the logits of its model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from learner_worker import Case, Result, RunCases
from test_head import SHAPES, SIZES, VOCABULARY, batch_of, chunks_of
from test_learner import SHAPES as ROWS
from test_learner import WEIGHTS, Reference, error, learner_config, make_batch, near_policy, train
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.core_model_loading import revert_weight_conversion
from transformers.modeling_layers import GradientCheckpointingLayer

from rlvr.learner.batching import collate
from rlvr.learner.models import checkpoint_weights, tied_names
from rlvr.learner.modules import Policy, ValueModel, recompute_activations
from rlvr.learner.packing import use_packed_attention
from rlvr.types import TrainingBatch

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_thread")]

CPU = torch.device("cpu")
ROUNDING = 2e-5
HEADS = {"head_dim": 8}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8}
WINDOWS = {"sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]}

FAMILIES: dict[str, dict[str, Any]] = {
    "apertus": {},
    "arcee": {},
    "bloom": {},
    "cohere": {},  # a factor
    "cohere2": WINDOWS,  # a factor
    "ctrl": {"n_embd": 16, "n_layer": 2, "n_head": 2, "dff": 24},  # a bias, tied
    "ernie4_5": HEADS,
    "exaone4": WINDOWS,
    "falcon": {},
    "falcon_h1": {"lm_head_multiplier": 0.3},
    "gemma": HEADS,
    "gemma2": HEADS | WINDOWS,  # a soft cap
    "gemma3_text": HEADS | WINDOWS,
    "glm": HEADS,
    "glm4": HEADS,
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "gpt_bigcode": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "gpt_neox": {},
    "gpt_oss": HEADS | EXPERTS | WINDOWS,
    "granite": {"logits_scaling": 8.0},  # a divisor
    "granitemoe": {"logits_scaling": 8.0, "num_local_experts": 4},
    "helium": HEADS,
    "hunyuan_v1_dense": HEADS,
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "llama": {},
    "mamba": {},
    "ministral": HEADS | WINDOWS,
    "mistral": HEADS | {"sliding_window": 6},
    "mixtral": EXPERTS,
    "nanochat": {},  # a soft cap
    "nemotron": HEADS,
    "olmo": {},
    "olmo2": {},
    "olmo3": WINDOWS,
    "olmoe": EXPERTS,
    "opt": {"ffn_dim": 24, "word_embed_proj_dim": 16},
    "phi": {},  # a bias
    "phi3": {},
    "phimoe": {"num_local_experts": 4},  # a bias
    "qwen2": {},
    "qwen2_moe": EXPERTS | {"shared_expert_intermediate_size": 8},
    "qwen3": HEADS,
    "qwen3_5_text": HEADS,
    "qwen3_moe": HEADS | EXPERTS,
    "qwen3_next": HEADS | EXPERTS,
    "recurrent_gemma": {},  # a soft cap
    "seed_oss": HEADS,
    "smollm3": {},
    "stablelm": {},
    "starcoder2": {},
    "xglm": {"d_model": 16, "num_layers": 2, "attention_heads": 2, "ffn_dim": 24},
}
# what has no head that is known here: the model makes its logits itself
OWN: dict[str, dict[str, Any]] = {
    "llama4_text": HEADS | EXPERTS | {"intermediate_size_mlp": 24},
    "modernbert-decoder": {},
}
PADDING = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def made(kind: str, **sizes: Any) -> PreTrainedModel:
    """A model with every parameter random, also what is zero or one at first."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **SIZES | PADDING | sizes)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


@dataclass
class Said:
    """Of the K masked tokens of a batch, and the gradients of a loss that is made of them."""

    logprobs: Tensor  # [K]
    entropies: Tensor  # [K]
    gradients: list[Tensor | None]  # by every parameter
    pulls: Tensor  # [N, H]: each sequence's, by a bias on the hidden states


def loss_of(logprobs: Tensor, entropies: Tensor) -> Tensor:
    weights = torch.randn(2, len(logprobs), generator=torch.Generator().manual_seed(1))
    return (weights * torch.stack([logprobs, entropies])).sum()


def gradients_of(loss: Tensor, model: PreTrainedModel) -> list[Tensor | None]:
    return list(torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, retain_graph=True))


def plainly(model: PreTrainedModel, batch: TrainingBatch, reader: nn.Module) -> Said:
    """From the model's logits of each sequence alone; `reader` is what reads the hidden states."""
    columns, biases = [], []
    for tokens, mask, temperature in zip(batch.tokens, batch.mask, batch.temperatures, strict=True):
        bias = torch.zeros(SIZES["hidden_size"], requires_grad=True)
        hook = reader.register_forward_pre_hook(lambda module, given, bias=bias: given[0] + bias)
        ids, trained = torch.from_numpy(tokens.astype(np.int64)), torch.from_numpy(mask[1:])
        logits = model(input_ids=ids[None, :-1], use_cache=False).logits[0] / temperature
        hook.remove()
        every = logits[trained].log_softmax(-1)
        chosen = every.gather(1, ids[1:][trained, None])[:, 0]
        columns.append(torch.stack([chosen, -(every.exp() * every).sum(-1)]))
        biases.append(bias)
    logprobs, entropies = torch.cat(columns, 1)
    loss = loss_of(logprobs, entropies)
    pulls = torch.stack(torch.autograd.grad(loss, biases, retain_graph=True))
    return Said(logprobs, entropies, gradients_of(loss, model), pulls)


def by_policy(policy: Policy, batch: TrainingBatch, packing: bool = False) -> Said:
    micro = collate(batch, range(len(batch.tokens)), CPU, packing)
    outputs = policy(micro)
    if "logits" in outputs:
        every = outputs["logits"].log_softmax(-1)
        entropies = -(every.exp() * every).sum(-1)
    else:
        entropies = outputs["entropy"][micro.mask]
    logprobs = outputs["logprobs"][micro.mask]
    gradients = gradients_of(loss_of(logprobs, entropies), policy.model)
    assert policy.hidden_gradient is not None
    return Said(logprobs, entropies, gradients, policy.hidden_gradient)


def assert_same(ours: Said, theirs: Said) -> None:
    """But for rounding, of which gradients have as much as the largest ones."""
    torch.testing.assert_close(ours.logprobs, theirs.logprobs, atol=ROUNDING, rtol=0)
    torch.testing.assert_close(ours.entropies, theirs.entropies, atol=ROUNDING, rtol=0)
    size = float(theirs.pulls.abs().max())
    torch.testing.assert_close(ours.pulls, theirs.pulls.double(), atol=ROUNDING * size, rtol=0)
    size = max(float(gradient.abs().max()) for gradient in theirs.gradients if gradient is not None)
    for mine, other in zip(ours.gradients, theirs.gradients, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None:
            torch.testing.assert_close(mine, other, atol=ROUNDING * size, rtol=0)


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.parametrize("kind", FAMILIES)
def test_a_policy_says_and_learns_what_the_logits_of_its_model_do(kind: str, tied: bool) -> None:
    model = made(kind, **FAMILIES[kind], tie_word_embeddings=tied)
    layer = model.get_output_embeddings()
    assert (layer.weight is model.get_input_embeddings().weight) == tied
    batch = batch_of(SHAPES)
    policy = Policy(model)
    assert policy.head is not None
    with chunks_of(5 * VOCABULARY):
        assert_same(by_policy(policy, batch), plainly(model, batch, layer))


@pytest.mark.parametrize("kind", FAMILIES | OWN)
def test_weight_by_weight_a_model_has_the_names_and_parts_of_its_checkpoint(kind: str) -> None:
    with torch.device("meta"):
        config = AutoConfig.for_model(kind, **SIZES | PADDING | (FAMILIES | OWN)[kind])
        model = AutoModelForCausalLM.from_config(config)
    whole = revert_weight_conversion(model, dict(model.named_parameters()))
    expected = {name: weight.shape for name, weight in whole.items()}
    found = [
        pair for name, weight in model.named_parameters() for pair in checkpoint_weights(model, name, weight)
    ]
    assert {name: weight.shape for name, weight in found} == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("llama", "lm_head.weight"), ("gpt2", "lm_head.weight"), ("gpt_neox", "embed_out.weight")],
)
def test_a_tied_output_layer_has_a_name_in_checkpoints(kind: str, expected: str) -> None:
    for tied in (True, False):
        model = made(kind, **FAMILIES[kind], tie_word_embeddings=tied)
        embedding, head = tied_names(model)
        assert dict(model.named_parameters())[embedding] is model.get_input_embeddings().weight
        assert head == (expected if tied else None)


@pytest.mark.parametrize("kind", OWN)
def test_a_model_with_another_kind_of_head_makes_its_logits_itself(kind: str) -> None:
    model = made(kind, **OWN[kind])
    batch = batch_of(SHAPES)
    policy = Policy(model)
    assert policy.head is None
    assert_same(by_policy(policy, batch), plainly(model, batch, model.get_output_embeddings()))


@pytest.mark.parametrize("known", [True, False], ids=["head", "own logits"])
def test_of_a_shared_prompt_each_sequence_pulls_with_its_own_part(known: bool) -> None:
    model = made("llama", tie_word_embeddings=True)
    use_packed_attention(model)
    batch = batch_of([(4, 6), (4, 3), (4, 1), (2, 5)])
    for row in (1, 2):
        batch.tokens[row][:4] = batch.tokens[0][:4]
    policy = Policy(model)
    if not known:
        policy.head = None
    ours = by_policy(policy, batch, packing=True)
    model.set_attn_implementation("sdpa")
    theirs = plainly(model, batch, model.get_output_embeddings())
    if not known:  # of the place that they share each is given an equal part
        for said in (ours, theirs):
            said.pulls[:3] = said.pulls[:3].sum(0)
    assert_same(ours, theirs)


@pytest.mark.parametrize("kind", ["llama", "phi", "gemma2", "cohere", "granite"])
def test_heads_in_bfloat16_and_whole_distributions(kind: str) -> None:
    """Rounded where the model rounds."""
    model = made(kind, **FAMILIES[kind]).bfloat16()
    batch = batch_of(SHAPES)
    batch.reference_logits = True
    micro = collate(batch, range(len(SHAPES)), CPU)
    policy = Policy(model)
    assert policy.head is not None
    with torch.no_grad():
        outputs = policy(micro)
        whole = model(input_ids=micro.tokens[:, :-1], use_cache=False).logits[:, micro.first :]
        logprobs = policy(replace(micro, reference_logits=False))["logprobs"]
    expected = whole.float() / micro.temperatures[:, None, None]
    torch.testing.assert_close(outputs["logits"], expected[micro.mask], atol=ROUNDING, rtol=0.01)
    torch.testing.assert_close(outputs["logprobs"], logprobs, atol=0.02, rtol=0)


def test_zero_3_is_told_what_a_head_reads() -> None:
    """It would find out by itself, but only while the head works, too late to fetch ahead."""
    model = made("phi")
    layer = model.get_output_embeddings()
    read = [parameter for _, parameter in Policy(model).head.ds_external_parameters()]
    assert len(read) == 2
    assert read[0] is layer.weight
    assert read[1] is layer.bias


def test_a_model_that_reads_images_too_learns_from_text() -> None:
    text = SIZES | PADDING | FAMILIES["gemma3_text"]
    image = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    config = AutoConfig.for_model("gemma3", text_config=text, vision_config=image | {"image_size": 28})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    batch = batch_of(SHAPES)
    policy = Policy(model)
    assert policy.head is not None
    assert_same(by_policy(policy.train(), batch), plainly(model.eval(), batch, model.get_output_embeddings()))


def test_an_update_keeps_no_keys_and_values() -> None:
    """Whatever the model's configuration says, which is for generation."""
    kept = []
    for packing in (False, True):
        model = made("llama")
        assert model.config.use_cache
        if packing:
            use_packed_attention(model)
        model.base_model.register_forward_hook(lambda module, given, said: kept.append(said.past_key_values))
        policy, micro = Policy(model), collate(batch_of(SHAPES), range(len(SHAPES)), CPU, packing)
        policy(micro)
        policy.head = None
        policy(micro)
        ValueModel(model.base_model)(micro)
    assert len(kept) > 6
    assert not any(kept)


@pytest.mark.parametrize(
    ("kind", "dropout"),
    [
        ("gpt2", {"resid_pdrop": 0.5, "embd_pdrop": 0.5, "attn_pdrop": 0.5}),
        ("opt", {"dropout": 0.5}),  # in the layers themselves
        ("falcon", {"hidden_dropout": 0.5, "attention_dropout": 0.5}),
        ("starcoder2", {"residual_dropout": 0.5, "embedding_dropout": 0.5}),
        ("mixtral", {"router_jitter_noise": 0.5}),
    ],
)
def test_activations_are_recomputed_without_dropout(kind: str, dropout: dict[str, float]) -> None:
    model = made(kind, **FAMILIES[kind], **dropout)
    policy, batch = Policy(model), batch_of(SHAPES)
    expected = by_policy(policy, batch)
    recompute_activations(model)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    for layer in layers:
        layer.register_forward_pre_hook(count)
    for update in (1, 2):
        assert_same(by_policy(policy, batch), expected)
        assert calls == update * 2 * len(layers)  # forward, and again in the backward pass


# ---------------------------------------------------------------- learners

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "untied": ("llama", {"tie_word_embeddings": False}),
    "tied": ("llama", {"tie_word_embeddings": True}),
    "bias": ("phi", {}),
    "cap, tied": ("gemma2", HEADS),
    "factor, tied": ("cohere", {"logit_scale": 0.5}),
    "divisor": ("granite", {"logits_scaling": 2.0, "tie_word_embeddings": False}),
    "its own logits": ("modernbert-decoder", OWN["modernbert-decoder"]),
}
STAGES = [0, 2, 3]


@dataclass
class Runs:
    results: dict[str, Result]
    references: dict[str, Reference]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, learners: RunCases) -> Runs:
    folder = tmp_path_factory.mktemp("families")
    cases, references = [], {}
    for name, (kind, sizes) in KINDS.items():
        path = folder / name
        made(kind, **sizes).save_pretrained(path)
        batches = [near_policy(path, make_batch(seed, WEIGHTS, ROWS)) for seed in (1, 2)]
        references[name] = train(path, batches)
        cases += [
            Case(f"{name}-{stage}", path, batches, learner_config(stage), chunk=5 * VOCABULARY)
            for stage in STAGES
        ]
    (results, _) = learners(folder / "ranks", cases, 2)
    return Runs(results, references)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_updates_of_every_kind_of_head_are_those_of_a_plain_loop(runs: Runs, kind: str, stage: int) -> None:
    result, reference = runs.results[f"{kind}-{stage}"], runs.references[kind]
    assert result.error == ""
    assert error(result.weights, reference) < 2e-5
    assert [m["grad_norm"] for m in result.metrics] == pytest.approx(reference.norms, rel=1e-4)
