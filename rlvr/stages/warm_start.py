"""The loop of every stage that learns from worked answers: mid-training, SFT, Rollout DPO, and your own.

They differ in their trainer, a class named by its import path (see `rlvr.stages.sft.Sft`), which decides the
batch of each step and the objective. Everything else is here.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from hydra.utils import instantiate

from rlvr.algorithms.objective import Objective
from rlvr.cluster.waiting import finish
from rlvr.learner.actor import LearnerGroup
from rlvr.learner.schedule import learning_rate
from rlvr.record.journal import truncate
from rlvr.record.progress import Progress
from rlvr.record.sinks import MetricLog
from rlvr.stages.buffer import Interrupted
from rlvr.stages.config import ValidationConfig
from rlvr.stages.reference import FOLDER, reference_logprobs
from rlvr.stages.stage import SOLUTIONS, StageInput
from rlvr.traces.files import read_traces
from rlvr.traces.overlap import mark_overlaps, ngram_index
from rlvr.traces.traces import Trace, trace_of_solution
from rlvr.types import ConfigError, DataError, FinishReason, FloatArray, TrainingBatch

LOOP_STATE = "loop.json"


class Trainer(Protocol):
    uses_reference: bool
    left_out: Mapping[str, int]  # reason → number of answers or pairs left out

    @property
    def objective(self) -> Objective: ...

    @property
    def size(self) -> str: ...

    @property
    def steps_per_epoch(self) -> int: ...

    def batch(self, step: int) -> TrainingBatch: ...

    def validation(self) -> TrainingBatch | None: ...


@dataclass
class Best:
    """The lowest validation loss so far, its step, and the number of validations since without a gain."""

    loss: float = float("inf")
    step: int = 0
    without_gain: int = 0

    def observe(self, loss: float, step: int, settings: ValidationConfig) -> bool:
        """Record a validation loss. Returns whether it is the lowest so far."""
        gained = loss < self.loss * (1 - settings.min_gain) if np.isfinite(self.loss) else True
        self.without_gain = 0 if gained else self.without_gain + 1
        if better := loss < self.loss:
            self.loss, self.step = loss, step
        return better


def load_data(stage: StageInput) -> list[Trace]:
    """The traces that `data` names: worked solutions (of the problems that have one), other stages' traces,
    or files."""
    traces: list[Trace] = []
    for name in stage.settings.data:
        if name == SOLUTIONS:
            solved = [problem for problem in stage.problems if problem.solution is not None]
            if not solved:
                raise DataError("data names solutions, but no problem has a worked solution")
            traces += map(trace_of_solution, solved)
        else:
            traces += read_traces(Path(stage.sources.get(name, name)))
    problems: dict[str, str] = {}
    for trace in traces:
        if problems.setdefault(trace.problem.id, trace.problem.text) != trace.problem.text:
            raise DataError(
                f"data={list(stage.settings.data)}: two problems have the id {trace.problem.id!r}: "
                f"{problems[trace.problem.id][:60]!r} and {trace.problem.text[:60]!r}; rename one of them"
            )
    # traces of stages are marked already; files may contain anything
    return mark_overlaps(traces, ngram_index(stage.unseen))[0] if stage.unseen else traces


def make_trainer(stage: StageInput) -> Trainer:
    """The stage's trainer with its data.

    Raises:
        DataError: nothing is left to train on.
    """
    config, prompts = stage.config, stage.prompts

    def encode(trace: Trace) -> tuple[list[int], list[int]]:
        ended = trace.finish_reason is FinishReason.STOP
        if trace.tokens is not None:
            answer = prompts.drawn(trace.tokens, ended)
        else:
            answer = prompts.answer(trace.text, trace.problem, ended)
        return prompts.prompt(trace.problem), answer

    # passing the data to `instantiate` would convert them to settings
    kind = instantiate(stage.settings.trainer, _partial_=True)
    trainer: Trainer = kind(load_data(stage), encode, stage.settings, config.seed, config.max_length)
    return trainer


def run_warm_start(stage: StageInput) -> None:
    """Train from the last checkpoint, or the stage's start, to the last step, saving checkpoints.

    Raises:
        Interrupted: the user asked to stop; the last complete step has a checkpoint.
    """
    WarmStart(stage).run()


class WarmStart:
    """The training loop with its trainer, learner and checkpoints."""

    def __init__(self, stage: StageInput) -> None:
        self.stage, self.settings = stage, stage.settings
        self.name = stage.name
        self.trainer = make_trainer(stage)
        self.steps = self.settings.steps or self.settings.epochs * self.trainer.steps_per_epoch
        if self.settings.optimizer.warmup_steps >= self.steps:
            raise ConfigError(
                f"{self.name}.optimizer.warmup_steps={self.settings.optimizer.warmup_steps} never ends: the "
                f"stage has {self.steps} optimizer steps"
            )
        if not self.trainer.uses_reference:
            self.trainer.batch(0)  # errors in it are raised before any model is loaded
        self.validation = self.trainer.validation()
        self.best = Best()
        left_out = ", ".join(f"{count:,} {why}" for why, count in self.trainer.left_out.items() if count)
        print(f"{self.name}: {self.trainer.size}" + (f"; left out: {left_out}" if left_out else ""))

    def run(self) -> None:
        stage, config = self.stage, self.stage.config
        self.checkpoints = stage.checkpoints()
        found = self.checkpoints.latest()
        start = found[0] if found else 0
        truncate(stage.folder, start)
        with (
            stage.workers() as workers,
            MetricLog(stage.folder, config.record, stage.run_config, stage.run) as log,
            Progress(self.name, self.steps, start) as progress,
        ):
            self.learner = workers.learner()
            max_length = config.max_length
            calls = self.learner.start(stage.model_path, max_length, self.settings.optimizer)
            finish("learner start", calls)
            if self.trainer.uses_reference:
                self._reference(self.learner)
            if found:
                finish("learner resume", self.learner.call("load", found[1]))
                self.best = Best(**json.loads((found[1] / LOOP_STATE).read_text()))
            step = start
            while step < self.steps and not self._saturated():
                step += 1
                metrics = self.step(step)
                log.log(step, metrics)
                progress.update(step, metrics)
                best = self.best.step == step and self.validation is not None
                if stage.stop or best or step == self.steps or step % self.settings.checkpoint_every == 0:
                    self._save(step)
                if stage.stop and step < self.steps:
                    raise Interrupted
        if self.validation is not None and step < self.steps:
            print(f"{self.name}: validation has not improved since step {self.best.step}; stopped early")
        done = self.best.step if self.validation is not None and self.best.step else step
        stage.finish(step, self.checkpoints.path(done), self.trainer.size)

    def step(self, step: int) -> dict[str, float]:
        """Do one optimizer step, and a validation if one is due. Returns the metrics."""
        began = time.monotonic()
        config = self.stage.config
        lr = learning_rate(self.settings.optimizer, step - 1, self.steps)
        calls = self.learner.call("update", self.trainer.batch(step - 1), self.trainer.objective, lr)
        learned = finish("update", calls, config.learner.deadline)
        seconds = time.monotonic() - began
        metrics = {f"learner/{name}": value for name, value in learned.items()} | {
            "tokens/trained": int(learned["tokens"]),
            "time/step": seconds,
            "time/learn": seconds,
        }
        if not learned["skipped"]:
            metrics["train/loss"] = learned["loss"]
        if self.validation is not None and self._validates(step):
            loss = self._validate(self.validation)
            self.best.observe(loss, step, self.settings.validation)
            metrics |= {"validation/loss": loss, "time/validate": time.monotonic() - began - seconds}
        return metrics

    def _validates(self, step: int) -> bool:
        return step == self.steps or step % self.settings.validation.every == 0

    def _saturated(self) -> bool:
        if self.validation is None:
            return False
        return bool(self.best.without_gain >= self.settings.validation.patience)

    def _validate(self, batch: TrainingBatch) -> float:
        """Mean next-token loss over all validation tokens."""
        calls = self.learner.call("logprobs", batch)
        logprobs = finish("validation", calls, self.stage.config.learner.deadline)
        tokens = sum(int(mask.sum()) for mask in batch.mask)
        return -sum(float(row.sum(dtype=np.float64)) for row in logprobs) / tokens

    def _reference(self, learner: LearnerGroup) -> None:
        """Give the trainer the reference log-probabilities, those of the initial model.

        They are computed once, before the first update, piece by piece, and stored in the stage's folder.

        Raises:
            Interrupted: the user asked to stop; a resumed run computes the pieces that are left.
        """
        trainer: Any = self.trainer
        deadline = self.stage.config.learner.deadline

        def compute(piece: TrainingBatch) -> list[FloatArray]:
            if self.stage.stop:
                raise Interrupted
            calls = learner.call("logprobs", piece)
            rows: list[FloatArray] = finish("reference log-probabilities", calls, deadline)
            return rows

        folder = self.stage.folder / FOLDER
        trainer.reference = reference_logprobs(folder, self.stage.model_path, trainer.pieces(), compute)

    def _save(self, step: int) -> None:
        def write(folder: Path) -> None:
            finish("checkpoint", self.learner.call("save", folder))
            (folder / LOOP_STATE).write_text(json.dumps(asdict(self.best)))

        self.checkpoints.save(step, write, self.best.step if self.validation is not None else None)
