"""The identity of a run: the settings that its numbers depend on, and the content of the files they name."""

from __future__ import annotations

import ast
import hashlib
import json
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import Field, asdict, fields, is_dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args, get_type_hints

LONGEST_NAME = 250  # bytes of a file's name that every system allows
# Folders of installed packages: Python's own, a virtual environment's, the user's.
INSTALLED = {"site-packages", "dist-packages"}
# Folders of Python and of this package. Versions of these and of packages are recorded with the run.
NOT_THE_USERS = (
    *{Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")},
    Path(__file__).resolve().parents[1],
)


def that_matter(value: Any, schema: Any = None) -> Any:
    """Settings as a tree, without neutral and unset ones, so that a new setting that is off changes nothing.

    `value` is a dataclass, or a tree read from a file, with the dataclass `schema` of its settings. Whether a
    setting is neutral is said where it is declared (`setting`). In a dictionary, names are the user's own, so
    all count. The arguments of an import path are kept as they are, unset ones too: a function may read them.
    """
    if is_dataclass(value):
        schema, value = type(value), vars(value)
    if not isinstance(value, Mapping) or "_target_" in value:
        return value
    declared = dict(declared_settings(schema)) if schema else {}
    kept = {}
    for name, part in value.items():
        item, inner = declared.get(name, (None, None))
        if part is None or (item and item.metadata.get("neutral")):
            continue
        if item and (each := item.metadata.get("each")) and isinstance(part, Mapping):
            kept[name] = {key: that_matter(section, each) for key, section in part.items()}
        else:
            kept[name] = that_matter(part, inner)
    return kept


def declared_settings(schema: Any) -> Iterator[tuple[str, tuple[Field[Any], Any]]]:
    """The name of every setting of a dataclass, with its field, and for a section its dataclass."""
    hints = _hints(schema)
    for item in fields(schema):
        options = (hints[item.name], *get_args(hints[item.name]))  # a section may be optional
        yield item.name, (item, next((option for option in options if is_dataclass(option)), None))


@lru_cache
def _hints(schema: Any) -> dict[str, Any]:
    return get_type_hints(schema)


def digest(value: Any) -> str:
    """Hash of a tree of settings, as ten hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:10]


def model_fingerprint(path: str) -> str:
    """The name itself for a hub name; for a folder, a hash of the names and contents of its files."""
    folder = Path(path)
    if not folder.is_dir():
        return path
    digested = hashlib.sha256()
    for file in sorted(file for file in folder.iterdir() if file.is_file()):
        found = file.stat()
        content = _content(file.absolute(), found.st_mtime_ns, found.st_size)
        digested.update(f"{file.name} {found.st_size} {content} ".encode())
    return digested.hexdigest()


@lru_cache(maxsize=1 << 12)
def _content(file: Path, _changed: int, _size: int) -> str:
    """SHA-256 of a file, cached until the file changes, because hashing weights takes seconds."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def data_fingerprint(path: str) -> str:
    """SHA-256 of a file's content; the name itself if there is no such file."""
    file = Path(path).absolute()
    if not file.is_file():
        return path
    found = file.stat()
    return _content(file, found.st_mtime_ns, found.st_size)


def contents(settings: Any) -> dict[str, str]:
    """Fingerprints of the files, and of the user's own code, that a tree of settings names.

    Code is every module of the user's that an import path leads to, through the imports of those modules.
    """
    if isinstance(settings, Mapping):
        found: dict[str, str] = {}
        for name, value in settings.items():
            found |= _code(value) if name == "_target_" else contents(value)
        return found
    if isinstance(settings, list | tuple):
        return {name: value for each in settings for name, value in contents(each).items()}
    if not isinstance(settings, str) or not _may_be_file(settings):
        return {}
    if Path(settings).is_file():
        return {settings: data_fingerprint(settings)}
    return {settings: model_fingerprint(settings)} if (Path(settings) / "config.json").is_file() else {}


def _may_be_file(text: str) -> bool:
    """Whether this can be a file's name."""
    return 0 < len(text) < LONGEST_NAME and "\n" not in text and "\0" not in text


def _code(target: Any) -> dict[str, str]:
    """Fingerprints of the user's own modules that an import path names, and of those that they import."""
    found: dict[str, Path] = {}
    waiting = [str(target)]
    while waiting:
        parts = waiting.pop().split(".")
        for module in (".".join(parts[: length + 1]) for length in range(len(parts))):
            if module not in found and (file := _users_file(module)):
                found[module] = file
                waiting += _imports(module, file)
    return {f"code of {module}": data_fingerprint(str(file)) for module, file in sorted(found.items())}


def _users_file(module: str) -> Path | None:
    """The file of a module of the user's own, found without importing it; None for any other module."""
    top, *below = module.split(".")
    try:
        spec = find_spec(top)
    except ValueError:  # __main__
        return None
    if spec is None:
        return None
    if below:
        roots = [Path(folder, *below) for folder in spec.submodule_search_locations or ()]
        files = [file for root in roots for file in (root / "__init__.py", root.with_suffix(".py"))]
    else:
        files = [Path(spec.origin)] if spec.origin and spec.has_location else []
    file = next((file for file in files if file.is_file()), None)
    if (
        file is None
        or INSTALLED & set(file.parts)
        or any(file.is_relative_to(each) for each in NOT_THE_USERS)
    ):
        return None
    return file


def _imports(module: str, file: Path) -> Iterator[str]:
    """Names of modules that a module may import; some may be names inside a module instead."""
    package = module if file.stem == "__init__" else module.rpartition(".")[0]
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError):  # importing it reports the error
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -(node.level - 1) or None] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def flattened(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings with their dotted names. An empty mapping is a leaf."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def flat_settings(config: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every setting of a dataclass that numbers depend on.

    A dictionary is one value, because its names are the user's own; so is a section that may be absent.
    """
    for item in fields(config):
        key, value = f"{prefix}{item.name}", getattr(config, item.name)
        if item.metadata.get("neutral"):
            continue
        if is_dataclass(value) and item.default is not None:
            yield from flat_settings(value, f"{key}.")
        else:
            yield key, asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """(dotted key, old value, new value) where two trees differ; keys that only one of them has are skipped.

    So a setting added by a later version is not a difference. The arguments of an import path are one value.
    """
    for name in old:
        if name not in new or old[name] == new[name]:
            continue
        parts = old[name], new[name]
        if all(isinstance(part, dict) and "_target_" not in part for part in parts):
            yield from ((f"{name}.{key}", a, b) for key, a, b in differences(*parts))
        else:
            yield name, *parts


def changes(before: Any, after: Any, prefix: str = "") -> list[str]:
    """Each difference of two trees of settings, as `dotted.key OLD → NEW`."""
    if isinstance(before, dict) and isinstance(after, dict):
        names = dict.fromkeys([*before, *after])
        return [c for name in names for c in changes(before.get(name), after.get(name), f"{prefix}{name}.")]
    return [] if before == after else [f"{prefix.rstrip('.')} {before} → {after}"]
