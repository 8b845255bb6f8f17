"""One source in two parts: complementary, exact in size, whatever the order and the ids."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvr.problems.load import load_problems
from rlvr.problems.split import part
from rlvr.types import ConfigError, DataError, Problem


def problems(texts):
    return [Problem(f"p-{number}", text, str(number)) for number, text in enumerate(texts)]


def sides(source, share=0.25, seed=0):
    return part(source, "train", share, seed), part(source, "heldout", share, seed)


@settings(max_examples=200)
@given(
    st.lists(st.text(max_size=6), min_size=4, max_size=60, unique_by=lambda text: tuple(text.split())),
    st.floats(0.2, 0.8),
    st.integers(),
)
def test_parts_are_complementary_and_of_exact_size(texts, share, seed):
    source = problems(texts)
    train, heldout = sides(source, share, seed)
    assert sorted([*train, *heldout], key=source.index) == source
    assert [p for p in source if p in train] == train
    assert [p for p in source if p in heldout] == heldout
    assert not {p.id for p in train} & {p.id for p in heldout}
    assert abs(len(heldout) - share * len(texts)) <= 0.5 + 1e-9


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=40), st.floats(0.05, 0.95), st.integers(0, 99)
)
def test_one_text_is_on_one_side(letters, share, seed):
    source = problems(
        f" {letter}  x" if number % 2 else f"{letter} x\n" for number, letter in enumerate(letters)
    )
    try:
        train, heldout = sides(source, share, seed)
    except DataError:
        return
    assert not {p.text.split()[0] for p in train} & {p.text.split()[0] for p in heldout}
    assert len(train) + len(heldout) == len(source)
    assert train
    assert heldout
    assert len(heldout) <= share * len(source) + 0.5 + 1e-9


@settings(max_examples=50)
@given(st.randoms(use_true_random=False))
def test_neither_order_nor_ids_decide(random_: random.Random):
    source = problems(f"{number}+1=?" for number in range(40))
    chosen = {p.text for p in part(source, "heldout", 0.3, 7)}
    mixed = [replace(problem, id=f"q-{problem.id}") for problem in source]
    random_.shuffle(mixed)
    found = part(mixed, "heldout", 0.3, 7)
    assert {p.text for p in found} == chosen
    assert [p for p in mixed if p in found] == found


def test_the_seed_decides():
    source = problems(f"{number}+1=?" for number in range(100))
    first, second = (part(source, "heldout", 0.25, seed) for seed in (0, 1))
    assert len(first) == len(second) == 25
    assert first != second
    assert part(source, "heldout", 0.25, 0) == first


@pytest.mark.parametrize(
    ("count", "share", "heldout"), [(100, 0.25, 25), (50, 0.25, 13), (3, 0.5, 2), (2, 0.5, 1)]
)
def test_the_share_is_rounded(count, share, heldout):
    train, held = sides(problems(map(str, range(count))), share)
    assert (len(train), len(held)) == (count - heldout, heldout)


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_a_share_must_leave_two_sides(share):
    with pytest.raises(ConfigError, match="share is"):
        part(problems("abcdefgh"), "train", share)


@pytest.mark.parametrize(
    ("texts", "share", "message"),
    [
        ("abcdefgh", 0.01, "holds out 0 of 8 problems"),
        ("abcdefgh", 0.99, "holds out 8 of 8 problems"),
        ("a", 0.5, "leaves a part empty"),
        ("aaaaaaaa", 0.5, r"holds out 0 of 8 problems \(1 groups that stay together\)"),
        ("", 0.5, "leaves a part empty"),
    ],
)
def test_a_part_that_would_be_empty(texts, share, message):
    for side in ("train", "heldout"):
        with pytest.raises(DataError, match=message):
            part(problems(texts), side, share)


def test_an_unknown_part():
    with pytest.raises(ConfigError, match=r"no part 'test'; there are: train, heldout"):
        part(problems("ab"), "test")


def test_a_source_around_a_source_of_a_configuration(tmp_path):
    rows = [{"problem": f"{number}+1=?", "answer": str(number + 1)} for number in range(20)]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    inner = {"_target_": "rlvr.problems.files.from_file", "path": str(path)}
    source = {"_target_": "rlvr.problems.split.part", "part": "heldout", "share": 0.2, "problems": inner}
    assert load_problems("problems.heldout", source) == part(load_problems("x", inner), "heldout", 0.2)
    assert len(load_problems("problems.heldout", source)) == 4
    with pytest.raises(ConfigError, match=r"problems\.heldout: no part"):
        load_problems("problems.heldout", {**source, "part": "tets"})


def runs(text: str, n: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[start : start + n]) for start in range(len(words) - n + 1)}


@settings(max_examples=200)
@given(
    st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=9).map(" ".join), min_size=6),
    st.integers(2, 5),
    st.randoms(use_true_random=False),
)
def test_parts_share_no_run_of_words(texts, n, random_):
    source = problems(texts)
    mixed = [replace(problem) for problem in random_.sample(source, len(source))]
    try:
        train, heldout = (part(source, name, 0.4, 0, n) for name in ("train", "heldout"))
    except DataError:
        return
    learned = {run for problem in train for run in runs(problem.text, n)}
    assert not learned & {run for problem in heldout for run in runs(problem.text, n)}
    assert not {p.text for p in train} & {p.text for p in heldout}
    assert sorted([*train, *heldout], key=source.index) == source
    assert {p.id for p in part(mixed, "heldout", 0.4, 0, n)} == {p.id for p in heldout}


def test_what_shared_words_connect_stays_together():
    chain = ["Tim has two red pens", "now HAS TWO RED, cups", "red cups", "two red cups break at noon"]
    others = [f"question {number} of another kind" for number in range(4)]
    source = problems([*chain, *others])
    heldout = {p.text for p in part(source, "heldout", 0.5, 0, 3)}
    # the first two share "has two red", the last two of these "two red cups"; "red cups" stands alone
    assert set(others) <= heldout or not set(others) & heldout  # "of another kind"
    linked = {chain[0], chain[1]} | {chain[3]}
    assert linked <= heldout or not linked & heldout


@pytest.mark.parametrize("numbers", [("4", "9", "12"), ("1,250", "3.5", "17"), ("0.5", "2", "1000")])
def test_texts_that_differ_in_numbers_stay_together(numbers):
    one, other, third = numbers
    texts = [
        f"Tim spent $ {one}. Then he got $ {other}. Now he has $ {third}",
        "Tim spent $ 8. Then he got $ 25. Now he has $ 6",
    ]
    source = problems([*texts, *(f"nothing like it {name}" for name in "abcdef")])
    for seed in range(20):
        heldout = {problem.text for problem in part(source, "heldout", 0.5, seed, 4)}
        assert (texts[0] in heldout) == (texts[1] in heldout)


def test_words_of_an_overlap_are_at_least_one():
    for wrong in (0, 2.5, "3"):
        with pytest.raises(ConfigError, match=f"overlap_words is {wrong!r}"):
            part(problems("ab"), overlap_words=wrong)
