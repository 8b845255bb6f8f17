"""What a step shows in numbers, and the signal-to-noise ratio of its gradient."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from groups import group, rollout, verdict

from rlvr.algorithms.config import AlgorithmConfig
from rlvr.learner.modules import signal_to_noise
from rlvr.stages.batches import judged, rollout_batch, token_advantages, without_truncated
from rlvr.stages.collector import StepGroups
from rlvr.stages.config import RlConfig
from rlvr.stages.rl import ReinforcementLearning
from rlvr.stages.sampling import chunk_metrics
from rlvr.stages.step_metrics import idle_warning, step_metrics
from rlvr.types import FinishReason, Group, Problem, Status, TrainingBatch, Verdict


def batch_of(groups: list[Group]) -> TrainingBatch:
    rows = judged(groups)
    batch = rollout_batch([r for _, r, _ in rows], [place for place, _, _ in rows])
    batch.columns["advantages"] = token_advantages(groups, lambda rewards: rewards - np.nanmean(rewards))
    return batch


def metrics_of(groups: list[Group], **options: object) -> dict[str, float]:
    drawn = StepGroups(groups=groups, kept=groups, rounds=1)
    given = {"batch": batch_of(groups), "updates": [], "step": 5, "gates": {}}
    return step_metrics(drawn, **(given | options))


def test_rewards_are_means_over_the_verdicts_that_were_reached() -> None:
    groups = [group([1.0, None, -1.0, -1.0]), group([1.0, -1.0], "q")]
    groups[1].verdicts[1] = Verdict(Status.UNPARSEABLE, -0.5, "")
    metrics = metrics_of(groups)
    assert metrics["train/reward"] == pytest.approx((1 - 1 - 1 + 1 - 0.5) / 5)
    assert metrics["train/accuracy"] == pytest.approx(2 / 5)
    counts = {status: metrics[f"verdicts/{status}"] for status in Status}
    assert counts == {"correct": 2, "wrong": 2, "unparseable": 1, "timeout": 1, "crashed": 0}


def test_each_reward_function_and_each_gate_has_a_number() -> None:
    one = group([0.0, 0.0, 0.0])
    parts = [{"math": 1.0, "form": 1.0}, {"math": 0.0, "form": 0.0}, {"math": 0.5}]
    one.verdicts = [Verdict(Status.WRONG, 0.0, "", parts=values) for values in parts]
    metrics = metrics_of([one], gates={"form": 0.5, "silent": 1.0})
    assert metrics["reward/math"] == 0.5
    assert metrics["reward/form"] == 0.5  # the third had no opinion
    assert metrics["gates/form"] == 0.5
    assert "gates/silent" not in metrics


def test_groups_are_counted_as_drawn_and_as_kept() -> None:
    groups = [group([1.0, -1.0], lengths=[2, 6]), group([1.0, 1.0], "q", lengths=[4, 4]), group([None], "r")]
    drawn = StepGroups(groups=groups, kept=groups[:1], dropped={"a": ["1", "2"], "b": []}, rounds=3)
    metrics = step_metrics(drawn, batch_of(groups[:1]), [], 5, {})
    shown = {name: value for name, value in metrics.items() if name.startswith(("groups/", "filters/"))}
    assert shown == {
        "groups/no_signal": pytest.approx(2 / 3),
        "groups/length_variation": pytest.approx(0.5 / 3),
        "groups/drawn": 3,
        "groups/kept": 1,
        "groups/rounds": 3,
        "filters/a": pytest.approx(2 / 3),
        "filters/b": 0,
    }
    assert metrics["rollouts/trained"] == 2


def test_rollouts_without_an_advantage_or_a_token_to_learn_from_are_not_trained_on() -> None:
    groups = [group([1.0, -1.0, 0.0])]  # the last is its group's mean
    groups[0].rollouts[0].finish_reason = FinishReason.LENGTH
    assert metrics_of(groups)["rollouts/trained"] == 2
    masks = without_truncated([rollout for each in groups for rollout in each.rollouts])
    assert metrics_of(groups, batch=replace(batch_of(groups), mask=masks))["rollouts/trained"] == 1


def test_lengths_are_told_by_what_the_verdict_was() -> None:
    one = Group(
        Problem("p", "", ""),
        [rollout(i, drawn=length, temperature=0.7, version=4 - i) for i, length in enumerate((2, 4, 6, 12))],
        [verdict(reward) for reward in (1.0, 1.0, -1.0, None)],
    )
    one.rollouts[3].finish_reason = FinishReason.LENGTH
    metrics = metrics_of([one])
    shown = {name: value for name, value in metrics.items() if name.startswith(("rollouts/", "tokens/"))}
    assert shown == {
        "rollouts/trained": 3,
        "rollouts/drawn": 4,
        "rollouts/length": 6,
        "rollouts/length_max": 12,
        "rollouts/length_correct": 3,
        "rollouts/length_incorrect": 6,  # nobody knows of the last
        "rollouts/truncated": 0.25,
        "rollouts/temperature": 0.7,
        "rollouts/staleness": 3,  # step 5 trains version 4, the oldest token is of version 1
        "tokens/sampled": 24,
    }
    assert "rollouts/length_incorrect" not in metrics_of([group([1.0, None])])
    assert "rollouts/length_correct" not in metrics_of([group([-1.0, None])])


def test_a_step_without_verdicts_has_no_reward() -> None:
    metrics = step_metrics(StepGroups(groups=[group([None])], rounds=1), batch_of([]), [], 5, {})
    assert math.isnan(metrics["train/reward"])
    assert math.isnan(metrics["train/accuracy"])
    assert metrics["rollouts/trained"] == 0


def test_numbers_of_several_updates_are_means_and_tokens_a_sum() -> None:
    updates = [
        {"learner/loss": 1.0, "learner/tokens": 10, "learner/ratio": 1.5, "learner/ratio_squared": 4.0},
        {"learner/loss": 3.0, "learner/tokens": 20, "learner/ratio": 0.5, "learner/ratio_squared": 1.0},
        {"learner/loss": 2.0, "learner/tokens": 0},  # had nothing to learn from
    ]
    metrics = metrics_of([group([1.0, -1.0])], updates=updates)
    learned = {name: value for name, value in metrics.items() if name.startswith(("learner/", "train/loss"))}
    assert learned == {
        "train/loss": 2.0,
        "learner/tokens": 30,
        "learner/ratio": 1.0,
        "learner/ess": pytest.approx(1 / 2.5),
    }


def test_the_effective_sample_size_is_a_share_of_equal_weights() -> None:
    ratios = np.array([1.0, 1.0, 0.0, 0.0])
    update = {"learner/ratio": ratios.mean(), "learner/ratio_squared": (ratios**2).mean()}
    assert metrics_of([group([1.0, -1.0])], updates=[update])["learner/ess"] == 0.5


def test_the_explained_variance_of_the_value_model() -> None:
    returns, values = np.array([1.0, -1.0, 1.0, -1.0]), np.array([0.5, -0.5, 0.5, -0.5])
    update = {
        "critic/returns": returns.mean(),
        "critic/returns_squared": (returns**2).mean(),
        "critic/value_error": ((returns - values) ** 2).mean(),
    }
    metrics = metrics_of([group([1.0, -1.0])], updates=[update])
    assert metrics["critic/explained_variance"] == pytest.approx(0.75)
    assert "critic/returns_squared" not in metrics
    alike = {"critic/returns": 1.0, "critic/returns_squared": 1.0, "critic/value_error": 0.1}
    assert "critic/explained_variance" not in metrics_of([group([1.0, -1.0])], updates=[alike])


# ---------------------------------------------------------------- signal and noise of a gradient


def test_the_signal_to_noise_ratio_in_closed_form() -> None:
    # mean (2, 0); the squared distances 2, 2, 0 over K − 1 = 2 and K = 3 are a noise of 2/3
    gradients = torch.tensor([[2.0, math.sqrt(2)], [2.0, -math.sqrt(2)], [2.0, 0.0]], dtype=torch.float64)
    assert signal_to_noise(gradients) == pytest.approx(6)
    assert signal_to_noise(-3 * gradients) == pytest.approx(6)  # of any scale
    assert signal_to_noise(torch.zeros(3, 2)) == 0


def test_pure_noise_has_a_ratio_of_one_and_a_signal_adds_its_share() -> None:
    generator = torch.Generator().manual_seed(0)
    draws, groups, width = 300, 8, 64
    noise = torch.randn(draws, groups, width, generator=generator, dtype=torch.float64)
    assert np.mean([signal_to_noise(one) for one in noise]) == pytest.approx(1, abs=0.05)
    # ‖signal‖² = 64/4 against a variance of the mean of 64/8
    assert np.mean([signal_to_noise(one + 0.5) for one in noise]) == pytest.approx(1 + 2, abs=0.1)


def test_right_answers_with_true_steps_are_counted_where_answers_have_steps() -> None:
    one = group([1.0, 1.0, 1.0, 0.0, None])
    assert "train/true_steps" not in metrics_of([one])
    steps = [True, False, None, True, None]
    one.verdicts = [replace(v, true_steps=true) for v, true in zip(one.verdicts, steps, strict=True)]
    metrics = metrics_of([one])
    assert metrics["train/true_steps"] == 1 / 4
    assert metrics["train/accuracy"] == 3 / 4
    assert chunk_metrics([one]) == {"train/accuracy": 3 / 4, "train/true_steps": 1 / 4}


def test_skipped_steps_are_counted_and_in_no_mean() -> None:
    updates = [
        {"learner/loss": 2.0, "learner/grad_norm": 3.0, "learner/tokens": 5.0, "learner/skipped": 0.0},
        {"learner/tokens": 0.0, "learner/skipped": 1.0},
        {"learner/tokens": 0.0, "learner/skipped": 1.0},
    ]
    metrics = metrics_of([group([1.0, -1.0])], updates=updates)
    shown = {name: metrics[name] for name in ("train/loss", "learner/grad_norm", "learner/tokens")}
    assert shown == {"train/loss": 2, "learner/grad_norm": 3, "learner/tokens": 5}
    assert metrics["learner/skipped"] == 2


def test_a_run_that_learns_nothing_is_told_what_it_lacks() -> None:
    metrics = metrics_of([group([1.0, 1.0]), group([1.0, -1.0], "q")])
    said = idle_warning(metrics, 10, 8, 2)
    for words in ("last 10 training steps", "2 groups 50% have equal rewards", "for 8", "takes 2 or more"):
        assert words in said


def test_a_run_warns_after_every_ten_steps_in_a_row_without_an_optimizer_step(
    capsys: pytest.CaptureFixture[str],
) -> None:
    loop = object.__new__(ReinforcementLearning)  # without its engines
    loop.settings, loop.idle = RlConfig(problems_per_step=32, updates_per_step=2), 0
    loop.config = SimpleNamespace(algorithm=AlgorithmConfig())  # type: ignore[assignment]
    found = {"groups/drawn": 32.0, "groups/kept": 3.0, "groups/no_signal": 0.9}
    said = []
    for skipped in [2.0] * 9 + [1.0] + [2.0] * 21:  # the tenth step learns with half of its own
        loop._watch(found | {"learner/skipped": skipped})
        said.append("10 training steps" in (text := capsys.readouterr().err) or "20 training" in text)
    assert [number for number, warned in enumerate(said, start=1) if warned] == [20, 30]
    loop._watch(found)  # the value model alone learns
    assert loop.idle == 0
