"""Adapters: what is trained against a plain loop on W + s·B·A in float64, and what others get to see of it.

The numbers come from real learners in real process groups (learner_worker.py), and from a real engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ray
import torch
from learner_worker import MAX_LENGTH, OPTIMIZER, Case, Result, RunCases
from test_learner import (
    SHAPES,
    SIZES,
    WEIGHTS,
    Reference,
    Row,
    divergence,
    error,
    full_likelihood,
    in_full,
    learner_config,
    likelihood,
    load,
    logprobs,
    make_batch,
    near_policy,
    outputs,
    ppo,
)
from torch.func import functional_call
from transformers import AutoConfig, AutoModelForCausalLM

from rlvr.algorithms import objective
from rlvr.algorithms.losses import ppo_clip
from rlvr.learner.actor import LearnerActor, LearnerGroup
from rlvr.learner.config import LearnerConfig, LoraConfig, OptimizerConfig
from rlvr.learner.lora import inject, parts, target_names
from rlvr.learner.models import load_model, make_scratch_model
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.rollout.actor import RolloutActor
from rlvr.types import ConfigError, TrainingBatch
from tests.rollout.test_engine import MAX_LENGTH as ENGINE_LENGTH
from tests.rollout.test_engine import ROLLOUT, Pair, largest_gap, learning_batch, make_requests

LORA = LoraConfig(rank=4, alpha=6.0, seed=3)
SCALING = 1.5
FEW = replace(LORA, target_modules=["q_proj", "mlp.down_proj"])
EXACT = partial(objective.policy, loss=partial(ppo_clip, clip_low=0.2, clip_high=0.3), kl_coef=0.5)
STAGES = [0, 2, 3]
RESUMED = ["0", "2", "3", "2-bf16"]
A, B = "lora_A.default.weight", "lora_B.default.weight"

# ---------------------------------------------------------------- the reference


def exact_terms(row: Row) -> torch.Tensor:
    """What `EXACT` is in the learner."""
    return ppo(row) + 0.5 * row["kl"]


def starts(path: Path, lora: LoraConfig) -> dict[str, np.ndarray]:
    """Every adapter's first A."""
    model = load_model(str(path), "float32", MAX_LENGTH)
    inject(model, lora)
    return {n: p.detach().double().numpy() for n, p in model.named_parameters() if n.endswith(A)}


def train(
    path: Path,
    batches: Sequence[TrainingBatch],
    lora: LoraConfig,
    loss_of: Callable[[Row], torch.Tensor] = ppo,
    teacher: Path | None = None,
) -> Reference:
    """The weights, merged, and the adapters after AdamW on the adapters alone; before: B is zero."""
    model, reference = load(path), load(teacher) if teacher else None
    base = {name: p.detach() for name, p in model.named_parameters()}
    adapters = {}
    for name, first in starts(path, lora).items():
        layer = name.removesuffix(f".{A}")
        adapters[f"{layer}.{A}"] = torch.tensor(first, requires_grad=True)
        rows = base[f"{layer}.weight"].shape[0]
        adapters[f"{layer}.{B}"] = torch.zeros(rows, len(first), dtype=torch.float64, requires_grad=True)

    def merged() -> dict[str, torch.Tensor]:
        layers = [name.removesuffix(f".{A}") for name in adapters if name.endswith(A)]
        return base | {
            f"{layer}.weight": base[f"{layer}.weight"]
            + SCALING * adapters[f"{layer}.{B}"] @ adapters[f"{layer}.{A}"]
            for layer in layers
        }

    def policy(weights: dict[str, torch.Tensor]) -> Any:
        return lambda input_ids: SimpleNamespace(
            logits=functional_call(model, weights, (), {"input_ids": input_ids}, tie_weights=True).logits
        )

    before = {name: p.detach().numpy().copy() for name, p in adapters.items()}
    o = OPTIMIZER
    adamw = torch.optim.AdamW(
        adapters.values(), lr=o.lr, betas=(o.beta1, o.beta2), eps=o.eps, weight_decay=o.weight_decay
    )
    norms, losses = [], []
    for number, batch in enumerate(batches):
        adamw.zero_grad()
        loss = torch.zeros((), dtype=torch.float64)
        now = policy(merged())
        for i, tokens in enumerate(batch.tokens):
            row = {name: torch.from_numpy(column[i]).double() for name, column in batch.columns.items()}
            row["new"], row["entropy"] = outputs(now, tokens, batch.temperatures[i])
            if reference:
                row["kl"] = divergence(now, reference, tokens, batch.temperatures[i])
            loss = loss + loss_of(row)[torch.from_numpy(batch.mask[i])].sum() * batch.scales[i]
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(list(adapters.values()), 1.0)))
        losses.append(float(loss.detach()))
        for group in adamw.param_groups:
            group["lr"] = o.lr / (1 + number)
        adamw.step()
    return Reference({name: p.detach().numpy() for name, p in adapters.items()}, before, norms, losses)


