"""The DeepSpeed learner against a plain PyTorch loop in float64, however the work is cut up.

Every number comes from real learners in real process groups (learner_worker.py); the reference
below takes one sequence at a time and knows nothing of micro-batches, ranks or ZeRO.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from learner_worker import MAX_LENGTH, OPTIMIZER, Case, Result, RunCases
from transformers import AutoModel, AutoModelForCausalLM

from rlvr.algorithms import importance, kl, objective
from rlvr.algorithms.aggregation import scales
from rlvr.algorithms.losses import gspo
from rlvr.algorithms.objective import supervised
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.learner.models import load_model, make_scratch_model
from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.types import ConfigError, TrainingBatch

pytestmark = pytest.mark.slow  # its models and runs

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 48,
    "initializer_range": 0.2,  # far from uniform, so that gradients are far from zero
}
# prompt and drawn tokens; rows 1 and 4 get no weight
SHAPES = [(3, 12), (5, 30), (9, 4), (2, 1), (4, 11), (1, 25), (12, 8), (6, 19)]
WEIGHTS = [1.5, 0.0, -0.7, 2.0, 0.0, -1.2, 0.4, -0.3]
TINY, MIDDLE, HUGE = 1, 64, 10**6


def tokens_of(seed: int, shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.integers(4, 4 + len(ALPHABET), sum(shape)).astype(np.int32) for shape in shapes]


def make_batch(seed: int, weights: Sequence[float], shapes: Sequence[tuple[int, int]]) -> TrainingBatch:
    """Random tokens, temperatures and old log-probabilities; every weight varies over its tokens."""
    random = np.random.default_rng([seed, 1])
    tokens = tokens_of(seed, shapes)
    masks = [np.arange(len(t)) >= prompt for t, (prompt, _) in zip(tokens, shapes, strict=True)]
    masks[1][9:12] = False  # a stretch that the policy did not draw
    masks[5][4] = False
    advantages = [
        (m * w * random.uniform(0.5, 1.5, len(m))).astype(np.float32)
        for m, w in zip(masks, weights, strict=True)
    ]
    old = [(m * random.uniform(-4.5, -2.5, len(m))).astype(np.float32) for m in masks]
    return TrainingBatch(
        tokens=tokens,
        mask=masks,
        columns={"advantages": advantages, "old_logprobs": old, "sampler_logprobs": old},
        temperatures=random.uniform(0.7, 1.3, len(tokens)).tolist(),
        scales=[1 / sum(int(m.sum()) for m in masks)] * len(tokens),
        live=[weight != 0 for weight in weights],
        groups=[0, 0, 1, 1, 2, 2, 3, 3],
        keep=("logprobs", "entropy"),
    )


def permuted(batch: TrainingBatch, order: Sequence[int]) -> TrainingBatch:
    return TrainingBatch(
        tokens=[batch.tokens[i] for i in order],
        mask=[batch.mask[i] for i in order],
        columns={name: [column[i] for i in order] for name, column in batch.columns.items()},
        temperatures=[batch.temperatures[i] for i in order],
        scales=[batch.scales[i] for i in order],
        live=[batch.live[i] for i in order],
        groups=[batch.groups[i] for i in order],
    )


def with_old(batch: TrainingBatch, old: Sequence[np.ndarray]) -> TrainingBatch:
    """With these log-probabilities of the policy that drew the tokens."""
    old = [o.astype(np.float32) for o in old]
    return replace(batch, columns={**batch.columns, "old_logprobs": old, "sampler_logprobs": old})


def near_policy(model: Path, batch: TrainingBatch) -> TrainingBatch:
    """With old log-probabilities about those of the model, so that some ratios are clipped, not most."""
    random = np.random.default_rng(7)
    policy = load(model)
    old = [
        (mask * (logprobs(policy, tokens, t).detach().numpy() + random.normal(0, 0.2, len(mask))))
        for tokens, mask, t in zip(batch.tokens, batch.mask, batch.temperatures, strict=True)
    ]
    return with_old(batch, old)


# ---------------------------------------------------------------- the reference


def load(path: Path) -> torch.nn.Module:
    model: torch.nn.Module = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    return model.double()


def distributions(model: Callable, tokens: np.ndarray, temperature: float) -> torch.Tensor:
    """Log-probabilities of every token of the vocabulary after each token but the last: [T−1, V] float64."""
    row = torch.from_numpy(tokens.astype(np.int64))
    logits = model(input_ids=row[None]).logits[0, :-1] / np.float64(np.float32(temperature))
    return torch.log_softmax(logits, -1)


def outputs(model: Callable, tokens: np.ndarray, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities and entropies, [T] float64, with 0 for the first token, which nothing predicts."""
    every = distributions(model, tokens, temperature)
    nothing = torch.zeros(1, dtype=torch.float64)
    chosen = every.gather(1, torch.from_numpy(tokens[1:, None].astype(np.int64)))[:, 0]
    return torch.cat([nothing, chosen]), torch.cat([nothing, -(every.exp() * every).sum(-1)])


