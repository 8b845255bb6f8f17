"""Settings for selecting traces and for pairing them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rlvr.base.settings import setting

PREFER = ("first", "shortest", "random")
PAIRING = ("random", "closest_length", "shortest_chosen")


@dataclass
class TraceConfig:
    """Which traces SFT and mid-training learn from, among the correct ones that were not dropped.

    A bound on pass rate or reward also leaves out traces for which it is unknown.
    """

    min_pass_rate: float | None = setting(None, "leave out problems that are solved less often", ge=0, le=1)
    max_pass_rate: float | None = setting(None, "leave out problems that are solved more often", ge=0, le=1)
    min_reward: float | None = setting(None, "leave out answers with a lower reward, right or not")
    max_repetition: float | None = setting(
        None, "leave out answers with a larger share of words in repeated 8-grams", ge=0, le=1
    )
    max_length: int | None = setting(
        None, "leave out longer answers; in tokens, or in words where tokens are unknown", ge=1
    )
    unfinished: bool = setting(False, "include answers that were cut off at the token limit")
    per_problem: int | None = setting(None, "traces per problem, at most", ge=1)
    prefer: str = setting("first", "which of a problem's traces to take first", choices=PREFER)
    per_domain: int | None = setting(None, "traces per domain, at most; it balances the domains", ge=1)
    limit: int | None = setting(None, "traces in all, at most", ge=1)


@dataclass
class PairConfig:
    """Which answers to one problem Rollout DPO compares.

    Phi-4-Mini-Reasoning (arXiv 2504.21233) pairs a correct rollout with an incorrect one, and does not
    say how many pairs per problem, or which: these defaults are ours.
    """

    min_reward: float | None = setting(
        None, "least reward of a chosen answer; right answers with less are rejected like wrong ones"
    )
    per_problem: int | None = setting(4, "pairs per problem, at most", ge=1)
    pairing: str = setting("random", "which pairs to take first", choices=PAIRING)
    reuse: bool = setting(False, "allow an answer in several pairs")
    min_pass_rate: float | None = setting(None, "leave out problems that are solved less often", ge=0, le=1)
    max_pass_rate: float | None = setting(None, "leave out problems that are solved more often", ge=0, le=1)
    max_length: int | None = setting(
        None, "leave out longer answers; in tokens, or in words where tokens are unknown", ge=1
    )
    max_length_ratio: float | None = setting(None, "longest ratio of the longer to the shorter answer", ge=1)
    unparseable: bool = setting(True, "use completions without a readable answer as rejected ones, too")
    truncated: bool = setting(False, "use completions cut off at the token limit as rejected ones, too")


def contradictions(config: TraceConfig | PairConfig, path: str = "") -> Iterator[str]:
    """Yield one message for every combination of settings that excludes everything, or has no effect."""
    low, high = config.min_pass_rate, config.max_pass_rate
    if low is not None and high is not None and low > high:
        yield f"{path}min_pass_rate is {low}, above {path}max_pass_rate={high}: no problem is between them"
    if isinstance(config, PairConfig):
        if config.per_problem is None and config.reuse and config.pairing != "random":
            yield f"{path}pairing has no effect if every pair is used: set {path}per_problem"
    elif config.prefer != "first" and (config.per_problem, config.per_domain, config.limit) == (None,) * 3:
        yield (
            f"{path}prefer has no effect if every trace is used: set {path}per_problem, "
            f"{path}per_domain or {path}limit"
        )
