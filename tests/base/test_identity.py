"""Fingerprints of models and of the user's code."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from rlvr.base.identity import contents, model_fingerprint


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


FILES = {
    "kitchen/__init__.py": "",
    "kitchen/judge.py": "import pantry, bought\nfrom . import scales\nfrom .deep.salt import pinch",
    "kitchen/scales.py": "def weigh():\n    from kitchen import late",
    "kitchen/late.py": "from ..nowhere import nothing\nimport absent.too",
    "kitchen/deep/salt.py": "def pinch(): import kitchen.judge",  # a folder without __init__.py; a circle
    "kitchen/unused.py": "",
    "pantry.py": "this is no Python",
}


def test_the_code_of_an_import_path_is_every_own_module_that_it_leads_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    elsewhere = tmp_path / "lib" / "site-packages"  # of another Python, or of the user's home
    elsewhere.mkdir(parents=True)
    (elsewhere / "bought.py").write_text("import kitchen.unused")
    monkeypatch.syspath_prepend(elsewhere)
    monkeypatch.syspath_prepend(tmp_path)
    settings = {
        "reward": [{"_target_": "kitchen.judge.Judge.call", "name": "pantry.py"}, {"_target_": "math.log"}]
    }
    before = contents(settings)
    modules = ["kitchen", "kitchen.deep.salt", "kitchen.judge", "kitchen.late", "kitchen.scales", "pantry"]
    assert list(before) == [f"code of {module}" for module in modules]
    assert not {"kitchen", "pantry"} & set(sys.modules)  # the user's code has not been run for this
    for name in FILES:
        (tmp_path / name).write_text(FILES[name] + "\n# edited\n")
        assert (contents(settings) != before) == (name != "kitchen/unused.py"), name
        (tmp_path / name).write_text(FILES[name])
    assert contents(settings) == before


@pytest.mark.parametrize(
    "target", ["rlvr.rewards.functions.correct", "torch.nn.Linear", "json.loads", "absent.f", "f"]
)
def test_code_of_the_package_of_python_and_of_installed_packages_is_not_the_users(target: str) -> None:
    assert contents({"_target_": target}) == {}
