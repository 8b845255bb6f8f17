"""Settings of `rlvr evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rlvr.base.settings import setting
from rlvr.cluster.config import ClusterConfig
from rlvr.evaluation.config import EvaluationConfig
from rlvr.rewards.config import RewardConfig
from rlvr.rollout.config import RolloutConfig


@dataclass
class EvaluatedModelConfig:
    path: str = setting("???", "checkpoint or hub name; model=X is short for model.path=X")
    max_length: int | None = setting(
        None, "longest sequence, prompt and answer, in tokens; unset: what the problems need", ge=8
    )


@dataclass
class EvaluatedProblemsConfig:
    sets: list[str] = setting(
        factory=list,
        help="names of conf/benchmark/, files, or name=file; problems=[…] is short for problems.sets=[…]",
    )
    limit: int | None = setting(None, "use only the first problems of each set, this many", ge=1)
    template: str | None = setting(None, "prompt template for all sets; unset: each has its own")
    system: str | None = setting(None, "system message; needs chat: true")
    chat: bool = setting(
        False, "send the filled template as a user message, through the model's chat template"
    )
    chat_template_kwargs: Any = setting(  # a mapping or None, which OmegaConf cannot merge as such
        None, "settings of the model's chat template, such as {enable_thinking: false}; needs chat: true"
    )
    too_long: str = setting(
        "error",
        "problems that do not fit into the longest sequence together with an answer: error ends the "
        "evaluation before it starts; drop leaves them out and says how many",
        choices=("error", "drop"),
    )
    by: list[str] = setting(
        factory=list, help="columns to split the results by, beside those that a set names itself"
    )


@dataclass
class EvaluateConfig:
    """`rlvr evaluate`."""

    name: str = setting("evaluate", "name of the folder under runs/ that keeps all sampled answers")
    seed: int = setting(0, "seed of everything random", ge=0)
    model: EvaluatedModelConfig = setting(factory=EvaluatedModelConfig)
    baseline: str | None = setting(
        None, "what to compare with: the folder of an earlier evaluation, or a checkpoint"
    )
    problems: EvaluatedProblemsConfig = setting(factory=EvaluatedProblemsConfig)
    samples: int = setting(1, "answers to sample per problem", ge=1)
    ks: list[int] | None = setting(
        None, "values of k for pass@k and maj@k; unset: powers of two up to `samples`, and `samples`"
    )
    temperature: float = setting(1.0, "0 is greedy decoding", ge=0, le=2)
    top_p: float = setting(1.0, "nucleus sampling: probability mass of the tokens to draw from", gt=0, le=1)
    max_tokens: int = setting(2048, "token limit of an answer", ge=1)
    chunk: int = setting(
        64,
        "problems that are answered and saved at a time; a resumed run continues with the next chunk",
        ge=1,
    )
    reward: RewardConfig = setting(factory=RewardConfig)
    rollout: RolloutConfig = setting(factory=RolloutConfig)
    cluster: ClusterConfig = setting(factory=ClusterConfig)
    answers: str = setting("???", "folder that keeps the sampled answers")

    def for_stages(self) -> EvaluationConfig:
        """The evaluation's settings in the form that a stage takes."""
        return EvaluationConfig(self.samples, self.ks or [1], self.temperature, self.top_p, self.max_tokens)
