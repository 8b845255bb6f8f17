"""Settings of the problems that lead nowhere, or would do nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rlvr.problems.config import ProblemsConfig


def path_messages(problems: ProblemsConfig) -> Iterator[str]:
    """A file that no source reads."""
    path = problems.path
    asked = _paths(problems.train) + _paths(problems.heldout)
    if path is None and None in asked:
        yield "problems.path must be given: add problems.path=FILE to the command"
    if path is not None and path not in str((problems.train, problems.heldout)):
        yield f"problems.path={path} is read by no source: take problems=own, or name it in problems.train"


def _paths(source: Any) -> list[Any]:
    """What the arguments called `path` of a source, and of those that it is made of, are."""
    if not isinstance(source, dict):
        return []
    inner = [path for part in source.values() for path in _paths(part)]
    return inner + ([source["path"]] if "path" in source else [])
