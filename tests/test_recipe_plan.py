"""What a plan says a stage takes, where an earlier stage makes more problems."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlvr.problems.generated import arithmetic
from rlvr.recipe.config import RecipeConfig
from rlvr.recipe.graph import build
from rlvr.recipe.plan import most_problems, stage_need
from rlvr.recipe.run import Prepared
from rlvr.stages.config import ScratchModelConfig

PROBLEMS = arithmetic("train", 20, 1)


def prepared(*stages: str, templates: str | None, n: int, proposals: int) -> Prepared:
    config = RecipeConfig(stages=list(stages))
    config.model.scratch = ScratchModelConfig()
    config.sampling.max_tokens, config.rollouts.samples = 10, 3
    config.synthesize.templates, config.synthesize.n = templates, n
    config.synthesize.proposals = proposals
    return Prepared(config, build(config, PROBLEMS, [], "0123456789+=?"), PROBLEMS, {}, None, Path("stages"))


@pytest.mark.parametrize(
    ("templates", "n", "proposals", "most"),
    [("mine.yaml", 300, 0, 320), (None, 300, 2, 60), ("mine.yaml", 300, 2, 360)],
)
def test_new_problems_count_in_every_stage_after_them(
    templates: str | None, n: int, proposals: int, most: int
) -> None:
    plan = prepared("distill", "synthesize", "select", "dpo", templates=templates, n=n, proposals=proposals)
    counts = {node.name: most_problems(plan, node) for node in plan.nodes}
    assert counts == {"base": 20, "distill": 20, "synthesize": 20, "select": most, "dpo": most}


def test_rollouts_of_new_problems_are_part_of_the_tokens_sampled() -> None:
    plan = prepared("synthesize", "rollouts", templates="mine.yaml", n=300, proposals=0)
    needs = {node.name: stage_need(plan, node).sampled for node in plan.nodes}
    assert needs["rollouts"] == 320 * 3 * 10
