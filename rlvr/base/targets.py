"""Import paths in a configuration: what they lead to, and which arguments they take."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rlvr.types import ConfigError

BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def known_names(name: str, known: Iterable[str]) -> str:
    """One sentence with the names there are and, where one is close to `name`, which was meant.

    >>> known_names("awnser", ["answer", "level"])
    "there are: answer, level; did you mean 'answer'?"
    """
    names = [str(other) for other in known]
    close = difflib.get_close_matches(name, names, n=1)
    listed = f"there are: {', '.join(names)}" if names else "there are none"
    return f"{listed}; did you mean {close[0]!r}?" if close else listed


def resolve(path: str, key: str) -> Any:
    """The object at the import path `path`. Raises ConfigError naming the part that is not there."""
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise ConfigError(f"{key}: {path!r} is no import path such as package.module.function")
    if parts[0] == "__main__":
        raise ConfigError(f"{key}: {path!r} is in the script itself: move it to a module of its own")
    found: Any = importlib.import_module(parts[0]) if _exists(parts[0], path, key) else None
    for position, part in enumerate(parts[1:], 1):
        before = ".".join(parts[:position])
        if not hasattr(found, part) and hasattr(found, "__path__"):
            _exists(f"{before}.{part}", path, key, [name for name in vars(found) if name[0] != "_"])
        if not hasattr(found, part):
            public = (
                [name for name in vars(found) if not name.startswith("_")]
                if hasattr(found, "__dict__")
                else []
            )
            raise ConfigError(f"{key}: {path!r}: {before} has no {part!r}; {known_names(part, public)}")
        found = getattr(found, part)
    return found


def _exists(module: str, path: str, key: str, siblings: Collection[str] = ()) -> bool:
    """Import `module`; a missing one, or one that cannot be imported, is a ConfigError."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise ConfigError(
                f"{key}: {path!r}: importing {module} needs {error.name!r}, which is not installed"
            ) from error
        there = f"; {known_names(module.rpartition('.')[2], siblings)}" if siblings else ""
        raise ConfigError(
            f"{key}: {path!r}: there is no module {module!r} on the Python path{there}"
        ) from error
    # Whatever a user's module raises while it is imported is a fault of the configuration; SystemExit,
    # of a script without a guard, would end the command as if it had done its work.
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"{key}: {path!r}: importing {module} raised {type(error).__name__}: {error}"
        ) from error
    return True


def check_keywords(
    key: str, path: str, target: Callable[..., Any], bound: Mapping[str, Any], provided: Collection[str] = ()
) -> None:
    """Raise ConfigError for an argument in `bound` that `target` does not take, or that is not the
    configuration's to give because the caller brings it (`provided`)."""
    parameters = inspect.signature(target).parameters
    takes = [word for word, parameter in parameters.items() if parameter.kind in BY_NAME]
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    for word in bound:
        if word in provided:
            raise ConfigError(f"{key}.{word}: {path} is given {word!r} at every call: remove it")
        if word not in takes and not anything:
            names = known_names(word, takes)
            unset = f"~{key}.{word} removes an argument that a configuration file sets"
            raise ConfigError(f"{key}.{word}: {path} does not take {word!r}; {names} ({unset})")


def target_messages(key: str, spec: dict[str, Any], provided: Sequence[str]) -> Iterator[str]:
    """An import path that leads nowhere, and arguments that its function does not take."""
    try:
        if not isinstance(spec.get("_target_"), str):
            raise ConfigError(f"{key}._target_ must be an import path")
        bound = {name: value for name, value in spec.items() if name != "_target_"}
        function = resolve(spec["_target_"], key)
        check_keywords(key, spec["_target_"], function, bound, provided)
        try:
            inspect.signature(function).bind(**dict.fromkeys(provided), **bound)
        except TypeError as error:
            raise ConfigError(f"{key}: {spec['_target_']}: {error}") from error
    except ConfigError as error:
        yield str(error)


def filter_messages(prefix: str, filters: Mapping[str, Any]) -> Iterator[str]:
    """The import paths of group filters."""
    for name, spec in filters.items():
        key = f"{prefix}.{name}"
        if isinstance(spec, dict):
            yield from target_messages(key, spec, ("group", "random"))
        else:
            yield f"{key} must be {{_target_: import path, …}}, not {spec!r}"
