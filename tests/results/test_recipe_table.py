"""The stage-by-stage table: its numbers, its verdicts, its files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from rlvr.results.seeds import draw_seeds, read_tables, seeds_table
from rlvr.results.stage_plot import write_table
from rlvr.results.stage_table import (
    SetResult,
    StageResult,
    csv_text,
    markdown,
    measure,
    summary,
)
from rlvr.statistics.change import Change, corrected, paired_difference
from rlvr.statistics.intervals import bootstrap_interval, half_interval
from rlvr.statistics.tests import holm, paired_t_test, sign_flip_test
from rlvr.types import DataError

BLUE, ORANGE, GREEN, GREY = (0x1F, 0x6F, 0xB4), (0xD9, 0x82, 0x2B), (0x2E, 0x8B, 0x57), (0x6B, 0x6B, 0x6B)


def on(values: Sequence[float], k: int = 4, unreached: int = 0) -> SetResult:
    return SetResult([f"p{i}" for i in range(len(values))], list(values), k, unreached)


def share(correct: int, of: int = 20) -> list[float]:
    """One sample for each of so many problems, the first of them right."""
    return [1.0] * correct + [0.0] * (of - correct)


def stage(name: str, *values: float, title: str | None = None) -> StageResult:
    return StageResult(name, title or f"+ {name}", {"test": on(values)})


def colours(picture: Path) -> set[tuple[int, ...]]:
    pixels = (imread(picture)[..., :3] * 255).round().astype(int)
    return set(map(tuple, pixels.reshape(-1, 3).tolist()))


def recipe() -> list[StageResult]:
    """A base, a stage that helps, one that does nothing clear, and one that harms."""
    return [
        StageResult("base", "base", {"test": on(share(4), 1)}, new=False),
        StageResult("sft", "+ SFT", {"test": on(share(14), 1)}, 30, 120_000, 0, 75.0, "410 traces"),
        StageResult("dpo", "+ DPO", {"test": on(share(15), 1, 2)}, 10, 4_000, 0, 9.0, "64 pairs"),
        StageResult("rl", "+ RL", {"test": on(share(5), 1)}, 50, 9_000, 1_234_567, 400.0),
    ]


TABLE = """\
| stage  | test avg@1 (95% interval) | gain, points (95% interval) |       data | steps | tokens trained |\
 tokens sampled | wall-clock |
| ------ | ------------------------: | --------------------------: | ---------: | ----: | -------------: |\
 -------------: | ---------: |
| base † |     20.0% (5.0% to 40.0%) |                           – |          – |     – |              – |\
              – |          – |
| + SFT  |    70.0% (50.0% to 90.0%) |      +50.0 (+30.0 to +70.0) | 410 traces |    30 |        120,000 |\
              – | 1 min 15 s |
| + DPO  |    75.0% (55.0% to 90.0%) |        +5.0 (+0.0 to +15.0) |   64 pairs |    10 |          4,000 |\
              – |      9.0 s |
| + RL   |    25.0% (10.0% to 45.0%) |      -50.0 (-70.0 to -30.0) |          – |    50 |          9,000 |\
      1,234,567 | 6 min 40 s |

Intervals are over problems: they cover the choice of problems of this kind, but not the variation between\
 training seeds.

p values are from the permutation test that flips the signs of the problems' differences, after Holm's\
 correction for all 3 gains in this table. A change is statistically\
 significant if p < 0.05.

† reused from an earlier run; the costs are those of that run.

Samples without a verdict, which are left out: 2 on test (DPO).

- SFT: improves on base (+50.0 points, 95% CI +30.0 to +70.0, p = 0.006; 10 of 20 problems changed)
- DPO: no clear change from SFT (+5.0 points, 95% CI +0.0 to +15.0, p = 1.00; 1 of 20 problems changed)
- RL: worse than DPO (-50.0 points, 95% CI -70.0 to -30.0, p = 0.006; 10 of 20 problems changed)

