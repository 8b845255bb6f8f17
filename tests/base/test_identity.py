"""Which settings count, and fingerprints of models and of the user's code."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from rlvr.base.identity import contents, flat_settings, model_fingerprint, that_matter
from rlvr.base.settings import setting
from rlvr.configuration.compose import composed
from rlvr.configuration.keys import config_folder, neutral_keys
from rlvr.pipeline.config import RunConfig


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


@dataclass
class Endpoint:
    timeout: float = setting(1.0, neutral=True)


@dataclass
class Search:
    """A section with a setting that has the name of a neutral one elsewhere."""

    timeout: float = setting(1.0)
    endpoint: Endpoint | None = setting(None)
    named: dict[str, Any] = setting(factory=dict)
    each: dict[str, Any] = setting(factory=dict, each=Endpoint)


def test_a_setting_is_neutral_where_it_is_declared_so_and_nowhere_else() -> None:
    settings = Search(
        endpoint=Endpoint(), named={"timeout": 3, "_target_": "f"}, each={"timeout": Endpoint()}
    )
    counted = {"timeout": 1.0, "endpoint": {}, "named": settings.named, "each": {"timeout": {}}}
    assert that_matter(settings) == counted
    assert that_matter(asdict(settings), Search) == counted  # as read from a file
    assert that_matter(replace(settings, timeout=2.0)) != counted
    assert that_matter(replace(settings, endpoint=Endpoint(timeout=2.0))) == counted
    assert that_matter(replace(settings, named={"timeout": 4})) == counted | {"named": {"timeout": 4}}
    assert list(neutral_keys(Search)) == ["endpoint.timeout"]
    assert dict(flat_settings(Search(), "")) == {"timeout": 1.0, "endpoint": None, "named": {}, "each": {}}


def by_name(tree: Any) -> Any:
    """The settings that counted while neutral ones were a list of names."""
    names = """deadline checkpoint_every evaluate_every workers actors gpus_per_worker micro_batch_tokens
    packing gradient_checkpointing kv_cache_gib gpu_memory_utilization max_num_seqs max_num_batched_tokens
    enforce_eager base_url concurrency requests_per_minute timeout retries backoff max_failed api_key_env
    too_long"""
    if isinstance(tree, dict) and "_target_" not in tree:
        kept = {k: part for k, part in tree.items() if k not in names.split() and part is not None}
        return {name: by_name(part) for name, part in kept.items()}
    return tree


OWN = "+trainers.mine={start: base, checkpoint_every: 3}"
ASKED = "distill={endpoint: {base_url: 'http://localhost/v1', model: m, timeout: 3}}"
COMPOSED = [
    *(
        f"{group}={path.stem}"
        for group in ("recipe", "experiment")
        for path in config_folder().glob(f"{group}/*")
    ),
    *(f"algorithm={path.stem}" for path in config_folder().glob("algorithm/[!g]*")),
]


@pytest.mark.parametrize("override", COMPOSED)
def test_keys_are_those_from_when_neutral_settings_were_a_list_of_names(override: str) -> None:
    command = "recipe" if override.startswith("recipe") else "train"
    own_data = ["problems.path=problems.jsonl"] if override == "recipe=own_data" else []
    config: RunConfig = composed(command, [override, OWN, ASKED, *own_data])[0]
    before = by_name(asdict(config))
    before["reward"]["deadline"] = config.reward.deadline  # the one deadline that counts
    assert that_matter(config) == before
