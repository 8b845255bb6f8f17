"""The exact KL term: its gradient in closed form, its estimate by k2, and what the learner makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from learner_worker import MAX_LENGTH, Case, Result, RunCases
from test_learner import (
    HUGE,
    MIDDLE,
    SHAPES,
    SIZES,
    TINY,
    WEIGHTS,
    Reference,
    distributions,
    error,
    in_full,
    learner_config,
    load,
    make_batch,
    near_policy,
    train,
)

from rlvr.algorithms import objective
from rlvr.algorithms.config import AlgorithmConfig, KlConfig
from rlvr.algorithms.group_relative import no_advantage
from rlvr.algorithms.kl import full, k2
from rlvr.algorithms.losses import reinforce
from rlvr.learner.models import make_scratch_model
from rlvr.pipeline.config import RunConfig
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.stages.rl_checks import algorithm_messages
from rlvr.types import TrainingBatch

pytestmark = pytest.mark.slow  # its models and runs

# ---------------------------------------------------------------- the mathematics


@given(st.integers(0, 10**6), st.integers(2, 9), st.floats(0.1, 20))
def test_the_exact_divergence_and_its_gradient_in_closed_form(seed: int, size: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits, reference = spread * torch.randn(2, 3, size, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    p, q = logits.detach().softmax(-1), reference.softmax(-1)
    ratio = logits.detach().log_softmax(-1) - reference.log_softmax(-1)
    kl = full(logits, reference)
    torch.testing.assert_close(kl.detach(), torch.special.xlogy(p, p / q).sum(-1))
    (gradient,) = torch.autograd.grad(kl.sum(), logits)
    torch.testing.assert_close(gradient, p * (ratio - kl.detach()[:, None]))


@pytest.mark.parametrize("place", ["rows", "masked"])
@pytest.mark.parametrize("size", [2, 5])
def test_k2_has_the_gradient_of_the_exact_term_on_average(size: int, place: str) -> None:
    """Over every token of the vocabulary that may be drawn, with its probability."""
    generator = torch.Generator().manual_seed(size)
    logits, reference = torch.randn(2, size, generator=generator, dtype=torch.float64)
    logits.requires_grad_()
    mask = torch.ones(size, 1, dtype=torch.bool)
    every = logits.expand(size, 1, size)
    logprobs = logits.log_softmax(0)[:, None]
    columns = {"sampler_logprobs": logprobs.detach(), "advantages": torch.zeros(size, 1)}
    sampled, _ = objective.policy(
        {"logprobs": logprobs, "logits": every},
        columns | {"reference_logprobs": reference.log_softmax(0)[:, None]},
        mask,
        loss=reinforce,
        kl=k2,
        kl_coef=0.7,
    )
    whole = reference.expand(size, 1, size)
    if place == "masked":
        every, whole = every[mask], whole[mask]
    outputs = {"logprobs": logprobs, "logits": every, "reference_logits": whole}
    exact, shown = objective.policy(outputs, columns, mask, loss=reinforce, kl_coef=0.7)
    p = logprobs.detach().exp()
    gradients = [
        torch.autograd.grad((p * term).sum(), logits, retain_graph=True)[0] for term in (sampled, exact)
    ]
    torch.testing.assert_close(*gradients)
    kl = full(logits, reference)
    torch.testing.assert_close(gradients[1], 0.7 * torch.autograd.grad(kl, logits)[0])
    torch.testing.assert_close(shown["reference_kl"], kl.detach().expand(size, 1))


def test_no_advantage_is_zero_where_there_is_a_verdict() -> None:
    np.testing.assert_array_equal(no_advantage(np.array([1.0, np.nan, -2.0])), [0, np.nan, 0])


@pytest.mark.parametrize(
    ("kl", "words"),
    [
        (KlConfig(estimator="full"), "algorithm.kl has settings, but they have no effect with coef 0"),
        (KlConfig(reference="/teacher"), "algorithm.kl has settings, but they have no effect with coef 0"),
        (KlConfig(coef=1, estimator="full", place="reward"), "estimator=full is a function of the whole"),
        (KlConfig(coef=1, reference="/teacher", reset_every=2), "would replace algorithm.kl.reference=/t"),
        (KlConfig(coef=1, reference="/teacher", estimator="full"), None),
    ],
)
def test_settings_without_effect_are_refused(kl: KlConfig, words: str | None) -> None:
    algorithm = AlgorithmConfig({"_target_": "rlvr.algorithms.group_relative.no_advantage"}, kl=kl)
    said = list(algorithm_messages(RunConfig().rl, RunConfig(algorithm=algorithm).for_stages(), []))
    assert len(said) == (words is not None)
    assert words is None or words in said[0]


# ---------------------------------------------------------------- the learner

DISTIL = partial(objective.policy, loss=reinforce, kl_coef=1.0)
ALL = {
    "0": learner_config(0, TINY),
    "0-packed": learner_config(0, MIDDLE, packing=True),
    "1": learner_config(1, MIDDLE),
    "2-packed": learner_config(2, HUGE, packing=True),
    "3": learner_config(3, HUGE),
    "3-packed": learner_config(3, MIDDLE, packing=True),
}


def distilled(batch: TrainingBatch) -> TrainingBatch:
    """Without advantages: all that is learned is the teacher's."""
    nothing = [0 * column for column in batch.columns["advantages"]]
    return replace(in_full(batch), columns={**batch.columns, "advantages": nothing}, reference_logits=True)