def divergence(model: Callable, reference: Callable, tokens: np.ndarray, temperature: float) -> torch.Tensor:
    """KL(model ‖ reference) at every token, [T] float64, with 0 for the first."""
    p = distributions(model, tokens, temperature)
    with torch.no_grad():
        q = distributions(reference, tokens, temperature)
    return torch.cat([torch.zeros(1, dtype=torch.float64), (p.exp() * (p - q)).sum(-1)])


def logprobs(model: torch.nn.Module, tokens: np.ndarray, temperature: float) -> torch.Tensor:
    return outputs(model, tokens, temperature)[0]


# of one sequence, [T]: its columns, `mask`, the model's `new` and `entropy`, and with a reference `kl`
Row = dict[str, torch.Tensor]


def ppo(row: Row) -> torch.Tensor:
    ratio, weights = (row["new"] - row["old_logprobs"]).exp(), row["advantages"]
    stopped = torch.where(weights > 0, ratio > 1.3, ratio < 0.8)
    bound = torch.where(weights > 0, 1.3, 0.8).double()
    return -torch.where(stopped, bound, ratio) * weights


def likelihood(row: Row) -> torch.Tensor:
    return -row["new"]


def many_terms(row: Row) -> torch.Tensor:
    """GSPO, k2, entropy and a truncated weight per sequence, as `MANY_TERMS` has them."""
    mask, advantage = row["mask"], row["advantages"]
    ratio = (row["new"] - row["old_logprobs"])[mask].mean().exp()
    weight = min(float((row["old_logprobs"] - row["sampler_logprobs"])[mask].sum().exp()), 1.2)
    policy = -torch.minimum(ratio * advantage, ratio.clamp(0.9, 1.1) * advantage)
    penalty = 0.3 * (row["new"] - row["reference_logprobs"]) ** 2 / 2
    return weight * policy + penalty - 0.1 * row["entropy"]


@dataclass
class Reference:
    weights: dict[str, np.ndarray]
    before: dict[str, np.ndarray]
    norms: list[float]
    losses: list[float]


def train(
    path: Path,
    batches: Sequence[TrainingBatch],
    optimizer: OptimizerConfig = OPTIMIZER,
    max_norm: float = 1.0,
    loss: Callable[[Row], torch.Tensor] = ppo,
    reference: Path | None = None,
    reset_after: int | None = None,
    whole: Callable[[Sequence[Row], Sequence[float]], torch.Tensor] | None = None,
) -> Reference:
    """Gradient of Σ scales · loss, clipping by norm, AdamW (arXiv 1711.05101, algorithm 2).

    `whole`, of all rows and scales, is for a loss that is no sum over sequences. After `reset_after` updates
    the optimizer starts anew, and the reference is the policy of then.
    """
    model = load(path)
    frozen = load(reference) if reference else None
    named = dict(model.named_parameters())
    before = {name: p.detach().numpy().copy() for name, p in named.items()}
    first = {name: torch.zeros_like(p) for name, p in named.items()}
    second = {name: torch.zeros_like(p) for name, p in named.items()}
    norms, losses = [], []
    b1, b2 = optimizer.beta1, optimizer.beta2
    made = 0  # updates since the optimizer was new
    for number, batch in enumerate(batches):
        if not any(batch.live):
            continue
        rows = []
        for i, tokens in enumerate(batch.tokens):
            row = {name: torch.from_numpy(column[i]).double() for name, column in batch.columns.items()}
            row["mask"] = torch.from_numpy(batch.mask[i])
            row["new"], row["entropy"] = outputs(model, tokens, batch.temperatures[i])
            if frozen:
                row["reference_logprobs"] = logprobs(frozen, tokens, batch.temperatures[i]).detach()
                row["kl"] = divergence(model, frozen, tokens, batch.temperatures[i])
            rows.append(row)
        if whole:
            total = whole(rows, batch.scales)
        else:
            pairs = zip(rows, batch.scales, strict=True)
            total = torch.stack([loss(row)[row["mask"]].sum() * scale for row, scale in pairs]).sum()
        gradients = torch.autograd.grad(total, list(named.values()))
        norm = math.sqrt(sum(float((g**2).sum()) for g in gradients))
        lr = optimizer.lr / (1 + number)
        with torch.no_grad():
            for (name, p), g in zip(named.items(), gradients, strict=True):
                g = g * min(1.0, max_norm / (norm + 1e-6))
                first[name] = b1 * first[name] + (1 - b1) * g
                second[name] = b2 * second[name] + (1 - b2) * g**2
                m, v = first[name] / (1 - b1 ** (made + 1)), second[name] / (1 - b2 ** (made + 1))
                p.sub_(lr * optimizer.weight_decay * p)
                p.sub_(lr * m / (v.sqrt() + optimizer.eps))
        norms.append(norm)
        losses.append(float(total.detach()))
        made += 1
        if number + 1 == reset_after:
            made = 0
            for moments in (*first.values(), *second.values()):
                moments.zero_()
            frozen = copy.deepcopy(model)
    return Reference({n: p.detach().numpy() for n, p in named.items()}, before, norms, losses)


