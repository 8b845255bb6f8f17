"""`rlvr COMMAND -m`: make arms of the swept values, and run those that are not done.

The grammar is Hydra's. Running is ours, because Hydra's own sweeps number their jobs, end at the first value
that does not compose, and start from the beginning each time. A sweep's folder is named by the settings that
all of its arms share, and an arm's folder by its swept values. So the same command finds the arms that exist,
and a command with further values adds to them.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from rlvr.base.identity import digest
from rlvr.base.stopping import StopRequest
from rlvr.base.text import one_line
from rlvr.configuration import compose
from rlvr.configuration.arguments import quoted
from rlvr.configuration.keys import config_folder, neutral_keys
from rlvr.configuration.messages import explain
from rlvr.pipeline.arms import (
    NOT_SETTINGS,
    Arm,
    Identity,
    arm_name,
    is_arm,
    other_contents,
    read_arm,
    write_arm,
)
from rlvr.pipeline.status import Outcome
from rlvr.record.run_folder import RunFolder
from rlvr.types import ConfigError, RlvrError

Run = Callable[[Sequence[str]], int]  # arguments of `rlvr COMMAND` → exit code
# The same in a separate process: (command and arguments, its cores) → exit code. The function's module can be
# run with -m.
Program = Callable[[Sequence[str], Sequence[int]], int]
Launcher = Callable[[Sequence[Arm], "Sweep"], None]
KEY = "{key}"  # in hydra.sweep.dir: stands for a hash of the settings that all arms share


def sweep(command: Sweep) -> int:
    """Run the sweep's arms that are not done; the exit code.

    Raises:
        ConfigError: arms failed, all of them for a wrong configuration or wrong data.
        RlvrError: arms failed.
    """
    with RunFolder(command.folder):
        command.sweeper(command)
        return command.report()


class Sweep:
    """One command's sweep: its folder, its overrides, and the arms proposed so far.

    `run` runs an arm in this process, `program` in another one. Raises ConfigError if no arm can be composed.
    """

    def __init__(
        self, command: str, arguments: Sequence[str], run: Run, program: Program, stop: StopRequest
    ) -> None:
        self.command, self.run, self.program, self.stop = command, run, program, stop
        self.schema = compose.SCHEMAS[command]
        self.flags, texts = _parse(command, arguments)
        self.arms: dict[str, Arm] = {}
        self.same: dict[str, Arm] = {}  # hash of all settings → the first arm that has them
        self.refused: dict[str, str] = {}  # arm → why it could not be composed
        with self._hydra():
            parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
            try:
                parsed = parser.parse_overrides(texts)
            except HydraException as error:
                raise ConfigError(explain(error, command, self.schema)) from error
            self.own = [
                o.input_line for o in parsed if o.is_hydra_override() and o.key_or_group != "hydra.mode"
            ]
            # the last override of a key counts, as in a single run
            named = {override.get_key_element(): override for override in parsed}
            self.overrides = [override for override in named.values() if not override.is_hydra_override()]
            settings = self._first()
        self.folder = Path(settings.sweep.dir.replace(KEY, self._key())).absolute()
        self.launcher: Launcher = _function("launcher", settings.launcher)
        self.sweeper: Callable[[Sweep], None] = _function("sweeper", settings.sweeper)

    @property
    def swept(self) -> list[Override]:
        return [override for override in self.overrides if override.is_sweep_override()]

    def run_arms(self, choices: Sequence[Sequence[str]]) -> list[Arm | None]:
        """Run the arms with these values of the swept keys, each `key=value`, unless they are done.

        Returns the arms in the same order, with None for one whose configuration is refused.
        """
        with self._hydra():
            arms = [self._arm(chosen) for chosen in choices]
        found: dict[str, Arm] = {}
        refused = set()
        for name, arm in zip(map(arm_name, choices), arms, strict=True):
            if arm is None:
                refused.add(name)
                continue
            if arm.name.partition(",content=")[0] != name:
                print(f"same settings as {arm.name}, so run only once: {name}")
            elif name in found:
                print(f"given more than once, so run only once: {name}")
            found[arm.name] = arm
        left = []
        for arm in found.values():
            outcome = arm.outcome()
            if outcome is not None and outcome.done:
                print(f"already done: {arm.name}")
            else:
                left.append(arm)
        total = len(found) + len(refused)
        print(f"sweep: {self.folder}: {len(left)} of {total} arms to run", flush=True)
        if left:
            self.launcher(left, self)
        return arms

    def planned(self) -> Iterator[tuple[str, list[str]]]:
        """(name, arguments of the command) for every arm of a grid; nothing is written."""
        arms = {arm_name(chosen): chosen for chosen in itertools.product(*map(values, self.swept))}
        for name, chosen in arms.items():  # a value that is given twice makes one arm
            yield name, [*self.flags, *self._overrides(chosen)]

    def report(self) -> int:
        """Print how many arms are done; the exit code.

        Raises:
            ConfigError, RlvrError: some failed.
        """
        outcomes = {name: arm.outcome() for name, arm in self.arms.items()}
        done = [name for name, outcome in outcomes.items() if outcome is not None and outcome.done]
        total = len(self.arms) + len(self.refused)
        said = f"{len(done)} of {total} arms are done in {self.folder}"
        if self.stop and len(done) < len(self.arms):
            print(f"\nrlvr: sweep stopped; {said}; run the same command again to continue", file=sys.stderr)
            return 130
        print(f"\nsweep: {said}")
        if done and self.command == "evaluate":
            print(f"compare two: rlvr evaluate from={self.folder}/ARM baseline={self.folder}/OTHER_ARM")
        elif done:
            print(f"compare them: rlvr compare {self.folder}")
        failed = {name: Outcome("failed", 2, why) for name, why in self.refused.items()}
        unknown = Outcome("failed", 3, "its process left no outcome, or another process holds its folder")
        failed |= {name: outcome or unknown for name, outcome in outcomes.items() if name not in done}
        if not failed:
            return 0
        lines = [f"  {name}: {one_line(outcome.reason)}" for name, outcome in failed.items()]
        message = "\n".join(
            [f"{len(failed)} of {total} arms failed; run the same command to try them again:", *lines]
        )
        if all(outcome.code == 2 for outcome in failed.values()):
            raise ConfigError(message)
        raise RlvrError(message)

    def _arm(self, chosen: Sequence[str]) -> Arm | None:
        """The arm, with its folder created, or an earlier arm with the same settings.

        None if its configuration is refused; the reason is printed.
        """
        name = arm_name(chosen)
        arguments = self._overrides(chosen)
        folder = self.folder / name
        self.refused.pop(name, None)
        try:
            config = self._config(arguments)
            # includes settings that change no number: these may be swept to compare speeds
            whole = digest(asdict(config))
            if whole in self.same:
                return self.same[whole]
            identity = Identity.of(config)
            existing = read_arm(folder) if is_arm(folder) else identity
            if existing.settings == identity.settings and existing.contents != identity.contents:
                name = f"{name},content={digest(identity.contents)}"
                changed = other_contents(existing, identity)
                print(f"{folder.name} was made with other content of {changed}; a new arm: {name}")
                folder = self.folder / name
            write_arm(folder, chosen, identity)
        except ConfigError as error:
            self.refused[name] = str(error)
            print(f"rlvr: {name}: {error}", file=sys.stderr)
            return None
        arm = Arm(name, folder, [*self.flags, *arguments, f"hydra.run.dir={quoted(str(folder))}"])
        self.arms[name] = self.same[whole] = arm
        return arm

    def _overrides(self, chosen: Sequence[str]) -> list[str]:
        """All overrides of an arm, in the order of the command line."""
        values = iter(chosen)
        return [next(values) if o.is_sweep_override() else str(o.input_line) for o in self.overrides]

    def _config(self, overrides: Sequence[str]) -> Any:
        """The configuration that the overrides make. Raises ConfigError if they make none."""
        overrides = [*self._search(), *overrides]
        with compose.said_plainly(overrides, self.command):
            return compose.to_config(hydra_compose(self.command, overrides=overrides), self.schema)

    def _first(self) -> DictConfig:
        """Hydra's own settings, from the first arm that composes.

        Raises ConfigError with the reasons if none does.
        """
        messages = []
        for chosen in itertools.product(*map(values, self.swept)):
            overrides = self._overrides(chosen)
            try:
                self._config(overrides)
            except ConfigError as error:
                messages.append(str(error))
                continue
            tree = hydra_compose(
                self.command,
                overrides=[*self._search(), *self.own, *overrides],
                return_hydra_config=True,
            )
            with open_dict(tree):
                tree.hydra.sweep.dir = OmegaConf.select(tree, "hydra.sweep.dir")
            return tree.hydra
        raise ConfigError("\n".join(dict.fromkeys(messages)))

    def _key(self) -> str:
        """A hash of the overrides that all arms share, as written, without those that change no number."""
        fixed = [
            override.input_line
            for override in self.overrides
            if not override.is_sweep_override() and not _is_neutral(override.key_or_group, self.schema)
        ]
        return digest([self.command, sorted(map(str, fixed)), sorted(o.key_or_group for o in self.swept)])

    @contextmanager
    def _hydra(self) -> Iterator[None]:
        compose.register_schema()
        with initialize_config_dir(config_dir=str(config_folder()), version_base="1.3"):
            yield

    def _search(self) -> list[str]:
        """The user's own folder of configuration, as an override."""
        return [f"hydra.searchpath=[{quoted('file://' + flag.partition('=')[2])}]" for flag in self.flags]