@dataclass
class Runs:
    ranks: dict[int, list[dict[str, Result]]]
    reference: Reference
    batches: list[TrainingBatch]
    folder: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, learners: RunCases) -> Runs:
    folder = tmp_path_factory.mktemp("distillation")
    tokenizer, larger = character_tokenizer(ALPHABET), character_tokenizer(ALPHABET + "§")
    model, teacher, foreign = (folder / name for name in ("model", "teacher", "foreign"))
    make_scratch_model(model, tokenizer, MAX_LENGTH, 0, tie_word_embeddings=False, **SIZES)
    # a teacher may be of any size
    sizes = SIZES | {"hidden_size": 48, "num_hidden_layers": 3}
    make_scratch_model(teacher, tokenizer, MAX_LENGTH, 1, tie_word_embeddings=True, **sizes)
    make_scratch_model(foreign, larger, MAX_LENGTH, 1, **SIZES)
    batches = [distilled(near_policy(model, make_batch(seed, WEIGHTS, SHAPES))) for seed in (1, 2)]
    cases = [
        Case(name, model, batches, config, loss=DISTIL, reference=teacher) for name, config in ALL.items()
    ]
    cases += [Case("foreign", model, batches, ALL["0"], loss=DISTIL, reference=foreign)]
    ranks = {size: learners(folder / f"ranks-{size}", cases, size) for size in (2, 1)}
    reference = train(model, batches, loss=lambda row: row["kl"], reference=teacher)
    return Runs(ranks, reference, batches, folder)


both_sizes = pytest.mark.parametrize("world_size", [1, 2])


@both_sizes
@pytest.mark.parametrize("name", ALL)
def test_updates_are_those_of_a_plain_loop(runs: Runs, world_size: int, name: str) -> None:
    result = runs.ranks[world_size][0][name]
    assert result.error == ""
    assert error(result.weights, runs.reference) < 1e-5
    assert [m["loss"] for m in result.metrics] == pytest.approx(runs.reference.losses, rel=1e-5)
    assert [m["grad_norm"] for m in result.metrics] == pytest.approx(runs.reference.norms, rel=1e-4)


@both_sizes
@pytest.mark.parametrize("name", ["0", "3-packed"])
def test_the_metric_is_the_mean_divergence(runs: Runs, world_size: int, name: str) -> None:
    model, teacher = load(runs.folder / "model"), load(runs.folder / "teacher")
    batch = runs.batches[0]
    expected: list[float] = []
    for tokens, mask, temperature in zip(batch.tokens, batch.mask, batch.temperatures, strict=True):
        with torch.no_grad():
            p, q = (distributions(each, tokens, temperature) for each in (model, teacher))
        expected += (p.exp() * (p - q)).sum(-1)[torch.from_numpy(mask[1:])].tolist()
    metrics = runs.ranks[world_size][0][name].metrics[0]
    assert metrics["reference_kl"] == pytest.approx(np.mean(expected), rel=1e-5)


@both_sizes
def test_a_teacher_of_another_vocabulary_is_refused_in_words(runs: Runs, world_size: int) -> None:
    said = runs.ranks[world_size][0]["foreign"].error
    sizes = len(character_tokenizer(ALPHABET)), len(character_tokenizer(ALPHABET + "§"))
    for word in ("/foreign has a vocabulary", f"of {sizes[1]} tokens", f"one of {sizes[0]}", "tokenizer"):
        assert word in said
