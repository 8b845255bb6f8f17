"""Calls reward functions on samples, and turns results, errors and timeouts into verdicts."""

from __future__ import annotations

import asyncio
import math
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rlvr.rewards.combine import combine
from rlvr.rewards.config import RewardConfig
from rlvr.rewards.functions import RewardFunction, Sample
from rlvr.rewards.true_steps import true_steps
from rlvr.types import Status, Verdict

MAX_MESSAGE = 500  # characters of an exception's message
MAX_REASON = 1000  # characters
GRACE = 0.5  # seconds that a cancelled coroutine has to end before its process is killed

EVERY = -1  # in place of a position: a call for all samples of the batch
# Called before each call of a function: position in the batch (or EVERY), index of the function, and the
# seconds that it may take, or None if the time given before holds. Returns False if this sample and those
# after it are no longer needed.
Enter = Callable[[int, int, float | None], bool]
Finish = Callable[[int, Verdict, float], None]  # position, verdict, start (time.monotonic())


@dataclass
class _Check:
    position: int
    sample: Sample
    parts: dict[str, float | Verdict | None]
    began: float
    seconds: float = 0.0
    failure: Verdict | None = None
    pending: int = 0  # number of async calls that have not ended


@dataclass(frozen=True)
class _Call:
    """One call of a function: for one sample, or for several with the same columns."""

    index: int
    function: RewardFunction
    checks: list[_Check]
    columns: tuple[str, ...]

    def start(self) -> Any:
        arguments = self.function.arguments([check.sample for check in self.checks], self.columns)
        return self.function.function(**arguments)


class Evaluator:
    """Evaluates batches of samples: plain functions sample by sample, then functions that take a whole
    batch, then all `async` functions concurrently.

    If a function raises or returns an invalid value, the verdict is crashed; its reason names the function,
    the sample and the line in the user's file. The deadline of a sample holds for its plain functions
    together, and for each of its `async` functions; a call for n samples has n times as long. `async`
    functions are cancelled here at their deadline; others can only be stopped from outside.
    """

    def __init__(
        self,
        functions: Sequence[RewardFunction],
        config: RewardConfig,
        finish: Finish,
        enter: Enter = lambda position, function, seconds: True,
    ) -> None:
        self.config, self.finish, self.enter = config, finish, enter
        self.names = [function.name for function in functions]
        numbered = list(enumerate(functions))
        self.awaited = [(i, f) for i, f in numbered if f.asynchronous]
        self.batched = [(i, f) for i, f in numbered if f.per_batch and not f.asynchronous]
        self.plain = [(i, f) for i, f in numbered if not (f.per_batch or f.asynchronous)]
        self.combination = {
            "gates": config.gates,
            "gate_value": config.gate_value,
            "clip": config.clip,
            "logged": config.logged,
        }
        self.runner = asyncio.Runner()  # one event loop for all batches, so that clients stay connected

    def run(self, samples: Sequence[Sample]) -> None:
        """Calls `finish` once for every sample, in any order, until `enter` returns False."""
        checks = []
        for position, sample in enumerate(samples):
            now = time.monotonic()
            if self.plain and not self.enter(position, self.plain[0][0], self.config.deadline):
                break
            check = _Check(position, sample, dict.fromkeys(self.names), now)
            self._plain(check)
            if check.failure or not (self.batched or self.awaited):
                self._end(check)
            else:
                checks.append(check)
        if not checks:
            return
        if not self.plain:
            now = time.monotonic()
            for check in checks:
                check.began = now
        for index, function in self.batched:
            for call in self._calls(index, function, checks):
                self._batched(call)
        if self.awaited:
            self.runner.run(self._await_all(checks))
        else:
            for check in checks:
                self._end(check)

    def close(self) -> None:
        self.runner.close()

    def _plain(self, check: _Check) -> None:
        started = time.perf_counter()
        for index, function in self.plain:
            self.enter(check.position, index, None)
            if index in check.sample.late and function.late is not None:
                reason = f"it took the check past the deadline of {self.config.deadline:g} s"
                check.parts[function.name] = Verdict(Status.WRONG, function.late, reason, rule="deadline")
                check.seconds += self.config.deadline
                continue
            try:
                call = _Call(index, function, [check], function.columns(check.sample))
                check.parts[function.name] = _part(call.start())
            # User code: an exception must not look like a reward of 0.
            except Exception as error:  # noqa: BLE001
                self._crash(check, function, error)
                break
        check.seconds += time.perf_counter() - started

    def _calls(self, index: int, function: RewardFunction, checks: Sequence[_Check]) -> list[_Call]:
        """The calls of a function for `checks`, except those that have failed or lack a column."""
        calls: dict[tuple[Any, ...], _Call] = {}
        for check in checks:
            if check.failure:
                continue
            try:
                columns = function.columns(check.sample)
            except KeyError as error:
                self._crash(check, function, error)
                continue
            together = columns if function.per_batch else (check.position,)
            calls.setdefault(together, _Call(index, function, [], columns)).checks.append(check)
        return list(calls.values())

    def _batched(self, call: _Call) -> None:
        self.enter(EVERY, call.index, self.config.deadline * len(call.checks))
        started = time.perf_counter()
        try:
            self._store(call, call.start())
        except Exception as error:  # noqa: BLE001 (as above)
            for check in call.checks:
                self._crash(check, call.function, error)
        for check in call.checks:
            check.seconds += (time.perf_counter() - started) / len(call.checks)

    async def _await_all(self, checks: Sequence[_Check]) -> None:
        calls = [call for i, function in self.awaited for call in self._calls(i, function, checks)]
        for call in calls:
            for check in call.checks:
                check.pending += 1
        for check in checks:
            if not check.pending:
                self._end(check)
        most = max((len(call.checks) for call in calls), default=0)
        # a call for several samples that times out is repeated for each of them
        seconds = self.config.deadline * (most if most < 2 else most + 1) + GRACE
        self.enter(EVERY, self.awaited[0][0], seconds)
        await asyncio.gather(*(self._await(call, time.perf_counter()) for call in calls))

    async def _await(self, call: _Call, started: float) -> None:
        limit = asyncio.timeout(self.config.deadline * len(call.checks))
        try:
            async with limit:
                returned = await call.start()
            self._store(call, returned)
        # a CancelledError of this call must not end the calls of other samples
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 (as above)
            if limit.expired() and len(call.checks) > 1:
                alone = (replace(call, checks=[check]) for check in call.checks)
                await asyncio.gather(*(self._await(one, started) for one in alone))
                return
            for check in call.checks:
                if limit.expired():
                    reason = f"{call.function.name} was still running after its deadline of "
                    reason += f"{self.config.deadline:g} s ({check.sample.name})"
                    check.failure = check.failure or Verdict(Status.TIMEOUT, None, reason)
                else:
                    self._crash(check, call.function, error)
        for check in call.checks:
            check.pending -= 1
            if not check.pending:
                check.seconds += time.perf_counter() - started
                self._end(check)

    def _store(self, call: _Call, returned: Any) -> None:
        name = call.function.name
        values = _values(returned, len(call.checks)) if call.function.per_batch else [returned]
        for check, value in zip(call.checks, values, strict=True):
            try:
                check.parts[name] = _part(value)
            except Exception as error:  # noqa: BLE001 (converting a user's number type may raise)
                self._crash(check, call.function, error)

    def _crash(self, check: _Check, function: RewardFunction, error: BaseException) -> None:
        reason = f"{function.name}: {_raised(error, function)} ({check.sample.name})"
        check.failure = check.failure or Verdict(Status.CRASHED, None, reason)

    def _end(self, check: _Check) -> None:
        verdict = check.failure
        if verdict is None:
            verdict = combine(check.parts, self.config.weights, **self.combination)  # type: ignore[arg-type]
            if verdict.status.reached:
                sample = check.sample
                found = true_steps(sample.completion, sample.problem, sample.thoughts)
                verdict = replace(verdict, true_steps=found)
            else:
                verdict = replace(verdict, reason=f"{verdict.reason} ({check.sample.name})")
        verdict = replace(verdict, reason=verdict.reason[:MAX_REASON], seconds=check.seconds)
        self.finish(check.position, verdict, check.began)


