"""From a configured import path to a function that can be called on a rollout.

A reward function is a plain function, or a class whose instances are called. It takes
`completion` and, by parameter name, any of: `problem`, `answer`, `tokens`, `finish_reason`, or a
column of the problem; the configuration binds the rest. It returns a float, a Verdict, or None.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rlvr.rewards.config import RewardConfig
from rlvr.targets import BY_NAME, check_keywords, known_names, resolve
from rlvr.types import ConfigError, Problem

ROLLOUT_NAMES = ("completion", "problem", "answer", "tokens", "finish_reason")


@dataclass(frozen=True)
class Sample:
    """What a check needs of a rollout and its problem, and nothing that is slow to send."""

    problem: Problem
    index: int  # of the sample within its group
    completion: str
    finish_reason: str
    tokens: Any = None  # [T] of the rollout, when a function asks for them

    @property
    def name(self) -> str:
        return f"problem {self.problem.id!r}, sample {self.index}"


@dataclass(frozen=True)
class RewardFunction:
    """A resolved function; `asks` are the parameters that each sample fills."""

    name: str
    path: str
    function: Callable[..., Any]
    bound: Mapping[str, Any]
    asks: tuple[str, ...]
    needs: tuple[str, ...]  # those of `asks` without a default

    def __call__(self, sample: Sample) -> Any:
        return self.function(**self.bound, **self.arguments(sample))

    def arguments(self, sample: Sample) -> dict[str, Any]:
        """The arguments asked for by name. Raises KeyError for a column that the problem lacks."""
        known = {
            "completion": sample.completion,
            "problem": sample.problem,
            "answer": sample.problem.answer,
            "tokens": sample.tokens,
            "finish_reason": sample.finish_reason,
        }
        columns = sample.problem.columns
        arguments = {}
        for name in self.asks:
            if name in known:
                arguments[name] = known[name]
            elif name in columns:
                arguments[name] = columns[name]
            elif name in self.needs:
                there = known_names(name, [*ROLLOUT_NAMES, *columns])
                raise KeyError(f"reward function {self.name!r} asks for {name!r}; {there}")
        return arguments


def load_functions(config: RewardConfig) -> list[RewardFunction]:
    """The functions of `config`, in its order. Raises ConfigError with everything that is wrong."""
    messages = list(validate_reward(config))
    if messages:
        raise ConfigError("\n".join(messages))
    return [_load(name, spec) for name, spec in config.functions.items()]


def validate_reward(config: RewardConfig, columns: Collection[str] | None = None) -> Iterator[str]:
    """Yield what is wrong with `config`, one message each.

    `columns` are the names of the problems' columns, where they are known: then a parameter that
    nothing fills is found here rather than at the first sample. Imports the modules it names.
    """
    if not config.functions:
        yield "reward.functions is empty: name one, as in math: {_target_: rlvr.rewards.math.math_reward}"
    for name, weight in config.weights.items():
        if name not in config.functions:
            yield f"reward.weights.{name} weighs no function; {known_names(name, config.functions)}"
        elif weight == 0:
            yield f"reward.weights.{name} is 0, so it has no effect: remove its function"
    for name, spec in config.functions.items():
        try:
            function = _load(name, spec)
        except ConfigError as error:
            yield str(error)
            continue
        given = [*ROLLOUT_NAMES, *(columns or ())]
        unfilled = [need for need in function.needs if columns is not None and need not in given]
        for need in unfilled:
            yield (
                f"reward.functions.{name}: {function.path} takes {need!r}, which neither the "
                f"configuration nor the problems give; {known_names(need, given)}"
            )


def _load(name: str, spec: Any) -> RewardFunction:
    key = f"reward.functions.{name}"
    if not isinstance(spec, Mapping) or not isinstance(spec.get("_target_"), str):
        raise ConfigError(f"{key} must be a mapping with _target_: an import path")
    bound = {str(word): value for word, value in spec.items() if word != "_target_"}
    path = spec["_target_"]
    target = resolve(path, key)
    if not callable(target):
        raise ConfigError(f"{key}: {path} is a {type(target).__name__}, not something to call")
    if inspect.isclass(target):
        check_keywords(key, path, target, bound)
        try:
            target = target(**bound)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{key}: {path}(…) raised {type(error).__name__}: {error}") from error
        bound = {}
        if not callable(target):
            raise ConfigError(f"{key}: {path} is a class whose instances cannot be called")
    else:
        check_keywords(key, path, target, bound, ROLLOUT_NAMES)
    asked = {
        word: parameter
        for word, parameter in inspect.signature(target).parameters.items()
        if word not in bound and parameter.kind in BY_NAME
    }
    if "completion" not in asked:
        raise ConfigError(
            f"{key}: {path} does not take a parameter named 'completion'; it takes: {', '.join(asked)}"
        )
    needs = tuple(word for word, parameter in asked.items() if parameter.default is parameter.empty)
    return RewardFunction(name, path, target, bound, tuple(asked), needs)
