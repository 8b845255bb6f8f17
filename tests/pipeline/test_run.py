"""Whole runs of `rlvr train`, as a user starts, stops, kills and resumes them. Nothing is stood in for.

All of them are variations of one small run on two cores; each costs tens of seconds, so a module shares
them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from run_command import Run, complete

from rlvr.base.keys import key
from rlvr.record.journal import journal_path, read_journal
from rlvr.rewards.combine import combine
from rlvr.rewards.format import format_reward
from rlvr.rewards.math import math_reward
from rlvr.rollout.text import drawn_text
from rlvr.stages.checkpoints import Checkpoints
from rlvr.types import Group, RlvrError, Status

pytestmark = pytest.mark.slow  # its models and runs

STEPS = 6
SFT_STEPS = 24
SETTINGS = [
    "stages=[sft,rl]",
    "model.max_length=48",
    "problems.train.level=1",
    "problems.train.n=64",
    "problems.heldout.level=1",
    "problems.heldout.n=12",
    "reward=math_format",
    "sampling.max_tokens=16",
    f"sft.steps={SFT_STEPS}",
    "sft.batch_size=32",
    "sft.optimizer.lr=5e-3",
    "sft.checkpoint_every=12",
    f"rl.steps={STEPS}",
    "rl.problems_per_step=8",
    "rl.group_size=4",
    "rl.optimizer.lr=1e-3",
    "rl.evaluate_every=2",
    "rl.checkpoint_every=2",
    "record.trackers=[]",
]
# Ray's own, on no work of the run: they take minutes to notice that their cluster was killed
RAYS_AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")


def train(cwd: Path, *arguments: str) -> tuple[int, str]:
    return complete(cwd, "train", *arguments)


def steps_of(stage: Path) -> list[int]:
    path = stage / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [json.loads(line)["step"] for line in lines]


def metrics_of(stage: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (stage / "metrics.jsonl").read_text().splitlines()]


def checkpoints_of(stage: Path) -> list[str]:
    return sorted(path.name for path in (stage / "checkpoints").glob("*"))


def leftovers() -> set[str]:
    """Names in /dev/shm; Ray and a weight update could leave some there."""
    return {path.name for path in Path("/dev/shm").iterdir()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody disturbs.

    Nor does the environment: another Ray cluster's address, and a folder too long for the paths of sockets.
    """
    folder = tmp_path_factory.mktemp("whole")
    temporary = folder / "a_long_name_of_a_folder_for_temporary_files"
    temporary.mkdir()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_ADDRESS", "127.0.0.1:6379")
        environment.setenv("TMPDIR", str(temporary))
        code, output = train(folder, *SETTINGS, "hydra.run.dir=run")
    assert code == 0, output
    assert "after RL" in output
    return folder / "run"


# --- a run and what it leaves ------------------------------------------------------------------------


def test_the_run_folder_is_complete(whole: Path) -> None:
    for name in ("config.yaml", "versions.json", "report.html", "rl/curves.png"):
        assert (whole / name).stat().st_size > 0, name
    assert steps_of(whole / "sft") == list(range(1, SFT_STEPS + 1))
    assert steps_of(whole / "rl") == list(range(STEPS + 1))
    assert checkpoints_of(whole / "sft") == ["step_000012", "step_000024"]
    assert checkpoints_of(whole / "rl") == ["step_000004", "step_000006"]
    held_out = [line["step"] for line in metrics_of(whole / "rl") if "heldout/pass@1" in line]
    assert held_out == [0, 2, 4, 6]


def test_the_model_was_trained_by_both_stages(whole: Path) -> None:
    losses = [line["train/loss"] for line in metrics_of(whole / "sft")]
    assert np.mean(losses[-4:]) < 0.7 * np.mean(losses[:4])
    before, after = (weights(whole / stage / "checkpoints") for stage in ("sft", "rl"))
    assert any(not np.array_equal(before[name], after[name]) for name in before)


