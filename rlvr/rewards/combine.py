"""How the values of several reward functions become one verdict."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rlvr.rewards.functions import RewardFunction, Sample
from rlvr.types import ConfigError, Status, Verdict


def combine(parts: Mapping[str, float | Verdict | None], weights: Mapping[str, float]) -> Verdict:
    """The weighted sum Σ w·value of the `parts` that have an opinion, as one verdict.

    A part without a weight counts once. The status, reason and extracted answer are those of
    the first part that is a Verdict; without one, the sum decides: correct if it is positive.
    If a part was not reached, neither is the whole, which has no reward then and names the part.
    """
    unknown = sorted(set(weights) - set(parts))
    if unknown:
        raise ConfigError(f"weights for {', '.join(unknown)}, but the parts are: {', '.join(parts)}")
    given = {name: part for name, part in parts.items() if part is not None}
    values: dict[str, float] = {}
    for name, part in given.items():
        value = part.reward if isinstance(part, Verdict) else part
        if isinstance(part, Verdict) and value is None:
            return Verdict(part.status, None, f"{name}: {part.reason}", part.extracted)
        values[name] = float(value)  # type: ignore[arg-type]
    for name, number in values.items():
        if not math.isfinite(number):
            return Verdict(Status.CRASHED, None, f"{name}: its value is {number}")
    if not values:
        return Verdict(Status.CRASHED, None, f"no reward function had an opinion: {', '.join(parts)}")
    reward = sum(weights.get(name, 1.0) * value for name, value in values.items())
    leading = next(((name, part) for name, part in given.items() if isinstance(part, Verdict)), None)
    if leading is None:
        summary = ", ".join(f"{name} {value:g}" for name, value in values.items())
        return Verdict(Status.CORRECT if reward > 0 else Status.WRONG, reward, summary, parts=values)
    name, verdict = leading
    return Verdict(verdict.status, reward, f"{name}: {verdict.reason}", verdict.extracted, values)


def evaluate(
    functions: Iterable[RewardFunction],
    weights: Mapping[str, float],
    sample: Sample,
    entering: Callable[[str], None] = lambda name: None,
) -> Verdict:
    """Call every function on `sample` and combine. `entering` is told the name before each call.

    A function that raises, or returns something that is no value, makes the verdict crashed,
    with the function, the sample and the line of the user's file in the reason.
    """
    parts: dict[str, float | Verdict | None] = {}
    for function in functions:
        entering(function.name)
        try:
            parts[function.name] = _value(function(sample))
        # The boundary to code that is not ours: nothing it raises may look like a reward of 0.
        except Exception as error:  # noqa: BLE001
            reason = f"{function.name}: {_raised(error, function)} ({sample.name})"
            return Verdict(Status.CRASHED, None, reason)
    verdict = combine(parts, weights)
    if verdict.status.reached:
        return verdict
    return Verdict(verdict.status, None, f"{verdict.reason} ({sample.name})", verdict.extracted)


def _value(returned: Any) -> float | Verdict | None:
    if returned is None or isinstance(returned, Verdict):
        return returned
    # numpy and torch scalars are numbers too; text that could be read as one is not
    if isinstance(returned, str | bytes) or not hasattr(returned, "__float__"):
        raise TypeError(
            f"returned a {type(returned).__name__} ({str(returned)[:60]!r}), not a float, a Verdict or None"
        )
    return float(returned)


def _raised(error: Exception, function: RewardFunction) -> str:
    """Type, message and the innermost line of the user's own file."""
    frames = traceback.extract_tb(error.__traceback__)
    module = getattr(function.function, "__code__", None) or getattr(
        type(function.function).__call__, "__code__", None
    )
    own = [frame for frame in frames if module is not None and frame.filename == module.co_filename]
    where = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}: {error}{where}"
