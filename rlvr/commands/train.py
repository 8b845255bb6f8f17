"""`rlvr train`: one run, or a sweep."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rlvr.commands.arm import run_arm


def main(arguments: Sequence[str]) -> int:
    """`rlvr train`: compose the configuration with Hydra, check it, run its stages."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig, OmegaConf

    from rlvr.commands.launch import launch
    from rlvr.configuration import compose
    from rlvr.types import ConfigError, RunInterrupted

    def job(tree: DictConfig) -> None:
        config = compose.to_config(tree)
        from rlvr.commands.records import print_records
        from rlvr.pipeline.train import run_stages

        settings = HydraConfig.get()
        saved = compose.SAVED_HEADER + OmegaConf.to_yaml(tree, resolve=True)
        try:
            run_stages(config, settings.runtime.output_dir, saved, list(settings.overrides.task), resumed)
            print_records(Path(settings.runtime.output_dir), curves="rl" in config.stages)
        except RunInterrupted as stop:
            # no Exception: Hydra would go on with the next job of a sweep
            print(f"\nrlvr: {stop}", file=sys.stderr)
            raise SystemExit(130) from None

    resumed = any(argument.startswith("resume=") for argument in arguments)
    try:
        arguments = compose.resume_arguments(arguments)
    except ConfigError as error:
        print(f"rlvr: {error}", file=sys.stderr)
        return 2
    return launch("train", arguments, job, run_arm)
