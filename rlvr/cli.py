"""The `rlvr` command. Light to import: each command brings what it needs when it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rlvr import __version__

USAGE = """\
rlvr trains small language models with rewards that a program can check.

usage: rlvr COMMAND [GROUP=OPTION | KEY=VALUE ...] [Hydra's flags]

  train    run the stages of a configuration: rlvr train experiment=quickstart
           go on with a stopped run:          rlvr train resume=runs/NAME/DATE
           see the configuration first:       rlvr train experiment=quickstart --cfg job
           sweep:                             rlvr train -m seed=0,1,2 experiment=quickstart
           groups and options:                rlvr train --help

rlvr --version   prints the version
exit codes: 0 done, 1 unexpected error, 2 wrong configuration or data, 3 the run failed,
            130 stopped by Ctrl-C or SIGTERM (after a checkpoint)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(__version__)
        return 0
    if arguments[0] != "train":
        print(
            f"rlvr: there is no command {arguments[0]!r}; there is: train\n\n{USAGE}", file=sys.stderr, end=""
        )
        return 2
    return train(arguments[1:])


def train(arguments: Sequence[str]) -> int:
    """`rlvr train`: compose the configuration with Hydra, check it, run its stages."""
    # a reward function in the user's own folder is named by its import path
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us, who know what to say of them
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from rlvr import compose
    from rlvr.types import ConfigError, DataError, RlvrError, RunInterrupted

    def job(tree: DictConfig) -> None:
        config = compose.to_config(tree)
        from rlvr.stages.train import run_stages

        settings = HydraConfig.get()
        saved = compose.SAVED_HEADER + OmegaConf.to_yaml(tree, resolve=True)
        try:
            run_stages(config, settings.runtime.output_dir, saved, list(settings.overrides.task), resumed)
        except RunInterrupted as stop:
            # no Exception: Hydra would go on with the next job of a sweep
            print(f"\nrlvr: {stop}", file=sys.stderr)
            raise SystemExit(130) from None

    resumed = any(argument.startswith("resume=") for argument in arguments)
    compose.register_schema()
    try:
        sys.argv = ["rlvr train", *compose.resume_arguments(arguments)]
        hydra.main(version_base="1.3", config_path=str(compose.config_folder()), config_name="train")(job)()
    except (HydraException, OmegaConfBaseException) as error:
        print(f"rlvr: {compose.explain(error)}", file=sys.stderr)
        return 2
    except (ConfigError, DataError) as error:
        print(f"rlvr: {error}", file=sys.stderr)
        return 2
    except RlvrError as error:
        print(f"rlvr: {error}", file=sys.stderr)
        return 3
    return 0
