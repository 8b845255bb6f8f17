"""Arms against the baseline: what is compared, what is said of it, and the command."""

from __future__ import annotations

import csv
import json
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rlvr.commands.compare import main, run
from rlvr.compare.curves import read_curve
from rlvr.compare.results import shared_seeds
from rlvr.compare.runs import find_runs
from rlvr.compare.text import verdict
from rlvr.pipeline.status import State
from rlvr.record.journal import journal_path, write_journal
from rlvr.record.sinks import JsonLines
from rlvr.statistics.change import Difference
from rlvr.statistics.intervals import half_interval
from rlvr.statistics.tests import paired_t_test, sign_flip_test
from rlvr.types import Problem
from tests.compared_runs import (
    METRIC,
    STEPS,
    keep_problems,
    make_run,
    results_of,
    settings,
    sweep,
)
from tests.groups import group

# What is compared


def test_means_intervals_and_paired_differences_over_seeds(tmp_path: Path) -> None:
    first, second = [0.50, 0.54, 0.58], [0.60, 0.62, 0.70]
    base, arm = results_of(sweep(tmp_path, {1.0: first, 0.8: second}))
    assert (base.difference, base.over) == ("", "seeds")
    assert base.value.mean == pytest.approx(0.54)
    assert base.value.high - base.value.mean == pytest.approx(half_interval(first))
    differences = [b - a for a, b in zip(first, second, strict=True)]
    assert isinstance(arm.difference, Difference)
    assert arm.difference.mean == pytest.approx(0.10)
    assert arm.difference.low == pytest.approx(0.10 - half_interval(differences))
    assert arm.difference.p == pytest.approx(paired_t_test(differences))
    assert (arm.difference.pairs, arm.difference.over) == (3, "seeds")


def test_only_seeds_that_both_arms_have_are_paired(tmp_path: Path) -> None:
    for number, (temperature, seed, value) in enumerate(
        [(1.0, 0, 0.5), (1.0, 1, 0.6), (1.0, 2, 0.9), (0.8, 4, 0.1), (0.8, 1, 0.7), (0.8, 0, 0.65)]
    ):
        make_run(tmp_path / str(number), settings(seed, sampling__temperature=temperature), [0.2, value])
    _, arm = results_of(tmp_path)
    assert isinstance(arm.difference, Difference)
    assert arm.difference.pairs == 2
    assert arm.difference.mean == pytest.approx((0.15 + 0.1) / 2)
    assert arm.value.mean == pytest.approx((0.1 + 0.7 + 0.65) / 3)


def test_one_shared_seed_is_paired_over_its_problems_and_said_so(tmp_path: Path) -> None:
    right = {1.0: [0, 1, 2, 1, 3, 0, 2, 4], 0.8: [1, 2, 2, 3, 4, 1, 4, 4]}
    for number, (temperature, correct) in enumerate(right.items()):
        value = sum(correct) / 32
        folder = make_run(
            tmp_path / str(number), settings(3, sampling__temperature=temperature), [0.2, value]
        )
        keep_problems(folder, correct)
    base, arm = results_of(tmp_path)
    assert base.over == "problems"
    assert (base.value.low, base.value.high) == (base.value.mean - 0.1, base.value.mean + 0.1)
    found = arm.difference
    assert isinstance(found, Difference)
    assert (found.pairs, found.over, shared_seeds(base, arm)) == (8, "problems", [3])
    assert found.mean == pytest.approx(8 / 32)
    pairs = [(b - a) / 4 for a, b in zip(right[1.0], right[0.8], strict=True)]
    assert found.p == pytest.approx(sign_flip_test(pairs)) == pytest.approx(2 / 64)
    text, _ = run([tmp_path], out=str(tmp_path / "out"))
    assert "Fewer than 2 seeds in common with the baseline: `sampling.temperature=0.8` (seed 3)." in text
    assert "Every arm has one seed; its interval is a bootstrap over the problems" in text


def test_one_seed_without_a_journal_is_not_tested(tmp_path: Path) -> None:
    _, arm = results_of(sweep(tmp_path, {1.0: [0.5], 0.8: [0.6]}))
    assert arm.difference == "one seed in common, and no journal of its problems for heldout/pass@1"