# ---------------------------------------------------------------- the runs


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


def config(stage: int = 0, lora: LoraConfig = LORA, **others: Any) -> LearnerConfig:
    return replace(learner_config(stage, **others), lora=lora)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, learners: RunCases) -> Runs:
    folder = tmp_path_factory.mktemp("lora")
    tokenizer = character_tokenizer(ALPHABET)
    model, other, tied = (folder / name for name in ("model", "other", "tied"))
    make_scratch_model(model, tokenizer, MAX_LENGTH, 0, tie_word_embeddings=False, **SIZES)
    make_scratch_model(other, tokenizer, MAX_LENGTH, 1, tie_word_embeddings=False, **SIZES)
    make_scratch_model(tied, tokenizer, MAX_LENGTH, 2, tie_word_embeddings=True, **SIZES)
    batches = [near_policy(model, make_batch(seed, WEIGHTS, SHAPES)) for seed in (1, 2, 3)]
    near_tied = [near_policy(tied, batch) for batch in batches]
    exact = [replace(in_full(batch), reference_logits=True) for batch in batches]

    def cases(world_size: int) -> list[Case]:
        result = []
        for stage in STAGES:
            result += [
                Case(f"plain-{stage}", model, batches, config(stage), reference=model),
                Case(f"few-{stage}", model, batches, config(stage, FEW)),
                Case(
                    f"tied-{stage}",
                    tied,
                    near_tied,
                    config(stage),
                    save=folder / f"{world_size}-tied-{stage}",
                ),
                Case(f"checkpointing-{stage}", model, batches, config(stage, gradient_checkpointing=True)),
                Case(f"packed-{stage}", model, batches, config(stage, packing=True)),
                # a model of its own, and the frozen weights, from which the adapters lead away
                Case(f"teacher-{stage}", model, exact, config(stage), loss=EXACT, reference=other),
                Case(f"own-{stage}", model, exact, config(stage, packing=True), loss=EXACT, reference=model),
            ]
        result += [
            Case(
                "frozen-bf16",
                model,
                full_likelihood(batches),
                config(2, dtype="bfloat16"),
                loss=objective.supervised,
            )
        ]
        bf16 = config(2, dtype="bfloat16")
        result += [Case("plain-2-bf16", model, batches, bf16, reference=model)]
        for name in RESUMED:
            path = folder / f"{world_size}-{name}"
            layout = config(int(name[0]), dtype="bfloat16" if "bf16" in name else "float32")
            result += [
                Case(f"saved-{name}", model, batches[:2], layout, save=path, reference=model),
                # from other weights, so that none can be left at where it began, the reference included
                Case(f"resumed-{name}", other, batches[2:], layout, start=2, load=path, reference=other),
            ]
        result += [
            Case(
                "other rank",
                model,
                batches,
                config(2, replace(LORA, rank=2)),
                load=folder / f"{world_size}-2",
            ),
            Case(
                "other alpha",
                model,
                batches,
                config(2, replace(LORA, alpha=1)),
                load=folder / f"{world_size}-2",
            ),
            Case("no adapters", model, batches, learner_config(2), load=folder / f"{world_size}-2"),
        ]
        return result

    references = {
        "plain": train(model, batches, LORA),
        "few": train(model, batches, FEW),
        "tied": train(tied, near_tied, LORA),
        "teacher": train(model, exact, LORA, exact_terms, other),
        "own": train(model, exact, LORA, exact_terms, model),
        "nll": train(model, batches, LORA, likelihood),
    }
    references["checkpointing"] = references["packed"] = references["plain"]
    ranks = {size: learners(folder / f"ranks-{size}", cases(size), size) for size in (2, 1)}
    return Runs(ranks, references, batches, folder)


