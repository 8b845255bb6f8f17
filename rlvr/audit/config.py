"""Settings of `rlvr audit`: which completions a reward is tried on, and what it must reach."""

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
    """The defaults ask for a reward that is hard to fool and seldom unfair.

    A policy that is optimized finds the one kind of completion that fools its reward, however rare that
    kind was among all others, which is why each is held to a bound of its own. False negatives slow
    learning down.
    """

    samples: int = setting(200, "problems that are tried, drawn by seed", ge=1)
    marks: list[str] = setting(
        factory=lambda: list(MARKS),
        help="ways to mark an answer that must be understood; all but golds use the first",
    )
    second_opinions: int = setting(1000, "completions that math-verify judges as well; 0 for none", ge=0)
    rollouts: str | None = setting(None, "of a model: a stage's folder, or JSON Lines of id, completion")
    shown: int = setting(20, "errors that the table shows", ge=0)
    out: str | None = setting(None, "file of the report; by default audit.json in the run's folder")
    max_false_positive_rate: float = setting(0.01, "of near misses and hacks together", ge=0, le=1)
    max_kind_false_positive_rate: float = setting(0.05, "of each kind of them, hostile ones too", ge=0, le=1)
    max_false_negative_rate: float = setting(0.05, "of golds and rewritings together", ge=0, le=1)
    max_unsure_rate: float = setting(0.01, "of references whose text leaves their kind open", ge=0, le=1)
    max_p99_seconds: float = setting(1.0, "99th percentile of a check, hostile ones apart", gt=0)
    max_unreached: int = setting(20, "verdicts that are not reached; with more, the audit ends", ge=0)


@dataclass
class AuditSampling:
    """What a reward's configuration may refer to as `${sampling.…}`; nothing is sampled here."""

    max_tokens: int = setting(1024, "the limit that a reward on length is told", ge=1)


@dataclass
class AuditConfig:
    seed: int = setting(0, "root of every random key", ge=0)
    problems: ProblemsConfig = setting(factory=ProblemsConfig)
    reward: RewardConfig = setting(factory=RewardConfig)
    sampling: AuditSampling = setting(factory=AuditSampling)
    audit: AuditSettings = setting(factory=AuditSettings)
