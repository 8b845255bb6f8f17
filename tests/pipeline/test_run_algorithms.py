"""One whole run in which every part of the algorithm is at work, and named by import paths of one's own.

A value model, advantages, a loss and filters from a file outside of the package, a selection of the
problems, a curriculum, rounds, a reference that is reset, and an entropy bonus that follows a target.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from run_command import RLVR, Run
from test_run import SETTINGS, STEPS, assert_same_run, checkpoints_of, metrics_of, train

from rlvr.record.journal import read_journal

pytestmark = pytest.mark.slow  # its models and runs

OWN = '''
"""What a user writes: nothing of it is registered anywhere."""
import torch

from rlvr.types import Group


def own_advantage(token_rewards, values, scale=1.0):
    """The reward to go, less what the value model expected."""
    return scale * (token_rewards[::-1].cumsum()[::-1] - values)


def own_loss(logprobs, old_logprobs, advantages, mask, bound=1.5):
    ratio = (logprobs - old_logprobs).exp().clamp(max=bound)
    return -ratio * advantages, {"own_ratio": ratio.detach()}


def all_but_last(group, random):
    return Group(group.problem, group.rollouts[:-1], group.verdicts[:-1])


def even(group, random):
    return group if int(group.problem.id.rpartition("-")[2]) % 2 == 0 else None
'''
ALGORITHM = """
advantage: {_target_: own.own_advantage, scale: 2.0}
loss: {_target_: own.own_loss, bound: 1.2}
critic: {lr: 1e-3, warmup_steps: 1}
old_policy: learner
correction: {kind: truncate}
kl: {coef: 0.1, reset_every: 3}
entropy: {target: 1.0, delta: 0.01}
filters:
  short: {_target_: own.all_but_last}
  informative: {_target_: rlvr.algorithms.filters.informative}
max_rounds: 2
"""
ARGUMENTS = [
    "--config-dir=conf",
    *SETTINGS,
    "stages=[sft,select,rl]",
    "select.samples=2",
    "select.chunk=24",
    "+select.filters.even={_target_: own.even}",
    "algorithm=own",
    "problems.order._target_=rlvr.problems.curriculum.PassRate",
    "+problems.order.hardness=2.0",
    "rl.updates_per_step=2",
    "sampling.top_p=0.9",
    "hydra.run.dir=run",
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("algorithms")
    (folder / "own.py").write_text(OWN)
    (folder / "conf" / "algorithm").mkdir(parents=True)
    (folder / "conf" / "algorithm" / "own.yaml").write_text(ALGORITHM)
    code, output = train(folder, *ARGUMENTS)
    assert code == 0, output
    return folder / "run"


def test_the_selection_is_what_is_trained_on(whole: Path) -> None:
    rows = [json.loads(line) for line in (whole / "select" / "problems.jsonl").read_text().splitlines()]
    kept = {row["id"] for row in rows}
    candidates = read_journal(whole / "select")
    assert len(candidates) == 64
    assert all(len(group.rollouts) == 2 for group in candidates)
    assert 8 <= len(kept) <= 40
    assert all(int(name.rpartition("-")[2]) % 2 == 0 for name in kept)
    assert {group.problem.id for group in read_journal(whole / "rl")} <= kept


def test_own_functions_are_at_work(whole: Path) -> None:
    lines = metrics_of(whole / "rl")[1:]
    assert all(line["learner/own_ratio"] > 0 for line in lines[1:])
    for step in range(1, STEPS + 1):
        (line,) = (line for line in lines if line["step"] == step)
        groups = read_journal(whole / "rl", "train", step)
        sizes = [len(group.rollouts) for group in groups]
        assert set(sizes) == {4}
        assert line["rollouts/drawn"] == sum(sizes)
        assert line["groups/drawn"] == len(groups) <= 16
        assert line["groups/kept"] <= 8 or line["groups/rounds"] == 1
        assert line["groups/rounds"] == (1 if len(groups) == 8 else 2)


def test_every_part_is_in_the_metrics(whole: Path) -> None:
    lines = metrics_of(whole / "rl")[1:]
    assert "learner/loss" not in lines[0]  # the value model learns alone at first
    assert "train/loss" not in lines[0]
    assert all(line["critic/grad_norm"] > 0 and "critic/value" in line for line in lines)
    assert all(line["learner/correction"] == pytest.approx(1, abs=1e-3) for line in lines[1:])
    # the reference is the policy after step 3, and for two updates the policy has left it little
    kl = [line["learner/reference_kl"] for line in lines[1:]]
    assert kl[0] < kl[1]
    assert kl[2] < kl[1]
    # entropy is over the target at first and the weight goes down to nothing, or it grows with each step
    coefficients = [line["learner/entropy_coef"] for line in lines[1:]]
    entropies = [line["learner/entropy"] for line in lines[1:]]
    assert any(entropy < 1.0 for entropy in entropies[:-1]) == any(c > 0 for c in coefficients)
    state = json.loads((whole / "rl" / "checkpoints" / f"step_{STEPS:06d}" / "loop.json").read_text())
    drawn = {group.problem.id for group in read_journal(whole / "rl")}
    assert set(state["drawing"]["order"]["pass_rates"]) == drawn


def test_the_learner_renormalizes_over_what_was_sampled_from(whole: Path) -> None:
    """The nucleus of the policy; the check of vLLM against the learner holds at every step's first tokens."""
    lines = metrics_of(whole / "rl")[1:]
    assert lines[0]["rollouts/logprob_gap"] < 1e-4
    for step, line in enumerate(lines, start=1):
        rollouts = [r for group in read_journal(whole / "rl", "train", step) for r in group.rollouts]
        masks = [r.sampling_mask for r in rollouts]
        sizes = np.concatenate(
            [mask.sizes[r.sampled] for mask, r in zip(masks, rollouts, strict=True) if mask]
        )
        assert line["rollouts/mask_size"] == pytest.approx(sizes.mean())
        assert 1 <= sizes.min() < sizes.max()


