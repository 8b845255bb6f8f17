"""Files that are either whole or not there."""

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
    """Yield a temporary path beside `path`; what was written there becomes `path` at once, or never.

    The content is on disk before the name is, so neither a crash nor a full disk leaves half a file.
    Raises DiskError when the disk does not take it; what was there before stays.
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
    """`text` as the whole of a file, as `atomic_write` does it."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """`value` as JSON, what JSON does not know as text."""
    write_text(path, json.dumps(value, indent=indent, default=str) + "\n")


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that was killed had begun to write into `folder`. For its only writer."""
    for path in folder.glob(f".*.*{UNFINISHED}"):
        path.unlink(missing_ok=True)
