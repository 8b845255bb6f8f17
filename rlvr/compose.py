"""From the command line to a checked `TrainConfig`, by Hydra; nothing here imports torch."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rlvr.config import TrainConfig
from rlvr.settings import out_of_range
from rlvr.types import ConfigError

SAVED_CONFIG = "config"  # .yaml, in a run folder; itself a primary configuration that Hydra can read
SAVED_HEADER = """\
# The resolved configuration of this run. `rlvr train resume=FOLDER` reads it.
defaults:
  - train_schema
  - _self_
  - override hydra/job_logging: none
  - override hydra/hydra_logging: none
"""


def config_folder() -> Path:
    """conf/ of the wheel, or of the checkout."""
    package = Path(__file__).resolve().parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def register_schema() -> None:
    ConfigStore.instance().store(name="train_schema", node=TrainConfig)


def resume_arguments(arguments: Sequence[str]) -> list[str]:
    """Turn `resume=RUN` into what makes Hydra read that run's saved configuration, and write there.

    Raises:
        ConfigError: the folder holds no run.
    """
    resumed = [argument.partition("=")[2] for argument in arguments if argument.startswith("resume=")]
    if not resumed:
        return list(arguments)
    folder = Path(resumed[-1]).absolute()
    if not resumed[-1] or not (folder / f"{SAVED_CONFIG}.yaml").is_file():
        raise ConfigError(
            f"resume={resumed[-1]}: {folder} holds no {SAVED_CONFIG}.yaml, so it is no run folder"
        )
    others = [argument for argument in arguments if not argument.startswith("resume=")]
    return [
        f"--config-path={folder}",
        f"--config-name={SAVED_CONFIG}",
        f'hydra.run.dir="{folder}"',
        *others,
    ]


def to_config(tree: DictConfig) -> TrainConfig:
    """The typed configuration.

    Raises:
        ConfigError: a value is missing or out of its range; all of them are named.
    """
    if missing := sorted(OmegaConf.missing_keys(tree)):
        raise ConfigError("\n".join(f"{key} must be given: add {key}=… to the command" for key in missing))
    config = OmegaConf.to_object(tree)
    assert isinstance(config, TrainConfig)
    # `+key=…` adds to the tree what the schema does not have
    if messages := [unknown_key(key) for key in added_keys(config)]:
        raise ConfigError("\n".join(messages))
    if messages := list(out_of_range(config)):
        raise ConfigError("\n".join(messages))
    return config


def explain(error: HydraException | OmegaConfBaseException) -> str:
    """One or two lines on what is wrong with the configuration: which key, why, and the nearest."""
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    text = "\n".join(texts)
    key = next(iter(re.findall(r"full_key: (\S+)", text)), None)
    if key and re.search(r"not in|Key not found|in struct", text):
        return unknown_key(key)
    if key:
        reason = next(text for text in texts if "full_key: " in text).splitlines()[0]
        return f"{key}: {reason[0].lower()}{reason[1:]}"
    return texts[0]


def unknown_key(key: str) -> str:
    """Say that there is no `key`, and which existing one is nearest."""
    parent, _, last = key.rpartition(".")
    if parent in all_keys(TrainConfig) and not any(k.startswith(f"{parent}.") for k in all_keys(TrainConfig)):
        return f"{parent} has no {last} yet: add it with +{key}=…"
    known = [other for other in all_keys(TrainConfig) if not f"{key}.".startswith(f"{other}.")]
    siblings = [other for other in known if other.rpartition(".")[0] == parent]
    namesakes = [other for other in known if difflib.get_close_matches(last, [other.rpartition(".")[2]])]
    near = (
        difflib.get_close_matches(key, siblings, n=1, cutoff=0.8)
        or namesakes
        or difflib.get_close_matches(key, known, n=1)
    )
    hint = f"did you mean {' or '.join(near)}?" if near else "`rlvr train --cfg job` shows all keys"
    return f"there is no setting {key}: {hint}"


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
