"""Charts: round ticks, means that keep the total, and text that stays text."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlvr.report.charts import (
    Interval,
    Line,
    Part,
    binned,
    interval_chart,
    line_chart,
    number,
    stack_chart,
    ticks,
)

finite = st.floats(-1e9, 1e9, allow_nan=False)


@pytest.mark.parametrize(
    ("value", "percent", "text"),
    [
        (0.452, True, "45.2%"),
        (0.6000000000000001, True, "60%"),
        (0.0, False, "0"),
        (1234.0, False, "1,234"),
        (12e6, False, "12M"),
        (0.034, False, "0.034"),
        (1.5e-7, False, "1.5e-07"),
        (float("nan"), False, "–"),
    ],
)
def test_numbers(value: float, percent: bool, text: str) -> None:
    assert number(value, percent) == text


@given(finite, st.floats(1e-6, 1e6))
def test_ticks_are_inside_and_a_handful(low: float, width: float) -> None:
    high = low + width
    if high == low:
        return
    found = ticks(low, high)
    assert len(found) <= 7
    slack = 1e-6 * width + 1e-9 * abs(low)
    assert all(low - slack <= value <= high + slack for value in found)


def test_ticks_are_round() -> None:
    assert ticks(0, 1) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert ticks(0, 350, 6) == [0, 100, 200, 300]


@given(st.lists(finite, min_size=1, max_size=400), st.integers(1, 50))
def test_binning_keeps_means_over_equal_runs(values: list[float], bins: int) -> None:
    x, y = binned(range(len(values)), values, bins)
    assert len(x) == len(y) == min(len(values), bins)
    if len(values) % bins == 0:
        assert np.mean(y) == pytest.approx(np.mean(values), abs=1e-3)
    assert list(x) == sorted(x)


def svg(chart: str) -> ElementTree.Element:
    return ElementTree.fromstring(chart)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), finite), min_size=1, max_size=90, unique_by=lambda p: p[0]),
    st.booleans(),
)
def test_a_line_stays_inside_of_its_chart(points: list[tuple[int, float]], percent: bool) -> None:
    points.sort()
    if percent:
        points = [(x, abs(y) / 1e9) for x, y in points]
    chart = line_chart("t", [Line("", [x for x, _ in points], [y for _, y in points])], percent=percent)
    svg(chart)
    for path in re.findall(r'class="(?:line|thin)[^"]*" d="M([^"]*)"', chart):
        for pair in path.split("L"):
            x, y = map(float, pair.split())
            assert 51.9 <= x <= 468.1
            assert 7.9 <= y <= 186.1


def test_a_stack_fills_the_height_where_there_is_anything() -> None:
    chart = stack_chart("t", [1, 2], [Part("a", [1, 0]), Part("b", [3, 0], 1), Part("none", [0, 0], 2)])
    svg(chart)
    assert "none" not in chart
    first, second = (re.findall(rf'class="f{colour}" d="([^"]*)"', chart)[0] for colour in (0, 1))
    heights = [float(path.split()[1].split("H")[0]) for path in (first, second)]
    bottom, top = 210 - 24, 8
    assert heights == pytest.approx([bottom - (bottom - top) / 4, top])  # upper ends of a quarter, of all
    assert first.count("M") == second.count("M") == 1  # step 2 has nothing to share


def test_nothing_makes_no_chart() -> None:
    assert line_chart("t", [Line("a", [], [])]) == ""
    assert stack_chart("t", [1], [Part("a", [0.0])]) == ""
    assert interval_chart("t", []) == ""


def test_names_are_escaped() -> None:
    bad = "<script>\"'&"
    for chart in (
        line_chart(bad, [Line(bad, [1], [1.0]), Line(bad, [1], [2.0])]),
        stack_chart(bad, [1], [Part(bad, [1.0])]),
        interval_chart(bad, [Interval(bad, 0.5, 0.4, 0.6)]),
    ):
        assert "<script" not in chart
        svg(chart)