Did not clearly improve the model that they started from: DPO, RL.
"""


def test_the_whole_text() -> None:
    assert markdown(recipe()) == TABLE


def test_numbers_are_those_of_the_evaluation() -> None:
    values = [0.0, 0.25, 0.5, 1.0, math.nan]
    (found,) = measure([StageResult("a", "a", {"test": on(values, unreached=4)})])
    measured = found["test"]
    assert measured.mean == 1.75 / 4
    assert (measured.low, measured.high) == bootstrap_interval(values[:4])
    assert (measured.problems, measured.solved) == (4, 0.75)
    assert (measured.before, measured.gain) == (None, None)


def test_gains_are_paired_by_problem_and_not_by_place() -> None:
    first = SetResult(["a", "b", "c"], [0.0, 0.5, 1.0], 2)
    second = SetResult(["c", "a", "b"], [1.0, 0.0, 1.0], 2)
    _, found = measure([StageResult("x", "x", {"s": first}), StageResult("y", "y", {"s": second})])
    gain = found["s"].gain
    assert gain is not None
    assert (gain.mean, gain.changed) == (0.5 / 3, 1)


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0.5, 1.0]), st.sampled_from([0, 0.5, 1.0])), min_size=1, max_size=20
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_problems_does_not_matter(pairs: list[tuple[float, float]], random: object) -> None:
    names = [f"p{i}" for i in range(len(pairs))]
    order = list(range(len(pairs)))
    random.shuffle(order)  # type: ignore[attr-defined]

    def rows(order: Sequence[int]) -> list[StageResult]:
        return [
            StageResult(
                str(which),
                f"+ {which}",
                {"s": SetResult([names[i] for i in order], [pairs[i][which] for i in order], 2)},
            )
            for which in (0, 1)
        ]

    assert markdown(rows(order)) == markdown(rows(range(len(pairs))))


def test_swapping_two_stages_turns_the_verdict_round() -> None:
    low, high = stage("low", *share(4)), stage("high", *share(14))
    up, down = measure([low, high])[1]["test"].gain, measure([high, low])[1]["test"].gain
    assert up is not None
    assert down is not None
    assert (up.change, down.change) == (Change.BETTER, Change.WORSE)
    assert down.mean == -up.mean
    assert "high: improves on low (+50.0 points" in summary([low, high])
    assert "low: worse than high (-50.0 points" in summary([high, low])


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (2, 8, Change.BETTER),  # p = 2/2⁶
        (2, 7, Change.UNCLEAR),  # p = 2/2⁵
        (8, 2, Change.WORSE),
        (7, 2, Change.UNCLEAR),
        (8, 8, Change.UNCLEAR),
    ],
)
def test_six_changed_problems_are_the_fewest_that_are_clear(before: int, after: int, change: Change) -> None:
    rows = [stage("a", *share(before)), stage("b", *share(after))]
    gain = measure(rows)[1]["test"].gain
    assert gain is not None
    assert gain.change is change
    assert "Holm" not in markdown(rows)


def test_gains_are_corrected_for_all_rows_and_sets_of_the_table() -> None:
    """A gain of six problems is clear by itself, and no longer beside one more set or one more stage."""
    first, second = share(2), share(8)
    sets = [StageResult(name, name, {"s": on(of), "t": on(of)}) for name, of in (("a", first), ("b", second))]
    for rows in ([stage("a", *first), stage("b", *second), stage("c", *first)], sets):
        gains = [one.gain for found in measure(rows) for one in found.values() if one.gain]
        assert [gain.p for gain in gains] == [2 / 64] * 2
        assert [gain.p_holm for gain in gains] == [4 / 64] * 2
        assert {gain.change for gain in gains} == {Change.UNCLEAR}
        assert "after Holm's correction for all 2 gains in this table" in markdown(rows)


def test_noise_is_seldom_called_a_change() -> None:
    rng = np.random.default_rng(0)
    clear = 0
    for _ in range(100):
        hardness = rng.random(60)
        first, second = (on(rng.binomial(4, hardness) / 4).by_problem for _ in range(2))
        gain = paired_difference(first, second)
        assert gain is not None
        clear += corrected({"": gain})[""].change is not Change.UNCLEAR
    assert clear <= 11  # 5 are expected


def test_a_stage_without_an_evaluation_is_passed_over() -> None:
    rows = [stage("a", *share(2)), StageResult("b", "+ b", steps=7), stage("c", *share(18))]
    text = markdown(rows)
    assert "- b:" not in text
    assert "- c: improves on a (+80.0 points" in text
    assert text.splitlines()[3].split("|")[1:5] == [
        " + b   ",
        *[f"{'–':>{n}} " for n in (26, 28)],
        f"{'–':>5} ",
    ]
    lines = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert [(line["stage"], line["set"], line["steps"]) for line in lines] == [
        ("a", "test", "0"),
        ("b", "", "7"),
        ("c", "test", "0"),
    ]


def test_a_stage_is_compared_with_what_it_began_with() -> None:
    rows = [
        stage("base", *share(2), title="base"),
        stage("teacher", *share(19)),
        replace(stage("student", *share(12)), start="base"),
        stage("rl", *share(14)),
    ]
    assert [found["test"].before for found in measure(rows)] == [None, "base", "base", "+ student"]
    assert "Every stage" not in summary(rows)  # two problems more are not clear
    assert "student: improves on base (+50.0 points" in summary(rows)
    with pytest.raises(DataError, match="student starts from nothing"):
        measure([replace(rows[2], start="nothing")])
    with pytest.raises(DataError, match="the same name"):
        measure([rows[0], rows[0]])


def test_several_sets_and_a_set_that_comes_later() -> None:
    rows = [
        StageResult("a", "a", {"easy": on(share(2))}),
        StageResult("b", "+ b", {"easy": on(share(12)), "hard": on(share(3), 8)}),
        StageResult("c", "+ c", {"hard": on(share(13), 16), "easy": on(share(12))}),
    ]
    text = markdown(rows)
    head = text.splitlines()[0]
    assert "easy avg@4 (95% interval)" in head
    assert "hard avg@8/16 (95% interval)" in head
    assert "- b: on easy improves on a (+50.0 points, 95% CI +30.0 to +70.0, p = 0.006; " in text
    assert "on easy no clear change: none of 20 problems differs from b" in text
    assert "on hard improves on b (+50.0 points" in text
    assert text.endswith("Did not clearly improve the model that they started from: c (on easy).\n")


def test_every_stage_improves() -> None:
    text = summary([stage("a", *share(2)), stage("b", *share(10)), stage("c", *share(18))])
    assert text.endswith("Every stage that was compared improves the model that it started from.")
    assert summary([stage("a", *share(2))]) == ""


def test_problems_without_a_partner() -> None:
    first = StageResult("a", "a", {"s": SetResult(["p", "q"], [0.0, 1.0], 1)})
    second = StageResult("b", "+ b", {"s": SetResult(["q", "r"], [0.0, 1.0], 1)})
    third = StageResult("c", "+ c", {"s": SetResult(["x"], [1.0], 1)})
    rows = [first, second, third]
    gains = [found["s"].gain for found in measure(rows)]
    assert gains[1] is not None
    assert (gains[1].mean, gains[1].pairs) == (-1.0, 1)
    assert gains[2] is None
    text = markdown(rows)
    assert "- c: not compared with b: no problem has a value in both" in text
    assert "Stages were evaluated on different problems of s" in text
    assert "Did not clearly improve the model that they started from: b, c." in text


def test_an_evaluation_without_a_verdict() -> None:
    rows = [stage("a", 0.5, 0.5), stage("b", math.nan, math.nan), stage("c", 1.0, 1.0)]
    text = markdown(rows)
    assert "nan" not in text + csv_text(rows)
    assert "- b: not compared with a" in text
    assert "- c: not compared with b" in text


def test_a_title_cannot_break_the_table() -> None:
    lines = markdown([replace(stage("a", 1.0), title="a | b")]).splitlines()
    assert lines[2].startswith("| a \\| b |")


@pytest.mark.parametrize(
    ("problems", "values", "message"),
    [
        (["a", "b"], [1.0], "2 problems, but 1 values"),
        (["a", "a"], [1.0, 1.0], "twice"),
        (["a"], [1.5], "0 … 1"),
        (["a"], [-0.1], "0 … 1"),
    ],
)
def test_evaluations_that_cannot_be(problems: list[str], values: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SetResult(problems, values, 1)


def test_no_stage_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least one stage"):
        write_table(tmp_path, [])
    assert not list(tmp_path.iterdir())


def test_files(tmp_path: Path) -> None:
    rows = recipe()
    assert write_table(tmp_path / "out", rows) == TABLE
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "table.csv",
        "table.md",
        "table.png",
    ]
    assert (tmp_path / "out" / "table.md").read_text() == TABLE
    with (tmp_path / "out" / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    for line, row, found in zip(lines, rows, measure(rows), strict=True):
        measured = found["test"]
        assert (line["stage"], line["title"], line["data"]) == (row.stage, row.title, row.data)
        assert (float(line["avg"]), float(line["low"]), float(line["high"])) == (
            measured.mean,
            measured.low,
            measured.high,
        )
        assert (int(line["trained"]), int(line["sampled"]), float(line["seconds"])) == (
            row.trained,
            row.sampled,
            row.seconds,
        )
        assert (line["gain"] == "") == (measured.gain is None)
    assert [line["change"] for line in lines] == ["", "improves", "no clear change", "worse"]
    p_values = [sign_flip_test([sign] * count) for sign, count in ((1, 10), (1, 1), (-1, 10))]
    assert lines[0]["p"] == lines[0]["p_holm"] == ""
    assert [float(line["p"]) for line in lines[1:]] == p_values
    assert [float(line["p_holm"]) for line in lines[1:]] == holm(p_values)
    assert [line["new"] for line in lines] == ["0", "1", "1", "1"]
    assert float(lines[1]["gain"]) == 0.5


def test_picture_shows_what_changed(tmp_path: Path) -> None:
    write_table(tmp_path, recipe())
    assert {BLUE, GREEN, GREY, ORANGE} <= colours(tmp_path / "table.png")
    write_table(tmp_path, recipe()[:2])
    assert ORANGE not in colours(tmp_path / "table.png")


@pytest.mark.parametrize("count", [0, 1, 4])
def test_picture_of_any_number_of_sets(tmp_path: Path, count: int) -> None:
    sets = {f"set {i}": on(share(5)) for i in range(count)}
    write_table(tmp_path, [StageResult("a", "a", sets), StageResult("b", "+ a title of several words")])
    assert (BLUE in colours(tmp_path / "table.png")) == (count > 0)


def test_picture_of_nothing_but_zeros_and_unknowns(tmp_path: Path) -> None:
    write_table(tmp_path, [stage("a", 0.0, 0.0), stage("b", math.nan, math.nan)])
    assert len(colours(tmp_path / "table.png")) > 2


def three_seeds(folder: Path) -> list[Path]:
    """Gains of 10, 11 and 12 of 20 problems for sft, of 0, 1 and −1 for rl."""
    paths = []
    for seed, (start, sft, rl) in enumerate([(2, 12, 12), (2, 13, 14), (4, 16, 15)]):
        rows = [
            stage("base", *share(start), title="base"),
            stage("sft", *share(sft)),
            stage("rl", *share(rl)),
        ]
        write_table(folder / str(seed), rows)
        paths.append(folder / str(seed) / "table.csv")
    return paths


def test_seeds_are_means_with_students_intervals(tmp_path: Path) -> None:
    paths = three_seeds(tmp_path)
    cell = read_tables(paths)["test"]["sft"]
    assert cell.values == [0.6, 0.65, 0.8]
    assert cell.gains == pytest.approx([0.5, 0.55, 0.6])
    half = 100 * half_interval([0.5, 0.55, 0.6])
    assert half == pytest.approx(4.30265 * 5 / math.sqrt(3), abs=1e-3)
    text = seeds_table(paths)
    assert text == seeds_table(paths[::-1])
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[:5]]
    assert rows[0] == ["stage", "test avg@k", "gain, points", "p (Holm)"]
    assert rows[2][2] == "–"
    assert rows[3] == ["+ sft", "68.3% ± 25.9", f"+55.0 ± {half:.1f}", f"{2 * paired_t_test(cell.gains):.3f}"]
    assert rows[4][3] == "1.00"
    assert (
        "p values are from the paired t test, after Holm's correction for all 2 gains in this table." in text
    )
    assert rows[4][2] == "+0.0 ± 12.4"
    assert text.endswith("No clear improvement over these seeds: rl.\n")


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    text = seeds_table(three_seeds(tmp_path)[:1])
    assert "±" not in text
    assert "+50.0" in text
    assert "No clear improvement over these seeds: sft, rl." in text


def test_seeds_that_agree_are_clear(tmp_path: Path) -> None:
    paths = three_seeds(tmp_path)
    assert "Every stage improves over these seeds." not in seeds_table(paths)
    for path, right in zip(paths, (12, 13, 12), strict=True):
        rows = [stage("base", *share(2), title="base"), stage("sft", *share(right))]
        write_table(path.parent, rows)
    assert seeds_table(paths).endswith("Every stage improves over these seeds.\n")


def test_seeds_whose_gains_are_the_same_are_not_tested(tmp_path: Path) -> None:
    """Two seeds on few problems often gain the same, and have no spread to hold that against."""
    (path, *_) = three_seeds(tmp_path)
    text = seeds_table([path, path])
    assert [line.split("|")[4].strip() for line in text.splitlines()[3:5]] == ["–", "1.00"]
    assert text.endswith("No clear improvement over these seeds: sft, rl.\n")


def test_seeds_with_an_unknown_number(tmp_path: Path) -> None:
    paths = three_seeds(tmp_path)
    rows = [stage("base", *share(2), title="base"), stage("sft", *[math.nan] * 20), stage("rl", *share(9))]
    write_table(paths[1].parent, rows)
    text = seeds_table(paths)
    assert "nan" not in text
    assert [cell.strip() for cell in text.splitlines()[3].split("|")[1:-1]] == ["+ sft", "–", "–", "–"]
    draw_seeds(paths, tmp_path / "seeds.png")
    assert BLUE in colours(tmp_path / "seeds.png")


def test_picture_of_seeds(tmp_path: Path) -> None:
    draw_seeds(three_seeds(tmp_path), tmp_path / "out" / "seeds.png")
    assert BLUE in colours(tmp_path / "out" / "seeds.png")


def test_tables_that_do_not_belong_together(tmp_path: Path) -> None:
    paths = three_seeds(tmp_path)
    write_table(tmp_path / "other", [stage("base", *share(2)), stage("opd", *share(2))])
    with pytest.raises(DataError, match="different stages or evaluation sets"):
        seeds_table([*paths, tmp_path / "other" / "table.csv"])
    with pytest.raises(DataError, match="does not exist"):
        seeds_table([*paths, tmp_path / "nowhere.csv"])
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="not a recipe's table"):
        seeds_table([tmp_path / "bad.csv"])
    with pytest.raises(DataError, match="at least one run"):
        seeds_table([])


# Right with all steps true


def sound(values: Sequence[float], steps: Sequence[float] | None, answers: int) -> SetResult:
    return SetResult([f"p{i}" for i in range(len(values))], values, 4, 0, steps, answers)


def rows_with_steps(more: int = 0) -> list[StageResult]:
    """SFT helps both, `more` in some seeds; RL helps right answers, and harms those with true steps."""
    shares = {"base": (0, 0), "sft": (8 + more, 8 + more), "rl": (16, 0)}
    return [
        StageResult(name, name, {"test": sound(share(right), share(steps), 20 if steps else 0)}, start=None)
        for name, (right, steps) in shares.items()
    ]


def test_right_with_true_steps_has_columns_gains_and_a_verdict_of_its_own(tmp_path: Path) -> None:
    rows = rows_with_steps()
    text = markdown(rows)
    head, _, base, sft, rl = (line.split("|") for line in text.splitlines()[:5])
    assert [cell.strip() for cell in (head[2], head[4])] == [
        "test avg@4 (95% interval)",
        "test with true steps avg@4 (95% interval)",
    ]
    assert [row[4].strip().split()[0] for row in (base, sft, rl)] == ["0.0%", "40.0%", "0.0%"]
    assert [row[5].strip().split()[0] for row in (base, sft, rl)] == ["–", "+40.0", "-40.0"]
    assert "- rl: on test improves on sft (+40.0 points" in text
    assert "on test with true steps worse than sft (-40.0 points" in text
    assert "Did not clearly improve the model that they started from: rl (on test with true steps)." in text
    lines = list(csv.DictReader(io.StringIO(csv_text(rows))))
    found = {(line["stage"], line["set"]): line["avg"] for line in lines}
    assert (found["rl", "test"], found["rl", "test with true steps"]) == ("0.8", "0.0")
    assert found["base", "test with true steps"] == "0.0"
    for seed, more in enumerate((0, 1, 0)):
        write_table(tmp_path / str(seed), rows_with_steps(more))
    table = seeds_table([tmp_path / str(seed) / "table.csv" for seed in range(3)])
    assert "test with true steps avg@k" in table.splitlines()[0]
    assert "No clear improvement over these seeds: rl (on test with true steps)." in table


@pytest.mark.parametrize("known", [True, False])
def test_without_checkable_steps_there_are_no_columns_for_them(known: bool, tmp_path: Path) -> None:
    rows = [
        StageResult("base", "base", {"test": sound(share(4), share(0) if known else None, 0)}),
        StageResult("rl", "+ RL", {"test": sound(share(9), share(0) if known else None, 0)}),
    ]
    assert "steps" not in markdown(rows).splitlines()[0].replace("| steps |", "")
    assert "true steps" not in markdown(rows) + csv_text(rows)


def test_steps_that_are_never_true_are_shown_as_such() -> None:
    text = markdown([StageResult("rl", "RL", {"test": sound(share(9), share(0), 5)})])
    assert text.splitlines()[2].split("|")[4].strip().startswith("0.0%")


def test_an_evaluation_that_did_not_look_at_steps_has_no_value() -> None:
    rows = [
        StageResult("base", "base", {"test": sound(share(4), None, 0)}),
        StageResult("rl", "+ RL", {"test": sound(share(9), share(3), 20)}),
    ]
    base, rl = (line.split("|") for line in markdown(rows).splitlines()[2:4])
    assert (base[4].strip(), rl[5].strip()) == ("–", "–")


def test_shares_of_true_steps_must_fit_their_problems() -> None:
    for wrong in ([0.5], [0.5, 1.5]):
        with pytest.raises(DataError, match=r"values|share of correct"):
            sound([1.0, 1.0], wrong, 1)
