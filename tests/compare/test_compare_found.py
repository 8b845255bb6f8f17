"""What `rlvr compare` passes over, which baseline it takes, and problems that only look the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rlvr.commands.compare import run
from rlvr.compare.runs import find_runs
from rlvr.record.journal import journal_path, write_journal
from rlvr.types import DataError, Problem
from tests.compared_runs import STEPS, keep_problems, make_run, results_of, settings, sweep
from tests.groups import group


def make_evaluation(folder: Path) -> None:
    """As `rlvr evaluate` leaves it, with the answers beside."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"name": "evaluate", "problems": {"sets": ["mine"]}}))
    (folder / "results.json").write_text("{}")
    answers = folder.parent / "answers" / "mine-0123456789"
    answers.mkdir(parents=True, exist_ok=True)
    (answers / "manifest.json").write_text("{}")


def test_evaluations_are_passed_over_and_counted(tmp_path: Path) -> None:
    sweep(tmp_path / "train", {1.0: [0.5, 0.52], 0.8: [0.6, 0.65]})
    make_evaluation(tmp_path / "evaluate" / "1")
    make_evaluation(tmp_path / "evaluate" / "2")
    text, _ = run([tmp_path, tmp_path / "evaluate"], out=str(tmp_path / "out"))
    assert "- 2 evaluations are left out: `rlvr evaluate from=FOLDER baseline=FOLDER`" in text
    assert len(find_runs([tmp_path])) == 4
    with pytest.raises(DataError, match=r"only evaluations \(2\)"):
        find_runs([tmp_path / "evaluate"])


def test_the_baseline_is_the_first_arm_that_has_a_value(tmp_path: Path) -> None:
    make_run(tmp_path / "0", settings(0, sampling__temperature=1.0), [])
    for number, value in ((1, 0.5), (2, 0.6)):
        make_run(tmp_path / str(number), settings(0, sampling__temperature=1 - number / 10), [0.2, value])
    text, _ = run([tmp_path], out=str(tmp_path / "out"))
    assert "- The baseline is `sampling.temperature=0.9`, the first arm that has a value." in text
    asked, _ = run([tmp_path], baseline="1.0", out=str(tmp_path / "out"))
    assert "The baseline is" not in asked


def test_problems_with_other_reference_answers_are_not_paired(tmp_path: Path) -> None:
    for number, answer in enumerate(["1", "2"]):
        folder = make_run(
            tmp_path / str(number), settings(0, sampling__temperature=1 - number / 10), [0.2, 0.5]
        )
        keep_problems(folder, [1, 2, 3])
        groups = [group([1.0, 0.0], f"p{i}") for i in range(3)]
        for each in groups:
            each.problem = Problem(each.problem.id, "one text", answer)
        write_journal(journal_path(folder / "rl", "heldout", STEPS), groups)
    _, arm = results_of(tmp_path)
    assert arm.difference == "other problems"


def test_an_interval_of_equal_values_or_of_few_problems_is_not_shown(tmp_path: Path) -> None:
    for number, problems in enumerate([4, 8]):
        config = settings(0, sampling__temperature=1 - number / 10)
        keep_problems(make_run(tmp_path / "few" / str(number), config, [0.2, 0.5]), [2] * problems)
    text, _ = run([tmp_path / "few"], out=str(tmp_path / "out"))
    assert " 50.0% (–) |" in text
    assert "50.0% (40.0 to 60.0)" in text  # of eight problems
    assert text.count("fewer than 5 problems: it would be too narrow to mean anything") == 1
    make_run(tmp_path / "same" / "0", settings(0), [0.2, 0.5])
    make_run(tmp_path / "same" / "1", settings(1), [0.2, 0.5])
    text, _ = run([tmp_path / "same"], out=str(tmp_path / "out"))
    assert " 50.0% (–) |" in text