def train_critic(path: Path, batches: Sequence[TrainingBatch]) -> Reference:
    """The same for a value model, by PyTorch's own AdamW."""
    body = AutoModel.from_pretrained(path, dtype=torch.float32).double()
    head = torch.nn.Linear(body.config.hidden_size, 1).double()
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    named = {f"model.{name}": p for name, p in body.named_parameters()}
    named |= {f"head.{name}": p for name, p in head.named_parameters()}
    before = {name: p.detach().numpy().copy() for name, p in named.items()}
    o = OPTIMIZER
    adamw = torch.optim.AdamW(
        named.values(), lr=o.lr, betas=(o.beta1, o.beta2), eps=o.eps, weight_decay=o.weight_decay
    )

    def values(tokens: np.ndarray) -> torch.Tensor:
        row = torch.from_numpy(tokens.astype(np.int64))[None]
        return torch.cat([torch.zeros(1).double(), head(body(input_ids=row).last_hidden_state[0, :-1])[:, 0]])

    norms, losses = [], []
    for number, batch in enumerate(batches):
        old = [values(tokens).detach() for tokens in batch.tokens]
        adamw.zero_grad()
        loss = torch.zeros(()).double()
        for i, tokens in enumerate(batch.tokens):
            mask, goal = torch.from_numpy(batch.mask[i]), torch.from_numpy(batch.columns["returns"][i])
            now = values(tokens)
            near = torch.minimum(torch.maximum(now, old[i] - 0.05), old[i] + 0.05)
            worse = torch.maximum((now - goal) ** 2, (near - goal) ** 2)[mask]
            loss = loss + batch.scales[i] * worse.sum() / 2
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(list(named.values()), 1.0)))
        losses.append(float(loss.detach()))
        for group in adamw.param_groups:
            group["lr"] = o.lr / (1 + number)
        adamw.step()
    return Reference({name: p.detach().numpy() for name, p in named.items()}, before, norms, losses)


def error(weights: dict[str, np.ndarray], reference: Reference) -> float:
    """How far the worst tensor is off, as a share of the way that it went from its start."""
    return max(
        float(np.linalg.norm(weights[name] - weight) / np.linalg.norm(weight - reference.before[name]))
        for name, weight in reference.weights.items()
    )


# ---------------------------------------------------------------- the runs


@dataclass
class Runs:
    """All results by world size, rank and case, and the references by case."""

    ranks: dict[int, list[dict[str, Result]]]
    references: dict[str, Reference]
    batches: list[TrainingBatch]
    folder: Path
    two_updates: dict[str, np.ndarray]  # the weights of "reset" when it was

    def __call__(self, world_size: int, name: str) -> Result:
        return self.ranks[world_size][0][name]


def learner_config(
    stage: int = 0,
    micro_batch_tokens: int = MIDDLE,
    max_grad_norm: float = 1.0,
    dtype: str = "float32",
    gradient_checkpointing: bool = False,
    packing: bool = False,
) -> LearnerConfig:
    return LearnerConfig(
        zero_stage=stage,
        micro_batch_tokens=micro_batch_tokens,
        max_grad_norm=max_grad_norm,
        dtype=dtype,
        gradient_checkpointing=gradient_checkpointing,
        packing=packing,
    )


