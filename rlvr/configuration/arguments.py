"""What is written on the command line: values in quotes where Hydra needs them, folders, `resume=`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from rlvr.base.text import one_line
from rlvr.types import ConfigError

RUNS_OF = {"train": "a training run", "recipe": "a recipe", "audit": "an audit", "evaluate": "an evaluation"}
SAVED_CONFIG = "config"  # .yaml, in a run folder; itself a primary configuration that Hydra can read
RESUME = "resume="
# of a list: what is in quotes, or else what stands between its marks
IN_LIST = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\s\[\]{},'"][^\[\]{},'"]*""")


def quoted(text: str) -> str:
    """As a value on the command line that means `text` whatever is in it."""
    return QuotedString(text, Quote.single).with_quotes()


def readable(arguments: Sequence[str]) -> list[str]:
    """The arguments with each value in quotes that Hydra could not read, or would take for several.

    Those are the folders of a sweep's arms, such as `runs/x/seed=0,lr=1e-4`. What is in quotes already, and
    a dictionary, stay as they are.
    """
    return [_readable(argument, is_sweep(arguments)) for argument in arguments]


def _readable(argument: str, sweep: bool) -> str:
    key, given, value = argument.partition("=")
    if not given or argument.startswith(("-", RESUME)) or value[:1] in ("'", '"', "{"):
        return argument
    override = parsed(argument)
    if override is not None and not (override.is_sweep_override() and Path(value).exists()):
        return argument
    if value.startswith("["):
        # of a dictionary in it, what is a key and what a value is not ours to say
        return argument if "{" in value else f"{key}={IN_LIST.sub(_element, value)}"
    if "=" not in value and not Path(value).exists():
        return argument
    if not sweep:
        return f"{key}={quoted(value)}"
    values = [text if "," not in text and parsed(f"{key}={text}") else quoted(text) for text in _swept(value)]
    return f"{key}={','.join(values)}"


def _element(found: re.Match[str]) -> str:
    text = found.group()
    return quoted(text) if text[0] not in "'\"" and "=" in text else text


def _swept(value: str) -> Iterator[str]:
    """The values between commas; a comma in a path that exists is none of those."""
    left = value.split(",")
    while left:
        ends = [end for end in range(len(left), 0, -1) if Path(",".join(left[:end])).exists()]
        end = ends[0] if ends else 1
        yield ",".join(left[:end])
        left = left[end:]


def parsed(argument: str) -> Override | None:
    """What Hydra reads in an argument; None if it is no `key=value`."""
    try:
        return OverridesParser.create().parse_override(argument)
    except HydraException:
        return None


def config_dirs(arguments: Sequence[str]) -> list[Path]:
    """The user's own folders of configuration."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config-dir", "-cd", action="append", default=[])
    flags, rest = parser.parse_known_args(list(arguments))
    overrides = [override for override in map(parsed, rest) if override is not None]
    searched = [override.value() for override in overrides if override.key_or_group == "hydra.searchpath"]
    places = [str(place) for value in searched if isinstance(value, list) for place in value]
    return [Path(place.removeprefix("file://")) for place in (*flags.config_dir, *places)]


def is_sweep(arguments: Sequence[str]) -> bool:
    """Whether Hydra's flags ask for several runs."""
    return bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments))


def saved_by(folder: Path) -> str | None:
    """The command whose run the folder holds; None where that is not said.

    Raises ConfigError if its configuration is damaged.
    """
    path = folder / f"{SAVED_CONFIG}.yaml"
    try:
        tree = yaml.safe_load(path.read_text("utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is damaged, so the run cannot be read: {one_line(str(error))}") from error
    defaults = tree.get("defaults") if isinstance(tree, dict) else None
    named = {str(entry).removesuffix("_schema") for entry in defaults or []}
    return next((command for command in RUNS_OF if command in named), None)


def resume_arguments(arguments: Sequence[str], command: str) -> list[str]:
    """Turn `resume=RUN` into what makes Hydra read that run's saved configuration, and write there.

    Raises:
        ConfigError: the folder holds no run, or another command's.
    """
    resumed = [argument.partition("=")[2] for argument in arguments if argument.startswith(RESUME)]
    if not resumed:
        return list(arguments)
    folder = Path(resumed[-1]).absolute()
    if not resumed[-1] or not (folder / f"{SAVED_CONFIG}.yaml").is_file():
        raise ConfigError(
            f"resume={resumed[-1]}: {folder} holds no {SAVED_CONFIG}.yaml, so it is no run folder"
        )
    by = saved_by(folder)
    if by is not None and by != command:
        raise ConfigError(
            f"resume={resumed[-1]}: {folder} is the folder of {RUNS_OF[by]}, not of {RUNS_OF[command]}"
        )
    others = [argument for argument in arguments if not argument.startswith(RESUME)]
    return [
        f"--config-path={folder}",
        f"--config-name={SAVED_CONFIG}",
        f"hydra.run.dir={QuotedString(str(folder), Quote.double).with_quotes()}",
        *others,
    ]
