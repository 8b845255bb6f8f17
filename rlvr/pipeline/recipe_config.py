"""The settings of a recipe: those of a run, of its further stages, and what its table is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rlvr.base.settings import setting
from rlvr.learner.config import OptimizerConfig
from rlvr.pipeline.config import TrainConfig
from rlvr.stages.config import (
    DistillConfig,
    DpoConfig,
    OpdConfig,
    OwnConfig,
    SftConfig,
    SynthesizeConfig,
    ValidationConfig,
)
from rlvr.types import ConfigError

# stage → its kind; further stages are those that `trainers` names, of the kind warm_start
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
class RecipeConfig(TrainConfig):
    name: str = setting("recipe", "of the folder under runs/, which keeps all stages that were ever run")
    stages: list[str] = setting(
        factory=lambda: ["distill", "midtrain", "sft", "dpo", "rl"],
        help="in order, any of those with a section here or in `trainers`",
    )
    synthesize: SynthesizeConfig = setting(factory=SynthesizeConfig)
    distill: DistillConfig = setting(factory=DistillConfig)
    rollouts: DistillConfig = setting(factory=DistillConfig)
    midtrain: SftConfig = setting(factory=_midtrain)
    dpo: DpoConfig = setting(factory=_dpo)
    opd: OpdConfig = setting(factory=OpdConfig)
    trainers: dict[str, Any] = setting(
        factory=dict, help="stages of your own: name → settings like those of sft, and pairs like dpo's"
    )
    benchmarks: dict[str, Any] = setting(
        factory=dict, help="name → problem source: further columns of the table beside problems.heldout"
    )
    unseen: dict[str, Any] = setting(
        factory=dict,
        help="name → problem source: sets that are not measured on here, and not trained on either",
    )
    artefacts: str = setting("???", "folder that keeps every stage's work")

    def __post_init__(self) -> None:
        """Give the settings of `trainers` their types. Raises ConfigError for what is none of theirs."""
        for name, given in self.trainers.items():
            if isinstance(given, OwnConfig):
                continue
            try:
                typed = OmegaConf.merge(OmegaConf.structured(OwnConfig), given)
                self.trainers[name] = OmegaConf.to_object(typed)
            except (OmegaConfBaseException, AssertionError, ValueError) as error:
                key = getattr(error, "full_key", None)
                where = f"trainers.{name}.{key}" if key else f"trainers.{name}"
                said = str(error).partition("\n")[0] or f"{given!r} is no section"
                raise ConfigError(f"{where}: {said}; it takes what sft takes, and pairs") from error