both_sizes = pytest.mark.parametrize("world_size", [1, 2])
each_stage = pytest.mark.parametrize("stage", STAGES)


@both_sizes
@each_stage
@pytest.mark.parametrize("case", ["plain", "few", "tied", "checkpointing", "packed", "teacher", "own"])
def test_updates_are_those_of_a_plain_loop(runs: Runs, world_size: int, case: str, stage: int) -> None:
    result, reference = runs(world_size, f"{case}-{stage}"), runs.references[case]
    assert len(reference.weights) == (2 * 2 * 2 if case == "few" else 2 * 2 * 7)
    # the same loop in float32 is off by 1.5e-5 for the tied model, some of whose gradients nearly cancel, and
    # by 1.1e-5 for others on some processors
    assert error(result.raw, reference) < 3e-5
    assert [m["grad_norm"] for m in result.metrics] == pytest.approx(reference.norms, rel=1e-4)
    assert [m["loss"] for m in result.metrics] == pytest.approx(reference.losses, rel=1e-4)


@both_sizes
@each_stage
@pytest.mark.parametrize("case", ["plain", "few", "tied"])
def test_others_see_an_ordinary_model(runs: Runs, world_size: int, case: str, stage: int) -> None:
    """Its names in its order; W + s·B·A where there are adapters, and what it was elsewhere."""
    result = runs(world_size, f"{case}-{stage}")
    model = load(runs.folder / ("tied" if case == "tied" else "model"))
    moved = 0
    for name, parameter in model.named_parameters():
        expected = parameter.detach().numpy()
        layer = name.removesuffix(".weight")
        if f"{layer}.{A}" in result.raw:
            np.testing.assert_array_equal(
                result.raw[f"{layer}.base_layer.weight"], expected.astype(np.float32)
            )
            delta = result.raw[f"{layer}.{B}"].astype(np.float64) @ result.raw[f"{layer}.{A}"]
            assert np.linalg.norm(delta) > 0.01
            expected = expected + SCALING * delta
            moved += 1
        np.testing.assert_allclose(result.weights[name], expected, rtol=0, atol=1e-6)
    assert moved == (4 if case == "few" else 14)
    names = {name for name, _ in model.named_parameters()}
    assert result.weights.keys() == names | {"lm_head.weight"}
    np.testing.assert_array_equal(
        result.weights["lm_head.weight"], model.get_output_embeddings().weight.detach().numpy()
    )
    assert [(name, weight.shape) for name, weight in result.weights.items()] == result.shapes
    assert list(result.checksums) == list(result.weights)


@both_sizes
def test_all_ranks_hold_the_same(runs: Runs, world_size: int) -> None:
    first, *others = runs.ranks[world_size]
    for name, result in first.items():
        for other in others:
            for key, weight in (result.weights | result.raw).items():
                np.testing.assert_array_equal(weight, (other[name].weights | other[name].raw)[key])
        assert result.switched_back, name