def test_the_metrics_are_those_of_the_journal(whole: Path) -> None:
    for line in metrics_of(whole / "rl")[1:]:
        groups = read_journal(whole / "rl", "train", line["step"])
        verdicts = [verdict for group in groups for verdict in group.verdicts]
        assert len(groups) == 8
        assert len(verdicts) == 32
        rewards = [verdict.reward for verdict in verdicts if verdict.reward is not None]
        assert line["train/reward"] == pytest.approx(np.mean(rewards), abs=1e-12)
        correct = sum(verdict.status == Status.CORRECT for verdict in verdicts)
        assert line["train/accuracy"] == correct / len(rewards)
        sampled = sum(rollout.num_sampled for group in groups for rollout in group.rollouts)
        assert line["tokens/sampled"] == sampled
        alike = [len({verdict.reward for verdict in group.verdicts}) == 1 for group in groups]
        assert line["groups/no_signal"] == np.mean(alike)
    for step in (0, 2, 4, 6):
        groups = read_journal(whole / "rl", "heldout", step)
        right = [verdict.status == Status.CORRECT for group in groups for verdict in group.verdicts]
        assert len(right) == 12
        (line,) = (line for line in metrics_of(whole / "rl") if line["step"] == step)
        assert line["heldout/pass@1"] == pytest.approx(np.mean(right))


def test_the_verdicts_are_reached_again_from_the_journal(whole: Path) -> None:
    for group in read_journal(whole / "rl"):
        for rollout, verdict in zip(group.rollouts, group.verdicts, strict=True):
            again = combine(
                {
                    "math": math_reward(rollout.text, group.problem.answer),
                    "format": format_reward(rollout.text),
                },
                {"math": 1.0, "format": 0.1},
            )
            assert (again.status, again.reward) == (verdict.status, verdict.reward)
            assert again.extracted == verdict.extracted


def test_requests_are_keyed_and_the_policy_on_policy(whole: Path) -> None:
    for step in range(1, STEPS + 1):
        for group in read_journal(whole / "rl", "train", step):
            for sample, rollout in enumerate(group.rollouts):
                assert rollout.seed == key(0, "train", step, group.problem.id, sample)
                assert set(rollout.versions[rollout.sampled]) == {step - 1}
    assert {line["rollouts/staleness"] for line in metrics_of(whole / "rl")[1:]} == {0}


def test_the_journal_says_what_was_learned_of_every_token(whole: Path) -> None:
    """Also: the metrics of the update are the means of what the journal has of its tokens."""
    for line in metrics_of(whole / "rl")[1:]:
        rows = pq.read_table(journal_path(whole / "rl", "train", line["step"])).to_pylist()
        assert {row["left_out"] for row in rows} <= {None, "no advantage", "no verdict"}
        gaps, entropies = [], []
        for row in rows:
            mask = np.array(row["sampled"])
            if row["left_out"] == "no verdict":
                assert row["advantages"] is None
                continue
            advantages = np.array(row["advantages"])
            assert row["advantage"] == pytest.approx(advantages[mask].mean())
            assert (row["left_out"] == "no advantage") == (row["advantage"] == 0)
            if row["left_out"]:
                assert row["learner_logprobs"] is None
                assert row["entropies"] is None
                continue
            gaps += list(np.abs(np.array(row["learner_logprobs"]) - row["logprobs"])[mask])
            entropies += list(np.array(row["entropies"])[mask])
            assert not np.array(row["learner_logprobs"])[~mask].any()
        assert len(gaps) == line["learner/tokens"]
        assert line["learner/logprob_gap"] == pytest.approx(np.mean(gaps), abs=1e-6)
        assert line["learner/entropy"] == pytest.approx(np.mean(entropies), abs=1e-5)


def test_sampler_and_learner_agree_on_the_log_probabilities(whole: Path) -> None:
    gaps = [line["learner/logprob_gap"] for line in metrics_of(whole / "rl")[1:]]
    assert max(gaps) < 1e-4
    assert any(line["learner/grad_norm"] > 0 for line in metrics_of(whole / "rl")[1:])


