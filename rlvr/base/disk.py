"""Failures of a disk (full, read-only, broken) as one error that names the file and says what to do."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rlvr.types import RlvrError

UNFINISHED = ".tmp"  # suffix of a file that is being written
_ROOM = "make room there"
MEND = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "allow larger files (ulimit -f), or make room there",
    errno.EROFS: "make it writable",
    errno.EACCES: "give this user the permission",
    errno.EPERM: "give this user the permission",
    errno.EIO: "look at the disk",
}
# The messages of PyTorch and NumPy for an incomplete write, which carry no errno.
_CUT_OFF = re.compile(r"inline_container\.cc|\d requested and \d+ written")
# Libraries in Rust give the errno only in the message.
_NUMBERED = re.compile(r"\(os error (\d+)\)|\[errno (\d+)\]", re.IGNORECASE)


class DiskError(RlvrError, OSError):
    """A file cannot be written. Also an OSError, for callers that can continue without the file."""


def disk_error(path: Path, error: Exception, what: str = "cannot be written") -> DiskError | None:
    """The DiskError for an `error` while writing `path`, or a file in it; None if it is another error."""
    number = _number(error)
    if number is not None:
        reason, mend = os.strerror(number), MEND[number]
    elif _CUT_OFF.search(str(error)):
        reason, mend = "it was written incompletely", "check whether the disk is full"
    else:
        return None
    named = getattr(error, "filename", None)
    file = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else path
    file = path if file.name.endswith(UNFINISHED) else file
    made = DiskError(f"{file} {what} ({reason}{_free(file)}): {mend}")
    made.strerror = reason
    return made


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raises DiskError in place of a library's error when it cannot write `path`, or a file in it."""
    try:
        yield
    except DiskError:
        raise
    # tokenizers raises a plain Exception, safetensors and PyTorch errors of their own
    except Exception as error:
        if (made := disk_error(path, error)) is None:
            raise
        raise made from error


def _number(error: Exception) -> int | None:
    """The errno of a disk failure, from the error or its message; None for other errors."""
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := _NUMBERED.search(str(error))):
        number = int(found[1] or found[2])
    if number is None:  # PyTorch's older format has only the words
        number = next(
            (n for n in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if os.strerror(n) in str(error)), None
        )
    return number if number in MEND else None


def _free(file: Path) -> str:
    """The free space where `file` should be written, for a message."""
    there = next((folder for folder in file.absolute().parents if folder.is_dir()), Path("/"))
    try:
        return f"; {shutil.disk_usage(there).free / 2**30:.2f} GiB are free"
    except OSError:  # a failing disk may not report it
        return ""
