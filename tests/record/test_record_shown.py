"""What a person sees: progress, curves and table, all from metrics alone."""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from groups import group, rollout, verdict
from rich.console import Console

import rlvr
from rlvr.base.text import aligned
from rlvr.record import progress
from rlvr.record.progress import Progress, duration
from rlvr.record.sinks import JsonLines
from rlvr.results import curves as plot
from rlvr.results.curves import plot_curves, smoothed
from rlvr.results.summary import summary_table
from rlvr.rewards.pool import RewardPool
from rlvr.stages.buffer import RolloutBuffer
from rlvr.types import DataError

STEP = {
    "train/reward": 0.5,
    "train/accuracy": 0.25,
    "time/step": 2.0,
    "time/generate": 1.5,
    "time/learn": 0.5,
    "tokens/sampled": 5000.0,
}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "monotonic", clock)
    return clock


def plain() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=False, width=40), out


def test_plain_lines_tell_all_without_escape_codes(clock: Clock) -> None:
    console, out = plain()
    with Progress("rl", steps=10, start=5, console=console) as shown:
        shown.update(5, {"heldout/pass@1": 0.47})
        clock.now = 30.0
        shown.update(6, STEP)
        clock.now = 60.0
        shown.update(7, STEP | {"train/reward": float("nan")})
    known = "| held-out pass@1 47.0% | tokens/s 2,500 | generate 75% learn 25% |"
    assert out.getvalue().splitlines() == [
        "rl step 5/10 | held-out pass@1 47.0% | ETA –",
        f"rl step 6/10 | reward 0.500 | accuracy 25.0% {known} ETA 2 min 00 s",
        f"rl step 7/10 | reward – | accuracy 25.0% {known} ETA 1 min 30 s",
    ]


def test_a_step_of_rl_shows_what_moves_and_no_loss(clock: Clock) -> None:
    console, out = plain()
    moving = {"rollouts/length": 14.25, "learner/entropy": 0.5, "learner/reference_kl": 0.01234}
    with Progress("rl", steps=9, console=console) as shown:
        clock.now = 30.0
        shown.update(1, STEP | moving | {"train/loss": 1e-9, "learner/grad_norm": 0.123456})
    (line,) = out.getvalue().splitlines()
    assert "| tokens per answer 14.2 | entropy 0.500 | KL to reference 0.0123 | gradient norm 0.123 |" in line
    assert "loss" not in line


def test_fast_steps_do_not_flood_a_log(clock: Clock) -> None:
    console, out = plain()
    with Progress("sft", steps=101, console=console) as shown:
        for step in range(1, 102):
            clock.now += 0.1
            shown.update(step, {"train/loss": 1.0, "time/step": 0.1, "tokens/trained": 1.0})
    lines = out.getvalue().splitlines()
    assert 5 <= len(lines) <= 8
    assert lines[-1].startswith("sft step 101/101 | loss 1.0000 | tokens/s 10")


def test_a_long_step_shows_its_answers_every_few_seconds(clock: Clock) -> None:
    console, out = plain()
    with Progress("distill", steps=2, console=console) as shown:
        for second in range(25):
            clock.now = float(second)
            shown.within(2 * second, 100)
        clock.now = 50.0
        shown.update(1, {"train/accuracy": 0.5})
    assert out.getvalue().splitlines() == [
        "distill step 0/2 | next: 20 of 100 answers | ETA 1 min 30 s",
        "distill step 0/2 | next: 40 of 100 answers | ETA 1 min 20 s",
        "distill step 1/2 | accuracy 50.0% | ETA 50.0 s",
    ]


def test_the_panel_shows_the_answers_of_a_step_under_way(clock: Clock) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    with Progress("evaluate", steps=1, console=console) as shown:
        shown.within(12, 96)
    assert "next: 12 of 96 answers" in out.getvalue()


class StepGroups(RolloutBuffer):
    """Its pool has one more answer each time that it waits, and all verdicts come at the end."""

    def _advance(self, others: list[Any]) -> list[Any]:
        group = next(iter(self.batches[3].groups.values()))
        group.rollouts.append(rollout(len(group.rollouts)))
        if len(group.rollouts) == self.batches[3].size:
            group.verdicts.extend(verdict(1.0) for _ in group.rollouts)
        return others