def evaluate(functions: Sequence[RewardFunction], config: RewardConfig, sample: Sample) -> Verdict:
    """The verdict on one sample, in this process and without a deadline for plain functions."""
    verdicts: list[Verdict] = []
    evaluator = Evaluator(functions, config, lambda position, verdict, began: verdicts.append(verdict))
    try:
        evaluator.run([sample])
    finally:
        evaluator.close()
    return verdicts[0]


def _part(returned: Any) -> float | Verdict | None:
    """The value that a function returned for one sample. Raises TypeError or ValueError if it is invalid."""
    if returned is None:
        return None
    if isinstance(returned, Verdict):
        words = {
            "reason": returned.reason,
            "extracted": returned.extracted or "",
            "rule": returned.rule or "",
        }
        for name, value in words.items():
            if not isinstance(value, str):
                raise TypeError(f"returned a Verdict whose {name} is a {type(value).__name__}, not text")
        if returned.reward is not None:
            _number(returned.reward)
        return returned
    return _number(returned)


def _number(value: Any) -> float:
    # numpy and torch scalars are accepted as well, but no text
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        if asyncio.iscoroutine(value):
            value.close()
        raise TypeError(
            f"returned a {type(value).__name__} ({str(value)[:60]!r}), not a float, a Verdict or None"
        )
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"returned {number}: its value is no finite number")
    return number


def _values(returned: Any, samples: int) -> list[Any]:
    if isinstance(returned, str | bytes | Mapping | set) or not hasattr(returned, "__len__"):
        raise TypeError(f"returned a {type(returned).__name__}, not a list of {samples} values")
    values = list(returned)
    if len(values) != samples:
        raise ValueError(f"returned {len(values)} values for {samples} samples")
    return values


def _raised(error: BaseException, function: RewardFunction) -> str:
    """Exception type, message and innermost line in the user's file, or else the function's first line."""
    where, code = "", function.code
    if code is not None:
        own = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == code.co_filename
        ]
        where = f" at {code.co_filename}:{own[-1] if own else code.co_firstlineno}"
    message = " ".join(str(error).split())[:MAX_MESSAGE]
    return f"{type(error).__name__}: {message}{where}"
