"""Checks of the problems' data by reward functions, before anything runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from rlvr.rewards.config import RewardConfig
from rlvr.rewards.functions import Sample, load_functions
from rlvr.types import ConfigError, DataError, FinishReason, Problem

_SHOWN = 10  # most messages per function
Function = TypeVar("Function", bound=Callable[..., Any])


def with_data_check(check: Callable[..., None]) -> Callable[[Function], Function]:
    """Decorator for a reward function per sample: `check` is called when problems are loaded.

    `check` takes any of the function's parameters by name, and raises DataError.
    """

    def mark(function: Function) -> Function:
        function.__dict__["data_check"] = check
        return function

    return mark


def data_messages(config: RewardConfig, problems: Sequence[Problem]) -> Iterator[str]:
    """Yield a message for each problem that a function of `config` cannot judge; none if it is invalid."""
    try:
        functions = load_functions(config)
    except ConfigError:
        return
    for function in functions:
        check = getattr(function.function, "data_check", None)
        if check is None:
            continue
        takes = inspect.signature(check).parameters
        found = 0
        for problem in problems:
            sample = Sample(problem, 0, "", str(FinishReason.STOP))
            try:
                arguments = function.arguments([sample], function.columns(sample))
                check(**{name: value for name, value in arguments.items() if name in takes})
            except (DataError, KeyError) as error:
                found += 1
                if found <= _SHOWN:
                    yield f"reward.functions.{function.name}: problem {problem.id!r}: {error}"
        if found > _SHOWN:
            yield f"reward.functions.{function.name}: and {found - _SHOWN} further problems"
