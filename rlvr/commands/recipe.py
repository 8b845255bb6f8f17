"""`rlvr recipe`: run a recipe, or say with --plan what would run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from rlvr.commands.launch import launch
from rlvr.configuration import compose
from rlvr.pipeline.recipe_config import RecipeConfig
from rlvr.types import RunInterrupted

HEADER = """\
# The resolved configuration of this recipe's run.
defaults:
  - recipe_schema
  - _self_
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
"""


def main(arguments: Sequence[str]) -> int:
    """Run the command; the exit code."""
    planning = "--plan" in arguments

    def job(tree: DictConfig) -> None:
        config = compose.to_config(tree, RecipeConfig)
        settings = HydraConfig.get()
        overrides = list(settings.overrides.task)
        if planning:
            from rlvr.pipeline.plan import print_plan

            print_plan(config, overrides)
            return
        from rlvr.commands.records import print_records
        from rlvr.pipeline.recipe import run_recipe

        saved = HEADER + OmegaConf.to_yaml(tree, resolve=True)
        try:
            run_recipe(config, settings.runtime.output_dir, saved, overrides)
            print_records(Path(settings.runtime.output_dir), curves=False)
        except RunInterrupted as stop:
            # no Exception: Hydra would go on with the next job of a sweep
            print(f"\nrlvr: {stop}", file=sys.stderr)
            raise SystemExit(130) from None

    rest = [argument for argument in arguments if argument != "--plan"]
    if planning:
        # a plan leaves nothing behind
        rest += ["hydra.output_subdir=null", "hydra.run.dir=.", "hydra.sweep.dir=.", "hydra.sweep.subdir=."]
    return launch("recipe", rest, job)