def test_the_checkpoint_loads_with_its_tokenizer_and_gives_the_journals_tokens(whole: Path) -> None:
    """Also: the log-probabilities in the journal are those of the checkpoint of that step."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = whole / "rl" / "checkpoints" / "step_000004" / "model"
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    for group in read_journal(whole / "rl", "train", 5)[:3]:
        for rollout in group.rollouts:
            prompt = rollout.tokens[~rollout.sampled].tolist()
            text = tokenizer.decode(prompt, skip_special_tokens=True)
            assert text == f"{group.problem.text}\n"
            assert tokenizer.encode(text, add_special_tokens=False) == [
                token for token in prompt if token not in tokenizer.all_special_ids
            ]
            drawn = rollout.tokens[rollout.sampled].tolist()
            assert drawn_text(drawn, rollout.finish_reason, tokenizer) == rollout.text
            tokens = torch.tensor(rollout.tokens, dtype=torch.long)
            with torch.no_grad():
                logprobs = model(tokens[None, :-1]).logits[0].log_softmax(-1)
            ours = logprobs.gather(1, tokens[1:, None])[:, 0].numpy()
            drawn = rollout.sampled[1:]
            np.testing.assert_allclose(ours[drawn], rollout.logprobs[1:][drawn], atol=1e-4)


# --- stopped, killed, resumed ------------------------------------------------------------------------


def weights(checkpoints: Path) -> dict[str, Any]:
    """The weights of the newest checkpoint."""
    from safetensors.numpy import load_file

    newest = sorted(checkpoints.glob("step_*"))[-1]
    return {
        name: value
        for path in (newest / "model").glob("*.safetensors")
        for name, value in load_file(path).items()
    }


# the gap is measured at the first step after each start as well
COSTS = ("time/", "memory/", "rewards/", "replaced/", "rollouts/logprob_gap")


def lines_without_costs(stage: Path) -> list[dict[str, float]]:
    return [
        {name: value for name, value in line.items() if not name.startswith(COSTS)}
        for line in metrics_of(stage)
    ]


def without_seconds(groups: list[Group]) -> list[Any]:
    return [
        (
            group.problem,
            [
                (r.step, r.sample, r.seed, r.text, r.tokens.tolist(), r.versions.tolist())
                for r in group.rollouts
            ],
            [r.logprobs.tolist() for r in group.rollouts],
            [(v.status, v.reward, v.reason, v.extracted, v.parts) for v in group.verdicts],
        )
        for group in groups
    ]


def assert_same_run(resumed: Path, whole: Path) -> None:
    """To the bit: what was drawn, what was found, and the weights of both stages."""
    for stage in ("sft", "rl"):
        assert lines_without_costs(resumed / stage) == lines_without_costs(whole / stage)
        ours, theirs = weights(resumed / stage / "checkpoints"), weights(whole / stage / "checkpoints")
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_array_equal(ours[name], value, err_msg=f"{stage} {name}")
    for kind in ("train", "heldout"):
        assert without_seconds(read_journal(resumed / "rl", kind)) == without_seconds(
            read_journal(whole / "rl", kind)
        )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts commands in `tmp_path`; whatever is left of them at the end is killed."""
    started: list[Run] = []

    def start(*arguments: str) -> Run:
        started.append(Run.start(tmp_path, "train", *arguments))
        return started[-1]

    yield start
    for run in started:
        run.kill()


@pytest.fixture(scope="module")
def killed() -> Iterator[list[Run]]:
    """Runs whose driver was killed. Of Ray's own processes, too, nothing is left when all tests are over."""
    runs: list[Run] = []
    yield runs
    left = [run.ended(240.0) for run in runs]
    for run in runs:
        run.kill()
    assert left == [[] for _ in runs]


def kill_worker(run: Run, name: str) -> None:
    (victim,) = (line for line in run.processes() if f"ray::{name}" in line)
    os.kill(int(victim.split()[0]), signal.SIGKILL)


