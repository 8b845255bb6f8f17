"""Checkpoints as they are loaded and saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rlvr.learner.models import load_model, make_scratch_model, save_model
from rlvr.learner.modules import Policy
from rlvr.problems.tokenizer import character_tokenizer

SIZES = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 32,
}


def test_generation_settings_that_transformers_will_not_save_come_through(tmp_path: Path) -> None:
    """A temperature without sampling: transformers loads it, and refuses to write it."""
    make_scratch_model(tmp_path / "given", character_tokenizer("0123456789"), 32, 0, **SIZES)
    file = tmp_path / "given" / "generation_config.json"
    settings = json.loads(file.read_text()) | {"temperature": 0.6, "top_p": 0.95, "do_sample": False}
    file.write_text(json.dumps(settings))
    model = load_model(str(tmp_path / "given"), "float32", 32)
    save_model(model, tmp_path / "saved")
    saved = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    assert {name: saved[name] for name in ("temperature", "top_p")} == {"temperature": 0.6, "top_p": 0.95}
    assert saved["eos_token_id"] == settings["eos_token_id"]
    again = load_model(str(tmp_path / "saved"), "float32", 32)
    assert again.generation_config.temperature == 0.6
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_checkpoint_generates_with_a_cache_where_the_model_did(tmp_path: Path, use_cache: bool) -> None:
    make_scratch_model(tmp_path / "given", character_tokenizer("0123456789"), 32, 0, **SIZES)
    file = tmp_path / "given" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"use_cache": use_cache}))
    model = load_model(str(tmp_path / "given"), "float32", 32, packing=True)
    Policy(model).train()
    save_model(model, tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["use_cache"] is use_cache
