"""Supervised fine-tuning: next-token loss on worked solutions, the prompt left out."""

from __future__ import annotations

import time

import ray

from rlvr.algorithms.losses import negative_log_likelihood
from rlvr.learner.schedule import learning_rate
from rlvr.problems.order import problems_for_step
from rlvr.problems.prompts import encode_prompt, encode_solution
from rlvr.record.journal import truncate
from rlvr.record.progress import Progress
from rlvr.record.sinks import MetricLog
from rlvr.stages.batches import supervised_batch
from rlvr.stages.buffer import Interrupted
from rlvr.stages.calls import finish
from rlvr.stages.stage import StageInput


def run_sft(stage: StageInput) -> None:
    """Train from the last checkpoint, or the stage's start, to `sft.steps`; checkpoint on the way.

    Raises:
        Interrupted: the user asked to stop; the last complete step has a checkpoint.
    """
    config, settings = stage.config, stage.config.sft
    checkpoints = stage.checkpoints(batch_size=settings.batch_size)
    learner = stage.workers.learner()
    finish("learner start", learner.start(stage.model_path, config.model.max_length, settings.optimizer))
    start = 0
    if found := checkpoints.latest():
        start, path = found
        finish("learner resume", learner.call("load", path))
    truncate(stage.folder, start)
    with (
        MetricLog(stage.folder, config.record, {}) as log,
        Progress("sft", settings.steps, start) as progress,
    ):
        for step in range(start + 1, settings.steps + 1):
            began = time.monotonic()
            chosen = problems_for_step(len(stage.problems), settings.batch_size, step - 1, config.seed)
            problems = [stage.problems[i] for i in chosen]
            batch = supervised_batch(
                [
                    (
                        encode_prompt(problem, config.problems.prompt, stage.tokenizer),
                        encode_solution(problem, stage.tokenizer),
                    )
                    for problem in problems
                ]
            )
            lr = learning_rate(settings.optimizer, step - 1, settings.steps)
            learned = finish(
                "update",
                learner.call("update", batch, negative_log_likelihood, lr),
                config.learner.deadline,
            )
            seconds = time.monotonic() - began
            metrics = {f"learner/{name}": value for name, value in learned.items()} | {
                "train/loss": learned["loss"],
                "tokens/trained": batch.num_tokens,
                "time/step": seconds,
                "time/learn": seconds,
            }
            log.log(step, metrics)
            progress.update(step, metrics)
            if stage.stop or step == settings.steps or step % settings.checkpoint_every == 0:
                checkpoints.save(step, lambda path: finish("checkpoint", learner.call("save", path)))
            if stage.stop and step < settings.steps:
                raise Interrupted
    for rank in learner.ranks:
        ray.kill(rank)
