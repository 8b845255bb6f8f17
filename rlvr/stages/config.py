"""Settings of the stages, of the model they start from, and of the machine they run on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rlvr.algorithms.config import AlgorithmConfig
from rlvr.base.settings import setting
from rlvr.cluster.config import ClusterConfig, WorkerSettings
from rlvr.evaluation.config import EvaluationConfig
from rlvr.learner.config import LearnerConfig, OptimizerConfig
from rlvr.problems.config import PromptConfig
from rlvr.record.config import RecordConfig
from rlvr.rewards.config import RewardConfig
from rlvr.rollout.config import EndpointConfig, RolloutConfig, SamplingConfig
from rlvr.traces.config import PairConfig, TraceConfig


@dataclass
class ScratchModelConfig:
    """A Llama-shaped model with random weights and one token per character."""

    hidden_size: int = setting(128, "width of the residual stream; a multiple of heads", ge=8)
    layers: int = setting(3, "transformer blocks", ge=1)
    heads: int = setting(4, "attention heads; a multiple of kv_heads", ge=1)
    kv_heads: int = setting(2, "key and value heads (GQA)", ge=1)
    intermediate_size: int = setting(384, "width of the feed-forward layers", ge=8)
    tie_embeddings: bool = setting(True, "use the input embedding as output layer")


@dataclass
class ModelConfig:
    """Exactly one of the two: a checkpoint to start from, or a new model with random weights."""

    path: str | None = setting(None, "Hugging Face folder or hub name")
    scratch: ScratchModelConfig | None = setting(None, "make a small model with random weights")
    max_length: int = setting(1024, "longest sequence, prompt and answer, in tokens", ge=8)


@dataclass
class StageConfig:
    """The sections of the configuration that several stages read, besides their own."""

    seed: int  # seed of everything random
    max_length: int  # longest sequence, prompt and answer, in tokens
    prompt: PromptConfig
    order: dict[str, Any]  # import path of what chooses the problems of an RL step
    sampling: SamplingConfig
    reward: RewardConfig
    algorithm: AlgorithmConfig
    rollout: RolloutConfig
    learner: LearnerConfig
    evaluation: EvaluationConfig
    cluster: ClusterConfig
    record: RecordConfig

    def workers(self, max_staleness: int = 0) -> WorkerSettings:
        """The settings with which the processes of a stage are started."""
        parts = (self.cluster, self.rollout, self.learner, self.reward)
        return WorkerSettings(self.seed, self.max_length, *parts, max_staleness)


@dataclass
class WarmStartConfig:
    """What all stages that learn from worked answers share: a trainer, its data, its optimizer steps."""

    trainer: dict[str, Any] = setting(
        factory=lambda: {"_target_": "rlvr.stages.sft.Sft"},
        help="import path of a class like Sft, with keyword arguments",
    )
    data: list[str] = setting(
        factory=lambda: ["solutions"],
        help="solutions (to train on those of problems.train), files of traces, or stages that make traces",
    )
    start: str = setting(
        "previous",
        "the model to start from: previous, that of the stage before; base, the run's own, as for a teacher "
        "beside the chain",
        choices=("previous", "base"),
    )
    steps: int | None = setting(100, "optimizer steps", ge=1)
    epochs: int | None = setting(None, "passes over the data; needs steps: null", ge=1)
    batch_size: int = setting(64, "answers (or pairs, or packed rows) per optimizer step", ge=1)
    optimizer: OptimizerConfig = setting(factory=lambda: OptimizerConfig(lr=1e-5))
    checkpoint_every: int = setting(
        100, "steps between checkpoints; there is always one of the last step", ge=1, neutral=True
    )


@dataclass
class ValidationConfig:
    """Next-token loss on problems that are held back; training ends once it improves no more."""

    share: float = setting(0.0, "share of the problems that are held back; 0: no validation", ge=0, lt=1)
    every: int = setting(50, "steps between validations", ge=1)
    patience: int = setting(
        2, "end the stage after this many validations without a gain, and keep the best model", ge=1
    )
    min_gain: float = setting(
        0.001, "least relative improvement of the best loss that counts as a gain", ge=0, lt=1
    )


@dataclass
class SftConfig(WarmStartConfig):
    choose: TraceConfig = setting(factory=TraceConfig)
    validation: ValidationConfig = setting(factory=ValidationConfig)


@dataclass
class DpoConfig(WarmStartConfig):
    pairs: PairConfig = setting(factory=PairConfig)


@dataclass
class OwnConfig(SftConfig):
    """A stage of the user's: whatever its trainer reads of it."""

    pairs: PairConfig = setting(factory=PairConfig)


@dataclass
class TeacherConfig:
    """Who answers: a model on the vLLM pool, or one behind an OpenAI-compatible endpoint."""

    teacher: str = setting(
        "previous",
        "who answers: previous (the model of the stage before), base, another stage, a checkpoint, or a name "
        "on the hub",
    )
    endpoint: EndpointConfig | None = setting(
        None, "an OpenAI-compatible endpoint to ask, in place of the run's own vLLM engines"
    )
    prompt: PromptConfig | None = setting(None, "prompt for the teacher; unset: problems.prompt")
    temperature: float = setting(1.0, "sampling temperature of its answers", ge=0, le=2)
    top_p: float = setting(1.0, "nucleus sampling: probability mass of the tokens to draw from", gt=0, le=1)
    max_tokens: int | None = setting(None, "token limit of an answer; unset: sampling.max_tokens", ge=1)
    max_length: int | None = setting(
        None, "longest sequence of a teacher on the run's own engines; unset: model.max_length", ge=8
    )