@both_sizes
@pytest.mark.parametrize("name", ["plain-0", "plain-2", "plain-3", "resumed-0", "resumed-2", "resumed-3"])
def test_the_reference_is_the_model_at_the_start(runs: Runs, world_size: int, name: str) -> None:
    """After all updates, also in a run that goes on from a checkpoint; before them it is the policy."""
    model, batch = load(runs.folder / "model"), runs.batches[2 if name.startswith("resumed") else 0]
    result = runs(world_size, name)
    for i, computed in enumerate(result.reference):
        with torch.no_grad():
            expected = logprobs(model, batch.tokens[i], batch.temperatures[i]).numpy()
        np.testing.assert_allclose(computed, np.where(batch.mask[i], expected, 0), atol=2e-5)
        if name.startswith("plain"):
            np.testing.assert_array_equal(computed, result.logprobs[i])
        else:
            assert np.abs(computed - result.logprobs[i]).max() > 1e-3


@both_sizes
@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_learner_goes_on_bit_for_bit(runs: Runs, world_size: int, name: str) -> None:
    whole, resumed = runs(world_size, f"plain-{name}"), runs(world_size, f"resumed-{name}")
    for key, weight in (whole.weights | whole.raw).items():
        np.testing.assert_array_equal(weight, (resumed.weights | resumed.raw)[key], err_msg=key)
    assert resumed.metrics == whole.metrics[2:]
    assert runs(world_size, f"saved-{name}").checksums != whole.checksums == resumed.checksums


@both_sizes
@pytest.mark.parametrize("name", [*RESUMED, "tied-0", "tied-2", "tied-3"])
def test_a_checkpoint_is_a_model_folder(runs: Runs, world_size: int, name: str) -> None:
    """Which transformers loads alone, and which says what the learner says."""
    folder = runs.folder / f"{world_size}-{name}" / "model"
    assert not list(folder.glob("adapter*"))
    model, loading = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    result = runs(world_size, name if "tied" in name else f"saved-{name}")
    for key, weight in model.named_parameters():
        np.testing.assert_array_equal(weight.detach().float().numpy(), result.weights[key], err_msg=key)
    if name in ("0", "2", "3"):  # the resumed learner began with what it had saved
        batch, again = runs.batches[2], runs(world_size, f"resumed-{name}")
        for i, computed in enumerate(again.logprobs):
            with torch.no_grad():
                expected = logprobs(model.double(), batch.tokens[i], batch.temperatures[i]).numpy()
            np.testing.assert_allclose(computed, np.where(batch.mask[i], expected, 0), atol=2e-5)


@both_sizes
@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("other rank", ["learner.lora.rank=4", "learner.lora.rank=2", "-2/model"]),
        ("other alpha", ["learner.lora.alpha=6.0", "learner.lora.alpha=1"]),
        ("no adapters", ["learner.lora.rank=4", "this run has learner.zero_stage=2"]),
    ],
)
def test_what_does_not_fit_is_refused_in_words(
    runs: Runs, world_size: int, case: str, words: list[str]
) -> None:
    for word in words:
        assert word in runs.ranks[world_size][0][case].error


@both_sizes
def test_bfloat16_follows_float32_from_afar(runs: Runs, world_size: int) -> None:
    result, reference = runs(world_size, "frozen-bf16"), runs.references["nll"]
    assert [m["loss"] for m in result.metrics] == pytest.approx(reference.losses, rel=0.02)
    for name, weight in load(runs.folder / "model").named_parameters():
        stored = result.raw.get(f"{name.removesuffix('.weight')}.base_layer.weight", result.raw.get(name))
        np.testing.assert_array_equal(stored, weight.detach().bfloat16().float().numpy(), err_msg=name)


# ---------------------------------------------------------------- the adapters of a model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    make_scratch_model(tmp_path, character_tokenizer(ALPHABET), MAX_LENGTH, 0, **SIZES)
    return tmp_path


