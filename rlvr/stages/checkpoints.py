"""Checkpoints of a stage: a folder each, whole or not there, with what a resume must agree with."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.types import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

KEPT = 2  # the newest ones; an older one is removed once a newer is complete


class Checkpoints:
    """`FOLDER/step_000050/`: `model/` in Hugging Face format with its tokenizer, `optimizer/`, `state.json`.

    `identity` is what the numbers of the run depend on beside the weights: a run that goes on
    with another identity would be another run, so it is refused.
    """

    def __init__(self, folder: Path, identity: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> None:
        self.folder = folder
        self.identity = identity
        self.tokenizer = tokenizer

    def latest(self) -> tuple[int, Path] | None:
        """Step and folder of the newest complete checkpoint.

        Raises:
            ConfigError: it was made by a run with other data, model, seed or batch sizes.
        """
        paths = self._complete()
        if not paths:
            return None
        state = json.loads((paths[-1] / "state.json").read_text())
        for name, value in self.identity.items():
            if state["identity"].get(name) != value:
                raise ConfigError(
                    f"{paths[-1]} was made with {name}={state['identity'].get(name)}, this run has "
                    f"{name}={value}: going on would be another run. Give the old value, or start "
                    f"a new run from it with model.path={paths[-1] / 'model'}"
                )
        return state["step"], paths[-1]

    def save(self, step: int, write: Callable[[Path], None], keep: int | None = None) -> Path:
        """Let `write` fill a folder, and make it the newest checkpoint once it is complete.

        Of the older ones only the last stays, and that of the step `keep`.
        """
        final = self.path(step)
        unfinished = self.folder / f"unfinished_{step:06d}"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        write(unfinished)
        self.tokenizer.save_pretrained(unfinished / "model")
        (unfinished / "state.json").write_text(
            json.dumps({"step": step, "identity": self.identity}, indent=2)
        )
        for path in sorted(unfinished.rglob("*")):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        shutil.rmtree(final, ignore_errors=True)
        unfinished.rename(final)
        for old in self._complete()[:-KEPT]:
            if keep is None or old != self.path(keep):
                shutil.rmtree(old)
        return final

    def path(self, step: int) -> Path:
        return self.folder / f"step_{step:06d}"

    def _complete(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("step_*") if (path / "state.json").is_file())
