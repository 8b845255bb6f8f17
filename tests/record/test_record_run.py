"""The run folder and the record of its metrics, with real processes and real disks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rlvr
from rlvr.base.files import atomic_write
from rlvr.record.run_folder import RunFolder, RunFolderError
from rlvr.record.sinks import JsonLines, read_metrics
from rlvr.types import DataError

ROOT = Path(rlvr.__file__).parent.parent


def python(code: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=inherited | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_settings_load_nothing_heavy() -> None:
    heavy = "{'torch', 'ray', 'pyarrow', 'wandb', 'tensorboard', 'matplotlib', 'rich'}"
    code = f"import sys, rlvr.record.config as _; print({heavy} & set(sys.modules))"
    assert python(code).stdout.strip() == "set()"


def test_the_sinks_load_a_tracker_only_when_it_is_used() -> None:
    heavy = "{'torch', 'wandb', 'tensorboard', 'mlflow', 'rich'}"
    code = f"import sys, rlvr.record.sinks as _; print({heavy} & set(sys.modules))"
    assert python(code).stdout.strip() == "set()"


def test_run_folder_keeps_config_versions_and_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "secret-of-this-test")
    with RunFolder(tmp_path / "runs" / "one") as run:
        run.write_config("seed: 1\n")
        run.write_config("seed: 2  # ≠ 1\n")
        run.write_versions()
        assert run.stage("rl") == run.stage("rl") == run.path / "rl"
    assert (run.path / "config.yaml").read_text(encoding="utf-8") == "seed: 2  # ≠ 1\n"
    found = json.loads((run.path / "versions.json").read_text())
    assert found["packages"]["sympy"].startswith("1.")
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["cpu"]["count"] == os.cpu_count()
    assert sorted(path.name for path in run.path.iterdir()) == [
        "config.yaml",
        "rl",
        "run.lock",
        "versions.json",
    ]
    assert all("secret" not in path.read_text() for path in run.path.iterdir() if path.is_file())


def test_versions_name_the_commit_of_the_project_only(tmp_path: Path) -> None:
    """A copy of the package inside a checkout of something else has no commit of its own."""
    code = "import json; from rlvr.record.run_folder import versions; print(json.dumps(versions()['git']))"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    for place in (tmp_path / "rlvr", tmp_path / "lib" / "rlvr"):
        needed = (
            "__init__.py",
            "types.py",
            "base/__init__.py",
            "base/closing.py",
            "base/files.py",
            "record/__init__.py",
            "base/disk.py",
        )
        for name in (*needed, "record/__init__.py", "record/run_folder.py"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes((ROOT / "rlvr" / name).read_bytes())
    subprocess.run([*git, "add", "rlvr"], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    # From elsewhere: `-c` puts the current folder before PYTHONPATH.
    code = f"import os, sys; sys.path.insert(0, sys.argv[1]); {code}"
    assert json.loads(python(code, tmp_path).stdout) == {"commit": head, "modified": False}
    with (tmp_path / "rlvr" / "types.py").open("a") as file:
        file.write("# changed\n")
    assert json.loads(python(code, tmp_path).stdout) == {"commit": head, "modified": True}
    assert json.loads(python(code, tmp_path / "lib").stdout) is None


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    code = "import sys; from rlvr.record.run_folder import RunFolder; RunFolder(sys.argv[1])"
    with RunFolder(tmp_path):
        second = python(code, tmp_path)
        assert second.returncode == 1
        assert f"RunFolderError: {tmp_path} is being written to by process {os.getpid()} " in second.stderr
        with pytest.raises(RunFolderError):
            RunFolder(tmp_path)
    assert python(code, tmp_path).returncode == 0
    # The process above is gone, and its lock with it.
    RunFolder(tmp_path).close()


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    with atomic_write(path) as temporary:
        temporary.write_text("whole")

    def fail_halfway() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("ha")
            assert path.read_text() == "whole"
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        fail_halfway()
    assert [each.read_text() for each in path.parent.iterdir()] == ["whole"]


@settings(max_examples=50)  # each waits for the disk
@given(st.dictionaries(st.text().filter(lambda name: name != "step"), st.floats(), max_size=5))
def test_json_lines_hold_every_metric_and_stay_json(metrics: dict[str, float]) -> None:

    def refuse(constant: str) -> Any:
        raise AssertionError(f"{constant} is not JSON")

    finite = {name: value if abs(value) < float("inf") else None for name, value in metrics.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.jsonl"
        sink = JsonLines(path)
        sink.log(7, metrics)
        sink.close()
        assert json.loads(path.read_text(), parse_constant=refuse) == {"step": 7} | finite
        assert read_metrics(path) == {7: finite}


def test_a_line_is_on_disk_when_log_returns_and_half_a_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "rl" / "metrics.jsonl"
    sink = JsonLines(path)
    sink.log(1, {"a": 1})
    assert read_metrics(path) == {1: {"a": 1.0}}
    sink.close()
    with path.open("a") as file:
        file.write('{"step": 2, "a"')
    assert read_metrics(path) == {1: {"a": 1.0}}
    sink = JsonLines(path)
    sink.log(2, {"b": 2})
    sink.log(1, {"b": 3})
    sink.close()
    assert read_metrics(path) == {1: {"a": 1.0, "b": 3.0}, 2: {"b": 2.0}}


def test_no_metric_may_take_the_place_of_the_step(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="named step"):
        JsonLines(tmp_path / "metrics.jsonl").log(1, {"step": 2})


def test_metrics_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with pytest.raises(DataError, match=r"metrics\.jsonl does not exist"):
        read_metrics(path)
    for broken in ("{", "[1]", "3", '{"a": 1}', '{"step": "x"}', '{"step": null}'):
        path.write_text(f'{{"step": 1}}\n{broken}\n')
        with pytest.raises(DataError, match=r"metrics\.jsonl, line 2 is not"):
            read_metrics(path)
    for value in ('"text"', "[1]", "{}"):
        path.write_text(f'{{"step": 1, "train/loss": {value}}}\n')
        with pytest.raises(DataError, match=r"metrics\.jsonl, line 1: 'train/loss' is no number"):
            read_metrics(path)


def test_a_full_disk_is_an_error_for_the_record(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from rlvr.record.config import RecordConfig
from rlvr.record.sinks import MetricLog
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
with MetricLog(Path(sys.argv[1]), RecordConfig(trackers=[]), {}) as log:
    for step in range(100):
        log.log(step, {"train/reward": 0.5})
"""
    ended = python(code, tmp_path)
    assert ended.returncode == 1
    assert f"DiskError: {tmp_path}/metrics.jsonl cannot be written (File too large; " in ended.stderr
    assert list(read_metrics(tmp_path / "metrics.jsonl")) == list(range(6))
    assert (tmp_path / "metrics.jsonl").read_bytes().endswith(b"}\n")  # nor half a line
    assert ended.stderr.count("Traceback") == 2  # and its cause; nothing more when the file is closed
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 200 // len('{"step": 0, "train/reward": 0.5}\n')
    sink = JsonLines(tmp_path / "metrics.jsonl")  # the half line is gone
    sink.log(6, {"train/reward": 0.5})
    sink.close()
    assert list(read_metrics(tmp_path / "metrics.jsonl")) == list(range(7))
