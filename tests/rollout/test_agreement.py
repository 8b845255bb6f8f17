"""vLLM and the learner are the same model, for every family of checkpoints in families.py."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from families import (
    ENDS,
    FAMILIES,
    MAX_LENGTH,
    REFUSED,
    Bench,
    Family,
    ends_of,
    family_config,
    family_tokenizer,
)
from ray.exceptions import RayTaskError

import rlvr
from rlvr.stages.batches import rollout_batch
from rlvr.stages.families import check_checkpoint
from rlvr.types import ConfigError, FinishReason

TOLERANCE = 1e-4  # nats
TABLE = Path(rlvr.__file__).parent.parent / "docs" / "models.md"


@pytest.fixture(scope="module")
def bench(ray_cluster: None) -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_is_one_model_in_vllm_and_in_the_learner(
    bench: Bench, family: Family, tmp_path: Path
) -> None:
    found = bench.measure(family, tmp_path)
    assert found.before < TOLERANCE
    assert found.alone < TOLERANCE
    assert found.moved > 0.1
    assert found.after < TOLERANCE
    assert found.unnoticed == []  # so that the agreement after the update shows that every weight arrived
    assert found.recomputed < TOLERANCE
    assert bool(found.refusal) != family.packing
    assert found.refusal == "" or "learner.packing=false" in found.refusal
    assert found.packed < TOLERANCE
    assert found.unadapted == ""
    assert found.adapted > 0.01
    assert found.adapters < TOLERANCE
    assert found.same_shape
    assert found.reloaded < TOLERANCE

    tokenizer = family_tokenizer()
    ends = {tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(ENDS)}
    assert ends_of(found.rollouts) == ends
    batch = rollout_batch(found.rollouts, range(len(found.rollouts)))
    for rollout, mask in zip(found.rollouts, batch.mask, strict=True):
        ended = rollout.finish_reason is FinishReason.STOP
        assert ends.isdisjoint(rollout.tokens[rollout.sampled][: -1 if ended else None])
        assert mask[-1]  # the end is learned
        assert not any(end in rollout.text for end in (*ENDS, "<eos>"))
    longest = max(len(rollout.tokens) for rollout in found.rollouts)
    assert longest > family.max_length * 0.6
    assert min(len(rollout.tokens) for rollout in found.rollouts) < family.max_length * 0.4


@pytest.mark.slow
def test_weights_that_vllm_cannot_update_are_named(bench: Bench, tmp_path: Path) -> None:
    """It says that it has loaded them."""
    (family,) = [family for family, _ in REFUSED if family.name == "gpt-oss"]
    with pytest.raises(RayTaskError, match=r"cannot update the weights of .*layers\.1\.mlp\.experts"):
        bench.agreement(family, tmp_path)


@pytest.mark.parametrize(("family", "words"), REFUSED, ids=lambda value: getattr(value, "name", ""))
def test_what_a_family_cannot_do_is_said_before_anything_starts(
    family: Family, words: str, tmp_path: Path
) -> None:
    family_config(family).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=re.escape(f"model.path={tmp_path}: ") + ".*" + re.escape(words)):
        check(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden_size": None},
        {"num_attention_heads": 0},
        {"layer_types": [["a"]]},
        {"rope_parameters": [1]},
        {"rope_parameters": {"full_attention": {"rope_type": "longrope"}, "sliding": None}},
        *(
            {"rope_parameters": {"rope_type": "longrope", "original_max_position_embeddings": original}}
            for original in (0, 1, None, "4096")
        ),
    ],
    ids=str,
)
def test_a_configuration_with_wrong_values_is_said(changed: dict[str, Any], tmp_path: Path) -> None:
    (family,) = [family for family in FAMILIES if family.name == "Llama 3.2"]
    family_config(family).save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(ConfigError, match=re.escape(f"model.path={tmp_path}")):
        check(tmp_path)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_that_works_is_not_refused(family: Family, tmp_path: Path) -> None:
    family_config(family).save_pretrained(tmp_path)
    check(tmp_path, family.max_length)


def test_only_what_the_run_needs_is_refused(tmp_path: Path) -> None:
    refused = {family.name: family for family, _ in REFUSED}
    family_config(refused["Llama, quantized"]).save_pretrained(tmp_path / "quantized")
    check(tmp_path / "quantized", learns=False, updates=False)
    family_config(refused["gpt-oss"]).save_pretrained(tmp_path / "oss")
    check(tmp_path / "oss", updates=False)
    family_config(refused["Llama, heads of 16 on the CPU"]).save_pretrained(tmp_path / "heads")
    check(tmp_path / "heads", on_cpu=False)
    check(tmp_path / "heads", samples=False)
    family_config(refused["Cohere 2, beyond its window"]).save_pretrained(tmp_path / "window")
    check(tmp_path / "window", max_length=16)


def check(path: Path, max_length: int = MAX_LENGTH, **settings: bool) -> None:
    needs = {"samples": True, "learns": True, "updates": True, "on_cpu": True}
    check_checkpoint(str(path), max_length, **needs | settings)


def test_the_committed_table_has_every_family() -> None:
    listed = re.findall(r"^\| (.+?) \|", TABLE.read_text(), re.MULTILINE)
    for family in (*FAMILIES, *(family for family, _ in REFUSED)):
        assert listed.count(family.name) == 1, "run: python docs/models.py"
