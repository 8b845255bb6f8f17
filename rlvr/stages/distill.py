"""Distillation data: a teacher answers every problem k times; the answers are verified and deduplicated.

Correct answers are for mid-training and SFT (rejection sampling), incorrect ones for Rollout DPO. The teacher
may be the student itself. Source: the data of stages 1 to 3 of Phi-4-Mini-Reasoning, arXiv 2504.21233.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from rlvr.base.files import write_json
from rlvr.base.keys import key
from rlvr.problems.encoder import fitting
from rlvr.problems.prompts import chat_messages, check_prompts
from rlvr.record.journal import journal_path, read_journal, write_journal
from rlvr.record.layout import OVERLAPS, TRACES
from rlvr.record.progress import Progress
from rlvr.rollout.answers import TeacherAnswer
from rlvr.rollout.endpoint import EndpointRequests, EndpointTeacher, Question
from rlvr.stages.buffer import Interrupted
from rlvr.stages.collector import group_requests
from rlvr.stages.config import DistillConfig
from rlvr.stages.sampling import as_teacher, chunk_metrics, chunked, same_tokenizer, sample, score
from rlvr.stages.stage import StageInput
from rlvr.traces.card import write_card
from rlvr.traces.duplicates import mark_duplicates
from rlvr.traces.files import write_traces
from rlvr.traces.overlap import mark_overlaps, ngram_index
from rlvr.traces.traces import Trace, traces_from_groups, without_tokens
from rlvr.types import Group, Problem, Rollout, Status


def run_distill(stage: StageInput) -> None:
    """Write traces.parquet and its data card; `stage.model_path` is the teacher, unless it is an endpoint.

    Raises:
        Interrupted: the user asked to stop; complete chunks, and every answer of an endpoint, are kept.
    """
    settings: DistillConfig = stage.settings
    groups = answers(stage, stage.problems, settings.samples)
    source = settings.endpoint.model if settings.endpoint else settings.teacher
    traces = traces_from_groups(groups, source, settings.domain_column)
    if settings.endpoint or not same_tokenizer(as_teacher(stage).tokenizer, stage.tokenizer):
        traces = [without_tokens(trace) for trace in traces]
    index = ngram_index(stage.unseen, settings.overlap_words)
    traces, overlaps = mark_overlaps(mark_duplicates(traces), index)
    rows = {problem: asdict(overlap) for problem, overlap in overlaps.items()}
    write_json(stage.folder / OVERLAPS, rows, indent=2)
    write_traces(stage.folder / TRACES, traces)
    write_card(stage.folder, traces, _about(stage, source))
    print(f"{stage.name}: {_summary(traces)}")


def answers(stage: StageInput, problems: Sequence[Problem], samples: int) -> list[Group]:
    """`samples` verified answers of the stage's teacher to every problem.

    Raises:
        DataError: a problem is too long for a teacher on the run's own engines, and may not be left out.
    """
    teacher, settings = as_teacher(stage), stage.settings
    check_prompts(problems, teacher.config.prompt)
    if settings.endpoint:
        groups = _ask_endpoint(teacher, chunked(problems, settings.chunk), samples)
    else:
        config, temperature, top_p = teacher.config, settings.temperature, settings.top_p
        key = "model.max_length" if settings.max_length is None else f"{stage.name}.max_length"
        kept = fitting(
            problems,
            teacher.prompts.lengths(problems),
            config.sampling.max_tokens,
            (config.max_length, key),
            config.prompt.too_long,
            stage.name,
        )

        def requests(number: int, problem: Problem) -> Any:
            return group_requests(teacher, problem, "distill", number, range(samples), temperature, top_p)

        groups = sample(teacher, chunked(kept, settings.chunk), requests)
    return [group for chunk in groups for group in chunk]


def _ask_endpoint(stage: StageInput, chunks: Sequence[Sequence[Problem]], samples: int) -> list[list[Group]]:
    """Like `sample`, but from an endpoint; every answer is written to disk as soon as it arrives."""
    paths = [journal_path(stage.folder, "train", number) for number in range(len(chunks))]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    name = stage.name
    if missing:
        with (
            stage.workers() as workers,
            EndpointTeacher(_requests(stage), stage.folder) as teacher,
            Progress(name, len(chunks), len(chunks) - len(missing)) as progress,
        ):
            rewards = workers.rewards()
            for done, number in enumerate(missing, len(chunks) - len(missing) + 1):
                questions = [
                    question for problem in chunks[number] for question in _questions(stage, problem, samples)
                ]
                groups = {problem.id: Group(problem, []) for problem in chunks[number]}
                seeds = {(q.problem_id, q.sample): q.seed for q in questions}
                for answer in teacher.answers(questions, stopped=lambda: bool(stage.stop)):
                    seed = seeds[answer.problem_id, answer.sample]
                    groups[answer.problem_id].rollouts.append(_rollout(answer, seed))
                if stage.stop and teacher.missing(questions):
                    raise Interrupted
                answered = [
                    group for group in groups.values() if group.rollouts
                ]  # up to max_failed may have none
                for group in answered:
                    group.rollouts.sort(key=lambda rollout: rollout.sample)
                score(rewards, answered, lambda: bool(stage.stop))
                write_journal(paths[number], answered)
                progress.update(done, chunk_metrics(answered))
    return [read_journal(stage.folder, "train", number) for number in range(len(chunks))]


def _requests(stage: StageInput) -> EndpointRequests:
    """The endpoint's settings, with the same sampling as a local teacher."""
    settings = stage.settings
    return EndpointRequests(
        **vars(settings.endpoint),
        max_tokens=stage.config.sampling.max_tokens,
        temperature=settings.temperature,
        top_p=settings.top_p,
    )


def _questions(stage: StageInput, problem: Problem, samples: int) -> list[Question]:
    messages = chat_messages(problem, stage.config.prompt)
    seeds = [key(stage.config.seed, "distill", problem.id, sample) for sample in range(samples)]
    return [Question(problem.id, sample, messages, seed) for sample, seed in enumerate(seeds)]


def _rollout(answer: TeacherAnswer, seed: int) -> Rollout:
    """A rollout from an endpoint's answer: it has a text, but no tokens."""
    return Rollout(
        problem_id=answer.problem_id,
        step=0,
        sample=answer.sample,
        seed=seed,
        tokens=np.zeros(0, np.int32),
        sampled=np.zeros(0, np.bool_),
        logprobs=np.zeros(0, np.float32),
        versions=np.zeros(0, np.int32),
        text=answer.text,
        finish_reason=answer.finish_reason,
        temperature=0.0,
    )


def _about(stage: StageInput, source: str) -> dict[str, Any]:
    settings = stage.settings
    return {
        "teacher": source,
        "problems": f"{len(stage.problems):,}",
        "answers per problem": settings.samples,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "longest answer": f"{settings.max_tokens or stage.config.sampling.max_tokens} tokens",
        "verified by": ", ".join(stage.config.reward.functions),
        "seed": stage.config.seed,
    }


def _summary(traces: Sequence[Trace]) -> str:
    """The counts of answers in one line."""
    usable = [trace for trace in traces if trace.dropped is None]
    correct = sum(trace.status is Status.CORRECT for trace in usable)
    solved = len({trace.problem.id for trace in usable if trace.status is Status.CORRECT})
    return (
        f"{len(traces):,} answers, {len(traces) - len(usable):,} dropped as duplicates or overlaps; "
        f"{correct:,} correct, to {solved:,} problems"
    )
