"""What can be set: the keys of a tree of settings, and the groups of conf/ with their options."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from rlvr.base.identity import declared_settings


def all_keys(schema: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a tree of settings, with dots."""
    for name, (_, section) in declared_settings(schema):
        yield f"{prefix}{name}"
        if section is not None:
            yield from all_keys(section, f"{prefix}{name}.")


def neutral_keys(schema: Any, prefix: str = "") -> Iterator[str]:
    """Every key, with dots, of a setting that changes no number."""
    for name, (item, section) in declared_settings(schema):
        if item.metadata.get("neutral"):
            yield f"{prefix}{name}"
        elif section is not None:
            yield from neutral_keys(section, f"{prefix}{name}.")


def optional_sections(schema: Any, prefix: str = "") -> Iterator[str]:
    """The key of every section that may be None, with dots."""
    hints = get_type_hints(schema)
    for name, (_, section) in declared_settings(schema):
        if section is not None:
            if section is not hints[name]:
                yield f"{prefix}{name}"
            yield from optional_sections(section, f"{prefix}{name}.")


def added_keys(config: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a tree of settings that its schema does not have."""
    declared = {item.name for item in dataclasses.fields(config)}
    for name, value in vars(config).items():
        if name not in declared:
            yield f"{prefix}{name}"
        elif dataclasses.is_dataclass(value):
            yield from added_keys(value, f"{prefix}{name}.")


def config_folder() -> Path:
    """conf/ of the wheel, or of the checkout."""
    package = Path(__file__).resolve().parent.parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def choices_of(*more: Path) -> dict[str, list[str]]:
    """Every group of conf/, and of further folders like it, with the names of its files."""
    found: dict[str, set[str]] = {}
    for folder in (config_folder(), *more):
        for file in folder.glob("*/**/*.yaml"):
            found.setdefault(file.parent.relative_to(folder).as_posix(), set()).add(file.stem)
    return {group: sorted(options) for group, options in sorted(found.items())}


def groups_of(command: str) -> list[str]:
    """The groups that a command starts with, which are those that its command line can choose from."""
    defaults: Sequence[Any] = yaml.safe_load((config_folder() / f"{command}.yaml").read_text("utf-8"))[
        "defaults"
    ]
    named = [name for entry in defaults if isinstance(entry, dict) for name in entry]
    return [name for name in named if not name.startswith("override ")]
