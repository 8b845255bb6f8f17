"""Steps of a small run, made again by `rlvr replay`, with the run's settings and with others.

The run and the replays are shared: the tests look at what they have left.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from run_command import complete
from safetensors.numpy import load_file

from rlvr.commands.cli import main
from rlvr.pipeline.config import RunConfig
from rlvr.record.journal import journal_path, read_journal
from rlvr.record.layout import CHANGES
from rlvr.replay.compare import Column, Number
from rlvr.replay.recorded import Origin, open_recorded
from rlvr.replay.what_if import rewarded, what_if
from rlvr.types import ConfigError, DataError

pytestmark = pytest.mark.slow  # its run and the replays

STEPS = 5
SETTINGS = [  # a new model's answers differ in length, so the reward does, too
    "stages=[rl]",
    "model.max_length=48",
    "problems.train.level=1",
    "problems.train.n=48",
    "problems.heldout.level=1",
    "problems.heldout.n=4",
    "reward=math_format_length",
    "reward.functions.length.buffer=12",
    "sampling.max_tokens=12",
    f"rl.steps={STEPS}",
    "rl.problems_per_step=6",
    "rl.group_size=4",
    "rl.optimizer.lr=1e-3",
    "rl.checkpoint_every=4",
    "learner.max_grad_norm=0.1",
    "+algorithm.filters.lengths._target_=rlvr.algorithms.filters.uniform_lengths",
    "+algorithm.filters.lengths.max_variation=0.6",
    "algorithm.max_rounds=2",
    "record.trackers=[]",
]
REINFORCE = [
    "algorithm=reinforce",
    "algorithm.advantage._target_=rlvr.algorithms.group_relative.grpo",
    "algorithm.aggregation=sequence",
    "+algorithm.filters.lengths={_target_: rlvr.algorithms.filters.uniform_lengths, max_variation: 0.6}",
]
WHAT_IFS = {
    "same": ["rl.optimizer.lr=1e-3"],
    "reinforce": REINFORCE,
    "kl": ["algorithm.kl.coef=0.5"],
    "memory": ["rl.optimizer.beta1=0.0", "rl.optimizer.beta2=0.0", "rl.optimizer.eps=1e-12"],
    "halves": ["rl.updates_per_step=2"],
    "nothing": ["algorithm.filters.lengths.max_variation=0"],
    "few": ["algorithm.min_kept=1", "algorithm.filters.lengths.max_variation=0.3"],
    "dr": ["algorithm=dr_grpo"],
    "dr_doubled": ["algorithm=dr_grpo", "++reward.weights={math: 2.0, format: 0.2, length: 2.0}"],
}

FROM_THE_START = {  # at step 1, where the policy is the reference
    "rloo": ["algorithm=rloo"],
    "rloo_kl": [
        "algorithm=rloo",
        "algorithm.kl.coef=10",
        "algorithm.kl.place=reward",
        "algorithm.kl.estimator=k1",
    ],
}


@dataclass
class Replays:
    run: Path
    folder: Path

    def json(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        return found

    def number(self, case: str, name: str) -> tuple[float, float]:
        """As it was, and under the case's settings."""
        (found,) = (n for n in self.json(case)["what_if"]["numbers"] if n["name"] == name)
        return found["as_it_was"], found["what_if"]

    def gradient(self, case: str, kind: str) -> dict[str, np.ndarray]:
        tensors = load_file(self.folder / f"{case}.safetensors")
        return {n.removeprefix(f"{kind}/"): t for n, t in tensors.items() if n.startswith(f"{kind}/")}


def length(tensors: dict[str, np.ndarray]) -> float:
    return math.sqrt(sum(float(np.square(t, dtype=np.float64).sum()) for t in tensors.values()))


