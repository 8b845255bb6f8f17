"""Write docs/configuration.md from the schemas and from conf/: python docs/configuration.py"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from rlvr.configuration.compose import SCHEMAS
from rlvr.configuration.keys import config_folder

PAGE = Path(__file__).with_suffix(".md")
INTRODUCTION = """\
# Configuration

Every setting of every command, written by `python docs/configuration.py` from the dataclasses that the
code reads (`rlvr/*/config.py`). A setting is given as `key=value`; an option of a group, which is a file of
`conf/GROUP/`, as `group=option`. `--cfg job` prints what comes of it, and nothing is run:

```sh
rlvr train experiment=quickstart sampling.temperature=0.8 rl.steps=100 --cfg job
```

A value is YAML: `[a,b]`, `{name: value}`, `null`, `1e-4`. What is not in a mapping yet is added with `+`
(`+reward.weights.format=0.1`), and taken away with `~`. A mapping with `_target_` names a function or a class
by its import path, with keyword arguments. Defaults are those of the dataclasses; the files that a command
starts from set more. A key that does not exist, or a value out of its bounds, ends the command in seconds and
names what is nearest.
"""
WIDE = 10**6  # nothing is folded
# groups that are not chosen by GROUP=OPTION
HEADINGS = {"benchmark": "`problems=[…]` of `rlvr evaluate` (conf/benchmark)"}


@dataclass(frozen=True)
class Row:
    """A setting, or with an empty type the heading of a section within a section."""

    key: str
    type: str
    default: str
    help: str


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, groups()]
    known: dict[type, tuple[str, list[Row]]] = {}
    for command, schema in SCHEMAS.items():
        parts += [f"## rlvr {command}\n", starts_from(command)]
        parts += sections(schema, known)
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def sections(schema: type, known: dict[type, tuple[str, list[Row]]]) -> Iterator[str]:
    """A table of what stands alone, and one of each section; what was shown before is referred to."""
    hints = get_type_hints(schema)
    alone, parts, same = [], [], []
    # a section with its class's own defaults comes before those of its kind that have others
    for field in sorted(dataclasses.fields(schema), key=lambda each: has_other_defaults(each, hints)):
        kind, key, value = option(hints[field.name]), field.name, default_of(field)
        if kind is None:
            alone.append(row(field, hints[key], "", value))
            continue
        rows = list(rows_of(kind, f"{key}.", value if value is not None else kind()))
        if kind not in known:
            known[kind] = (key, rows)
            parts += [f"### {key}\n", f"{docstring(kind)}\n" if docstring(kind) else "", table(rows)]
        elif known[kind][0] == key and known[kind][1] == rows:
            same.append(f"`{key}`")
        else:
            parts += [f"### {key}\n", difference(rows, *known[kind])]
    yield table(alone)
    if same:
        yield f"The same as above: {', '.join(same)}.\n"
    yield from parts


def difference(rows: list[Row], where: str, shown: list[Row]) -> str:
    """What a section has otherwise than `where`, one of the same kind."""
    other = [each for each, there in zip(rows, shown, strict=True) if each.default != there.default]
    if not other:
        return f"The same as `{where}`.\n"
    defaults = ", ".join(f"{each.key} is {each.default}" for each in other)
    return f"As `{where}`, with other defaults: {defaults}.\n"


def rows_of(kind: type, prefix: str, value: Any) -> Iterator[Row]:
    """The settings of a section with the defaults of `value`, those of the sections in it too."""
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        inner, given = option(hints[field.name]), getattr(value, field.name)
        if inner is None:
            yield row(field, hints[field.name], prefix, given)
            continue
        key = f"{prefix}{field.name}"
        said = field.metadata.get("help") or first_sentence(docstring(inner))
        optional = NoneType in get_args(hints[field.name])
        yield Row(
            f"**`{key}`**",
            "section or null" if optional else "section",
            "`null`" if optional and given is None else "",
            said,
        )
        yield from rows_of(inner, f"{key}.", given if given is not None else inner())


def row(field: dataclasses.Field[Any], hint: Any, prefix: str, value: Any) -> Row:
    bounds = [f"{sign} {bound:g}" for sign, bound in field.metadata.get("bounds", {}).items()]
    choices = field.metadata.get("choices")
    kind = " or ".join(f"`{choice}`" for choice in choices) if choices else words(hint)
    return Row(
        f"`{prefix}{field.name}`", ", ".join([kind, *bounds]), shown(value), field.metadata.get("help", "")
    )


def words(hint: Any) -> str:
    """A type as YAML has it."""
    if hint is NoneType:
        return "null"
    if get_args(hint) and get_origin(hint) not in (list, dict):
        return " or ".join(words(part) for part in get_args(hint))
    names = {
        list: "list",
        dict: "mapping",
        str: "text",
        bool: "true or false",
        float: "number",
        int: "integer",
    }
    name = names.get(get_origin(hint) or hint, "any")
    of = [words(part) for part in get_args(hint)][-1:]
    return f"{name} of {of[0]}" if of and of != ["any"] else name


def shown(value: Any) -> str:
    """A default as it is given on the command line."""
    if value == "???":
        return "must be given"
    text = yaml.safe_dump(value, default_flow_style=True, width=WIDE, sort_keys=False, allow_unicode=True)
    return f"`{text.strip().removesuffix('...').strip()}`"


def default_of(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def has_other_defaults(field: dataclasses.Field[Any], hints: dict[str, Any]) -> bool:
    kind = option(hints[field.name])
    return kind is not None and field.default_factory not in (kind, dataclasses.MISSING)


def option(hint: Any) -> Any:
    """The dataclass that a hint names, alone or as one that may be null."""
    return next((part for part in (hint, *get_args(hint)) if dataclasses.is_dataclass(part)), None)


def docstring(kind: type) -> str:
    """What its author wrote; a dataclass without any has one that repeats its fields."""
    text = inspect.getdoc(kind) or ""
    return "" if text.startswith(f"{kind.__name__}(") else text


def first_sentence(text: str) -> str:
    # a full stop ends none after Dr. and before a small letter, as in "et al., 2023"
    return re.split(r"(?<=\.)(?<!Dr\.)\s+(?=[^a-z0-9])", " ".join(text.split()))[0].rstrip(":")


def comment(path: Path) -> str:
    """The first sentence of the comment at the top of an option's file."""
    lines = list(takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines()))
    said = [line.removeprefix("#").strip() for line in lines if "@package" not in line]
    # a line that begins with a capital begins something new
    first = [said[0], *takewhile(lambda line: line[:1].islower() or line[:1].isdigit(), said[1:])]
    return first_sentence(" ".join(first)).replace("<", "\\<")


def table(rows: list[Row]) -> str:
    lines = ["| key | type | default | |", "| --- | --- | --- | --- |"]
    for each in rows:
        cells = [cell.replace("|", "\\|") for cell in (each.key, each.type, each.default, each.help)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def groups() -> str:
    """Every option of every group, with the first sentence of its file."""
    conf = config_folder()
    parts = ["## Groups\n"]
    for folder in sorted({path.parent for path in conf.rglob("*.yaml")} - {conf}):
        name = folder.relative_to(conf).as_posix()
        options = [f"- `{path.stem}`: {comment(path)}" for path in sorted(folder.glob("*.yaml"))]
        parts += [f"{HEADINGS.get(name, f'`{name}=…`')}\n", *options, ""]
    return "\n".join(parts)


def starts_from(command: str) -> str:
    """The options that the command's primary configuration chooses."""
    defaults = yaml.safe_load((config_folder() / f"{command}.yaml").read_text(encoding="utf-8"))["defaults"]
    chosen = [
        f"`{group}={name}`"
        for item in defaults
        if isinstance(item, dict)
        for group, name in item.items()
        if name and not group.startswith("override")
    ]
    return f"Starts from {', '.join(chosen)}.\n" if chosen else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
