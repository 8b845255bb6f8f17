"""The report says what the run's own records say, names what is missing, and shows nothing as HTML."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml
from report_runs import CONFIG, learned, rollout, verdict, write_heldout, write_run, write_step

from rlvr.commands.report import main
from rlvr.learner.config import LearnerConfig
from rlvr.pipeline.config import RunConfig
from rlvr.record.journal import journal_path, read_journal, write_journal
from rlvr.record.runs import open_run
from rlvr.report.estimators import FALL, LARGEST, LATE, RISE, SPIKE, Rule, panels
from rlvr.report.measures import Metrics, early, late, load_metrics
from rlvr.report.overview import changed_settings
from rlvr.report.result import read_evaluation
from rlvr.report.write import markdown_table, write_report
from rlvr.rollout.config import RolloutConfig
from rlvr.stages.config import RlConfig
from rlvr.statistics.change import paired_difference
from rlvr.types import Problem


class Page(HTMLParser):
    """The text of a page, its elements, and its links and addresses."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.ids: list[str] = []
        self.feed(source)
        self.text = " ".join(" ".join(self.parts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(attrs)
        self.ids += [value for name, value in attrs if name == "id" and value]

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def page_of(folder: Path) -> Page:
    return Page(write_report(open_run(folder), folder / "report.html").read_text())


def evaluated(mean: float) -> dict[str, float]:
    return {
        "heldout/pass@1": mean,
        "heldout/pass@1_low": mean - 0.1,
        "heldout/pass@1_high": mean + 0.1,
        "heldout/problems": 8,
    }


STEP = {
    "train/reward": 0.5,
    "train/accuracy": 0.75,
    "reward/math": 0.5,
    "verdicts/correct": 3.0,
    "verdicts/wrong": 1.0,
    "groups/no_signal": 0.9,
    "learner/gradient_snr": 2.0,
    "learner/logprob_gap": 0.01,
    "tokens/sampled": 300.0,
    "learner/tokens": 200.0,
    "time/step": 4.0,
    "time/generate": 3.0,
    "time/learn": 1.0,
    "rewards/checks": 4.0,
    "rewards/latency_p50": 0.002,
    "rewards/latency_p99": 0.004,
    "rewards/latency_max": 0.008,
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two steps of RL from 1/4 to 3/4 on eight held-out problems, with journals of both kinds."""
    last = STEP | {"verdicts/correct": 4.0, "verdicts/wrong": 0.0} | evaluated(0.75)
    folder = write_run(tmp_path / "small" / "date", {"rl": [evaluated(0.25), STEP, last]})
    stage = folder / "rl"
    names = [f"h{number}" for number in range(8)]
    write_heldout(stage, 0, {name: [True, False, False, False] for name in names})
    write_heldout(stage, 2, {name: [True, True, name != "h0", name == "h1"] for name in names})
    good, bad = rollout("so #3"), rollout("so #4", sample=1)
    rows = [
        (good, verdict(1.0, extracted="3", rule="same text"), learned(good, 1.0)),
        (bad, verdict(-1.0, reason="4 is not 3"), learned(bad, -1.0)),
    ]
    for step in (1, 2):
        write_step(stage, rows, step)
    return folder


def test_what_was_run(run: Path) -> None:
    text = page_of(run).text
    assert "small/date" in text
    assert "some/model" in text
    assert "rlvr.problems.generated.arithmetic(n=4)" in text
    assert "math = rlvr.rewards.math.math_reward()" in text
    assert "at step 2 of 3" in text
    assert "not finished" in text
    assert "abc123, with uncommitted changes" in text
    assert "torch 2.13" in text
    assert f"rlvr train resume={run}" in text


def test_the_result_is_the_paired_difference_of_the_journals(run: Path) -> None:
    before = {f"h{number}": 0.25 for number in range(8)}
    after = {f"h{number}": 0.75 for number in range(8)} | {"h0": 0.5, "h1": 1.0}
    gain = paired_difference(before, after)
    assert gain is not None
    text = page_of(run).text
    assert "25.0% (15.0% to 35.0%) at step 0, 75.0% (65.0% to 85.0%) at step 2." in text
    points = f"+{100 * gain.mean:.1f} points, 95% CI +{100 * gain.low:.1f} to +{100 * gain.high:.1f}"
    assert gain.p == 2 / 2**8
    assert f"the gain is statistically significant ({points}, p = 0.008); " in text
    assert "the share of correct answers changed for 8 of 8 problems" in text
    assert "but not the variation between training seeds." in text


def test_no_change_is_not_sold_as_one(run: Path) -> None:
    names = [f"h{number}" for number in range(8)]
    write_heldout(run / "rl", 2, {name: [name < "h3", name > "h4", False, False] for name in names})
    text = page_of(run).text
    assert "the difference is not statistically significant (" in text
    assert "is statistically significant (" not in text
    assert "improves" not in text


def test_without_heldout_journals_nothing_is_paired(run: Path) -> None:
    journal_path(run / "rl", "heldout", 2).unlink()
    text = page_of(run).text
    assert "75.0% (65.0% to 85.0%) at step 2." in text
    assert (
        "not tested problem by problem: the journal of the held-out evaluation at step 2 is missing" in text
    )


def test_times_tokens_and_verdicts_are_the_sums_of_the_metrics(run: Path) -> None:
    text = page_of(run).text
    assert "generate 6.0 s 75.0%" in text
    assert "learn 2.0 s 25.0%" in text
    assert "tokens sampled per second of generation 100" in text
    assert "tokens trained on per second of learning 200" in text
    assert "tokens sampled per second of a step 75" in text
    assert "correct 7 87.50%" in text
    assert "wrong 1 12.50%" in text
    assert "latency: median, p99, max 2 ms, 4 ms, 8 ms" in text


def test_reasons_are_counted_by_rule_where_there_is_one(run: Path) -> None:
    text = page_of(run).text
    assert "correct same text 2 3 = 3" in text
    assert "wrong 4 is not 3 2 4 is not 3" in text


def test_a_warning_names_its_rule_and_its_number(run: Path) -> None:
    text = page_of(run).text
    assert "⚠ The mean of the last quarter of the steps is 0.9, > 0.7: most rollouts are wasted" in text
    assert "Warns if the mean of the last quarter of the steps < 1.1." in text
    assert "One value is out of range" in text


def test_settings_are_compared_with_the_defaults() -> None:
    found = {each.key: (each.value, each.default) for each in changed_settings(CONFIG)}
    assert found["rl.steps"] == ("3", "100")
    assert found["problems.train.n"] == ("4", "–")
    assert "rl.max_logprob_gap" not in found  # as by default


@pytest.mark.parametrize("missing", ["config.yaml", "versions.json"])
def test_a_file_that_is_missing_is_named(run: Path, missing: str) -> None:
    (run / missing).unlink()
    folder = run / "rl" if missing == "config.yaml" else run
    assert f"There is no {missing}" in page_of(folder).text


def test_sft_alone_has_a_report(tmp_path: Path) -> None:
    config = CONFIG | {"stages": ["sft"], "sft": {"steps": 2}}
    line = {"train/loss": 2.0, "tokens/trained": 50.0, "time/step": 1.0, "time/learn": 1.0}
    folder = write_run(tmp_path / "run", {"sft": [line, line, line]}, config)
    (folder / "sft" / "result.json").write_text('{"step": 2}')
    page = page_of(folder)
    assert "sft finished, 2 steps" in page.text
    assert "Loss" in page.text
    assert "tokens trained on per second of learning 50" in page.text
    assert "There is no held-out evaluation yet." in page.text


def test_a_run_that_crashed_at_once_has_a_report(tmp_path: Path) -> None:
    text = page_of(write_run(tmp_path / "run", {})).text
    assert "No stage has written any data yet." in text
    assert "rl not begun" in text


def test_half_a_line_of_metrics_is_passed_over(run: Path) -> None:
    with (run / "rl" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "train/rew')
    assert "at step 2 of 3" in page_of(run).text


def test_broken_metrics_are_named_and_the_rest_is_shown(run: Path) -> None:
    with (run / "rl" / "metrics.jsonl").open("a") as file:
        file.write("no json\n")
    text = page_of(run).text
    assert "metrics.jsonl, line 4 is not a line of metrics" in text
    assert "Rollouts: best, worst, strangest" in text


def test_a_broken_file_of_the_journal_is_named_and_the_rest_is_shown(run: Path) -> None:
    journal_path(run / "rl", "train", 2).write_bytes(b"PAR1 and no more")
    text = page_of(run).text
    assert "the journal's file step_000002.parquet is left out" in text
    assert "correct same text 1" in text


def test_no_journal_is_said(tmp_path: Path) -> None:
    text = page_of(write_run(tmp_path / "run", {"rl": [{}, STEP]})).text
    assert "no journal of rollouts" in text
    assert "no held-out evaluation" in text


def test_a_folder_with_the_signs_of_a_pattern_is_read(run: Path) -> None:
    odd = run.with_name("a[1]*?b")
    run.rename(odd)
    other = odd.with_name("a1xxb")  # that the name as a pattern would find
    assert "correct same text 2" in page_of(odd).text
    assert not other.exists()


HOSTILE = '"><script>window.sentinel=1</script><img src=x onerror=window.sentinel=1>'


def hostile_run(folder: Path) -> Path:
    config = CONFIG | {
        "name": HOSTILE,
        "stages": ["rl"],
        "reward": {"functions": {HOSTILE: {"_target_": HOSTILE}}},
        HOSTILE: HOSTILE,
    }
    metrics = STEP | {f"reward/{HOSTILE}": 1.0, f"filters/{HOSTILE}": 0.9, f"verdicts/{HOSTILE}": 1.0}
    write_run(folder, {"rl": [{}, metrics, metrics]}, config)
    one = rollout(f"{HOSTILE} ${HOSTILE}$ \\(\\text{{{HOSTILE}}}\\) </div></main>")
    said = verdict(1.0, reason=HOSTILE, rule=HOSTILE, extracted=HOSTILE)
    problem = Problem(HOSTILE, HOSTILE, HOSTILE, columns={HOSTILE: HOSTILE})
    write_step(folder / "rl", [(one, said, learned(one, 1.0))], problem=problem)
    return folder


def test_nothing_that_a_run_holds_becomes_an_element(tmp_path: Path) -> None:
    page = page_of(hostile_run(tmp_path / "run"))
    assert page.tags.isdisjoint({"script", "img", "iframe", "object", "link", "form", "base"})
    assert not any(name.startswith("on") for name, _ in page.attributes)
    addresses = [value for name, value in page.attributes if name in ("src", "href")]
    assert all(value and value.startswith("#") for value in addresses)
    assert page.text.count("window.sentinel=1") > 20  # shown, as text
    assert len(page.ids) == len(set(page.ids))


def test_half_a_surrogate_pair_in_a_name_does_not_stop_it(run: Path) -> None:
    path = run / "rl" / "metrics.jsonl"
    path.write_text(path.read_text().replace("reward/math", "reward/\\ud800"))
    assert "Mean of each reward function" in page_of(run).text


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    assert main([str(run), "--out", str(tmp_path / "new" / "r.html")]) == 0
    assert (tmp_path / "new" / "r.html").read_text().startswith("<!DOCTYPE html>")
    assert main([str(tmp_path / "nothing")]) == 2
    assert "rlvr: " in capsys.readouterr().err
    assert main([str(run), "--out", str(run)]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_chapters_are_in_order_with_a_recipe_s_evaluations_inside(tmp_path: Path) -> None:
    run, stages = tmp_path / "1", tmp_path / "stages"
    config = CONFIG | {"stages": ["sft"], "artefacts": str(stages), "evaluation": {"samples": 4}}
    write_run(run, {}, config)
    values = {"base-aaa": [0.0] * 8, "sft-bbb": [0.5] * 8}
    named = {"base": str(stages / "base-aaa"), "sft": str(stages / "sft-bbb")}
    for name, shares in values.items():
        stage, _, key = name.partition("-")
        evaluation = stages / f"{stage}-evaluation-{key}"
        named[f"{stage}-evaluation"] = str(evaluation)
        write_heldout(evaluation, 0, {f"h{number}": [False] * 4 for number in range(8)})
        results = {"problems": [f"h{n}" for n in range(8)], "values": shares, "samples": 4, "unreached": 0}
        (evaluation / "results.json").write_text(json.dumps({"heldout": results}))
        (evaluation / "manifest.json").write_text(json.dumps({"made_from": {"model": key}}))
    (stages / "sft-bbb").mkdir()
    (stages / "sft-bbb" / "metrics.jsonl").write_text('{"step": 1, "train/loss": 1.0}\n')
    manifest = {"key": "bbb", "made_from": {"model": "aaa"}, "versions": {"rlvr": "1"}}
    (stages / "sft-bbb" / "manifest.json").write_text(json.dumps(manifest))
    (run / "stages.json").write_text(json.dumps(named))
    (run / "table.md").write_text("| stage | n |\n| --- | --: |\n| a\\|b | 1 |\n\n- sft: improves\n")
    page = page_of(run)
    assert [name for name in page.ids if name.startswith("chapter")] == ["chapter-1", "chapter-2"]
    assert "0.0% (0.0% to 0.0%) after base, 50.0% (50.0% to 50.0%) after sft." in page.text
    assert "the gain is statistically significant (+50.0 points" in page.text
    assert "a|b 1 sft: improves" in page.text
    assert "sft, made from model aaa" in page.text
    # killed: its manifest is written when it begins, what was made when it ends
    assert "sft at step 1, last written" in page.text
    (stages / "sft-bbb" / "manifest.json").write_text(json.dumps(manifest | {"made": {"path": "x"}}))
    text = page_of(run).text
    assert "base evaluated" in text
    assert "sft finished, 1 steps" in text
    (stages / "base-evaluation-aaa" / "results.json").unlink()
    assert "base its evaluation has begun" in page_of(run).text


def test_an_evaluation_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"answers": "x", "problems": {"sets": ["mine"]}}))
    assert main([str(tmp_path)]) == 2
    assert (
        f"is an evaluation, and reports are for training; read {tmp_path}/results.md"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "report.html").exists()


def test_the_command_of_a_run_is_that_which_was_given(run: Path) -> None:
    notes = run / ".hydra"
    notes.mkdir()
    (notes / "overrides.yaml").write_text("[experiment=quickstart, 'name=a b']")
    settings = {"hydra": {"runtime": {"cwd": "/home/me", "choices": {"algorithm": "dapo"}}}}
    (notes / "hydra.yaml").write_text(yaml.safe_dump(settings))
    text = page_of(run).text
    assert "original command, in /home/me rlvr train experiment=quickstart 'name=a b'" in text
    sources = [("main", "/conf"), ("command-line", "/home/me/my conf"), ("schema", "")]
    settings["hydra"]["runtime"]["config_sources"] = [  # type: ignore[assignment]
        {"path": path, "schema": "file", "provider": provider} for provider, path in sources
    ]
    (notes / "hydra.yaml").write_text(yaml.safe_dump(settings))
    given = "rlvr train '--config-dir=/home/me/my conf' experiment=quickstart 'name=a b'"
    assert f"original command, in /home/me {given}" in page_of(run).text
    settings["hydra"]["job"] = {"config_name": "config"}  # a resume has written its own over them
    (notes / "hydra.yaml").write_text(yaml.safe_dump(settings))
    text = page_of(run).text
    assert "as it was given" not in text
    assert f"rlvr train --config-path {run} --config-name config hydra.run.dir=runs/again" in text


def test_a_table_in_markdown() -> None:
    rows, notes = markdown_table("| a | b |\n| - | -: |\n| x\\|y | – |\n\nnote\n- item\n")
    assert rows == [["a", "b"], ["x|y", "–"]]
    assert notes == ["note", "item"]


def test_summaries_of_a_series() -> None:
    values = [float(value) for value in range(1, 21)]
    assert late(values) == 18.0  # of 16 … 20
    assert early(values) == 1.5  # of 1 and 2
    assert math.isnan(late([]))
    assert math.isnan(early([]))


@pytest.mark.parametrize(
    ("over", "values", "number"),
    [
        (LATE, [0, 0, 0, 8], 8),
        (LARGEST, [1, 9, 2], 9),
        (SPIKE, [2, 2, 10, 2, 2], 5),
        (FALL, [4, 3, 2, 1], 0.25),
        (RISE, [3, 2, 2.5], 1.25),
    ],
)
def test_rules(over: str, values: list[float], number: float) -> None:
    assert Rule(over, ">", number, "").measure(values) == number
    assert Rule(over, ">", number - 0.01, "").broken(values)
    assert not Rule(over, ">", number + 0.01, "").broken(values)
    assert Rule(over, "<", number + 0.01, "").broken(values)


def test_a_rule_without_a_number_is_not_broken() -> None:
    for over in (SPIKE, FALL, RISE):
        assert not Rule(over, ">", -1, "").broken([0.0, 0.0])
        assert not Rule(over, "<", 1, "").broken([0.0, 0.0])


def test_the_run_s_own_limit_is_the_rule_of_the_gap() -> None:
    metrics = Metrics({step: {"rollouts/logprob_gap": 4e-4} for step in range(4)})
    assert not panels(metrics, {"rl": {"max_logprob_gap": 1e-3}})[0].warnings
    assert panels(metrics, {"rl": {"max_logprob_gap": 5e-4}})[0].warnings


@pytest.mark.parametrize("part", ["learner", "rollout"])
def test_the_default_limit_of_the_gap_is_that_of_the_data_type(part: str) -> None:
    metrics = Metrics({step: {"rollouts/logprob_gap": 0.02} for step in range(4)})
    config = {
        "rl": {"max_logprob_gap": None},
        "learner": {"dtype": "float32"},
        "rollout": {"dtype": "float32"},
    }
    assert panels(metrics, config)[0].warnings
    assert not panels(metrics, config | {part: {"dtype": "bfloat16"}})[0].warnings
    for dtype, limit in (("float32", 1e-3), ("bfloat16", 0.05)):
        run = RunConfig(
            **{part: RolloutConfig(dtype=dtype) if part == "rollout" else LearnerConfig(dtype=dtype)}
        )
        assert run.rl.max_logprob_gap == run.opd.loop.max_logprob_gap == limit
        assert RunConfig(rl=RlConfig(max_logprob_gap=0.3), learner=run.learner).rl.max_logprob_gap == 0.3


def test_what_is_not_finite_is_in_no_series(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {"rl": [{"a": float("nan"), "b": 1.0}, {"a": 2.0}]})
    metrics, wrong = load_metrics(tmp_path / "run" / "rl")
    assert wrong is None
    assert metrics.series("a") == ([1], [2.0])
    assert metrics.series("b") == ([0], [1.0])


def test_what_a_resume_changed_is_shown(run: Path) -> None:
    assert "Changed by a resume" not in page_of(run).text
    change = {"step": 1, "key": "rl.optimizer.lr", "old": 1e-6, "new": 5e-7}
    (run / "rl" / "changes.jsonl").write_text(json.dumps(change) + "\n{half a li")
    text = page_of(run).text
    assert "Changed by a resume" in text
    assert "rl, after step 1 rl.optimizer.lr: 1e-06 → 5e-07" in text


def test_the_configuration_is_there_in_full(run: Path) -> None:
    source = write_report(open_run(run), run / "report.html").read_text()
    shown = re.search(r"resolved</summary><pre>(.*?)</pre>", source, re.DOTALL)
    assert shown is not None
    assert yaml.safe_load(shown[1]) == CONFIG


def test_right_with_true_steps_stands_beside_right(run: Path) -> None:
    text = page_of(run).text
    assert "true steps" not in text
    assert "all steps true" not in text
    for step, true in ((0, True), (2, False)):  # right as often as before, and never with true steps
        file = journal_path(run / "rl", "heldout", step)
        groups = read_journal(run / "rl", "heldout", step)
        for each in groups:
            each.verdicts = [replace(verdict, true_steps=true) for verdict in each.verdicts]
        write_journal(file, groups)
    metrics = run / "rl" / "metrics.jsonl"
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    shares = {0: 0.25, 2: 0.0}
    for line in lines:
        if line["step"] in shares:
            line |= {"heldout/true_steps": shares[line["step"]], "train/true_steps": shares[line["step"]]}
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = page_of(run).text
    assert "of the held-out set with true steps: 25.0%" in text
    assert "the drop is statistically significant (-25.0 points, 95% CI" in text
    assert (
        text.count("p = 0.016 after Holm's correction for 2 comparisons") == 4
    )  # of both sets, in two places
    assert text.count("right, all steps true") >= 2  # a line in the held-out chart and in that of training


def test_an_evaluation_s_true_steps_are_a_set_beside_it(tmp_path: Path) -> None:
    result = {"problems": ["a", "b"], "values": [1.0, 0.5], "samples": 2}
    steps = {"true_steps": {"values": [0.5, None]}}
    (tmp_path / "results.json").write_text(json.dumps({"s": result | {"metrics": steps}, "t": result}))
    found = read_evaluation(tmp_path)
    assert list(found) == ["s", "s with true steps", "t"]
    assert found["s with true steps"].values == {"a": 0.5}
