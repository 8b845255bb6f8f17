"""Loading reward functions from configured import paths, and calling them on rollouts.

A reward function is a plain or `async` function, or a class whose instances are callable. The names of its
parameters decide how it is called.

- Per sample: it takes `completion` and any of `problem`, `answer`, `tokens`, `num_sampled`,
  `finish_reason`, `thoughts` and the problem's columns. It returns a float, a Verdict, or None for no
  opinion.
- Per batch: it takes `completions` and any of `problems`, `answers`, `tokens`, `num_sampled`,
  `finish_reasons`, `thoughts`, and columns by their own names: each a list with one entry per sample. It
  returns a list of the same length, with values as above. How samples are grouped into batches is undefined,
  so a value must not depend on it. Either all samples of a batch have a column that is passed, or none.

If the prompt opened a thought, the completion begins with its opening mark. `thoughts` are the configured
marks, for `rlvr.verify.thoughts.after_thoughts`.

Other parameters without a default are data: they come from the configuration or a column of the problems.
Parameters with a default are settings: only the configuration changes them, even if the problems have a
column of that name. If the function's configuration lists a setting under `columns`, it is filled from the
problem's column of that name, where the problem has one.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeVar

from rlvr.base.settings import out_of_range, refuse
from rlvr.base.targets import BY_NAME, check_keywords, known_names, resolve
from rlvr.rewards.combine import counts
from rlvr.rewards.config import RewardConfig
from rlvr.types import ConfigError, Problem
from rlvr.verify.thoughts import MARKS, Marks

ROLLOUT_NAMES = ("completion", "problem", "answer", "tokens", "num_sampled", "finish_reason", "thoughts")
BATCH_NAMES = ("completions", "problems", "answers", "tokens", "num_sampled", "finish_reasons", "thoughts")
SPARE_SECONDS = 1.0  # least difference between the deadline and a function's own time limit
OF_A_ROLLOUT = ("tokens", "num_sampled")  # available for rollouts, but not for plain texts


F = TypeVar("F", bound=Callable[..., Any])


def wrong_when_late(setting: str | None = "wrong") -> Callable[[F], F]:
    """Mark a function per sample that can only be slow because of the answer.

    If it exceeds the deadline, the answer is wrong, with the value of the function's `setting` (0 for None).
    For functions without this mark the verdict is a timeout, without a reward.
    """

    def mark(function: F) -> F:
        if setting is not None and setting not in inspect.signature(function).parameters:
            raise TypeError(f"wrong_when_late: {function!r} has no setting {setting!r}")
        function.__dict__["when_late"] = setting
        return function

    return mark


@dataclass(frozen=True)
class Sample:
    """The data of a rollout and its problem that checks need; small, so that it is quick to send."""

    problem: Problem
    index: int  # of the sample within its group
    completion: str
    finish_reason: str
    tokens: Any = None  # [T] of the rollout, if a function takes them
    num_sampled: int | None = None  # number of sampled tokens
    late: tuple[int, ...] = ()  # indices of functions that exceeded the deadline on it
    thoughts: Marks = MARKS

    @property
    def name(self) -> str:
        return f"problem {self.problem.id!r}, sample {self.index}"

    def given(self) -> tuple[Any, ...]:
        """The values of `ROLLOUT_NAMES`."""
        problem = self.problem
        drawn = self.tokens, self.num_sampled, self.finish_reason
        return self.completion, problem, problem.answer, *drawn, self.thoughts


@dataclass(frozen=True)
class RewardFunction:
    """A resolved function; `asks` are the parameters that are filled per sample or batch."""

    name: str
    path: str
    function: Callable[..., Any]
    bound: Mapping[str, Any]
    asks: tuple[str, ...]
    needs: tuple[str, ...]  # those of `asks` without a default
    optional: tuple[str, ...] = ()  # those of `asks` that are columns a problem may lack
    settings: tuple[str, ...] = ()  # parameters that keep their default
    per_batch: bool = False
    asynchronous: bool = False
    late: float | None = None  # value of an answer on which it exceeds the deadline; None: timeout

    @property
    def given(self) -> tuple[str, ...]:
        """Parameter names that every sample fills; all others are columns."""
        return BATCH_NAMES if self.per_batch else ROLLOUT_NAMES

    def columns(self, sample: Sample) -> tuple[str, ...]:
        """The columns of `sample` that the function takes. Raises KeyError if a required one is missing."""
        found = []
        for name in self.asks:
            if name in self.given:
                continue
            if name in sample.problem.columns:
                found.append(name)
            elif name in self.needs:
                there = known_names(name, [*self.given, *sample.problem.columns])
                raise KeyError(f"reward function {self.name!r} asks for {name!r}; {there}")
        return tuple(found)

    def arguments(self, samples: Sequence[Sample], columns: Sequence[str]) -> dict[str, Any]:
        """The arguments for `samples`, which all have `columns`; a single sample unless per batch.

        Lists and mappings in columns are copies: what a function does to them is seen by no other call.
        """
        rows = [dict(zip(self.given, sample.given(), strict=True)) for sample in samples]
        filled = [
            {name: _own(row[name]) for name in self.asks if name in row}
            | {name: deepcopy(sample.problem.columns[name]) for name in columns}
            for row, sample in zip(rows, samples, strict=True)
        ]
        if self.per_batch:
            return {**self.bound, **{name: [row[name] for row in filled] for name in filled[0]}}
        return {**self.bound, **filled[0]}

    @property
    def code(self) -> Any:
        """The code object of the user's function, if it has one."""
        function = inspect.unwrap(self.function)
        return getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)