def test_a_buffer_tells_how_many_answers_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = SimpleNamespace(submit=lambda group: None)
    buffer = StepGroups(cast(Any, pool), RewardPool([], 1.0), False, lambda: False)
    seen: list[tuple[int, int]] = []
    buffer.submit(3, [group([], name="p").problem], [cast(Any, [None] * 4)])
    assert len(buffer.take(3, seen=lambda *counts: seen.append(counts)).groups[0].rollouts) == 4
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_panel_divides_its_bar_by_time(clock: Clock) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    with Progress("rl", steps=10, console=console) as shown:
        clock.now = 3.0
        shown.update(1, STEP | {"time/generate": 1.2, "time/reward": 0.0, "time/learn": 0.8})
    last = re.split(r"\x1b\[[0-9?]*[A-Za-z]", out.getvalue().rstrip())
    text = "\n".join(last)
    assert "step 1 of 10" in text
    assert "generate 60%" in text
    assert "ETA 27.0 s" in text
    bars = [line for line in text.splitlines() if line and set(line.strip()) == {"━"}]
    assert {len(line.strip()) for line in bars} == {progress.BAR_WIDTH}


INTERRUPTED = """
import sys, time
from rlvr.record.progress import Progress
with Progress("rl", 10) as shown:
    shown.update(1, {"train/reward": 0.5, "time/step": 1.0, "time/learn": 1.0})
    print("a line of someone else")
    sys.stdout.flush()
    signal_me = open(sys.argv[1], "w").close()
    time.sleep(60)
"""


def test_ctrl_c_leaves_a_clean_terminal(tmp_path: Path) -> None:
    import fcntl
    import termios

    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
    before = termios.tcgetattr(child)
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    environment = os.environ | {
        "PYTHONPATH": str(Path(rlvr.__file__).parent.parent),
        "TERM": "xterm-256color",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(ready)],
        stdin=child, stdout=child, stderr=child, env=environment,
    )  # fmt: skip
    ready.read_text()  # returns when the process has opened and closed it
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == -signal.SIGINT
    assert termios.tcgetattr(child) == before
    os.close(child)
    output = b""
    while chunk := _read(parent):
        output += chunk
    os.close(parent)
    text = output.decode()
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l") >= 0  # the cursor is back
    shown, trace = text.split("Traceback", 1)
    assert "a line of someone else" in shown
    assert "step 1 of 10" in shown
    assert re.search(r"[\r\n]+(\x1b\[\?25h)?$", shown)  # what follows starts on a line of its own
    assert "\x1b[?25l" not in trace


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says EIO where the other end is closed
        return b""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s"), (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"), (7625, "2 h 07 min"), (360000, "100 h 00 min"),
    ],
)  # fmt: skip
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def a_run(path: Path, *, sft: bool = True, interval: bool = True) -> Path:
    if sft:
        sink = JsonLines(path / "sft" / "metrics.jsonl")
        for step in range(1, 4):
            sink.log(step, {"time/step": 20.0, "tokens/trained": 1000})
        sink.close()
    sink = JsonLines(path / "rl" / "metrics.jsonl")
    for step, value in ((0, 0.5), (2, 0.9), (4, 0.625)):
        if step:
            sink.log(step - 1, STEP)
            sink.log(step, STEP | {"train/reward": float("nan")})
        ends = {"heldout/pass@1_low": value - 0.05, "heldout/pass@1_high": value + 0.05} if interval else {}
        sink.log(step, {"heldout/pass@1": value} | ends)
    sink.close()
    return path


def cells(table: str) -> list[list[str]]:
    assert len({len(line) for line in table.splitlines()}) == 1  # aligned
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_table(tmp_path: Path) -> None:
    head, rule, start, end = cells(summary_table(a_run(tmp_path)))
    assert head == ["", "pass@1 (95% interval)", "gain", "steps", "wall-clock", "tokens"]
    assert all(set(cell) <= {"-", ":"} for cell in rule)
    assert start == ["SFT start", "50.0% (45.0% to 55.0%)", "", "3", "1 min 00 s", "3,000"]
    assert end == ["after RL", "62.5% (57.5% to 67.5%)", "+12.5 points", "4", "8.0 s", "20,000"]
    assert summary_table(tmp_path / "rl") == summary_table(tmp_path)


def test_an_arm_s_sft_is_where_stages_json_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arm = a_run(tmp_path / "arm")
    table = summary_table(arm)
    (tmp_path / "shared").mkdir()
    (arm / "sft").rename(tmp_path / "shared" / "sft-abc")
    (arm / "stages.json").write_text('{"sft": "../shared/sft-abc", "rl": "rl"}')
    assert summary_table(arm) == summary_table(arm / "rl") == table
    starts = []
    monkeypatch.setattr(plot, "_heldout", lambda axes, steps, start: starts.append(start))
    plot_curves(arm)
    plot_curves(a_run(tmp_path / "alone", sft=False))
    assert starts == ["SFT start", "start"]