def test_a_run_stopped_and_killed_goes_on_as_if_it_never_had(
    start: Callable[..., Run], killed: list[Run], tmp_path: Path, whole: Path
) -> None:
    """Workers are killed as well and replaced, at different steps: one of each kind, and RL's learner once
    without a checkpoint and once with one.
    """
    folder = tmp_path / "run"
    sft, rl = folder / "sft", folder / "rl"
    shared = leftovers()

    run = start(*SETTINGS, "hydra.run.dir=run")
    run.until(lambda: 3 in steps_of(sft), "step 3 of sft")
    assert f"rlvr train resume={folder}" in run.stop(signal.SIGTERM)
    assert checkpoints_of(sft)[-1] == f"step_{steps_of(sft)[-1]:06d}"
    assert 3 <= steps_of(sft)[-1] < SFT_STEPS
    assert steps_of(rl) == []

    # no time to save anything: what there was of this stage is done again, from its journal
    second = Run.start(tmp_path, "train", f"resume={folder}")
    killed.append(second)
    second.until(lambda: 11 in steps_of(sft), "step 11 of sft")
    kill_worker(second, "LearnerRank")
    second.until(lambda: 0 in steps_of(rl), "step 0 of rl")
    kill_worker(second, "RewardWorker")
    second.until(
        lambda: 1 in steps_of(rl) and "reward actor 0 died" in second.output.read_text(), "step 1 of rl"
    )
    second.process.send_signal(signal.SIGKILL)
    assert second.wait() == -signal.SIGKILL
    assert second.ended(60.0, but=RAYS_AGENTS) == []
    assert not [name for name in leftovers() - shared if "rlvr" in name]
    assert second.output.read_text().count("The stage resumes from its last checkpoint") == 1
    assert not checkpoints_of(rl)

    # in the evaluation of step 4, which only the next run comes back to
    stopped = start(f"resume={folder}")
    stopped.until(lambda: 0 in steps_of(rl)[:1] and journal_path(rl, "train", 2).exists(), "step 2")
    kill_worker(stopped, "LearnerRank")
    stopped.until(lambda: 3 in steps_of(rl), "step 3")
    kill_worker(stopped, "RolloutWorker")
    stopped.until(lambda: journal_path(rl, "train", 4).exists(), "step 4")
    said = stopped.stop(signal.SIGTERM)
    assert said.count("A new learner resumes from") == 1
    assert "rollout worker 0 (process" in said
    assert steps_of(rl)[-1] == 3
    assert checkpoints_of(rl)[-1] == "step_000004"
    assert not journal_path(rl, "heldout", 4).exists()

    ended = start(f"resume={folder}")
    ended.until(lambda: 5 in steps_of(rl) or journal_path(rl, "train", STEPS).exists(), "another step")
    kill_worker(ended, "LearnerRank")
    assert ended.wait() == 0, ended.output.read_text()
    assert ended.ended(30.0) == []
    assert ended.output.read_text().count("A new learner resumes from") == 1
    assert_same_run(folder, whole)


def test_a_finished_run_says_how_to_ask_for_more(whole: Path) -> None:
    """And one that was killed after its last checkpoint gets what it lacks."""
    result = whole / "rl" / "result.json"
    said = result.read_text()
    for path in (result, whole / "report.html", whole / "outcome.json"):
        path.unlink()
    code, output = train(whole.parent, f"resume={whole}")
    assert code == 0, output
    assert result.read_text() == said
    assert (whole / "report.html").stat().st_size > 0

    code, output = train(whole.parent, f"resume={whole}")
    assert code == 2
    assert "all stages are complete" in output
    assert f"rl.steps={2 * STEPS}" in output


