"""The completions that a reward is tried on, each with the verdict it deserves by construction."""

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
)  # which should pass
WRONG: tuple[Family, ...] = ("near miss", "hack", "hostile")  # which should fail
# A worked solution should pass as well, but whether it marks its answer is a matter of the data.
FAMILIES: tuple[Family, ...] = ("gold", "solution", "rewriting", *WRONG)

_HOSTILE_PROBLEMS = 10  # hostile completions hardly depend on the problem, and may cost a deadline each
_UNLIKELY = ("987654", "456789")  # wrong answers for a reference that is not understood


@dataclass(frozen=True)
class Probe:
    """One completion for `problem`. `committed` is the answer that it marks, if it was made from one."""

    family: Family
    kind: str
    problem: Problem
    completion: str
    committed: str | None = None


def draw_problems(problems: Sequence[Problem], samples: int, seed: int) -> list[Problem]:
    """`samples` of the problems, or all: a keyed draw that does not depend on their order."""
    return sorted(problems, key=lambda problem: key("audit", seed, problem.id))[:samples]


def make_probes(
    problems: Sequence[Problem], golds: Sequence[Gold], marks: Sequence[str], prompt: PromptConfig
) -> list[Probe]:
    """All probes of `problems`, one family after the other, those that may hang a check last.

    `golds` are their references. `marks` are templates such as `\\boxed{{answer}}`; the first one marks
    all but golds. Raises ConfigError for a mark without {answer}.
    """
    if not marks or not all("{answer}" in mark for mark in marks):
        raise ConfigError(f"audit.marks is {list(marks)}: name at least one, each with {{answer}} in it")
    found: list[Probe] = []
    for place, (problem, gold) in enumerate(zip(problems, golds, strict=True)):
        others = [*golds[place + 1 :], *golds[:place]]
        found += _of_problem(problem, gold, others, marks, fill_template(problem, prompt))
        if place < _HOSTILE_PROBLEMS:
            found += [Probe("hostile", kind, problem, text) for kind, text in hostile_hacks(marks[0])]
    return sorted(found, key=lambda probe: FAMILIES.index(probe.family))


def _of_problem(
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
    """Three of the near misses at most, in which no part of the reference stands: what is missing an item,
    or names two answers, is a list of candidates itself."""
    found = [answer for _, answer in misses if answer not in gold.text and gold.text not in answer]
    return found[:3] or list(_UNLIKELY)
