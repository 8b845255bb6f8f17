"""Which runs there are, how far they came, and which are an arm's seeds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from pyarrow import parquet

from rlvr.base.identity import that_matter
from rlvr.commands.compare import run
from rlvr.compare.arms import Arm, arms_of, baseline_of
from rlvr.compare.curves import read_curve
from rlvr.compare.runs import find_runs
from rlvr.pipeline.status import State
from rlvr.record.journal import journal_path, write_journal
from rlvr.record.run_folder import RunFolder
from rlvr.record.sinks import JsonLines
from rlvr.types import ConfigError, DataError, Group, Problem
from tests.compared_runs import (
    METRIC,
    STEPS,
    make_recipe,
    make_run,
    results_of,
    settings,
)
from tests.groups import group

# Arms


def test_runs_that_differ_in_seed_name_and_neutral_settings_are_one_arm(tmp_path: Path) -> None:
    configs = [
        settings(0),
        settings(1, name="again", reward__workers=4, record__journal=False, cluster__cpus=1),
        settings(0, sampling__temperature=0.8, rl__evaluate_every=5),
        settings(2, sampling__temperature=0.8, sampling__top_k=None),
    ]
    for number, config in enumerate(configs):
        make_run(tmp_path / str(number), config, [0.1, 0.5])
    arms, differing = arms_of(find_runs([tmp_path]))
    assert differing == ["sampling.temperature"]
    assert [(arm.label, [found.seed for found in arm.runs]) for arm in arms] == [
        ("sampling.temperature=1.0", [0, 1]),
        ("sampling.temperature=0.8", [0, 2]),
    ]


def test_labels_show_what_is_unset_and_values_as_the_command_line_takes_them(tmp_path: Path) -> None:
    changed = [
        {},
        {"reward__weights": {"length": 0.1}},
        {"stages": ["sft", "rl"], "reward__weights": {"length": 0.1}, "algorithm__whiten": True},
    ]
    for number, change in enumerate(changed):
        make_run(tmp_path / str(number), settings(0, **change), [0.1, 0.5])
    arms, _ = arms_of(find_runs([tmp_path]))
    assert [arm.label for arm in arms] == [
        "stages=[rl] reward.weights.length=— algorithm.whiten=—",
        "stages=[rl] reward.weights.length=0.1 algorithm.whiten=—",
        "stages=[sft,rl] reward.weights.length=0.1 algorithm.whiten=true",
    ]


def test_a_setting_that_follows_the_seed_makes_no_arms(tmp_path: Path) -> None:
    for number, (seed, lora) in enumerate([(0, 0), (1, 1), (5, 5)]):
        make_run(tmp_path / str(number), settings(seed, learner__lora__seed=lora), [0.1, 0.5])
    arms, differing = arms_of(find_runs([tmp_path]))
    assert (len(arms), arms[0].label, differing) == (1, "toy", [])
    make_run(tmp_path / "3", settings(6, learner__lora__seed=5), [0.1, 0.5])
    arms, differing = arms_of(find_runs([tmp_path]))
    assert len(arms) == 3  # 5 of both seeds 5 and 6
    assert differing == ["learner.lora.seed"]


def test_arms_that_differ_in_many_settings_have_the_names_of_the_command_line(tmp_path: Path) -> None:
    many = {f"algorithm__{name}": 1 for name in "abcd"}
    for number, (change, arm) in enumerate([({}, "grpo"), (many, "dapo"), (many | {"x": 2}, "dapo")]):
        overrides = ["experiment=toy", f"+algorithm={arm}", "seed=3", f"hydra.job.num={number}"]
        make_run(tmp_path / str(number), settings(3, **change), [0.1, 0.5], overrides=overrides)
    arms, _ = arms_of(find_runs([tmp_path]))
    # the last two say the same on the command line, so that a setting has to tell them apart
    assert [arm.label for arm in arms] == ["algorithm=grpo", "algorithm=dapo", "algorithm=dapo x=2"]
    assert arms[1].settings == "algorithm.a=1 algorithm.b=1 algorithm.c=1 algorithm.d=1 x=—"


def test_long_values_are_cut_and_labels_stay_apart(tmp_path: Path) -> None:
    for number, end in enumerate("ab"):
        template = "{problem}\n" + "think " * 30 + end
        make_run(tmp_path / str(number), settings(0, problems__template=template), [0.1, 0.5])
    labels = [arm.label for arm in arms_of(find_runs([tmp_path]))[0]]
    assert labels[0].startswith('problems.template="{problem}\\nthink think')
    assert labels[1] == f"{labels[0]} (2)"
    assert all(len(label) < 90 and "\n" not in label for label in labels)


def test_baseline_by_label_or_a_part_of_it() -> None:
    arms = [Arm("t=1", []), Arm("t=1 x=2", []), Arm("t=0.8 x=2", [])]
    assert baseline_of(arms, None) == 0
    assert baseline_of(arms, "t=1") == 0  # the whole of one label, and part of another
    assert baseline_of(arms, "0.8") == 2
    with pytest.raises(ConfigError, match=r"matches several arms(.|\n)*t=1 x=2\n  t=0.8 x=2"):
        baseline_of(arms, "x=2")
    with pytest.raises(ConfigError, match=r"matches no arm(.|\n)*t=1\n"):
        baseline_of(arms, "nothing")


# Which runs there are, and how far they came


def test_runs_are_found_however_deep_once_each_and_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        make_run(tmp_path / "runs" / "toy" / "sweep" / str(number), settings(number), [0.1, 0.5])
    make_run(tmp_path / "runs" / "other", settings(7), [0.1, 0.5])
    (tmp_path / "runs" / "compare.md").touch()
    paths = [tmp_path / "runs" / "other", tmp_path / "runs", tmp_path / "runs" / "compare.md"]
    assert [found.seed for found in find_runs(paths)] == [7, 1, 2, 10]
    assert [found.seed for found in find_runs([tmp_path / "runs" / "other" / "rl"])] == [7]


def test_what_holds_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        find_runs([tmp_path / "nowhere"])
    with pytest.raises(DataError, match="there is no run in"):
        find_runs([tmp_path])
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(DataError, match=r"config\.yaml is damaged"):
        find_runs([tmp_path])


def test_runs_of_other_data_are_no_seeds_of_one_arm(tmp_path: Path) -> None:
    for seed, content in enumerate(["aaaa1111cccc", "aaaa1111cccc", "bbbb2222dddd"]):
        folder = make_run(tmp_path / str(seed), settings(seed), [0.1, 0.5])
        (folder / "contents.json").write_text(json.dumps({"mine.jsonl": content}))
    arms, differing = arms_of(find_runs([tmp_path]))
    assert differing == ["content of mine.jsonl"]
    assert [(arm.label, len(arm.runs)) for arm in arms] == [
        ("content of mine.jsonl=aaaa1111", 2),
        ("content of mine.jsonl=bbbb2222", 1),
    ]


def test_a_run_is_finished_running_or_failed(tmp_path: Path) -> None:
    done = make_run(tmp_path / "0", settings(0), [0.1, 0.5])
    stopped = make_run(tmp_path / "1", settings(1), [0.1, 0.5], last=10)
    longer = make_run(tmp_path / "2", settings(2, rl__steps=2 * STEPS), [0.1, 0.5])
    (longer / "rl" / "result.json").write_text('{"step": 20}')  # ended, and then was asked for more
    (longer / "outcome.json").unlink(missing_ok=True)
    other = make_run(tmp_path / "3", settings(3, stages=["rl", "sft"]), [0.1, 0.5])  # its last never began
    (other / "outcome.json").unlink()
    states = [read_curve(found, METRIC).state for found in find_runs([done, stopped, longer, other])]
    assert states == [State.DONE, State.KILLED, State.KILLED, State.KILLED]
    with RunFolder(stopped):
        assert read_curve(find_runs([stopped])[0], METRIC).state is State.RUNNING
    assert read_curve(find_runs([stopped])[0], METRIC).state is State.KILLED


def test_a_run_that_was_refused_is_an_arm_s_failed_run(tmp_path: Path) -> None:
    make_run(tmp_path / "0", settings(0, rl__lr=0.1), [0.1, 0.5])
    hydra = tmp_path / "1" / ".hydra"
    hydra.mkdir(parents=True)
    unresolved = settings(1, rl__lr="${rate}", rate=0.1)
    (tmp_path / "0" / "config.yaml").write_text(yaml.safe_dump(settings(0, rl__lr=0.1, rate=0.1)))
    (hydra / "config.yaml").write_text(yaml.safe_dump(unresolved))
    (result,) = results_of(tmp_path)
    assert (result.count(State.DONE), result.count(State.KILLED)) == (1, 1)
    assert [curve.found.seed for curve in result.used] == [0]
    text, _ = run([tmp_path], out=str(tmp_path / "out"))
    assert "| toy | 1 of 2, 1 killed |" in text
    assert "1 (seed 1): did not finish, killed before its first heldout/pass@1; left out" in text


# Arms of a sweep


def test_arms_of_a_sweep_that_have_not_begun_are_counted(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        folder = tmp_path / f"seed={seed}"
        folder.mkdir()
        kept = {key: part for key, part in settings(seed).items() if key not in ("name", "record", "cluster")}
        arm = {"overrides": [f"seed={seed}"], "settings": that_matter(kept)}
        (folder / "arm.json").write_text(json.dumps(arm))
    (tmp_path / "seed=1" / "outcome.json").write_text(
        json.dumps({"status": "failed", "code": 2, "reason": "no model\nthere", "value": None})
    )
    make_run(tmp_path / "seed=0", settings(0), [0.1, 0.5])
    with RunFolder(tmp_path):  # the sweep itself goes on
        (result,) = results_of(tmp_path)
    assert [curve.state for curve in result.curves] == [State.DONE, State.FAILED, State.WAITING]
    assert [curve.found.seed for curve in result.used] == [0]
    text, files = run([tmp_path])
    assert "1 of 3, 1 failed, 1 not begun" in text
    assert "seed=1 (seed 1): did not finish, failed before its first heldout/pass@1 (no model there)" in text
    assert files[0].parent == tmp_path


def test_a_warm_start_that_arms_share_counts_in_each(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "shared" / "sft-abc" / "metrics.jsonl")
    log.log(5, {"time/step": 30.0, "tokens/trained": 1000.0})
    log.close()
    (tmp_path / "shared" / "sft-abc" / "manifest.json").write_text('{"versions": {}}')
    for seed in (0, 1):
        folder = make_run(tmp_path / f"seed={seed}", settings(seed, stages=["sft", "rl"]), [0.2, 0.6])
        (folder / "stages.json").write_text('{"sft": "../shared/sft-abc", "rl": "rl"}')
    runs = find_runs([tmp_path])  # the shared folder is none
    curves = [read_curve(found, METRIC) for found in runs]
    assert [(curve.cost.steps, curve.cost.seconds) for curve in curves] == [(STEPS + 5, 70), (STEPS + 5, 70)]
    assert all(curve.state is State.DONE and curve.final == 0.6 for curve in curves)


# A recipe's runs


def test_a_recipe_s_curve_is_its_chain_of_models(tmp_path: Path) -> None:
    found = find_runs([make_recipe(tmp_path, 1, {"a": 0.25, "b": 0.5, "c": 0.75})])[0]
    curve = read_curve(found, METRIC)
    assert [(point.key, point.step, point.value) for point in curve.points] == [
        ("base", 0, 0.0),
        ("sft", 80, 0.3),
        ("rl", 140, 0.5),
    ]
    # the teacher's time counts, its steps are not the chain's
    assert [point.cost.seconds for point in curve.points] == [1, 91, 191]
    assert curve.state is State.DONE
    assert curve.problems == {"a": 0.25, "b": 0.5, "c": 0.75}
    reward = read_curve(found, "train/reward")
    assert [(point.step, point.value, point.cost.seconds) for point in reward.points] == [(60, 0.7, 100)]
    assert {METRIC, "train/reward"} <= set(reward.metrics)


def test_a_recipe_that_has_not_come_to_its_end_has_not_finished(tmp_path: Path) -> None:
    make_recipe(tmp_path, 1, {"a": 0.5, "b": 0.25}, done=False)
    make_recipe(tmp_path, 2, {"a": 0.5, "b": 0.5})
    (result,) = results_of(tmp_path)  # the folder of the stages holds no runs
    assert (result.value.mean, result.count(State.KILLED)) == (0.5, 1)


def test_groups_without_verdicts_have_no_value(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "0", settings(0), [0.2, 0.6])
    groups = [Group(Problem("p0", "t", "1"), group([None, None], "p0").rollouts), group([None, 1.0], "p1")]
    write_journal(journal_path(folder / "rl", "heldout", STEPS), groups)
    curve = read_curve(find_runs([folder])[0], METRIC)
    assert math.isnan(curve.problems["p0"])
    assert curve.problems["p1"] == 1.0


def test_broken_journals_are_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "0", settings(0), [0.2, 0.6])
    path = journal_path(folder / "rl", "heldout", STEPS)
    path.parent.mkdir(parents=True)
    path.write_text("nothing")
    with pytest.raises(DataError, match="step_000020"):
        read_curve(find_runs([folder])[0], METRIC)
    parquet.write_table(pa.table({"problem_id": ["a"]}), path)
    with pytest.raises(DataError, match="step_000020"):
        read_curve(find_runs([folder])[0], METRIC)