def poisoned(batch: TrainingBatch) -> TrainingBatch:
    """With old log-probabilities in the rows without weight that make their ratios infinite."""
    old = [
        np.where(mask & (not live), np.float32(-1e4), logprobs)
        for logprobs, mask, live in zip(batch.columns["old_logprobs"], batch.mask, batch.live, strict=True)
    ]
    return with_old(batch, old)


def in_full(batch: TrainingBatch) -> TrainingBatch:
    """Every sequence live, scaled by sequence, drawn by a sampler a little off the old policy."""
    random = np.random.default_rng(11)
    pairs = zip(batch.columns["old_logprobs"], batch.mask, strict=True)
    sampler = [(old + m * random.normal(0, 0.05, len(m))).astype(np.float32) for old, m in pairs]
    lengths = [int(mask.sum()) for mask in batch.mask]
    return replace(
        batch,
        columns={**batch.columns, "sampler_logprobs": sampler},
        scales=scales(lengths, "sequence", 0),
        live=[True] * len(lengths),
    )


def full_likelihood(batches: Sequence[TrainingBatch]) -> list[TrainingBatch]:
    """For the supervised loss: every sequence live."""
    return [replace(batch, live=[True] * len(batch.live), keep=()) for batch in batches]


def with_returns(batch: TrainingBatch) -> TrainingBatch:
    """What a value model learns from."""
    random = np.random.default_rng(13)
    returns = [(m * random.normal(0, 1, len(m))).astype(np.float32) for m in batch.mask]
    return replace(batch, columns={"returns": returns}, live=[True] * len(batch.tokens), keep=())


def only(batch: TrainingBatch, rows: Sequence[int]) -> TrainingBatch:
    """With weights in these rows alone."""
    advantages = [a * np.float32(i in rows) for i, a in enumerate(batch.columns["advantages"])]
    return replace(
        batch,
        columns={**batch.columns, "advantages": advantages},
        live=[i in rows for i in range(len(batch.tokens))],
    )