def _is_neutral(key: str, schema: type[Any]) -> bool:
    """Whether a setting changes no number."""
    if key.partition(".")[0] in NOT_SETTINGS and key != "name":
        return True
    return key in neutral_keys(schema)


def _function(kind: str, settings: DictConfig) -> Any:
    """The launcher or sweeper that `settings` name by an import path.

    Raises ConfigError for one of Hydra's plugins, whose interface is different.
    """
    if str(settings.get("_target_", "")).startswith(("hydra._internal.", "hydra_plugins.")):
        known = sorted(path.stem for path in (config_folder() / "hydra" / kind).glob("*.yaml"))
        raise ConfigError(f"hydra/{kind} names a plugin of Hydra; rlvr has its own: {', '.join(known)}")
    return instantiate(settings, _partial_=True, _convert_="all")


def values(override: Override) -> list[str]:
    """The values that a sweep tries for a key, each as `key=value`; for an interval, its start."""
    key, swept = override.get_key_element(), override.value()
    if isinstance(swept, IntervalSweep):
        return [f"{key}={swept.start}"]
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _parse(command: str, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hydra's flags that every arm gets, and the overrides."""
    parser = argparse.ArgumentParser(prog=f"rlvr {command}", add_help=False, allow_abbrev=False)
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--config-dir", "-cd")
    known, rest = parser.parse_known_args(list(arguments))
    if flags := [argument for argument in rest if argument.startswith("-")]:
        raise ConfigError(f"{' '.join(flags)} does not work with a sweep; use --cfg and --help without -m")
    if known.config_dir is None:
        return [], rest
    folder = Path(known.config_dir).absolute()
    if not folder.is_dir():
        raise ConfigError(f"--config-dir={known.config_dir} is not a folder")
    return [f"--config-dir={folder}"], rest
