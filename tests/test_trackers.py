"""Trackers: the real ones, and what one that blocks, raises or finds a full disk does to a run: nothing."""

from __future__ import annotations

import csv
import json
import re
import socket
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groups import group
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from test_record_run import python

from rlvr import compose
from rlvr.record import sinks
from rlvr.record.config import RecordConfig
from rlvr.record.sinks import MetricLog, read_metrics
from rlvr.record.trackers import Sample, TrackedStage
from rlvr.record.trackers.samples import LONGEST, pick_samples
from rlvr.record.trackers.tensorboard import TensorBoard
from rlvr.record.trackers.thread import LIMIT
from rlvr.types import ConfigError

ROW = Sample("1+1=?", "**3** | <script>\nno", "2", "wrong", -1.0)


class Listed:
    """Keeps what it is given, with the thread that gave it."""

    def __init__(self, stage: TrackedStage, seen: list[Any]) -> None:
        self.stage, self.seen = stage, seen

    def _keep(self, *what: Any) -> None:
        self.seen.append((threading.current_thread(), *what))

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self._keep("log", step, metrics)

    def samples(self, step: int, kind: str, rows: Sequence[Sample]) -> None:
        self._keep("samples", step, kind, rows)

    def close(self) -> None:
        self._keep("close")


class Blocks(Listed):
    """Waits for ever in `log`, or until its test has ended."""

    def __init__(self, stage: TrackedStage, until: threading.Event | None = None) -> None:
        self.until = until or threading.Event()

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self.until.wait()

    def close(self) -> None: ...


class Raises(Listed):
    """Raises `error` in the method `where`."""

    def __init__(self, stage: TrackedStage, where: str, error: BaseException) -> None:
        super().__init__(stage, [])
        self.where, self.error = where, error
        self._keep("__init__")

    def _keep(self, *what: Any) -> None:
        if what[0] == self.where:
            raise self.error


class FullDisk(Listed):
    def __init__(self, stage: TrackedStage) -> None:
        self.file = open("/dev/full", "w")  # noqa: SIM115

    def log(self, step: int, metrics: dict[str, float]) -> None:
        print(metrics, file=self.file, flush=True)


class NoTracker:
    def __init__(self, stage: TrackedStage) -> None: ...

    def log(self, step: int, metrics: dict[str, float]) -> None: ...


def listed(seen: list[Any]) -> dict[str, Any]:
    return {"_target_": "test_trackers.Listed", "seen": seen}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("rlvr")]


# what the setting takes


BLOCKS = {"_target_": "test_trackers.Blocks"}
WRONG = {
    "nearest name": (["tensorbord"], r"'tensorbord'.*: tensorboard, wandb, mlflow; did you mean 'tensorb"),
    "no module": (["nowhere.Tracker"], r"record\.trackers: 'nowhere\.Tracker'.*no module 'nowhere'"),
    "no class": (["test_trackers.Blokcs"], r"has no 'Blokcs'.*did you mean 'Blocks'"),
    "no argument": ([BLOCKS | {"util": 1}], r"record\.trackers\.util.*did you mean 'until'"),
    "argument that is given": ([BLOCKS | {"stage": 1}], r"given 'stage' at every call"),
    "missing argument": (["test_trackers.Listed"], r"Listed: missing a required argument: 'seen'"),
    "no tracker": (["test_trackers.NoTracker"], r"NoTracker has no method close: see docs/trackers\.md"),
    "nothing to call": (["test_trackers.WRONG"], r"WRONG is a dict, not something to call"),
    "neither name nor path": ([{"url": "x"}], r"\{'url': 'x'\} is neither a name nor"),
    "number": ([3], r"3 is neither a name nor"),
    "twice": (["wandb", {"_target_": "wandb"}], r"has wandb twice"),
    "argument of a name": ([{"_target_": "wandb", "projekt": "x"}], r"did you mean 'project'"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_tracker_that_cannot_be_made_is_said_with_what_is_meant(case: str) -> None:
    trackers, message = WRONG[case]
    with pytest.raises(ConfigError, match=message):
        RecordConfig(trackers=trackers)


def test_a_tracker_that_is_not_installed_is_an_error_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="mlflow is not installed: pip install"):
        RecordConfig(trackers=["mlflow"])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("record.trackers=[]", []),
        ("record.trackers=[tensorboard]", [("tensorboard", {})]),
        ("record.wandb_project=mine", [("tensorboard", {}), ("wandb", {"project": "mine"})]),
        ("record.trackers=[{_target_: wandb, project: other}]", [("wandb", {"project": "other"})]),
        (
            'record.trackers=[tensorboard,{_target_: test_trackers.Listed, seen: ["http://x:1"]}]',
            [("tensorboard", {}), ("test_trackers.Listed", {"seen": ["http://x:1"]})],
        ),
    ],
)
def test_trackers_of_the_command_line(given: str, named: list[Any]) -> None:
    compose.register_schema()
    with initialize_config_dir(str(compose.config_folder()), version_base="1.3"):
        config = compose.to_config(hydra_compose("train", [given]))
    assert [(name, arguments) for name, _, arguments in config.record.named_trackers()] == named


