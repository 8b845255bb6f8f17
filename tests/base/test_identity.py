"""The fingerprint of a model's folder."""

from __future__ import annotations

import os
from pathlib import Path

from rlvr.base.identity import model_fingerprint


def test_a_byte_in_the_middle_of_a_large_file_changes_the_fingerprint(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(bytes(4 * 2**20))
    before = model_fingerprint(str(tmp_path))
    with weights.open("r+b") as file:
        file.seek(2 * 2**20)
        file.write(b"x")
    os.utime(weights, ns=(0, 1))  # a coarse clock may not have moved since
    assert model_fingerprint(str(tmp_path)) != before
    weights.write_bytes(bytes(4 * 2**20))
    assert model_fingerprint(str(tmp_path)) == before


def test_a_copy_has_the_same_fingerprint_and_a_hub_name_is_its_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    assert model_fingerprint(str(tmp_path / "one")) == model_fingerprint(str(tmp_path / "two"))
    (tmp_path / "two" / "config.json").rename(tmp_path / "two" / "other.json")
    assert model_fingerprint(str(tmp_path / "one")) != model_fingerprint(str(tmp_path / "two"))
    assert model_fingerprint("owner/model") == "owner/model"