ORDER = [6, 2, 0, 7, 3, 5, 1, 4]
MANY_TERMS = partial(
    objective.policy,
    loss=partial(gspo, clip_low=0.1, clip_high=0.1),
    kl=kl.k2,
    kl_coef=0.3,
    entropy_coef=0.1,
    correction=partial(importance.truncate, level="sequence", high=1.2),
)
VALUE = partial(objective.value, clip=0.05)
SAME_AS_PLAIN = ["tiny", "tiny-2", "huge", "huge-2", "permuted", "poisoned", "checkpointing"]
STAGES = [0, 1, 2, 3]
RESUMED = ["0", "2", "3", "2-bf16"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, learners: RunCases) -> Runs:
    folder = tmp_path_factory.mktemp("learner")
    tokenizer = character_tokenizer(ALPHABET)
    model, other, tied = (folder / name for name in ("model", "other", "tied"))
    make_scratch_model(model, tokenizer, MAX_LENGTH, 0, tie_word_embeddings=False, **SIZES)
    make_scratch_model(other, tokenizer, MAX_LENGTH, 1, tie_word_embeddings=False, **SIZES)
    make_scratch_model(tied, tokenizer, MAX_LENGTH, 2, tie_word_embeddings=True, **SIZES)
    batches = [near_policy(model, make_batch(seed, WEIGHTS, SHAPES)) for seed in (1, 2, 3)]
    near_tied = [near_policy(tied, batch) for batch in batches]
    silent = [batches[0], only(batches[1], []), batches[2]]
    lone = [only(batch, [5]) for batch in batches]

    def cases(world_size: int) -> list[Case]:
        config = learner_config
        result = [Case(f"plain-{stage}", model, batches, config(stage)) for stage in STAGES]
        result += [
            Case("tiny", model, batches, config(micro_batch_tokens=TINY)),
            Case("tiny-2", model, batches, config(2, micro_batch_tokens=TINY)),
            Case("huge", model, batches, config(micro_batch_tokens=HUGE)),
            Case("huge-2", model, batches, config(2, micro_batch_tokens=HUGE)),
            Case("permuted", model, [permuted(b, ORDER) for b in batches], config()),
            Case("poisoned", model, [poisoned(b) for b in batches], config()),
            Case("checkpointing", model, batches, config(gradient_checkpointing=True)),
            Case("nll", model, full_likelihood(batches), config(), loss=supervised),
        ]
        for stage in STAGES:
            result += [
                Case(f"unclipped-{stage}", model, batches, config(stage, max_grad_norm=100)),
                Case(f"silent-{stage}", model, silent, config(stage)),
                Case(f"lone-{stage}", model, lone, config(stage)),
                Case(f"tied-{stage}", tied, near_tied, config(stage)),
            ]
        result += [
            Case(
                f"bf16-{stage}",
                model,
                full_likelihood(batches),
                config(stage, dtype="bfloat16"),
                loss=supervised,
            )
            for stage in (1, 2, 3)
        ]
        full = [in_full(batch) for batch in batches]
        result += [
            Case(
                f"many-{n}",
                model,
                full,
                config(stage, micro_batch_tokens=b),
                loss=MANY_TERMS,
                reference=other,
            )
            for n, stage, b in (("0", 0, TINY), ("2", 2, MIDDLE), ("3", 3, HUGE))
        ]
        result += [
            Case(
                f"reset-{stage}", model, full, config(stage), loss=MANY_TERMS, reference=other, reset_after=2
            )
            for stage in STAGES
        ]
        learned = [with_returns(batch) for batch in batches]
        result += [
            Case(f"critic-{stage}", model, learned, config(stage), loss=VALUE, critic=True)
            for stage in STAGES
        ]
        bf16 = config(2, dtype="bfloat16")
        result += [Case("plain-2-bf16", model, batches, bf16)]
        for name in RESUMED:
            path = folder / f"{world_size}-{name}"
            layout = config(int(name[0]), dtype="bfloat16" if "bf16" in name else "float32")
            result += [
                Case(f"saved-{name}", model, batches[:2], layout, save=path),
                # from other weights, so that none can be left at where it began
                Case(f"resumed-{name}", other, batches[2:], layout, start=2, load=path),
            ]
        if world_size == 1:  # after the two ranks, whose checkpoints are there by now
            result += [
                Case("other ranks", model, batches, config(2), load=folder / "2-2"),
                Case("other stage", model, batches, config(3), load=folder / "1-2"),
                Case("nothing", model, batches, config(), load=folder),
            ]
        return result

    references = {
        "plain": train(model, batches),
        "unclipped": train(model, batches, max_norm=100),
        "nll": train(model, batches, loss=likelihood),
        "silent": train(model, silent),
        "lone": train(model, lone),
        "tied": train(tied, near_tied),
        "many": train(model, [in_full(b) for b in batches], loss=many_terms, reference=other),
        "reset": train(model, [in_full(b) for b in batches], loss=many_terms, reference=other, reset_after=2),
        "critic": train_critic(model, [with_returns(batch) for batch in batches]),
    }
    ranks = {size: learners(folder / f"ranks-{size}", cases(size), size) for size in (2, 1)}
    two = train(model, [in_full(b) for b in batches[:2]], loss=many_terms, reference=other).weights
    return Runs(ranks, references, batches, folder, two)


both_sizes = pytest.mark.parametrize("world_size", [1, 2])


@both_sizes
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("case", ["plain", "unclipped", "silent", "lone", "tied"])
def test_updates_are_those_of_a_plain_loop(runs: Runs, world_size: int, case: str, stage: int) -> None:
    result, reference = runs(world_size, f"{case}-{stage}"), runs.references[case]
    assert error(result.weights, reference) < 1e-5
    made = [m for m in result.metrics if not m["skipped"]]
    assert [m["grad_norm"] for m in made] == pytest.approx(reference.norms, rel=1e-4, abs=1e-9)
    assert [m["loss"] for m in made] == pytest.approx(reference.losses, rel=1e-4, abs=1e-9)


@both_sizes
@pytest.mark.parametrize("stage", STAGES)
def test_a_batch_with_nothing_to_learn_from_is_no_step(runs: Runs, world_size: int, stage: int) -> None:
    """Its weights are compared above with those of a loop that leaves the batch out."""
    silent = runs(world_size, f"silent-{stage}").metrics
    assert [m["skipped"] for m in silent] == [0, 1, 0]
    assert silent[1] == {"tokens": 0, "skipped": 1}
    lone = runs(world_size, f"lone-{stage}").metrics  # of two ranks one has a row, the other takes part
    assert [m["skipped"] for m in lone] == [0, 0, 0]


