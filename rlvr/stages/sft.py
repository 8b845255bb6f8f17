"""Supervised fine-tuning: next-token loss on worked solutions, the prompt left out."""

from __future__ import annotations

import time
from dataclasses import asdict

from rlvr.algorithms.objective import supervised
from rlvr.learner.schedule import learning_rate
from rlvr.problems.order import problems_for_step
from rlvr.problems.prompts import encode_prompt, encode_solution
from rlvr.record.journal import truncate
from rlvr.record.progress import Progress
from rlvr.record.sinks import MetricLog
from rlvr.stages.batches import supervised_batch
from rlvr.stages.buffer import Interrupted
from rlvr.stages.calls import finish
from rlvr.stages.cluster import Workers
from rlvr.stages.stage import StageInput
from rlvr.types import TrainingBatch


def run_sft(stage: StageInput) -> None:
    """Train from the last checkpoint, or the stage's start, to `sft.steps`; checkpoint on the way.

    Raises:
        Interrupted: the user asked to stop; the last complete step has a checkpoint.
    """
    config, settings = stage.config, stage.config.sft
    checkpoints = stage.checkpoints()
    found = checkpoints.latest()
    start = found[0] if found else 0
    truncate(stage.folder, start)
    with (
        Workers(config) as workers,
        MetricLog(stage.folder, config.record, asdict(config)) as log,
        Progress("sft", settings.steps, start) as progress,
    ):
        learner = workers.learner()
        finish("learner start", learner.start(stage.model_path, config.model.max_length, settings.optimizer))
        if found:
            finish("learner resume", learner.call("load", found[1]))
        for step in range(start + 1, settings.steps + 1):
            began = time.monotonic()
            batch = _batch(stage, step)
            lr = learning_rate(settings.optimizer, step - 1, settings.steps)
            calls = learner.call("update", batch, supervised, lr)
            learned = finish("update", calls, config.learner.deadline)
            seconds = time.monotonic() - began
            metrics = {f"learner/{name}": value for name, value in learned.items()} | {
                "train/loss": learned["loss"],
                "tokens/trained": int(learned["tokens"]),
                "time/step": seconds,
                "time/learn": seconds,
            }
            log.log(step, metrics)
            progress.update(step, metrics)
            last = step == settings.steps
            if last or stage.stop or step % settings.checkpoint_every == 0:
                checkpoints.save(step, lambda path: finish("checkpoint", learner.call("save", path)))
            if stage.stop and not last:
                raise Interrupted


def _batch(stage: StageInput, step: int) -> TrainingBatch:
    config = stage.config
    chosen = problems_for_step(len(stage.problems), config.sft.batch_size, step - 1, config.seed)
    examples = []
    for problem in (stage.problems[i] for i in chosen):
        prompt = encode_prompt(problem, config.problems.prompt, stage.tokenizer)
        examples.append((prompt, encode_solution(problem, stage.tokenizer)))
    return supervised_batch(examples)
