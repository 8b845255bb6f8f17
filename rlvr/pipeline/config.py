"""The whole configuration of a run: one typed tree, assembled from the packages' own settings."""

from __future__ import annotations

from dataclasses import dataclass

from rlvr.algorithms.config import AlgorithmConfig
from rlvr.base.settings import setting
from rlvr.cluster.config import ClusterConfig
from rlvr.evaluation.config import EvaluationConfig
from rlvr.learner.config import LearnerConfig
from rlvr.problems.config import ProblemsConfig
from rlvr.record.config import RecordConfig
from rlvr.rewards.config import RewardConfig
from rlvr.rollout.config import RolloutConfig, SamplingConfig
from rlvr.stages.config import ModelConfig, RlConfig, SelectConfig, SftConfig, StageConfig

TRAIN_STAGES = ("sft", "select", "rl")


@dataclass
class TrainConfig:
    name: str = setting("run", "of the run folder, under runs/")
    seed: int = setting(0, "root of every random key", ge=0)
    stages: list[str] = setting(
        factory=lambda: ["rl"], help="in order; each starts from the last one's model"
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
    sft: SftConfig = setting(factory=SftConfig)
    select: SelectConfig = setting(factory=SelectConfig)
    rl: RlConfig = setting(factory=RlConfig)

    def for_stages(self) -> StageConfig:
        """What stages are told beside their own settings."""
        shared = ("sampling", "reward", "algorithm", "rollout", "learner", "evaluation", "cluster", "record")
        return StageConfig(
            seed=self.seed,
            max_length=self.model.max_length,
            prompt=self.problems.prompt,
            order=self.problems.order,
            **{name: getattr(self, name) for name in shared},
        )