def test_the_references_differ_from_each_other(runs: Runs) -> None:
    """Clipping by norm, the ratio's clip and momentum alone must show, or the comparison above is empty."""
    plain = runs.references["plain"].weights
    for name in ("unclipped", "nll", "silent", "lone"):
        assert error(plain, runs.references[name]) > 0.05
    assert min(runs.references["plain"].norms) > 1.5
    assert max(runs.references["unclipped"].norms) < 100
    assert 0.05 < runs(1, "plain-0").metrics[0]["clip_fraction"] < 0.95


@both_sizes
@pytest.mark.parametrize("case", SAME_AS_PLAIN)
def test_updates_do_not_depend_on_how_the_work_is_cut(runs: Runs, world_size: int, case: str) -> None:
    assert error(runs(world_size, case).weights, runs.references["plain"]) < 1e-5


@both_sizes
def test_the_supervised_loss(runs: Runs, world_size: int) -> None:
    result, reference = runs(world_size, "nll"), runs.references["nll"]
    assert error(result.weights, reference) < 1e-5


@both_sizes
@pytest.mark.parametrize("case", ["many-0", "many-2", "many-3", *(f"reset-{stage}" for stage in STAGES)])
def test_an_objective_of_many_terms(runs: Runs, world_size: int, case: str) -> None:
    """Also: micro-batches, ranks and ZeRO change nothing of what is computed per sequence."""
    result, reference = runs(world_size, case), runs.references[case.partition("-")[0]]
    assert error(result.weights, reference) < 1e-5
    assert [m["loss"] for m in result.metrics] == pytest.approx(reference.losses, rel=1e-4)
    assert [m["grad_norm"] for m in result.metrics] == pytest.approx(reference.norms, rel=1e-4)
    for name in ("clip_fraction", "corrected"):
        assert any(0 < metrics[name] < 1 for metrics in result.metrics), name


def test_a_reset_changes_what_follows(runs: Runs) -> None:
    assert error(runs.references["reset"].weights, runs.references["many"]) > 0.05


@both_sizes
@pytest.mark.parametrize("stage", STAGES)
def test_the_reference_stays_until_it_is_reset(runs: Runs, world_size: int, stage: int) -> None:
    """To the policy after two of three updates; before, it is the other model."""
    batch = runs.batches[0]
    first, second = load(runs.folder / "other"), load(runs.folder / "model")
    for name, weight in runs.two_updates.items():
        second.get_parameter(name).data = torch.from_numpy(weight)
    cases = [(f"reset-{stage}", second)] + ([(f"many-{stage}", first)] if stage != 1 else [])
    for case, model in cases:
        for i, computed in enumerate(runs(world_size, case).reference):
            with torch.no_grad():
                expected = logprobs(model, batch.tokens[i], batch.temperatures[i]).numpy()
            np.testing.assert_allclose(computed, np.where(batch.mask[i], expected, 0), atol=2e-5)


@both_sizes
@pytest.mark.parametrize("stage", STAGES)
def test_a_value_model_learns_with_the_same_learner(runs: Runs, world_size: int, stage: int) -> None:
    result, reference = runs(world_size, f"critic-{stage}"), runs.references["critic"]
    assert result.weights.keys() == reference.weights.keys()
    # its body moves little in three updates, so the rounding of its weights is a larger share of the way
    assert error(result.weights, reference) < 3e-5
    assert [m["loss"] for m in result.metrics] == pytest.approx(reference.losses, rel=1e-5)
    assert not any(values.any() for values in result.logprobs)  # its head begins with nothing


@both_sizes
@pytest.mark.parametrize("case", ["plain-0", "plain-3", "tiny", "huge-2"])
def test_the_signal_of_the_groups(runs: Runs, world_size: int, case: str) -> None:
    """Gradients by a bias on the last hidden states, sequence by sequence."""
    batch, model = runs.batches[0], load(runs.folder / "model")
    pulls = torch.zeros(4, SIZES["hidden_size"], dtype=torch.float64)
    for i in (row for row, weight in enumerate(WEIGHTS) if weight):
        row = {name: torch.from_numpy(column[i]).double() for name, column in batch.columns.items()}
        tokens = torch.from_numpy(batch.tokens[i].astype(np.int64))
        bias = torch.zeros(pulls.shape[1], dtype=torch.float64, requires_grad=True)
        hidden = model.model(input_ids=tokens[None]).last_hidden_state[0, :-1] + bias
        logits = model.lm_head(hidden) / np.float64(np.float32(batch.temperatures[i]))
        chosen = torch.log_softmax(logits, -1).gather(1, tokens[1:, None])[:, 0]
        row["new"] = torch.cat([torch.zeros(1).double(), chosen])
        loss = ppo(row)[torch.from_numpy(batch.mask[i])].sum()
        pulls[batch.groups[i]] += torch.autograd.grad(loss, bias)[0]
    mean = pulls.mean(0)
    noise = sum(float(((pull - mean) ** 2).sum()) for pull in pulls) / 3 / 4
    expected = float((mean**2).sum()) / noise
    assert runs(world_size, case).metrics[0]["gradient_snr"] == pytest.approx(expected, rel=1e-3)


