"""The shape of a checkpoint: everything but the values of its weights. An engine is made for one shape."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

# These depend on the program that saved the checkpoint, and no engine reads them.
IGNORED = {
    *("_name_or_path", "name_or_path", "transformers_version", "use_cache"),
    *("is_local", "local_files_only"),
}
SETTINGS = ("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
TOKENIZER = "tokenizer.json"


def model_shape(path: str) -> dict[str, Any] | None:
    """Everything of a checkpoint but the values of its weights; None if it is not a local folder of
    safetensors with a fast tokenizer."""
    folder = Path(path)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights or not (folder / TOKENIZER).exists():
        return None
    tensors: dict[str, Any] = {}
    for file in weights:
        with safe_open(file, framework="numpy") as opened:
            for name in opened.keys():  # noqa: SIM118 not a mapping
                part = opened.get_slice(name)
                tensors[name] = part.get_dtype(), part.get_shape()
    settings = {name: _read(folder / name) for name in SETTINGS if (folder / name).exists()}
    return {"tensors": tensors, "tokenizer": (folder / TOKENIZER).read_bytes(), **settings}


def _read(path: Path) -> Mapping[str, Any]:
    return {name: value for name, value in json.loads(path.read_text()).items() if name not in IGNORED}
