"""The text of each token, by the tokenizer that the rollout was drawn with, as far as it is still there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from rlvr.record.runs import RunRecord, StageRecord

FILE = "tokenizer.json"


def tokenizer_files(run: RunRecord, stage: StageRecord) -> list[Path]:
    """Where a tokenizer may lie, likeliest first: the stage's model, other models of the run, its first."""
    folders = [stage.folder, stage.folder.parent, *(other.folder for other in run.stages), run.folder]
    found = [path for folder in folders for path in _of_models(folder)]
    named = (run.config.get("model") or {}).get("path")
    if named and (Path(named) / FILE).exists():
        found.append(Path(named) / FILE)
    elif named:
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(str(named), FILE)
        found += [Path(cached)] if isinstance(cached, str) else []
    return list(dict.fromkeys(path.resolve() for path in found))


def _of_models(folder: Path) -> Iterable[Path]:
    for pattern in ("checkpoints/step_*/model", "model", "scratch_model"):
        yield from sorted(folder.glob(f"{pattern}/{FILE}"), reverse=True)[:1]


def token_texts(
    tokens: Sequence[int], drawn: Sequence[int], text: str, files: Iterable[Path]
) -> list[str] | None:
    """One text per token, by the first tokenizer that makes `text` of the `drawn` tokens; None if none does.

    The text of a token is what it adds to the one before it: some tokenizers write a space only between
    words. Special tokens are written as they are called.
    """
    for file in files:
        tokenizer = _load(file, file.stat().st_mtime_ns)
        if tokenizer and _same(tokenizer.decode(list(drawn)), _without_special(tokenizer, text)):
            return [
                _added(tokenizer, before, token)
                for before, token in zip([None, *tokens[:-1]], tokens, strict=True)
            ]
    return None


@lru_cache(maxsize=8)
def _load(file: Path, changed: int) -> Tokenizer | None:
    try:
        return Tokenizer.from_file(str(file))
    except Exception:  # noqa: BLE001 - the library raises nothing narrower
        return None


def _without_special(tokenizer: Tokenizer, text: str) -> str:
    """A rollout's text has some of the special tokens in it, an older one's has none."""
    for token in tokenizer.get_added_tokens_decoder().values():
        if token.special:
            text = text.replace(token.content, "")
    return text


def _same(left: str, right: str) -> bool:
    """Up to white space, which engines treat in different ways at the ends of special tokens."""
    return "".join(left.split()) == "".join(right.split())


def _added(tokenizer: Tokenizer, before: int | None, token: int) -> str:
    alone = str(tokenizer.decode([token], skip_special_tokens=False))
    if before is None:
        return alone
    first = tokenizer.decode([before], skip_special_tokens=False)
    both = str(tokenizer.decode([before, token], skip_special_tokens=False))
    return both[len(first) :] if both.startswith(first) else alone
