"""`rlvr evaluate`: how good is a model on these problems?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from rlvr.base.stopping import StopRequest
from rlvr.commands.launch import Command, launch
from rlvr.configuration import compose
from rlvr.configuration.arguments import SAVED_CONFIG
from rlvr.pipeline.evaluate import prepare, run_evaluate
from rlvr.pipeline.evaluate_config import EvaluateConfig
from rlvr.record.layout import RESULTS
from rlvr.results.evaluation import recount

USAGE = """\
How good is a model on these problems?

  rlvr evaluate model=CHECKPOINT problems=[math500,mine.jsonl]   run it again to continue when stopped
  rlvr evaluate model=CHECKPOINT problems=[math500] baseline=FOLDER_OR_CHECKPOINT
  rlvr evaluate -m model=CHECKPOINT,OTHER problems=[math500]     a sweep: an evaluation for each
  rlvr evaluate from=FOLDER 'ks=[1,4]'      recompute the results from the answers of an evaluation
"""


def main(arguments: Sequence[str], stop: StopRequest | None = None) -> int:
    """Run the command; the exit code."""
    counted = [argument.partition("=")[2] for argument in arguments if argument.startswith("from=")]

    def job(tree: DictConfig, stop: StopRequest | None) -> None:
        config = compose.to_config(tree, EvaluateConfig)
        settings = HydraConfig.get()
        if counted:
            folder = Path(settings.runtime.output_dir)
            recount(folder, config.ks, config.baseline, settings.overrides.task)
            return
        folders = [Path(source.path) for source in settings.runtime.config_sources if source.schema == "file"]
        prepared = prepare(config, folders)
        run_evaluate(prepared, settings.runtime.output_dir, compose.saved("evaluate", tree), stop)

    rest = [written_out(argument) for argument in arguments if not argument.startswith("from=")]
    if counted:
        folder = Path(counted[-1])
        if not (folder / RESULTS).is_file() or not (folder / f"{SAVED_CONFIG}.yaml").is_file():
            print(f"rlvr: from={folder} is not the folder of a finished evaluation", file=sys.stderr)
            return 2
        rest = [f"resume={folder}", *rest]
    return launch(Command("evaluate", USAGE, job), rest, stop)


def written_out(argument: str) -> str:
    """Expand the short forms `model=X` and `problems=[a,b]`, which Hydra would read as groups."""
    key, given, value = argument.partition("=")
    if given and key == "model":
        return f"model.path={value}"
    if given and key == "problems":
        return f"problems.sets={value if value.startswith('[') else f'[{value}]'}"
    return argument
