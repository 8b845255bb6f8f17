"""Checkpoints as they are loaded and saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from families import FAMILIES, MAX_LENGTH, ORIGINAL, Family, make_checkpoint
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from rlvr.learner.models import load_model, make_scratch_model, persistent_buffers, save_model
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


PHI = next(family for family in FAMILIES if family.name == "Phi-4-mini")
WORDS = torch.arange(2 * MAX_LENGTH).view(2, MAX_LENGTH) % 20 + 4  # a row that is longer than any threshold


@pytest.mark.parametrize("max_length", [ORIGINAL, ORIGINAL + 1], ids=["short", "long"])
@pytest.mark.parametrize("head", [True, False], ids=["policy", "body of a value model"])
def test_longrope_is_that_of_the_context_whatever_rows_are_there(
    tmp_path: Path, head: bool, max_length: int
) -> None:
    make_checkpoint(PHI, tmp_path / "given")
    model = load_model(str(tmp_path / "given"), "float32", max_length, head=head).eval()
    kind = AutoModelForCausalLM if head else AutoModel
    plain = kind.from_pretrained(tmp_path / "given", dtype=torch.float32).eval()
    seen = ORIGINAL if max_length == ORIGINAL else MAX_LENGTH  # how far transformers sees
    with torch.no_grad():
        expected = plain(WORDS[:, :seen])[0][:, :10]
        other = plain(WORDS[:, : MAX_LENGTH if seen == ORIGINAL else ORIGINAL])[0][:, :10]
        together, alone = model(WORDS)[0][:, :10], model(WORDS[:, :10])[0]
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(alone, expected, atol=1e-5, rtol=0)
    assert (other - expected).abs().max() > 0.1
    factor = PHI.sizes["rope_parameters"]["short_factor" if max_length == ORIGINAL else "long_factor"]
    frequencies = [1 / (each * 1e4 ** (place / 12)) for place, each in enumerate(factor)]
    (embedding,) = [module for module in model.modules() if hasattr(module, "inv_freq")]
    torch.testing.assert_close(embedding.inv_freq, torch.tensor(frequencies))


def test_longrope_is_saved_as_it_was(tmp_path: Path) -> None:
    make_checkpoint(PHI, tmp_path / "given")
    save_model(load_model(str(tmp_path / "given"), "float32", MAX_LENGTH), tmp_path / "saved")
    given, saved = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("given", "saved"))
    assert saved == given
    assert saved["rope_parameters"]["rope_type"] == "longrope"


def test_longrope_of_some_layers_is_fixed_in_those(tmp_path: Path) -> None:
    """Where each kind of layer has a RoPE of its own."""
    (gemma,) = [family for family in FAMILIES if family.name == "Gemma 3"]
    factors = {"short_factor": [1.0] * 16, "long_factor": [4.0] * 16}
    scaled = {
        "rope_type": "longrope",
        "rope_theta": 1e6,
        "original_max_position_embeddings": ORIGINAL,
        **factors,
    }
    plain = gemma.sizes["rope_parameters"]["sliding_attention"]
    ropes = {"full_attention": scaled, "sliding_attention": plain}
    make_checkpoint(Family("mixed", "gemma3_text", gemma.sizes | {"rope_parameters": ropes}), tmp_path)
    model = load_model(str(tmp_path), "float32", MAX_LENGTH).eval()
    (embedding,) = [module for module in model.modules() if hasattr(module, "full_attention_inv_freq")]
    long = torch.tensor([1 / (4 * 1e6 ** (place / 16)) for place in range(16)])
    short = torch.tensor([1 / 1e4 ** (place / 16) for place in range(16)])
    for length in (10, MAX_LENGTH):
        with torch.no_grad():
            model(WORDS[:, :length])
        torch.testing.assert_close(embedding.full_attention_inv_freq, long)
        torch.testing.assert_close(embedding.sliding_attention_inv_freq, short)


def test_dynamic_rope_is_not_stretched_within_the_context(tmp_path: Path) -> None:
    (llama,) = [family for family in FAMILIES if family.name == "Llama, dynamic NTK"]
    make_checkpoint(llama, tmp_path)
    model = load_model(str(tmp_path), "float32", MAX_LENGTH).eval()
    with torch.no_grad():
        expected = model(WORDS[:, :10])[0]
        model(WORDS.repeat(1, 2))  # beyond the context, where transformers would stretch it
        torch.testing.assert_close(model(WORDS[:, :10])[0], expected, atol=0, rtol=0)
        torch.testing.assert_close(model(WORDS.repeat(1, 2))[0][:, :10], expected, atol=1e-5, rtol=0)


def test_the_biases_of_routers_are_of_the_checkpoint() -> None:
    sizes = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 8, "hidden_size": 32}
    layers = {"num_hidden_layers": 2, "first_k_dense_replace": 1, "num_attention_heads": 2, "vocab_size": 40}
    config = AutoConfig.for_model("glm4_moe", **sizes, **layers, pad_token_id=0)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert [name for name, _ in persistent_buffers(model)] == [
        "model.layers.1.mlp.gate.e_score_correction_bias"
    ]