# what a tracker may do to a run


def test_a_tracker_gets_everything_in_order_in_a_thread_of_its_own(tmp_path: Path) -> None:
    seen: list[Any] = []
    metrics = {"a": 0.0}
    groups = [group([1.0, None])]
    with MetricLog(tmp_path, RecordConfig([listed(seen)]), {}) as log:
        for step in range(LIMIT // 2):
            metrics["a"] = step
            log.log(step, metrics)
            if step % 10 == 0:
                log.samples(step, "train", groups)
    expected: list[Any] = []
    for step in range(LIMIT // 2):
        expected.append(("log", step, {"a": step}))
        if step % 10 == 0:
            expected.append(("samples", step, "train", pick_samples(groups, 8)))
    assert [row[1:] for row in seen] == [*expected, ("close",)]
    threads = {row[0] for row in seen}
    assert len(threads) == 1
    assert threads.isdisjoint({threading.current_thread()})
    assert all(thread.daemon for thread in threads)


def test_a_tracker_that_blocks_for_ever_keeps_nobody_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sinks, "CLOSE_SECONDS", 0.05)
    until, seen, steps = threading.Event(), list[Any](), LIMIT + 50
    blocks = BLOCKS | {"until": until}
    log = MetricLog(tmp_path, RecordConfig([blocks, listed(seen)]), {})
    try:
        for step in range(steps):
            log.log(step, {"a": 1.0})  # would never return
        log.close()
    finally:
        until.set()
    assert warnings(caplog)[0] == (
        f"test_trackers.Blocks is too slow: it lacks {steps} of {steps} steps and tables, and did not close "
        "in time; metrics.jsonl has all metrics"
    )
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == steps
    given = [row[2] for row in seen if row[1] == "log"]
    assert given == sorted(given)  # the other has what it was fast enough for, in order


def test_a_slow_tracker_lacks_what_did_not_fit_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    until = threading.Event()
    log = MetricLog(tmp_path, RecordConfig([BLOCKS | {"until": until}]), {})
    for step in range(LIMIT + 50):
        log.log(step, {})
    until.set()
    log.close()
    (said,) = warnings(caplog)
    # the one that it is at counts as waiting or not, as its thread has been
    assert re.fullmatch(
        rf"test_trackers\.Blocks is too slow: it lacks (49|50) of {LIMIT + 50} steps and tables; .*", said
    )


@pytest.mark.parametrize("error", [OSError("gone"), KeyError("x"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["__init__", "log", "samples", "close"])
def test_a_tracker_that_raises_is_named_once_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str, error: BaseException
) -> None:
    raises = {"_target_": "test_trackers.Raises", "where": where, "error": error}
    seen: list[Any] = []
    with MetricLog(tmp_path, RecordConfig([raises, listed(seen)]), {}) as log:
        for step in range(5):
            log.log(step, {"a": 1.0})
            log.samples(step, "train", [group([1.0])])
    (said,) = warnings(caplog)
    assert said.startswith("test_trackers.Raises failed and gets no more metrics; the run goes on")
    assert type(error).__name__ in said
    assert len(seen) == 11
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 5


def test_a_tracker_that_cannot_open_or_whose_disk_is_full(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tensorboard").write_text("a file where a folder should be")
    config = RecordConfig(["tensorboard", "test_trackers.FullDisk"])
    with MetricLog(tmp_path, config, {}) as log:
        for step in range(3):
            log.log(step, {"train/reward": 0.5})
    first, second = sorted(warnings(caplog))
    assert first.startswith("tensorboard failed")
    assert second.startswith("test_trackers.FullDisk failed")
    assert "No space left on device" in second
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 3


def test_tensorboard_on_a_disk_that_fills_up(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from rlvr.record.config import RecordConfig
from rlvr.record.sinks import MetricLog
resource.setrlimit(resource.RLIMIT_FSIZE, (3500, 3500))
with MetricLog(Path(sys.argv[1]), RecordConfig(trackers=["tensorboard"]), {}) as log:
    for step in range(80):  # 35 bytes a line in metrics.jsonl, and about 55 in TensorBoard's
        log.log(step, {"train/reward": 0.5})
"""
    ended = python(code, tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr.startswith("tensorboard failed and gets no more metrics")
    assert "File too large" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 80


def test_a_tracker_that_never_returns_does_not_keep_the_process(tmp_path: Path) -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from rlvr.record import sinks
from rlvr.record.config import RecordConfig
sinks.CLOSE_SECONDS = 0.1
with sinks.MetricLog(Path(sys.argv[1]), RecordConfig(["test_trackers.Blocks"]), {}) as log:
    log.log(0, {})
"""
    ended = python(code, tmp_path, Path(__file__).parent)
    assert ended.returncode == 0
    assert ended.stderr.count("did not close in time") == 1


# which rollouts are shown


def test_samples_are_spread_over_the_groups() -> None:
    groups = [group([1.0, -1.0, None], name=f"p{number}") for number in range(10)]
    for number, each in enumerate(groups):
        for rollout in each.rollouts:
            rollout.text = f"{number}.{rollout.sample}"
    assert [row.answer for row in pick_samples(groups, 5)] == ["0.0", "2.0", "4.0", "6.0", "8.0"]
    assert [row.answer for row in pick_samples(groups[:2], 5)] == ["0.0", "1.0", "0.1", "1.1", "0.2"]
    assert len(pick_samples(groups, 100)) == 30
    assert pick_samples([], 5) == pick_samples(groups, 0) == []
    first, second, third = pick_samples(groups[:1], 3)
    assert [(row.verdict, row.reward) for row in (first, second, third)] == [
        ("correct", 1.0),
        ("wrong", -1.0),
        ("timeout", None),
    ]


def test_a_cell_is_short_and_can_be_encoded() -> None:
    given = group([1.0])
    given.rollouts[0].text = "\ud800" + "a" * 10**6 + "end"
    (row,) = pick_samples([given], 1)
    assert LONGEST - 1 <= len(row.answer) <= LONGEST
    assert row.answer.startswith("?a")
    assert row.answer.endswith("end")
    row.answer.encode()


def test_no_samples_where_none_are_asked_for(tmp_path: Path) -> None:
    seen: list[Any] = []
    with MetricLog(tmp_path, RecordConfig([listed(seen)], samples=0), {}) as log:
        log.samples(1, "train", [group([1.0])])
    assert [row[1:] for row in seen] == [("close",)]


# how a stage is named


def test_a_sweep_is_a_group_of_arms_and_a_recipe_one_of_stages(tmp_path: Path) -> None:
    date = tmp_path / "runs" / "sums" / "today"
    alone = TrackedStage(date / "grpo", date, {"name": "sums"})
    assert (alone.experiment, alone.group, alone.arm, alone.name) == ("sums", "sums/today", "today", "grpo")
    (date / "7").mkdir(parents=True)
    (date / "multirun.yaml").touch()
    arm = TrackedStage(date / "7" / "sft", date / "7", {"name": "sums"})
    assert (arm.experiment, arm.group, arm.arm, arm.name) == ("sums", "sums/today", "7", "sft")
    sweep = tmp_path / "runs" / "sums" / "sweep-0a1b"
    (sweep / "seed=0").mkdir(parents=True)
    (sweep / "seed=0" / "arm.json").touch()
    for name in ("seed=0", "shared"):
        of_sweep = TrackedStage(sweep / name / "sft-2c3d", sweep / name, {})
        assert (of_sweep.group, of_sweep.arm, of_sweep.name) == ("sums/sweep-0a1b", name, "sft")
    recipe = TrackedStage(tmp_path / "runs" / "sums" / "stages" / "dpo-0a1b", tmp_path / "runs/sums/now", {})
    assert (recipe.experiment, recipe.group, recipe.arm, recipe.name) == ("run", "sums/now", "now", "dpo")


# the real ones


def _accumulated(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def _points(folder: Path) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in _accumulated(folder).Scalars("train/reward")]


def test_tensorboard_shows_what_was_logged_and_hides_what_a_resume_does_again(tmp_path: Path) -> None:
    stage = TrackedStage(tmp_path, tmp_path, {})
    folder = tmp_path / "tensorboard"
    tracker = TensorBoard(stage)
    for step in range(5):
        tracker.log(step, {"train/reward": step / 4})
    assert _points(folder) == [(step, step / 4) for step in range(5)]
    tracker.close()
    tracker = TensorBoard(stage)
    tracker.log(3, {"train/reward": -1})
    tracker.close()
    assert _points(folder) == [(0, 0), (1, 0.25), (2, 0.5), (3, -1)]


def test_tensorboard_shows_samples_in_which_nothing_is_markup(tmp_path: Path) -> None:
    from tensorboard.plugins.text.text_plugin import text_array_to_html

    tracker = TensorBoard(TrackedStage(tmp_path, tmp_path, {}))
    tracker.samples(4, "train", [ROW, ROW._replace(reward=None)])
    tracker.close()
    (event,) = _accumulated(tmp_path / "tensorboard").Tensors("samples/train")
    assert event.step == 4
    page = text_array_to_html(
        np.array([event.tensor_proto.string_val[0]], dtype=object), enable_markdown=True
    )
    assert page.count("<tr>") == 1 + 3  # a table of one cell, which holds ours
    assert "<td>**3** | &lt;script&gt; ⏎ no</td>" in page
    assert "<td>–</td>" in page
    assert not {"<script", "<strong", "<em"} & set(re.findall(r"<\w+", page))


WANDB = """
import sys
from pathlib import Path
from rlvr.record.config import RecordConfig
from rlvr.record import sinks
from rlvr.record.sinks import MetricLog
from rlvr.record.trackers import Sample
sinks.CLOSE_SECONDS = 60.0  # the machine may be busy
with MetricLog(Path(sys.argv[1]), RecordConfig(["wandb"]), {"seed": 3}) as log:
    rows = [Sample("1+1=?", "3", "2", "wrong", None), Sample("1+1=?", "2", "2", "correct", 1.0)]
    log._trackers[0].samples(0, "train", rows)
    for step in range(int(sys.argv[2]), int(sys.argv[2]) + 2):
        log.log(step, {"train/reward": step / 4})
"""


def _wandb_records(file: Path) -> list[Any]:
    """A .wandb file is a LevelDB log behind seven bytes: pieces of records in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    content, at, whole, records = file.read_bytes(), 7, b"", []
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
        _, length, kind = struct.unpack_from("<IHB", content, at)
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # all of a record, or its last piece
            records.append(Record.FromString(whole))
            whole = b""
    return records


def test_wandb_is_offline_without_a_key_and_goes_on_with_its_run_id(tmp_path: Path) -> None:
    stage = tmp_path / "sweep" / "arm" / "grpo"
    stage.parent.mkdir(parents=True)
    (tmp_path / "sweep" / "multirun.yaml").touch()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        for first in (0, 1):
            ended = python(WANDB, stage, first, WANDB_BASE_URL=address)
            assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        with pytest.raises(BlockingIOError):  # nobody called
            server.accept()
    files = sorted((stage / "wandb").glob("offline-run-*/run-*.wandb"))
    seen, tables, ids = [], 0, set()
    for file in files:
        for record in _wandb_records(file):
            if record.WhichOneof("record_type") == "run":
                run = record.run
                ids.add(run.run_id)
                assert (run.project, run.run_group, run.display_name, run.job_type) == (
                    "rlvr",
                    f"{tmp_path.name}/sweep",
                    "arm",
                    "grpo",
                )
            if record.WhichOneof("record_type") == "history":
                items = {
                    (item.key or "/".join(item.nested_key)): item.value_json for item in record.history.item
                }
                tables += any(name.startswith("samples/train") for name in items)
                if "train/reward" in items:
                    seen.append((json.loads(items["step"]), json.loads(items["train/reward"])))
    assert len(files) == 2
    assert ids == {(stage / "wandb_id").read_text()}
    assert sorted(seen) == [(0, 0), (1, 0.25), (1, 0.25), (2, 0.5)]
    assert tables == 2
    kept = [
        json.loads(path.read_text()) for path in stage.glob("wandb/offline-run-*/files/media/table/**/*.json")
    ]
    assert [table["columns"] for table in kept] == [list(Sample._fields)] * 2
    assert kept[0]["data"] == [["1+1=?", "3", "2", "wrong", None], ["1+1=?", "2", "2", "correct", 1]]


def test_wandb_that_dies_does_not_stop_the_run(tmp_path: Path) -> None:
    killing = WANDB.replace(
        "    for step",
        "    import os, signal, time\n"
        "    while log._trackers[0]._taken < 1: time.sleep(0.01)\n"
        "    children = Path(f'/proc/{os.getpid()}/task').glob('*/children')\n"
        "    for child in ' '.join(path.read_text() for path in children).split():\n"
        "        os.kill(int(child), signal.SIGKILL)\n"
        "        os.waitid(os.P_PID, int(child), os.WEXITED | os.WNOWAIT)\n"
        "    for step",
    ).replace("+ 2)", "+ 50)")
    ended = python(killing, tmp_path, 0)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("wandb failed and gets no more metrics") == 1
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 50


def test_mlflow_keeps_a_run_under_the_run_and_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is an extra")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(sinks, "CLOSE_SECONDS", 60.0)  # its first start makes a database
    run = tmp_path / "runs" / "now"
    config = {"name": "sums", "grpo": {"steps": 4, "filters": {}}, "long": "x" * 9999, "a@b": {"c,d": 1}}
    for first in (0, 2):
        with MetricLog(run / "grpo", RecordConfig(["mlflow"]), config) as log:
            log.samples(first, "train", [group([1.0, None])])
            for step in (first, first + 1):
                log.log(step, {"train/reward": step / 4, "heldout/pass@1": 0.5, "reward/ä+b": float("nan")})
    assert warnings(caplog) == []
    client = mlflow.MlflowClient(f"sqlite:///{run}/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("sums")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("now/grpo", "FINISHED")
    assert {key: found.data.tags[key] for key in ("group", "arm", "stage")} == {
        "group": "runs/now",
        "arm": "now",
        "stage": "grpo",
    }
    assert found.data.params == {
        "name": "sums",
        "grpo.steps": "4",
        "grpo.filters": "{}",
        "long": "x" * 500,
        "a_at_b.c_d": "1",
    }
    assert set(found.data.metrics) == {"train/reward", "heldout/pass_at_1", "reward/ä_b"}
    history = client.get_metric_history(found.info.run_id, "train/reward")
    assert [(point.step, point.value) for point in history] == [(step, step / 4) for step in range(4)]
    tables = sorted(run.glob("mlflow/artifacts/*/artifacts/samples/train/*.csv"))
    assert [path.name for path in tables] == ["step_000000.csv", "step_000002.csv"]
    assert list(csv.reader(tables[0].open())) == [
        list(Sample._fields),
        ["", "", "", "correct", "1.0"],
        ["", "", "", "timeout", ""],
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}
