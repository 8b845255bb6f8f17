"""A recipe's graph: what a stage is made from, and when its key changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rlvr.base.identity import changes
from rlvr.pipeline.config import RunConfig
from rlvr.pipeline.graph import Node, Outside, build
from rlvr.problems.generated import arithmetic
from rlvr.stages.config import DistillConfig, OwnConfig, ScratchModelConfig
from rlvr.types import ConfigError, Problem

PROBLEMS = arithmetic("train", 20, 1)
HELDOUT = arithmetic("heldout", 10, 1)


def config_of(*stages: str, **settings: Any) -> RunConfig:
    config = RunConfig(stages=list(stages), trainers={"teacher": OwnConfig(start="base")}, **settings)
    config.model.scratch = ScratchModelConfig()
    config.distill.teacher = "teacher"
    return config


def outside(
    train: Sequence[Problem] = PROBLEMS,
    heldout: Sequence[Problem] = HELDOUT,
    alphabet: str | None = "0123456789+=?",
) -> Outside:
    return Outside(train, {}, {"heldout": heldout}, alphabet)


def graph(config: RunConfig) -> dict[str, Node]:
    return {node.name: node for node in build(config, outside())}


FULL = ("teacher", "distill", "midtrain", "sft", "rollouts", "dpo", "rl")


def test_each_stage_begins_with_the_model_of_the_one_before_and_a_teacher_is_beside_the_chain() -> None:
    nodes = graph(config_of(*FULL))
    assert list(nodes) == ["base", *FULL]
    assert [nodes[name].model for name in ("teacher", "midtrain", "sft", "dpo", "rl")] == [
        "base",
        "base",
        "midtrain",
        "sft",
        "dpo",
    ]
    assert [name for name, node in nodes.items() if node.side] == ["teacher"]
    assert nodes["distill"].teacher == "teacher"
    assert nodes["rollouts"].teacher == "sft"  # its own answers
    assert nodes["midtrain"].data == ["distill"]


def test_without_a_stage_the_next_begins_with_the_one_before_it() -> None:
    nodes = graph(config_of("teacher", "distill", "sft", "dpo"))
    assert nodes["sft"].model == "base"
    assert nodes["dpo"].model == "sft"


def test_stages_that_make_problems_are_read_by_all_that_follow() -> None:
    config = config_of("sft", "select", "rl")
    nodes = graph(config)
    assert nodes["select"].problems is None
    assert nodes["rl"].problems == "select"
    assert nodes["select"].model == "sft"


def test_a_change_makes_the_stage_and_all_that_follow_anew_and_nothing_else() -> None:
    before = graph(config_of(*FULL))
    config = config_of(*FULL)
    config.sft.optimizer.lr *= 2
    after = graph(config)
    changed = [name for name in before if before[name].key != after[name].key]
    assert changed == ["sft", "rollouts", "dpo", "rl"]
    assert changes(before["sft"].settings, after["sft"].settings) == ["sft.optimizer.lr 1e-05 → 2e-05"]


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("learner", "micro_batch_tokens", 77),
        ("learner", "deadline", 5.0),
        ("reward", "workers", 3),
        ("rollout", "max_num_seqs", 9),
        ("cluster", "cpus", 1),
        ("record", "journal", False),
        ("sft", "checkpoint_every", 3),
    ],
)
def test_where_and_how_fast_something_is_computed_makes_nothing_anew(
    section: str, key: str, value: object
) -> None:
    config = config_of(*FULL)
    setattr(getattr(config, section), key, value)
    assert {n.name: n.key for n in graph(config).values()} == {
        n.name: n.key for n in graph(config_of(*FULL)).values()
    }


@pytest.mark.parametrize(
    ("key", "value", "changed"),
    [
        ("sampling.top_p", 0.9, ["select", "rl", "rl-evaluation"]),
        ("sampling.top_k", 5, ["select", "rl", "rl-evaluation"]),
        ("sampling.min_p", 0.1, ["select", "rl", "rl-evaluation"]),
        ("sampling.min_tokens", 2, ["select", "rl", "rl-evaluation"]),
        # what ends an answer ends it in evaluations, too
        ("sampling.stop", ["#"], ["base-evaluation", "sft-evaluation", "select", "rl", "rl-evaluation"]),
        ("evaluation.top_k", 5, ["base-evaluation", "sft-evaluation", "rl", "rl-evaluation"]),
        ("evaluation.stop", ["#"], ["base-evaluation", "sft-evaluation", "rl", "rl-evaluation"]),
        ("evaluation.repetition_penalty", 1.1, ["base-evaluation", "sft-evaluation", "rl", "rl-evaluation"]),
    ],
)
def test_how_tokens_are_drawn_counts_once_it_is_set(key: str, value: object, changed: list[str]) -> None:
    def keys(change: bool) -> dict[str, str]:
        config = config_of("sft", "select", "rl")
        config.evaluation.every_stage = True
        if change:
            section, _, name = key.partition(".")
            setattr(getattr(config, section), name, value)
        nodes = build(config, replace(outside(), sets={"heldout": HELDOUT}))
        assert change or not {"top_k", "min_p", "stop"} & {*nodes[-1].settings["evaluation"]}
        return {node.name: node.key for node in nodes}

    before, after = keys(False), keys(True)
    assert [name for name in before if before[name] != after[name]] == changed


def test_seeds_problems_and_prompts_make_everything_anew() -> None:
    before = graph(config_of(*FULL))
    config = config_of(*FULL)
    config.problems.prompt.template = "What is {problem}"
    other_seed = graph(config_of(*FULL, seed=1))
    other_prompt = graph(config)
    other_problems = {
        n.name: n for n in build(config_of(*FULL), outside(PROBLEMS[1:], HELDOUT, "0123456789+=?"))
    }
    for name in FULL:
        keys = {g[name].key for g in (before, other_seed, other_prompt, other_problems)}
        assert len(keys) == 4, name
    assert before["base"].key == other_problems["base"].key  # made without problems
    assert before["base"].key != other_seed["base"].key


def test_an_evaluation_set_matters_only_to_what_is_cleaned_of_it() -> None:
    stages = ("teacher", "select", "distill", "midtrain")
    before = graph(config_of(*stages))
    after = {n.name: n for n in build(config_of(*stages), outside(heldout=[]))}
    cleaned = [name for name in before if "evaluation sets" in before[name].made_from]
    assert cleaned == ["teacher", "distill"]  # worked solutions, and answers to the problems
    assert all(before[name].key != after[name].key for name in cleaned)
    assert before["base"].key == after["base"].key


def test_a_file_of_traces_counts_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / "mine.parquet"
    file.write_bytes(b"one")
    config = config_of("sft")
    config.sft.data = [str(file)]
    first = graph(config)["sft"]
    file.write_bytes(b"two")
    assert first.files == [str(file)]
    assert graph(config)["sft"].key != first.key


def test_a_model_folder_counts_by_its_files(tmp_path: Path) -> None:
    config = config_of("sft")
    config.model.scratch, config.model.path = None, str(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"1")
    first = {n.name: n for n in build(config, outside(alphabet=None))}
    (tmp_path / "model.safetensors").write_bytes(b"12")
    second = {n.name: n for n in build(config, outside(alphabet=None))}
    assert first["base"].key != second["base"].key
    assert first["sft"].key != second["sft"].key


def test_a_teacher_that_is_no_stage_is_outside() -> None:
    config = config_of("distill", "sft")
    config.distill = DistillConfig(teacher="some/Model")
    node = graph(config)["distill"]
    assert (node.teacher, node.outside) == (None, "some/Model")


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ([], "stages is empty"),
        (["sfft"], "did you mean 'sft'"),
        (["sft", "sft"], "name each stage at most once"),
        (["midtrain", "distill"], "stages must name distill before midtrain"),
        (["dpo"], "dpo.data names 'distill'"),
    ],
)
def test_what_cannot_be_a_recipe_is_said(stages: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        graph(config_of(*stages))


def test_a_stage_needs_a_name_that_a_folder_can_be_told_by() -> None:
    config = replace(config_of("sft-two"), trainers={"sft-two": OwnConfig()})
    with pytest.raises(ConfigError, match=r"trainers\.sft-two is not a valid stage name"):
        graph(config)


def test_a_trainer_cannot_take_the_name_of_a_stage() -> None:
    config = replace(config_of("sft"), trainers={"dpo": OwnConfig()})
    with pytest.raises(ConfigError, match=r"trainers\.dpo has the name of an existing stage"):
        graph(config)


def test_what_an_import_path_is_called_with_always_counts() -> None:
    def key(**arguments: object) -> str:
        config = config_of("sft")
        config.sft.trainer = {"_target_": "rlvr.stages.sft.Sft", **arguments}
        return graph(config)["sft"].key

    assert len({key(), key(timeout=1), key(timeout=2), key(most=None)}) == 4


def test_columns_of_problems_count() -> None:
    other = [replace(PROBLEMS[0], columns={"level": 99}), *PROBLEMS[1:]]
    config = config_of("sft")
    after = {node.name: node for node in build(config, outside(other))}
    assert graph(config)["sft"].key != after["sft"].key


def test_a_copy_of_a_model_is_the_same_model(tmp_path: Path) -> None:
    keys = []
    for name in ("one", "copy", "another"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"2" if name == "another" else b"1")
        config = config_of("sft")
        config.model.scratch, config.model.path = None, str(tmp_path / name)
        base = build(config, outside(alphabet=None))[0]
        keys.append(base.made_from["checkpoint"])
    assert keys[0] == keys[1] != keys[2]
