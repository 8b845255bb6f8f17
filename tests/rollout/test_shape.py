"""Which checkpoints an engine can take after another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rlvr.rollout.shape import model_shape


def write(folder: Path) -> Path:
    folder.mkdir()
    files: dict[str, Any] = {
        "config.json": {
            "model_type": "llama",
            "hidden_size": 4,
            "use_cache": True,
            "transformers_version": "4",
        },
        "generation_config.json": {"eos_token_id": [2]},
        "tokenizer_config.json": {"eos_token": "<eos>"},
        "tokenizer.json": {"model": {"vocab": {"a": 0}}},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    save_file({"weight": np.zeros((4, 2), np.float32)}, folder / "model.safetensors")
    return folder


def edit(file: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def weights(**tensors: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: save_file(tensors, folder / "model.safetensors")


def sharded(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")


@pytest.mark.parametrize(
    "change",
    [
        weights(weight=np.ones((4, 2), np.float32)),
        edit("config.json", use_cache=False, transformers_version="5", _name_or_path="elsewhere"),
        edit("tokenizer_config.json", is_local=True),
        sharded,
    ],
)
def test_other_values_of_the_weights_make_no_other_shape(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    one, other = write(tmp_path / "one"), write(tmp_path / "other")
    change(other)
    assert model_shape(str(one)) == model_shape(str(other)) is not None


@pytest.mark.parametrize(
    "change",
    [
        weights(weight=np.zeros((4, 3), np.float32)),
        weights(weight=np.zeros((4, 2), np.float16)),
        weights(other=np.zeros((4, 2), np.float32)),
        edit("config.json", hidden_size=8),
        edit("config.json", rope_parameters={"rope_theta": 5}),
        edit("generation_config.json", eos_token_id=[3]),
        edit("tokenizer_config.json", eos_token="<end>"),
        edit("tokenizer.json", model={"vocab": {"b": 0}}),
        lambda folder: (folder / "generation_config.json").unlink(),
    ],
)
def test_whatever_else_an_engine_reads_makes_another(tmp_path: Path, change: Callable[[Path], None]) -> None:
    one, other = write(tmp_path / "one"), write(tmp_path / "other")
    change(other)
    assert model_shape(str(one)) != model_shape(str(other))


@pytest.mark.parametrize("missing", ["model.safetensors", "tokenizer.json"])
def test_a_folder_of_another_kind_has_none(tmp_path: Path, missing: str) -> None:
    folder = write(tmp_path / "one")
    assert load_file(folder / "model.safetensors")
    (folder / missing).unlink()
    assert model_shape(str(folder)) is None
    assert model_shape("hub/name") is None
