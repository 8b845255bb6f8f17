"""Messages about a wrong configuration: which key or option is wrong, why, and the nearest one that exists.

They are derived from the arguments, the schema, the groups, and attributes of the errors that Hydra and
OmegaConf raise, not from the texts of these errors, which change between versions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    KeyValidationError,
    OmegaConfBaseException,
)

from rlvr.configuration.arguments import RESUME, config_dirs, parsed
from rlvr.configuration.keys import all_keys, choices_of, groups_of, optional_sections


def explain(error: Exception, command: str, schema: type[Any], arguments: Sequence[str] = ()) -> str | None:
    """The message, one line per fault; None if `error` is not about the configuration."""
    if isinstance(error, OverrideParseException):
        return (
            f"{error.override} cannot be read: write KEY=VALUE, and a VALUE with brackets, commas or quotes "
            "as \"'VALUE'\""
        )
    if messages := list(faults(command, schema, arguments)):
        return "\n".join(messages)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options is not None:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return no_option(group, option, error.options)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OmegaConfBaseException) and cause.full_key:
            if isinstance(cause, (ConfigAttributeError, ConfigKeyError, KeyValidationError)):
                return unknown_key(cause.full_key, schema, groups_of(command))
            reason = str(cause.msg).partition("\n")[0]  # the rest are types
            return f"{cause.full_key}: {reason[:1].lower()}{reason[1:]}"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        added = [override for override in filter(None, map(parsed, arguments)) if override.is_add()]
        existing = sorted({override.key_or_group for override in added} & set(all_keys(schema)))
        return "\n".join(f"{key} exists already: leave out the +" for key in existing) or str(error)
    # for a setting of an absent section, OmegaConf raises only an AttributeError
    return next(parts_of_absent(arguments, schema), None)


def faults(command: str, schema: type[Any], arguments: Sequence[str]) -> Iterator[str]:
    """A message for each argument that names no setting, no group, or no option of its group."""
    groups, keys = choices_of(*config_dirs(arguments)), set(all_keys(schema))
    resumed = any(argument.startswith(RESUME) for argument in arguments)
    for override in filter(None, map(parsed, arguments)):
        key, value = override.key_or_group, override.value()
        if override.is_hydra_override() or key == RESUME.rstrip("="):
            continue
        if override.is_sweep_override():
            yield (
                f"{override.input_line} gives several values: add -m to run each of them; a list is "
                f"{key}=[…], and a text with a comma {key}=\"'…'\""
            )
        elif key in groups and not isinstance(value, dict):
            yield from _of_group(override, command, groups[key], resumed)
        elif not _leads_to(key, keys):
            yield unknown_key(key, schema, groups_of(command))


def _of_group(override: Override, command: str, options: Sequence[str], resumed: bool) -> Iterator[str]:
    group, value = override.key_or_group, override.value()
    taken = groups_of(command)
    if override.is_delete() or override.is_add():
        return
    if resumed:
        yield f"{override.input_line}: a resumed run keeps its {group}; set single keys with {group}.KEY=…"
    elif group not in taken:
        yield f"rlvr {command} has no group {group}; its groups: {', '.join(taken)}"
    else:
        for option in value if isinstance(value, list) else [value]:
            if option not in options and not str(option).startswith("/"):
                yield no_option(group, "null" if option is None else str(option), options)


def _leads_to(key: str, keys: set[str]) -> bool:
    """Whether a key is in the schema, or in one of its dictionaries that take any key."""
    parents = [key[:place] for place, mark in enumerate(key) if mark == "."]
    sections = {each.rpartition(".")[0] for each in keys}
    return key in keys or any(parent in keys and parent not in sections for parent in parents)


def no_option(group: str, option: str, options: Sequence[str]) -> str:
    """The message that a group has no such option, with its options."""
    near = difflib.get_close_matches(option, options, n=1)
    hint = f"did you mean {group}={near[0]}? " if near else ""
    return f"there is no {group}={option}: {hint}There are: {', '.join(sorted(options))}"


def parts_of_absent(arguments: Sequence[str], schema: type[Any]) -> Iterator[str]:
    """A message for each argument that sets a key of an optional section that is absent."""
    for argument in arguments:
        key, _, value = argument.lstrip("+").partition("=")
        for section in optional_sections(schema):
            if key != section and not key.startswith(f"{section}."):
                continue
            value = value or "…"
            for name in reversed(key.split(".")[1:]):
                value = f"{{{name}: {value}}}"
            whole = f"'{key.partition('.')[0]}={value}'"
            yield f"{section} is not set, so its keys cannot be set alone; give {whole}"


def unknown_key(key: str, schema: type[Any], groups: Sequence[str] = ()) -> str:
    """The message that `schema` has no `key`, with the nearest existing key or group."""
    if "." not in key and (group := difflib.get_close_matches(key, groups, n=1, cutoff=0.75)):
        return f"there is no setting {key}: did you mean {group[0]}={'|'.join(choices_of()[group[0]])}?"
    parent, _, last = key.rpartition(".")
    keys = list(all_keys(schema))
    if parent in keys and not any(other.startswith(f"{parent}.") for other in keys):
        return f"{parent} has no {last} yet: add it with +{key}=…"
    known = [other for other in keys if not f"{key}.".startswith(f"{other}.")]
    siblings = [other for other in known if other.rpartition(".")[0] == parent]
    namesakes = [other for other in known if difflib.get_close_matches(last, [other.rpartition(".")[2]])]
    near = (
        difflib.get_close_matches(key, siblings, n=1, cutoff=0.8)
        or namesakes
        or difflib.get_close_matches(key, known, n=1)
    )
    hint = f"did you mean {' or '.join(near)}?" if near else "`--cfg job` shows all keys"
    return f"there is no setting {key}: {hint}"
