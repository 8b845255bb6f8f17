"""Settings of which traces are learned from, and of how they are paired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rlvr.base.settings import setting

PREFER = ("first", "shortest", "random")
PAIRING = ("random", "closest_length", "shortest_chosen")


@dataclass
class TraceConfig:
    """Which traces SFT and mid-training learn from: correct ones that were not dropped, and of these …

    A trace whose pass rate or reward is unknown is left out by a bound on it.
    """

    min_pass_rate: float | None = setting(None, "leave out problems that are solved less often", ge=0, le=1)
    max_pass_rate: float | None = setting(None, "leave out problems that are solved more often", ge=0, le=1)
    min_reward: float | None = setting(None, "leave out answers that were rewarded less, right or not")
    max_repetition: float | None = setting(None, "largest share of words in a repeated 8-gram", ge=0, le=1)
    max_length: int | None = setting(None, "longest answer: tokens, or words where they are unknown", ge=1)
    unfinished: bool = setting(False, "take answers that were cut off at the token limit")
    per_problem: int | None = setting(None, "most traces of one problem", ge=1)
    prefer: str = setting("first", "which of a problem's traces go first", choices=PREFER)
    per_domain: int | None = setting(None, "most traces of one domain, which balances them", ge=1)
    limit: int | None = setting(None, "most traces in all", ge=1)


@dataclass
class PairConfig:
    """Which answers to one problem Rollout DPO compares.

    Phi-4-Mini-Reasoning (arXiv 2504.21233) pairs a correct rollout with an incorrect one, and does not
    say how many of a problem, nor which: these defaults are ours.
    """

    min_reward: float | None = setting(
        None, "prefer only what was rewarded as much; right answers with less are rejected like wrong ones"
    )
    per_problem: int | None = setting(4, "most pairs of one problem", ge=1)
    pairing: str = setting("random", "which pairs go first", choices=PAIRING)
    reuse: bool = setting(False, "let an answer be in several pairs")
    min_pass_rate: float | None = setting(None, "leave out problems that are solved less often", ge=0, le=1)
    max_pass_rate: float | None = setting(None, "leave out problems that are solved more often", ge=0, le=1)
    max_length: int | None = setting(None, "longest answer: tokens, or words where they are unknown", ge=1)
    max_length_ratio: float | None = setting(None, "longer over shorter answer, at most", ge=1)
    unparseable: bool = setting(True, "reject answers in which no answer could be read, too")
    truncated: bool = setting(False, "reject answers that were cut off at the token limit, too")


def contradictions(config: TraceConfig | PairConfig, path: str = "") -> Iterator[str]:
    """Yield one message for every combination of settings that leaves nothing, or has no effect."""
    low, high = config.min_pass_rate, config.max_pass_rate
    if low is not None and high is not None and low > high:
        yield f"{path}min_pass_rate is {low}, above {path}max_pass_rate={high}: no problem is between them"
    if isinstance(config, PairConfig):
        if config.per_problem is None and config.reuse and config.pairing != "random":
            yield f"{path}pairing has no effect when every pair is taken: set {path}per_problem"
    elif config.prefer != "first" and (config.per_problem, config.per_domain, config.limit) == (None,) * 3:
        yield (
            f"{path}prefer has no effect when every trace is taken: set {path}per_problem, "
            f"{path}per_domain or {path}limit"
        )
