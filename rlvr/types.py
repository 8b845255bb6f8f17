"""The data types and errors that all packages share.

Shapes in comments use T for the tokens of one sequence and N for the sequences of a batch.
Nothing here imports torch, so the driver, the reward processes and the command line start quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int32]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]


class RlvrError(Exception):
    """An error whose message is meant for the user: what is wrong, where, and what to do."""


class ConfigError(RlvrError):
    """The configuration is wrong; raised before any engine starts."""


class DataError(RlvrError):
    """A data file or data set is wrong; the message names the file and the line."""


class StallError(RlvrError):
    """A wait timed out; the message names what was waited for."""


class WorkerDied(RlvrError):
    """A process of the run died and its state is lost; the last checkpoint remains."""


class RunInterrupted(RlvrError):
    """The user stopped the run; the message says how to resume it."""


@dataclass(frozen=True)
class Problem:
    """A question with an answer that a program can check."""

    id: str  # unique within its source; part of every random key
    text: str  # what the model is asked, before any template
    answer: str  # the reference answer, as its source wrote it
    solution: str | None = None  # a worked solution, if the source has one (SFT trains on it)
    columns: Mapping[str, Any] = field(default_factory=dict)  # further columns: level, subject, …


class FinishReason(StrEnum):
    STOP = "stop"  # the model ended its answer
    LENGTH = "length"  # cut off: at the token limit, or by an engine that found it repeats itself


@dataclass
class Rollout:
    """One sampled answer: exactly the tokens that the engine read and sampled, never tokenized again.

    Prompt and answer are one sequence, so that a rollout may have several turns: `sampled` is True for
    tokens that the policy sampled, and False for all others (prompt, tool output).
    """

    problem_id: str
    step: int  # the training step it was sampled for
    sample: int  # 0 … G−1 within its group
    seed: int  # of the request, keyed by (seed, step, problem, sample)
    tokens: IntArray  # [T]
    sampled: BoolArray  # [T] True where the policy sampled the token
    logprobs: FloatArray  # [T] log-probability under the sampling distribution: after
    #                       temperature and truncation, renormalized; 0 where not sampled
    versions: IntArray  # [T] policy version that sampled the token; −1 where not sampled
    text: str  # the sampled tokens as text, without BOS, EOS and padding (other special tokens are kept)
    finish_reason: FinishReason
    temperature: float
    prompt_end: str = ""  # the last tokens of the prompt as text, including special tokens

    @property
    def num_sampled(self) -> int:
        return int(self.sampled.sum())


class Status(StrEnum):
    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSEABLE = "unparseable"  # no answer could be read from the completion
    TIMEOUT = "timeout"  # the check ran past its deadline and was killed
    CRASHED = "crashed"  # the check raised, died or returned something that is not a verdict

    @property
    def reached(self) -> bool:
        """Whether the check finished. If it did not, there is no reward."""
        return self not in (Status.TIMEOUT, Status.CRASHED)


@dataclass(frozen=True)
class Verdict:
    """The result of a check, and why. If the check did not finish, the reward is None, not zero."""

    status: Status
    reward: float | None  # None exactly if the check did not finish
    reason: str  # one line for a person
    extracted: str | None = None  # the answer that was read from the completion
    parts: Mapping[str, float] = field(default_factory=dict)  # reward function → its value
    seconds: float = 0.0  # wall-clock time of the check
    rule: str | None = None  # the rule that decided, in a few words
    # `rlvr.rewards.true_steps.true_steps`: all checkable steps are true and lead to the reference answer;
    # None: there is no checkable step, or steps were not checked
    true_steps: bool | None = None

    def __post_init__(self) -> None:
        if (self.reward is None) == self.status.reached:
            raise ValueError(f"a {self.status} verdict cannot have reward {self.reward}")


@dataclass
class Group:
    """All rollouts of one problem at one step, in sample order, with their verdicts."""

    problem: Problem
    rollouts: list[Rollout]
    verdicts: list[Verdict] = field(default_factory=list)  # same order; empty until scored


@dataclass(frozen=True)
class UpdateRecord:
    """How a training step used one rollout. Arrays are [T], with 0 at tokens that were not trained on; None
    if they were not computed."""

    left_out: str | None  # why it was not trained on, in a few words; None: it was
    advantages: FloatArray | None = None
    logprobs: FloatArray | None = None  # the learner's, before the update
    entropies: FloatArray | None = None  # in nats, of the learner's distributions
    corrections: FloatArray | None = None  # importance weights of the sampler correction; 0 masks out


@dataclass
class TrainingBatch:
    """The data of one optimizer step: N sequences of different lengths, not yet split into micro-batches.

    The loss is Σ_i scales[i] · Σ_t loss[i, t] over the masked tokens. The scales already contain the
    normalization over the whole batch, so code that splits the batch needs no denominator.
    `columns` are the values per token that the loss reads beside the model's output; their names are
    listed in `rlvr.algorithms.objective`. Rows come in units of `unit` neighbours that the loss
    compares, such as a chosen and a rejected answer: a unit is never split, and if one of its rows is
    live, none of them is skipped.
    """

    tokens: list[IntArray]  # N × [T]
    mask: list[BoolArray]  # N × [T] True where the token is trained on; never the first token
    columns: dict[str, list[FloatArray]]  # name → N × [T], 0 outside the mask
    temperatures: list[float]  # N; logits are divided by them, as in sampling
    scales: list[float]  # N
    live: list[bool]  # N; False where the gradient is known to be zero: such a sequence is skipped
    groups: list[int]  # N; sequences of one problem have the same number, 0 … number of groups − 1
    unit: int = 1  # divides N
    reference_logits: bool = False  # whether the loss reads the reference model's full distributions
    keep: tuple[str, ...] = ()  # names of values (`logprobs`, diagnostics) that the learner returns per token