def _own(value: Any) -> Any:
    """`value`; a copy of a problem, whose columns a function could change."""
    return deepcopy(value) if isinstance(value, Problem) else value


def load_functions(config: RewardConfig) -> list[RewardFunction]:
    """The functions of `config`, in order. Raises ConfigError with all messages of `validate_reward`."""
    refuse(validate_reward(config))
    return [_load(name, spec) for name, spec in config.functions.items()]


def validate_reward(
    config: RewardConfig, columns: Collection[str] | None = None, shared: Collection[str] | None = None
) -> Iterator[str]:
    """Yield a message for each error in `config`. Imports the modules that it names.

    If `columns`, the names of the problems' columns, are given, parameters that nothing fills and columns
    that no problem has are reported here, rather than failing at the first sample. `shared` are the columns
    that all problems have (default: all), which can fill parameters without a default.
    """
    if not config.functions:
        yield "reward.functions is empty: name one, as in math: {_target_: rlvr.rewards.math.math_reward}"
    yield from _combination_messages(config)
    lowest = 0.0
    for name, spec in config.functions.items():
        try:
            function = _load(name, spec)
        except ConfigError as error:
            yield str(error)
            continue
        yield from _limit_messages(function, config.deadline)
        if counts(name, config.weights, config.gates, config.logged):
            lowest += config.weights.get(name, 1.0) * _wrong(spec)
        if columns is None:
            continue
        given = [*function.given, *(columns if shared is None else shared)]
        for need in function.needs:
            if need not in given:
                yield (
                    f"reward.functions.{name}: {function.path} takes {need!r}, which neither the "
                    f"configuration nor the problems give; {known_names(need, given)}"
                )
        for column in function.optional:
            if column not in columns:
                yield (
                    f"reward.functions.{name}.columns names {column!r}, but no problem has such a column; "
                    f"{known_names(column, columns)} (take {column!r} out, or give the problems the column)"
                )
    if config.clip:
        lowest = max(lowest, config.clip[0])
    if config.gates and config.gate_value > lowest:
        yield (
            f"reward.gate_value is {config.gate_value:g}, but a wrong answer gets {lowest:g}: a right "
            "answer that a gate stops would look better than a wrong one; lower it to that"
        )


