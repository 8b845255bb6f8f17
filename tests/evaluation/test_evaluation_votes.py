"""Which samples give the same answer, with the real processes that compare."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.evaluation import votes
from rlvr.evaluation.votes import count_votes, same_answer
from rlvr.types import Group, Problem, Status, Verdict
from rlvr.verify.check import equal_answers


def wrong(answer: str) -> Verdict:
    return Verdict(Status.WRONG, 0.0, "", extracted=answer)


def right(answer: str | None) -> Verdict:
    return Verdict(Status.CORRECT, 1.0, "", extracted=answer)


def group(*verdicts: Verdict) -> Group:
    return Group(Problem("p", "", ""), [], list(verdicts))


SILENT = Verdict(Status.UNPARSEABLE, 0.0, "", extracted="two options")
LATE = Verdict(Status.TIMEOUT, None, "")


def test_votes_are_for_answers_and_not_for_how_they_are_written() -> None:
    found, undecided = count_votes(
        [
            group(wrong("\\frac12"), wrong("0.5"), wrong("x+1"), wrong("3"), wrong("1+x"), wrong(" 1/2 ")),
            group(wrong("7"), right("8"), right("\\boxed{8}"), SILENT, LATE, right(None)),
        ]
    )
    assert found == [[1, 1, 2, 3, 2, 1], [1, 0, 0, None, None, None]]
    assert undecided == 0


def test_the_order_of_samples_changes_no_class() -> None:
    answers = ["0.5", "x+1", "1/2", "12", "1+x", "\\frac{2}{4}"]
    forth, _ = count_votes([group(*map(wrong, answers))])
    back, _ = count_votes([group(*map(wrong, reversed(answers)))])

    def classes(numbers: Sequence[int | None], of: Sequence[str]) -> set[frozenset[str]]:
        return {frozenset(a for a, n in zip(of, numbers, strict=True) if n == each) for each in numbers}

    assert classes(forth[0], answers) == classes(back[0], answers[::-1])


def test_texts_that_decide_start_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def starts(*_: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(votes, "RewardService", starts)
    found, _ = count_votes([group(wrong("12"), wrong("-3"), wrong("12"), right("x")), group(wrong("1/2"))])
    assert found == [[1, 2, 1, 0], [1]]


WHOLE = st.integers(-(10**18) + 1, 10**18 - 1)


@settings(max_examples=300)
@given(WHOLE, st.integers(-3, 3))
def test_whole_numbers_are_the_same_where_the_verifier_says_so(number: int, apart: int) -> None:
    """What lets the texts of two whole numbers decide."""
    other = number + apart
    assert equal_answers(str(number), str(other)).equal == (apart == 0)
    assert same_answer(str(number), str(other)) == same_answer(str(other), str(number))


def slow_on_x(completion: str, answer: str) -> float:
    while "x" in (completion, answer):
        pass
    return same_answer(completion, answer)


def test_a_comparison_that_comes_to_no_end_leaves_its_answers_apart_and_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(votes, "DEADLINE", 0.3)
    monkeypatch.setattr(votes, "COMPARISON", "test_evaluation_votes.slow_on_x")
    found, undecided = count_votes([group(wrong("x"), wrong("1/2"), wrong("0.5"))])
    assert found == [[1, 2, 2]]
    assert undecided == 2
