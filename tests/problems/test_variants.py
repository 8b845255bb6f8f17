"""Proposals: only a problem that says no answer is read; only answers that agree are kept."""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.problems.variants import (
    END,
    MAX_PROPOSAL,
    MAX_REPLY,
    START,
    STYLES,
    agreement,
    proposal_prompt,
    read_proposal,
)
from rlvr.types import ConfigError, DataError, Problem
from rlvr.verify.check import equal_answers

ORIGINAL = "bin 12 pcs, 7 bins, used 35, left?"
PROBLEM = Problem("sf-001", ORIGINAL, answer="49", solution="12*7=84\n84-35=49\n#49")


def marked(text: str) -> str:
    return f"{START}{text}{END}"


# The prompt


@pytest.mark.parametrize("style", STYLES)
def test_the_prompt_has_the_problem_and_the_style_but_never_the_answer(style):
    prompt = proposal_prompt(PROBLEM, style)
    assert f"{START}\n{ORIGINAL}\n{END}" in prompt
    assert STYLES[style] in prompt
    assert "49" not in prompt
    assert "84" not in prompt
    assert "sf-001" not in prompt


def test_the_prompts_of_the_styles_differ():
    assert len({proposal_prompt(PROBLEM, style) for style in STYLES}) == len(STYLES) >= 2


def test_a_prompt_that_cannot_be():
    with pytest.raises(ConfigError, match=r"no style 'number'; .* did you mean 'numbers'"):
        proposal_prompt(PROBLEM, "number")
    with pytest.raises(DataError, match="problem 'x': its text has"):
        proposal_prompt(Problem("x", f"a {END} b", "1"), "numbers")


# What is read


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (marked("bin 9 pcs, 2 bins, used 15, left?"), "bin 9 pcs, 2 bins, used 15, left?"),
        (f"Sure!\n{marked(' 3 in, mm? ')}\nDone.", "3 in, mm?"),
        (f"<think>{START} maybe {marked('no')}</think>{marked('3 in, mm?')}", "3 in, mm?"),
        (marked("Solve 3x+5=20."), "Solve 3x+5=20."),
        (marked("1 in = 25.4 mm; 3 in = ? mm"), "1 in = 25.4 mm; 3 in = ? mm"),
        (
            marked("Machine #3 makes 12 parts/h. How many in 5 h?"),
            "Machine #3 makes 12 parts/h. How many in 5 h?",
        ),
        (marked("Ein Stab misst 3 m.\nWie viele mm?"), "Ein Stab misst 3 m.\nWie viele mm?"),
        (
            marked("Two parts.\nAnswer in mm: how long are 3 in?"),
            "Two parts.\nAnswer in mm: how long are 3 in?",
        ),
    ],
)
def test_proposals_that_are_read(reply, expected):
    assert read_proposal(reply, ORIGINAL) == expected


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "bin 9 pcs, 2 bins, used 15, left?",
        f"{START}3 in, mm?",
        f"3 in, mm?{END}",
        f"{END}3 in, mm?{START}",
        marked(""),
        marked(" \n\t "),
        marked("3 in, mm?") + marked("4 in, mm?"),
        marked(marked("3 in, mm?")),
        f"{START}{START}3 in, mm?{END}",
        f"<think>{marked('3 in, mm?')}",  # cut off while it thinks
        marked("3 in, mm?") + "</think> no problem after all",
        marked(ORIGINAL),
        marked(ORIGINAL.upper()),
        marked(ORIGINAL.replace(" ", "  ") + "\n"),
        marked(ORIGINAL.replace("1", "１")),  # full width
        marked("3 in, mm?\n#76.2"),
        marked("3 in, mm?\n#### 76.2"),
        marked("3 in, mm? Answer: 76.2"),
        marked("3 in, mm? The answer is 76.2."),
        marked("3 in, mm? \\boxed{76.2}"),
        marked("3 in, mm? <answer>76.2</answer>"),
        marked("3 in, mm?\nSolution: multiply by 25.4"),
        marked("3 in, mm?\n3*25.4=76.2"),
        marked("12*7=84, used 35, left?"),
        marked("bin 9 pcs, 2 bins. So 18 pcs are left."),
        marked("3 in\u202e, mm?"),  # turns the reading direction
        marked("3\u200bin, mm?"),  # a space without width
        marked("3 in,\x00 mm?"),
        marked("3 in,\x1b[2J mm?"),
        marked("3 in,\ue000 mm?"),
        marked("3 in,\ud800 mm?"),
        marked("3 in, mm? " * 1000),
        marked("3 in, mm?") + " " * MAX_REPLY,
    ],
)
def test_proposals_that_are_not(reply):
    assert read_proposal(reply, ORIGINAL) is None


def test_an_alphabet_is_the_charset_where_there_is_one():
    assert read_proposal(marked("3 in, mm?"), ORIGINAL, alphabet="3 in,m?") == "3 in, mm?"
    assert read_proposal(marked("3 ft, mm?"), ORIGINAL, alphabet="3 in,m?") is None


