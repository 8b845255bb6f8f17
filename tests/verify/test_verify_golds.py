"""Every reference answer of the known problem sets passes its own verifier, and others' do not."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from rlvr.types import Status
from rlvr.verify.check import check_answer

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data"
GSM8K = ("gsm8k_test", "gsm8k_train")
MATH = ("math500", "math_sft4500", "math_train_rl")
CONTESTS = ("aime24", "amc23")

# Worked solutions whose boxes do not give the answer column, and why that is right.
SOLUTIONS = {
    "math-test-414": "the solution boxes both roots, -2 and 1; the answer column kept only 1",
    "math-test-2703": "the solution boxes both roots, 3 and 2/5; the answer column kept only 2/5",
    "math-test-4860": "the solution boxes both roots, pi/4 and 5pi/4; the answer column kept only 5pi/4",
    "math-test-2716": "the problem asks for one focus; the solution boxes either",
    "math-test-2912": "the problem asks for one vertex; the solution boxes either",
}
# Golds of different problems that the verifier takes for equal, and why that is right.
EQUAL = {("75^\\circ", "75^\\circ, 75^\\circ"): "values in a list are a set: repeating one adds nothing"}


def rows(name: str) -> list[dict[str, Any]]:
    path = FOLDER / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"the problem set is not here: {path}")
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def passes(completion: str, gold: str) -> bool:
    return check_answer(completion, gold).status is Status.CORRECT


@pytest.mark.parametrize("name", [*GSM8K, *MATH, *CONTESTS])
def test_every_gold_passes_in_a_box(name: str) -> None:
    golds = [row["answer"] for row in rows(name)]
    assert [gold for gold in golds if not passes(f"So we get $\\boxed{{{gold}}}$.", gold)] == []


@pytest.mark.parametrize("name", GSM8K)
def test_every_solution_with_its_hash_line_passes(name: str) -> None:
    failed = [
        row["id"]
        for row in rows(name)
        if not passes(f"{row['solution']}\n#### {row['answer']}", row["answer"])
    ]
    assert failed == []


@pytest.mark.parametrize("name", ["math500", "math_sft4500", "aime24"])
def test_every_boxed_solution_passes_or_is_listed(name: str) -> None:
    boxed = [row for row in rows(name) if "\\boxed" in row.get("solution", "")]
    failed = {row["id"] for row in boxed if not passes(row["solution"], row["answer"])}
    assert failed == SOLUTIONS.keys() & {row["id"] for row in boxed}


def rewritten(gold: str) -> Iterator[str]:
    """Completions that give `gold` as others would write it."""
    swapped = re.sub(r"\\[dt]?frac\b", lambda m: "\\frac" if m[0] != "\\frac" else "\\dfrac", gold)
    wider = re.sub(r"(?<!left)\(([^()]*)\)", r"\\left( \1 \\right)", gold)
    spaced = re.sub(r"([=+])", r" \1 ", gold)
    yield f"The answer is \\boxed{{{swapped}}}."
    yield f"So \\[\\boxed{{{wider} .}}\\]"
    yield f"$\\boxed{{ \\; {spaced}\\!}}$"
    yield f"Thus, the answer is ${gold}$."
    yield f"**Final Answer:** ${gold}$"
    yield f"<think>Perhaps \\boxed{{7777}}?</think><answer>{gold}</answer>"


def check_rewritten(golds: list[str]) -> None:
    failed = [(gold, text) for gold in golds for text in rewritten(gold) if not passes(text, gold)]
    assert failed == []


def value(gold: str) -> Fraction | str:
    """What a plain number is worth, whatever it is decorated with; else its text without decoration.

    Simpler than the verifier on purpose: it decides which golds are the same by chance.
    """
    plain = gold.strip(" .,$")
    if plain[-1:].isdigit() or not plain.startswith("\\text"):  # units, not an answer in words
        plain = re.sub(r"\\(?:text|mbox|textbf)\s*\{[^{}]*\}(?:\^\d)?", "", plain)
    plain = re.sub(r"\\[!,;$ ]|\^\{?\\circ\}?|[\s$]", "", plain)
    plain = re.sub(r"(?<=\d)\{?,\}?(?=\d{3}(?!\d))", "", plain)
    scale = Fraction(1, 100) if plain.endswith("\\%") else Fraction(1)
    plain = plain.removesuffix("\\%")
    if match := re.fullmatch(r"(-?\w+)_\{?(\d+)\}?", plain):
        return Fraction(int(match[1], int(match[2])))
    if match := re.fullmatch(r"(-?)(\d*)\\[dt]?frac\{?(-?\d+)\}?\{?(\d+)\}?", plain):
        sign, whole, above, below = match.groups()
        return scale * (-1 if sign else 1) * (int(whole or 0) + Fraction(int(above), int(below)))
    if re.fullmatch(r"-?\d*\.?\d+", plain):
        return scale * Fraction(plain)
    return plain or gold


def accidental(pairs: list[tuple[str, str]]) -> tuple[int, list[tuple[str, str]]]:
    """How many of `pairs` have the same value, and which of the others the verifier takes for equal."""
    others = [(one, other) for one, other in pairs if value(one) != value(other)]
    equal = [pair for pair in others if passes(f"\\boxed{{{pair[0]}}}", pair[1])]
    return len(pairs) - len(others), [pair for pair in equal if pair not in EQUAL]


def shuffled(golds: list[str], seed: int) -> list[tuple[str, str]]:
    mixed = random.Random(seed).sample(golds, len(golds))
    return list(zip(mixed, [*mixed[1:], mixed[0]], strict=True))


@pytest.mark.parametrize("name", [*GSM8K, *MATH, *CONTESTS])
def test_golds_of_other_problems_fail(name: str) -> None:
    golds = [row["answer"] for row in rows(name)]
    pairs = shuffled(golds, seed=0)[:1500]
    same, equal = accidental(pairs)
    print(f"{name}: {len(pairs)} golds against the next of a shuffle, {same} the same by chance")
    assert same < 0.1 * len(pairs)
    assert equal == []


def distinct_golds() -> list[str]:
    return sorted({row["answer"] for name in (*GSM8K, *MATH, *CONTESTS) for row in rows(name)})


def similar_golds() -> list[tuple[str, str]]:
    """Those next to each other in sorted order: they begin alike."""
    return list(itertools.pairwise(distinct_golds()))


def test_similar_golds_of_other_problems_fail() -> None:
    assert accidental(similar_golds()[::5])[1] == []


def test_rewritten_golds_pass() -> None:
    check_rewritten(distinct_golds()[::5])


@pytest.mark.slow
def test_all_rewritten_golds_pass() -> None:
    check_rewritten(distinct_golds())


@pytest.mark.slow
def test_all_similar_golds_of_other_problems_fail() -> None:
    assert accidental(similar_golds())[1] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_golds_of_other_problems_fail(seed: int) -> None:
    assert accidental(shuffled(distinct_golds(), seed))[1] == []