def say_unused_columns(config: RewardConfig, columns: Collection[str]) -> None:
    """Print on stderr which of `columns` are not passed because the parameter of their name is a setting.

    Raises ConfigError as `load_functions` does.
    """
    for function in load_functions(config):
        for name in function.settings:
            if name in columns:
                print(
                    f"rlvr: the problems' column {name!r} is not passed to {function.path}, whose {name!r} "
                    f"has a default and so is a setting; to fill it from the column, give "
                    f"reward.functions.{function.name} columns: [{name}]",
                    file=sys.stderr,
                )


def _limit_messages(function: RewardFunction, deadline: float) -> Iterator[str]:
    """What is wrong with `wall_seconds`, a function's own time limit, which must be below the deadline."""
    parameter = _parameters(function.function, function.name, function.path).get("wall_seconds")
    limit = function.bound.get("wall_seconds", parameter.default if parameter else None)
    if isinstance(limit, int | float) and limit + SPARE_SECONDS > deadline:
        yield (
            f"reward.functions.{function.name}.wall_seconds is {limit:g}, but reward.deadline is "
            f"{deadline:g}: what runs past its own limit is wrong, past the deadline it is no verdict; raise "
            f"reward.deadline to {limit + SPARE_SECONDS:g}, or lower wall_seconds"
        )


def _combination_messages(config: RewardConfig) -> Iterator[str]:
    """What is wrong with weights, gates and bounds: unknown names, and settings without effect."""
    functions, gates, logged = config.functions, config.gates, config.logged
    for section, names in (("weights", config.weights), ("gates", gates), ("logged", logged)):
        for name in names:
            if name not in functions:
                yield f"reward.{section} names {name!r}, which is no function; {known_names(name, functions)}"
    for name, weight in config.weights.items():
        if not math.isfinite(weight):
            yield f"reward.weights.{name} is {weight}"
        elif weight != 0 and name in logged:
            yield f"reward.weights.{name} is {weight:g}, but reward.logged says that {name} has no effect"
    for name, least in gates.items():
        if not math.isfinite(least):
            yield f"reward.gates.{name} is {least}: a gate is the least value that passes"
        if name in logged:
            yield f"reward.gates.{name} is a gate, but reward.logged says that {name} has no effect"
    if functions and not any(counts(name, config.weights, gates, logged) for name in functions):
        yield (
            "reward: every function is a gate without a weight, logged, or of weight 0, so all rewards would "
            "be equal: give one a weight"
        )
    for pair in config.thoughts or ():
        if len(pair) != 2 or not all(pair) or pair[0] == pair[1]:
            yield f"reward.thoughts has {list(pair)}, but must have pairs of two marks: [<think>, </think>]"
    if not gates and config.gate_value:
        yield "reward.gate_value has no effect without reward.gates"
    if not math.isfinite(config.gate_value):
        yield f"reward.gate_value is {config.gate_value}"
    clip = config.clip
    if clip is not None and not (len(clip) == 2 and all(map(math.isfinite, clip)) and clip[0] < clip[1]):
        yield f"reward.clip is {list(clip)}, but must be [low, high] with low < high"
    elif clip is not None and gates and not clip[0] <= config.gate_value <= clip[1]:
        yield f"reward.gate_value is {config.gate_value:g}, outside reward.clip {list(clip)}"


def _wrong(spec: Mapping[str, Any]) -> float:
    """The value of a wrong answer by the function of `spec`: its parameter `wrong`, else 0."""
    parameter = inspect.signature(resolve(spec["_target_"], "reward")).parameters.get("wrong")
    value = spec.get("wrong", parameter.default if parameter else 0.0)
    return float(value) if isinstance(value, int | float) else 0.0


