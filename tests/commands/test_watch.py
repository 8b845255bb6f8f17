"""`rlvr watch`: runs that grow, end, die and are resumed, made by hand; it never writes."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import rlvr
from rlvr.commands.watch import GrowingMetrics, WatchedRun, main
from rlvr.pipeline.status import State
from rlvr.record.progress import BLOCKS, StageView, sparkline
from rlvr.record.run_folder import RunFolder
from rlvr.record.sinks import JsonLines, truncate_metrics
from rlvr.types import DataError

STEP = {"train/reward": 0.5, "time/step": 2.0, "time/generate": 1.5, "time/learn": 0.5}
# a second watcher's patience, made short
WATCH = """
import sys
from rlvr.commands import watch
watch.EVERY = watch.SLOWLY = watch.LINE_EVERY = 0.02
sys.exit(watch.main(sys.argv[1:]))
"""


def a_run(folder: Path, steps: int = 4, stages: tuple[str, ...] = ("sft", "rl")) -> RunFolder:
    """A run that has just begun, locked by this process."""
    run = RunFolder(folder)
    run.write_config(yaml.safe_dump({"stages": list(stages), "sft": {"steps": 2}, "rl": {"steps": steps}}))
    for stage in stages:
        run.stage(stage)
    return run


def log(stage: Path, first: int, last: int, **metrics: float) -> None:
    sink = JsonLines(stage / "metrics.jsonl")
    for step in range(first, last + 1):
        sink.log(step, STEP | metrics)
    sink.close()


def finish(stage: Path, step: int) -> None:
    (stage / "result.json").write_text(
        json.dumps({"step": step, "checkpoint": f"step_{step:06d}", "data": ""})
    )


# --- the file that grows -----------------------------------------------------------------------------


def test_lines_are_read_once_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    growing = GrowingMetrics(path)
    assert growing.look() == (False, [])  # not there yet
    path.write_bytes(b'{"step": 1, "a": 1}\n{"step": 2, "a"')
    assert growing.look() == (False, [(1, {"a": 1})])
    assert growing.look() == (False, [])
    with path.open("ab") as file:
        file.write(b': null}\n{"step": 3}\n')
    assert growing.look() == (False, [(2, {"a": None}), (3, {})])


def test_a_resume_makes_what_was_read_void(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log(tmp_path, 1, 4)
    growing = GrowingMetrics(path)
    assert [step for step, _ in growing.look()[1]] == [1, 2, 3, 4]
    truncate_metrics(path, 2)
    log(tmp_path, 3, 9)  # longer than before
    void, lines = growing.look()
    assert void
    assert [step for step, _ in lines] == list(range(1, 10))
    assert growing.look() == (False, [])


def test_half_a_line_that_a_resume_cuts_off_is_never_seen(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log(tmp_path, 1, 1)
    with path.open("ab") as file:
        file.write(b'{"step": 2, "train/rew')
    growing = GrowingMetrics(path)
    assert len(growing.look()[1]) == 1
    log(tmp_path, 2, 2)
    assert growing.look() == (False, [(2, STEP)])


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n')
    growing = GrowingMetrics(path)
    growing.look()
    with path.open("a") as file:
        file.write('{"step": 2}\nnonsense\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl, line 3 is not"):
        growing.look()


# --- how it looks ------------------------------------------------------------------------------------


def test_a_sparkline_is_the_mean_of_each_part() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == BLOCKS
    assert sparkline([0, 0, 7, 7, 3, 3], 3) == "▁█▄"
    assert sparkline([0, 2, 6, 8], 2) == "▁█"  # means 1 and 7
    assert set(sparkline([2.0] * 9, 5)) == {"▅"}


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.integers(1, 60))
def test_a_sparkline_fits_and_turns_round_with_its_values(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    levels = [BLOCKS.index(block) for block in line]
    assert max(levels) - min(levels) in (0, len(BLOCKS) - 1)
    scaled = [BLOCKS.index(block) for block in sparkline([-value for value in values], width)]
    # halves are rounded to even, so that both ways may be off by one
    assert all(abs(level + other - len(BLOCKS) + 1) <= 1 for level, other in zip(levels, scaled, strict=True))


def test_the_panel_draws_reward_and_heldout_over_the_steps() -> None:
    view = StageView("rl", 10)
    for step in range(8):
        view.update(
            step,
            STEP | {"train/reward": float(step)} | ({"heldout/pass@1": step / 10} if step % 4 == 0 else {}),
        )
    console = Console(file=io.StringIO(), width=100)
    console.print(view.panel(8.0))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"reward +0\.000 +▁▂▃▄▅▆▇█ +7\.000", text)
    assert re.search(r"held-out pass@1 +0\.0% +▁█ +40\.0%", text)
    assert "ETA 3.4 s" in text  # 3 steps of 8/7 s


def test_a_stage_without_a_known_end_has_no_eta() -> None:
    view = StageView("distill", None)
    view.update(3, {})
    assert view.line(6.0) == "distill step 3"
    assert view.line(6.0, running=False) == "distill step 3 | took 6.0 s"


def test_skipped_optimizer_steps_are_added_up() -> None:
    view = StageView("rl", 10)
    for step, skipped in enumerate([0.0, 1.0, 0.0, 2.0], start=1):
        view.update(step, {"learner/skipped": skipped})
        assert ("skipped" in view.line(6.0)) == (step > 1)
    assert "optimizer steps skipped 3" in view.line(6.0)


# --- how a run stands --------------------------------------------------------------------------------


def once(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = main([str(folder), "--once"])
    return code, capsys.readouterr().out.splitlines()


def test_a_run_that_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with a_run(tmp_path / "runs" / "now") as run:
        assert once(run.path, capsys) == (0, ["runs/now: running", "  no stage has begun"])
        log(run.path / "sft", 1, 2, **{"train/loss": 1.0})
        finish(run.path / "sft", 2)
        log(run.path / "rl", 1, 2)
        os.utime(run.path / "sft" / "metrics.jsonl", (1, 1))
        shown = "reward 0.500 | generate 75% learn 25%"
        assert once(run.path, capsys) == (
            0,
            [
                "runs/now: running",
                f"  sft step 2/2 | {shown} | took 4.0 s",
                f"  rl step 2/4 | {shown} | ETA 4.0 s",
            ],
        )
        # a stage alone is of the run that is locked
        assert once(run.path / "rl", capsys)[1][0] == "now/rl: running"


def test_a_run_that_has_died_says_how_to_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with a_run(tmp_path) as run:
        log(run.path / "sft", 1, 2)
        finish(run.path / "sft", 2)
        log(run.path / "rl", 1, 3)
    for folder in (tmp_path, tmp_path / "rl"):
        code, lines = once(folder, capsys)
        assert code == 3
        assert lines[0].endswith(": killed")
        assert lines[-1].startswith("The run is not complete, and no process is running it; ")
        assert lines[-1].endswith(f"; continue with: rlvr train resume={tmp_path}")
    # resumed by another process
    with RunFolder(tmp_path):
        assert once(tmp_path, capsys)[0] == 0


def test_a_finished_run_ends_with_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with a_run(tmp_path) as run:
        log(run.path / "sft", 1, 2)
        log(run.path / "rl", 0, 4, **{"heldout/pass@1": 0.25})
        finish(run.path / "rl", 4)
    assert once(tmp_path, capsys)[0] == 3  # sft has no result
    finish(tmp_path / "sft", 2)
    code, lines = once(tmp_path, capsys)
    assert code == 0
    assert lines[0].endswith(": finished")
    assert lines[-1].startswith("| after RL  | ")
    assert main([str(tmp_path)]) == 0  # nothing to follow
    assert capsys.readouterr().out.splitlines() == lines


def test_a_run_that_was_given_more_steps_and_died_is_not_finished(tmp_path: Path) -> None:
    with a_run(tmp_path, stages=("rl",)) as run:
        log(run.path / "rl", 1, 4)
        finish(run.path / "rl", 4)
    assert WatchedRun(tmp_path).state is State.DONE
    a_run(tmp_path, steps=9, stages=("rl",)).close()
    log(tmp_path / "rl", 5, 6)
    assert WatchedRun(tmp_path).state is State.KILLED


def test_a_recipes_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, stages = tmp_path / "runs" / "now", tmp_path / "runs" / "stages"
    with RunFolder(run) as folder:
        settings = {"artefacts": "x", "trainers": {"teacher": {"steps": 3}}, "opd": {"loop": {"steps": 7}}}
        folder.write_config(yaml.safe_dump({"stages": ["teacher", "distill", "opd"], **settings}))
        names = {name: f"../stages/{name}-0a" for name in ("base", "teacher", "distill", "opd")}
        (run / "stages.json").write_text(json.dumps(names))
        (run / ".hydra").mkdir()
        (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(["recipe=quickstart", "a=[b, c]"]))
        for name in names:
            (stages / f"{name}-0a").mkdir(parents=True)
            (stages / f"{name}-0a" / "manifest.json").write_text('{"made": {}, "versions": {}}')
        log(stages / "teacher-0a", 1, 3)
        (stages / "distill-0a" / "journal" / "train").mkdir(parents=True)
        (stages / "distill-0a" / "journal" / "train" / "step_000000.parquet").touch()
        log(stages / "opd-0a", 1, 2)
        (stages / "opd-0a" / "manifest.json").write_text('{"versions": {}}')
        assert once(run, capsys)[1][-1].startswith("  opd step 2/7 | ")
    code, lines = once(run, capsys)
    assert code == 3
    assert lines[1].startswith("  teacher step 3/3 | ")
    assert lines[2] == "  distill step 1"
    assert lines[-1].endswith("continue with: rlvr recipe recipe=quickstart 'a=[b, c]'")
    (stages / "opd-0a" / "manifest.json").write_text('{"made": {}, "versions": {}}')
    (run / "table.md").write_text("| the table |\n")
    code, lines = once(run, capsys)
    assert (code, lines[0], lines[-1]) == (0, "runs/now: finished", "| the table |")


def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "absent"), "--once"]) == 2
    assert "absent is no folder" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([])
    with RunFolder(tmp_path / "sweep"):  # locked as a whole while it goes on
        for arm in ("a", "b"):
            a_run(tmp_path / "sweep" / arm).close()
        os.utime(tmp_path / "sweep" / "b", (1, 1))
        assert main([str(tmp_path / "sweep")]) == 2
    assert capsys.readouterr().err.endswith(
        f"holds 2 runs; give one of them, such as the newest: {tmp_path}/sweep/a\n"
    )


def test_watching_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with a_run(tmp_path) as run:
        log(run.path / "sft", 1, 2)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    once(tmp_path, capsys)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_run_whose_folder_cannot_be_written_is_watched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with a_run(tmp_path) as run:
        log(run.path / "sft", 1, 2)
        (tmp_path / "run.lock").chmod(0o400)
        assert once(tmp_path, capsys)[0] == 0


# --- following ---------------------------------------------------------------------------------------


def start(folder: Path, out: int, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WATCH, str(folder)],
        stdin=out,
        stdout=out,
        stderr=out,
        env=os.environ | {"PYTHONPATH": str(Path(rlvr.__file__).parent.parent)} | environment,
    )


@pytest.fixture
def terminal() -> Iterator[tuple[int, Callable[[str], str]]]:
    """The end for a process, and a function that reads from the other until it has seen something."""
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (30, 120))
    seen = ""

    def until(what: str) -> str:
        nonlocal seen
        while what not in seen:
            assert select.select([parent], [], [], 60)[0], f"{what!r} does not come; so far: {seen}"
            seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(parent, 65536).decode(errors="replace"))
        before, _, seen = seen.partition(what)
        return before

    yield child, until
    os.close(parent)
    os.close(child)


def test_watch_follows_a_run_from_its_start_to_its_end(
    tmp_path: Path, terminal: tuple[int, Callable[[str], str]]
) -> None:
    child, until = terminal
    with RunFolder(tmp_path):  # begun, but its configuration is not checked yet
        process = start(tmp_path, child, TERM="xterm-256color")
        a_config = {"stages": ["sft", "rl"], "sft": {"steps": 2}, "rl": {"steps": 4}}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(a_config))
        until("no stage has begun")
        log(tmp_path / "sft", 1, 1)
        until("step 1 of 2")
        log(tmp_path / "sft", 2, 2)
        finish(tmp_path / "sft", 2)
        log(tmp_path / "rl", 1, 3)
        until("step 3 of 4")
        truncate_metrics(tmp_path / "rl" / "metrics.jsonl", 1)
        until("step 1 of 4")
        log(tmp_path / "rl", 2, 4)
        until("step 4 of 4")
        assert process.poll() is None
        finish(tmp_path / "rl", 4)
    until(": finished")
    until("| after RL  |")
    assert process.wait(timeout=30) == 0


def test_ctrl_c_ends_watching_and_not_the_run(
    tmp_path: Path, terminal: tuple[int, Callable[[str], str]]
) -> None:
    child, until = terminal
    before = termios.tcgetattr(child)
    with a_run(tmp_path) as run:
        process = start(tmp_path, child, TERM="xterm-256color")
        until("no stage has begun")
        process.send_signal(signal.SIGINT)
        until("stopped watching; the run is not affected")
        assert process.wait(timeout=30) == 130
        log(run.path / "sft", 1, 1)
    assert termios.tcgetattr(child) == before


def test_elsewhere_it_is_lines_without_escape_codes(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with a_run(tmp_path) as run, os.fdopen(reading) as out:
        process = start(tmp_path, writing)
        os.close(writing)
        log(run.path / "sft", 1, 1)
        lines = [out.readline()]
        log(run.path / "sft", 2, 2)
        lines.append(out.readline())
        run.close()
        rest = out.read()
    assert process.wait(timeout=30) == 3
    assert [line.partition(" | ")[0] for line in lines] == ["sft step 1/2", "sft step 2/2"]
    assert "killed" in rest
    assert "\x1b" not in "".join([*lines, rest])
