"""Run a command from its arguments: compose the settings, resume, sweep, report errors, exit codes."""

from __future__ import annotations

import functools
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from rlvr.base.disk import disk_error
from rlvr.base.imports import find_own_functions
from rlvr.base.stopping import StopRequest
from rlvr.commands.arm import run_arm
from rlvr.commands.exit_codes import failed
from rlvr.configuration.arguments import config_dirs, is_sweep, readable, resume_arguments
from rlvr.configuration.compose import COMPOSING, check_name, composing_message, register_schema
from rlvr.configuration.keys import choices_of, config_folder, groups_of
from rlvr.pipeline.status import recorded
from rlvr.sweep.sweep import Sweep, sweep
from rlvr.types import ConfigError, RlvrError, RunInterrupted

STARTS_WITH = {"train": "experiment", "recipe": "recipe"}  # command → the group that says what to run
# Hydra's overrides for --plan, so that it writes no files.
NOWHERE = ["hydra.output_subdir=null", "hydra.run.dir=."]
STOPPED = 130  # exit code
HELP = """\
{usage}
groups, as GROUP=OPTION:
{groups}

settings, as KEY=VALUE with dots in KEY (all of them: docs/configuration.md, or --cfg job):
  reward.clip=[-1,1]   change a value
  +reward.weights.x=2  add an entry to a section that takes any names
  'name="a, b"'        quote a value that contains commas or brackets
  hydra.run.dir=DIR    set the run's folder

flags:
  --cfg job            print the resolved configuration; nothing is started
{plan}  --config-dir DIR     a folder of your own with groups, such as DIR/reward/mine.yaml
  --info defaults      which files make the configuration; --hydra-help lists Hydra's other flags
"""


@dataclass(frozen=True)
class Command:
    """A command whose settings Hydra composes."""

    name: str
    usage: str  # what it does, and its arguments beside settings
    run: Callable[[DictConfig, StopRequest | None], None]  # in Hydra's folder; a sweep passes its stop
    plan: Callable[[DictConfig], None] | None = None  # prints the plan for `--plan`
    resumable: bool = True  # sweeps skip completed arms; False: sweeps are Hydra's own


def launch(command: Command, arguments: Sequence[str], stop: StopRequest | None = None) -> int:
    """Run `rlvr COMMAND ARGUMENTS`, or each arm of a sweep; the exit code.

    Errors for the user are printed. The exit code is 2 for a wrong configuration or wrong data, 3 for later
    failures.
    """
    if {"-h", "--help"} & set(arguments):
        print(help_of(command, arguments), end="")
        return 0
    if not arguments and command.name in STARTS_WITH:
        group = STARTS_WITH[command.name]
        examples = "\n".join(f"  rlvr {command.name} {group}={name}" for name in choices_of()[group])
        more = f"All settings: rlvr {command.name} --help"
        print(f"rlvr: {command.name} what? For example:\n{examples}\n{more}", file=sys.stderr)
        return 2
    find_own_functions()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises errors, which are explained below
    register_schema()
    plans = command.plan is not None and "--plan" in arguments
    arguments = readable([argument for argument in arguments if not (plans and argument == "--plan")])
    composing = [True]
    try:
        # before Hydra makes the folder
        for argument in arguments:
            if argument.startswith("name="):
                check_name(argument.partition("=")[2].strip("'\""))
        if command.resumable and is_sweep(arguments):
            return _sweep(command, arguments, plans)
        _run(command, resume_arguments(arguments, command.name), plans, stop, composing)
    except COMPOSING as error:
        message = composing_message(error, arguments, command.name, composing[0])
        if message is None:
            raise
        print(f"rlvr: {message}", file=sys.stderr)
        return 2
    except RunInterrupted as stopped:
        print(f"\nrlvr: {stopped}", file=sys.stderr)
        return STOPPED
    except RlvrError as error:
        return failed(error)
    except OSError as error:
        if (said := disk_error(Path.cwd(), error, "cannot be read or written")) is None:
            raise
        print(f"rlvr: {said}", file=sys.stderr)
        return 3
    return 0


def help_of(command: Command, arguments: Sequence[str]) -> str:
    """The text of `rlvr COMMAND --help`, with the groups in a `--config-dir`."""
    shipped, own = choices_of(), choices_of(*config_dirs(arguments))
    groups = [group for group in own if group not in shipped or group in groups_of(command.name)]
    widest = max(map(len, groups))
    options = [
        textwrap.fill(
            ", ".join(own[group]),
            110,
            initial_indent=f"  {group:{widest}}  ",
            subsequent_indent=" " * (widest + 4),
        )
        for group in groups
    ]
    plan = (
        "  --plan               print the stages and what they need; nothing is started\n"
        if command.plan
        else ""
    )
    return HELP.format(name=command.name, usage=command.usage, groups="\n".join(options), plan=plan)


def _run(
    command: Command, arguments: Sequence[str], plans: bool, stop: StopRequest | None, composing: list[bool]
) -> None:
    """Let Hydra compose the settings and create the folder, then run the job.

    `composing[0]` becomes False once the settings are composed. Raises whatever the job raises.
    """
    failed: list[Exception] = []

    def job(tree: DictConfig) -> None:
        composing[0] = False
        try:
            if plans:
                assert command.plan is not None
                command.plan(tree)
                return
            with recorded(Path(HydraConfig.get().runtime.output_dir)):
                command.run(tree, stop)
        except (RlvrError, HydraException, OmegaConfBaseException) as error:
            # raised after Hydra returns: Hydra would print all overrides before the message
            failed.append(error)

    sys.argv = [f"rlvr {command.name}", *arguments, *(NOWHERE if plans else [])]
    job = functools.wraps(command.run)(job)
    hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=command.name)(job)()
    if failed:
        raise failed[0]


def _sweep(command: Command, arguments: Sequence[str], plans: bool) -> int:
    if any(argument.startswith("resume=") for argument in arguments):
        raise ConfigError(
            "resume= continues one run: leave out -m; to continue a sweep, run its command again"
        )
    with StopRequest() as stop:
        arms = Sweep(command.name, arguments, lambda arm: launch(command, arm, stop), run_arm, stop)
        if not plans:
            return sweep(arms)
        for name, overrides in arms.planned():
            print(f"{name}:\n", flush=True)
            if code := launch(command, [*overrides, "--plan"], stop):
                return code
        return 0