@pytest.fixture(scope="module")
def replays(tmp_path_factory: pytest.TempPathFactory) -> Replays:
    folder = tmp_path_factory.mktemp("replay")
    code, output = complete(folder, "train", *SETTINGS, "hydra.run.dir=run")
    assert code == 0, output
    run, out = folder / "run", folder / "out"
    out.mkdir()
    cases = {f"step_{step}": [str(run), "--step", str(step)] for step in (1, 3, STEPS)}
    for name, overrides in WHAT_IFS.items():
        given = [argument for override in overrides for argument in ("--what-if", override)]
        cases[name] = [str(run), "--step", str(STEPS), *given]
    for name, overrides in FROM_THE_START.items():
        given = [argument for override in overrides for argument in ("--what-if", override)]
        cases[name] = [str(run), "--step", "1", *given]
    cases["resumed"] = [str(as_if_resumed(run, folder / "resumed")), "--step", str(STEPS)]
    (folder / "cases.json").write_text(json.dumps(cases))
    script = Path(__file__).with_name("replay_worker.py")
    done = subprocess.run(
        [sys.executable, script, run, out, folder / "cases.json"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Replays(run, out)


def as_if_resumed(run: Path, copy: Path) -> Path:
    """The same run, as if a resume had doubled the learning rate after step 4; without checkpoints."""
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "rl" / "checkpoints")
    text = (copy / "config.yaml").read_text()
    config = yaml.safe_load(text)
    config["rl"]["optimizer"]["lr"] = 2e-3
    (copy / "config.yaml").write_text(yaml.safe_dump(config))
    change = {"step": 4, "key": "rl.optimizer.lr", "old": 1e-3, "new": 2e-3}
    (copy / "rl" / CHANGES).write_text(json.dumps(change) + "\n")
    return copy


def changed_copy(run: Path, copy: Path) -> Path:
    """To take something away from."""
    shutil.copytree(run, copy)
    return copy


# --- a step as it was --------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 3, STEPS])
def test_a_step_comes_out_the_same_to_the_bit(replays: Replays, step: int) -> None:
    found = replays.json(f"step_{step}")
    assert found["same_to_the_bit"], found
    numbers = {number["name"]: number for number in found["numbers"]}
    lines = (replays.run / "rl" / "metrics.jsonl").read_text().splitlines()
    (line,) = (line for line in map(json.loads, lines) if line["step"] == step)
    for name in ("train/loss", "learner/grad_norm", "learner/entropy", "groups/kept", "groups/rounds"):
        assert numbers[name]["replayed"] == line[name]
    columns = {column["name"]: column for column in found["columns"]}
    assert columns["left_out"]["rollouts"] == line["rollouts/drawn"]
    assert columns["learner_logprobs"]["rollouts"] == line["rollouts/trained"] > 0
    assert all(column["largest"] == 0 for column in columns.values())


def test_it_begins_with_the_nearest_checkpoint(replays: Replays) -> None:
    assert replays.json("step_1")["origin"] == "the stage's start"
    assert replays.json("step_3")["origin"] == "the stage's start, with 2 steps made again"
    assert replays.json("step_5")["origin"] == "the checkpoint of step 4"


def test_updates_that_are_made_again_lead_to_the_weights_of_the_checkpoint(replays: Replays) -> None:
    checkpoint = load_file(replays.run / "rl/checkpoints/step_000004/model/model.safetensors")
    start = load_file(open_recorded(replays.run).start + "/model.safetensors")
    redone = load_file(replays.folder / "redone.safetensors")
    assert redone.keys() == checkpoint.keys()
    for name, weight in redone.items():
        np.testing.assert_array_equal(weight, checkpoint[name])
    assert any((redone[name] != start[name]).any() for name in redone)


def test_the_gradient_is_that_before_clipping(replays: Replays) -> None:
    (norm,) = (n["replayed"] for n in replays.json("step_5")["numbers"] if n["name"] == "learner/grad_norm")
    gradient = replays.gradient("step_5", "replayed")
    assert length(gradient) == pytest.approx(norm, rel=1e-5)
    assert norm > 0.1
    weights = load_file(replays.folder / "redone.safetensors")
    assert {name: value.shape for name, value in gradient.items()} == {
        name: value.shape for name, value in weights.items()
    }


def test_settings_that_a_resume_has_changed_count_from_their_step_on(replays: Replays) -> None:
    """Steps 1 to 4 as they were, and step 5 at twice the rate: only its length of way is another."""
    found = replays.json("resumed")
    assert found["origin"] == "the stage's start, with 4 steps made again"
    differing = [number["name"] for number in found["numbers"] if number["difference"] != 0]
    assert differing == ["learner/lr"]
    assert all(column["same"] == column["rollouts"] for column in found["columns"])
    here, there = (replays.gradient(name, "replayed") for name in ("resumed", "step_5"))
    for name, gradient in here.items():
        np.testing.assert_array_equal(gradient, there[name])


# --- and as it would have been -----------------------------------------------------------------------


def test_the_same_settings_give_the_same_gradient(replays: Replays) -> None:
    one, other = replays.gradient("same", "replayed"), replays.gradient("same", "what_if")
    for name, gradient in one.items():
        np.testing.assert_array_equal(gradient, other[name])
    found = replays.json("same")["what_if"]
    assert found["cosine"] == pytest.approx(1.0, abs=1e-12)
    assert found["norm_ratio"] == 1.0
    # and the optimizer's state was the same, too
    assert all(number["difference"] == 0 for number in found["numbers"])


def test_on_policy_reinforce_and_the_clipped_ratio_have_one_gradient(replays: Replays) -> None:
    found = replays.json("reinforce")["what_if"]
    assert found["cosine"] == pytest.approx(1.0, abs=1e-6)
    assert found["norm_ratio"] == pytest.approx(1.0, rel=1e-4)
    one, other = replays.gradient("reinforce", "replayed"), replays.gradient("reinforce", "what_if")
    for name, gradient in one.items():
        np.testing.assert_allclose(gradient, other[name], atol=1e-4 * length(one))


def test_a_kl_term_changes_the_gradient(replays: Replays) -> None:
    found = replays.json("kl")["what_if"]
    assert found["cosine"] < 0.9999
    was, is_now = replays.number("kl", "learner/reference_kl")
    assert was is None
    assert is_now > 0
    # the k3 estimate of the loss is that of the diagnostics, and all rollouts are live by it
    losses = replays.number("kl", "train/loss")
    assert losses[1] > losses[0]


def test_a_policy_that_is_the_reference_pays_no_penalty(replays: Replays) -> None:
    """To the bit: both log-probabilities are the learner's. vLLM's differ from these by rounding."""
    with_kl, without = (replays.gradient(case, "what_if") for case in ("rloo_kl", "rloo"))
    assert length(without) > 0
    for name, gradient in without.items():
        np.testing.assert_array_equal(with_kl[name], gradient)
    assert replays.number("rloo_kl", "learner/logprob_gap")[1] > 0


def test_an_optimizer_without_memory_takes_steps_of_the_rate(replays: Replays) -> None:
    """β₁ = β₂ = 0 is the sign of the gradient: every weight that has one moves by the learning rate."""
    gradient = replays.gradient("memory", "what_if")
    weights = sum(int((np.abs(value) > 1e-9).sum()) for value in gradient.values())
    assert replays.number("memory", "weights/moved")[1] == pytest.approx(1e-3 * weights**0.5, rel=1e-2)


def test_several_updates_have_a_gradient_each(replays: Replays) -> None:
    tensors = load_file(replays.folder / "halves.safetensors")
    kinds = {"/".join(name.split("/")[:2]) for name in tensors if name.startswith("what_if/")}
    assert kinds == {"what_if/1", "what_if/2"}


@pytest.mark.parametrize("case", ["nothing", "few"])
def test_a_step_with_too_few_groups_moves_no_weight(replays: Replays, case: str) -> None:
    """After four steps AdamW has a momentum that would."""
    was, now = replays.number(case, "weights/moved")
    assert was > 0
    assert now == 0
    assert replays.number(case, "learner/skipped") == (0, 1)
    assert replays.number(case, "groups/kept")[1] < replays.number(case, "groups/kept")[0]
    assert not replays.gradient(case, "what_if")


def test_rewards_are_combined_anew(replays: Replays) -> None:
    """Advantages of Dr. GRPO are linear in the reward."""
    one, other = replays.gradient("dr", "what_if"), replays.gradient("dr_doubled", "what_if")
    for name, gradient in one.items():
        np.testing.assert_allclose(other[name], 2 * gradient, atol=1e-5 * length(one))
    assert replays.json("dr")["what_if"]["cosine"] < 0.9999


def test_the_runs_own_weights_give_its_own_rewards(replays: Replays) -> None:
    recorded = open_recorded(replays.run)
    groups = read_journal(recorded.folder, "train", 2)
    assert rewarded(groups, recorded.config.reward) == groups
    zero = replace(recorded.config.reward, weights={"math": 0.0, "format": 3.0, "length": 0.0})
    for group in rewarded(groups, zero):
        assert all(verdict.reward == 3 * verdict.parts["format"] for verdict in group.verdicts)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sampling.temperature=0.5", "it cannot change for rollouts that are already sampled"),
        ("rl.group_size=8", "it cannot change for rollouts that are already sampled"),
        ("algorithm.max_rounds=3", "it cannot change for rollouts that are already sampled"),
        ("problems=equations", "it cannot change for rollouts that are already sampled"),
        ("learner.dtype=bfloat16", "own models and optimizer state"),
        ("model.path=other", "own models"),
        ("reward=math", "calls no reward function"),
        ("algorithm=nope", "there is no algorithm=nope: There are: "),
        ("algorithm=ppo", "has no value model"),
        ("algorithm.kl.coeff=1", "did you mean algorithm.kl.coef"),
        ("algorithm.kl.coef=-1", "must be ≥ 0"),
        ("algorithm.kl.coef=0.1,0.2", "give one value"),
        ("algorithm.kl.estimator=k1", "no effect with coef 0"),
        ("algorithm.critic.lr=1", "algorithm.critic is not set"),
        ("kl", "write KEY=VALUE"),
    ],
)
def test_settings_that_an_update_does_not_read_are_refused(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        what_if(RunConfig(), [given])


def test_an_option_takes_the_place_of_the_whole_section(replays: Replays) -> None:
    config = open_recorded(replays.run).config
    changed = what_if(config, ["algorithm=dr_grpo", "algorithm.kl.coef=0.25"]).algorithm
    assert changed.advantage == {"_target_": "rlvr.algorithms.group_relative.dr_grpo"}
    assert (changed.filters, changed.kl.coef, changed.aggregation) == ({}, 0.25, "constant")
    assert what_if(config, ["algorithm.kl.coef=0.25"]).algorithm.filters == config.algorithm.filters
    assert config.algorithm.kl.coef == 0


# --- what cannot be replayed -------------------------------------------------------------------------


def refused(run: Path, step: int, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["replay", str(run), "--step", str(step)]) == 2
    return capsys.readouterr().err


def test_steps_that_are_not_there(
    replays: Replays, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (0, STEPS + 1):
        assert f"no train journal of step {step}; these can be replayed: 1–5" in refused(
            replays.run, step, capsys
        )
    run = changed_copy(replays.run, tmp_path / "run")
    journal_path(run / "rl", "train", 2).unlink()
    assert "no train journal of step 2; these can be replayed: 1, 5" in refused(run, 2, capsys)
    said = refused(run, 4, capsys)
    assert "step 4 of" in said
    assert "the journal lacks steps since the last usable checkpoint and since the stage's start" in said
    assert open_recorded(run).origin(5).step == 4


def test_a_start_that_is_gone(replays: Replays, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = changed_copy(replays.run, tmp_path / "run")
    shutil.rmtree(run / "base" / "model")
    assert "these can be replayed: 5" in refused(run, 3, capsys)
    assert open_recorded(run).origin(5).step == 4


def test_a_damaged_checkpoint_is_passed_over(replays: Replays, tmp_path: Path) -> None:
    run = changed_copy(replays.run, tmp_path / "run")
    state = run / "rl/checkpoints/step_000004/optimizer/mp_rank_00_model_states.pt"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    assert open_recorded(run).origin(5) == Origin(0, None)
    assert state.exists()


def test_runs_of_another_kind(replays: Replays, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is no folder" in refused(tmp_path / "nothing", 1, capsys)
    run = changed_copy(replays.run, tmp_path / "run")
    (run / "rl").rename(run / "sft")
    assert "has no stage rl that has begun (stages with records: sft)" in refused(run / "sft", 1, capsys)
    (run / "sft").rename(run / "rl")
    given = ["replay", str(run), "--step", "1", "--what-if", "sampling.temperature=0.5"]
    assert main(given) == 2
    assert "rlvr: --what-if sampling.temperature=0.5: " in capsys.readouterr().err
    config = run / "config.yaml"
    config.write_text(config.read_text() + "nonsense: 1\n")
    assert "there is no setting nonsense" in refused(run, 1, capsys)
    shutil.rmtree(run / "rl" / "journal")
    assert "has no train journal, so nothing is left to replay" in refused(run, 1, capsys)
    config.write_text(config.read_text().replace("train_schema", "audit_schema"))
    shutil.copytree(replays.run / "rl" / "journal", run / "rl" / "journal")
    assert "is the folder of an audit" in refused(run, 1, capsys)
    config.unlink()
    assert "is no training run" in refused(run / "rl", 1, capsys)


def test_the_stage_begins_with_what_the_warm_start_has_made(replays: Replays, tmp_path: Path) -> None:
    run = changed_copy(replays.run, tmp_path / "run")
    (run / "sft/checkpoints/step_000016/model").mkdir(parents=True)
    made = {"path": "checkpoints/step_000016/model", "outside": None}
    (run / "sft/manifest.json").write_text(json.dumps({"key": "of-sft", "made": made}))
    (run / "stages.json").write_text(json.dumps({"base": "base", "sft": "sft", "rl": "rl"}))
    assert open_recorded(run).start == str(run / "base/model")
    manifest = json.loads((run / "rl/manifest.json").read_text())
    manifest["made_from"]["model"] = "of-sft"
    (run / "rl/manifest.json").write_text(json.dumps(manifest))
    recorded = open_recorded(run)
    assert recorded.start == str(run / "sft/checkpoints/step_000016/model")
    assert recorded.origin(1) == Origin(0, None)


def test_the_stage_of_a_recipe_begins_with_the_model_that_its_manifest_names(
    replays: Replays, tmp_path: Path
) -> None:
    run, stages = changed_copy(replays.run, tmp_path / "run"), tmp_path / "stages"
    (stages / "sft-abc/model").mkdir(parents=True)
    (run / "rl").rename(stages / "rl-def")
    (run / "stages.json").write_text(json.dumps({"sft": "../stages/sft-abc", "rl": "../stages/rl-def"}))
    manifest = stages / "rl-def/manifest.json"
    manifest.write_text(json.dumps({"made_from": {"model": "abc"}}))
    for made, start in (({"path": "model"}, stages / "sft-abc/model"), ({"outside": "/hub/it"}, "/hub/it")):
        (stages / "sft-abc/manifest.json").write_text(json.dumps({"key": "abc", "made": made}))
        recorded = open_recorded(run)
        assert Path(recorded.start).resolve() == Path(start)
        assert recorded.folder.resolve() == stages / "rl-def"
    manifest.write_text(json.dumps({"made_from": {"model": "xyz"}}))
    with pytest.raises(DataError, match="does not say where the model is"):
        open_recorded(run)


# --- comparing ---------------------------------------------------------------------------------------


def test_numbers_that_are_not_finite_are_the_same_where_both_are() -> None:
    nan = float("nan")
    assert Number("a", nan, nan).same
    assert Number("a", nan, nan).difference == 0
    assert not Number("a", 1.0, nan).same
    assert Number("a", None, 1.0).difference is None
    assert Number("a", 1.0, 3.0).difference == 2.0
    assert Column("c", 3, 2, math.inf).largest == math.inf
