"""What is found in the folder of a run, of a recipe's run, and of a stage."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from rlvr.record.runs import open_run, stage_folder
from rlvr.types import DataError


def _record(folder: Path, *kinds: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").touch()
    for kind in kinds:
        (folder / "journal" / kind).mkdir(parents=True)
        (folder / "journal" / kind / "step_000001.parquet").touch()
    return folder


def test_a_run(tmp_path: Path) -> None:
    run = tmp_path / "name" / "date"
    _record(run / "rl", "train", "heldout")
    _record(run / "sft")
    run.joinpath("config.yaml").write_text("defaults: [x]\nstages: [sft, select, rl]\nseed: 3\n")
    run.joinpath("versions.json").write_text('{"rlvr": "1"}')
    found = open_run(run)
    assert [stage.name for stage in found.stages] == ["sft", "rl"]
    assert found.name == "name/date"
    assert found.config == {"stages": ["sft", "select", "rl"], "seed": 3}
    assert found.versions == {"rlvr": "1"}
    assert found.stages[1].journals() == ["train", "heldout"]
    assert found.stage("select") is None


def test_a_stage_of_a_run_has_the_run_s_settings(tmp_path: Path) -> None:
    _record(tmp_path / "rl", "train")
    tmp_path.joinpath("config.yaml").write_text("seed: 3\n")
    found = open_run(tmp_path / "rl")
    assert [(stage.name, stage.folder) for stage in found.stages] == [("rl", tmp_path / "rl")]
    assert found.config == {"seed": 3}


def test_a_recipe_s_run_names_its_stages(tmp_path: Path) -> None:
    run, stages = tmp_path / "1", tmp_path / "stages"
    _record(stages / "sft-abc")
    _record(stages / "sft-evaluation-def", "heldout")
    _record(stages / "rl-old", "train")  # of another seed
    run.mkdir()
    run.joinpath("config.yaml").write_text("stages: [sft, rl]\n")
    named = {"sft": "sft-abc", "sft-evaluation": "sft-evaluation-def", "rl": "none"}
    run.joinpath("stages.json").write_text(json.dumps({k: f"../stages/{v}" for k, v in named.items()}))
    assert [stage.name for stage in open_run(run).stages] == ["sft", "sft-evaluation"]
    manifest = {"versions": {"rlvr": "2"}}
    (stages / "sft-abc" / "manifest.json").write_text(json.dumps(manifest))
    alone = open_run(stages / "sft-abc")
    assert [stage.name for stage in alone.stages] == ["sft"]
    assert alone.versions == {"rlvr": "2"}


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_what_is_no_run_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=name):
        open_run(tmp_path / name)


def test_the_folder_of_a_stage(tmp_path: Path) -> None:
    _record(tmp_path / "rl")
    assert stage_folder(tmp_path, "rl") == tmp_path / "rl"
    assert stage_folder(tmp_path / "rl", "rl") == tmp_path / "rl"
    assert stage_folder(tmp_path, "sft") is None


DAMAGED = [
    ("config.yaml", b""),
    ("config.yaml", b"[a, b]"),
    ("config.yaml", b"name: \xff\xfe"),
    ("config.yaml", b"name: [a"),
    ("config.yaml", b"stages: 3"),
    ("versions.json", b'{"rlvr": '),
    ("versions.json", b"[]"),
    ("stages.json", b'{"rl": '),
    ("stages.json", b'{"rl": 3}'),
]


@pytest.mark.parametrize(("name", "content"), DAMAGED)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path: Path, name: str, content: bytes) -> None:
    _record(tmp_path / "rl")
    (tmp_path / "config.yaml").write_text("stages: [rl]\n")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"/{name} is damaged \(.+\); put back"):
        open_run(tmp_path)


def test_an_evaluation_whose_manifest_names_no_versions(tmp_path: Path) -> None:
    folder = _record(tmp_path / "evaluation-abc", "heldout")
    (folder / "manifest.json").write_text('{"settings": {}}')
    assert open_run(folder).versions == {}


def test_of_a_sweep_s_folder_the_newest_arm_is_named(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("stages: [rl]\n")
    os.utime(tmp_path / "b", (1, 1))
    with pytest.raises(DataError, match=f"holds 2 runs; .* the newest: {tmp_path}/a$"):
        open_run(tmp_path)


def test_the_root_of_the_file_system_is_no_run() -> None:
    with pytest.raises(DataError, match="/ is no run"):
        open_run(Path("/"))
