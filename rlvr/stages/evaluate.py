"""How good a stage's model is: the same problems with the same luck after every stage (avg@k)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from rlvr.evaluation.metrics import tally
from rlvr.record.run_folder import atomic_write
from rlvr.stages.drawing import group_requests
from rlvr.stages.sampling import chunked, sample
from rlvr.stages.stage import StageInput
from rlvr.types import Problem

RESULTS = "results.json"
CHUNK = 512  # problems that are answered at a time; a stopped evaluation goes on after them


def run_evaluation(stage: StageInput, sets: Mapping[str, list[Problem]]) -> None:
    """Answer every problem of `sets` `evaluation.samples` times, and write results.json.

    Raises:
        Interrupted: the user asked to stop.
    """
    settings = stage.config.evaluation
    samples = range(settings.samples)
    chunks = [(name, chunk) for name, problems in sets.items() for chunk in chunked(problems, CHUNK)]
    answered = sample(
        stage,
        [chunk for _, chunk in chunks],
        lambda number, problem: group_requests(
            stage, problem, "heldout", number, samples, settings.temperature, settings.top_p
        ),
        kind="heldout",
    )
    results = {}
    for name in sets:
        groups = [
            group for (of, _), made in zip(chunks, answered, strict=True) for group in made if of == name
        ]
        tallies = [tally(group.verdicts) for group in groups]
        results[name] = {
            "problems": [group.problem.id for group in groups],
            # a problem without any verdict has no value
            "values": [each.correct / each.reached if each.reached else None for each in tallies],
            "samples": settings.samples,
            "unreached": sum(each.unreached for each in tallies),
        }
    with atomic_write(stage.folder / RESULTS) as path:
        path.write_text(json.dumps(results))