def test_a_checkpoint_that_cannot_be_used_is_refused_before_anything_starts(
    whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole / "rl" / "checkpoints" / "step_000004" / "model", tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    quantized = {"quantization_config": {"quant_method": "fp8"}}
    file.write_text(json.dumps(json.loads(file.read_text()) | quantized))
    model = ["model=pretrained", "model.path=model"]
    code, output = train(tmp_path, *SETTINGS, *model, "hydra.run.dir=run")
    assert code == 2
    assert "its weights are quantized, which cannot be trained" in output
    assert not (tmp_path / "run" / "sft").exists()


def test_a_run_with_other_batches_is_no_continuation(whole: Path) -> None:
    lines = steps_of(whole / "rl")
    code, output = train(whole.parent, f"resume={whole}", f"rl.steps={2 * STEPS}", "rl.problems_per_step=4")
    assert code == 2
    assert "problems_per_step=8, this run has problems_per_step=4" in output
    assert "model.path=" in output  # how to start a new run from there
    assert steps_of(whole / "rl") == lines


def test_every_part_of_a_checkpoints_identity_is_compared(whole: Path) -> None:
    folder = whole / "rl" / "checkpoints"
    state = json.loads((folder / f"step_{STEPS:06d}" / "state.json").read_text())
    identity = state["identity"]
    assert {"seed", "problems", "problems_per_step", "group_size", "updates_per_step"} <= identity.keys()
    tokenizer: Any = None  # nothing is saved here
    assert Checkpoints(whole / "rl", identity, tokenizer).latest() is None  # there is none in there
    found = Checkpoints(folder, identity, tokenizer).latest()
    assert found is not None
    assert found[0] == STEPS
    for name in identity:
        with pytest.raises(RlvrError, match=f"{name}=other"):
            Checkpoints(folder, identity | {name: "other"}, tokenizer).latest()


# --- off-policy, several workers, and a reward function of the user's own ----------------------------

USER_REWARD = '''
def moody(completion, problem, factor=1.0):
    """Raises for some of the samples."""
    if len(completion) % 2:
        raise RuntimeError("odd ones are not my business")
    return factor * len(completion)
'''


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, whole: Path) -> Path:
    """Two learners and two engines, one version behind, with a reward function that raises.

    A learner is killed: the other is the first to notice, in the middle of what they do together.
    """
    folder = tmp_path_factory.mktemp("crowd")
    (folder / "my_rewards.py").write_text(USER_REWARD)
    (folder / "my_conf" / "reward").mkdir(parents=True)
    (folder / "my_conf" / "reward" / "mine.yaml").write_text(
        "functions:\n  moody:\n    _target_: my_rewards.moody\n    factor: 0.5\n"
    )
    arguments = [
        "--config-dir=my_conf",
        *[setting for setting in SETTINGS if not setting.startswith(("reward=", "stages=", "sft."))],
        "stages=[rl]",
        "model=pretrained",
        f"model.path={whole / 'sft' / 'checkpoints' / f'step_{SFT_STEPS:06d}' / 'model'}",
        "reward=mine",
        "hydra.run.dir=run",
        "rl.max_staleness=1",
        "rl.evaluate_every=6",
        "rl.checkpoint_every=6",
        "rollout.workers=2",
        "learner.workers=2",
        "learner.zero_stage=2",
        "rollout.kv_cache_gib=0.25",
    ]
    run = Run.start(folder, "train", *arguments)
    try:
        run.until(lambda: 2 in steps_of(folder / "run" / "rl"), "step 2")
        _, second = sorted(int(line.split()[0]) for line in run.processes() if "ray::LearnerRank" in line)
        os.kill(second, signal.SIGKILL)
        assert run.wait() == 0, run.output.read_text()
        assert run.ended(30.0) == []
    finally:
        run.kill()
    assert run.output.read_text().count("A new learner resumes from") == 1
    return folder / "run"


def test_rollouts_lie_behind_by_no_more_than_was_allowed(crowd: Path) -> None:
    staleness = [line["rollouts/staleness"] for line in metrics_of(crowd / "rl")[1:]]
    assert staleness[0] == 0
    assert max(staleness) == 1
    for step in range(1, STEPS + 1):
        for group in read_journal(crowd / "rl", "train", step):
            for rollout in group.rollouts:
                versions = rollout.versions[rollout.sampled]
                assert versions.min() >= step - 2
                assert versions.max() <= step - 1


def test_several_workers_hold_one_model(crowd: Path) -> None:
    assert checkpoints_of(crowd / "rl") == ["step_000006"]
    gaps = [line["learner/logprob_gap"] for line in metrics_of(crowd / "rl")[1:]]
    assert gaps[0] < 1e-4
    assert any(line["learner/grad_norm"] > 0 for line in metrics_of(crowd / "rl")[1:])


def test_a_reward_function_that_raises_costs_its_samples_alone(crowd: Path) -> None:
    for line in metrics_of(crowd / "rl")[1:]:
        groups = read_journal(crowd / "rl", "train", line["step"])
        verdicts = [(r, v) for g in groups for r, v in zip(g.rollouts, g.verdicts, strict=True)]
        odd = [verdict for rollout, verdict in verdicts if len(rollout.text) % 2]
        even = [(rollout, verdict) for rollout, verdict in verdicts if not len(rollout.text) % 2]
        assert odd
        assert even
        assert all(verdict.status == Status.CRASHED and verdict.reward is None for verdict in odd)
        assert all("odd ones are not my business" in verdict.reason for verdict in odd)
        assert all("my_rewards.py:5" in verdict.reason for verdict in odd)
        assert all(verdict.reward == len(rollout.text) / 2 for rollout, verdict in even)
        assert line["verdicts/crashed"] == len(odd)
        assert line["train/reward"] == pytest.approx(np.mean([verdict.reward for _, verdict in even]))
