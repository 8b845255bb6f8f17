"""A command from its arguments to its job: composing, errors, exit codes."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from rlvr.base.disk import disk_error
from rlvr.configuration.compose import (
    SCHEMAS,
    check_name,
    choices_of,
    composing_message,
    config_folder,
    is_sweep,
    register_schema,
)
from rlvr.pipeline.arms import recorded
from rlvr.sweep.sweep import Program, sweep
from rlvr.types import ConfigError, DataError, RlvrError

STARTS_WITH = {"train": "experiment", "recipe": "recipe"}  # command → the group that says what to run


def launch(
    command: str,
    arguments: Sequence[str],
    job: Callable[[DictConfig], None],
    program: Program | None = None,
) -> int:
    """Compose `rlvr COMMAND ARGUMENTS` and run `job` on it, or on each value of a sweep; the exit code.

    Errors meant for the user are printed: 2 for a wrong configuration or wrong data, 3 for what fails later.
    """
    if not arguments and command in STARTS_WITH:
        group = STARTS_WITH[command]
        examples = "\n".join(f"  rlvr {command} {group}={name}" for name in choices_of()[group])
        more = f"All that can be set: rlvr {command} --help"
        print(f"rlvr: {command} what? For example:\n{examples}\n{more}", file=sys.stderr)
        return 2
    # a reward function in the user's own folder is named by its import path
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us, who know what to say of them
    register_schema()
    composing = True
    failed: list[Exception] = []

    @functools.wraps(job)
    def watched(tree: DictConfig) -> None:
        nonlocal composing
        composing = False
        try:
            with recorded(Path(HydraConfig.get().runtime.output_dir)):
                job(tree)
        except (RlvrError, HydraException, OmegaConfBaseException) as error:
            # past Hydra, which would print all overrides before what there is to say
            failed.append(error)
        composing = True  # the next job of a sweep

    try:
        # before Hydra makes the folder
        for argument in arguments:
            if argument.startswith("name="):
                check_name(argument.partition("=")[2].strip("'\""))
        if program is not None and is_sweep(arguments):
            return sweep(arguments, lambda arm: launch(command, arm, job, program), program)
        sys.argv = [f"rlvr {command}", *arguments]
        hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=command)(watched)()
        if failed:
            raise failed[0]
    except (AttributeError, AssertionError, HydraException, OmegaConfBaseException) as error:
        # of a part of a section that is not there, OmegaConf has no more to say than an AttributeError
        message = composing_message(error, arguments, SCHEMAS[command], composing)
        if message is None:
            raise
        print(f"rlvr: {message}", file=sys.stderr)
        return 2
    except (ConfigError, DataError) as error:
        print(f"rlvr: {error}", file=sys.stderr)
        return 2
    except RlvrError as error:
        print(f"rlvr: {error}", file=sys.stderr)
        return 3
    except OSError as error:
        if (said := disk_error(Path.cwd(), error, "cannot be read or written")) is None:
            raise
        print(f"rlvr: {said}", file=sys.stderr)
        return 3
    return 0
