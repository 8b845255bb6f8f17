"""What a plan says a stage takes, where an earlier stage makes more problems."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rlvr.pipeline.checks import check_config
from rlvr.pipeline.config import RunConfig
from rlvr.pipeline.graph import Outside, build
from rlvr.pipeline.plan import most_problems, stage_need, stage_table
from rlvr.pipeline.prepare import Prepared
from rlvr.pipeline.sizes import NotHere
from rlvr.problems.generated import arithmetic
from rlvr.stages.config import ScratchModelConfig
from rlvr.types import DataError, Problem

TEMPLATES = str(Path(__file__).parents[2] / "experiments" / "shop_floor" / "templates.yaml")
PROBLEMS = arithmetic("train", 20, 1)


def prepared(*stages: str, templates: str | None, n: int, proposals: int) -> Prepared:
    config = RunConfig(stages=list(stages))
    config.model.scratch = ScratchModelConfig()
    config.sampling.max_tokens, config.rollouts.samples = 10, 3
    config.synthesize.templates, config.synthesize.n = templates, n
    config.synthesize.proposals = proposals
    nodes = build(config, Outside(PROBLEMS, {}, {}, "0123456789+=?"))
    return Prepared(config, nodes, PROBLEMS, {}, {}, None)


@pytest.mark.parametrize(
    ("templates", "n", "proposals", "most"),
    [(TEMPLATES, 300, 0, 320), (None, 300, 2, 60), (TEMPLATES, 300, 2, 360)],
)
def test_new_problems_count_in_every_stage_after_them(
    templates: str | None, n: int, proposals: int, most: int
) -> None:
    plan = prepared("distill", "synthesize", "select", "dpo", templates=templates, n=n, proposals=proposals)
    counts = {node.name: most_problems(plan, node) for node in plan.nodes}
    assert counts == {"base": 20, "distill": 20, "synthesize": 20, "select": most, "dpo": most}


def test_rollouts_of_new_problems_are_part_of_the_tokens_sampled() -> None:
    plan = prepared("synthesize", "rollouts", templates=TEMPLATES, n=300, proposals=0)
    needs = {node.name: stage_need(plan, node).sampled for node in plan.nodes}
    assert needs["rollouts"] == 320 * 3 * 10


def test_templates_count_by_their_content_and_a_reward_only_where_a_teacher_proposes(tmp_path: Path) -> None:
    def key(proposals: int = 0, **reward: float) -> str:
        plan = prepared("synthesize", templates=str(file), n=9, proposals=proposals)
        plan.config.reward.weights = reward
        return {node.name: node.key for node in build(plan.config, Outside(PROBLEMS, {}, {}, None))}[
            "synthesize"
        ]

    file = tmp_path / "templates.yaml"
    file.write_text("templates: []")
    first, proposed = key(), key(proposals=1)
    assert key(brief=2.0) == first
    assert key(proposals=1, brief=2.0) != proposed
    file.write_text("templates: [] # of another kind")
    assert key() != first


def test_templates_that_cannot_be_read_are_said_before_anything_runs(tmp_path: Path) -> None:
    config = prepared("synthesize", templates=None, n=9, proposals=0).config
    config.synthesize.templates = str(tmp_path / "none.yaml")
    config.problems.train = {"_target_": "rlvr.problems.files.from_file", "path": "mine.jsonl"}
    config.reward.functions = {"math": {"_target_": "rlvr.rewards.math.math_reward"}}
    with pytest.raises(DataError, match=r"none\.yaml: no such file"):
        check_config(config, [])


@pytest.mark.parametrize(("problems", "sampled"), [(PROBLEMS, "–"), ([], "unknown")])
def test_tokens_of_problems_that_are_not_here_are_not_known_and_templates_take_none(
    problems: list[Problem], sampled: str
) -> None:
    plan = prepared("synthesize", templates=TEMPLATES, n=9, proposals=0)
    plan = replace(plan, problems=problems)
    line = next(row for row in stage_table(plan, NotHere("")).splitlines() if "synthesize" in row)
    assert line.split("|")[7].strip() == sampled
