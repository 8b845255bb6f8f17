"""Settings of `rlvr audit`: which completions a reward is tested on, and bounds on its error rates."""

from __future__ import annotations

from dataclasses import dataclass

from rlvr.base.settings import setting
from rlvr.problems.config import ProblemsConfig
from rlvr.rewards.config import RewardConfig

MARKS = (
    r"\boxed{{answer}}",
    "#### {answer}",
    "<answer>{answer}</answer>",
    "The answer is {answer}.",
)


@dataclass
class AuditSettings:
    """The defaults require a reward that is hard to fool, and rarely rejects right answers.

    Optimization finds the kind of completion that fools the reward, however rare it was at first. So each
    kind has its own bound. False negatives slow down learning.
    """

    samples: int = setting(200, "problems to try, drawn by seed", ge=1)
    marks: list[str] = setting(
        factory=lambda: list(MARKS),
        help="ways to mark the final answer; golds are tried with each, other completions with the first",
    )
    second_opinions: int = setting(1000, "completions that math-verify judges as well", ge=0)
    rollouts: str | None = setting(
        None, "rollouts of a model to try as well: a stage's folder, or JSON Lines with id and completion"
    )
    shown: int = setting(20, "errors to show in the table", ge=0)
    out: str | None = setting(None, "file for the report; unset: audit.json in the run's folder")
    max_false_positive_rate: float = setting(0.01, "bound for near misses and hacks together", ge=0, le=1)
    max_kind_false_positive_rate: float = setting(
        0.05, "bound for each kind of them, hostile ones included", ge=0, le=1
    )
    max_false_negative_rate: float = setting(0.05, "bound for golds and rewritings together", ge=0, le=1)
    max_unsure_rate: float = setting(0.01, "bound for references whose kind is ambiguous", ge=0, le=1)
    max_p99_seconds: float = setting(
        1.0, "bound for the 99th percentile of a check's duration, without hostile ones", gt=0
    )
    max_unreached: int = setting(
        20, "verdicts that may stay without a result; with more, the audit ends", ge=0
    )


@dataclass
class AuditSampling:
    """Values that a reward's configuration may refer to as `${sampling.…}`; nothing is sampled here."""

    max_tokens: int = setting(1024, "token limit that a reward on length refers to", ge=1)


@dataclass
class AuditConfig:
    seed: int = setting(0, "seed of everything random", ge=0)
    problems: ProblemsConfig = setting(factory=ProblemsConfig)
    reward: RewardConfig = setting(factory=RewardConfig)
    sampling: AuditSampling = setting(factory=AuditSampling)
    audit: AuditSettings = setting(factory=AuditSettings)
