"""The settings of a run: one typed tree, made of the packages' settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rlvr.algorithms.config import AlgorithmConfig
from rlvr.base.settings import setting
from rlvr.cluster.config import ClusterConfig
from rlvr.evaluation.config import EvaluationConfig
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.problems.config import ProblemsConfig
from rlvr.record.config import RecordConfig
from rlvr.rewards.config import RewardConfig
from rlvr.rollout.config import RolloutConfig, SamplingConfig
from rlvr.stages.config import (
    DistillConfig,
    DpoConfig,
    ModelConfig,
    OpdConfig,
    OwnConfig,
    RlConfig,
    SelectConfig,
    SftConfig,
    StageConfig,
    SynthesizeConfig,
    ValidationConfig,
    largest_gap,
)
from rlvr.types import ConfigError

# stage → its kind; the stages in `trainers` have the kind warm_start
KINDS = {
    "synthesize": "synthesize",
    "select": "select",
    "distill": "distill",
    "rollouts": "distill",
    "midtrain": "warm_start",
    "sft": "warm_start",
    "dpo": "warm_start",
    "opd": "opd",
    "rl": "rl",
}


def _midtrain() -> SftConfig:
    return SftConfig(
        trainer={"_target_": "rlvr.stages.midtrain.MidTraining", "row_tokens": None},
        data=["distill"],
        validation=ValidationConfig(share=0.05),
    )


def _dpo() -> DpoConfig:
    return DpoConfig(
        trainer={
            "_target_": "rlvr.stages.dpo.RolloutDpo",
            "loss": "sigmoid",
            "beta": 0.1,
            "length_normalized": False,
        },
        data=["distill"],
        optimizer=OptimizerConfig(lr=5e-7),
    )


@dataclass
class RunConfig:
    """Settings of `rlvr train` and `rlvr recipe`: both run the graph that `stages` names."""

    name: str = setting("run", "name of the run's folder under runs/")
    seed: int = setting(0, "seed of everything random", ge=0)
    stages: list[str] = setting(
        factory=lambda: ["rl"],
        help="stages to run, in this order: those with a section here, and your own under `trainers`",
    )
    artefacts: str | None = setting(
        None, "folder in which runs share completed stages; unset: each run keeps its own"
    )
    model: ModelConfig = setting(factory=ModelConfig)
    problems: ProblemsConfig = setting(factory=ProblemsConfig)
    sampling: SamplingConfig = setting(factory=SamplingConfig)
    reward: RewardConfig = setting(factory=RewardConfig)
    algorithm: AlgorithmConfig = setting(factory=AlgorithmConfig)
    rollout: RolloutConfig = setting(factory=RolloutConfig)
    learner: LearnerConfig = setting(factory=LearnerConfig)
    evaluation: EvaluationConfig = setting(factory=EvaluationConfig)
    cluster: ClusterConfig = setting(factory=ClusterConfig)
    record: RecordConfig = setting(factory=RecordConfig)
    synthesize: SynthesizeConfig = setting(factory=SynthesizeConfig)
    select: SelectConfig = setting(factory=SelectConfig)
    distill: DistillConfig = setting(factory=DistillConfig)
    rollouts: DistillConfig = setting(factory=DistillConfig)
    midtrain: SftConfig = setting(factory=_midtrain)
    sft: SftConfig = setting(factory=SftConfig)
    dpo: DpoConfig = setting(factory=_dpo)
    opd: OpdConfig = setting(factory=OpdConfig)
    rl: RlConfig = setting(factory=RlConfig)
    trainers: dict[str, Any] = setting(
        factory=dict,
        help="your own training stages: name → settings as for sft, and `pairs` as for dpo",
        each=OwnConfig,
    )
    benchmarks: dict[str, Any] = setting(
        factory=dict, help="name → problem source: more sets to evaluate on, beside problems.heldout"
    )
    unseen: dict[str, Any] = setting(
        factory=dict,
        help="name → problem source: sets not to train on, though this run does not evaluate on them",
    )

    def __post_init__(self) -> None:
        """Convert `trainers` to typed settings, and fill in what depends on other settings.

        Raises:
            ConfigError: unknown keys and wrong values of `trainers`.
        """
        for loop in (self.rl, self.opd.loop):
            if loop.max_logprob_gap is None:  # keys have the number, as before it could be unset
                loop.max_logprob_gap = largest_gap(self.learner.dtype, self.rollout.dtype)
        for name, given in self.trainers.items():
            if isinstance(given, OwnConfig):
                continue
            try:
                typed = OmegaConf.merge(OmegaConf.structured(OwnConfig), given)
                self.trainers[name] = OmegaConf.to_object(typed)
            except (OmegaConfBaseException, AssertionError, ValueError) as error:
                key = getattr(error, "full_key", None)
                where = f"trainers.{name}.{key}" if key else f"trainers.{name}"
                said = str(error).partition("\n")[0] or f"{given!r} is not a section"
                raise ConfigError(f"{where}: {said}; it takes the settings of sft, and pairs") from error

    def kind(self, stage: str) -> str:
        return "warm_start" if stage in self.trainers else KINDS[stage]

    def section(self, stage: str) -> Any:
        """The stage's own settings."""
        return self.trainers[stage] if stage in self.trainers else getattr(self, stage)

    def stage_names(self) -> list[str]:
        """The names of all stages that have settings."""
        return [*KINDS, *self.trainers]

    def evaluates_itself(self, stage: str) -> bool:
        """Whether the stage evaluates the model during training."""
        if self.kind(stage) not in ("rl", "opd"):
            return False
        loop = self.section(stage)
        loop = loop.loop if isinstance(loop, OpdConfig) else loop
        return not self.evaluation.every_stage or loop.evaluate_every < loop.steps

    def for_stages(self) -> StageConfig:
        """The settings that stages get beside their own."""
        shared = ("sampling", "reward", "algorithm", "rollout", "learner", "evaluation", "cluster", "record")
        return StageConfig(
            seed=self.seed,
            max_length=self.model.max_length,
            prompt=self.problems.prompt,
            order=self.problems.order,
            **{name: getattr(self, name) for name in shared},
        )