@dataclass
class DistillConfig(TeacherConfig):
    """Each problem is answered several times, and the answers are verified, labelled and cleaned."""

    samples: int = setting(8, "answers to sample per problem", ge=1)
    domain_column: str | None = setting(None, "column of the problems that names their domain")
    overlap_words: int = setting(
        13,
        "a problem is dropped if it shares this many words in a row with an evaluation problem "
        "(problems.heldout, benchmarks, unseen); a shorter one if it is the same",
        ge=1,
    )
    chunk: int = setting(
        256,
        "problems that are answered and saved at a time; a resumed run continues with the next chunk",
        ge=1,
    )


@dataclass
class SynthesizeConfig(TeacherConfig):
    """New problems beside those of problems.train: from templates, or proposed by a teacher."""

    templates: str | None = setting(None, "YAML file of problem templates; see rlvr/problems/templates.py")
    n: int = setting(1000, "number of problems to make from the templates", ge=1)
    proposals: int = setting(0, "variants of each problem to ask the teacher for", ge=0)
    solutions: int = setting(8, "independent solutions to sample for each proposed problem", ge=2)
    agreement: float = setting(0.75, "share of these solutions that must agree on the answer", gt=0.5, le=1)
    chunk: int = setting(
        256,
        "problems that are answered and saved at a time; a resumed run continues with the next chunk",
        ge=1,
    )


@dataclass
class SelectConfig:
    """Which problems are worth training on, found out with the model at hand before it trains."""

    samples: int = setting(8, "answers to sample per candidate problem", ge=2)
    filters: dict[str, Any] = setting(
        factory=lambda: {"uniform_lengths": {"_target_": "rlvr.algorithms.filters.uniform_lengths"}},
        help="name → {_target_: group filter, …}; a problem is kept if every filter keeps its group",
    )
    chunk: int = setting(
        256,
        "problems that are sampled and saved at a time; a resumed run continues with the next chunk",
        ge=1,
    )


def largest_gap(*dtypes: str) -> float:
    """The default of `max_logprob_gap`; `dtypes` are those of the learner and of the rollout workers.

    Measured in bfloat16, on the CPU, with random weights, over some 5,000 tokens each: 0.0013 nats with a
    nearly uniform policy of 0.6M parameters, 0.025 to 0.031 with policies far from uniform (0.6M, 10M and
    30M, large weights). On an H100: 0.0016 (22M).
    """
    return 0.05 if "bfloat16" in dtypes else 1e-3


@dataclass
class RlConfig:
    steps: int = setting(100, "training steps, each with its own rollouts", ge=1)
    problems_per_step: int = setting(32, "problems (groups) per step", ge=1)
    group_size: int = setting(8, "rollouts per problem (G)", ge=1)
    updates_per_step: int = setting(1, "optimizer steps on the rollouts of one step", ge=1)
    max_staleness: int = setting(0, "policy versions that rollouts may be old; 0 is on-policy", ge=0)
    optimizer: OptimizerConfig = setting(factory=OptimizerConfig)
    evaluate_every: int = setting(
        50,
        "steps between evaluations; before the first and after the last step there is always one",
        ge=1,
        neutral=True,
    )
    checkpoint_every: int = setting(
        50, "steps between checkpoints; there is always one of the last step", ge=1, neutral=True
    )
    check_every: int = setting(
        20, "steps between comparisons of vLLM's and the learner's log-probabilities", ge=1
    )
    max_logprob_gap: float | None = setting(
        None,
        "mean absolute difference per token, above which the run stops; unset: 0.001, in bfloat16 0.05",
        gt=0,
    )


@dataclass
class OpdConfig:
    """On-policy distillation: rollouts of the student, and the teacher's opinion of every token."""

    teacher: str = setting("", "a stage, a checkpoint or a name on the hub, with the student's vocabulary")
    estimator: str = setting(
        "full",
        "estimator of KL(student ‖ teacher): over the whole vocabulary, or at the sampled tokens only",
        choices=("full", "k2"),
    )
    loop: RlConfig = setting(factory=RlConfig)


def model_messages(model: ModelConfig, gpus_per_worker: int) -> Iterator[str]:
    """`gpus_per_worker` is that of the rollout workers."""
    if (model.path is None) == (model.scratch is None):
        given = "neither is" if model.path is None else "both are"
        yield (
            f"model.path and model.scratch: {given} given; use model=scratch, or model=pretrained with "
            "model.path=FOLDER"
        )
    if model.scratch is None:
        return
    sizes = model.scratch
    if sizes.hidden_size % sizes.heads:
        yield f"model.scratch.hidden_size={sizes.hidden_size} must be a multiple of heads={sizes.heads}"
    if sizes.heads % sizes.kv_heads:
        yield f"model.scratch.heads={sizes.heads} must be a multiple of kv_heads={sizes.kv_heads}"
    if (size := sizes.hidden_size // sizes.heads) % 32 and gpus_per_worker == 0:
        yield f"model.scratch: hidden_size/heads is {size}; vLLM's attention on the CPU takes multiples of 32"
