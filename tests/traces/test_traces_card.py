"""The data card says what is there, and nothing that a model wrote becomes Markdown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread
from trace_examples import LENGTH, RIGHT, TIMEOUT, WRONG, trace

from rlvr.traces.card import _fenced, _plain, write_card
from rlvr.types import DataError, Problem

HOSTILE = st.text(st.sampled_from("`~\n\r\t |<>*_[]()#\\!&\u202e\u2028\x00\x1bab"), max_size=60)


def test_a_card_counts_what_is_there(tmp_path: Path) -> None:
    traces = [
        trace("p", 0, pass_rate=2 / 3, domain="algebra", length=10),
        trace("p", 1, WRONG, pass_rate=2 / 3, domain="algebra", length=30),
        trace("p", 2, pass_rate=2 / 3, domain="algebra", finish_reason=LENGTH, dropped="duplicate answer"),
        trace("q", 0, TIMEOUT, pass_rate=None, dropped="overlaps math_500"),
        trace("r", 0, WRONG, pass_rate=0.0),
    ]
    path = write_card(tmp_path, traces, {"teacher": "Qwen2.5-7B", "max_tokens": 512})
    assert path == tmp_path / "card.md"
    card = path.read_text()
    assert "5 answers to 3 problems, by teacher: 2 are correct, 1 of these are neither duplicates nor" in card
    assert "Of 2 problems whose pass rate is known, 0 are always solved, 1 sometimes, 1 never" in card
    assert "the mean pass rate is 33.3%." in card
    assert "- teacher: Qwen2.5-7B\n- max_tokens: 512\n" in card
    assert "| correct     |      2 |        1 | 40.0% |\n| wrong       |      2 |        2 | 40.0% |" in card
    assert "| algebra |        1 |      3 |       2 |         66.7% |" in card
    assert re.search(r"\| duplicate answer +\| +1 \|\n\| overlaps math_500 +\| +1 \|", card)
    assert re.search(r"\| not correct +\| +3 \| +10 \| +10 \| +26 \| +30 \|", card)
    assert "Lengths are in words." in card
    assert "answer 0 to p" in card.partition("### Correct")[2].partition("### Wrong")[0]


def test_examples_are_answers_that_may_be_trained_on(tmp_path: Path) -> None:
    traces = [trace("p", sample, dropped="duplicate answer") for sample in range(20)]
    assert "There are no correct or wrong answers" in write_card(tmp_path, traces, {}).read_text()
    card = write_card(tmp_path, [*traces, trace("q")], {}).read_text()
    assert "answer 0 to q" in card
    assert "### Wrong" not in card


def test_a_card_does_not_depend_on_the_order(tmp_path: Path) -> None:
    traces = [
        trace(name, sample, status) for name in "pq" for sample, status in enumerate([RIGHT, WRONG, WRONG])
    ]
    one = write_card(tmp_path / "one", traces, {}).read_text()
    assert write_card(tmp_path / "two", traces[::-1], {}).read_text() == one
    with pytest.raises(DataError, match="no traces"):
        write_card(tmp_path / "none", [], {})
    assert not (tmp_path / "none").exists()


def test_the_picture_shows_something_for_every_kind_of_traces(tmp_path: Path) -> None:
    kinds = {
        "some": [trace(sample=i, pass_rate=i / 8, length=i, repetition=i / 8) for i in range(8)],
        "unknown": [trace(pass_rate=None, length=0, text="")],
        "wrong": [trace(status=WRONG)],
    }
    for name, traces in kinds.items():
        write_card(tmp_path / name, traces, {})
        picture = imread(tmp_path / name / "card.png")
        assert picture.shape[0] > 300
        assert picture.shape[1] > 1000
        assert picture[..., :3].std() > 0.02


@given(HOSTILE)
def test_nothing_closes_a_fence(text: str) -> None:
    fence, *inside, end = _fenced(text).split("\n")
    ticks = fence.removesuffix("text")
    assert end == ticks
    assert set(ticks) == {"`"}
    assert all(not line.strip().startswith(ticks) for line in inside)
    assert all(char.isprintable() or char == "\t" for line in inside for char in line)


@given(HOSTILE)
def test_a_name_stays_on_its_line_without_markup(text: str) -> None:
    shown = _plain(text)
    assert shown.isprintable()
    bare = re.sub(r"\\[\\`*\[\]<>|~&_]", "", shown)
    assert not set(bare) & set("\\`*[]<>|~&")


def test_a_long_answer_is_shortened() -> None:
    shown = _fenced("a" * 5000 + "`" * 5000)
    assert len(shown) < 2000
    assert "9,100 characters left out" in shown


def test_hostile_text_stays_where_it_is_shown(tmp_path: Path) -> None:
    text = "```\n# title\n<script>\n````\n| a | b |\n\u202eevil"
    problem = Problem("p|`x`", text, text, columns={})
    traces = [trace(problem, text=text, reason=text, domain=text, source=text, status=s)
              for s in (RIGHT, WRONG)]  # fmt: skip
    card = write_card(tmp_path, traces, {text: text}).read_text()
    outside, fence = [], None
    for line in card.splitlines():
        opened = re.fullmatch(r"(`{3,})(text)?", line)
        if fence is None and opened:
            fence = opened[1]
        elif fence is not None and line == fence:
            fence = None
        elif fence is None:
            outside.append(line)
    assert fence is None
    titles = [line for line in outside if line.startswith("#")]
    assert "# title" not in titles
    assert len(titles) == 8
    assert not any("<script" in re.sub(r"\\<", "", line) for line in outside)
    assert "\u202e" not in card