def test_the_policy_learned_from_the_second_step_on(whole: Path) -> None:
    lines = metrics_of(whole / "rl")[1:]
    assert all(line["learner/grad_norm"] > 0 for line in lines[1:])
    assert np.isfinite([line["train/loss"] for line in lines[1:]]).all()


# the disk, with room for a few lines and no checkpoint, is seen by these processes alone
ON_A_FULL_DISK = """
mount -t tmpfs -o size=$(($(du -sm {whole} | cut -f1) + 8))m none disk || exit 99
cp -r {whole} disk/run && rm -r disk/run/rl/checkpoints/step_{last:06d} || exit 98
dd if=/dev/zero of=disk/room bs=1k count=600 && dd if=/dev/zero of=disk/rest bs=1k
rm disk/room
{rlvr} train resume=disk/run > full.txt
echo $? > code.txt
ls disk/run/rl/checkpoints > checkpoints.txt
rm disk/rest
{rlvr} train resume=disk/run && cp -r disk/run .
"""


def test_all_of_it_goes_on_bit_for_bit_from_a_full_disk_once_there_is_room(
    tmp_path: Path, whole: Path
) -> None:
    """The value model, the reference of its own, the curriculum and the entropy's weight.

    Also: a run that was killed before its last checkpoint makes the steps since the one before again.
    """
    assert checkpoints_of(whole / "rl") == [f"step_{STEPS - 2:06d}", f"step_{STEPS:06d}"]
    assert (whole / "rl" / "checkpoints" / f"step_{STEPS - 2:06d}" / "reference").is_dir()
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "disk").mkdir()
    script = ON_A_FULL_DISK.format(whole=whole, last=STEPS, rlvr=RLVR)
    run = Run.start_other(tmp_path, "sh", "-c", 'exec unshare --map-root-user --mount sh -c "$0"', script)
    try:
        code = run.wait()
    finally:
        run.kill()
    if code == 99 or "unshare:" in run.output.read_text():
        folder = tmp_path / "copy"
        shutil.copytree(whole, folder)
        shutil.rmtree(folder / "rl" / "checkpoints" / f"step_{STEPS:06d}")
        code, output = train(tmp_path, f"resume={folder}")
        assert code == 0, output
        assert_same_run(folder, whole)
        pytest.skip("no file system may be mounted here: steps were done again, but on no full disk")
    assert code == 0, run.output.read_text()
    assert (tmp_path / "code.txt").read_text() == "3\n"
    said = (tmp_path / "full.txt").read_text() + run.output.read_text()
    assert re.search(r"/rl/checkpoints/\S+ cannot be written \(No space left on device", said), said
    assert "make room there; then continue with: rlvr train resume=" in said
    assert "Traceback" not in said
    assert (tmp_path / "checkpoints.txt").read_text() == f"step_{STEPS - 2:06d}\n"
    assert_same_run(tmp_path / "run", whole)