def test_the_length_is_that_of_the_proposal():
    assert read_proposal(marked("a" * 40), ORIGINAL, max_length=40) == "a" * 40
    assert read_proposal(marked("a" * 41), ORIGINAL, max_length=40) is None
    assert read_proposal("b" * 5000 + marked("a" * 40), ORIGINAL, max_length=40) == "a" * 40


PIECES = st.sampled_from(
    [START, END, "</think>", "#", "####", "\\boxed{", "}", "=", "answer", "\n", "9^", "("]
)


@settings(max_examples=300)
@given(st.lists(PIECES | st.text(max_size=20), max_size=30).map("".join), st.text(max_size=30))
def test_hostile_replies_never_raise_and_never_get_through_with_a_mark(reply, original):
    found = read_proposal(reply, original)
    if found is not None:
        assert found == found.strip()
        assert 0 < len(found) <= MAX_PROPOSAL
        assert found in reply
        assert not any(mark in found for mark in (START, END, "####", "\\boxed"))
        assert found.casefold().split() != original.casefold().split()
        assert found.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    "body",
    ["9^" * 900, "9^9^9^9^9=1 " * 150, "=" * 1999, "answer" * 330, "1=" * 990, "(" * 1999, "1 " * 999 + "="],
)
def test_long_runs_are_read_at_once(body):
    assert read_proposal(marked(body), ORIGINAL) in (body.strip(), None)


# Agreement


def same_text(a: str, b: str) -> bool:
    return a == b


def symbolic(a: str, b: str) -> bool:
    return equal_answers(a, b).equal and equal_answers(b, a).equal


def test_spellings_of_one_answer_are_one_class():
    found = agreement(["1/2", "0.5", None, "\\frac{1}{2}", "0.5", "2"], symbolic, threshold=0.6)
    assert (found.answer, found.votes, found.kept) == ("0.5", 4, True)
    assert found.share == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    ("extracted", "threshold", "at_least", "kept", "reason"),
    [
        (["7"] * 6 + ["8"] * 4, 0.6, 3, True, "6 of 10 solutions agree"),
        (["7"] * 6 + ["8"] * 4, 0.61, 3, False, "0.60 of the solutions agree, but 0.61 must"),
        (["7"] * 6 + [None] * 4, 0.61, 3, False, "0.60 of"),  # no answer is no agreement
        (["7"] * 2, 0.6, 3, False, "2 solutions agree, but 3 must"),
        (["7"] * 2, 0.6, 2, True, "2 of 2"),
        (["7"] * 3 + ["8"] * 3, 0.5, 3, False, "a tie"),
        (["7", "8"], 0.1, 1, False, "a tie"),
        ([None] * 5, 0.1, 1, False, "no solution has an answer"),
        ([], 0.1, 1, False, "no solution has an answer"),
    ],
)
def test_what_is_kept(extracted, threshold, at_least, kept, reason):
    found = agreement(extracted, same_text, threshold, at_least)
    assert found.kept is kept
    assert reason in found.reason


def test_an_equality_that_does_not_carry_over_is_a_conflict():
    def near(a: str, b: str) -> bool:
        return abs(int(a) - int(b)) <= 1

    found = agreement(["1", "2", "2", "3"], near, 0.5, 1)
    assert (found.answer, found.votes, found.kept) == ("2", 4, False)
    assert "not each other" in found.reason
    assert agreement(["1", "2", "2"], near, 0.5, 1).kept
    # elsewhere it does not matter
    assert agreement(["1", "2", "3"] + ["9"] * 5, near, 0.5, 1).kept


@settings(max_examples=200)
@given(
    st.lists(st.none() | st.sampled_from(["1/2", "2/4", "3/6", "1", "2/2", "7"]), max_size=16),
    st.sampled_from([0.3, 0.5, 0.6, 1.0]),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
def test_the_largest_class_by_value_in_any_order(extracted, threshold, at_least, random_: random.Random):
    found = agreement(extracted, lambda a, b: Fraction(a) == Fraction(b), threshold, at_least)
    mixed = list(extracted)
    random_.shuffle(mixed)
    assert agreement(mixed, lambda a, b: Fraction(b) == Fraction(a), threshold, at_least) == found
    values = Counter(Fraction(answer) for answer in extracted if answer is not None)
    most = max(values.values(), default=0)
    assert found.votes == most
    assert found.share == (most / len(extracted) if extracted else 0)
    if most:
        assert values[Fraction(found.answer)] == most
        assert found.answer in extracted
    winners = [value for value, count in values.items() if count == most]
    enough = most >= at_least and most / max(1, len(extracted)) >= threshold
    assert found.kept == (enough and len(winners) == 1)


def test_each_pair_of_spellings_is_compared_once():
    calls = []

    def counted(a: str, b: str) -> bool:
        calls.append((a, b))
        return False

    agreement(["b", "a", "b", None, "c", "a"], counted, 0.5, 1)
    assert sorted(calls) == [("a", "b"), ("a", "c"), ("b", "c")]


@pytest.mark.parametrize(("threshold", "at_least"), [(0, 3), (1.1, 3), (0.5, 0), (float("nan"), 3)])
def test_thresholds_out_of_range(threshold, at_least):
    with pytest.raises(ConfigError, match="must be in"):
        agreement(["1"], same_text, threshold, at_least)