@pytest.mark.parametrize("change", ["names", "texts"])
def test_other_problems_are_not_paired(tmp_path: Path, change: str) -> None:
    folders = [
        make_run(tmp_path / str(n), settings(n % 2, sampling__temperature=1.0 - 0.1 * (n // 2)), [0.2, 0.5])
        for n in range(4)
    ]
    for number, folder in enumerate(folders):
        keep_problems(folder, [1, 2, 3], names="q" if number == 3 and change == "names" else "p")
    if change == "texts":
        path = journal_path(folders[3] / "rl", "heldout", STEPS)
        groups = [group([1.0, 0.0], f"p{i}") for i in range(3)]
        for each in groups:
            each.problem = Problem(each.problem.id, "another text", "1")
        write_journal(path, groups)
    _, arm = results_of(tmp_path)
    assert arm.difference == "other problems"
    text, _ = run([tmp_path], out=str(tmp_path / "out"))
    assert "not compared: other problems" in text
    assert "No arm could be tested" in text


def test_without_journals_other_sources_of_problems_are_not_paired(tmp_path: Path) -> None:
    for number in range(4):
        config = settings(number % 2, problems__heldout__n=4 + number // 2)
        make_run(tmp_path / str(number), config, [0.2, 0.5 + number / 100])
    _, arm = results_of(tmp_path)
    assert arm.difference == "other problems"
    _, arm = results_of(tmp_path, "tokens/sampled")  # which is not of those problems
    assert isinstance(arm.difference, Difference)


def test_no_shared_seed_is_no_comparison(tmp_path: Path) -> None:
    for number, temperature in enumerate([1.0, 1.0, 0.8, 0.8]):
        make_run(tmp_path / str(number), settings(number, sampling__temperature=temperature), [0.2, 0.5])
    _, arm = results_of(tmp_path)
    assert arm.difference == "no seed in common"


def test_unfinished_runs_count_only_where_nothing_else_does(tmp_path: Path) -> None:
    make_run(tmp_path / "0", settings(0), [0.2, 0.6])
    make_run(tmp_path / "1", settings(1), [0.2, 0.9], last=10)
    make_run(tmp_path / "2", settings(0, sampling__temperature=0.8), [0.2, 0.4], last=10)
    base, arm = results_of(tmp_path)
    assert base.value.mean == 0.6
    assert (len(base.used), base.count(State.KILLED)) == (1, 1)
    assert (len(arm.used), arm.value.mean) == (1, 0.4)
    text, _ = run([tmp_path], out=str(tmp_path / "out"))
    assert "1 (seed 1): did not finish, killed at step 10; left out" in text
    assert "2 (seed 0): did not finish, killed at step 10; used, because the arm has no finished run" in text


def test_a_last_value_that_is_no_number_is_left_out(tmp_path: Path) -> None:
    make_run(tmp_path / "0", settings(0), [0.2, 0.6])
    make_run(tmp_path / "1", settings(1), [0.2, math.nan])
    make_run(tmp_path / "2", settings(2), [math.nan, 0.8])
    (result,) = results_of(tmp_path)
    assert [curve.found.seed for curve in result.used] == [0, 2]
    assert result.value.mean == pytest.approx(0.7)
    assert result.best == pytest.approx(0.7)
    assert [moment.step for moment in result.moments] == [STEPS]  # where both runs have a number
    text, _ = run([tmp_path], out=str(tmp_path / "out"))
    assert "1 (seed 1): left out, because its last value is not a number" in text


def test_of_two_runs_of_a_seed_the_later_is_used_and_a_finished_one_before_an_unfinished(
    tmp_path: Path,
) -> None:
    make_run(tmp_path / "0", settings(0), [0.2, 0.5])
    make_run(tmp_path / "1", settings(0), [0.2, 0.6])
    make_run(tmp_path / "2", settings(0), [0.2, 0.9], last=10)
    (result,) = results_of(tmp_path)
    assert (result.value.mean, len(result.used)) == (0.6, 1)
    assert [curve.found.folder.name for curve in result.repeated] == ["0"]


def test_holm_is_over_all_comparisons_and_the_note_says_what_is_left(tmp_path: Path) -> None:
    base = [0.50, 0.52, 0.54, 0.56]
    near = [0.515, 0.55, 0.545, 0.58]  # p between 0.01 and 0.05
    far = [0.70, 0.73, 0.74, 0.77]
    results = results_of(sweep(tmp_path, {1.0: base, 0.9: near, 0.8: far, 0.7: base[::-1], 0.6: base}))
    found = [result.difference for result in results[1:]]
    assert all(isinstance(difference, Difference) for difference in found)
    ps = [difference.p for difference in found if isinstance(difference, Difference)]
    adjusted = [difference.p_holm for difference in found if isinstance(difference, Difference)]
    assert 0.0125 < ps[0] < 0.05
    assert adjusted[0] == pytest.approx(3 * ps[0])
    assert adjusted[1] == pytest.approx(4 * ps[1])
    said = verdict(results, 0)
    assert "With 4 comparisons" in said
    assert "20% of the time" in said
    assert "statistically significant at 5%: `sampling.temperature=0.8`; the others are not." in said
    assert "0.9" not in said


def test_what_it_took_and_when_it_was_as_good_as_the_baseline(tmp_path: Path) -> None:
    base, fast, slow = results_of(sweep(tmp_path, {1.0: [0.4, 0.5], 0.8: [0.7, 0.9], 0.6: [0.3, 0.35]}))
    assert (base.cost.steps, base.cost.seconds, base.cost.sampled, base.cost.trained) == (20, 40, 2000, 1200)
    assert base.reached is not None
    assert fast.reached is not None
    assert (base.reached.cost.steps, fast.reached.cost.steps) == (20, 10)  # 0.5 at the middle ≥ 0.45
    assert (fast.reached.cost.seconds, fast.reached.cost.sampled) == (20, 1000)
    assert slow.reached is None


def test_earlier_stages_count_in_what_it_took(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "0", settings(0, stages=["sft", "rl"]), [0.2, 0.6])
    log = JsonLines(folder / "sft" / "metrics.jsonl")
    log.log(1, {"time/step": 3.0, "tokens/trained": 500.0})
    log.log(2, {"time/step": 4.0, "tokens/trained": 500.0})
    log.close()
    curve = read_curve(find_runs([folder])[0], METRIC)
    assert (curve.cost.steps, curve.cost.seconds, curve.cost.trained) == (22, 47, 2200)
    assert [(point.step, point.cost.seconds) for point in curve.points] == [(0, 7), (STEPS, 47)]


def test_of_a_loss_less_is_better(tmp_path: Path) -> None:
    for number, values in enumerate([[3.0, 1.0, 2.0], [3.0, 1.5, 1.0]]):
        folder = make_run(
            tmp_path / str(number), settings(0, sampling__temperature=1 - number / 2), [0.1, 0.1]
        )
        log = JsonLines(folder / "rl" / "metrics.jsonl")
        for step, value in zip((0, 10, 20), values, strict=True):
            log.log(step, {"train/loss": value})
        log.close()
    base, arm = results_of(tmp_path, "train/loss")
    assert (base.best, arm.best) == (1.0, 1.0)
    assert arm.reached is not None
    assert arm.reached.cost.steps == 10  # 1.5 ≤ 2


def test_bands_are_intervals_from_three_seeds_on(tmp_path: Path) -> None:
    two, three = results_of(sweep(tmp_path, {1.0: [0.5, 0.6], 0.8: [0.5, 0.6, 0.7]}))
    last = two.moments[-1].value
    assert (last.low, last.high) == (0.5, 0.6)
    last = three.moments[-1].value
    assert last.high - last.mean == pytest.approx(half_interval([0.5, 0.6, 0.7]))


# The command


def test_the_command_writes_and_prints_the_same_each_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = sweep(tmp_path / "sweep", {1.0: [0.5, 0.52, 0.54], 0.8: [0.6, 0.65, 0.7]})
    assert main([str(runs)]) == 0
    printed = capsys.readouterr().out
    names = ("compare.md", "compare.csv", "runs.csv", "compare.png")
    before = {name: (runs / name).read_bytes() for name in names}
    assert printed.startswith(before["compare.md"].decode())
    assert main([str(runs)]) == 0  # beside what it has written itself
    assert {name: (runs / name).read_bytes() for name in names} == before
    assert before["compare.png"].startswith(b"\x89PNG")
    with (runs / "compare.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["arm"] for row in rows] == ["sampling.temperature=1.0", "sampling.temperature=0.8"]
    assert [row["baseline"] for row in rows] == ["1", "0"]
    assert float(rows[1]["difference"]) == pytest.approx(0.13)
    assert (rows[0]["difference"], rows[0]["p"]) == ("", "")
    assert float(rows[0]["cpu_seconds"]) == 80  # two cores for 40 s
    with (runs / "runs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["seed"], row["state"], row["used"]) for row in rows][:2] == [
        ("0", "finished", "1"),
        ("1", "finished", "1"),
    ]
    assert float(rows[5]["final"]) == 0.7


def test_files_go_to_the_sweep_or_to_where_we_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    runs = sweep(tmp_path / "sweep", {1.0: [0.5, 0.6]})
    other = make_run(tmp_path / "other", settings(9), [0.1, 0.5])
    assert run([runs])[1][0].parent == runs
    assert run([runs, other])[1][0].resolve().parent == here
    assert run([runs], out=str(tmp_path / "new" / "folder"))[1][0].parent == tmp_path / "new" / "folder"


def test_the_baseline_can_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = sweep(tmp_path / "sweep", {1.0: [0.5, 0.52], 0.8: [0.6, 0.65]})
    assert main([str(runs), "--baseline", "0.8"]) == 0
    assert "-11.5 (" in capsys.readouterr().out
    assert main([str(runs), "--baseline", "temperature"]) == 2
    assert "matches several arms" in capsys.readouterr().err


def test_mistakes_are_said_in_one_line_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = sweep(tmp_path / "sweep", {1.0: [0.5, 0.52]})
    assert main([str(runs), "--metric", "heldout/pas@1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("rlvr: no run has the metric heldout/pas@1: did you mean heldout/pass@1?")
    assert "tokens/sampled" in error
    assert main([]) == 2
    assert main([str(tmp_path / "none")]) == 2
    (runs / "0" / "rl" / "metrics.jsonl").write_text("{}\n")
    capsys.readouterr()
    assert main([str(runs)]) == 2
    assert "metrics.jsonl, line 1" in capsys.readouterr().err
    (tmp_path / "file").touch()
    make_run(tmp_path / "good", settings(0), [0.1, 0.2])
    assert main([str(tmp_path / "good"), "--out", str(tmp_path / "file" / "x")]) == 2


def test_one_run_alone(tmp_path: Path) -> None:
    text, files = run([make_run(tmp_path / "a", settings(4), [0.2, 0.6])], out=str(tmp_path / "out"))
    assert "One arm: nothing to compare." in text
    assert re.search(r"\| toy +\| +1 \| +60.0% \(50.0 to 70.0\) \| 60.0% \|\n", text)
    assert "baseline" not in text
    assert all(path.exists() for path in files)


def test_a_label_cannot_break_the_table(tmp_path: Path) -> None:
    for number, template in enumerate(["a|b", "a\nb $x$"]):
        make_run(tmp_path / str(number), settings(0, problems__template=template), [0.2, 0.6])
    text, _ = run([tmp_path], out=str(tmp_path / "out"))
    table = [line for line in text.splitlines() if line.startswith("| problems.template")]
    assert len(table) == 4
    assert all(line.replace("\\|", "").count("|") in (8, 8) for line in table[:2])


def test_the_command_line_is_light(tmp_path: Path) -> None:
    """Nothing heavy comes with the command, nor with what it does."""
    runs = sweep(tmp_path / "sweep", {1.0: [0.5], 0.8: [0.6]})
    code = f"import sys\nimport rlvr.commands.compare as c\nc.run([{str(runs)!r}])\n"
    code += "print({'torch', 'ray', 'vllm', 'deepspeed', 'transformers', 'scipy'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def with_true_steps(folder: Path, value: float, problems: Sequence[Sequence[bool]] = ()) -> None:
    """The metric at the last evaluation, and a journal of right answers whose steps are so."""
    metrics = folder / "rl" / "metrics.jsonl"
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    lines[-1]["heldout/true_steps"] = value
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    groups = [group([1.0] * len(steps), f"p{number}") for number, steps in enumerate(problems)]
    for each, steps in zip(groups, problems, strict=True):
        each.verdicts = [replace(v, true_steps=true) for v, true in zip(each.verdicts, steps, strict=True)]
    if groups:
        write_journal(journal_path(folder / "rl", "heldout", STEPS), groups)


def test_right_with_true_steps_stands_beside_right(tmp_path: Path) -> None:
    sweep(tmp_path, {1.0: [0.5, 0.5], 0.8: [0.6, 0.8]})
    text, _ = run([tmp_path], out=str(tmp_path / "out"))
    assert "steps true" not in text
    for number, value in enumerate([0.1, 0.3, 0.5, 0.5]):
        with_true_steps(tmp_path / str(number), value)
    text, _ = run([tmp_path], out=str(tmp_path / "out"))
    head, _, base, arm = (line.split("|") for line in text.splitlines()[2:6])
    assert head[4].strip() == "right, all steps true (95%)"
    assert base[4].strip().startswith("20.0% (")
    assert arm[4].strip().startswith("50.0%")
    alone, _ = run([tmp_path], metric="heldout/true_steps", out=str(tmp_path / "out"))
    assert "20.0%" in alone.splitlines()[4]
    assert "right, all steps true" not in alone


def test_true_steps_of_one_seed_are_paired_over_its_problems(tmp_path: Path) -> None:
    right = {1.0: [[True, False]] * 6, 0.8: [[True, True]] * 5 + [[False, False]]}
    for number, (temperature, problems) in enumerate(right.items()):
        folder = tmp_path / str(number)
        make_run(folder, settings(3, sampling__temperature=temperature), [0.2, 1.0])
        with_true_steps(folder, 0.5, problems)
    _, arm = results_of(tmp_path, "heldout/true_steps")
    assert isinstance(arm.difference, Difference)
    assert arm.difference.mean == pytest.approx((5 * 0.5 - 0.5) / 6)
    assert arm.difference.pairs == 6