def test_all_ranks_hold_the_same(runs: Runs) -> None:
    first, second = runs.ranks[2]
    for name, result in first.items():
        for weight, other in zip(result.weights.values(), second[name].weights.values(), strict=True):
            np.testing.assert_array_equal(weight, other)
        assert result.metrics == second[name].metrics


@both_sizes
@pytest.mark.parametrize("case", ["plain-0", "plain-3", "tiny", "huge-2"])
def test_metrics_are_means_over_the_tokens_that_were_trained_on(
    runs: Runs, world_size: int, case: str
) -> None:
    batch, model = runs.batches[0], load(runs.folder / "model")
    entropies: list[float] = []
    clipped: list[bool] = []
    parts: list[np.ndarray] = []
    total = 0
    for i in (row for row, weight in enumerate(WEIGHTS) if weight):
        mask = batch.mask[i]
        row = torch.from_numpy(batch.tokens[i].astype(np.int64))[None]
        with torch.no_grad():
            logits = model(input_ids=row).logits[0, :-1] / np.float64(np.float32(batch.temperatures[i]))
            new = logprobs(model, batch.tokens[i], batch.temperatures[i]).numpy()
        p = torch.softmax(logits, -1)
        entropies += (-p * p.log()).sum(-1).numpy()[mask[1:]].tolist()
        ratio = np.exp(new - batch.columns["old_logprobs"][i])[mask]
        parts.append(ratio)
        clipped += np.where(batch.columns["advantages"][i][mask] > 0, ratio > 1.3, ratio < 0.8).tolist()
        total += len(mask)
    ratios = np.concatenate(parts)
    metrics = runs(world_size, case).metrics[0]
    assert metrics["tokens"] == len(ratios)
    assert metrics["ratio"] == pytest.approx(np.mean(ratios), rel=1e-4)
    assert metrics["ratio_squared"] == pytest.approx(np.mean(ratios**2), rel=1e-4)
    assert metrics["sampler_kl"] == pytest.approx(np.mean(ratios - 1 - np.log(ratios)), rel=1e-3)
    assert metrics["logprob_gap"] == pytest.approx(np.abs(np.log(ratios)).mean(), rel=1e-4)
    assert metrics["clip_fraction"] == pytest.approx(np.mean(clipped), abs=1e-6)
    assert metrics["entropy"] == pytest.approx(np.mean(entropies), rel=1e-5)
    assert metrics["lr"] == OPTIMIZER.lr
    live = sorted((sum(SHAPES[i]) for i, weight in enumerate(WEIGHTS) if weight), reverse=True)
    if case == "tiny":
        assert metrics["padding"] == 0
    if case == "huge-2":  # one micro-batch, whose second rank has nothing
        assert metrics["padding"] == pytest.approx(1 - total / (len(live) * live[0]))


@both_sizes
@pytest.mark.parametrize("case", ["plain-0", "plain-2", "plain-3", "tiny", "huge"])
def test_logprobs_are_those_of_transformers(runs: Runs, world_size: int, case: str) -> None:
    model, batch = load(runs.folder / "model"), runs.batches[0]
    for ranks in runs.ranks[world_size]:
        for i, computed in enumerate(ranks[case].logprobs):
            with torch.no_grad():
                expected = logprobs(model, batch.tokens[i], batch.temperatures[i]).numpy()
            np.testing.assert_allclose(computed, np.where(batch.mask[i], expected, 0), atol=1e-5)
            assert computed.dtype == np.float32


