"""From the command line to a checked configuration, by Hydra; nothing here imports torch.

A command has a primary configuration of its name in conf/ and a schema, a dataclass tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, TypeVar, overload

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from rlvr.audit.config import AuditConfig
from rlvr.base.settings import out_of_range, refuse
from rlvr.configuration.arguments import SAVED_CONFIG, readable, resume_arguments
from rlvr.configuration.keys import added_keys, config_folder
from rlvr.configuration.messages import explain, unknown_key
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
# What composing raises: of a part of a section that is not there OmegaConf says no more than the first three.
COMPOSING = (AttributeError, AssertionError, ValueError, HydraException, OmegaConfBaseException)
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


def register_schema() -> None:
    for command, schema in SCHEMAS.items():
        ConfigStore.instance().store(name=f"{command}_schema", node=schema)


def composing_message(
    error: Exception, arguments: Sequence[str], command: str, composing: bool = True
) -> str | None:
    """What to say of an error that came up while composing; None if it is none of those."""
    if isinstance(error, (HydraException, OmegaConfBaseException)) or composing:
        return explain(error, command, SCHEMAS[command], arguments)
    return None


@contextmanager
def said_plainly(arguments: Sequence[str], command: str) -> Iterator[None]:
    """What composing raises comes out as a ConfigError that says which of `arguments` is wrong."""
    try:
        yield
    except COMPOSING as error:
        message = composing_message(error, arguments, command)
        if message is None:
            raise
        raise ConfigError(message) from error


@overload
def to_config(tree: DictConfig) -> RunConfig: ...
@overload
def to_config(tree: DictConfig, schema: type[Config]) -> Config: ...
def to_config(tree: DictConfig, schema: type[Any] = RunConfig) -> Any:
    """The typed configuration.

    Raises:
        ConfigError: a value is missing or out of its range; all of them are named.
    """
    missing = sorted(OmegaConf.missing_keys(tree))
    refuse(f"{key} must be given: add {key}=… to the command" for key in missing)
    config = OmegaConf.to_object(tree)
    assert isinstance(config, schema)
    # `+key=…` adds to the tree what the schema does not have
    refuse(unknown_key(key, schema) for key in added_keys(config))
    refuse(out_of_range(config))
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
    overrides = readable(overrides)
    with said_plainly(overrides, command):
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


def check_name(name: str) -> None:
    """Raises ConfigError for a name whose folder would not be in runs/."""
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise ConfigError(
            f"name={name} leads out of runs/: give one without .. that does not begin with /, or the folder "
            "itself with hydra.run.dir=FOLDER"
        )
