"""On-policy distillation: the student generates answers, and a teacher scores every token of them.

The loss is KL(student ‖ teacher) at every position of the student's own rollouts. So this is the RL loop
with the teacher as reference and no advantage. Answers are judged all the same, to log the accuracy.
Source: GKD, arXiv 2306.13649, with λ = 1 and the reverse KL.
"""

from __future__ import annotations

from dataclasses import replace

from rlvr.algorithms.config import AlgorithmConfig, KlConfig
from rlvr.stages.config import OpdConfig, StageConfig
from rlvr.stages.rl import run_rl
from rlvr.stages.stage import StageInput

NO_ADVANTAGE = "rlvr.algorithms.group_relative.no_advantage"


def run_opd(stage: StageInput) -> None:
    """Train to `opd.loop.steps`; `stage.sources` maps the teacher's name to its model.

    Raises:
        Interrupted: the user asked to stop; the last complete step has a checkpoint.
    """
    settings: OpdConfig = stage.settings
    teacher = stage.sources.get(settings.teacher, settings.teacher)
    run_rl(replace(stage, config=as_rl(stage.config, settings, teacher), settings=settings.loop))


def as_rl(config: StageConfig, settings: OpdConfig, teacher: str) -> StageConfig:
    """The settings with which the RL loop distils."""
    kl = KlConfig(coef=1.0, estimator=settings.estimator, place="loss", reference=teacher)
    algorithm = AlgorithmConfig(advantage={"_target_": NO_ADVANTAGE}, kl=kl)
    return replace(config, algorithm=algorithm)