def _load(name: str, spec: Any) -> RewardFunction:
    key = f"reward.functions.{name}"
    if not isinstance(spec, Mapping) or not isinstance(spec.get("_target_"), str):
        raise ConfigError(f"{key} must be a mapping with _target_: an import path")
    bound = {str(word): value for word, value in spec.items() if word not in ("_target_", "columns")}
    path = spec["_target_"]
    target = resolve(path, key)
    if not callable(target):
        raise ConfigError(f"{key}: {path} is not callable: its type is {type(target).__name__}")
    made, parameters = inspect.isclass(target), _parameters(target, key, path)
    if made:
        check_keywords(key, path, target, bound)
        try:
            target = target(**bound)
        # User code: any exception of a constructor is reported as an error in its settings.
        except Exception as error:
            raise ConfigError(f"{key}: {path}(…) raised {type(error).__name__}: {error}") from error
        bound = {}
        if not callable(target):
            raise ConfigError(f"{key}: {path} is a class whose instances cannot be called")
        parameters = _parameters(target, key, path)
    per_batch = "completions" in parameters
    given = BATCH_NAMES if per_batch else ROLLOUT_NAMES
    if not made:
        check_keywords(key, path, target, bound, given)
    named = _named_columns(spec.get("columns", []), parameters, bound, given, key, path)
    free = {
        word: parameter
        for word, parameter in parameters.items()
        if word not in bound and parameter.kind in BY_NAME
    }
    needs = tuple(word for word, parameter in free.items() if parameter.default is parameter.empty)
    asked = tuple(word for word in free if word in given or word in needs or word in named)
    if "completion" not in asked and not per_batch:
        raise ConfigError(
            f"{key}: {path} takes neither 'completion' (one sample) nor 'completions' (a batch); it takes: "
            f"{', '.join(free) or 'nothing by name'}"
        )
    if per_batch and (mixed := [word for word in free if word in ROLLOUT_NAMES and word not in BATCH_NAMES]):
        raise ConfigError(
            f"{key}: {path} takes 'completions', a batch, and so not {mixed[0]!r}: rename it to '{mixed[0]}s'"
        )
    return RewardFunction(
        name,
        path,
        target,
        bound,
        asked,
        needs,
        tuple(word for word in named if word not in needs),
        tuple(word for word in free if word not in asked),
        per_batch,
        inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(type(target).__call__),
        _late(target, parameters, bound),
    )


def _late(
    target: Callable[..., Any], parameters: Mapping[str, inspect.Parameter], bound: Mapping[str, Any]
) -> float | None:
    if not hasattr(target, "when_late"):
        return None
    setting = target.when_late
    return float(bound.get(setting, parameters[setting].default)) if setting else 0.0


def _named_columns(
    names: Any,
    parameters: Mapping[str, inspect.Parameter],
    bound: Collection[str],
    given: Collection[str],
    key: str,
    path: str,
) -> list[str]:
    """The parameters that the configuration's `columns` lists, to be filled from the problems' columns."""
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"{key}.columns is {names!r}, but must be a list of names, as in [difficulty]")
    if names and "columns" in parameters:
        raise ConfigError(
            f"{key}.columns: {path} has a parameter 'columns' of its own, which the list of columns hides: "
            "rename the parameter"
        )
    for name in names:
        if name in given:
            raise ConfigError(
                f"{key}.columns: {path} is given {name!r} at every call, from the rollout: take it out"
            )
        if name in bound:
            raise ConfigError(f"{key}.columns names {name!r}, for which {key}.{name} gives a value: keep one")
        if name not in parameters or parameters[name].kind not in BY_NAME:
            takes = [word for word in parameters if word not in given and word not in bound]
            raise ConfigError(
                f"{key}.columns names {name!r}, which {path} does not take when it is called; "
                f"{known_names(name, takes)}"
            )
    return list(names)


def _parameters(target: Callable[..., Any], key: str, path: str) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(target).parameters
    except ValueError as error:
        raise ConfigError(f"{key}: {path} does not say what it takes: {error}") from error


def check_ranges(config: RewardConfig) -> None:
    """Raise ConfigError for a setting out of range, for configurations created in Python."""
    for name in ("actors", "workers", "batch"):
        if not isinstance(number := getattr(config, name), int):
            raise ConfigError(f"reward.{name} is {number!r}, but must be a whole number")
    for name in ("deadline", "memory_gib"):
        number = getattr(config, name)
        if not isinstance(number, int | float) or not math.isfinite(number):
            raise ConfigError(f"reward.{name} is {number!r}, but must be a finite number")
    refuse(out_of_range(config, "reward."))
