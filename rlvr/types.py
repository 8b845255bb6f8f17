"""The nouns that travel through the house, and nothing else.

Shapes in comments use T for the tokens of one sequence and N for the sequences of a batch.
Nothing here imports torch: the driver, the reward processes and the command line stay light.
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
    """Something that was waited for did not come; the message names who was waited for."""


class WorkerDied(RlvrError):
    """A process of the run is gone, and what it held with it; the last checkpoint is not."""


class RunInterrupted(RlvrError):
    """The user stopped the run; the message says how to go on."""


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
    LENGTH = "length"  # cut off at the token limit


@dataclass
class Rollout:
    """One sampled answer: exactly the tokens the engine saw and drew, never tokenized again.

    The sequence is kept whole with a mask, so that a rollout may have several turns: tokens
    that the policy drew are marked in `sampled`, all others (prompt, tool output) are not.
    """

    problem_id: str
    step: int  # the training step it was drawn for
    sample: int  # 0 … G−1 within its group
    seed: int  # of the request, keyed by (seed, step, problem, sample)
    tokens: IntArray  # [T]
    sampled: BoolArray  # [T] True where the policy drew the token
    logprobs: FloatArray  # [T] log-probability under the distribution drawn from: after
    #                       temperature and truncation, renormalized; 0 where not sampled
    versions: IntArray  # [T] policy version that drew the token; −1 where not sampled
    text: str  # the drawn tokens as text; of special tokens those that begin, end and pad are left out
    finish_reason: FinishReason
    temperature: float
    prompt_end: str = ""  # the last tokens of the prompt as text, special ones among them

    @property
    def num_sampled(self) -> int:
        return int(self.sampled.sum())


class Status(StrEnum):
    CORRECT = "correct"
    WRONG = "wrong"
    UNPARSEABLE = "unparseable"  # no answer could be read from the completion
    TIMEOUT = "timeout"  # the check ran past its deadline and was killed
    CRASHED = "crashed"  # the check raised, died or returned something that is no verdict

    @property
    def reached(self) -> bool:
        """Whether the check came to an end; if not, its reward means nothing."""
        return self not in (Status.TIMEOUT, Status.CRASHED)


@dataclass(frozen=True)
class Verdict:
    """What a check found, and why. A verdict that was not reached has no reward, not a zero."""

    status: Status
    reward: float | None  # None exactly when the verdict was not reached
    reason: str  # one line for a person
    extracted: str | None = None  # the answer that was read from the completion
    parts: Mapping[str, float] = field(default_factory=dict)  # reward function → its value
    seconds: float = 0.0  # wall-clock time of the check
    rule: str | None = None  # the rule that decided, in a few words
    # `rlvr.rewards.true_steps.true_steps`: all checkable steps are true and lead to the reference answer;
    # None: there is none, or nobody looked
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
    """What a training step made of one rollout. Arrays are [T], 0 where nothing was trained on; None
    where a number was not computed."""

    left_out: str | None  # why it was not learned from, in a few words; None: it was
    advantages: FloatArray | None = None
    logprobs: FloatArray | None = None  # the learner's, before the update
    entropies: FloatArray | None = None  # in nats, of the learner's distributions
    corrections: FloatArray | None = None  # weights that stand for another policy's sampling; 0 masks out


@dataclass
class TrainingBatch:
    """What one optimizer step learns from: N sequences of various length, not yet cut up.

    The loss is Σ_i scales[i] · Σ_t loss[i, t] over the masked tokens: the scales are shares of a
    total over the whole batch, so that nothing that cuts it up has to know a denominator.
    `columns` are what the loss reads of every token beside the model's own output; which names
    those are, `rlvr.algorithms.objective` says. Rows come in units of `unit` neighbours that the loss
    compares, a chosen answer and a rejected one: nothing separates them, and one that is live keeps
    the others.
    """

    tokens: list[IntArray]  # N × [T]
    mask: list[BoolArray]  # N × [T] True where the token is trained on; never the first token
    columns: dict[str, list[FloatArray]]  # name → N × [T], 0 outside the mask
    temperatures: list[float]  # N; logits are divided by it, as the sampler did
    scales: list[float]  # N
    live: list[bool]  # N; False where the gradient is known to be zero: such a sequence is skipped
    groups: list[int]  # N; sequences of one problem have the same number, 0 … number of groups − 1
    unit: int = 1  # divides N
    reference_logits: bool = False  # whether the loss reads the reference model's whole distributions
    keep: tuple[str, ...] = ()  # `logprobs` and diagnostics that the learner keeps of every token
