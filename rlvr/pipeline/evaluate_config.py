"""Settings of `rlvr evaluate`."""

from __future__ import annotations

from dataclasses import dataclass

from rlvr.base.settings import setting
from rlvr.cluster.config import ClusterConfig
from rlvr.evaluation.config import EvaluationConfig
from rlvr.rewards.config import RewardConfig
from rlvr.rollout.config import RolloutConfig


@dataclass
class EvaluatedModelConfig:
    path: str = setting("???", "checkpoint or hub name; model=X is short for model.path=X")
    max_length: int | None = setting(
        None, "longest sequence, prompt and answer, in tokens; what the problems need when unset", ge=8
    )


@dataclass
class EvaluatedProblemsConfig:
    sets: list[str] = setting(
        factory=list,
        help="names of conf/benchmark/, files, or name=file; problems=[…] is short for problems.sets=[…]",
    )
    limit: int | None = setting(None, "only so many problems of each set, from its top", ge=1)
    template: str | None = setting(None, "prompt for all sets; each has its own when unset")
    system: str | None = setting(None, "system message; needs chat: true")
    chat: bool = setting(False, "put the filled template into the model's chat template")
    by: list[str] = setting(
        factory=list, help="columns that results are split by, beside those that a set names itself"
    )


@dataclass
class EvaluateConfig:
    """`rlvr evaluate`."""

    name: str = setting("evaluate", "of the folder under runs/, which keeps all answers that were sampled")
    seed: int = setting(0, "root of every random key", ge=0)
    model: EvaluatedModelConfig = setting(factory=EvaluatedModelConfig)
    baseline: str | None = setting(
        None, "folder of an earlier evaluation, or another checkpoint: what the model is compared with"
    )
    problems: EvaluatedProblemsConfig = setting(factory=EvaluatedProblemsConfig)
    samples: int = setting(1, "k: answers per problem", ge=1)
    ks: list[int] | None = setting(
        None, "of pass@k and maj@k; unset is the powers of two up to `samples`, and that"
    )
    temperature: float = setting(1.0, "0 is greedy decoding", ge=0, le=2)
    top_p: float = setting(1.0, "nucleus sampling: least mass of the tokens drawn from", gt=0, le=1)
    max_tokens: int = setting(2048, "longest answer, in tokens", ge=1)
    chunk: int = setting(64, "problems that are answered at a time; a stopped run goes on after them", ge=1)
    reward: RewardConfig = setting(factory=RewardConfig)
    rollout: RolloutConfig = setting(factory=RolloutConfig)
    cluster: ClusterConfig = setting(factory=ClusterConfig)
    answers: str = setting("???", "folder that keeps what was sampled")

    def for_stages(self) -> EvaluationConfig:
        """The evaluation as a stage takes it."""
        return EvaluationConfig(self.samples, self.ks or [1], self.temperature, self.top_p, self.max_tokens)
