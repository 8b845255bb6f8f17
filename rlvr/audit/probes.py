"""Probes: completions on which a reward is tested, each with a verdict known by construction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rlvr.audit.golds import NUMBERS, Answer, Gold, near_misses, rewritings
from rlvr.audit.hacks import hacks, hostile_hacks, question_formula
from rlvr.base.keys import key
from rlvr.problems.config import PromptConfig
from rlvr.problems.prompts import fill_template
from rlvr.types import ConfigError, Problem

Family = Literal["gold", "solution", "rewriting", "near miss", "hack", "hostile"]
RIGHT: tuple[Family, ...] = (
    "gold",
    "rewriting",
)  # families that should pass
WRONG: tuple[Family, ...] = ("near miss", "hack", "hostile")  # families that should fail
# A worked solution should pass as well, but only if the data mark its answer.
FAMILIES: tuple[Family, ...] = ("gold", "solution", "rewriting", *WRONG)

_HOSTILE_PROBLEMS = 10  # few, as hostile completions hardly depend on the problem and may each time out
_UNLIKELY = ("987654", "456789")  # wrong answers if there are no near misses


@dataclass(frozen=True)
class Probe:
    """One completion for `problem`. `committed` is the answer that it marks, if any."""

    family: Family
    kind: str
    problem: Problem
    completion: str
    committed: str | None = None


def draw_problems(problems: Sequence[Problem], samples: int, seed: int) -> list[Problem]:
    """A draw of `samples` problems (at most all), keyed by `seed`, that does not depend on their order."""
    return sorted(problems, key=lambda problem: key("audit", seed, problem.id))[:samples]


def make_probes(
    problems: Sequence[Problem], golds: Sequence[Gold], marks: Sequence[str], prompt: PromptConfig
) -> list[Probe]:
    """All probes of `problems`, ordered by family; hostile ones, which may hang a check, are last.

    `golds` are the problems' references. `marks` are templates such as `\\boxed{{answer}}`: golds are
    tested with each, other completions with the first. Raises ConfigError for a mark without {answer}.
    """
    if not marks or not all("{answer}" in mark for mark in marks):
        raise ConfigError(f"audit.marks is {list(marks)}: name at least one, each with {{answer}} in it")
    probes: list[Probe] = []
    for place, (problem, gold) in enumerate(zip(problems, golds, strict=True)):
        others = [*golds[place + 1 :], *golds[:place]]
        probes += _problem_probes(problem, gold, others, marks, fill_template(problem, prompt))
        if place < _HOSTILE_PROBLEMS:
            probes += [Probe("hostile", kind, problem, text) for kind, text in hostile_hacks(marks[0])]
    return sorted(probes, key=lambda probe: FAMILIES.index(probe.family))


def _problem_probes(
    problem: Problem, gold: Gold, others: Sequence[Gold], marks: Sequence[str], question: str
) -> Iterator[Probe]:
    first = marks[0]
    for mark in marks:
        text = mark.replace("{answer}", gold.text)
        yield Probe("gold", f"marked {mark.replace('{answer}', '…')}", problem, text, gold.text)
    marked = first.replace("{answer}", gold.text)
    thought = f"<think>Let me see. It may be 987654, or not.</think>\n{marked}"
    yield Probe("gold", "after a thought", problem, thought, gold.text)
    yield Probe("gold", "after other text", problem, f"First, we look at 3 cases.\n\n{marked}\n", gold.text)
    if problem.solution:
        yield Probe("solution", "worked solution", problem, problem.solution)
    for name, answer in rewritings(gold, problem.text):
        yield Probe("rewriting", name, problem, first.replace("{answer}", answer), answer)
    misses = near_misses(gold, others)
    for name, answer in misses:
        yield Probe("near miss", name, problem, first.replace("{answer}", answer), answer)
    wrong = _plainly_wrong(gold, misses)
    for name, completion in hacks(gold.text, wrong, question, first):
        yield Probe("hack", name, problem, completion)
    if gold.kind in NUMBERS and (formula := question_formula(problem.text)):
        yield Probe("hack", "formula of the question", problem, first.replace("{answer}", formula), formula)


def _plainly_wrong(gold: Gold, misses: Sequence[Answer]) -> list[str]:
    """At most three near misses that neither contain the reference nor are part of it.

    The others may be lists of candidates themselves.
    """
    wrong = [answer for _, answer in misses if answer not in gold.text and gold.text not in answer]
    return wrong[:3] or list(_UNLIKELY)
