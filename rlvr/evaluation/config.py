"""Settings of evaluation: of the one inside of training, and of `rlvr evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.rewards.config import RewardConfig
from rlvr.rollout.config import RolloutConfig
from rlvr.settings import setting
from rlvr.stages.config import ClusterConfig


@dataclass
class EvaluationConfig:
    samples: int = setting(1, "k: answers per problem; pass@1 is their mean (avg@k)", ge=1)
    ks: list[int] = setting(
        factory=lambda: [1], help="of pass@k and maj@k, at most `samples`; 1 is always there"
    )
    temperature: float = setting(1.0, "0 is greedy decoding", ge=0, le=2)
    top_p: float = setting(1.0, "nucleus sampling: least mass of the tokens drawn from", gt=0, le=1)
    max_tokens: int | None = setting(None, "longest answer; that of training when unset", ge=1)


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


@dataclass
class BenchmarkConfig:
    """A set of problems: conf/benchmark/NAME.yaml."""

    source: dict[str, Any] = setting(factory=dict, help="import path of a problem source, and its arguments")
    template: str = setting("{problem}", "how its problems are put to a model")
    text: str | None = setting(None, "the problem's text, where it is made of several columns of the hub's")
    options: list[str] = setting(
        factory=list, help="columns of the hub's that hold the options of a choice, the right one first"
    )
    shuffle: bool = setting(False, "options come in an order of the seed's")
    by: list[str] = setting(factory=list, help="columns that results are split by, those that there are")
    note: str | None = setting(None, "what to know when it cannot be had from the hub")