def test_adapters_follow_from_their_seed(path: Path) -> None:
    torch.manual_seed(5)
    first = starts(path, LORA)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)  # others' randomness is left alone
    again, different = starts(path, LORA), starts(path, replace(LORA, seed=4))
    for name, a in first.items():
        assert np.abs(a).max() <= a.shape[1] ** -0.5
        assert np.abs(a).max() > 0.8 * a.shape[1] ** -0.5
        np.testing.assert_array_equal(a, again[name])
        assert not np.array_equal(a, different[name])


def test_only_adapters_are_trained_and_the_head_has_none(path: Path) -> None:
    model = load_model(str(path), "bfloat16", MAX_LENGTH)
    kind, plain = type(model), [name for name, _ in model.named_parameters()]
    inject(model, LORA)
    assert type(model) is kind
    assert [part.name for part in parts(model)] == plain
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == ("lora_" in name)
        assert parameter.dtype == torch.bfloat16
    assert sum(part.a is not None for part in parts(model)) == 14
    for part in parts(model):
        assert part.merged(SCALING).dtype == torch.bfloat16
        assert torch.equal(part.merged(SCALING), part.base)


@pytest.mark.parametrize("end", ["lm_head", "embed_tokens", "proj", "q_projection"])
def test_a_target_that_can_have_no_adapter_is_refused(path: Path, end: str) -> None:
    model = load_model(str(path), "float32", MAX_LENGTH)
    with pytest.raises(ConfigError, match=rf"target_modules names '{end}'.*: down_proj, .*, v_proj"):
        target_names(model, ["q_proj", end])


def test_a_model_without_linear_layers_has_none_to_adapt() -> None:
    config = AutoConfig.for_model("gpt2", n_embd=16, n_layer=1, n_head=2, vocab_size=16)
    with pytest.raises(ConfigError, match="GPT2LMHeadModel has no linear layers below its head"):
        target_names(AutoModelForCausalLM.from_config(config), None)


# ---------------------------------------------------------------- vLLM


@pytest.mark.slow
def test_vllm_draws_from_the_policy_that_learned(ray_cluster: None, tmp_path: Path) -> None:
    path = tmp_path / "model"
    sizes = SIZES | {"hidden_size": 64, "initializer_range": 0.15}
    make_scratch_model(
        path, character_tokenizer(ALPHABET), ENGINE_LENGTH, 0, tie_word_embeddings=True, **sizes
    )
    worker = RolloutActor.options(num_cpus=0).remote(str(path), ENGINE_LENGTH, ROLLOUT, 0, [])
    rank = LearnerActor.options(num_cpus=0).remote(LearnerConfig(micro_batch_tokens=512, lora=LORA), 0, [])
    pair = Pair(LearnerGroup([rank]), worker, path)
    started = pair.learner.start(str(path), ENGINE_LENGTH, OptimizerConfig(lr=1e-3))
    ray.get([worker.ready.remote(), *started], timeout=300)
    ray.get(pair.learner.connect([worker], 0))
    ray.get(pair.learner.call("add_reference", str(path)))
    first = learning_batch(pair.draw(make_requests(0)))
    for step in range(4):
        batch = learning_batch(pair.draw(make_requests(step)))
        assert largest_gap(pair.logprobs(batch), batch) < 1e-4
        pair.update(batch, lr=1e-2)
        pair.publish()
    last = learning_batch(pair.draw(make_requests(9)))
    assert largest_gap(pair.logprobs(last), last) < 1e-4
    assert ray.get(worker.weight_checksums.remote()) == ray.get(pair.learner.call("weight_checksums"))[0]
    # far from where it began, which the reference still is
    assert largest_gap(pair.logprobs(first), first) > 0.3
    assert largest_gap(ray.get(pair.learner.call("reference_logprobs", first))[0], first) < 1e-4
    for actor in (worker, rank):
        ray.kill(actor)
