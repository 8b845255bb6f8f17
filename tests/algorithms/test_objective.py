"""What the learner minimizes: the terms of the policy's objective, exact expectations, the value loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rlvr.algorithms import importance
from rlvr.algorithms.entropy import active_coefficient, next_coefficient
from rlvr.algorithms.kl import ESTIMATORS, k1, k2, k3
from rlvr.algorithms.losses import gspo, ppo_clip, reinforce
from rlvr.algorithms.objective import policy, supervised, value

pytestmark = pytest.mark.usefixtures("one_thread")


# ---------------------------------------------------------------- exact expectations over a categorical


def distribution(seed: int, size: int = 5) -> Tensor:
    """Logits of a small policy."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def expected_gradient(logits: Tensor, advantages: Tensor | None = None, **options: object) -> Tensor:
    """Of `policy`, over all answers of one token, each with its probability under the policy itself."""
    size = len(logits)
    parameter = logits.clone().requires_grad_()
    rows = parameter.expand(size, 1, size)
    logprobs = parameter.log_softmax(0)[:, None]
    columns = {
        "sampler_logprobs": logprobs.detach(),
        "advantages": torch.zeros(size, 1) if advantages is None else advantages[:, None],
        "reference_logprobs": distribution(99, size).log_softmax(0)[:, None],
    }
    mask = torch.ones(size, 1, dtype=torch.bool)
    per_token, _ = policy({"logprobs": logprobs, "logits": rows}, columns, mask, loss=reinforce, **options)
    (gradient,) = torch.autograd.grad((logprobs.detach().exp() * per_token).sum(), parameter)
    return gradient


