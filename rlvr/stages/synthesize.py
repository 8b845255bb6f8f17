"""New problems with checkable answers.

They come from the user's own templates, whose answers are calculated, or are proposed by a teacher. The
teacher does not give the answer: a proposal is kept only if independent solutions agree on one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rlvr.base.files import write_text
from rlvr.problems.files import as_row
from rlvr.problems.prompts import without_messages
from rlvr.problems.templates import from_templates
from rlvr.problems.variants import STYLES, agreement, proposal_prompt, read_proposal
from rlvr.record.layout import KEPT
from rlvr.stages.config import SynthesizeConfig
from rlvr.stages.distill import answers
from rlvr.stages.sampling import score
from rlvr.stages.stage import StageInput
from rlvr.traces.duplicates import normalized
from rlvr.types import DataError, Group, Problem, RlvrError, Rollout, Status

MAX_ANSWER = 200  # longest agreed answer, in characters


def run_synthesize(stage: StageInput) -> None:
    """Write problems.jsonl: the stage's problems and the new ones, except those of evaluation sets.

    Raises:
        Interrupted: the user asked to stop; complete chunks are kept.
        RlvrError: there are no new problems.
    """
    settings: SynthesizeConfig = stage.settings
    found: list[Problem] = []
    left_out: Counter[str] = Counter()
    if settings.templates is not None:
        found += from_templates(settings.templates, settings.n, "all", stage.config.seed)
    if settings.proposals:
        proposed, reasons = _proposed(stage)
        found += proposed
        left_out += reasons
    taken = {normalized(problem.text) for one in stage.unseen.values() for problem in one}
    taken |= {normalized(problem.text) for problem in stage.problems}
    ids = {problem.id for problem in stage.problems}
    new: list[Problem] = []
    for problem in found:
        text = normalized(problem.text)
        if text in taken:
            left_out["duplicates, or held out"] += 1
        else:
            while (
                problem.id in ids
            ):  # if the stage's problems were synthesized by the same kind of stage, say
                problem = replace(problem, id=f"{problem.id}~")
            new.append(problem)
            taken.add(text)
            ids.add(problem.id)
    said = ", ".join(f"{count:,} {why}" for why, count in sorted(left_out.items()))
    if not new:
        raise RlvrError(f"synthesize: none of {len(found)} problems is new; left out: {said}")
    lines = [json.dumps(as_row(problem), default=str) for problem in (*stage.problems, *new)]
    write_text(stage.folder / KEPT, "\n".join(lines) + "\n")
    print(f"synthesize: {len(new):,} new problems" + (f"; left out: {said}" if said else ""))


def _proposed(stage: StageInput) -> tuple[list[Problem], Counter[str]]:
    """Proposals whose solutions agree, and the number of others by reason."""
    settings: SynthesizeConfig = stage.settings
    prompt = settings.prompt or stage.config.prompt
    asking = replace(settings, prompt=replace(prompt, template="{problem}"))
    styles = list(STYLES)
    requests = [
        replace(
            without_messages(problem),
            id=f"{problem.id}~{n}",
            text=proposal_prompt(problem, styles[n % len(styles)]),
        )
        for problem in stage.problems
        for n in range(settings.proposals)
    ]
    proposers = _part(stage, "proposals", asking)
    replies = answers(proposers, requests, 1)
    originals = {f"{p.id}~{n}": p for p in stage.problems for n in range(settings.proposals)}
    proposals: list[Problem] = []
    left_out: Counter[str] = Counter()
    for group in replies:
        original = originals[group.problem.id]
        text = read_proposal(group.rollouts[0].text, original.text)
        if text is None:
            left_out["replies without one new problem"] += 1
            continue
        # keeps the original's answer, which has the right kind, until its solutions agree on one
        proposal = replace(group.problem, text=text, solution=None)
        try:
            stage.prompts.prompt(proposal)
        except DataError:
            left_out["proposals with characters that the model has no token for"] += 1
        else:
            proposals.append(proposal)
    solvers = _part(stage, "solutions", settings)
    solved = answers(solvers, proposals, settings.solutions)
    kept: list[Problem] = []
    for group, equal in zip(solved, _equal_answers(stage, solved), strict=True):
        votes = agreement(
            _answers(group),
            lambda a, b, equal=equal: (a, b) in equal and (b, a) in equal,  # type: ignore[misc]
            settings.agreement,
            at_least=2,
        )
        if votes.kept and votes.answer is not None and (votes.answer, votes.answer) in equal:
            kept.append(replace(group.problem, answer=votes.answer))
        else:
            left_out["proposals whose solutions do not agree"] += 1
    return kept, left_out


def _part(stage: StageInput, name: str, settings: SynthesizeConfig) -> StageInput:
    """The stage with its own subfolder and settings."""
    folder = stage.folder / name
    folder.mkdir(exist_ok=True)
    return replace(stage, folder=folder, settings=settings)


def _answers(group: Group) -> list[str | None]:
    """The answer of every solution; None if none was extracted, or it is longer than MAX_ANSWER."""
    found = [verdict.extracted for verdict in group.verdicts]
    return [answer if answer and answer.strip() and len(answer) <= MAX_ANSWER else None for answer in found]


def _equal_answers(stage: StageInput, groups: Sequence[Group]) -> list[set[tuple[str, str]]]:
    """For each group, the pairs (a, b) of its different answers where b is right if a is the reference.

    Models wrote them, so a comparison may hang: they are compared in the reward service, which kills it
    then. (a, a) is among the pairs unless the reward function does not accept a as a reference.
    """
    asked: list[tuple[int, str, list[str], Group]] = []
    for place, group in enumerate(groups):
        first: dict[str, Rollout] = {}
        for rollout, said in zip(group.rollouts, _answers(group), strict=True):
            if said is not None:
                first.setdefault(said, rollout)
        asked += [
            (place, answer, list(first), Group(replace(group.problem, answer=answer), [*first.values()]))
            for answer in first
        ]
    equal: list[set[tuple[str, str]]] = [set() for _ in groups]
    if asked:
        with stage.workers() as workers:
            score(workers.rewards(), [group for *_, group in asked], lambda: bool(stage.stop))
    for place, reference, others, group in asked:
        for other, verdict in zip(others, group.verdicts, strict=True):
            if verdict.status is Status.CORRECT:
                equal[place].add((reference, other))
    return equal