@both_sizes
@pytest.mark.parametrize("case", ["plain-0", "plain-2", "plain-3", "tiny", "huge"])
def test_an_update_keeps_what_it_computed_of_each_token(runs: Runs, world_size: int, case: str) -> None:
    model, batch = load(runs.folder / "model"), runs.batches[0]
    for ranks in runs.ranks[world_size]:
        found = ranks[case]
        assert found.kept.keys() == {"logprobs", "entropy"}
        for i, (mask, live) in enumerate(zip(batch.mask, batch.live, strict=True)):
            trained = mask & live
            # those before the update, while the weights have moved on since
            np.testing.assert_allclose(
                found.kept["logprobs"][i], np.where(trained, found.logprobs[i], 0), atol=1e-5
            )
            with torch.no_grad():
                entropy = outputs(model, batch.tokens[i], batch.temperatures[i])[1].numpy()
            np.testing.assert_allclose(found.kept["entropy"][i], np.where(trained, entropy, 0), atol=1e-5)


@both_sizes
@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_learner_goes_on_bit_for_bit(runs: Runs, world_size: int, name: str) -> None:
    whole, resumed = runs(world_size, f"plain-{name}"), runs(world_size, f"resumed-{name}")
    assert resumed.error == ""
    for key, weight in whole.weights.items():
        np.testing.assert_array_equal(weight, resumed.weights[key], err_msg=key)
    assert resumed.metrics == whole.metrics[2:]
    # the checkpoint lies between the second and the third update
    saved = runs(world_size, f"saved-{name}")
    assert saved.checksums != whole.checksums == resumed.checksums


@both_sizes
@pytest.mark.parametrize("name", RESUMED)
def test_a_checkpoint_is_a_model_folder(runs: Runs, world_size: int, name: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(runs.folder / f"{world_size}-{name}" / "model")
    weights = runs(world_size, f"saved-{name}").weights
    for key, weight in model.named_parameters():
        np.testing.assert_array_equal(weight.detach().float().numpy(), weights.pop(key), err_msg=key)
    assert not weights


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("other ranks", ["learner.workers=2", "learner.workers=1", "2-2/model"]),
        ("other stage", ["learner.zero_stage=2", "learner.zero_stage=3", "1-2/model"]),
        ("nothing", ["no complete checkpoint"]),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_in_words(runs: Runs, case: str, words: list[str]) -> None:
    for word in words:
        assert word in runs(1, case).error


@both_sizes
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_bfloat16_follows_float32_from_afar(runs: Runs, world_size: int, stage: int) -> None:
    """Of a loss without a clip, where rounding would decide which tokens count."""
    result, reference = runs(world_size, f"bf16-{stage}"), runs.references["nll"]
    assert [m["loss"] for m in result.metrics] == pytest.approx(reference.losses, rel=0.02)
    assert [m["grad_norm"] for m in result.metrics] == pytest.approx(reference.norms, rel=0.05)


@pytest.mark.parametrize("stage", STAGES)
def test_a_tied_output_layer_is_named_twice(runs: Runs, stage: int) -> None:
    result = runs(2, f"tied-{stage}")
    np.testing.assert_array_equal(
        result.weights["lm_head.weight"], result.weights["model.embed_tokens.weight"]
    )
    assert result.checksums["lm_head.weight"] == result.checksums["model.embed_tokens.weight"]
    for each in (result, runs(2, f"plain-{stage}")):
        assert [(name, weight.shape) for name, weight in each.weights.items()] == each.shapes
        assert list(each.checksums) == list(each.weights)
        assert "lm_head.weight" in each.weights


# ---------------------------------------------------------------- models


def test_scratch_models_follow_from_their_seed(tmp_path: Path) -> None:
    def weights(name: str, seed: int) -> bytes:
        make_scratch_model(tmp_path / name, character_tokenizer(ALPHABET), MAX_LENGTH, seed, **SIZES)
        return (tmp_path / name / "model.safetensors").read_bytes()

    torch.manual_seed(5)
    first = weights("a", 3)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), drawn)  # others' randomness is left alone
    assert weights("b", 3) == first
    assert weights("c", 4) != first


def test_a_model_that_cannot_serve_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.path=.*nowhere cannot be loaded"):
        load_model(str(tmp_path / "nowhere"), "float32", MAX_LENGTH)
    make_scratch_model(tmp_path, character_tokenizer(ALPHABET), MAX_LENGTH, 0, **SIZES)
    with pytest.raises(ConfigError, match="context of 64 tokens"):
        load_model(str(tmp_path), "float32", MAX_LENGTH + 1)
