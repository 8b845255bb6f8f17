"""Declaration of settings: dataclass fields with a default, bounds and one line of help."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, field
from typing import Any


def setting(
    default: Any = MISSING,
    help: str = "",
    *,
    factory: Any = MISSING,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: tuple[str, ...] | None = None,
    neutral: bool = False,
    each: Any = None,
) -> Any:
    """A dataclass field whose bounds `out_of_range` checks. `None` values are not compared.

    `neutral` settings decide where and how fast something is computed, not what: no key and no identity
    counts them (`rlvr.base.identity`). `each` is the dataclass of every value of a dictionary of sections.
    """
    bounds = {"≥": ge, ">": gt, "≤": le, "<": lt}
    metadata = {
        "help": help,
        "bounds": {sign: bound for sign, bound in bounds.items() if bound is not None},
        "choices": choices,
        "neutral": neutral,
        "each": each,
    }
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


_HOLDS = {
    "≥": lambda value, bound: value >= bound,
    ">": lambda value, bound: value > bound,
    "≤": lambda value, bound: value <= bound,
    "<": lambda value, bound: value < bound,
}


def refuse(messages: Iterable[str]) -> None:
    """Raises ConfigError with all of `messages`, each once; does nothing without any."""
    if said := "\n".join(dict.fromkeys(messages)):
        from rlvr.types import ConfigError  # imports numpy, which `--help` does not need

        raise ConfigError(said)


def out_of_range(config: Any, path: str = "") -> Iterator[str]:
    """Yield one message for every setting in `config` (a dataclass tree) outside its bounds."""
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        key = f"{path}{item.name}"
        if dataclasses.is_dataclass(value):
            yield from out_of_range(value, f"{key}.")
            continue
        if value is None:
            continue
        for sign, bound in item.metadata.get("bounds", {}).items():
            if not _HOLDS[sign](value, bound):
                yield f"{key} is {value}, but must be {sign} {bound}"
        choices = item.metadata.get("choices")
        if choices and value not in choices:
            yield f"{key} is {value!r}, but must be one of: {', '.join(choices)}"
