"""Evaluation of a model on sets of problems: answers, verdicts, metrics.

`run_evaluation` evaluates one stage of a recipe; `rlvr evaluate` uses the other functions in its own folders.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rlvr.base.files import atomic_write
from rlvr.evaluation.summary import Votes, default_ks, outcomes, summarize
from rlvr.evaluation.votes import count_votes
from rlvr.problems.config import PromptConfig
from rlvr.record.journal import journal_path, read_journal
from rlvr.record.layout import RESULTS
from rlvr.rollout.engine import Request
from rlvr.stages.collector import group_requests, heldout_decoding
from rlvr.stages.sampling import Chunk, answer, chunked
from rlvr.stages.stage import StageInput
from rlvr.types import Group, Problem

CHUNK = 512  # problems per chunk of a recipe's evaluation; a stopped one resumes after its last chunk


@dataclass(frozen=True)
class AnsweredSet:
    """A set of problems, and the folder whose journal has its answers."""

    name: str
    problems: Sequence[Problem]
    prompt: PromptConfig
    folder: Path
    first: int = 0  # number of its first chunk in the journal
    chunk: int = CHUNK  # problems per chunk
    stop: list[str] | None = None  # strings that end an answer, where `evaluation.stop` names none

    def chunks(self) -> list[Chunk]:
        return [
            Chunk(journal_path(self.folder, "heldout", number), number, problems)
            for number, problems in enumerate(chunked(self.problems, self.chunk), self.first)
        ]


def answer_sets(stage: StageInput, sets: Sequence[AnsweredSet]) -> dict[str, list[Group]]:
    """`evaluation.samples` judged answers to each problem of all sets; those in a journal are not repeated.

    Seeds depend on the problem and the sample number only, so that models are compared with the same seeds.

    Raises:
        Interrupted: the user asked to stop; complete chunks are kept.
    """
    settings = stage.config.evaluation
    laid = [(each, chunk) for each in sets for chunk in each.chunks()]
    of_set = {chunk.path: each for each, chunk in laid}
    stops = {each.name: each.stop if settings.stop is None else settings.stop for each in sets}
    asked = {
        each.name: replace(
            stage,
            config=replace(
                stage.config, prompt=each.prompt, evaluation=replace(settings, stop=stops[each.name])
            ),
        )
        for each in sets
    }

    def requests(chunk: Chunk, problem: Problem) -> list[Request]:
        own = asked[of_set[chunk.path].name]
        return group_requests(
            own,
            problem,
            "heldout",
            chunk.number,
            range(settings.samples),
            settings.temperature,
            settings.top_p,
            heldout_decoding(own.config),
        )

    answer(stage, [chunk for _, chunk in laid], requests)
    groups: dict[str, list[Group]] = {each.name: [] for each in sets}
    for each, chunk in laid:
        groups[each.name] += read_journal(each.folder, "heldout", chunk.number)
    return groups


def count(
    groups: Sequence[Group], ks: Sequence[int], by: Sequence[str] = (), workers: int = 1
) -> tuple[dict[str, Any], list[Votes]]:
    """Metrics of one set, and the votes that they use; `workers` processes compare answers."""
    votes, undecided = count_votes(groups, workers)
    return summarize(outcomes(groups, votes), ks, by) | {"undecided_votes": undecided}, list(votes)


def run_evaluation(stage: StageInput, sets: Mapping[str, list[Problem]]) -> Path:
    """Answer every problem of `sets` `evaluation.samples` times and write results.json. Returns its path.

    Raises:
        Interrupted: the user asked to stop.
    """
    prompt, samples = stage.config.prompt, stage.config.evaluation.samples
    laid: list[AnsweredSet] = []
    for name, problems in sets.items():  # one journal for all
        laid.append(AnsweredSet(name, problems, prompt, stage.folder, sum(len(s.chunks()) for s in laid)))
    groups = answer_sets(stage, laid)
    results = {
        name: count(groups[name], default_ks(samples), workers=stage.config.reward.workers)[0]
        for name in sets
    }
    with atomic_write(stage.folder / RESULTS) as path:
        path.write_text(json.dumps(results, allow_nan=False) + "\n")
    return stage.folder / RESULTS
