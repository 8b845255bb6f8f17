"""Loads the problems of a configured source."""

from __future__ import annotations

import traceback
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from rlvr.types import DataError, Problem, RlvrError


def load_problems(key: str, source: dict[str, Any]) -> list[Problem]:
    """Call the source. `key` is its setting, for messages.

    Raises DataError if the source raises, or does not return a non-empty list of problems with unique ids.
    """
    try:
        problems = instantiate(source)
    except InstantiationException as error:
        cause = error.__cause__ or error
        if isinstance(cause, RlvrError):
            raise type(cause)(f"{key}: {cause}") from None
        where = traceback.extract_tb(cause.__traceback__)[-1]
        raise DataError(
            f"{key}: {source['_target_']} raised {type(cause).__name__}: {cause} "
            f"at {where.filename}:{where.lineno}"
        ) from cause
    if not isinstance(problems, list) or not problems or not all(isinstance(p, Problem) for p in problems):
        raise DataError(f"{key}: {source['_target_']} must return a non-empty list of Problem")
    if len({problem.id for problem in problems}) < len(problems):
        raise DataError(f"{key}: {source['_target_']} returned several problems with the same id")
    return problems
