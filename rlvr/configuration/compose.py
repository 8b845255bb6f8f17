"""From the command line to a checked configuration, by Hydra; nothing here imports torch.

A command has a primary configuration of its name in conf/ and a schema, a dataclass tree.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, TypeVar, get_type_hints, overload

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from rlvr.audit.config import AuditConfig
from rlvr.base.settings import out_of_range
from rlvr.pipeline.config import RunConfig
from rlvr.pipeline.evaluate_config import EvaluateConfig
from rlvr.types import ConfigError

Config = TypeVar("Config")

SCHEMAS: dict[str, type] = {
    "train": RunConfig,
    "recipe": RunConfig,
    "audit": AuditConfig,
    "evaluate": EvaluateConfig,
}  # command → its settings
RUNS_OF = {"train": "a training run", "recipe": "a recipe", "audit": "an audit", "evaluate": "an evaluation"}
SAVED_CONFIG = "config"  # .yaml, in a run folder; itself a primary configuration that Hydra can read
SAVED_HEADER = """\
# The resolved configuration of this run. `rlvr {command} resume=FOLDER` reads it.
defaults:
  - {command}_schema
  - _self_
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
"""


def saved(command: str, tree: DictConfig) -> str:
    """What a run keeps of its configuration, itself a configuration that Hydra can read."""
    return SAVED_HEADER.format(command=command) + OmegaConf.to_yaml(tree, resolve=True)


def config_folder() -> Path:
    """conf/ of the wheel, or of the checkout."""
    package = Path(__file__).resolve().parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def register_schema() -> None:
    for command, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{command}_schema", node=schema)


def composing_message(
    error: Exception, arguments: Sequence[str], schema: type[Any], composing: bool = True
) -> str | None:
    """What to say of an error that came up while composing; None if it is none of those."""
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return explain(error, schema)
    return next(parts_of_absent(arguments, schema), None) if composing else None


def saved_by(folder: Path) -> str | None:
    """The command whose run the folder holds; None where that is not said."""
    text = (folder / f"{SAVED_CONFIG}.yaml").read_text()
    found = [name for name in re.findall(r"^ *- (\w+)_schema$", text, re.MULTILINE) if name in RUNS_OF]
    return found[0] if found else None


def resume_arguments(arguments: Sequence[str], command: str) -> list[str]:
    """Turn `resume=RUN` into what makes Hydra read that run's saved configuration, and write there.

    Raises:
        ConfigError: the folder holds no run, or another command's.
    """
    resumed = [argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")]
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
    others = [argument for argument in arguments if not argument.startswith("resume=")]
    return [
        f"--config-path={folder}",
        f"--config-name={SAVED_CONFIG}",
        f'hydra.run.dir="{folder}"',
        *others,
    ]


@overload
def to_config(tree: DictConfig) -> RunConfig: ...
@overload
def to_config(tree: DictConfig, schema: type[Config]) -> Config: ...
def to_config(tree: DictConfig, schema: type[Any] = RunConfig) -> Any:
    """The typed configuration.

    Raises:
        ConfigError: a value is missing or out of its range; all of them are named.
    """
    if missing := sorted(OmegaConf.missing_keys(tree)):
        raise ConfigError("\n".join(f"{key} must be given: add {key}=… to the command" for key in missing))
    config = OmegaConf.to_object(tree)
    assert isinstance(config, schema)
    # `+key=…` adds to the tree what the schema does not have
    if messages := [unknown_key(key, schema) for key in added_keys(config)]:
        raise ConfigError("\n".join(messages))
    if messages := list(out_of_range(config)):
        raise ConfigError("\n".join(messages))
    if isinstance(name := getattr(config, "name", None), str):
        check_name(name)
    return config


def composed(command: str, overrides: Sequence[str]) -> tuple[Any, DictConfig, Path]:
    """The settings that overrides make, as a dataclass and as a tree, and the folder of their run.

    Raises:
        ConfigError: they make none.
    """
    register_schema()
    schema = SCHEMAS[command]
    try:
        arguments = resume_arguments(overrides, command)
        name, folder = command, config_folder()
        if len(arguments) > len(overrides):  # two flags of Hydra's in place of resume=
            name, folder = SAVED_CONFIG, Path(arguments[0].partition("=")[2])
            arguments = arguments[2:]
        with initialize_config_dir(config_dir=str(folder), version_base="1.3"):
            tree = hydra_compose(name, overrides=arguments, return_hydra_config=True)
        run_dir = Path(tree.hydra.run.dir).absolute()
        with open_dict(tree):
            del tree["hydra"]
        return to_config(tree, schema), tree, run_dir
    except (AttributeError, AssertionError, HydraException, OmegaConfBaseException) as error:
        message = composing_message(error, overrides, schema)
        if message is None:
            raise
        raise ConfigError(message) from error


def check_name(name: str) -> None:
    """Raises ConfigError for a name whose folder would not be in runs/."""
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ConfigError(
            f"name={name} leads out of runs/: give one without .. that does not begin with /, or the folder "
            "itself with hydra.run.dir=FOLDER"
        )


def explain(error: HydraException | OmegaConfBaseException, schema: type[Any] = RunConfig) -> str:
    """One or two lines on what is wrong with the configuration: which key, why, and the nearest."""
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, option = error.missing_cfg_file.rpartition("/")
        near = difflib.get_close_matches(option, error.options, n=1)
        hint = f"did you mean {group}={near[0]}? " if near else ""
        return f"there is no {group}={option}: {hint}There are: {', '.join(sorted(error.options))}"
    text = "\n".join(texts)
    key = next(iter(re.findall(r"full_key: (\S+)", text)), None)
    if key and re.search(r"not in|Key not found|in struct", text):
        return unknown_key(key, schema)
    if key:
        reason = next(text for text in texts if "full_key: " in text).splitlines()[0]
        return f"{key}: {reason[0].lower()}{reason[1:]}"
    return texts[0]


def parts_of_absent(arguments: Sequence[str], schema: type[Any] = RunConfig) -> Iterator[str]:
    """What to say of each argument that sets a part of an optional section, if that section is absent."""
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        for section in optional_sections(schema):
            if key != section and not key.startswith(f"{section}."):
                continue
            value = value or "…"
            for name in reversed(key.split(".")[1:]):
                value = f"{{{name}: {value}}}"
            yield f"{section} is not set, so nothing can be set in it; give '{key.partition('.')[0]}={value}'"


def optional_sections(schema: Any, prefix: str = "") -> Iterator[str]:
    """The key of every section that may be None, with dots."""
    hints = get_type_hints(schema)
    for item in dataclasses.fields(schema):
        for option in (hints[item.name], *getattr(hints[item.name], "__args__", ())):
            if dataclasses.is_dataclass(option):
                if option is not hints[item.name]:
                    yield f"{prefix}{item.name}"
                yield from optional_sections(option, f"{prefix}{item.name}.")


def unknown_key(key: str, schema: type[Any] = RunConfig) -> str:
    """Say that there is no `key` in `schema`, and which existing one, or group, is nearest."""
    if key == "resume" and schema is EvaluateConfig:
        return "there is no setting resume: the command that was stopped goes on when it is given again"
    groups = choices_of()
    if "." not in key and (group := difflib.get_close_matches(key, groups, n=1, cutoff=0.75)):
        return f"there is no setting {key}: did you mean {group[0]}={'|'.join(groups[group[0]])}?"
    parent, _, last = key.rpartition(".")
    there = list(all_keys(schema))
    if parent in there and not any(other.startswith(f"{parent}.") for other in there):
        return f"{parent} has no {last} yet: add it with +{key}=…"
    known = [other for other in there if not f"{key}.".startswith(f"{other}.")]
    siblings = [other for other in known if other.rpartition(".")[0] == parent]
    namesakes = [other for other in known if difflib.get_close_matches(last, [other.rpartition(".")[2]])]
    near = (
        difflib.get_close_matches(key, siblings, n=1, cutoff=0.8)
        or namesakes
        or difflib.get_close_matches(key, known, n=1)
    )
    hint = f"did you mean {' or '.join(near)}?" if near else "`--cfg job` shows all keys"
    return f"there is no setting {key}: {hint}"


def choices_of() -> dict[str, list[str]]:
    """Every group of conf/ with the names of its files."""
    found: dict[str, list[str]] = {}
    for file in sorted(config_folder().glob("*/*.yaml")):
        found.setdefault(file.parent.name, []).append(file.stem)
    return found


def added_keys(config: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a tree of settings that its schema does not have."""
    declared = {item.name for item in dataclasses.fields(config)}
    for name, value in vars(config).items():
        if name not in declared:
            yield f"{prefix}{name}"
        elif dataclasses.is_dataclass(value):
            yield from added_keys(value, f"{prefix}{name}.")


def all_keys(schema: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a tree of settings, with dots."""
    hints = get_type_hints(schema)
    for item in dataclasses.fields(schema):
        yield f"{prefix}{item.name}"
        for option in (hints[item.name], *getattr(hints[item.name], "__args__", ())):
            if dataclasses.is_dataclass(option):
                yield from all_keys(option, f"{prefix}{item.name}.")


def is_sweep(arguments: Sequence[str]) -> bool:
    """Whether Hydra's flags ask for several runs."""
    return bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments))
