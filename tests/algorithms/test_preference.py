"""Losses of pairs: closed forms, and real learners against a float64 loop however the pairs are cut up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from learner_worker import MAX_LENGTH, Case, Result, RunCases

from rlvr.algorithms.preference import ipo, sigmoid
from rlvr.learner.models import make_scratch_model
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.stages.batches import preference_batch
from rlvr.types import DataError, TrainingBatch
from tests.learner.test_learner import (
    HUGE,
    MIDDLE,
    SIZES,
    TINY,
    Reference,
    Row,
    error,
    learner_config,
    make_batch,
    train,
)

pytestmark = pytest.mark.slow  # its models and runs

KINDS = {
    "sigmoid": partial(sigmoid, beta=0.3),
    "smoothed": partial(sigmoid, beta=0.5, label_smoothing=0.2),
    "sigmoid of means": partial(sigmoid, beta=2.0, length_normalized=True),
    "ipo": partial(ipo, beta=0.1),
    "ipo of means": partial(ipo, beta=0.4, length_normalized=True),
}


def pair_loss(kind: str, chosen: torch.Tensor, rejected: torch.Tensor) -> torch.Tensor:
    """Of the log-ratios of the two answers' tokens."""
    means = kind.endswith("means")
    h = chosen.mean() - rejected.mean() if means else chosen.sum() - rejected.sum()
    if kind.startswith("ipo"):
        return (h - 1 / (2 * (0.4 if means else 0.1))) ** 2
    beta, wrong = {"sigmoid": (0.3, 0.0), "smoothed": (0.5, 0.2), "sigmoid of means": (2.0, 0.0)}[kind]
    p = 1 / (1 + (-beta * h).exp())
    return -(1 - wrong) * p.log() - wrong * (1 - p).log()


# ---------------------------------------------------------------- the objectives


