"""`rlvr watch` on folders that are damaged, locked, or of evaluations: what it says and leaves alone."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import yaml
from test_watch import a_run, log, once

from rlvr.commands.watch import main
from rlvr.pipeline.status import holder
from rlvr.record.run_folder import RunFolder


def test_a_damaged_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with a_run(tmp_path) as run:
        log(run.path / "sft", 1, 2)
        (run.path / "config.yaml").write_text("stages: [sft]\nsft: 3\n")
    assert once(tmp_path, capsys)[0] == 3  # a section that is none has no steps
    for name in ("config.yaml", "versions.json", "stages.json"):
        whole = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else b"{}"
        (tmp_path / name).write_text("{")
        assert main([str(tmp_path), "--once"]) == 2
        assert f"rlvr: {tmp_path / name} is damaged (" in capsys.readouterr().err
        (tmp_path / name).write_bytes(whole)


def test_an_evaluation_is_known_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunFolder(tmp_path) as run:
        run.write_config(yaml.safe_dump({"answers": "x", "problems": {"sets": ["mine"]}}))
    code, lines = once(tmp_path, capsys)
    assert code == 3
    assert lines[0].endswith(" (an evaluation): killed")
    assert lines[-1].endswith("run the same command again to continue")
    (tmp_path / "results.json").write_text("{}")
    (tmp_path / "results.md").write_text("| a |")
    code, lines = once(tmp_path, capsys)
    assert (code, lines[1:]) == (0, [f"read {tmp_path}/results.md"])
    assert lines[0].endswith(" (an evaluation): finished")


def test_a_look_never_takes_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_run(tmp_path):
        monkeypatch.setattr("fcntl.flock", None)  # whoever calls it fails
        assert holder(tmp_path)
        assert holder(tmp_path / "rl")
    assert not holder(tmp_path)
    (tmp_path / "run.lock").write_text(f"{2**22 + 1} on {platform.node()}\n")  # no process has this number
    assert not holder(tmp_path)
    monkeypatch.undo()
    with RunFolder(tmp_path):
        (tmp_path / "run.lock").write_text("1 on another machine\n")
        assert holder(tmp_path)
    assert not holder(tmp_path)
