"""`rlvr train` and `rlvr recipe`: run the stages that `stages` names, or a sweep of such runs.

The two commands differ only in their primary configuration: conf/train.yaml and conf/recipe.yaml.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rlvr.base.stopping import StopRequest
from rlvr.commands.launch import Command, launch

USAGE = {
    "train": """\
One run of the stages that `stages` names, SFT and RL for example.

  rlvr train experiment=quickstart          start a run; its folder is runs/NAME/DATE
  rlvr train resume=FOLDER [rl.steps=200]   continue a stopped run, or extend one to more steps
  rlvr train -m experiment=quickstart seed=0,1,2    a sweep: a run for each value
""",
    "recipe": """\
Train a model through several stages; completed stages are skipped.

  rlvr recipe recipe=quickstart             run the same command again to continue when stopped
  rlvr recipe recipe=quickstart stages=[teacher,distill,sft,rl]
  rlvr recipe resume=FOLDER                 continue the run in this folder
  rlvr recipe -m recipe=quickstart seed=0,1,2       a sweep: a run for each value
""",
}

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from rlvr.pipeline.config import RunConfig


def main(arguments: Sequence[str], stop: StopRequest | None = None) -> int:
    """`rlvr train ARGUMENTS`; the exit code."""
    return _command("train", arguments, stop)


def recipe(arguments: Sequence[str], stop: StopRequest | None = None) -> int:
    """`rlvr recipe ARGUMENTS`; the exit code."""
    return _command("recipe", arguments, stop)


def _command(command: str, arguments: Sequence[str], stop: StopRequest | None) -> int:
    resumed = any(argument.startswith("resume=") for argument in arguments)

    def plan(tree: DictConfig) -> None:
        from rlvr.configuration.compose import to_config
        from rlvr.pipeline.plan import print_plan

        config: RunConfig = to_config(tree)
        print_plan(config, _here()[1])

    def run(tree: DictConfig, stop: StopRequest | None) -> None:
        from rlvr.configuration.compose import saved, to_config

        config: RunConfig = to_config(tree)
        from rlvr.commands.records import print_records
        from rlvr.pipeline.run import run_pipeline

        folder, overrides = _here()
        run_pipeline(config, folder, saved(command, tree), overrides, command, resumed, stop)
        print_records(folder, curves="rl" in config.stages and not config.evaluation.every_stage)

    return launch(Command(command, USAGE[command], run, plan), arguments, stop)


def _here() -> tuple[Path, list[str]]:
    """The folder of Hydra's current job, and the overrides of its command line."""
    from hydra.core.hydra_config import HydraConfig

    settings = HydraConfig.get()
    return Path(settings.runtime.output_dir), list(settings.overrides.task)
