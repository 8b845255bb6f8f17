"""From a configured problem source to its problems."""

from __future__ import annotations

import traceback
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from rlvr.types import DataError, Problem, RlvrError


def load_problems(key: str, source: dict[str, Any]) -> list[Problem]:
    """Call the source. Raises DataError if it raises, or returns anything but problems with ids."""
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
        raise DataError(f"{key}: {source['_target_']} returned no list of Problem")
    if len({problem.id for problem in problems}) < len(problems):
        raise DataError(f"{key}: {source['_target_']} returned several problems with the same id")
    return problems
