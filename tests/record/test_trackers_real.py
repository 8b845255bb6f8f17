"""TensorBoard, W&B and MLflow as they are: what they hold after a run, and when something dies."""

from __future__ import annotations

import csv
import json
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from groups import group
from test_record_run import python

from rlvr.record import sinks
from rlvr.record.config import RecordConfig
from rlvr.record.sinks import MetricLog, read_metrics
from rlvr.record.trackers import Sample, TrackedStage
from rlvr.record.trackers.tensorboard import TensorBoard

ROW = Sample("1+1=?", "**3** | <script>\nno", "2", "wrong", -1.0)


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
TRACKER = {"_target_": "wandb", "entity": "team", "tags": ["first", "small"], "notes": "why"}
sinks.CLOSE_SECONDS = 60.0  # the machine may be busy
with MetricLog(Path(sys.argv[1]), RecordConfig([TRACKER]), {"seed": 3}) as log:
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
    stage = tmp_path / "sweep" / "arm" / "rl"
    stage.parent.mkdir(parents=True)
    (stage.parent / "arm.json").touch()
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
                assert (run.entity, list(run.tags), run.notes) == ("team", ["first", "small"], "why")
                assert (run.project, run.run_group, run.display_name, run.job_type) == (
                    "rlvr",
                    f"{tmp_path.name}/sweep",
                    "arm",
                    "rl",
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


def test_mlflow_keeps_a_run_beside_others_and_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is an extra")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(sinks, "CLOSE_SECONDS", 60.0)  # its first start makes a database
    run = tmp_path / "runs" / "now"
    config = {"name": "sums", "rl": {"steps": 4, "filters": {}}, "long": "x" * 9999, "a@b": {"c,d": 1}}
    for first in (0, 2):
        with MetricLog(run / "rl", RecordConfig(["mlflow"]), config) as log:
            log.samples(first, "train", [group([1.0, None])])
            for step in (first, first + 1):
                log.log(step, {"train/reward": step / 4, "heldout/pass@1": 0.5, "reward/ä+b": float("nan")})
    assert [record for record in caplog.records if record.name.startswith("rlvr")] == []
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("sums")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_name, found.info.status) == ("now/rl", "FINISHED")
    assert {key: found.data.tags[key] for key in ("group", "arm", "stage")} == {
        "group": "runs/now",
        "arm": "now",
        "stage": "rl",
    }
    assert found.data.params == {
        "name": "sums",
        "rl.steps": "4",
        "rl.filters": "{}",
        "long": "x" * 500,
        "a_at_b.c_d": "1",
    }
    assert set(found.data.metrics) == {"train/reward", "heldout/pass_at_1", "reward/ä_b"}
    history = client.get_metric_history(found.info.run_id, "train/reward")
    assert [(point.step, point.value) for point in history] == [(step, step / 4) for step in range(4)]
    tables = sorted(tmp_path.glob("runs/mlflow/artifacts/*/artifacts/samples/train/*.csv"))
    assert [path.name for path in tables] == ["step_000000.csv", "step_000002.csv"]
    assert list(csv.reader(tables[0].open())) == [
        list(Sample._fields),
        ["", "", "", "correct", "1.0"],
        ["", "", "", "timeout", ""],
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


ARM = """
import sys
from pathlib import Path
from rlvr.record.trackers import TrackedStage
from rlvr.record.trackers.mlflow import MLflow
run = Path(sys.argv[1])
(run / "rl").mkdir(parents=True)
tracker = MLflow(TrackedStage(run / "rl", run, {"name": "sums", "seed": run.name}))
for step in range(30):
    tracker.log(step, {"train/reward": step / 30, "heldout/pass@1": 0.5})
tracker.close()
"""


def test_arms_that_write_at_once_are_in_one_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="MLflow is an extra")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    arms = [tmp_path / "runs" / "sums" / "sweep-0a" / f"seed={seed}" for seed in range(3)]
    begun = [
        subprocess.Popen([sys.executable, "-c", ARM, arm], stderr=subprocess.PIPE, text=True) for arm in arms
    ]
    for process in begun:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/runs/mlflow/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("sums").experiment_id])
    assert {run.info.run_name for run in found} == {f"seed={seed}/rl" for seed in range(3)}
    for run in found:
        history = client.get_metric_history(run.info.run_id, "train/reward")
        assert [point.step for point in history] == list(range(30))
