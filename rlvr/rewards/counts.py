"""Counters of reward services since the last query."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field, fields

import numpy as np

from rlvr.types import Status, Verdict


def _seconds() -> array[float]:
    return array("d")


@dataclass
class ServiceCounts:
    """Counts and seconds, which are summed over services."""

    statuses: Counter[Status] = field(default_factory=Counter)
    latency: array[float] = field(default_factory=_seconds)  # of every check
    queue: array[float] = field(default_factory=_seconds)  # waiting time of each check
    respawns: array[float] = field(default_factory=_seconds)  # time from a worker's end to its replacement
    put_off: int = 0  # workers ended so that other checks need not wait; their check was restarted
    retried: int = 0  # checks restarted because a signal had killed their process
    recycled: int = 0  # workers replaced because they retained too much memory
    restarts: int = 0  # restarts of the process that forks the workers
    cache_hits: int = 0  # comparisons of answers found in a worker's cache
    cache_misses: int = 0  # comparisons of answers that were computed

    def count(self, verdict: Verdict, waited: float) -> None:
        self.statuses[verdict.status] += 1
        self.latency.append(verdict.seconds)
        self.queue.append(waited)

    def add(self, other: ServiceCounts) -> None:
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))

    def summary(self) -> dict[str, float]:
        """Metrics by name: verdicts by status, totals and percentiles; times in seconds.

        Without values, a percentile is 0.
        """
        latency, queue, respawns = (
            np.frombuffer(values) if values else np.zeros(1)
            for values in (self.latency, self.queue, self.respawns)
        )
        return {
            "checks": len(self.latency),
            **{str(status): self.statuses[status] for status in Status},
            "seconds": float(latency.sum()),
            **_percentiles("latency", latency),
            **_percentiles("queue", queue),
            "respawns": len(self.respawns),
            "put_off": self.put_off,
            "retried": self.retried,
            "recycled": self.recycled,
            "restarts": self.restarts,
            "respawn_mean": float(respawns.mean()),
            "respawn_max": float(respawns.max()),
            "cache_hits": self.cache_hits,
            "cache_misses": self.cache_misses,
        }


def _percentiles(name: str, seconds: np.ndarray[tuple[int], np.dtype[np.float64]]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, [50, 99])
    return {f"{name}_p50": float(p50), f"{name}_p99": float(p99), f"{name}_max": float(seconds.max())}