def test_cells_cannot_break_a_table() -> None:
    table = aligned([["", "n"], ["a|b\nc\x1b[2Jd", "x\\|y"]])
    assert table.splitlines()[2] == "| a\\|b c[2Jd | x\\|y |"
    assert len(table.splitlines()) == 3


def test_table_of_a_run_without_sft_or_interval(tmp_path: Path) -> None:
    *_, start, end = cells(summary_table(a_run(tmp_path, sft=False, interval=False)))
    assert start == ["start", "50.0%", "", "–", "–", "–"]
    assert end[:3] == ["after RL", "62.5%", "+12.5 points"]


def test_table_of_a_run_that_was_stopped_before_its_second_evaluation(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "metrics.jsonl")
    sink.log(0, {"heldout/pass@1": 0.5})
    sink.log(1, STEP)
    sink.close()
    *_, start, end = cells(summary_table(tmp_path))
    assert start[1] == "50.0%"
    assert end == ["after RL", "–", "–", "1", "2.0 s", "5,000"]


def test_no_metrics_no_table_no_curves(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        summary_table(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        plot_curves(tmp_path)
    sink = JsonLines(tmp_path / "metrics.jsonl")
    sink.log(1, {"train/loss": 1.0})
    with pytest.raises(DataError, match="has neither"):
        plot_curves(tmp_path)


def _colours(picture: Path) -> set[tuple[int, ...]]:
    from matplotlib.image import imread

    pixels = (imread(picture)[..., :3] * 255).round().astype(int)
    return set(map(tuple, pixels.reshape(-1, 3).tolist()))


BLUE, ORANGE, GREEN = (0x1F, 0x6F, 0xB4), (0xD9, 0x82, 0x2B), (0x2E, 0x8B, 0x57)


def test_curves_draw_what_was_measured(tmp_path: Path) -> None:
    picture = plot_curves(a_run(tmp_path))
    assert picture == tmp_path / "rl" / "curves.png"
    assert {BLUE, ORANGE, GREEN} <= _colours(picture)


def test_curves_of_a_run_that_was_never_evaluated(tmp_path: Path) -> None:
    sink = JsonLines(tmp_path / "metrics.jsonl")
    sink.log(1, {"train/accuracy": 0.5})
    found = _colours(plot_curves(tmp_path))
    assert BLUE in found
    assert not {ORANGE, GREEN} & found


def test_smoothing_keeps_a_constant_and_narrows_noise() -> None:
    for length in (1, 2, 5, 300):
        np.testing.assert_allclose(smoothed(np.full(length, 0.7)), 0.7)
    noise = np.random.default_rng(0).normal(size=300)
    assert smoothed(noise).std() < 0.4 * noise.std()
    assert len(smoothed(noise)) == 300
    up = smoothed(np.arange(100, dtype=np.float64))
    np.testing.assert_allclose(up[20:80], np.arange(20.0, 80.0))


def test_right_with_true_steps_is_shown_where_it_was_measured(tmp_path: Path, clock: Clock) -> None:
    path = a_run(tmp_path)
    assert "all steps true" not in summary_table(path)
    sink = JsonLines(path / "rl" / "metrics.jsonl")
    ends = {"heldout/true_steps_low": 0.2, "heldout/true_steps_high": 0.3}
    sink.log(6, {"heldout/pass@1": 0.75, "heldout/true_steps": 0.25} | ends)
    sink.close()
    head, _, start, end = cells(summary_table(path))
    assert (head[3], start[3], end[3]) == ("right, all steps true", "–", "25.0% (20.0% to 30.0%)")
    console, out = plain()
    with Progress("rl", steps=10, console=console) as shown:
        shown.update(10, STEP | {"train/true_steps": 0.125, "heldout/true_steps": 0.25})
    assert (
        "| accuracy 25.0% | right, all steps true 12.5% | held-out, all steps true 25.0% |" in out.getvalue()
    )


def test_the_curves_have_a_line_for_true_steps(tmp_path: Path) -> None:
    def drawn(name: str, **further: float) -> set[tuple[int, ...]]:
        sink = JsonLines(tmp_path / name / "metrics.jsonl")
        for step in (0, 4):
            sink.log(step, {"heldout/pass@1": 0.75, **further})
        sink.close()
        return _colours(plot_curves(tmp_path / name))

    assert ORANGE not in drawn("without")
    assert ORANGE in drawn("with", **{"heldout/true_steps": 0.25})
