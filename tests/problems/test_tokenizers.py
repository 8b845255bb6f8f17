"""A tokenizer that does not fit its model is found before anything is started."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from rlvr.problems.generated import ALPHABET
from rlvr.problems.tokenizer import character_tokenizer
from rlvr.stages.sampling import load_tokenizer
from rlvr.types import ConfigError


def folder_with(path: Path, config: dict[str, object], *more_tokens: str) -> Path:
    """A model folder without weights."""
    tokenizer = character_tokenizer(ALPHABET)
    tokenizer.add_tokens(list(more_tokens))
    tokenizer.save_pretrained(path)
    (path / "config.json").write_text(json.dumps({"model_type": "llama"} | config))
    return path


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("spare", [0, 13])
def test_as_many_embeddings_as_tokens_or_more(tmp_path: Path, nested: bool, spare: int) -> None:
    sizes = {"vocab_size": len(character_tokenizer(ALPHABET)) + spare}
    folder = folder_with(tmp_path, {"text_config": sizes} if nested else sizes)
    assert load_tokenizer(folder).get_vocab() == character_tokenizer(ALPHABET).get_vocab()


@pytest.mark.parametrize("nested", [False, True])
def test_a_token_without_an_embedding_is_named(tmp_path: Path, nested: bool) -> None:
    known = len(character_tokenizer(ALPHABET))
    sizes = {"vocab_size": known}
    folder = folder_with(tmp_path, {"text_config": sizes} if nested else sizes, "<tool>")
    with pytest.raises(ConfigError, match=f"'<tool>' has the id {known}, .* for {known} tokens"):
        load_tokenizer(folder)


def test_no_tokenizer_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no tokenizer can be loaded from there"):
        load_tokenizer(tmp_path)


def test_a_hub_that_cannot_be_reached_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{nobody.getsockname()[1]}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    began = time.monotonic()
    with pytest.raises(
        ConfigError, match=r"model.path=nobody/no-model is no local folder, it is not in the cache .* reach"
    ):
        load_tokenizer("nobody/no-model")
    assert time.monotonic() - began < 20
