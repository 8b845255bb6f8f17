"""Combining the values of several reward functions into one verdict."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from rlvr.types import ConfigError, Status, Verdict


def combine(
    parts: Mapping[str, float | Verdict | None],
    weights: Mapping[str, float],
    *,
    gates: Mapping[str, float] | None = None,
    gate_value: float = 0.0,
    clip: Sequence[float] | None = None,
    logged: Collection[str] = (),
) -> Verdict:
    """The weighted sum Σ w·value of the `parts` that have an opinion, as one verdict.

    The default weight is 1, for gates 0. Logged parts and parts of weight 0 do not count. The sum is clipped
    to `clip`. If the value of a gate's part is below its threshold, the reward is min(sum, gate_value): never
    more than without the gate. A gate whose part has no opinion has no effect.

    Status and extracted answer are those of the first part that counts and is a Verdict, or else of the first
    other Verdict. Without any, the status is correct if the reward is positive. A gate changes the reward of
    a correct answer, not its status. If a part has no reward (timeout, crash), neither has the whole; its
    reason names the part.

    Raises:
        ConfigError: a weight, gate or logged name is not one of the parts.
    """
    gates = gates or {}
    for kind, names in (("weights", weights), ("gates", gates), ("logged", logged)):
        if unknown := sorted(set(names) - set(parts)):
            raise ConfigError(f"{kind}: there is no {', '.join(unknown)}, the parts are: {', '.join(parts)}")
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
    counted = [name for name in values if counts(name, weights, gates, logged)]
    if not counted:
        silent = ", ".join(name for name in parts if counts(name, weights, gates, logged))
        return Verdict(Status.CRASHED, None, f"no reward function had an opinion: {silent}")
    reward = sum(weights.get(name, 1.0) * values[name] for name in counted)
    if clip is not None:
        reward = min(max(reward, clip[0]), clip[1])
    shut = [name for name, least in gates.items() if name in values and values[name] < least]
    if shut:
        reward = min(reward, gate_value)
    stopped = "".join(f"no credit, {name} {values[name]:g} < {gates[name]:g}; " for name in shut)
    order = [*counted, *(name for name in given if name not in counted)]
    for name in order:
        if isinstance(leading := given[name], Verdict):
            reason = f"{stopped}{name}: {leading.reason}"
            return Verdict(leading.status, reward, reason, leading.extracted, values, rule=leading.rule)
    summary = stopped + ", ".join(f"{name} {value:g}" for name, value in values.items())
    return Verdict(Status.CORRECT if reward > 0 else Status.WRONG, reward, summary, parts=values)


def counts(name: str, weights: Mapping[str, float], gates: Collection[str], logged: Collection[str]) -> bool:
    """Whether the part `name` is in the weighted sum."""
    return name not in logged and weights.get(name, 0.0 if name in gates else 1.0) != 0
