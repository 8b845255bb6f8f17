"""Checkpoints of a stage: one folder each, written atomically, verified before a run resumes from it.

`state.json` is written last and has the size and SHA-256 of every other file. A checkpoint whose files
differ from it is renamed, never deleted, and the one before it is used instead.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlvr.base.disk import disk_errors
from rlvr.base.files import sync_folder, write_text
from rlvr.base.identity import differences
from rlvr.record.layout import CHANGES
from rlvr.types import ConfigError, RlvrError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

READERS = 4  # threads that hash files
KEPT = 2  # number of newest checkpoints that stay; older ones are removed once a newer one is complete
STATE = "state.json"


class CheckpointError(RlvrError):
    """There are checkpoints, but all of them are damaged."""


class Damaged(Exception):
    """A checkpoint differs from what was written; the message names the file and what is wrong with it."""


class Checkpoints:
    """`FOLDER/step_000050/`: `model/` in Hugging Face format with its tokenizer, `optimizer/`, `state.json`.

    `identity` is what the run's results depend on besides the weights: resuming with another identity is
    refused, as it would be another run. `keys` maps names in it to settings, where the two differ.
    `end` is the token that ends the answers that the model learns: generation_config.json of every checkpoint
    names it. `settings` (key → value) may change on resume; changes are printed and written to changes.jsonl.
    `verified` are the files whose content this process has already verified.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, Any],
        tokenizer: PreTrainedTokenizerBase,
        end: int | None = None,
        keys: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
        verified: set[Path] | None = None,
    ) -> None:
        self.folder = folder
        self.identity: dict[str, Any] = _plain(identity)
        self.tokenizer, self.end = tokenizer, end
        self.keys = dict(keys or {})
        self.settings: dict[str, Any] = _plain(settings or {})
        self.verified = set() if verified is None else verified

    def newest(self) -> tuple[int, Path] | None:
        """Step and folder of the newest checkpoint. Only its `state.json` is read, so it may be damaged.

        Raises:
            ConfigError: it was made by a run with other data, model, seed or batch sizes.
        """
        for path in reversed(self._there()):
            try:
                state = read_state(path)
            except Damaged:
                continue
            self._same_run(path, state)
            return state["step"], path
        return None

    def latest(self) -> tuple[int, Path] | None:
        """Step and folder of the newest checkpoint whose files are all as they were written.

        Newer, damaged ones are renamed. Settings that differ from the checkpoint's are noted in
        changes.jsonl.

        Raises:
            ConfigError: it was made by a run with other data, model, seed or batch sizes.
            CheckpointError: there are checkpoints, but all of them are damaged.
        """
        found = self._sound("")
        if found is None:
            return None
        path, state = found
        self._same_run(path, state)
        self._note_changes(state)
        return state["step"], path

    def latest_model(self) -> tuple[int, Path] | None:
        """Like `latest`, for callers that read the model only: of other files only the size is checked.

        Raises:
            CheckpointError: there are checkpoints, but all of them are damaged.
        """
        found = self._sound("model/")
        return (found[1]["step"], found[0]) if found else None

    def save(self, step: int, write: Callable[[Path], None], keep: int | None = None) -> Path:
        """Let `write` fill a folder, and make it the newest checkpoint once all of it is on disk.

        Of the older ones only the last is kept, and the one of step `keep`.

        Raises:
            DiskError: it cannot be written (disk full, say); older checkpoints are kept.
        """
        for left in self.folder.glob("unfinished_*"):  # left by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        unfinished = self.folder / f"unfinished_{step:06d}"
        try:
            with disk_errors(unfinished):
                unfinished.mkdir(parents=True)
                write(unfinished)
                self.tokenizer.save_pretrained(unfinished / "model")
                if self.end is not None:
                    declare_end(unfinished / "model" / "generation_config.json", self.end)
                self._write_state(unfinished, step)
                final = self._put_in_place(unfinished, step)
        except BaseException:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        self._remove_old(keep)
        return final

    def path(self, step: int) -> Path:
        return self.folder / f"step_{step:06d}"

    def _write_state(self, folder: Path, step: int) -> None:
        """Flush all files to disk, then write the list of them."""
        paths = sorted(folder.rglob("*"))
        written = [path for path in paths if path.is_file()]
        names = [str(path.relative_to(folder)) for path in written]
        with ThreadPoolExecutor(READERS) as pool:
            files = dict(zip(names, pool.map(_put_on_disk, written), strict=True))
        state = {"step": step, "identity": self.identity, "settings": self.settings, "files": files}
        with (folder / STATE).open("w") as file:
            json.dump(state | {"sha256": _digest(state)}, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        for each in (*(path for path in paths if path.is_dir()), folder):
            sync_folder(each)

    def _put_in_place(self, unfinished: Path, step: int) -> Path:
        final, replaced = self.path(step), self.folder / f"replaced_{step:06d}"
        if final.exists():  # so that one of the two exists at any time
            shutil.rmtree(replaced, ignore_errors=True)
            final.rename(replaced)
        unfinished.rename(final)
        sync_folder(self.folder)
        shutil.rmtree(replaced, ignore_errors=True)
        self.verified -= {path for path in self.verified if path.is_relative_to(final)}
        return final

    def _remove_old(self, keep: int | None) -> None:
        """Remove all but the newest; checkpoints with missing or truncated files do not count."""
        whole = []
        for path in self._there():
            try:
                _same_sizes(path, read_state(path))
            except Damaged:
                continue
            whole.append(path)
        for old in whole[:-KEPT]:
            if keep is None or old != self.path(keep):
                # if this process is killed here, the next save removes the rest
                shutil.rmtree(old.rename(self.folder / f"unfinished_{old.name}"))

    def _sound(self, part: str) -> tuple[Path, dict[str, Any]] | None:
        """The newest checkpoint whose files under `part` are as they were written, with its state."""
        for replaced in self.folder.glob("replaced_*"):  # left by a process killed in `_put_in_place`
            if not (final := self.path(int(replaced.name.partition("_")[2]))).exists():
                replaced.rename(final)
        for path in reversed(self._there()):
            try:
                state = verify(path, part, self.verified)
            except Damaged as damage:
                self._set_aside(path, damage)
                continue
            return path, state
        if aside := sorted(self.folder.glob("damaged_*")):
            raise CheckpointError(
                f"{self.folder} has no usable checkpoint: {aside[-1].name} is damaged. Restore an "
                f"intact copy as step_…, or remove {self.folder}/damaged_* to restart the stage from step 0"
            )
        return None

    def _set_aside(self, path: Path, damage: Damaged) -> None:
        name = path.name.replace("step_", "damaged_")
        taken = len(list(self.folder.glob(f"{name}*")))
        aside = self.folder / (f"{name}_{taken + 1}" if taken else name)
        with disk_errors(path):
            path.rename(aside)
            sync_folder(self.folder)
        print(f"rlvr: {path} is damaged ({damage}); renamed to {aside.name}", file=sys.stderr, flush=True)

    def _same_run(self, path: Path, state: Mapping[str, Any]) -> None:
        for name, old, new in differences(state["identity"], self.identity):
            first, _, rest = name.partition(".")
            key = f"{self.keys.get(first, first)}{'.' if rest else ''}{rest}"
            if first in ("problems", "traces"):
                mend = "It is a fingerprint of the data: use the unchanged data"
            else:
                mend = f"Give the old value, {key}={old}"
            raise ConfigError(
                f"{path} was made with {name}={old}, this run has {name}={new}: it cannot be resumed. "
                f"{mend}, or start a new run from it with model.path={path / 'model'}"
            )

    def _note_changes(self, state: Mapping[str, Any]) -> None:
        """Print which settings have changed, and write that to changes.jsonl with the checkpoint's step."""
        step, written = state["step"], state.get("settings", {})
        # settings that are not in the checkpoint were added by a later version of rlvr
        found = [(k, written[k], new) for k, new in self.settings.items() if written.get(k, new) != new]
        for key, old, new in found:
            print(
                f"rlvr: after step {step}, {key} is {json.dumps(new)}; it was {json.dumps(old)}", flush=True
            )
        path = self.folder.parent / CHANGES
        before = path.read_text().splitlines(keepends=True) if path.exists() else []
        # later changes are dropped together with the steps after this one
        kept = [line for line in before if json.loads(line)["step"] < step]
        lines = [
            json.dumps({"step": step, "key": key, "old": old, "new": new}) + "\n" for key, old, new in found
        ]
        if kept + lines != before:
            write_text(path, "".join(kept + lines))

    def _there(self) -> list[Path]:
        return sorted(self.folder.glob("step_*"))


def _plain(tree: Mapping[str, Any]) -> Any:
    """The tree after a round trip through JSON."""
    return json.loads(json.dumps(tree, default=str))


def read_state(path: Path) -> dict[str, Any]:
    """The content of `state.json` of the checkpoint `path`. Raises Damaged."""
    try:
        state = json.loads((path / STATE).read_text())
        digest = state.pop("sha256", None)
        known = isinstance(state["step"], int) and isinstance(state["identity"], dict)
    except FileNotFoundError:
        raise Damaged(f"{STATE} is missing") from None
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        raise Damaged(f"{STATE} cannot be read") from None
    # checkpoints of earlier versions have neither a digest nor a list of files
    if not known or ((digest is not None or "files" in state) and digest != _digest(state)):
        raise Damaged(f"{STATE} is not what was written")
    found: dict[str, Any] = state
    return found


def verify(path: Path, part: str = "", verified: set[Path] | None = None) -> dict[str, Any]:
    """The state of a checkpoint whose files are all as they were written. Raises Damaged.

    Only files whose names begin with `part` and that are not in `verified` are read; they are added to it.
    """
    verified = set() if verified is None else verified
    state = read_state(path)
    files: dict[str, tuple[int, str]] = state.get("files", {})
    _same_sizes(path, state)
    names = [name for name in files if name.startswith(part) and path / name not in verified]
    with ThreadPoolExecutor(READERS) as pool:
        for name, found in zip(names, pool.map(lambda name: _content(path, name), names), strict=True):
            if found != files[name][1]:
                raise Damaged(f"the content of {name} has changed: its SHA-256 differs")
            verified.add(path / name)
    return state


def _digest(state: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _same_sizes(path: Path, state: Mapping[str, Any]) -> None:
    for name, (size, _) in state.get("files", {}).items():
        try:
            found = (path / name).stat().st_size
        except FileNotFoundError:
            raise Damaged(f"{name} is missing") from None
        if found != size:
            raise Damaged(f"{name} has {found:,} bytes instead of {size:,}")


def _put_on_disk(path: Path) -> list[Any]:
    """Flush a file to disk. Returns its size and SHA-256, read from the page cache as it was just written."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        return [os.fstat(file.fileno()).st_size, found]


def _content(path: Path, name: str) -> str:
    """The SHA-256 of the file `name` of the checkpoint `path`. Raises Damaged if it cannot be read."""
    try:
        with (path / name).open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        raise Damaged(f"{name} is missing") from None
    except OSError as error:
        if error.errno != errno.EIO:
            raise RlvrError(f"{path / name} cannot be read ({error.strerror}): make it readable") from error
        raise Damaged(f"{name} cannot be read ({error.strerror})") from error


def declare_end(generation_config: Path, end: int) -> None:
    """Add a token to those that end an answer of a checkpoint, so that a server of it stops there."""
    settings = json.loads(generation_config.read_text())
    ends = settings.get("eos_token_id")
    ends = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if end not in ends:
        generation_config.write_text(json.dumps(settings | {"eos_token_id": [*ends, end]}, indent=2) + "\n")