def gradient_of(function: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    parameter = logits.clone().requires_grad_()
    return torch.autograd.grad(function(parameter.log_softmax(0)), parameter)[0]


def kl(left: Tensor, right: Tensor) -> Tensor:
    return (left.exp() * (left - right)).sum()


@pytest.mark.parametrize("seed", range(4))
def test_the_kl_term_has_the_gradient_that_its_estimator_claims(seed: int) -> None:
    logits = distribution(seed)
    reference = distribution(99).log_softmax(0)
    reverse = gradient_of(lambda logprobs: kl(logprobs, reference), logits)
    forward = gradient_of(lambda logprobs: kl(reference, logprobs), logits)
    assert (reverse - forward).abs().max() > 0.01  # they are not the same thing
    for estimator, expected in ((k1, 0 * reverse), (k2, reverse), (k3, forward)):
        gradient = expected_gradient(logits, kl=estimator, kl_coef=0.5)
        torch.testing.assert_close(gradient, 0.5 * expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_k1_and_k3_are_unbiased_and_k3_is_never_negative(seed: int) -> None:
    logprobs, reference = distribution(seed).log_softmax(0), distribution(99).log_softmax(0)
    log_ratio = logprobs - reference
    for estimator in (k1, k3):
        values = estimator(log_ratio)
        torch.testing.assert_close((logprobs.exp() * values).sum(), kl(logprobs, reference))
    assert ((k3(log_ratio) >= 0) & (k2(log_ratio) >= 0)).all()
    assert (logprobs.exp() * k2(log_ratio)).sum() != pytest.approx(kl(logprobs, reference).item(), rel=1e-3)
    half = torch.tensor(0.5).double()
    named = {"k1": 0.5, "k2": 0.125, "k3": math.exp(-0.5) - 1 + 0.5}
    assert {name: f(half).item() for name, f in ESTIMATORS.items()} == pytest.approx(named, rel=1e-12)


def test_k3_is_exact_where_policies_are_close() -> None:
    assert k3(torch.tensor(1e-7, dtype=torch.float64)).item() == pytest.approx(5e-15, rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_entropy_bonus_has_the_gradient_of_the_entropy(seed: int) -> None:
    logits = distribution(seed)
    logprobs = logits.log_softmax(0)
    entropy = -(logprobs.exp() * logprobs).sum()
    analytic = -logprobs.exp() * (logprobs + entropy)
    torch.testing.assert_close(expected_gradient(logits, entropy_coef=0.3), -0.3 * analytic)


def test_the_expected_gradient_of_the_whole_is_that_of_reward_kl_and_entropy() -> None:
    logits, rewards = distribution(1), torch.tensor([1.0, 0, 0, 2, -1], dtype=torch.float64)
    reference = distribution(99).log_softmax(0)

    def negative_utility(logprobs: Tensor) -> Tensor:
        entropy = -(logprobs.exp() * logprobs).sum()
        return -(logprobs.exp() * rewards).sum() + 0.2 * kl(logprobs, reference) - 0.1 * entropy

    gradient = expected_gradient(logits, rewards, kl=k2, kl_coef=0.2, entropy_coef=0.1)
    torch.testing.assert_close(gradient, gradient_of(negative_utility, logits))


# ---------------------------------------------------------------- every term, token by token


def example(seed: int, rows: int = 3, width: int = 5, vocabulary: int = 4) -> tuple[dict, dict, Tensor]:
    """outputs, columns, mask; every row has a token."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    logits = (2 * draw(rows, width, vocabulary)).requires_grad_()
    drawn = torch.randint(vocabulary, (rows, width, 1), generator=generator)
    logprobs = logits.log_softmax(-1).gather(-1, drawn).squeeze(-1)
    names = ("sampler_logprobs", "old_logprobs", "reference_logprobs")
    columns = {name: logprobs.detach() + 0.7 * draw(rows, width) for name in names}
    columns["advantages"] = draw(rows, width)
    mask = draw(rows, width) > -0.3
    mask[:, 0] = True
    return {"logprobs": logprobs, "logits": logits}, columns, mask


def weight_of(ratios: list[float], place: int, kind: str, level: str) -> tuple[float, bool]:
    """The correction of one token of a sequence, and whether it is another than the ratio."""
    ratio = ratios[place] if level == "token" else math.prod(ratios)
    if kind == "truncate":
        return min(ratio, 1.5), ratio > 1.5
    return (ratio, False) if 0.6 <= ratio <= 1.5 else (0.0, True)


CORRECTIONS = {
    "truncate": partial(importance.truncate, high=1.5),
    "mask": partial(importance.band, low=0.6, high=1.5),
}


@settings(max_examples=60)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["k1", "k2", "k3", None]),
    st.sampled_from([0.0, 0.25]),
    st.sampled_from(["truncate", "mask", None]),
    st.sampled_from(["token", "sequence"]),
)
def test_the_objective_is_the_corrected_loss_and_its_further_terms(
    seed: int, estimator: str | None, entropy_coef: float, kind: str | None, level: str
) -> None:
    outputs, columns, mask = example(seed)
    per_token, diagnostics = policy(
        outputs,
        columns,
        mask,
        loss=partial(ppo_clip, clip_low=0.2, clip_high=0.3),
        kl=ESTIMATORS[estimator] if estimator else None,
        kl_coef=0.5,
        entropy_coef=entropy_coef,
        correction=partial(CORRECTIONS[kind], level=level) if kind else None,
    )
    for row in range(len(mask)):
        places = mask[row].nonzero().flatten().tolist()
        new, old, sampler, reference, advantages = (
            [tensor[row, t].item() for t in places]
            for tensor in (
                outputs["logprobs"],
                columns["old_logprobs"],
                columns["sampler_logprobs"],
                columns["reference_logprobs"],
                columns["advantages"],
            )
        )
        ratios = [math.exp(o - s) for o, s in zip(old, sampler, strict=True)]
        for i, t in enumerate(places):
            ratio = math.exp(new[i] - old[i])
            bounded = min(max(ratio, 0.8), 1.3)
            expected = -min(ratio * advantages[i], bounded * advantages[i])
            if kind:
                weight, corrected = weight_of(ratios, i, kind, level)
                expected *= weight
                assert diagnostics["correction"][row, t].item() == pytest.approx(weight, rel=1e-9)
                assert diagnostics["corrected"][row, t].item() == corrected
            away = new[i] - reference[i]
            k3_away = math.exp(-away) - 1 + away
            if estimator:
                expected += 0.5 * {"k1": away, "k2": away**2 / 2, "k3": k3_away}[estimator]
            probabilities = outputs["logits"][row, t].softmax(0).tolist()
            entropy = -math.fsum(p * math.log(p) for p in probabilities)
            expected -= entropy_coef * entropy
            gap = new[i] - sampler[i]
            shown = {
                "entropy": entropy,
                "logprob_gap": abs(gap),
                "sampler_kl": math.exp(gap) - 1 - gap,
                "reference_kl": k3_away,
                "ratio": ratio,
            }
            assert per_token[row, t].item() == pytest.approx(expected, rel=1e-9, abs=1e-10)
            for name, number in shown.items():
                assert diagnostics[name][row, t].item() == pytest.approx(number, rel=1e-9, abs=1e-10)
    assert ("correction" in diagnostics) == ("corrected" in diagnostics) == (kind is not None)
    assert not any(shown.requires_grad for shown in diagnostics.values())


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("kind", ["truncate", "mask"])
def test_a_correction_weighs_the_gradient_and_has_none_itself(kind: str, level: str) -> None:
    outputs, columns, mask = example(3, rows=12)
    del columns["old_logprobs"]  # then the weight is made of the policy's own log-probabilities
    plain, _ = policy(outputs, columns, mask, loss=reinforce)
    bound = partial(CORRECTIONS[kind], level=level)
    weighted, shown = policy(outputs, columns, mask, loss=reinforce, correction=bound)
    logprobs = outputs["logprobs"]
    (before,) = torch.autograd.grad(plain[mask].sum(), logprobs, retain_graph=True)
    (after,) = torch.autograd.grad(weighted[mask].sum(), logprobs)
    weights = shown["correction"]
    assert len(set(weights[mask].tolist())) > 2
    torch.testing.assert_close(after[mask], (before * weights)[mask])
    if level == "sequence":
        for row in range(len(mask)):
            assert len(set(weights[row][mask[row]].tolist())) == 1


def test_without_an_old_policy_the_ratio_is_one() -> None:
    outputs, columns, mask = example(1)
    del columns["old_logprobs"]
    per_token, shown = policy(outputs, columns, mask, loss=ppo_clip)
    assert (shown["ratio"] == 1).all()
    (gradient,) = torch.autograd.grad(per_token[mask].sum(), outputs["logprobs"])
    torch.testing.assert_close(gradient, -columns["advantages"] * mask)
    # the gap is that to the sampler all the same
    gap = (outputs["logprobs"] - columns["sampler_logprobs"]).abs()
    torch.testing.assert_close(shown["logprob_gap"][mask], gap.detach()[mask])


def test_a_reference_without_a_kl_term_is_only_measured() -> None:
    outputs, columns, mask = example(1)
    with_reference, shown = policy(outputs, columns, mask, loss=ppo_clip)
    assert "reference_kl" in shown
    del columns["reference_logprobs"]
    without, shown = policy(outputs, columns, mask, loss=ppo_clip)
    assert "reference_kl" not in shown
    assert torch.equal(with_reference, without)


@pytest.mark.parametrize("garbage", [1e30, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("loss", [ppo_clip, gspo])
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_what_columns_hold_outside_the_mask_changes_nothing(
    garbage: float, loss: Callable, level: str
) -> None:
    def run(fill: float) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        outputs, columns, mask = example(2)
        columns = {name: column.masked_fill(~mask, fill) for name, column in columns.items()}
        bound = partial(importance.truncate, level=level, high=1.5)
        per_token, shown = policy(
            outputs, columns, mask, loss=loss, kl=k3, kl_coef=0.5, entropy_coef=0.1, correction=bound
        )
        kept = per_token.masked_fill(~mask, 0).sum()
        return kept, torch.autograd.grad(kept, outputs["logits"])[0], {n: s * mask for n, s in shown.items()}

    for computed, expected in zip(run(garbage), run(0.0), strict=True):
        torch.testing.assert_close(computed, expected, rtol=0, atol=0)


def test_the_entropy_costs_no_graph_where_it_has_no_weight() -> None:
    outputs, columns, mask = example(2)
    columns["advantages"] *= 0
    per_token, _ = policy(outputs, columns, mask, loss=reinforce)
    assert not torch.autograd.grad(per_token.sum(), outputs["logits"])[0].any()


def test_supervised_is_the_negative_log_likelihood() -> None:
    logprobs = torch.tensor([[-0.5, -2.0]], requires_grad=True)
    loss, diagnostics = supervised({"logprobs": logprobs}, {}, torch.ones(1, 2).bool())
    assert loss.tolist() == [[0.5, 2.0]]
    assert torch.autograd.grad(loss.sum(), logprobs)[0].tolist() == [[-1, -1]]
    assert diagnostics == {}


# ---------------------------------------------------------------- the value model

NUMBER = st.floats(-3, 3)


@given(st.lists(st.tuples(NUMBER, NUMBER, NUMBER), min_size=1, max_size=8), st.none() | st.floats(0.05, 1.0))
def test_the_value_loss_and_its_gradient(
    tokens: list[tuple[float, float, float]], clip: float | None
) -> None:
    new, old, returns = (torch.tensor([c], dtype=torch.float64) for c in zip(*tokens, strict=True))
    new.requires_grad_()
    mask = torch.ones(1, len(tokens)).bool()
    loss, shown = value({"values": new}, {"values": old, "returns": returns}, mask, clip=clip)
    (gradient,) = torch.autograd.grad(loss.sum(), new)
    for t, (v, before, target) in enumerate(tokens):
        expected, slope = (v - target) ** 2 / 2, v - target
        moved_too_far = clip is not None and abs(v - before) > clip
        if moved_too_far:
            held = before + math.copysign(clip, v - before)
            if (held - target) ** 2 / 2 > expected:
                expected, slope = (held - target) ** 2 / 2, 0.0
        assert loss[0, t].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert gradient[0, t].item() == pytest.approx(slope, rel=1e-9, abs=1e-9)
        assert shown["value"][0, t].item() == v
        assert shown["value_error"][0, t].item() == pytest.approx((v - target) ** 2, rel=1e-9, abs=1e-12)
        assert shown["returns"][0, t].item() == target
        assert shown["returns_squared"][0, t].item() == pytest.approx(target**2, rel=1e-9, abs=1e-300)
    assert not any(column.requires_grad for column in shown.values())


@pytest.mark.parametrize("garbage", [math.inf, math.nan])
def test_what_the_value_columns_hold_outside_the_mask_changes_nothing(garbage: float) -> None:
    values = torch.tensor([[0.5, 1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True, False, True]])
    column = torch.tensor([[0.1, garbage, 4.0]], dtype=torch.float64)
    loss, shown = value({"values": values}, {"values": column, "returns": column}, mask, clip=0.2)
    (gradient,) = torch.autograd.grad(loss.masked_fill(~mask, 0).sum(), values)
    torch.testing.assert_close(gradient, torch.tensor([[0.4, 0.0, -2.0]], dtype=torch.float64))
    assert all((column * mask).isfinite().all() for column in shown.values())


# ---------------------------------------------------------------- the weight of the entropy bonus


def test_the_entropy_weight_follows_its_target() -> None:
    assert next_coefficient(0.01, entropy=0.1, target=0.2, delta=0.005) == pytest.approx(0.015)
    assert next_coefficient(0.01, entropy=0.3, target=0.2, delta=0.005) == pytest.approx(0.005)
    assert next_coefficient(0.002, entropy=0.3, target=0.2, delta=0.005) == 0
    assert active_coefficient(0.01, entropy=0.2, target=0.2) == 0.01
    assert active_coefficient(0.01, entropy=0.21, target=0.2) == 0
