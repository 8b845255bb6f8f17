"""Atomic writing of files."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rlvr.base.disk import UNFINISHED, disk_errors


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file written there then replaces `path` atomically.

    The content is synced to disk before the rename, so neither a crash nor a full disk leaves a partial file.
    Raises DiskError if it cannot be written; an existing file is then kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write `text` to a file with `atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Write `value` as JSON with `atomic_write`; values that JSON does not support become strings."""
    write_text(path, json.dumps(value, indent=indent, default=str) + "\n")


def sync_folder(folder: Path) -> None:
    """Sync the directory entries of `folder` to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove the partial files of killed processes from `folder`. Only for its single writer."""
    for path in folder.glob(f".*.*{UNFINISHED}"):
        path.unlink(missing_ok=True)