def example(seed: int, pairs: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Log-probabilities of the policy and of the reference, and a mask in which every row has a token."""
    generator = torch.Generator().manual_seed(seed)
    policy, reference, drawn = -3 * torch.rand(3, 2 * pairs, 6, generator=generator, dtype=torch.float64)
    mask = drawn < -1.2
    mask[:, 2] = True
    return policy.requires_grad_(), reference, mask


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_a_pair_is_the_closed_form_and_lies_on_the_chosen_answer(kind: str, seed: int, pairs: int) -> None:
    policy, reference, mask = example(seed, pairs)
    columns = {"reference_logprobs": reference.masked_fill(~mask, math.nan)}
    per_token, diagnostics = KINDS[kind]({"logprobs": policy}, columns, mask)
    ratios = policy - reference
    expected = [
        pair_loss(kind, *(ratios[row][mask[row]] for row in (2 * i, 2 * i + 1))) for i in range(pairs)
    ]
    torch.testing.assert_close(per_token[0::2].sum(1), torch.stack(expected))
    assert not per_token[1::2].any()
    for row in range(0, 2 * pairs, 2):
        assert not per_token[row][~mask[row]].any()
        assert len(set(per_token[row][mask[row]].tolist())) == 1
    weights = torch.arange(1, pairs + 1, dtype=torch.float64)
    gradients = [
        torch.autograd.grad((weights * losses).sum(), policy, retain_graph=True)[0]
        for losses in (per_token[0::2].sum(1), torch.stack(expected))
    ]
    torch.testing.assert_close(*gradients)
    assert not any(values.requires_grad or values.shape != (pairs,) for values in diagnostics.values())


def test_diagnostics_say_how_the_pairs_stand() -> None:
    policy = torch.tensor([[-1.0, -2.0], [-3.0, -9.0], [-1.0, -1.0], [-1.0, -1.0]])
    reference = torch.tensor([[-2.0, -3.0], [-1.0, -9.0], [-1.0, -1.0], [-1.0, -1.0]])
    mask = torch.tensor([[True, True], [True, False], [True, True], [True, True]])
    given = ({"logprobs": policy}, {"reference_logprobs": reference}, mask)
    _, shown = sigmoid(*given, beta=0.5)
    assert {name: values.tolist() for name, values in shown.items()} == {
        "margin": [2.0, 0.0],
        "accuracy": [1.0, 0.5],
        "chosen_log_ratio": [2.0, 0.0],
        "rejected_log_ratio": [-2.0, 0.0],
    }
    _, shown = sigmoid(*given, beta=0.5, length_normalized=True)
    assert shown["margin"].tolist() == [1.5, 0.0]


def test_a_rank_with_nothing_to_do_gets_a_zero_of_a_loss() -> None:
    for objective in KINDS.values():
        logprobs = torch.zeros(2, 1, requires_grad=True)
        nothing = {"reference_logprobs": torch.zeros(2, 1)}
        per_token, shown = objective({"logprobs": logprobs}, nothing, torch.zeros(2, 1, dtype=torch.bool))
        assert per_token.tolist() == [[0], [0]]
        assert torch.autograd.grad(per_token.sum(), logprobs)[0].tolist() == [[0], [0]]
        assert all(values.isfinite().all() for values in shown.values())


# ---------------------------------------------------------------- batches


def test_a_batch_of_pairs() -> None:
    batch = preference_batch([(([1, 2], [3]), ([1, 2], [4, 5])), (([6], [7]), ([6], [8]))])
    assert [tokens.tolist() for tokens in batch.tokens] == [[1, 2, 3], [1, 2, 4, 5], [6, 7], [6, 8]]
    assert [mask.tolist() for mask in batch.mask][:2] == [[False, False, True], [False, False, True, True]]
    assert (batch.unit, batch.groups, batch.scales) == (2, [0, 0, 1, 1], [0.5] * 4)
    assert all(batch.live)
    assert preference_batch([]).tokens == []


@pytest.mark.parametrize("kind", ["chosen", "rejected"])
def test_an_answer_without_tokens_is_refused(kind: str) -> None:
    whole, empty = ([1], [2]), ([1], [])
    with pytest.raises(DataError, match=f"pair 1: the {kind} answer has no tokens"):
        preference_batch([(whole, whole), (empty, whole) if kind == "chosen" else (whole, empty)])


# ---------------------------------------------------------------- the learner

# prompt and answers of four pairs
PAIRS = [(3, 12, 30), (9, 4, 4), (2, 21, 3), (6, 1, 19)]
ALL = {
    "0": learner_config(0),
    "1-packed": learner_config(1, packing=True),
    "2": learner_config(2, micro_batch_tokens=TINY),
    "2-packed": learner_config(2, micro_batch_tokens=HUGE, packing=True),
    "3": learner_config(3, micro_batch_tokens=HUGE),
    "3-packed": learner_config(3, micro_batch_tokens=MIDDLE, packing=True),
}
LAYOUTS = {
    "sigmoid": list(ALL),
    "smoothed": ["0", "3-packed"],
    "sigmoid of means": ["2", "2-packed"],
    "ipo": ["3", "1-packed"],
    "ipo of means": ["0", "3-packed"],
}
RUNS = [(kind, layout) for kind, layouts in LAYOUTS.items() for layout in layouts]


def pair_batch(seed: int) -> TrainingBatch:
    """Four pairs of random tokens with one prompt each, the third of them without a part in the loss."""
    shapes = [(prompt, answer) for prompt, *answers in PAIRS for answer in answers]
    random = make_batch(seed, [1.0] * 8, shapes)
    examples = [(t[:p].tolist(), t[p:].tolist()) for t, (p, _) in zip(random.tokens, shapes, strict=True)]
    batch = preference_batch([(examples[i], (examples[i][0], examples[i + 1][1])) for i in range(0, 8, 2)])
    scales = [0.4, 7.0, 0.1, 7.0, 0.0, 0.0, 0.5, 7.0]  # the rejected rows' are of no effect
    return replace(batch, scales=scales, live=[True, False, True, True, False, False, False, True])


def whole(kind: str, rows: Sequence[Row], scales: Sequence[float]) -> torch.Tensor:
    ratios = [(row["new"] - row["reference_logprobs"])[row["mask"]] for row in rows]
    losses = [pair_loss(kind, ratios[i], ratios[i + 1]) * scales[i] for i in range(0, len(rows), 2)]
    return torch.stack(losses).sum()


@dataclass
class Runs:
    ranks: dict[int, list[dict[str, Result]]]
    references: dict[str, Reference]

    def __call__(self, world_size: int, kind: str, layout: str) -> Result:
        result = self.ranks[world_size][0][f"{kind} {layout}"]
        assert result.error == ""
        return result


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, learners: RunCases) -> Runs:
    folder = tmp_path_factory.mktemp("preference")
    tokenizer = character_tokenizer(ALPHABET)
    model, other = folder / "model", folder / "other"
    for seed, path in enumerate((model, other)):
        make_scratch_model(path, tokenizer, MAX_LENGTH, seed, tie_word_embeddings=False, **SIZES)
    batches = [pair_batch(seed) for seed in (1, 2)]
    cases = [
        Case(f"{kind} {layout}", model, batches, ALL[layout], loss=KINDS[kind], reference=other)
        for kind, layout in RUNS
    ]
    ranks = {size: learners(folder / f"ranks-{size}", cases, size) for size in (2, 1)}
    references = {kind: train(model, batches, reference=other, whole=partial(whole, kind)) for kind in KINDS}
    return Runs(ranks, references)


both_sizes = pytest.mark.parametrize("world_size", [1, 2])


@both_sizes
@pytest.mark.parametrize(("kind", "layout"), RUNS)
def test_updates_are_those_of_a_plain_loop(runs: Runs, world_size: int, kind: str, layout: str) -> None:
    result, reference = runs(world_size, kind, layout), runs.references[kind]
    assert error(result.weights, reference) < 1e-5
    assert [m["loss"] for m in result.metrics] == pytest.approx(reference.losses, rel=1e-5)
    assert [m["grad_norm"] for m in result.metrics] == pytest.approx(reference.norms, rel=1e-4)


def test_the_references_differ_from_each_other(runs: Runs) -> None:
    for one, other in pairwise(KINDS):
        assert error(runs.references[one].weights, runs.references[other]) > 0.05


@both_sizes
@pytest.mark.parametrize("layout", ALL)
def test_diagnostics_are_means_over_pairs(runs: Runs, world_size: int, layout: str) -> None:
    """Over the live ones, however long their answers are."""
    metrics = runs(world_size, "sigmoid", layout).metrics[0]
    first = runs(1, "sigmoid", "0")
    batch = pair_batch(1)
    ratios = [
        float((new - old).sum(dtype=np.float64))
        for new, old in zip(first.logprobs, first.before, strict=True)
    ]
    chosen, rejected = (np.array([ratios[i] for i in (0, 2, 6)]), np.array([ratios[i] for i in (1, 3, 7)]))
    assert metrics["chosen_log_ratio"] == pytest.approx(chosen.mean(), rel=1e-4)
    assert metrics["rejected_log_ratio"] == pytest.approx(rejected.mean(), rel=1e-4)
    assert metrics["margin"] == pytest.approx(0.3 * (chosen - rejected).mean(), rel=1e-4)
    assert metrics["accuracy"] == pytest.approx((chosen > rejected).mean())
    assert metrics["tokens"] == sum(int(batch.mask[i].sum()) for i in (0, 1, 2, 3, 6, 7))
