"""Results that are counted again, and what is said of a folder that is none of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from groups import rollout

from rlvr.base.files import write_json
from rlvr.evaluation.summary import Outcome, all_sets, outcomes, summarize
from rlvr.pipeline.evaluate import _model_messages, sampled_by
from rlvr.results.evaluation import OTHER, compared, read_results, recount
from rlvr.results.evaluation_table import _comparison, markdown
from rlvr.results.samples import SAMPLES, read_samples, write_samples
from rlvr.statistics.tests import holm
from rlvr.types import DataError, Group, Problem, Status, Verdict

VOTES = [[0, 1]]


def judged() -> Group:
    verdicts = [
        Verdict(Status.CORRECT, 1.0, "", extracted="2"),
        Verdict(Status.WRONG, 0.0, "", extracted="3"),
    ]
    return Group(Problem("a", "1+1?", "2"), [rollout(0, drawn=1), rollout(1, drawn=2)], verdicts)


def made(folder: Path, model: str = "new") -> Path:
    """An evaluation of one problem, with its samples."""
    folder.mkdir(parents=True)
    about = {"fingerprint": "f", "undecided_votes": 0, "split_by": []}
    found = summarize(outcomes([judged()], VOTES), [1, 2]) | about
    asked: dict[str, Any] = {"samples": 2, "temperature": 1.0, "top_p": 1.0}
    asked |= {"max_tokens": 8, "seed": 0, "dtype": "float32"}
    write_json(
        folder / "results.json", {"model": model, "settings": asked, "ks": [1, 2], "sets": {"s": found}}
    )
    write_samples(folder / SAMPLES, {"s": [judged()]}, {"s": VOTES})
    return folder


def test_without_its_samples_nothing_is_counted_again_and_that_is_said(tmp_path: Path) -> None:
    folder = made(tmp_path / "new")
    made(folder / OTHER, "old")
    (folder / OTHER / SAMPLES).unlink()  # a baseline's may lie elsewhere
    recount(folder, [2], None, ["ks=[2]"])
    assert read_results(folder)["ks"] == [2]
    assert read_results(folder)["baseline"]["model"] == "old"
    (folder / SAMPLES).unlink()
    before = (folder / "results.json").read_bytes()
    with pytest.raises(DataError, match=r"new has no samples.parquet"):
        recount(folder, [1], None, ["ks=[1]"])
    assert (folder / "results.json").read_bytes() == before


@pytest.mark.parametrize("inside", ["model", "checkpoints/step_000001/model", "rl/checkpoints/last/model"])
def test_the_model_inside_of_a_run_is_suggested(tmp_path: Path, inside: str) -> None:
    (tmp_path / inside).mkdir(parents=True)
    (tmp_path / inside / "config.json").write_text("{}")
    (said,) = _model_messages("model", str(tmp_path))
    assert f"did you mean {tmp_path / inside}?" in said


def test_a_folder_that_is_no_run_is_not_searched_to_its_ground(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "a" / "b" / "c" / "d" / "e"
    deep.mkdir(parents=True)
    (deep / "config.json").write_text("{}")
    (said,) = _model_messages("model", str(tmp_path))
    assert said.endswith("(no config.json)")

    def unreadable(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(Path, "glob", unreadable)
    (said,) = _model_messages("model", str(tmp_path))
    assert said.endswith("(no config.json)")


# What is shown of them


def shown(*values: bool, steps: bool | None = None, **columns: Any) -> str:
    """results.md of a set with a right or a wrong sample to each problem, whose steps are all `steps`."""
    problems = [
        Outcome(f"p{i}", columns, [Status.CORRECT if right else Status.WRONG], [steps], [0], [1], [False])
        for i, right in enumerate(values)
    ]
    asked = {"temperature": 1.0, "top_p": 1.0, "max_tokens": 8, "seed": 0, "dtype": "float32"}
    found = summarize(problems, [1], list(columns)) | {"undecided_votes": 0}
    return markdown({"model": "m", "settings": {"samples": 1, **asked}, "ks": [1], "sets": {"s": found}})


@pytest.mark.parametrize("values", [[False] * 8, [True] * 8, [True, False, True, False]])
def test_an_interval_that_says_nothing_is_not_shown(values: list[bool]) -> None:
    text = shown(*values)
    assert f"{sum(values) / len(values):.1%} (–)" in text
    assert text.count("no interval, as fewer than 5 problems have a value or all values are equal") == 1
    enough = shown(True, False, True, False, True)
    assert "(–)" not in enough
    assert "60.0% (20.0% to 100.0%)" in enough


def test_a_gain_without_spread_has_no_interval() -> None:
    gain = {"mean": 0.0, "low": 0.0, "high": 0.0, "problems": 8, "changed": 0, "p": 1.0, "p_holm": 1.0}
    compared = "\n".join(_comparison({"model": "old", "differs": [], "sets": {"s": {"avg": gain}}}))
    assert "0.0 to" not in compared
    assert "(–)" in compared
    assert "With one comparison: no difference is statistically significant at 5%." in compared


def test_gains_are_corrected_for_all_sets_and_metrics_of_the_comparison() -> None:
    """All six problems of one set are gained, of the other none."""

    def results(right: bool) -> dict[str, Any]:
        one, other = (
            [
                Outcome(f"p{i}", {}, [Status.CORRECT if yes else Status.WRONG], [None], [0], [1], [False])
                for i in range(6)
            ]
            for yes in (right, False)
        )
        sets = {name: summarize(of, [1]) | {"fingerprint": name} for name, of in (("s", one), ("t", other))}
        return {"settings": {}, "model": "m", "sets": sets}

    found = compared(results(False), results(True))
    gains = {(name, metric): gain for name, of in found["sets"].items() for metric, gain in of.items()}
    assert {key: gain["p"] for key, gain in gains.items()} == {
        key: 2 / 64 if key[0] == "s" else 1.0 for key in gains
    }
    assert [gain["p_holm"] for gain in gains.values()] == holm([gain["p"] for gain in gains.values()])
    text = "\n".join(_comparison(found))
    assert f"With {len(gains)} comparisons" in text
    assert "no difference is statistically significant at 5%" in text
    del found["sets"]["t"]
    for gain in found["sets"]["s"].values():
        gain["p_holm"] = gain["p"]
    assert "statistically significant at 5%: s avg" in "\n".join(_comparison(found))


def test_a_value_of_a_column_is_no_markup() -> None:
    text = shown(True, topic="a|b<script>`x`\x1b[31m\nnext")
    (line,) = [line for line in text.splitlines() if line.startswith("| a")]
    assert line.count("|") - line.count("\\|") == 4
    assert "a\\|b&lt;script>&#96;x&#96; [31m next" in line
    assert "\x1b" not in text


def test_what_other_versions_sampled_is_said_to_be_theirs(tmp_path: Path) -> None:
    old = {"rlvr": "0.1", "packages": {"vllm": "0.6"}, "git": {"commit": "aaa"}, "cpu": {"count": 2}}
    new = {"rlvr": "0.2", "packages": {"vllm": "0.7"}, "git": None, "cpu": {"count": 2}}
    for name, versions in (("old", old), ("new", new)):
        write_json(tmp_path / name / "manifest.json", {"versions": versions})
    found = sampled_by({"old": tmp_path / "old", "new": tmp_path / "new", "none": tmp_path / "none"})
    assert found == {"old": old, "new": new}
    results = read_results(made(tmp_path / "run")) | {"versions": new}
    text = markdown(results | {"sampled_by": found})
    said = "old was sampled with other versions than the current ones: rlvr 0.1 → 0.2, vllm 0.6 → 0.7, "
    assert f"{said}git commit aaa → None" in text
    assert "new was sampled" not in text
    assert "cpu" not in text
    assert "was sampled" not in markdown(results)


def samples_with_steps() -> tuple[list[Group], list[list[int | None]]]:
    """Two problems: of three right answers one has true steps, one has a false one, one has none."""
    sound = Verdict(Status.CORRECT, 1.0, "", extracted="2", true_steps=True)
    lucky = Verdict(Status.CORRECT, 1.0, "", extracted="2", true_steps=False)
    bare = Verdict(Status.CORRECT, 1.0, "", extracted="2")
    wrong = Verdict(Status.WRONG, 0.0, "", extracted="3", true_steps=True)
    groups = [
        Group(Problem(name, "1+1?", "2"), [rollout(0, name=name), rollout(1, name=name)], verdicts)
        for name, verdicts in (("a", [sound, lucky]), ("b", [bare, wrong]))
    ]
    return groups, [[0, 0], [0, 1]]


def test_right_with_true_steps_is_counted_beside_right_and_again_from_the_samples(tmp_path: Path) -> None:
    groups, votes = samples_with_steps()
    found = summarize(outcomes(groups, votes), [1, 2])
    assert found["metrics"]["true_steps"]["values"] == [0.5, 0.0]
    assert (found["metrics"]["true_steps"]["value"], found["metrics"]["avg@2"]["value"]) == (0.25, 0.75)
    assert found["with_steps"] == 3
    write_samples(tmp_path / SAMPLES, {"s": groups}, {"s": votes})
    assert summarize(read_samples(tmp_path / SAMPLES)["s"], [1, 2]) == found
    sets = all_sets({"s": found})
    assert {name: of["values"] for name, of in sets.items()} == {
        "s": [1.0, 0.5],
        "s with true steps": [0.5, 0.0],
    }


def test_samples_that_do_not_say_whether_steps_are_true_are_counted_without(tmp_path: Path) -> None:
    groups, votes = samples_with_steps()
    path = tmp_path / SAMPLES
    write_samples(path, {"s": groups}, {"s": votes})
    pq.write_table(pq.read_table(path).drop_columns(["true_steps"]), path)
    found = summarize(read_samples(path)["s"], [1])
    assert "true_steps" not in found["metrics"]
    assert list(all_sets({"s": found})) == ["s"]


def test_the_table_has_the_column_where_answers_have_steps() -> None:
    text = shown(True, False, True, False, True, steps=True)
    head, _, line = (row.split("|") for row in text.splitlines()[4:7])
    assert [cell.strip() for cell in head[3:5]] == ["avg@k (95% interval)", "right, all steps true"]
    assert line[3].strip() == line[4].strip() == "60.0% (20.0% to 100.0%)"
    assert "checkable steps are all true and lead to the answer" in text
    assert shown(True, False, steps=False).splitlines()[6].split("|")[4].strip() == "0.0% (–)"
    without = shown(True, False, True, False, True)
    assert "steps" not in without


def test_a_gain_in_true_steps_is_compared_problem_by_problem() -> None:
    groups, votes = samples_with_steps()
    after = summarize(outcomes(groups, votes), [1])
    for group in groups:
        group.verdicts = [replace(verdict, true_steps=False) for verdict in group.verdicts]
    before = summarize(outcomes(groups, votes), [1])
    old, new = (
        {"settings": {}, "model": "m", "sets": {"s": of | {"fingerprint": "f"}}} for of in (before, after)
    )
    gain = compared(old, new)["sets"]["s"]
    assert gain["true_steps"]["mean"] == 0.25
    assert gain["avg"]["mean"] == 0.0
